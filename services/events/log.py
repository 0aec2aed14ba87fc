"""Reading the log: every event once, in order, from any position on."""

from collections.abc import Sequence

import asyncpg
import msgspec

from services.events import records
from services.events.records import LogEvent

SPAN_MAX = 2_000
"""Positions that one read looks at, so that a narrow question about a long log ends in time."""


class Sight(msgspec.Struct, frozen=True):
    """Whose events somebody may see."""

    node_ids: tuple[str, ...]
    """What happens at these nodes, …"""
    actor: str
    """… and what happens to orders that this actor has made."""


class Span(msgspec.Struct, frozen=True):
    """A part of the log."""

    events: list[LogEvent]
    reached: int
    """The position up to which was looked; go on after it, whether or not there were events."""
    latest: int
    """The last position there is."""


async def read_after(
    connection: asyncpg.Connection,
    position: int,
    kinds: Sequence[str] | None,
    limit: int,
    sight: Sight | None = None,
) -> Span:
    """Return up to `limit` events after a position, in order; begin with 0.

    Only those of `kinds` where some are named, and only what is in `sight` where that is given.
    Read on after `reached` until that is `latest`: where few events are wanted, a span may have
    none and still not be the end.
    """
    latest, _ = await records.read_cursor(connection)
    end = min(position + SPAN_MAX, latest)
    seen_by = None if sight is None else (sight.node_ids, sight.actor)
    events = await records.read_events(connection, (position, end), kinds, limit, seen_by)
    reached = events[-1].position if len(events) == limit else max(position, end)
    return Span(events, reached, latest)
