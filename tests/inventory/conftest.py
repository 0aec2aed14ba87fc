"""Connections of their own for tests that race."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest

Connect = Callable[[int], Awaitable[list[asyncpg.Connection]]]


@pytest.fixture
async def connect(database_url: str) -> AsyncIterator[Connect]:
    """Return a function that opens that many separate connections to the test's database.

    Deadlocks are looked for at once rather than after a second, so that one would show.
    """
    opened: list[asyncpg.Connection] = []

    async def open_connections(count: int) -> list[asyncpg.Connection]:
        connections = [
            await asyncpg.connect(database_url, server_settings={"deadlock_timeout": "20ms"})
            for _ in range(count)
        ]
        opened.extend(connections)
        return connections

    yield open_connections
    await asyncio.gather(*(connection.close() for connection in opened))


@pytest.fixture
async def connection(connect: Connect) -> asyncpg.Connection:
    """Return one connection to the test's database."""
    return (await connect(1))[0]
