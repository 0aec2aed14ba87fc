"""The database: one engine per process, transactions with limits, retries, migrations.

Statements of the allocation path run on the raw asyncpg connection with array parameters; master
data uses SQLAlchemy Core on the same pool. Nothing here spans a network call or a solve.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar, cast

import asyncpg
import sqlalchemy as sa
import structlog
from alembic import command
from alembic.config import Config
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from services.settings import Settings

T = TypeVar("T")

MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATION_LOCK = 7_205_759
"""Advisory lock under which one process migrates while the others wait."""
RETRIES_MAX = 5
RETRY_PAUSE_S = 0.01
TRANSIENT = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)

log = structlog.get_logger()


class Database:
    """A pool of connections to one PostgreSQL; close it when the process stops."""

    def __init__(self, url: str, settings: Settings, *, connections_max: int) -> None:
        """Prepare the pool; connections are opened as they are needed."""
        self.url = url
        self.retries = 0
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

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """Yield a SQLAlchemy connection inside one transaction."""
        async with self.engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[asyncpg.Connection]:
        """Yield the driver's connection outside any transaction."""
        async with self.engine.connect() as connection:
            raw = await connection.get_raw_connection()
            driver = cast("asyncpg.Connection", raw.driver_connection)
            try:
                yield driver
            finally:
                # A connection that the server has dropped must not go back to the pool.
                if driver.is_closed():
                    await connection.invalidate()

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
        for attempt in range(RETRIES_MAX):
            try:
                async with self.transaction() as connection:
                    return await work(connection)
            except TRANSIENT as error:
                self.retries += 1
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
