"""The process that keeps the others alive: the database, the HTTP workers, the background worker.

It binds the port once and hands the socket down, restarts what dies, and at the end lets requests
finish, stops the workers, and the database last. It never serves a request itself.
"""

import asyncio
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg
import msgspec
import structlog

from services import embedded
from services.children import STOPPING, Child, Role, Signals
from services.database import migrate, plain_url
from services.native import compiling
from services.settings import Settings
from services.shares import shared
from services.workers.records import connections_max

POLL_S = 1.0
"""How often the supervisor looks around without being woken; a child's death wakes it at once."""
DRAIN_S = 15
"""How long workers may take to finish their requests and jobs before they are killed."""
AGAIN_S = 1
"""A signal within this time of the first is the same one, which make or a shell has passed on."""
FAILURES_MAX = 8
"""Deaths in a row, without a steady life between, after which the service gives up."""
CONNECTIONS_SPARE = 20
"""Connections of the embedded server for commands that run beside the service."""

log = structlog.get_logger()


class ServeError(RuntimeError):
    """The service cannot start; the message says what to change."""


class Supervisor:
    """Keeps one process for each role, and the embedded database if there is one."""

    def __init__(
        self,
        roles: Sequence[Role],
        environment: Mapping[str, str],
        database: embedded.Server | None,
    ) -> None:
        """Describe what to keep running; `run` does it."""
        self.children = [Child(role, environment) for role in roles]
        self.database = database

    def run(self, signals: Signals, greeting: str) -> int:
        """Keep everything running until a signal; print `greeting` when all is ready at first.

        Returns the exit code: 0 after a signal, 1 when a process could not be kept alive.
        """
        greeted = False
        try:
            while not signals.received & STOPPING:
                if not self.look():
                    return 1
                if not greeted and all(child.ready for child in self.children):
                    greeted = True
                    print(greeting, flush=True)  # noqa: T201 - for the person who started it
                signals.wait(self.pause_s(), self.pipes())
        finally:
            self.drain(signals)
        return 0

    def look(self) -> bool:
        """Start what is not running; False when something dies however often it is started."""
        if self.database is not None:
            self.database.keep_running()
        now_s = time.monotonic()
        for child in self.children:
            child.look(now_s)
            if child.failures >= FAILURES_MAX:
                log.critical("giving up", process=child.role.name, failures=child.failures)
                return False
        return True

    def pause_s(self) -> float:
        """Return how long there is nothing to do, if nothing happens."""
        starts_s = [child.start_s for child in self.children if child.process is None]
        return max(0.0, min([POLL_S, *(start_s - time.monotonic() for start_s in starts_s)]))

    def pipes(self) -> list[int]:
        """Return the pipes on which children may report."""
        return [child.ready_pipe for child in self.children if child.ready_pipe is not None]

    def drain(self, signals: Signals) -> None:
        """Ask every child to finish, wait, and kill those that take too long.

        A signal that comes again ends the patience at once.
        """
        processes = [child.process for child in self.children if child.process is not None]
        log.info("stopping", processes=len(processes))
        for process in processes:
            process.terminate()
        stopped_s = time.monotonic()
        while any(process.poll() is None for process in processes):
            waited_s = time.monotonic() - stopped_s
            if waited_s < AGAIN_S:
                signals.received.clear()
            if waited_s > DRAIN_S or signals.received & STOPPING:
                break
            signals.wait(0.1)
        for process in processes:
            if process.poll() is None:
                log.error("process killed", process_id=process.pid, patience_s=DRAIN_S)
                process.kill()
                process.wait()
        for child in self.children:
            child.forget()


