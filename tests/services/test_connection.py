"""Refusals from the head of a request: what they say, how long they wait, and what they cost others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from uvicorn.server import ServerState

from services.connection import Connection
from services.http.door import Door
from services.server import configuration
from services.settings import Settings
from tests.services.caller import Caller

HELD_MAX = 2
HOST = "127.0.0.1"
LIVE = b"GET /health/live HTTP/1.1\r\nHost: nom\r\n\r\n"
NEVER_MS = "3600000"
"""How long a refusal is held here, where nobody waits for that."""


@pytest.fixture
def settings(database_url: str) -> Settings:
    """Return settings under which one read is too many, and a refusal waits until it is called."""
    return Settings.from_environment(
        {
            "DATABASE_URL": database_url,
            "NOM_READS_MAX": "1",
            "NOM_REFUSAL_MS": NEVER_MS,
            "NOM_REFUSALS_HELD_MAX": str(HELD_MAX),
        }
    )


class Listening:
    """The application behind real connections of this process."""

    def __init__(self, port: int, made: list[Connection], secret: str) -> None:
        """Remember where it listens and what is connected."""
        self.port = port
        self.made = made
        self.secret = secret

    @asynccontextmanager
    async def connect(self) -> AsyncIterator["Line"]:
        """Yield a connection from both of its ends."""
        number = len(self.made)
        reader, writer = await asyncio.open_connection(HOST, self.port)
        while len(self.made) == number:
            await asyncio.sleep(0.001)
        try:
            yield Line(reader, writer, self.made[-1])
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    def question(self, *lines: str) -> bytes:
        """Return a question about a mug, with these lines in its head."""
        head = [
            "GET /v1/availability?sku=MUG HTTP/1.1",
            "Host: nom",
            f"Authorization: Bearer {self.secret}",
            *lines,
        ]
        return "\r\n".join([*head, "", ""]).encode()

    def quote(self, length: int) -> bytes:
        """Return the head of a quote whose body is so long."""
        head = self.question("Content-Type: application/json", f"Content-Length: {length}")
        return head.replace(b"GET /v1/availability?sku=MUG", b"POST /v1/quotes")


class Line:
    """One connection: what the caller holds of it, and what the worker does."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: Connection
    ) -> None:
        """Hold both ends."""
        self.reader = reader
        self.writer = writer
        self.connection = connection

    async def until_held(self) -> None:
        """Wait until a refusal waits to be sent."""
        while not self.connection.refusal:
            await asyncio.sleep(0.001)

    async def answer(self) -> tuple[bytes, bytes]:
        """Return the head and the body of the next answer."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        (length,) = (
            int(line.partition(b":")[2])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length:")
        )
        return head, await self.reader.readexactly(length)


@pytest.fixture
async def listening(app: Door, caller: Caller, settings: Settings) -> AsyncIterator[Listening]:
    """Yield the application on a port, with one read under way already, and its key known."""
    config = configuration(app, settings)
    config.load()
    make: Any = config.http_protocol_class
    state = ServerState()
    made: list[Connection] = []

    def connect() -> Connection:
        made.append(make(config=config, server_state=state, app_state={}))
        return made[-1]

    server = await asyncio.get_running_loop().create_server(connect, HOST, 0)
    await caller.get("/v1/availability?sku=MUG")
    app.reads = 1
    port = server.sockets[0].getsockname()[1]
    yield Listening(port, made, caller.keys["checkout"])
    app.reads = 0
    server.close()
    for connection in made:
        connection.transport.close()
    while state.connections:
        await asyncio.sleep(0.001)


async def test_a_refusal_waits_and_those_beyond_the_limit_do_not(listening: Listening) -> None:
    """Callers who ask again at once are slowed down; so many on hold are enough."""
    async with listening.connect() as one, listening.connect() as two, listening.connect() as three:
        for line in (one, two):
            line.writer.write(listening.question())
            await line.until_held()
        three.writer.write(listening.question("X-Request-Id: mine"))
        head, body = await three.answer()
        assert head.startswith(b"HTTP/1.1 429 ")
        for expected in (b"retry-after: 1", b"x-request-id: mine", b"application/problem+json"):
            assert expected in head
        assert b"too-many-requests" in body
        assert len(three.connection.held) == HELD_MAX
        one.connection.send_refusal()
        assert (await one.answer())[1] == body
        three.writer.write(listening.question())
        await three.until_held()


async def test_who_hangs_up_while_it_is_held_makes_room(listening: Listening) -> None:
    """Otherwise callers who give up would use up all there is for the others."""
    async with listening.connect() as line:
        line.writer.write(listening.question())
        await line.until_held()
        held = line.connection.held
        assert held == {line.connection}
        line.connection.transport.close()
        while held:
            await asyncio.sleep(0.001)


async def test_a_stopping_worker_says_what_it_held_back(listening: Listening) -> None:
    """Who is cut off without a word does not know that nothing has happened."""
    async with listening.connect() as line:
        line.writer.write(listening.question())
        await line.until_held()
        line.connection.shutdown()
        assert (await line.answer())[0].startswith(b"HTTP/1.1 429 ")
        assert await line.reader.read() == b""


async def test_requests_sent_ahead_of_a_refusal_are_answered_in_their_order(
    listening: Listening,
) -> None:
    """Whoever waits for two answers takes the first to be that of the first request."""
    async with listening.connect() as line:
        line.writer.write(LIVE + listening.question() + LIVE)
        statuses = [(await line.answer())[0][9:12] for _ in range(3)]
        assert statuses == [b"200", b"429", b"200"]


async def test_the_body_of_what_is_refused_is_let_go(listening: Listening, app: Door) -> None:
    """It may come after its refusal; the next request begins where it ends."""
    body = b"x" * 300_000
    async with listening.connect() as line:
        line.writer.write(listening.quote(len(body)) + body[:1_000])
        await line.until_held()
        line.writer.write(body[1_000:] + LIVE)
        line.connection.send_refusal()
        assert (await line.answer())[0].startswith(b"HTTP/1.1 429 ")
        assert (await line.answer())[0].startswith(b"HTTP/1.1 200 ")
        app.reads = 0
        line.writer.write(listening.question())
        assert (await line.answer())[0].startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("lines", [("Connection: close",), ("Expect: 100-continue",)])
async def test_what_is_not_plain_is_refused_the_usual_way(
    listening: Listening, lines: tuple[str, ...]
) -> None:
    """The short way is for the many; every other request still gets its answer."""
    async with listening.connect() as line:
        line.writer.write(listening.question(*lines))
        assert (await line.answer())[0].startswith(b"HTTP/1.1 429 ")
        assert not line.connection.held


async def test_a_stranger_is_told_so_before_anything_else(listening: Listening) -> None:
    """How busy the service is concerns only those who may use it."""
    async with listening.connect() as line:
        line.writer.write(listening.question().replace(b"Bearer nom_", b"Bearer nobody_"))
        assert (await line.answer())[0].startswith(b"HTTP/1.1 401 ")
