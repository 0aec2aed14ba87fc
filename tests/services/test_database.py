"""Connections are kept between uses, given to one user at a time, and never with a past."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from services.database import Database, DatabaseAwayError, PoolTimeoutError
from services.settings import Settings


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Database]:
    """Yield a pool of two connections for which nobody waits longer than a tenth of a second."""
    settings = Settings.from_environment({"DATABASE_URL": database_url, "NOM_DEADLINE_MS": "100"})
    database = Database(database_url, settings, connections_max=2)
    yield database
    await database.close()


async def pid(connection: asyncpg.Connection) -> int:
    """Return the server process behind a connection."""
    found: int = await connection.fetchval("SELECT pg_backend_pid()")
    return found


async def test_a_connection_is_used_again(pool: Database) -> None:
    """Opening one costs more than most of what is done with it."""
    async with pool.connect() as connection:
        first = await pid(connection)
    async with pool.transaction() as connection:
        assert await pid(connection) == first


async def test_two_users_never_share_a_connection_and_a_third_is_refused(pool: Database) -> None:
    """Waiting for ever would turn one slow statement into a service that does not answer."""
    async with pool.connect() as one, pool.connect() as other:
        assert await pid(one) != await pid(other)
        with pytest.raises(PoolTimeoutError):
            async with pool.connect():
                pass
    async with pool.connect(), pool.connect():
        pass


async def test_a_connection_left_inside_a_transaction_is_not_given_to_anybody(
    pool: Database,
) -> None:
    """Its locks would stay, and the next user's writes would never be committed."""
    async with pool.connect() as connection:
        left = await pid(connection)
        await connection.execute("BEGIN")
    async with pool.connect() as connection:
        assert await pid(connection) != left
        assert not connection.is_in_transaction()


async def test_a_transaction_cancelled_inside_a_statement_leaves_no_lock(pool: Database) -> None:
    """Whoever asked has gone; what was being done for them must not hold up the others."""

    async def dawdle() -> None:
        async with pool.transaction() as connection:
            await connection.execute("SELECT pg_advisory_xact_lock(1)")
            await connection.execute("SELECT pg_sleep(60)")

    task = asyncio.create_task(dawdle())
    async with pool.connect() as connection:
        while not await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
            " AND datname = current_database()"
        ):
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with pool.transaction() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock(1)")


async def test_a_database_that_is_not_there_is_said_to_be_away_and_takes_no_place() -> None:
    """The same pool works again as soon as the database does."""
    settings = Settings()
    database = Database("postgresql://nobody@127.0.0.1:1/nom", settings, connections_max=1)
    for _ in range(2):
        with pytest.raises(DatabaseAwayError):
            async with database.connect():
                pass
    await database.close()
