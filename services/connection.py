"""One connection to an HTTP worker, with limits on what a stranger may make it hold.

uvicorn waits for ever for a request that never ends, and keeps headers of any length in memory;
both happen before anybody has shown a key.
"""

import asyncio
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.settings import Settings


class Connection(HttpToolsProtocol):
    """A connection that hangs up on heads that are too large and requests that take too long."""

    def __init__(self, settings: Settings, *arguments: Any, **named: Any) -> None:
        """Take the limits from `settings`, and the rest as uvicorn gives it."""
        super().__init__(*arguments, **named)
        self.head_bytes_max = settings.head_bytes_max
        self.receive_s = settings.receive_ms / 1000
        self.in_head = True
        self.head_bytes = 0
        self.patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give the first request its time."""
        super().connection_made(transport)
        self.be_patient()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self.end_patience()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came; hang up when the head of a request is still not over at the limit."""
        super().data_received(data)
        if self.in_head:
            self.head_bytes += len(data)
            if self.head_bytes > self.head_bytes_max and not self.transport.is_closing():
                self.send_400_response("The headers are too large.")

    def on_message_begin(self) -> None:
        """Begin to count and to wait."""
        super().on_message_begin()
        self.in_head = True
        self.head_bytes = 0
        if self.patience is None:
            self.be_patient()

    def on_headers_complete(self) -> None:
        """Stop counting; bodies have a limit of their own."""
        self.in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Stop waiting; from here on it is the caller who does."""
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
