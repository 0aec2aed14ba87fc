"""New connections are taken at once, however long the turns of the event loop are."""

import asyncio
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from services import listening
from services.listening import TAKEN_MAX, Listening
from services.shares import SLACK, Share, shared

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


@contextmanager
def workers(count: int) -> Iterator[tuple[list[Listening], list[list[Noted]], tuple[str, int]]]:
    """Yield so many on one socket, what each has taken, and the socket's address."""
    listener = socket.create_server(("127.0.0.1", 0))
    with shared(count) as file:
        taken: list[list[Noted]] = [[] for _ in range(count)]
        servers = [
            Listening(
                listener.dup(),
                2 * BURST,
                type(f"Noted{place}", (Noted,), {"made": taken[place]}),
                Share(file, place, partial(len, taken[place])),
            )
            for place in range(count)
        ]
        listener.close()
        try:
            yield servers, taken, servers[0].listener.getsockname()
        finally:
            for each in servers:
                each.close()
            for protocol in chain(*taken):
                protocol.transport.close()


async def all_taken(taken: list[list[Noted]], count: int) -> None:
    """Return when so many connections have been taken."""
    async with asyncio.timeout(PATIENCE_S):
        while sum(map(len, taken)) < count:
            await asyncio.sleep(0.001)


async def test_workers_share_a_burst_of_connections() -> None:
    """A checkout opens all of its own at once and keeps them: one worker would have all the work."""
    with workers(3) as (_, taken, address), connected(address, BURST):
        await all_taken(taken, BURST)
        counts = sorted(map(len, taken))
        assert counts[-1] - counts[0] <= counts[-1] // SLACK + 1


async def test_who_holds_fewer_connections_gets_the_next() -> None:
    """Also long after they came: a worker that was started again has none."""
    with workers(2) as (servers, taken, address):
        servers[1].loop.remove_reader(servers[1].listener)
        with connected(address, 10):
            await all_taken(taken, 10)
            assert (len(taken[0]), len(taken[1])) == (10, 0)
            servers[1].loop.add_reader(servers[1].listener, servers[1].take)
            with connected(address, 8):
                # As if it had been the first to wake.
                servers[0].take()
                await all_taken(taken, 18)
                assert (len(taken[0]), len(taken[1])) == (10, 8)


async def test_nobody_waits_long_for_a_worker_that_takes_none() -> None:
    """It died, and what it told of itself stands until it is started again; or it has stopped."""
    with workers(2) as (servers, taken, address):
        servers[1].loop.remove_reader(servers[1].listener)
        with connected(address, BURST):
            await all_taken(taken, BURST)
            assert (len(taken[0]), len(taken[1])) == (BURST, 0)
        assert servers[1].share is not None
        servers[1].share.leave()
        with connected(address, 1):
            assert not servers[0].gives_way()
            await all_taken(taken, BURST + 1)
