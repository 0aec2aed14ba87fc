"""Streams of events: server-sent events that begin at a position and go on as things happen.

One task of a worker looks whether the log has grown; the streams that wait for that then read on,
each what its caller may see. Few read at the same time, so that a thousand listeners cost no more
connections than one. A stream ends when its key does, when the worker stops, and after a while in
any case: clients of server-sent events come again by themselves and say how far they have come.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any

import msgspec
import structlog

from services.database import Database
from services.events import records
from services.events.log import LogEvent, Wanted, read_wanted
from services.polling import Poll
from services.problems import Refused
from services.settings import Settings

READ_MAX = 200
"""Events that a stream reads at once."""
READERS_MAX = 2
"""Streams that read at the same time, out of the worker's connections."""
RETRY_MS = 2_000
"""When a client whose stream ended shall come again."""

log = structlog.get_logger()


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """An event at its place in the log."""

    position: int
    event_id: str
    kind: str
    subject: str
    actor: str
    happened_at: str
    payload: dict[str, Any]


class Streams:
    """The streams of one worker."""

    def __init__(self, database: Database, settings: Settings) -> None:
        """Take limits from the settings; nothing is followed yet."""
        self.database = database
        self.settings = settings
        self.latest = 0
        self.listeners: Counter[str] = Counter()
        """Streams under way by key."""
        self.reading = asyncio.Semaphore(READERS_MAX)
        self.turn = asyncio.Event()
        """Set, and replaced, whenever the log has grown."""
        self.closed = False
        self.polling = Poll(
            self.look,
            settings.event_poll_ms,
            outage="events cannot be read; streams wait",
            recovery="streams wait for events no longer",
        )

    async def open(self) -> None:
        """Start to look whether the log grows."""
        self.polling.start()

    def end(self) -> None:
        """End every stream, so that the worker can stop; new ones end at once."""
        self.closed = True
        self.turn.set()

    async def close(self) -> None:
        """End every stream and stop looking."""
        self.end()
        await self.polling.close()

    async def look(self) -> None:
        """Wake the streams that wait, if there are any and the log has grown."""
        if not self.listeners:
            return
        async with self.database.connect() as connection:
            latest, _ = await records.read_cursor(connection)
        if latest > self.latest:
            self.latest = latest
            self.turn.set()
            self.turn = asyncio.Event()

    def verify_room(self, key_id: str) -> None:
        """Raise `too-many-requests` unless there is room for one more stream of a key."""
        settings = self.settings
        if (
            self.listeners.total() >= settings.event_streams_max
            or self.listeners[key_id] >= settings.event_streams_per_key_max
        ):
            raise Refused(
                "too-many-requests",
                f"{self.listeners.total()} streams are open, {self.listeners[key_id]} of them "
                f"with this key; {settings.event_streams_max} and "
                f"{settings.event_streams_per_key_max} may be. Close some, or read /v1/events.",
            )

    @contextmanager
    def place(self, key_id: str) -> Iterator[None]:
        """Count one more stream of a key for as long as it lasts."""
        self.listeners[key_id] += 1
        try:
            yield
        finally:
            self.listeners[key_id] -= 1
            if not self.listeners[key_id]:
                del self.listeners[key_id]

    async def stream(
        self,
        key_id: str,
        position: int,
        wanted: Wanted,
        is_welcome: Callable[[], Awaitable[bool]],
    ) -> AsyncIterator[bytes]:
        """Yield what happens after a position as server-sent events, until there is an end.

        `is_welcome` says now and then whether the caller still may listen. While nothing happens,
        a comment every `event_heartbeat_s` keeps proxies from closing the connection.
        """
        with self.place(key_id):
            yield b"retry: %d\n\n" % RETRY_MS
            until_s = monotonic() + self.settings.event_stream_s
            said_s = monotonic()
            while not self.closed and monotonic() < until_s and await is_welcome():
                turn = self.turn
                events, position, more = await self.read(position, wanted)
                for each in events:
                    yield sent(each)
                if events or monotonic() - said_s >= self.settings.event_heartbeat_s:
                    # Also moves on the position that a client will name when it comes again.
                    yield b": up to date\nid: %d\n\n" % position
                    said_s = monotonic()
                if not more:
                    left_s = min(self.settings.key_cache_s, until_s - monotonic())
                    with suppress(TimeoutError):
                        await asyncio.wait_for(turn.wait(), max(left_s, 0.001))

    async def read(self, position: int, wanted: Wanted) -> tuple[list[LogEvent], int, bool]:
        """Return some events after a position, how far they reach, and whether there are more."""
        async with self.reading, self.database.connect() as connection:
            span = await read_wanted(connection, position, READ_MAX, wanted)
        return span.events, span.reached, span.reached < span.latest


def told(event: LogEvent) -> Told:
    """Return an event as callers get it."""
    return Told(
        position=event.position,
        event_id=str(event.event_id),
        kind=event.kind,
        subject=event.subject,
        actor=event.actor,
        happened_at=event.created_at.isoformat(),
        payload=event.payload,
    )


def sent(event: LogEvent) -> bytes:
    """Return an event as a server-sent event, its position as the id."""
    body = msgspec.json.encode(told(event))
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.position, event.kind.encode(), body)
