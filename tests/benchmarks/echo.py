"""The echo ceiling: the service's own application, with an allocator that does nothing.

Server, workers, key check, decoding, log and metrics are the real ones; the answers are bodies that
the real service gave before.

Run as a module with the numbers of `services.server.Handed`; the bodies stand in the folder of
`BENCHMARK_ECHO`.
"""

import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import cast

import msgspec
from msgspec.structs import replace

from services.app import create_app
from services.http.access import Caller
from services.http.availability import AvailabilityRequest
from services.http.door import Door
from services.http.query import availability_request
from services.orders.allocate import Allocator
from services.orders.answers import QuoteAnswer
from services.orders.idempotency import Answer
from services.runtime import Runtime
from services.server import handed, serve
from services.settings import Settings

READS = "/v1/availability"
"""Where reads are echoed, at their real address."""
READS_KNOWN = 4_096
"""Addresses of reads that are not read again."""


class NoQueue:
    """A queue in which nobody ever waits."""

    full = busy = False
    retry_after_s = 1
    waiting = ()


class Echo:
    """An allocator that gives every order the same answer."""

    def __init__(self, folder: Path) -> None:
        """Read the answers."""
        self.queue = NoQueue()
        self.answer = Answer(201, (folder / "allocation").read_bytes())
        self.quoted = msgspec.json.decode((folder / "quote").read_bytes(), type=QuoteAnswer)

    async def allocate(self, *_given: object, **_named: object) -> Answer:
        """Return the answer."""
        return self.answer

    async def quote(self, *_given: object, **_named: object) -> QuoteAnswer:
        """Return the answer."""
        return self.quoted


class IdleRuntime(Runtime):
    """A worker's resources of which only the database is used, to look up keys."""

    async def open(self) -> None:
        """Load nothing and follow nothing."""

    async def close(self) -> None:
        """Let go of the database."""
        await self.database.close()


def echo_app(settings: Settings, folder: Path) -> Door:
    """Return the application."""
    runtime = IdleRuntime(settings, str(settings.database_url))
    runtime.allocator = cast("Allocator", Echo(folder))
    bodies = {name: (folder / name).read_bytes() for name in ("availability", "matrix")}

    async def read(_runtime: Runtime, _caller: Caller, data: AvailabilityRequest) -> Answer:
        """Answer a read, with the matrix where it asks for that."""
        return Answer(200, bodies["matrix" if data.matrix else "availability"])

    known = lru_cache(maxsize=READS_KNOWN)(availability_request)

    def at_hand(_runtime: Runtime, query: bytes) -> Answer:
        """Answer a read at once, as the service does, which reads no address twice either."""
        return Answer(200, bodies["matrix" if known(query).matrix else "availability"])

    app = create_app(settings, runtime)
    app.calls["GET", READS] = replace(app.calls["GET", READS], work=read, at_hand=at_hand)
    return app


def main(arguments: list[str]) -> None:
    """Serve until SIGTERM."""
    settings = Settings.from_environment(os.environ)
    serve(echo_app(settings, Path(os.environ["BENCHMARK_ECHO"])), settings, handed(arguments))


if __name__ == "__main__":
    main(sys.argv[1:])
