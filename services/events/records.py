"""SQL of the log: the cursor up to which events have a position, and reading them in that order."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

LOCK_CURSOR = """
    SELECT position, ordinal, marked_ordinal, marked_xid, marked_server FROM event_cursor FOR UPDATE
"""

DRAWN = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM event_ordinal"

MOMENT = """
    SELECT pg_current_xact_id()::text::bigint AS xid,
           pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS xmin,
           pg_postmaster_start_time() AS server
"""

PLACE = """
    WITH batch AS (
        SELECT event_id, created_at, ordinal FROM event
        WHERE ordinal > $2 AND ordinal <= $3 ORDER BY ordinal LIMIT $4
    ), placed AS (
        INSERT INTO event_position (position, event_id, created_at)
        SELECT $1::bigint + row_number() OVER (ORDER BY ordinal), event_id, created_at FROM batch
    )
    SELECT count(*) AS placed, max(ordinal) AS last FROM batch
"""

SET_CURSOR = """
    UPDATE event_cursor SET position = $1, ordinal = $2,
        marked_ordinal = $3, marked_xid = $4, marked_server = $5
"""

READ = """
    SELECT p.position, e.event_id, e.kind, e.subject, e.actor, e.payload, e.created_at
    FROM event_position p JOIN event e ON e.event_id = p.event_id AND e.created_at = p.created_at
    WHERE p.position > $1 AND p.position <= $2
        AND ($4::text[] IS NULL
            OR e.kind = ANY($4) OR split_part(e.kind, '.', 1) || '.*' = ANY($4))
        AND ($5::text IS NULL OR e.actor = $5)
        {sight}
    ORDER BY p.position LIMIT $3
"""

IN_SIGHT = """
    AND (e.payload ->> 'node_id' = ANY($6::text[])
        OR e.payload ->> 'partner_id' = $7
        OR EXISTS (SELECT FROM allocation a WHERE a.order_id = e.subject AND a.actor = $8))
"""

READ_ABOUT = """
    SELECT ordinal, event_id, kind, subject, actor, payload, created_at FROM event
    WHERE subject = ANY($1::text[]) AND split_part(kind, '.', 1) = ANY($2::text[])
        AND (ordinal, created_at, event_id) > ($3::bigint, $4::timestamptz, $5::uuid)
        AND ($6::text[] IS NULL OR payload ->> 'node_id' = ANY($6))
    ORDER BY ordinal, created_at, event_id LIMIT $7
"""


class Sight(msgspec.Struct, frozen=True):
    """Whose events somebody may see."""

    node_ids: tuple[str, ...]
    """What happens at these nodes, …"""
    actor: str
    """… what happens to orders that this actor has made …"""
    partner_id: str | None = None
    """… and what concerns this company as such."""


class Wanted(msgspec.Struct, frozen=True):
    """Which events are asked for."""

    kinds: tuple[str, ...] | None = None
    """`allocation.held`, or all of a family, `allocation.*`; all there are when None."""
    actor: str | None = None
    sight: Sight | None = None
    """None sees everything."""


class CursorRow(msgspec.Struct, frozen=True):
    """How far events have positions."""

    position: int
    """The last position given."""
    ordinal: int
    """Every event up to this ordinal, and none beyond, has a position."""
    marked_ordinal: int | None
    """The last ordinal drawn at some moment; none while nothing waits."""
    marked_xid: int | None
    """Below this number are all transactions that may have drawn one by then."""
    marked_server: datetime | None
    """When the server started that counts these transactions."""


class Moment(msgspec.Struct, frozen=True):
    """Which transactions of a server are over."""

    xid: int
    """The number of this transaction: all that were given one before have a lower."""
    xmin: int
    """All transactions below are over."""
    server: datetime


class LogEvent(msgspec.Struct, frozen=True):
    """An event at its place in the log."""

    position: int
    event_id: UUID
    kind: str
    subject: str
    """The order, reservation or sku it is about."""
    actor: str
    payload: dict[str, object]
    created_at: datetime


async def read_drawn(connection: asyncpg.Connection) -> int:
    """Return the last ordinal any transaction has drawn, committed or not."""
    drawn: int = await connection.fetchval(DRAWN)
    return drawn


async def read_cursor(connection: asyncpg.Connection) -> tuple[int, int]:
    """Return the last position given and the ordinal up to which events have one."""
    (row,) = await connection.fetch("SELECT position, ordinal FROM event_cursor")
    return row["position"], row["ordinal"]


async def lock_cursor(connection: asyncpg.Connection) -> CursorRow:
    """Return the cursor, locked until the transaction ends: one place gives positions at a time."""
    (row,) = await connection.fetch(LOCK_CURSOR)
    return CursorRow(*row)


async def read_moment(connection: asyncpg.Connection) -> Moment:
    """Return which transactions this statement sees as over; gives this one a number."""
    (row,) = await connection.fetch(MOMENT)
    return Moment(*row)


async def place_events(
    connection: asyncpg.Connection, cursor: CursorRow, upto: int, limit: int
) -> tuple[int, int | None]:
    """Give positions to the first `limit` events after the cursor, up to an ordinal.

    Return how many there were, and the ordinal of the last.
    """
    (row,) = await connection.fetch(PLACE, cursor.position, cursor.ordinal, upto, limit)
    return row["placed"], row["last"]


async def set_cursor(connection: asyncpg.Connection, cursor: CursorRow) -> None:
    """Move the locked cursor."""
    await connection.execute(SET_CURSOR, *msgspec.structs.astuple(cursor))


async def read_events(
    connection: asyncpg.Connection, between: tuple[int, int], limit: int, wanted: Wanted
) -> list[LogEvent]:
    """Return up to `limit` events after one position and up to another, in order."""
    sight = wanted.sight
    query = READ.format(sight="" if sight is None else IN_SIGHT)
    seen_by = () if sight is None else (list(sight.node_ids), sight.partner_id, sight.actor)
    kinds = None if wanted.kinds is None else list(wanted.kinds)
    rows = await connection.fetch(query, *between, limit, kinds, wanted.actor, *seen_by)
    return [LogEvent(**{**row, "payload": msgspec.json.decode(row["payload"])}) for row in rows]


class Noted(msgspec.Struct, frozen=True):
    """An event as it was written; `ordinal` orders those about one subject."""

    ordinal: int
    event_id: UUID
    kind: str
    subject: str
    actor: str
    payload: dict[str, object]
    created_at: datetime

    @property
    def key(self) -> tuple[int, datetime, UUID]:
        """Where it stands among those about its subject; what is older than the log by time."""
        return (self.ordinal, self.created_at, self.event_id)


async def read_about(
    connection: asyncpg.Connection,
    subjects: Sequence[str],
    families: Sequence[str],
    after: tuple[int, datetime, UUID],
    limit: int,
    node_ids: Sequence[str] | None,
) -> list[Noted]:
    """Return events about some subjects, in order, those of `node_ids` only where given.

    They are told as soon as they are committed, before they have a position in the log.
    """
    nodes = None if node_ids is None else list(node_ids)
    rows = await connection.fetch(READ_ABOUT, list(subjects), list(families), *after, nodes, limit)
    return [Noted(**{**row, "payload": msgspec.json.decode(row["payload"])}) for row in rows]
