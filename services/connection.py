"""One connection to an HTTP worker, with limits on what a stranger may make it hold.

uvicorn waits for ever for a request that never ends, keeps headers of any length in memory, and
takes any number of connections; all of that happens before anybody has shown a key.
"""

import asyncio
from functools import partial
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.settings import Settings

CONTINUE = b"HTTP/1.1 100 "
"""How an answer begins that only asks for the body."""


class Joined:
    """The transport of one answer: sends its head together with the first part of its body.

    uvicorn writes them apart, and each write is a call of the operating system.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        """Write to `transport`."""
        self.transport = transport
        self.head: bytes | None = None
        self.joined = False

    def write(self, data: bytes) -> None:
        """Keep the head; write it with what comes next."""
        if self.joined or (self.head is None and data.startswith(CONTINUE)):
            self.transport.write(data)
        elif self.head is None:
            self.head = data
        else:
            self.joined = True
            self.transport.write(self.head + data)

    def close(self) -> None:
        """Write what was kept, and close."""
        if self.head is not None and not self.joined:
            self.transport.write(self.head)
        self.transport.close()

    def is_closing(self) -> bool:
        """Tell whether the connection is closed or about to be."""
        return self.transport.is_closing()


class Connection(HttpToolsProtocol):
    """A connection that hangs up on heads that are too large and requests that take too long."""

    def __init__(self, settings: Settings, *arguments: Any, **named: Any) -> None:
        """Take the limits from `settings`, and the rest as uvicorn gives it."""
        super().__init__(*arguments, **named)
        self.connections_max = settings.connections_max
        self.head_bytes_max = settings.head_bytes_max
        self.receive_s = settings.receive_ms / 1000
        self.in_head = True
        self.head_bytes = 0
        self.arriving = False
        self.patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give the first request its time; one connection too many is turned away when it asks."""
        super().connection_made(transport)
        if len(self.connections) > self.connections_max:
            self.app = self.config.loaded_app.turn_away
        self.be_patient()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self.end_patience()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came; hang up when the head of a request is still not over at the limit.

        A request that came whole, as nearly all do, needs no time to arrive.
        """
        super().data_received(data)
        if self.in_head:
            self.head_bytes += len(data)
            if self.head_bytes > self.head_bytes_max and not self.transport.is_closing():
                self.send_400_response("The headers are too large.")
        if self.arriving and self.patience is None:
            self.be_patient()

    def on_message_begin(self) -> None:
        """Begin to count."""
        super().on_message_begin()
        self.in_head = True
        self.head_bytes = 0
        self.arriving = True

    def on_headers_complete(self) -> None:
        """Stop counting; bodies have a limit of their own."""
        self.in_head = False
        super().on_headers_complete()
        if self.scope["method"] != "HEAD":
            self.cycle.transport = cast("asyncio.Transport", Joined(self.transport))

    def on_message_complete(self) -> None:
        """Stop waiting; from here on it is the caller who does."""
        self.arriving = False
        self.end_patience()
        super().on_message_complete()

    def be_patient(self) -> None:
        """Start the time that the request may take to arrive."""
        self.patience = self.loop.call_later(self.receive_s, self.transport.close)

    def end_patience(self) -> None:
        """End that time."""
        if self.patience is not None:
            self.patience.cancel()
            self.patience = None


def connection_with(settings: Settings) -> Any:
    """Return what uvicorn makes its connections with."""
    return partial(Connection, settings)
