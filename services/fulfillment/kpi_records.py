"""SQL of the key figures; every one is a count, a sum or a percentile over what is recorded."""

from datetime import datetime
from typing import Any

import asyncpg

CHOSEN = """
    WITH chosen AS (
        SELECT order_id, allocation_id, channel, state,
               convert_from(body, 'UTF8')::jsonb AS body
          FROM allocation
         WHERE confirmed_at >= $1 AND confirmed_at < $2
           AND ($3::text IS NULL OR channel = $3)
    )"""
"""The orders that customers made firm in a period, each with its latest answer."""

ORDERS = f"""{CHOSEN},
        work AS (
            SELECT f.allocation_id,
                   count(*) FILTER (
                       WHERE dispatched > 0 OR f.state NOT IN ('incomplete', 'cancelled')
                   ) AS parts
              FROM fulfillment_order AS f
              JOIN chosen USING (order_id, allocation_id)
             CROSS JOIN LATERAL (
                   SELECT coalesce(sum(shipped + collected), 0) AS dispatched
                     FROM fulfillment_line AS line
                    WHERE line.order_id = f.order_id
                      AND line.fulfillment_order_id = f.fulfillment_order_id
                   ) AS counters
             GROUP BY f.allocation_id
        ),
        asked AS (
            SELECT allocation_id,
                   (SELECT coalesce(sum((line ->> 'quantity')::bigint), 0)
                      FROM jsonb_array_elements(body -> 'fulfillments') AS part,
                           jsonb_array_elements(part -> 'lines') AS line) AS given,
                   (SELECT coalesce(sum((short ->> 'quantity')::bigint), 0)
                      FROM jsonb_array_elements(body -> 'shortfalls') AS short) AS short,
                   (body -> 'cost' -> 'total' ->> 'amount_minor')::bigint AS cost_minor,
                   (body -> 'cost' -> 'parcels' ->> 'amount_minor')::bigint AS parcels_minor
              FROM chosen
        )
        SELECT count(*) AS orders,
               count(*) FILTER (WHERE state = 'cancelled') AS cancelled,
               coalesce(sum(given + short), 0)::bigint AS units,
               coalesce(sum(short), 0)::bigint AS units_short,
               count(*) FILTER (WHERE coalesce(parts, 0) > 1) AS split,
               count(*) FILTER (WHERE coalesce(parts, 0) > 0) AS fulfilled,
               coalesce(sum(cost_minor), 0)::bigint AS cost_minor,
               coalesce(sum(parcels_minor), 0)::bigint AS parcels_minor
          FROM chosen
          JOIN asked USING (allocation_id)
          LEFT JOIN work USING (allocation_id)"""
"""Sums over those orders and over the parts they were fulfilled in."""

WORK = f"""{CHOSEN},
        counted AS (
            SELECT f.node_id, f.submitted_at, f.ready_at, f.ship_by,
                   line.*, left_at.shipped_at, left_at.late_parcels,
                   left_at.parcels_delivered
              FROM fulfillment_order AS f
              JOIN chosen USING (order_id, allocation_id)
             CROSS JOIN LATERAL (
                   SELECT sum(quantity) AS quantity, sum(picked) AS picked,
                          sum(shipped) AS shipped, sum(collected) AS collected,
                          sum(rejected) AS rejected, sum(cancelled) AS units_cancelled,
                          sum(returned) AS returned
                     FROM fulfillment_line AS l
                    WHERE l.order_id = f.order_id
                      AND l.fulfillment_order_id = f.fulfillment_order_id
                   ) AS line
             CROSS JOIN LATERAL (
                   SELECT max(s.shipped_at) AS shipped_at,
                          count(*) FILTER (WHERE s.delivered_at IS NOT NULL) AS parcels_delivered,
                          count(*) FILTER (WHERE s.delivered_at >= f.promise_latest + 1)
                              AS late_parcels
                     FROM shipment AS s
                    WHERE s.order_id = f.order_id
                      AND s.fulfillment_order_id = f.fulfillment_order_id
                   ) AS left_at
        )
        SELECT CASE WHEN $4 THEN node_id END AS node_id,
               count(*) AS fulfillment_orders,
               sum(quantity)::bigint AS units,
               sum(shipped)::bigint AS units_shipped,
               sum(collected)::bigint AS units_collected,
               coalesce(sum(rejected) FILTER (WHERE submitted_at IS NOT NULL), 0)::bigint
                   AS units_rejected,
               sum(units_cancelled)::bigint AS units_cancelled,
               sum(returned)::bigint AS units_returned,
               count(*) FILTER (WHERE rejected > 0 AND submitted_at IS NOT NULL)
                   AS with_rejection,
               count(*) FILTER (WHERE shipped_at IS NOT NULL) AS dispatched,
               count(*) FILTER (WHERE shipped_at <= ship_by) AS dispatched_on_time,
               sum(parcels_delivered)::bigint AS parcels_delivered,
               sum(late_parcels)::bigint AS parcels_late,
               percentile_cont(0.5) WITHIN GROUP (
                   ORDER BY extract(epoch FROM ready_at - submitted_at)
               ) AS ready_p50_s,
               percentile_cont(0.9) WITHIN GROUP (
                   ORDER BY extract(epoch FROM ready_at - submitted_at)
               ) AS ready_p90_s,
               percentile_cont(0.5) WITHIN GROUP (
                   ORDER BY extract(epoch FROM shipped_at - submitted_at)
               ) AS ship_p50_s
          FROM counted
         GROUP BY 1 ORDER BY 1"""
"""Sums, shares and times of the work of nodes for those orders, of each by its id or of all."""


async def read_orders(
    connection: asyncpg.Connection, since: datetime, until: datetime, channel: str | None
) -> asyncpg.Record:
    """Return the figures of orders confirmed in a period."""
    row = await connection.fetchrow(
        ORDERS,
        since,
        until,
        channel,
    )
    if row is None:
        raise RuntimeError("a query of sums gave no row")
    return row


async def read_work(
    connection: asyncpg.Connection,
    since: datetime,
    until: datetime,
    *,
    channel: str | None,
    by_node: bool,
) -> list[dict[str, Any]]:
    """Return the figures of the work for those orders: of each node by its id, or of all."""
    rows = await connection.fetch(
        WORK,
        since,
        until,
        channel,
        by_node,
    )
    return [dict(row) for row in rows]


async def count_jeopardy(connection: asyncpg.Connection, before: datetime) -> int:
    """Return how many orders have live work that was, or will be, due before an instant."""
    orders: int = await connection.fetchval(
        "SELECT count(DISTINCT order_id) FROM fulfillment_order"
        " WHERE state IN ('open', 'in_progress', 'packed') AND ship_by < $1",
        before,
    )
    return orders
