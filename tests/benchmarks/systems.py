"""What is measured, started and stopped: a PostgreSQL, the service, and what it is compared with."""

import asyncio
import http.client
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from select import select
from subprocess import Popen
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import msgspec
import psutil

from services import keys
from services.database import Database, migrate
from services.demo.service import HOST, free_port, wait_until_ready
from services.embedded import Server
from services.processes import spawn, stop
from services.settings import Settings
from services.shares import shared
from services.supervisor import listen
from tests.benchmarks import echo, naive, shop, wire
from tests.benchmarks.generator import MARK

SERVE = "from services.cli import main; main()"
STOP_S = 60
START_S = 120
ATTEMPTS_MAX = 10
SETTLE_S = 2.5
"""Longer than a worker takes to notice a network that was loaded into its database."""
CONNECTIONS_MAX = 200
BARE = "bare"
"""The copy of the loaded database in which statements run without the service."""
READ_SKUS = 20
"""Skus of one read."""


class Endpoint(msgspec.Struct, frozen=True):
    """One system that answers HTTP, and the processes it consists of."""

    port: int
    processes: tuple[int, ...]


class Stand(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that runs."""

    folder: Path
    workers: int
    database_url: str
    bare_url: str
    key: str
    postgres: int
    """Its process."""
    ours: Endpoint
    echo: Endpoint
    naive: Endpoint


@contextmanager
def stand(workers: int, seed: int) -> Iterator[Stand]:
    """Yield all systems, started on one PostgreSQL with the network of `seed`; all end with it."""
    folder = Path(tempfile.mkdtemp(prefix="nom-bench-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        options = {"max_connections": str(CONNECTIONS_MAX)}
        server = stack.enter_context(Server(folder / "home", options))
        if server.process is None:
            raise RuntimeError("PostgreSQL has no process")
        in_thread(migrate, server.url)
        asyncio.run(fill(server.url, seed))
        key = asyncio.run(create_key(server.url))
        ours = stack.enter_context(service(folder, server.url, workers))
        time.sleep(SETTLE_S)
        bodies = folder / "echo"
        write_bodies(bodies, ours.port, key)
        common = {**os.environ, "DATABASE_URL": server.url, "BENCHMARK_KEY": key}
        yield Stand(
            folder=folder,
            workers=workers,
            database_url=server.url,
            bare_url=with_database(server.url, BARE),
            key=key,
            postgres=server.process.pid,
            ours=ours,
            echo=stack.enter_context(
                serving(echo.__name__, workers, {**common, "BENCHMARK_ECHO": str(bodies)}, folder)
            ),
            naive=stack.enter_context(serving(naive.__name__, workers, common, folder)),
        )


def in_thread(work: object, *arguments: object) -> None:
    """Run something that wants an event loop of its own."""
    if not callable(work):
        raise TypeError(f"{work!r} cannot be called")
    with ThreadPoolExecutor(1) as thread:
        thread.submit(work, *arguments).result()


async def fill(url: str, seed: int) -> None:
    """Load the network, make the copy without a service, and the baseline's tables."""
    await shop.load(url, shop.build(seed))
    connection = await asyncpg.connect(with_database(url, "postgres"))
    await connection.execute(f'CREATE DATABASE "{BARE}" TEMPLATE "{urlsplit(url).path[1:]}"')
    await connection.close()
    connection = await asyncpg.connect(url)
    for statement in naive.FILL:
        await connection.execute(statement)
    await connection.execute("CHECKPOINT")
    await connection.close()


def with_database(url: str, name: str) -> str:
    """Return `url` with another database name."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


async def create_key(url: str) -> str:
    """Return the secret of a new checkout key."""
    database = Database(url, Settings(), connections_max=1)
    try:
        return await keys.create(database, "checkout", (), None)
    finally:
        await database.close()


@contextmanager
def service(
    folder: Path, url: str, workers: int, settings: Mapping[str, str] | None = None
) -> Iterator[Endpoint]:
    """Yield `nom serve` on a database; `settings` are variables beside the defaults."""
    port = free_port()
    home = Path(tempfile.mkdtemp(prefix="service-", dir=folder))
    log = home / "service.log"
    arguments = ["serve", "--host", HOST, "--port", str(port), "--workers", str(workers)]
    with log.open("ab") as file:
        process = spawn(
            [sys.executable, "-c", SERVE, *arguments],
            death_signal=signal.SIGTERM,
            environment={
                **os.environ,
                "DATABASE_URL": url,
                "NOM_HOME": str(home),
                **(settings or {}),
            },
            log=file,
        )
    try:
        wait_until_ready(process, port, log)
        yield Endpoint(port, (process.pid,))
    finally:
        stop([process], signal.SIGTERM, STOP_S)


@contextmanager
def serving(
    module: str, workers: int, environment: Mapping[str, str], folder: Path
) -> Iterator[Endpoint]:
    """Yield a module's workers on one socket, as the supervisor starts the service's."""
    processes: list[Popen[bytes]] = []
    log = folder / f"{module.rpartition('.')[2]}.log"
    with listen(HOST, 0) as listener, shared(workers) as shares, log.open("ab") as file:
        files = listener.fileno(), shares
        try:
            processes.extend(
                worker(module, (*files, place), environment, file.fileno())
                for place in range(workers)
            )
            port: int = listener.getsockname()[1]
            yield Endpoint(port, tuple(process.pid for process in processes))
        finally:
            stop(processes, signal.SIGTERM, STOP_S)


def worker(
    module: str, given: tuple[int, int, int], environment: Mapping[str, str], log: int
) -> Popen[bytes]:
    """Return a started worker once it says that it is ready; raises RuntimeError when it is not.

    It is given the socket, the file of shares and its place among the workers.
    """
    ready, child_end = os.pipe()
    try:
        with os.fdopen(os.dup(log), "wb") as file:
            process = spawn(
                [sys.executable, "-m", module, *map(str, given), str(child_end)],
                death_signal=signal.SIGTERM,
                environment=environment,
                log=file,
                inherit=(*given[:2], child_end),
            )
    finally:
        os.close(child_end)
    answered = select([ready], [], [], START_S)[0] and os.read(ready, 1)
    os.close(ready)
    if answered != b".":
        stop([process], signal.SIGTERM, STOP_S)
        raise RuntimeError(f"{module} did not start; its log stands beside the data")
    return process


def write_bodies(folder: Path, port: int, key: str) -> None:
    """Write the answers that the service gives to typical requests, for the echo to repeat.

    Of allocations and quotes it is the one of median length.
    """
    folder.mkdir()
    asked = shop.baskets(41, 0)
    skus = [shop.sku_of(number) for number in range(READ_SKUS)]
    requests = {
        "allocation": wire.allocations(asked, key),
        "quote": wire.quotes(asked, key),
        "availability": [wire.availability(skus, key)],
        "matrix": [wire.availability(skus, key, matrix=True)],
    }
    for name, each in requests.items():
        bodies = sorted((exchange(port, request, name) for request in each), key=len)
        (folder / name).write_bytes(bodies[len(bodies) // 2])


def exchange(port: int, request: bytes, name: str) -> bytes:
    """Send one prepared request until it has its answer, and return the answer's body.

    A service that has just started may say that it needs longer. Raises RuntimeError for a refusal.
    """
    token = os.urandom(8).hex().encode()
    head, _, body = request.replace(MARK, token).partition(b"\r\n\r\n")
    method, path, _ = head.split(b"\r\n")[0].decode().split(" ")
    pairs = (line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    headers = {name: value for name, value in pairs if name != "Content-Length"}
    for _ in range(ATTEMPTS_MAX):
        connection = http.client.HTTPConnection(HOST, port, timeout=START_S)
        try:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            said = answer.read()
        finally:
            connection.close()
        if answer.status != http.HTTPStatus.SERVICE_UNAVAILABLE:
            break
    if answer.status >= 300:
        raise RuntimeError(f"{name} was answered {answer.status}: {said.decode()}")
    return said


def cpu_seconds(processes: Sequence[int]) -> float:
    """Return the CPU time that these processes, their children and the ended ones of these took."""
    total = 0.0
    for number in processes:
        tree = psutil.Process(number)
        for each in (tree, *tree.children(recursive=True)):
            try:
                total += sum(each.cpu_times()[:4])
            except psutil.Error:
                # It ended just now; from here on its parent has its time.
                continue
    return total


def memory_bytes(processes: Sequence[int]) -> int:
    """Return the memory that these processes and their children have to themselves."""
    total = 0
    for number in processes:
        tree = psutil.Process(number)
        total += sum(
            each.memory_info().rss - each.memory_info().shared
            for each in (tree, *tree.children(recursive=True))
        )
    return total
