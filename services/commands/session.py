"""What every command starts with: the settings, a database, and errors said in one sentence."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TypeVar

import asyncpg
import click
import structlog

from inventory.nodes import get_nodes
from services.database import Database, DatabaseAwayError, migrate
from services.embedded import EmbeddedError, database_of, running_url
from services.settings import Settings, SettingsError

T = TypeVar("T")

CONNECTIONS_MAX = 2


def quiet_logging() -> None:
    """Send what is logged to standard error, so that standard output is the command's answer."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(file=sys.stderr))


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn the errors that a person can mend into one sentence and exit code 1."""
    try:
        yield
    except (EmbeddedError, SettingsError) as error:
        raise click.ClickException(str(error)) from error
    except DatabaseAwayError as error:
        raise click.ClickException(str(error)) from error
    except (asyncpg.PostgresConnectionError, asyncpg.InvalidCatalogNameError, OSError) as error:
        raise click.ClickException(f"The database cannot be reached: {error}") from error


def with_database(work: Callable[[Database], Awaitable[T]]) -> T:
    """Run `work` on the database of the environment, and return what it returns.

    That is `DATABASE_URL`, else the embedded one of `NOM_HOME`: the running one while the service
    runs, otherwise one started, and brought to the newest schema, for this command.
    """
    quiet_logging()
    with plain_errors():
        settings = Settings.from_environment(os.environ)
        alone = settings.database_url is None and running_url(settings.home) is None
        with database_url(settings) as url:
            if alone:
                migrate(url)
            return asyncio.run(work_at(url, settings, work))


async def warn_of_unknown(database: Database, node_ids: Sequence[str]) -> None:
    """Say on standard error which of these nodes there are not, perhaps only not yet."""
    async with database.connect() as connection:
        known = {node.node_id for node in await get_nodes(connection, sorted(set(node_ids)))}
    for node_id in sorted(set(node_ids) - known):
        click.echo(f"Warning: there is no node {node_id} yet.", err=True)


@contextmanager
def database_url(settings: Settings) -> Iterator[str]:
    """Yield the URL of the database of the settings, started for the while if it is nom's own."""
    with (
        nullcontext(settings.database_url)
        if settings.database_url
        else database_of(settings.home) as url
    ):
        yield url


async def work_at(url: str, settings: Settings, work: Callable[[Database], Awaitable[T]]) -> T:
    """Run `work` on a pool that is closed afterwards."""
    database = Database(url, settings, connections_max=CONNECTIONS_MAX)
    try:
        return await work(database)
    finally:
        await database.close()
