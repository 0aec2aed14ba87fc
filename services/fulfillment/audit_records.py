"""The statement of the audit of fulfillment orders; shares nothing with the code it checks."""

import asyncpg


async def differing_work(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Find lines at nodes whose units still to dispatch are not what is confirmed for them there.

    Only allocations that have fulfillment orders are looked at; one that has none was confirmed
    before there were any.
    """
    return await connection.fetch(
        """
        SELECT coalesce(w.allocation_id, r.holder_id) AS allocation_id,
               coalesce(w.node_id, r.node_id) AS node_id, coalesce(w.line_id, r.line_id) AS line_id,
               coalesce(w.sku, r.sku) AS sku, coalesce(w.quantity, 0)::bigint AS expected,
               coalesce(r.quantity, 0)::bigint AS found
        FROM (
            SELECT f.allocation_id, f.node_id, l.line_id, l.sku,
                   sum(l.quantity - l.rejected - l.cancelled - l.shipped - l.collected) AS quantity
            FROM fulfillment_order f JOIN fulfillment_line l USING (order_id, fulfillment_order_id)
            GROUP BY f.allocation_id, f.node_id, l.line_id, l.sku
        ) AS w FULL JOIN (
            SELECT r.holder_id, r.node_id, r.line_id, r.sku, sum(r.quantity) AS quantity
            FROM reservation r
            WHERE r.state = 'confirmed' AND EXISTS (
                SELECT FROM fulfillment_order f WHERE f.allocation_id = r.holder_id
            )
            GROUP BY r.holder_id, r.node_id, r.line_id, r.sku
        ) AS r ON (r.holder_id, r.node_id, r.line_id, r.sku)
                = (w.allocation_id, w.node_id, w.line_id, w.sku)
        WHERE coalesce(w.quantity, 0) <> coalesce(r.quantity, 0)
        ORDER BY 1, 2, 3, 4
        """
    )


async def unfinished_work(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Find work that has ended and still has units to dispatch, or lives on with none."""
    return await connection.fetch(
        """
        SELECT f.fulfillment_order_id, f.state,
               sum(l.quantity - l.rejected - l.cancelled - l.shipped - l.collected)::bigint AS found
        FROM fulfillment_order f JOIN fulfillment_line l USING (order_id, fulfillment_order_id)
        GROUP BY f.order_id, f.fulfillment_order_id, f.state
        HAVING (f.state IN ('open', 'in_progress', 'packed', 'ready_for_pickup'))
            <> (sum(l.quantity - l.rejected - l.cancelled - l.shipped - l.collected) > 0)
        ORDER BY 1
        """
    )


async def differing_shipments(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Find lines whose shipped units are not the sum of their parcels."""
    return await connection.fetch(
        """
        SELECT l.fulfillment_order_id, l.part, coalesce(s.quantity, 0)::bigint AS expected,
               l.shipped AS found
        FROM fulfillment_line l LEFT JOIN (
            SELECT order_id, fulfillment_order_id, (line ->> 'part')::int AS part,
                   sum((line ->> 'quantity')::bigint) AS quantity
            FROM shipment, jsonb_array_elements(lines) AS line
            GROUP BY 1, 2, 3
        ) AS s USING (order_id, fulfillment_order_id, part)
        WHERE l.shipped <> coalesce(s.quantity, 0)
        ORDER BY 1, 2
        """
    )
