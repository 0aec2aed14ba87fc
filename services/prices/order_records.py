"""SQL of recorded orders: what was decided, and the stock that they and walk-ins shared."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from inventory.book import KINDS
from routing.problem import Calendar

FREED = {kind: on_hand - unavailable for kind, (on_hand, unavailable) in KINDS.items()}
"""What one unit of each kind of movement adds to what is free, but for a dispatch: its units were
promised before, and are gone from then on."""
FREED["dispatch"] = 0


class Flow(NamedTuple):
    """Units that became free at a stock record, or below 0 were taken there."""

    at: datetime
    node_id: str
    sku: str
    units: int
    walk_in: bool
    """Whether it was one who walked in, as far as a movement tells."""
    holder_id: UUID | None
    """For whom they were promised; none for a movement."""


async def count_decided(connection: asyncpg.Connection, since: datetime, until: datetime) -> int:
    """Count the orders that became firm in a period and whose decision record is kept."""
    orders: int = await connection.fetchval(
        "SELECT count(*) FROM allocation JOIN decision USING (allocation_id)"
        " WHERE confirmed_at >= $1 AND confirmed_at < $2",
        since,
        until,
    )
    return orders


async def read_decided(
    connection: asyncpg.Connection, since: datetime, until: datetime, limit: int
) -> list[tuple[UUID, bytes]]:
    """Return decision records of at most so many of those orders, drawn by lot, the same each time."""
    rows = await connection.fetch(
        "SELECT allocation_id, record FROM allocation JOIN decision USING (allocation_id)"
        " WHERE confirmed_at >= $1 AND confirmed_at < $2"
        " ORDER BY hashtext(allocation_id::text), allocation_id LIMIT $3",
        since,
        until,
        limit,
    )
    return [(row["allocation_id"], row["record"]) for row in rows]


async def read_terrains(
    connection: asyncpg.Connection, digests: Sequence[bytes]
) -> dict[bytes, bytes]:
    """Return the master data that decision records with these digests refer to."""
    rows = await connection.fetch(
        "SELECT digest, body FROM terrain WHERE digest = ANY ($1::bytea[])", list(digests)
    )
    return {row["digest"]: row["body"] for row in rows}


async def read_shelves(
    connection: asyncpg.Connection, skus: Sequence[str], until_on: date
) -> list[tuple[str, str, int, int]]:
    """Return the records of these skus at nodes that work: node, sku, free units, and expected ones.

    Expected is what is to come in up to a date, as far as it is trusted.
    """
    rows = await connection.fetch(
        """
        SELECT s.node_id, s.sku, s.on_hand - s.unavailable - s.reserved AS free,
               coalesce(d.units, 0)::bigint AS expected
        FROM stock s JOIN node n USING (node_id)
        LEFT JOIN (
            SELECT sku, node_id,
                   sum(greatest(0, (quantity - received) * trust_percent / 100 - promised)) AS units
            FROM supply WHERE sku = ANY ($1::text[]) AND expected_on <= $2 AND quantity > received
            GROUP BY sku, node_id
        ) AS d USING (sku, node_id)
        WHERE s.sku = ANY ($1::text[]) AND n.enabled
        ORDER BY s.sku, s.node_id
        """,
        list(skus),
        until_on,
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]


async def read_calendars(connection: asyncpg.Connection) -> dict[str, Calendar]:
    """Return the dates that nodes with a limit in orders work, by node."""
    rows = await connection.fetch(
        "SELECT node_id, calendar_id, weekdays, holidays FROM node JOIN calendar USING (calendar_id)"
        " WHERE enabled AND capacity_unit = 'orders' ORDER BY node_id"
    )
    return {
        row["node_id"]: Calendar(
            calendar_id=row["calendar_id"],
            weekdays=tuple(row["weekdays"]),
            holidays=tuple(row["holidays"]),
        )
        for row in rows
    }


async def read_values(connection: asyncpg.Connection, skus: Sequence[str]) -> dict[str, int]:
    """Return what is lost when a walk-in finds none of these skus, of those that say so."""
    rows = await connection.fetch(
        "SELECT sku, unit_margin_minor FROM item"
        " WHERE sku = ANY ($1::text[]) AND unit_margin_minor IS NOT NULL",
        list(skus),
    )
    return {row[0]: row[1] for row in rows}


async def read_flows(
    connection: asyncpg.Connection,
    skus: Sequence[str],
    since: datetime,
    walk_in_kinds: Sequence[str],
    limit: int,
) -> list[Flow]:
    """Return what came and went of these skus since an instant, in order; the first `limit`.

    What was promised went when it was promised, and stays with whom it was for until he gives it
    back: what was released again is not told.
    """
    rows = await connection.fetch(
        """
        SELECT happened_at AS at, node_id, sku, quantity * f.freed AS units,
               m.kind = ANY ($3::text[]) OR (m.kind = 'count_loss' AND m.source IS NOT NULL),
               NULL::uuid AS holder_id
        FROM movement m JOIN unnest($4::text[], $5::int[]) AS f (kind, freed) USING (kind)
        WHERE sku = ANY ($1::text[]) AND recorded_at >= $2 AND happened_at >= $2 AND f.freed <> 0
        UNION ALL
        SELECT created_at, node_id, sku, -quantity, false, holder_id FROM reservation
        WHERE sku = ANY ($1::text[]) AND created_at >= $2 AND supply_id IS NULL
          AND state IN ('held', 'confirmed', 'consumed')
        ORDER BY at, node_id, sku LIMIT $6
        """,
        list(skus),
        since,
        list(walk_in_kinds),
        list(FREED),
        list(FREED.values()),
        limit,
    )
    return [Flow(*row) for row in rows]
