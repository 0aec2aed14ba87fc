"""SQL of the decision records of moves: why work that was not released went elsewhere."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from routing.plan import Fulfillment


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What a window came to, in which orders were planned anew together."""

    orders: int
    kept: int
    """Of these, orders that were not looked at."""
    moved: int
    saving_minor: int
    """What all moves save together."""
    bound_minor: int
    """What any other moves could have saved beyond that, at most."""


class Rearranged(msgspec.Struct, frozen=True, kw_only=True):
    """A move of one order."""

    allocation_id: UUID
    window_id: UUID
    created_at: datetime
    saving_minor: int
    """What the order costs less; negative where it made room for others."""
    seen: Seen
    before: tuple[Fulfillment, ...]
    record: bytes
    """Of the new plan; see `routing.window_record`."""


async def insert_rearranged(connection: asyncpg.Connection, moves: Sequence[Rearranged]) -> None:
    """Keep moves."""
    await connection.execute(
        "INSERT INTO rearrangement"
        " (allocation_id, window_id, created_at, saving_minor, seen, before, record)"
        " SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::bigint[],"
        " $5::jsonb[], $6::jsonb[], $7::bytea[])",
        [each.allocation_id for each in moves],
        [each.window_id for each in moves],
        [each.created_at for each in moves],
        [each.saving_minor for each in moves],
        [msgspec.json.encode(each.seen).decode() for each in moves],
        [msgspec.json.encode(each.before).decode() for each in moves],
        [each.record for each in moves],
    )


async def find_rearranged(connection: asyncpg.Connection, allocation_id: UUID) -> list[Rearranged]:
    """Return the moves of an allocation, the first first."""
    rows = await connection.fetch(
        "SELECT allocation_id, window_id, created_at, saving_minor, seen, before, record"
        " FROM rearrangement WHERE allocation_id = $1 ORDER BY created_at, window_id",
        allocation_id,
    )
    return [
        Rearranged(
            **{
                **row,
                "seen": msgspec.json.decode(row["seen"], type=Seen),
                "before": msgspec.json.decode(row["before"], type=tuple[Fulfillment, ...]),
            }
        )
        for row in rows
    ]
