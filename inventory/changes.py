"""The change feed: which rows each transaction wrote, for the views that processes keep in memory.

Every statement that writes stock, supply, capacity, items or buffers carries `noted(…)` as one more
part, so that the note commits with what it is about or not at all:

    WITH taken AS (UPDATE stock s SET version = s.version + 1, … RETURNING …),
         noted AS (INSERT INTO change …)          -- noted("stock", "$1::text[]", "$2::text[]")
    INSERT INTO reservation …

A note says which rows, not what became of them: a follower reads them again, and of two values of
one row keeps the one with the higher `version`, which every write of `stock`, `supply` and
`capacity` counts up.

The keys of each kind, as arrays of text of equal length: `stock` sku, node_id; `supply` sku,
supply_id; `capacity` node_id, work_on, slot; `item` sku; `buffer` sku, node_id, channel.
"""

from collections.abc import Sequence
from datetime import datetime

import asyncpg
import msgspec

from inventory import records
from inventory.records import noted

__all__ = ["Changes", "Keys", "noted", "read_changes", "trim_changes"]

DELETE_MAX = 5_000
"""Changes deleted by one transaction."""

Keys = set[tuple[str, ...]]


class Changes(msgspec.Struct, frozen=True):
    """What has changed between two snapshots."""

    snapshot: str
    """The later one: pass it on as `seen` next time."""
    gone: bool
    """Changes may be missing, because they were deleted before they were read; load anew."""
    keys: dict[str, Keys]
    """By kind, the keys of the rows to read again; at least as new as `snapshot`."""


async def read_changes(connection: asyncpg.Connection, seen: str) -> Changes:
    """Return every change that `snapshot` sees and the snapshot `seen` did not, each exactly once.

    Whatever order transactions commit in, none is missed: one that was running is in neither's past
    and so is new to the first snapshot that sees it. Read the rows themselves afterwards.
    """
    rows = await records.read_changes(connection, seen)
    keys: dict[str, Keys] = {}
    for _, _, kind, *columns in rows:
        if kind is not None:
            parts: Sequence[Sequence[str]] = [column for column in columns if column]
            keys.setdefault(kind, set()).update(zip(*parts, strict=True))
    return Changes(rows[0]["snapshot"], rows[0]["gone"], keys)


async def trim_changes(connection: asyncpg.Connection, before: datetime) -> int:
    """Delete some changes that every follower had seen before an instant; return how many.

    Call it again, in another transaction, until it returns 0. A follower that has not looked since
    then is told so by its next `read_changes`.
    """
    await records.advance_floor(connection, before)
    return await records.delete_changes(connection, DELETE_MAX)
