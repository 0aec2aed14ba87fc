"""Refusals from the head of a request: what they say, how long they wait, and what they cost others."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from msgspec.structs import replace
from uvicorn.server import ServerState

from services.connection import Connection
from services.http.door import Door
from services.limits import Bucket
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


# --- answers from the head of a request


@pytest.fixture
def roomy(listening: Listening, app: Door) -> Listening:
    """Return the same with room for reads."""
    app.reads = 0
    return listening


def without_id(head: bytes) -> list[bytes]:
    """Return the lines of a head but its id and its length."""
    lines = head.split(b"\r\n")
    return sorted(each for each in lines if not each.startswith((b"x-request-id", b"content-len")))


def without_age(body: bytes) -> object:
    """Return what an answer says but how old it is."""
    return json.loads(body) | {"age_ms": 0}


async def test_what_is_at_hand_is_answered_from_the_head(
    roomy: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task for what takes no waiting costs as much as all the rest; the answer is the same."""
    tasks: list[object] = []
    begin = Connection._start_asgi_task

    def counted(*given: Any) -> None:
        tasks.append(given)
        begin(*given)

    monkeypatch.setattr(Connection, "_start_asgi_task", counted)
    async with roomy.connect() as line:
        line.writer.write(roomy.question("Expect: 100-continue"))
        head, body = await line.answer()
        assert len(tasks) == 1
        for _ in range(3):
            line.writer.write(roomy.question("X-Request-Id: mine"))
            quick, told = await line.answer()
            assert b"x-request-id: mine" in quick
            assert without_id(quick) == without_id(head)
            assert without_age(told) == without_age(body)
        assert len(tasks) == 1


@pytest.mark.parametrize(
    ("before", "after", "status"),
    [
        (b"HTTP/1.1", b"HTTP/1.0", b"200"),
        (b"Host: nom", b"Host: nom\r\nConnection: close", b"200"),
        (b"Host: nom", b"Host: nom\r\nVia: a\r\nVia: b", b"200"),
        (b"?sku=MUG", b"?sku=MUG#sku=NOTHING", b"200"),
        (b"?sku=MUG", b"?sku=NOTHING", b"422"),
        (b"?sku=MUG", b"?color=red", b"400"),
        (b"?sku=MUG", b"", b"400"),
        (b"/availability", b"/avail%61bility", b"200"),
        (b"GET", b"HEAD", b"405"),
        (b"Bearer nom_", b"Bearer nobody_", b"401"),
    ],
)
async def test_what_is_not_plainly_in_order_takes_the_usual_way(
    roomy: Listening, before: bytes, after: bytes, status: bytes
) -> None:
    """Each of these has its answer in words that stand in one place."""
    async with roomy.connect() as line:
        for _ in range(2):
            if line.reader.at_eof():
                break
            line.writer.write(roomy.question().replace(before, after, 1))
            head = await line.reader.readuntil(b"\r\n\r\n")
            assert head[9:12] == status
            if after == b"HEAD":
                break
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            await line.reader.readexactly(length)
            await asyncio.sleep(0.01)


async def test_a_role_that_may_not_ask_is_told_so(roomy: Listening, caller: Caller) -> None:
    """What is at hand is not for everybody."""
    await caller.get("/v1/availability?sku=MUG", role="partner")
    roomy.secret = caller.keys["partner"]
    async with roomy.connect() as line:
        line.writer.write(roomy.question())
        assert (await line.answer())[0].startswith(b"HTTP/1.1 403 ")


async def test_questions_sent_ahead_are_answered_in_their_order(roomy: Listening) -> None:
    """Those that take no waiting must not overtake those that do."""
    lamp = roomy.question().replace(b"sku=MUG", b"sku=LAMP")
    async with roomy.connect() as line:
        line.writer.write(LIVE + lamp + roomy.question() + LIVE + roomy.question() + lamp)
        bodies = [(await line.answer())[1] for _ in range(6)]
    skus = [[sku for sku in (b'"MUG"', b'"LAMP"') if sku in body] for body in bodies]
    assert skus == [[], [b'"LAMP"'], [b'"MUG"'], [], [b'"MUG"'], [b'"LAMP"']]


async def test_the_body_of_a_question_in_an_address_is_let_go(roomy: Listening) -> None:
    """The next request begins where it ends."""
    async with roomy.connect() as line:
        line.writer.write(roomy.question("Content-Length: 9"))
        assert (await line.answer())[0].startswith(b"HTTP/1.1 200 ")
        line.writer.write(b"x" * 9 + LIVE)
        assert json.loads((await line.answer())[1]) == {"status": "ok"}


async def test_one_connection_too_many_is_turned_away_however_it_asks(
    roomy: Listening, settings: Settings
) -> None:
    """A limit that the quickest questions pass by is none."""
    async with roomy.connect() as line:
        line.connection.app = line.connection.config.loaded_app.turn_away
        line.writer.write(roomy.question())
        assert (await line.answer())[0].startswith(b"HTTP/1.1 503 ")


async def test_a_key_with_a_rate_pays_once_for_each_question(
    roomy: Listening, caller: Caller
) -> None:
    """Of two ways to an answer only the one that gives it may count."""
    keyring = caller.runtime.keyring
    seen = keyring.seen[roomy.secret]
    assert seen.principal is not None
    bucket = Bucket(0.001, 3)
    keyring.seen[roomy.secret] = replace(seen, principal=replace(seen.principal, bucket=bucket))
    async with roomy.connect() as line:
        statuses = []
        for _ in range(4):
            line.writer.write(roomy.question())
            statuses.append((await line.answer())[0][9:12])
    assert statuses == [b"200", b"200", b"200", b"429"]
