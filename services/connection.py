"""One connection to an HTTP worker, with limits on what a stranger may make it hold.

uvicorn waits for ever for a request that never ends, keeps headers of any length in memory, and
takes any number of connections; all of that happens before anybody has shown a key.

What is at hand is answered here, as soon as the head of the request is there, without a task.

What there is no room for is refused here, too, at the same moment: nothing is decoded, no task
is made, and the answer is mostly bytes that are at hand. It goes out a little late, because callers
who do not wait as they are told would otherwise ask as fast as they are refused.
"""

import asyncio
from functools import lru_cache, partial
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from services.http.answers import JSON_HEADER, raw_headers
from services.http.door import Door
from services.orders.idempotency import Answer
from services.settings import Settings

CONTINUE = b"HTTP/1.1 100 "
"""How an answer begins that only asks for the body."""
PLAIN = STATUS_LINE[200] + b"%s: %s\r\ncontent-length: " % JSON_HEADER
"""How an answer 200 begins."""


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


class Settled:
    """Stands for a request that is answered from its head: nothing is left to do for it."""

    response_complete = True
    message_event = asyncio.Event()


SETTLED = Settled()


class Connection(HttpToolsProtocol):
    """A connection that hangs up on heads that are too large and requests that take too long."""

    def __init__(
        self, settings: Settings, held: "set[Connection]", *arguments: Any, **named: Any
    ) -> None:
        """Take the limits from `settings`, and the rest as uvicorn gives it.

        `held` are all connections of the worker on which a refusal waits to be sent.
        """
        super().__init__(*arguments, **named)
        self.held = held
        self.held_max = settings.refusals_held_max
        self.refusal_s = settings.refusal_ms / 1000
        self.refusal = b""
        """What waits to be sent."""
        self.pause: asyncio.TimerHandle | None = None
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
        self.let_go()
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
        """Stop counting; bodies have a limit of their own.

        Refuse what there is no room for, and answer what takes no waiting.
        """
        self.in_head = False
        # A request that was sent ahead comes after the answer to the one before it.
        self.send_refusal()
        if self.refuse() if self.config.loaded_app.crowded else self.answer():
            return
        super().on_headers_complete()
        if self.scope["method"] != "HEAD":
            self.cycle.transport = cast("asyncio.Transport", Joined(self.transport))

    def on_message_complete(self) -> None:
        """Stop waiting; from here on it is the caller who does."""
        self.arriving = False
        self.end_patience()
        super().on_message_complete()

    def shutdown(self) -> None:
        """Say what is still to be said before the service stops."""
        self.send_refusal()
        super().shutdown()

    def refuse(self) -> bool:
        """Refuse a request from its head where there is no room for it; tell whether that is so."""
        door: Door = self.config.loaded_app
        if not self.is_plain:
            return False
        path = self.url.partition(b"?")[0].decode("latin-1")
        given = door.refuse(self.parser.get_method().decode(), path, dict(self.headers))
        if given is None:
            return False
        answer, request_id = given
        self.refusal = written(answer, request_id, self.server_state.default_headers)
        self.cycle = cast("RequestResponseCycle", SETTLED)
        if len(self.held) < self.held_max:
            self.held.add(self)
            # What else comes stays with the caller until then.
            self.flow.pause_reading()
            self.pause = self.loop.call_later(self.refusal_s, self.send_refusal)
        else:
            self.send_refusal()
        return True

    def answer(self) -> bool:
        """Answer a request from its head where that takes no waiting; tell whether that is so."""
        path, _, query = self.url.partition(b"?")
        door: Door = self.config.loaded_app
        if (
            path not in door.quick
            or b"#" in query
            or self.app is not door
            or self.parser.get_method() != b"GET"
            or not self.is_plain
        ):
            return False
        given = door.answer(path.decode(), query, self.headers)
        if given is None:
            return False
        answer, request_id = given
        self.cycle = cast("RequestResponseCycle", SETTLED)
        self.transport.write(plain(answer.body, request_id, self.server_state.default_headers))
        self.on_response_complete()
        return True

    @property
    def is_plain(self) -> bool:
        """Whether a request is the only one under way here, and its answer is read by somebody."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return (
            (cycle is None or cycle.response_complete)
            and not self.expect_100_continue
            and not self.flow.write_paused
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
        )

    def send_refusal(self) -> None:
        """Send the refusal that waits, if one does."""
        refusal = self.refusal
        if refusal:
            self.let_go()
            self.transport.write(refusal)
            self.on_response_complete()

    def let_go(self) -> None:
        """Have no refusal wait any more."""
        self.refusal = b""
        self.held.discard(self)
        if self.pause is not None:
            self.pause.cancel()
            self.pause = None

    def be_patient(self) -> None:
        """Start the time that the request may take to arrive."""
        self.patience = self.loop.call_later(self.receive_s, self.transport.close)

    def end_patience(self) -> None:
        """End that time."""
        if self.patience is not None:
            self.patience.cancel()
            self.patience = None


@lru_cache(maxsize=1024)
def start(answer: Answer) -> bytes:
    """Return how an answer begins, but for what each has of its own."""
    lines = (b"%s: %s\r\n" % line for line in raw_headers(answer))
    return STATUS_LINE[answer.status_code] + b"".join(lines)


def written(answer: Answer, request_id: bytes, common: list[tuple[bytes, bytes]]) -> bytes:
    """Return an answer as it is sent; `common` are headers that every answer has."""
    lines = b"".join(b"%s: %s\r\n" % line for line in common)
    return b"%s%sx-request-id: %s\r\n\r\n%s" % (start(answer), lines, request_id, answer.body)


def plain(body: bytes, request_id: bytes, common: list[tuple[bytes, bytes]]) -> bytes:
    """Return an answer 200 with a body in JSON as it is sent."""
    lines = [b"%s: %s\r\n" % line for line in common]
    head = b"%d\r\n%sx-request-id: %s\r\n\r\n" % (len(body), b"".join(lines), request_id)
    return b"".join((PLAIN, head, body))


def connection_with(settings: Settings) -> Any:
    """Return what uvicorn makes its connections with."""
    return partial(Connection, settings, set())
