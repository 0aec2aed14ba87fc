"""The statement of the audit of returns; shares nothing with the code it checks."""

import asyncpg


async def differing_returns(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Find lines of orders where what was received back is not what their work counts as returned."""
    return await connection.fetch(
        """
        SELECT coalesce(w.order_id, b.order_id) AS order_id,
               coalesce(w.line_id, b.line_id) AS line_id, coalesce(w.sku, b.sku) AS sku,
               coalesce(b.units, 0)::bigint AS expected, coalesce(w.units, 0)::bigint AS found
        FROM (
            SELECT order_id, line_id, sku, sum(returned) AS units FROM fulfillment_line
            GROUP BY order_id, line_id, sku
        ) AS w FULL JOIN (
            SELECT order_id, line_id, sku, sum(received) AS units FROM goods_return_line
            GROUP BY order_id, line_id, sku
        ) AS b ON (b.order_id, b.line_id, b.sku) = (w.order_id, w.line_id, w.sku)
        WHERE coalesce(b.units, 0) <> coalesce(w.units, 0)
        ORDER BY 1, 2, 3
        """
    )


async def unsettled_returns(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Find returns that have ended with units to decide about, or go on with none."""
    return await connection.fetch(
        """
        SELECT r.order_id, r.return_id, 0::bigint AS expected,
               sum(l.received - l.restocked - l.scrapped - l.to_vendor)::bigint AS found
        FROM goods_return r JOIN goods_return_line l USING (order_id, return_id)
        WHERE r.state = 'received'
        GROUP BY r.order_id, r.return_id, r.ended_at
        HAVING (sum(l.received - l.restocked - l.scrapped - l.to_vendor) = 0)
               <> (r.ended_at IS NOT NULL)
        ORDER BY 1, 2
        """
    )
