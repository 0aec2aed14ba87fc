"""The change feed: which rows each transaction wrote, for the views that processes keep in memory.

Every statement that writes stock, supply, capacity, items, buffers or pools carries `noted(…)` as one more
part, so that the note commits with what it is about or not at all:

    WITH taken AS (UPDATE stock s SET version = s.version + 1, … RETURNING …),
         noted AS (INSERT INTO change …)          -- noted("stock", "$1::text[]", "$2::text[]")
    INSERT INTO reservation …

A note says which rows, not what became of them: a follower reads them again, and of two values of
one row keeps the one with the higher `version`, which every write of `stock`, `supply` and
`capacity` counts up.

The keys of each kind, as arrays of text of equal length: `stock` sku, node_id; `supply` sku,
supply_id; `capacity` node_id, work_on, slot; `item` sku; `buffer` sku, node_id, channel; `pool`
pool_id; `quota` sku, node_id, pool_id.
"""

from collections.abc import Collection
from datetime import datetime

import asyncpg
import msgspec

from inventory import records
from inventory.records import noted

__all__ = [
    "Changes",
    "Cursor",
    "Keys",
    "noted",
    "read_changes",
    "read_cursor",
    "trim_changes",
]

DELETE_MAX = 5_000
"""Changes deleted by one transaction."""

Keys = set[tuple[str, ...]]


class Cursor(msgspec.Struct, frozen=True):
    """How far a follower has come: all that `snapshot` sees of what `server` holds."""

    snapshot: str
    server: datetime
    """When the server started. Another one, promoted after an outage, may never have heard of
    transactions that the cursor has seen, and gives their numbers to others."""


class Changes(msgspec.Struct, frozen=True):
    """What has changed since a cursor."""

    cursor: Cursor
    """Where to go on next time."""
    gone: bool
    """Changes may be missing, because they were deleted or the server is another; load anew."""
    keys: dict[str, Keys]
    """By kind, the keys of the rows to read again."""
    now: datetime
    """The database's clock."""


async def read_cursor(connection: asyncpg.Connection) -> Cursor:
    """Return the cursor of the snapshot that the next statement of this transaction sees."""
    row = await records.current_snapshot(connection)
    return Cursor(row["snapshot"], row["server"])


async def read_changes(
    connection: asyncpg.Connection, seen: Cursor, known: Collection[int] = ()
) -> Changes:
    """Return every change that is visible now and was not at `seen`, each exactly once.

    Changes of stock by the transactions `known` are left out: their rows, as they were written, are
    in the view already.

    Whatever order transactions commit in, none is missed: one that was still running is seen by
    neither the cursor nor any earlier one, and so is new to the first that sees it. Read the rows
    themselves afterwards.
    """
    rows = await records.read_changes(connection, seen.snapshot, list(known))
    keys: dict[str, Keys] = {}
    for row in rows:
        if row["kind"] is not None:
            parts = [part for part in (row["key_1"], row["key_2"], row["key_3"]) if part]
            keys.setdefault(row["kind"], set()).update(zip(*parts, strict=True))
    cursor = Cursor(rows[0]["snapshot"], rows[0]["server"])
    gone = rows[0]["gone"] or cursor.server != seen.server
    return Changes(cursor, gone, keys, rows[0]["now"])


async def trim_changes(connection: asyncpg.Connection, before: datetime) -> int:
    """Delete some changes that every follower had seen before an instant; return how many.

    Call it again, in another transaction, until it returns 0. A follower that has not looked since
    then is told so by its next `read_changes`.
    """
    await records.advance_floor(connection, before)
    return await records.delete_changes(connection, DELETE_MAX)
