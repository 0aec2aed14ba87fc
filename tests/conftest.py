"""A real PostgreSQL for the tests, and a fresh, migrated database for each one that asks.

The server is, in this order: the one of `TEST_DATABASE_URL`; a container where a Docker engine
answers; the embedded one in a temporary folder, in memory where there is plenty. Nothing in it is
worth keeping, so it alone runs without fsync. The migrations run once, into a template; each test
gets a copy of that.
"""

import gc
import itertools
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import msgspec
import psutil
import pytest

from services.database import Database, migrate
from services.embedded import Server
from services.events import catalogue
from services.settings import Settings
from tests.leftovers import PREFIX, remove_left_over

IMAGE = "postgres:18"
SERVER_OPTIONS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    # The races of 200 callers have a connection each.
    "max_connections": "300",
    "shared_buffers": "128MB",
    "max_wal_size": "512MB",
}
MEMORY = Path("/dev/shm")  # noqa: S108 - the system's folder of files in memory
ROOM_BYTES_MIN = 4 * 2**30
"""Free memory from which on a server is put there: the tests with most data need a quarter of it."""
TEMPLATE = f"nom_test_{os.getpid()}"
numbers = itertools.count(1)


def pytest_collection_finish() -> None:
    """Take what was imported for living from now on, as a worker does.

    Looking through all of it for garbage again and again takes 0.1 s each time.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """Return the URL of a server on which databases may be made and dropped."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given is not None:
        yield given
        return
    with container_server() if docker_answers() else embedded_server() as url:
        yield url


@pytest.fixture(scope="session")
async def administrator(server_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Yield a connection that makes and drops databases."""
    connection = await asyncpg.connect(server_url)
    yield connection
    await connection.close()


@pytest.fixture(scope="session")
async def template(server_url: str, administrator: asyncpg.Connection) -> AsyncIterator[str]:
    """Yield the name of a migrated, empty database that others are copied from."""
    await administrator.execute(f'DROP DATABASE IF EXISTS "{TEMPLATE}" WITH (FORCE)')
    await administrator.execute(f'CREATE DATABASE "{TEMPLATE}"')
    # Migrating runs an event loop of its own, which wants a thread of its own.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(migrate, with_database(server_url, TEMPLATE)).result()
    yield TEMPLATE
    await administrator.execute(f'DROP DATABASE "{TEMPLATE}" WITH (FORCE)')


@pytest.fixture
async def database_url(
    server_url: str, administrator: asyncpg.Connection, template: str
) -> AsyncIterator[str]:
    """Yield the URL of a fresh database with the newest schema and no rows; dropped afterwards."""
    name = f"{TEMPLATE}_{next(numbers)}"
    # Copying the files takes a quarter of the time that writing each page of them to the log does.
    await administrator.execute(
        f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY'
    )
    url = with_database(server_url, name)
    yield url
    found = await written_events(url)
    await administrator.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    for kind, payload in found:
        catalogue.verify(kind, payload)


async def written_events(url: str) -> list[tuple[str, dict[str, object]]]:
    """Return the kind and payload of every event a test has caused, but for those it made up.

    Made-up ones name `test` as their actor. Where `NOM_TEST_EVENTS` names a file, they are added
    to it, one a line, so that the README can show real ones.
    """
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "SELECT kind, payload FROM event WHERE actor <> 'test' ORDER BY ordinal"
        )
    except asyncpg.UndefinedTableError:
        return []
    finally:
        await connection.close()
    found = [(row["kind"], msgspec.json.decode(row["payload"])) for row in rows]
    keep_events(found)
    return found


def keep_events(found: list[tuple[str, dict[str, object]]]) -> None:
    """Add events to the file that `NOM_TEST_EVENTS` names, if any."""
    if "NOM_TEST_EVENTS" in os.environ:
        with Path(os.environ["NOM_TEST_EVENTS"]).open("ab") as file:
            file.writelines(msgspec.json.encode(each) + b"\n" for each in found)


@pytest.fixture
def settings(database_url: str) -> Settings:
    """Return the default settings of a service on the fresh database."""
    return Settings.from_environment({"DATABASE_URL": database_url})


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    """Yield a pool of connections to the fresh database."""
    if settings.database_url is None:
        raise ValueError("the settings of a test name its database")
    database = Database(settings.database_url, settings, connections_max=20)
    yield database
    await database.close()


def docker_answers() -> bool:
    """Tell whether a Docker engine listens where `DOCKER_HOST`, or its default, says."""
    address = urlsplit(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"))
    try:
        if address.scheme == "unix":
            with socket.socket(socket.AF_UNIX) as engine:
                engine.connect(address.path)
        else:
            with socket.create_connection((address.hostname, address.port or 2375), timeout=2):
                pass
    except OSError:
        return False
    return True


@contextmanager
def container_server() -> Iterator[str]:
    """Yield the URL of a PostgreSQL in a container that ends with the tests."""
    # Imported here because it looks for an engine on import.
    from testcontainers.postgres import PostgresContainer  # noqa: PLC0415

    options = " ".join(f"-c {name}={value}" for name, value in SERVER_OPTIONS.items())
    with PostgresContainer(IMAGE, driver=None).with_command(f"postgres {options}") as container:
        yield container.get_connection_url()


@contextmanager
def embedded_server() -> Iterator[str]:
    """Yield the URL of an embedded PostgreSQL in a temporary folder.

    What killed runs have left goes first, or memory would fill up with it.
    """
    for folder in {MEMORY, Path(tempfile.gettempdir())}:
        remove_left_over(folder)
    home = Path(tempfile.mkdtemp(prefix=PREFIX, dir=MEMORY if has_room(MEMORY) else None))
    try:
        with Server(home, SERVER_OPTIONS) as server:
            yield server.url
    finally:
        shutil.rmtree(home, ignore_errors=True)


def has_room(folder: Path) -> bool:
    """Tell whether a folder of files in memory is there and has room for a server's.

    A copy of the template is 600 files. On a busy disk they take up to a second, in memory 60 ms.
    """
    if not folder.is_dir():
        return False
    free = min(shutil.disk_usage(folder).free, psutil.virtual_memory().available)
    return free >= ROOM_BYTES_MIN


def with_database(url: str, name: str) -> str:
    """Return `url` with another database name."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
