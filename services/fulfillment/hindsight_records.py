"""SQL of looking back on a day: its orders with their decision records, and the stock they shared."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Literal
from uuid import UUID

import asyncpg
import msgspec


class DayRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a day's decisions cost against perfect knowledge."""

    day: date
    orders: int
    orders_in_all: int
    cost_minor: int
    bound_minor: int
    best_minor: int
    converged: bool
    rounds: int


async def is_known(connection: asyncpg.Connection, day: date) -> bool:
    """Tell whether a day has been looked back on."""
    found: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM hindsight WHERE day = $1)", day
    )
    return found


async def read_left(
    connection: asyncpg.Connection, skus: Sequence[str], until: datetime
) -> dict[tuple[str, str], int]:
    """Return by node and sku at least as many units as were free at an instant.

    What has been promised or has gone since is added to what is free now; what has come since is
    not taken off.
    """
    rows = await connection.fetch(
        """
        SELECT s.node_id, s.sku,
               s.on_hand - s.unavailable - s.reserved + coalesce(r.units, 0)
               + coalesce(m.units, 0) AS units
        FROM stock s
        LEFT JOIN (
            SELECT sku, node_id, sum(quantity) AS units FROM reservation
            WHERE sku = ANY ($1::text[]) AND created_at >= $2
              AND state IN ('held', 'confirmed', 'consumed')
            GROUP BY sku, node_id
        ) AS r USING (sku, node_id)
        LEFT JOIN (
            SELECT sku, node_id, sum(quantity) AS units FROM movement
            WHERE sku = ANY ($1::text[]) AND recorded_at >= $2
              AND kind IN ('sale', 'count_loss', 'feed_loss', 'adjust_loss', 'damage',
                           'transfer_out')
            GROUP BY sku, node_id
        ) AS m USING (sku, node_id)
        WHERE s.sku = ANY ($1::text[])
        """,
        list(skus),
        until,
    )
    return {(row["node_id"], row["sku"]): int(row["units"]) for row in rows}


async def read_rooms(
    connection: asyncpg.Connection, day: date, until: datetime, days: int, holders: Sequence[UUID]
) -> dict[tuple[str, date], tuple[Literal["orders", "units"], int]]:
    """Return by limited node and work date what some allocations could have had of its capacity.

    Of so many dates from the one before `day` on: the maximum as it is now, less the work of all
    other orders as it stood at `until`, wherever it went since. Units of that work which were lost
    since count as room, as counters have no dates; so do holds that were not firm.
    """
    rows = await connection.fetch(
        """
        SELECT n.node_id, d.work_on, coalesce(c.unit, n.capacity_unit) AS unit,
               coalesce(c.maximum, n.capacity_maximum)
               - coalesce(CASE coalesce(c.unit, n.capacity_unit)
                          WHEN 'orders' THEN w.orders ELSE w.units END, 0) AS room
        FROM node n
        CROSS JOIN (SELECT $1::date - 1 + generate_series(0, $3::int) AS work_on) AS d
        LEFT JOIN capacity c
            ON c.node_id = n.node_id AND c.work_on = d.work_on AND c.slot = 'day'
        LEFT JOIN (
            SELECT h.node_id, h.work_on, count(*) AS orders, sum(l.units) AS units
            FROM capacity_hold h
            JOIN fulfillment_order f ON f.allocation_id = h.holder_id
                AND f.node_id = h.node_id AND f.work_on = h.work_on
            CROSS JOIN LATERAL (
                SELECT sum(quantity - rejected - cancelled) AS units,
                       sum(shipped + collected) AS gone
                FROM fulfillment_line l
                WHERE l.order_id = f.order_id
                  AND l.fulfillment_order_id = f.fulfillment_order_id
            ) AS l
            WHERE h.slot = 'day' AND h.work_on >= $1::date - 1 AND f.created_at < $2
              AND (f.ended_at IS NULL OR f.ended_at >= $2 OR l.gone > 0)
              AND h.holder_id <> ALL ($4::uuid[])
            GROUP BY h.node_id, h.work_on
        ) AS w ON w.node_id = n.node_id AND w.work_on = d.work_on
        WHERE coalesce(c.maximum, n.capacity_maximum) IS NOT NULL
        """,
        day,
        until,
        days,
        list(holders),
    )
    return {(row["node_id"], row["work_on"]): (row["unit"], int(row["room"])) for row in rows}


async def insert_day(connection: asyncpg.Connection, row: DayRow) -> None:
    """Keep what came of looking back on a day, once."""
    await connection.execute(
        "INSERT INTO hindsight (day, orders, orders_in_all, cost_minor, bound_minor, best_minor,"
        " converged, rounds) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
        *msgspec.structs.astuple(row),
    )


async def read_days(connection: asyncpg.Connection, since: date, until: date) -> list[DayRow]:
    """Return the days of a period that have been looked back on."""
    rows = await connection.fetch(
        "SELECT day, orders, orders_in_all, cost_minor, bound_minor, best_minor, converged, rounds"
        " FROM hindsight WHERE day >= $1 AND day < $2 ORDER BY day",
        since,
        until,
    )
    return [DayRow(**row) for row in rows]
