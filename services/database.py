"""The database: one pool per process, transactions with limits, retries, migrations.

Statements run on asyncpg's connections with array parameters; SQLAlchemy describes the tables and
migrates them. Nothing here spans a network call or a solve.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TypeVar

import asyncpg
import sqlalchemy as sa
import structlog
from alembic import command
from alembic.config import Config
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncConnection

from services.settings import Settings

T = TypeVar("T")

MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATION_LOCK = 7_205_759
"""Advisory lock under which one process migrates while the others wait."""
STATEMENTS_MAX = 200
"""Prepared statements a connection keeps."""
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


class PoolTimeoutError(TimeoutError):
    """All connections stayed taken for longer than anybody waits; nothing was sent."""


class Database:
    """A pool of connections to one PostgreSQL; close it when the process stops."""

    def __init__(self, url: str, settings: Settings, *, connections_max: int) -> None:
        """Prepare the pool; connections are opened as they are needed."""
        self.url = url
        self.patience_s = settings.deadline_ms / 1000
        """How long to wait for a connection when all are taken."""
        self.room = asyncio.Semaphore(connections_max)
        self.idle: list[asyncpg.Connection] = []
        """Those used last come last, and are used again first."""
        self.closed = False
        # Limits are set once for each connection and statements prepared once, for good, so that a
        # transaction costs no round trip but its own.
        self.open = partial(
            asyncpg.connect,
            plain_url(url),
            timeout=self.patience_s,
            statement_cache_size=STATEMENTS_MAX,
            max_cached_statement_lifetime=0,
            server_settings={
                "application_name": "nom",
                "lock_timeout": str(settings.lock_timeout_ms),
                "statement_timeout": str(settings.statement_timeout_ms),
                "jit": "off",
                # A statement keeps the plan it got early on. Pages are mostly in memory, and were a
                # random one taken for four of a scan, a table that was small by then would go on
                # being read from end to end as it grows, until statistics are gathered.
                "random_page_cost": "1.1",
            },
        )

    async def close(self) -> None:
        """Close every connection, those in use when they are given back."""
        self.closed = True
        while self.idle:
            await self.idle.pop().close()

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[asyncpg.Connection]:
        """Yield a connection outside any transaction.

        Raises `PoolTimeoutError` when all are taken for too long; `DatabaseAwayError` when there is
        none to be had, and when it breaks.
        """
        connection = await self.take()
        try:
            yield connection
        except Exception as error:
            if isinstance(error, BROKEN) or connection.is_closed():
                connection.terminate()
                raise DatabaseAwayError(f"The connection broke: {error}") from error
            raise
        finally:
            await self.give_back(connection)

    async def take(self) -> asyncpg.Connection:
        """Return a connection that is nobody else's, an idle one or a new one."""
        try:
            # Setting a timer costs more than taking what is free, as there nearly always is.
            async with asyncio.timeout(self.patience_s) if self.room.locked() else nullcontext():
                await self.room.acquire()
        except TimeoutError:
            raise PoolTimeoutError(
                f"every connection was taken for {self.patience_s} s; there are too few for the "
                "work, or one piece of it takes too long"
            ) from None
        # Those that closed while nobody used them, after a restart all of them, are passed over:
        # each would fail one request.
        while self.idle:
            connection = self.idle.pop()
            if not connection.is_closed():
                return connection
        try:
            return await self.open()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            self.room.release()
            raise DatabaseAwayError(f"The database cannot be reached: {error}") from error
        except BaseException:
            self.room.release()
            raise

    async def give_back(self, connection: asyncpg.Connection) -> None:
        """Keep a connection for the next one, unless it is of no more use."""
        try:
            if connection.is_closed():
                return
            if connection.is_in_transaction():
                # Only a cancellation at the wrong moment leaves one open; its locks end with it.
                connection.terminate()
            elif self.closed:
                await connection.close()
            else:
                self.idle.append(connection)
        finally:
            self.room.release()

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
