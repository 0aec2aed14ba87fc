"""New connections are taken at once, however long the turns of the event loop are."""

import asyncio
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from services import listening
from services.listening import TAKEN_MAX, Listening

BURST = 150
TURNS_MAX = 20
PATIENCE_S = 10


class Noted(asyncio.Protocol):
    """A protocol that is remembered once it is connected, and says what it is told."""

    made: "list[Noted]"
    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be remembered."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.made.append(self)

    def data_received(self, data: bytes) -> None:
        """Say it."""
        self.transport.write(data)


@pytest.fixture
def made() -> Iterator[list[Noted]]:
    """Return what has been connected, and hang up at the end."""
    Noted.made = []
    yield Noted.made
    for each in Noted.made:
        each.transport.close()


@contextmanager
def connected(address: tuple[str, int], count: int) -> Iterator[list[socket.socket]]:
    """Yield connections that the system has made, and that nobody has taken yet."""
    clients = [socket.create_connection(address) for _ in range(count)]
    try:
        yield clients
    finally:
        for each in clients:
            each.close()


def listen() -> tuple[Listening, tuple[str, int]]:
    """Listen on a port of its own; return it, too."""
    listener = socket.create_server(("127.0.0.1", 0))
    return Listening(listener, 2 * BURST, Noted), listener.getsockname()


def lowest_free() -> int:
    """Return the number that the next file to be opened gets."""
    with Path(os.devnull).open("rb") as file:
        return file.fileno()


async def test_a_burst_of_connections_is_taken_within_a_few_turns(made: list[Noted]) -> None:
    """One a turn, as libuv takes them, would be a turn for each: seconds where batches are decided."""
    server, address = listen()
    with connected(address, BURST) as clients:
        for _ in range(TURNS_MAX):
            await asyncio.sleep(0)
        assert len(made) == BURST
        server.close()
        await server.wait_closed()
        loop = asyncio.get_running_loop()
        for each in clients:
            each.settimeout(0)
            await loop.sock_sendall(each, b"still there")
            assert await loop.sock_recv(each, 100) == b"still there"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


async def test_others_have_their_turn_in_between(made: list[Noted]) -> None:
    """A flood of connections does not keep those waiting who are there."""
    server, address = listen()
    with connected(address, BURST):
        server.take()
        assert len(server.begun) == TAKEN_MAX
        server.close()
        await server.wait_closed()
    assert len(made) == TAKEN_MAX


async def test_connections_wait_while_no_more_files_may_be_open(
    made: list[Noted], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are not lost, and the log says what to do."""
    monkeypatch.setattr(listening, "PAUSE_S", 0.05)
    server, address = listen()
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with connected(address, 2) as clients:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free(), most))
            with capture_logs() as told:
                server.take()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))
        assert not made
        assert ["raise the limit of open files" in each["event"] for each in told] == [True]
        async with asyncio.timeout(PATIENCE_S):
            while len(made) < len(clients):
                await asyncio.sleep(0.01)
    server.close()
