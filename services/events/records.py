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

IN_SIGHT = """
    AND (e.payload ->> 'node_id' = ANY($5::text[])
        OR EXISTS (SELECT FROM allocation a WHERE a.order_id = e.subject AND a.actor = $6))
"""

READ = """
    SELECT p.position, e.event_id, e.kind, e.subject, e.actor, e.payload, e.created_at
    FROM event_position p JOIN event e ON e.event_id = p.event_id AND e.created_at = p.created_at
    WHERE p.position > $1 AND p.position <= $2
        AND ($3::text[] IS NULL OR e.kind = ANY($3)) {sight}
    ORDER BY p.position LIMIT $4
"""


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
    connection: asyncpg.Connection,
    between: tuple[int, int],
    kinds: Sequence[str] | None,
    limit: int,
    sight: tuple[Sequence[str], str] | None,
) -> list[LogEvent]:
    """Return events after one position and up to another, in order.

    `kinds` narrows what they tell of; `sight`, nodes and an actor, whose they are: those that
    happened at one of the nodes, and those of orders that the actor has made.
    """
    query = READ.format(sight="" if sight is None else IN_SIGHT)
    wanted = None if kinds is None else list(kinds)
    seen_by = () if sight is None else (list(sight[0]), sight[1])
    rows = await connection.fetch(query, *between, wanted, limit, *seen_by)
    return [LogEvent(**{**row, "payload": msgspec.json.decode(row["payload"])}) for row in rows]