def serve(
    settings: Settings,
    environ: Mapping[str, str],
    *,
    greet: Callable[[Settings], str],
) -> int:
    """Run the service until it is told to stop, and return the exit code.

    `greet` is called once the database has the newest schema, with the settings that name the port
    and the database really used; what it returns is printed when every worker is ready. `environ`
    is what the workers inherit. Raises `ServeError` and `embedded.EmbeddedError`.
    """
    disarm = leave_on_signal()
    # The port first: a service that is already running is the likeliest reason to stop here.
    with (
        listen(settings.host, settings.port) as listener,
        shared(settings.workers) as shares,
        compiling() as compiled,
        database(settings) as server,
    ):
        port: int = listener.getsockname()[1]
        url = settings.database_url if server is None else server.url
        used = msgspec.structs.replace(settings, port=port, database_url=url)
        migrate(str(url))
        asyncio.run(check_connections(used))
        greeting = greet(used)
        compiled()
        environment = {
            **environ,
            "DATABASE_URL": str(url),
            "PROMETHEUS_MULTIPROC_DIR": str(empty_metrics_folder(settings.home)),
        }
        roles = service_roles(settings.workers, listener.fileno(), shares)
        with Signals() as signals:
            disarm()
            return Supervisor(roles, environment, server).run(signals, greeting)


def service_roles(workers: int, listener: int, shares: int) -> list[Role]:
    """Return the processes of a service: HTTP workers that share one socket, and two in the back."""
    files = listener, shares
    http = [
        Role(
            f"http-{place + 1}",
            "services.server",
            (*map(str, files), str(place)),
            inherit=files,
        )
        for place in range(workers)
    ]
    # One name for as long as this supervisor lives: after a crash its next background worker takes
    # up its own leases at once. No two supervisors have the same, whatever machines they are on.
    holder = str(uuid4())
    return [
        *http,
        Role("background", "services.workers.background", (holder,)),
        Role("sender", "services.workers.sender", (holder,)),
    ]


@contextmanager
def database(settings: Settings) -> Iterator[embedded.Server | None]:
    """Yield the embedded server of `settings.home`, or None where `DATABASE_URL` names another."""
    if settings.database_url is not None:
        yield None
        return
    connections = max(100, settings.connections_needed + CONNECTIONS_SPARE)
    with embedded.Server(settings.home, {"max_connections": str(connections)}) as server:
        yield server


async def check_connections(settings: Settings) -> None:
    """Raise `ServeError` when the server does not allow as many connections as may be opened.

    Found out now, because under load it would look like a database that fails now and then.
    """
    connection = await asyncpg.connect(plain_url(str(settings.database_url)))
    try:
        allowed = await connections_max(connection)
    finally:
        await connection.close()
    if allowed < settings.connections_needed:
        raise ServeError(
            f"{settings.workers} workers with {settings.lanes} lanes need "
            f"{settings.connections_needed} connections, and PostgreSQL allows {allowed}. "
            "Raise its max_connections, or lower NOM_WORKERS or NOM_LANES."
        )


@contextmanager
def listen(host: str, port: int) -> Iterator[socket.socket]:
    """Yield a socket bound to the address; raises `ServeError` when that is impossible."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ServeError(f"NOM_HOST {host!r} is no address of this machine: {error}.") from error
    with listener:
        # Without it, a restart within a minute would find the port taken by dead connections.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as error:
            raise ServeError(
                f"Cannot listen on {host}:{port}: {error.strerror}. Is a nom running there "
                "already? Another port is set with NOM_PORT."
            ) from error
        yield listener


def empty_metrics_folder(home: Path) -> Path:
    """Make the folder in which workers add up their metrics, without those of an earlier run."""
    folder = home.resolve() / "metrics"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def leave_on_signal() -> Callable[[], None]:
    """Let the stopping signals end this process in order, until what is returned is called.

    From then on they do nothing where nobody else handles them: while the database stops, one more
    Ctrl-C must not leave it behind.
    """
    armed = True

    def leave(number: int, _frame: object) -> None:
        if armed:
            raise SystemExit(128 + number)  # as shells report a signal

    def disarm() -> None:
        nonlocal armed
        armed = False

    for number in STOPPING:
        signal.signal(number, leave)
    return disarm
