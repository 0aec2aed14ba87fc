"""The database: one engine per process, transactions with limits, retries, migrations.

Statements run on the raw asyncpg connection with array parameters; SQLAlchemy keeps the pool and
describes the tables. Nothing here spans a network call or a solve.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import asyncpg
import sqlalchemy as sa
import structlog
from alembic import command
from alembic.config import Config
from prometheus_client import Counter
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from services.settings import Settings

T = TypeVar("T")

MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATION_LOCK = 7_205_759
"""Advisory lock under which one process migrates while the others wait."""
RETRIES_MAX = 5
RETRY_PAUSE_S = 0.01
TRANSIENT = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
BROKEN = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    # What asyncpg says when the server's farewell arrives between two of its statements.
    asyncpg.InternalClientError,
    ConnectionError,
)
"""Errors after which a connection is of no more use, whatever it says of itself."""

retries_total = Counter(
    "nom_transaction_retries", "Transactions repeated after a deadlock or serialization failure"
)

log = structlog.get_logger()


class DatabaseAwayError(ConnectionError):
    """There is no connection, or it broke: then what was being committed is or is not committed."""


class Database:
    """A pool of connections to one PostgreSQL; close it when the process stops."""

    def __init__(self, url: str, settings: Settings, *, connections_max: int) -> None:
        """Prepare the pool; connections are opened as they are needed."""
        self.url = url
        self.engine: AsyncEngine = create_async_engine(
            driver_url(url),
            pool_size=connections_max,
            max_overflow=0,
            pool_timeout=settings.deadline_ms / 1000,
            pool_pre_ping=False,
            connect_args={
                "server_settings": {
                    "application_name": "nom",
                    "lock_timeout": str(settings.lock_timeout_ms),
                    "statement_timeout": str(settings.statement_timeout_ms),
                    "jit": "off",
                }
            },
        )
        sa.event.listen(self.engine.sync_engine, "checkout", refuse_closed)

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[asyncpg.Connection]:
        """Yield the driver's connection outside any transaction.

        Raises `DatabaseAwayError` when there is no connection to be had, and when it breaks.
        """
        try:
            connection = await self.engine.connect()
        except (DBAPIError, OSError) as error:
            raise DatabaseAwayError(f"The database cannot be reached: {error}") from error
        try:
            raw = await connection.get_raw_connection()
            driver = cast("asyncpg.Connection", raw.driver_connection)
            try:
                yield driver
            except Exception as error:
                if isinstance(error, BROKEN) or driver.is_closed():
                    driver.terminate()
                    raise DatabaseAwayError(f"The connection broke: {error}") from error
                raise
            finally:
                # A connection that the server has dropped must not go back to the pool.
                if driver.is_closed():
                    await connection.invalidate()
        finally:
            await connection.close()

    @asynccontextmanager
    async def transaction(
        self, *, isolation: str = "read_committed", readonly: bool = False
    ) -> AsyncIterator[asyncpg.Connection]:
        """Yield the driver's connection inside one transaction."""
        async with (
            self.connect() as connection,
            connection.transaction(isolation=isolation, readonly=readonly),  # type: ignore[arg-type]
        ):
            yield connection

    async def run(self, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """Run `work` in one transaction, again when it lost a deadlock or serialization race.

        Raises what `work` raises; after `RETRIES_MAX` lost races the last one.
        """
        return await self.again(self.transaction, work)

    async def run_alone(self, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """Run `work`, which sends a single statement, as `run` does.

        A statement outside any transaction is one by itself, without the two round trips for its
        beginning and its end.
        """
        return await self.again(self.connect, work)

    async def again(
        self,
        scope: Callable[[], AbstractAsyncContextManager[asyncpg.Connection]],
        work: Callable[[asyncpg.Connection], Awaitable[T]],
    ) -> T:
        """Run `work` on what `scope` yields until it does not lose a race."""
        for attempt in range(RETRIES_MAX):
            try:
                async with scope() as connection:
                    return await work(connection)
            except TRANSIENT as error:
                retries_total.inc()
                log.warning("transaction retried", attempt=attempt + 1, error=type(error).__name__)
                if attempt + 1 == RETRIES_MAX:
                    raise
                await asyncio.sleep(RETRY_PAUSE_S * 2**attempt)
        raise RuntimeError("unreachable: every attempt returns or raises")


def refuse_closed(dbapi_connection: Any, _record: object, _proxy: object) -> None:
    """Have the pool replace a connection that closed while nobody used it, and all older ones.

    Without it, each connection of the pool would fail one request after the database restarted.
    """
    if dbapi_connection.driver_connection.is_closed():
        raise InvalidatePoolError("the connection closed while it was idle")


def driver_url(url: str) -> str:
    """Return `url` with the asyncpg driver, from the `postgresql://` form everyone writes."""
    for scheme in ("postgresql+asyncpg://", "postgresql://", "postgres://"):
        if url.startswith(scheme):
            return "postgresql+asyncpg://" + url.removeprefix(scheme)
    raise ValueError("DATABASE_URL must start with postgresql://, as in postgresql://user@host/nom")


def plain_url(url: str) -> str:
    """Return `url` without a driver, as asyncpg itself and PostgreSQL's own programs take it."""
    return driver_url(url).replace("+asyncpg", "", 1)


def alembic_config(url: str) -> Config:
    """Return the configuration with which Alembic finds the migrations."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = driver_url(url)
    return config


def migrate(url: str) -> None:
    """Bring the database at `url` to the newest schema; does nothing when it is there."""
    command.upgrade(alembic_config(url), "head")


async def lock_for_migration(connection: AsyncConnection) -> None:
    """Wait until no other process migrates this database; held until the connection closes."""
    await connection.execute(sa.select(sa.func.pg_advisory_lock(MIGRATION_LOCK)))
    await connection.commit()
