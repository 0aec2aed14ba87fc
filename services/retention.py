"""How long history is kept: partitions made ahead of time and dropped after it, the rest deleted."""

from datetime import timedelta
from functools import partial

import asyncpg

from inventory.changes import trim_changes
from inventory.ledger import forget_messages
from inventory.partitions import (
    MOVEMENTS,
    Partitioned,
    drop_partitions,
    ensure_partitions,
    fold_movements,
)
from services import records
from services.database import Database

DECISIONS = Partitioned(table="decision", column="created_at", period="month", keep=13)
HISTORY = (
    MOVEMENTS,
    Partitioned(table="event", column="created_at", period="month", keep=13),
    Partitioned(table="event_position", column="created_at", period="month", keep=13),
    # What partners answered to each attempt is looked at within days.
    Partitioned(table="attempt", column="happened_at", period="day", keep=31),
    DECISIONS,
    Partitioned(table="rearrangement", column="created_at", period="month", keep=13),
    # A key answers for at least seven days.
    Partitioned(table="idempotency", column="created_at", period="day", keep=8),
)

CHANGES_KEPT = timedelta(minutes=5)
"""How long a follower may look away from changes of stock before it has to load all of it anew."""
MESSAGES_KEPT = timedelta(days=31 * (MOVEMENTS.keep + 1))


async def maintain_partitions(database: Database) -> int:
    """Make the partitions that are needed soon, drop those nobody needs; say how many changed.

    Each table in transactions of its own, since changing its partitions locks it for a moment.
    """
    changed = 0
    for spec in HISTORY:
        changed += await database.run(partial(make_ahead, spec=spec))
        changed += await database.run(partial(drop_old, spec=spec))
    return changed + await database.run(forget_old_messages)


async def forget_changes(database: Database) -> int:
    """Delete the changes that every follower has had the time to see; say how many."""
    total = 0
    while deleted := await database.run(forget_some_changes):
        total += deleted
    return total


async def forget_some_changes(connection: asyncpg.Connection) -> int:
    """Delete some thousands of them in one transaction; say how many."""
    now = await records.database_now(connection)
    return await trim_changes(connection, now - CHANGES_KEPT)


async def forget_old_messages(connection: asyncpg.Connection) -> int:
    """Forget feed messages as old as the movements that are dropped; say how many."""
    now = await records.database_now(connection)
    return await forget_messages(connection, now - MESSAGES_KEPT)


async def make_ahead(connection: asyncpg.Connection, *, spec: Partitioned) -> int:
    """Make a table's partitions of the coming periods; say how many were missing."""
    now = await records.database_now(connection)
    return len(await ensure_partitions(connection, spec, now=now))


async def drop_old(connection: asyncpg.Connection, *, spec: Partitioned) -> int:
    """Drop a table's partitions whose time is over, movements summed up first; say how many."""
    now = await records.database_now(connection)
    fold = fold_movements if spec is MOVEMENTS else None
    return len(await drop_partitions(connection, spec, now=now, fold=fold))
