"""Reading the log: every event once, in order, from any position on."""

from collections.abc import Sequence

import asyncpg
import msgspec

from services.events import records
from services.events.discreet import discreet
from services.events.records import LogEvent, Sight, Wanted

__all__ = ["LogEvent", "Sight", "Span", "Wanted", "read_after", "read_wanted"]

SPAN_MAX = 5_000
"""Positions that one read looks at, so that a narrow question about a long log ends in time."""
EVERYTHING = Wanted()


class Span(msgspec.Struct, frozen=True):
    """A part of the log."""

    events: list[LogEvent]
    reached: int
    """The position up to which was looked; go on after it, whether or not there were events."""
    latest: int
    """The last position there is."""


async def read_after(
    connection: asyncpg.Connection, position: int, kinds: Sequence[str] | None, limit: int
) -> Span:
    """Return up to `limit` events after a position, in order, of `kinds` where some are named.

    Begin with 0, and read on after `reached` until that is `latest`: where few events are wanted, a
    span may have none and still not be the end.
    """
    wanted = EVERYTHING if kinds is None else Wanted(kinds=tuple(kinds))
    return await read_wanted(connection, position, limit, wanted)


async def read_wanted(
    connection: asyncpg.Connection, position: int, limit: int, wanted: Wanted
) -> Span:
    """Return up to `limit` events after a position that are `wanted`, in order.

    Another company is told of them what concerns it.
    """
    latest, _ = await records.read_cursor(connection)
    end = min(position + SPAN_MAX, latest)
    events = await records.read_events(connection, (position, end), limit, wanted)
    reached = events[-1].position if len(events) == limit else max(position, end)
    if wanted.sight is not None and wanted.sight.partner_id is not None:
        events = [discreet(each) for each in events]
    return Span(events, reached, latest)
