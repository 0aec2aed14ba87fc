"""A service of the demonstration's own: its folder, its database, a free port, a log in a file."""

import http.client
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

import msgspec

from services.embedded import running_url
from services.processes import spawn, stop

HOST = "127.0.0.1"
START_S = 300
"""How long the service may take until it answers."""
STOP_S = 60
POLL_S = 0.1
LAST_WORDS = 2_000
"""Bytes of the log that are shown when the service dies."""
SERVE = "from services.cli import main; main()"


class ServiceError(RuntimeError):
    """The service does not run; the message says what its log said last."""


class Address(msgspec.Struct, frozen=True):
    """A service that runs: where it answers, and the database it runs on."""

    host: str
    port: int
    database_url: str


@contextmanager
def own_service(home: Path) -> Iterator[Address]:
    """Yield a service that keeps its data in `home`; it is stopped on the way out.

    A `DATABASE_URL` of the environment is not used: the demonstration fills what it runs on with
    half a million promises, and no other database should find them there. Raises `ServiceError`.
    """
    home.mkdir(parents=True, exist_ok=True)
    port = free_port()
    with (home / "service.log").open("ab") as log:
        process = spawn(
            [sys.executable, "-c", SERVE, "serve", "--host", HOST, "--port", str(port)],
            death_signal=signal.SIGTERM,
            environment=environment(os.environ, home),
            log=log,
        )
    try:
        wait_until_ready(process, port, home / "service.log")
        url = running_url(home)
        if url is None:
            raise ServiceError(f"The database in {home} stopped; see {home / 'service.log'}.")
        yield Address(HOST, port, url)
    finally:
        stop([process], signal.SIGTERM, STOP_S)


def environment(given: Mapping[str, str], home: Path) -> dict[str, str]:
    """Return the environment of a service on a database of its own in `home`."""
    kept = {name: value for name, value in given.items() if name != "DATABASE_URL"}
    return {**kept, "NOM_HOME": str(home)}


def free_port() -> int:
    """Return a port on which nobody listens at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_ready(process: Popen[bytes], port: int, log: Path) -> None:
    """Wait until the service answers that it is ready; raises `ServiceError` when it does not."""
    deadline = time.monotonic() + START_S
    while not is_ready(port):
        if process.poll() is not None or time.monotonic() > deadline:
            said = log.read_bytes()[-LAST_WORDS:].decode(errors="replace")
            raise ServiceError(f"The service did not start. Its log ends with:\n{said}")
        time.sleep(POLL_S)


def is_ready(port: int) -> bool:
    """Return whether a service on this port says that it is ready."""
    connection = http.client.HTTPConnection(HOST, port, timeout=START_S)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
