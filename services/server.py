"""One HTTP worker process: uvicorn on the socket that the supervisor bound."""

import asyncio
import gc
import os
import resource
import socket
import sys
from collections.abc import Callable
from typing import cast

import msgspec
import uvicorn

from services.app import create_app
from services.connection import connection_with
from services.http.door import Door
from services.listening import Listening
from services.processes import end_with_parent, report_ready
from services.settings import Settings
from services.shares import Share

BACKLOG = 2048
"""Connections the system keeps waiting until a worker takes them."""
KEEP_ALIVE_S = 75
"""Longer than the 60 s of common load balancers, so that it is never the server who hangs up."""
FILES_SPARE = 200
"""Files a worker may hold beside the connections of callers."""
GARBAGE_MIN = 20_000
"""New objects after which garbage is looked for. The hundreds that one order needs are gone with its
answer; looking through those of the orders under way every 700, as is usual, finds nothing."""
SWITCH_S = 0.0005
"""How long a thread waits for another's Python code: an order of long baskets is decided within
milliseconds, and the usual five for each step out of machine code would make its plan late."""
DRAIN_S = 10
"""How long requests under way may take to finish when the service stops."""


class Handed(msgspec.Struct, frozen=True):
    """What the supervisor hands to a worker: numbers of open files, and its place."""

    listener: int
    """The bound socket."""
    shares: int
    """The file in which workers tell how many connections they hold."""
    place: int
    """This worker's among them, from 0."""
    ready: int
    """The pipe to report on."""


class Server(uvicorn.Server):
    """A uvicorn server on a socket that workers share; it tells its supervisor when it is ready."""

    def __init__(self, config: uvicorn.Config, handed: Handed) -> None:
        """Remember what to serve on."""
        super().__init__(config)
        self.handed = handed
        self.watch: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start taking requests from bound sockets, then say so."""
        await super().startup([])
        if self.started:
            share = Share(self.handed.shares, self.handed.place, self.held)
            listening = [Listening(each, BACKLOG, self.connection, share) for each in sockets or ()]
            self.servers = cast("list[asyncio.Server]", listening)
            # What is loaded by now stays; looking through it again and again takes 0.1 s and more.
            gc.collect()
            gc.freeze()
            gc.set_threshold(GARBAGE_MIN)
            self.watch = asyncio.create_task(end_with_parent())
            report_ready(self.handed.ready)

    def held(self) -> int:
        """Return how many connections there are."""
        return len(self.server_state.connections)

    def connection(self) -> asyncio.Protocol:
        """Return what serves one more connection."""
        return cast("Callable[..., asyncio.Protocol]", self.config.http_protocol_class)(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams of events, which would go on for ever, then what else is under way."""
        self.config.loaded_app.runtime.streams.end()
        await super().shutdown(sockets)


def main(arguments: list[str]) -> None:
    """Serve until SIGTERM; the arguments are the numbers of `Handed`."""
    settings = Settings.from_environment(os.environ)
    serve(create_app(settings), settings, handed(arguments))


def handed(arguments: list[str]) -> Handed:
    """Return what a worker was handed, from its arguments."""
    return Handed(*map(int, arguments))


def serve(app: Door, settings: Settings, given: Handed) -> None:
    """Serve `app` until SIGTERM on the socket given; report on the pipe given."""
    sys.setswitchinterval(SWITCH_S)
    allow_files(settings.connections_max + FILES_SPARE)
    run(configuration(app, settings), given)


def run(config: uvicorn.Config, given: Handed) -> None:
    """Serve until SIGTERM."""
    Server(config, given).run(sockets=[socket.socket(fileno=given.listener)])


def configuration(app: Door, settings: Settings) -> uvicorn.Config:
    """Return how uvicorn serves `app`."""
    return uvicorn.Config(
        app,
        http=connection_with(settings),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        # Nothing here depends on who a proxy says the caller is, and asking costs 10 us a request.
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
    )


def allow_files(needed: int) -> None:
    """Let this process hold so many open files, or as many as the system lets it."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed != resource.RLIM_INFINITY and allowed < needed:
        limit = needed if most == resource.RLIM_INFINITY else min(needed, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))


if __name__ == "__main__":
    main(sys.argv[1:])
