"""The audit's statements. None of them uses a table's projection to check that projection.

The effect of each kind of movement is written out here a second time on purpose: an audit that
shared the ledger's table of signs would agree with its mistakes.
"""

import asyncpg

EFFECTS = """
    (VALUES ('receive', 1, 0), ('return', 1, 0), ('count_gain', 1, 0), ('feed_gain', 1, 0),
            ('adjust_gain', 1, 0), ('transfer_in', 1, 0),
            ('dispatch', -1, 0), ('sale', -1, 0), ('count_loss', -1, 0), ('feed_loss', -1, 0),
            ('adjust_loss', -1, 0), ('transfer_out', -1, 0),
            ('damage', 0, 1), ('restore', 0, -1), ('scrap', -1, -1)
    ) AS effect (kind, on_hand, unavailable)
"""

LEDGER = f"""
    SELECT sku, node_id, sum(on_hand) AS on_hand, sum(unavailable) AS unavailable
    FROM (
        SELECT sku, node_id, on_hand, unavailable FROM stock_opening
        UNION ALL
        SELECT m.sku, m.node_id, m.quantity * effect.on_hand, m.quantity * effect.unavailable
        FROM movement m JOIN {EFFECTS} USING (kind)
    ) AS entry
    GROUP BY sku, node_id
"""


async def keep_history(connection: asyncpg.Connection) -> None:
    """Keep partitions of movements from being dropped while the audit reads.

    Has to be the transaction's first statement: a table dropped after the snapshot was taken is
    gone for it too, while what was folded out of it is not yet there.
    """
    await connection.execute("LOCK TABLE movement IN ACCESS SHARE MODE")


async def differing_ledger(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Find records whose counters are not the sum of their movements."""
    return await connection.fetch(
        f"""
        SELECT coalesce(s.sku, l.sku) AS sku, coalesce(s.node_id, l.node_id) AS node_id,
               coalesce(l.on_hand, 0)::bigint AS on_hand_expected, s.on_hand AS on_hand_found,
               coalesce(l.unavailable, 0)::bigint AS unavailable_expected,
               s.unavailable AS unavailable_found
        FROM stock s FULL JOIN ({LEDGER}) AS l ON (l.sku, l.node_id) = (s.sku, s.node_id)
        WHERE (s.on_hand, s.unavailable)
              IS DISTINCT FROM (coalesce(l.on_hand, 0), coalesce(l.unavailable, 0))
        ORDER BY 1, 2
        """
    )


async def differing_reserved(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Find records whose `reserved` is not the sum of what is promised from on hand."""
    return await connection.fetch(
        """
        SELECT coalesce(s.sku, r.sku) AS sku, coalesce(s.node_id, r.node_id) AS node_id,
               coalesce(r.quantity, 0)::bigint AS expected, s.reserved AS found
        FROM stock s FULL JOIN (
            SELECT sku, node_id, sum(quantity) AS quantity FROM reservation
            WHERE resolved_at IS NULL AND supply_id IS NULL
            GROUP BY sku, node_id
        ) AS r ON (r.sku, r.node_id) = (s.sku, s.node_id)
        WHERE s.reserved IS DISTINCT FROM coalesce(r.quantity, 0)
        ORDER BY 1, 2
        """
    )


async def differing_quotas(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Find quotas whose `used` is not the sum of what live reservations have from the pool."""
    return await connection.fetch(
        """
        SELECT coalesce(q.sku, r.sku) AS sku, coalesce(q.node_id, r.node_id) AS node_id,
               coalesce(q.pool_id, r.pool_id) AS pool_id,
               coalesce(r.units, 0)::bigint AS expected, q.used AS found
        FROM quota q FULL JOIN (
            SELECT sku, node_id, pool_id, sum(pool_units) AS units FROM reservation
            WHERE resolved_at IS NULL AND pool_id IS NOT NULL
            GROUP BY sku, node_id, pool_id
        ) AS r ON (r.sku, r.node_id, r.pool_id) = (q.sku, q.node_id, q.pool_id)
        WHERE q.used IS DISTINCT FROM coalesce(r.units, 0)
        ORDER BY 1, 2, 3
        """
    )


async def overdrawn_quotas(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Find quotas of which live orders and goods that left have more than was ever given."""
    return await connection.fetch(
        """
        SELECT q.sku, q.node_id, q.pool_id, q.quantity AS expected,
               coalesce(r.units, 0)::bigint + q.consumed AS found
        FROM quota q LEFT JOIN (
            SELECT sku, node_id, pool_id, sum(pool_units) AS units FROM reservation
            WHERE resolved_at IS NULL AND pool_id IS NOT NULL
            GROUP BY sku, node_id, pool_id
        ) AS r ON (r.sku, r.node_id, r.pool_id) = (q.sku, q.node_id, q.pool_id)
        WHERE coalesce(r.units, 0) + q.consumed > q.quantity
        ORDER BY 1, 2, 3
        """
    )


async def unmarked_stock(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Find stock records that pools have rights to and that do not say so: orders pass them by."""
    return await connection.fetch(
        """
        SELECT k.sku, k.node_id, 1::bigint AS expected, s.pooled::int::bigint AS found
        FROM (SELECT DISTINCT sku, node_id FROM quota WHERE quantity > consumed) AS k
        LEFT JOIN stock s USING (sku, node_id)
        WHERE s.pooled IS NOT TRUE
        ORDER BY 1, 2
        """
    )


async def torn_shares(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Find reservations that have from a pool what they have not, or what is not on hand."""
    return await connection.fetch(
        """
        SELECT sku, reservation_id, quantity AS expected, pool_units AS found FROM reservation
        WHERE (pool_id IS NULL) <> (pool_units IS NULL) OR pool_units NOT BETWEEN 1 AND quantity
           OR (pool_id IS NOT NULL AND supply_id IS NOT NULL)
        ORDER BY 1, 2
        """
    )


async def differing_promised(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Find supply whose `promised` is not the sum of what waits for it, at its own node."""
    return await connection.fetch(
        """
        SELECT coalesce(u.sku, r.sku) AS sku, coalesce(u.supply_id, r.supply_id) AS supply_id,
               coalesce(u.node_id, r.node_id) AS node_id,
               coalesce(r.quantity, 0)::bigint AS expected, u.promised AS found
        FROM supply u FULL JOIN (
            SELECT sku, supply_id, node_id, sum(quantity) AS quantity FROM reservation
            WHERE resolved_at IS NULL AND supply_id IS NOT NULL
            GROUP BY sku, supply_id, node_id
        ) AS r ON (r.sku, r.supply_id, r.node_id) = (u.sku, u.supply_id, u.node_id)
        WHERE u.promised IS DISTINCT FROM coalesce(r.quantity, 0)
        ORDER BY 1, 2
        """
    )


async def differing_capacity(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Find capacity whose `used` is not the sum of what is held of it."""
    return await connection.fetch(
        """
        SELECT coalesce(c.node_id, h.node_id) AS node_id, coalesce(c.work_on, h.work_on) AS work_on,
               coalesce(c.slot, h.slot) AS slot, coalesce(h.quantity, 0)::bigint AS expected,
               c.used AS found
        FROM capacity c FULL JOIN (
            SELECT node_id, work_on, slot, sum(quantity) AS quantity FROM capacity_hold
            WHERE active GROUP BY node_id, work_on, slot
        ) AS h ON (h.node_id, h.work_on, h.slot) = (c.node_id, c.work_on, c.slot)
        WHERE c.used IS DISTINCT FROM coalesce(h.quantity, 0)
        ORDER BY 1, 2, 3
        """
    )


async def orphaned_capacity(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Find capacity held for holders that have nothing live and have dispatched nothing there."""
    return await connection.fetch(
        """
        SELECT h.node_id, h.work_on, h.slot, h.holder_id, h.quantity
        FROM capacity_hold h
        WHERE h.active AND NOT EXISTS (
            SELECT FROM reservation r
            WHERE r.holder_id = h.holder_id AND (r.resolved_at IS NULL OR r.state = 'consumed')
        )
        ORDER BY 1, 2, 3, 4
        """
    )


async def unsound_stock(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Find records where the recorded shortage is not exactly what promises exceed stock by."""
    return await connection.fetch(
        """
        SELECT sku, node_id, greatest(reserved + unavailable - on_hand, 0) AS expected,
               shortage AS found
        FROM stock WHERE shortage <> greatest(reserved + unavailable - on_hand, 0)
        ORDER BY 1, 2
        """
    )


async def unsound_supply(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Find supply where the recorded shortage is not exactly what promises exceed it by."""
    return await connection.fetch(
        """
        SELECT * FROM (
            SELECT sku, supply_id, node_id, shortage AS found,
                   greatest(promised - floor((quantity - least(received, quantity))
                                             * trust_percent / 100.0), 0)::bigint AS expected
            FROM supply
        ) AS u WHERE found <> expected
        ORDER BY 1, 2
        """
    )


async def torn_reservations(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Find reservations that are both live and resolved, or neither, or consumed without goods."""
    return await connection.fetch(
        """
        SELECT sku, reservation_id, node_id, state FROM reservation
        WHERE (state IN ('held', 'confirmed')) <> (resolved_at IS NULL)
           OR (state = 'consumed') <> (movement_id IS NOT NULL)
           OR (state = 'consumed' AND supply_id IS NOT NULL)
           OR quantity < 1
        ORDER BY 1, 2
        """
    )


async def torn_holders(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Find holders of which part is still held and part is not: nobody holds half an order."""
    return await connection.fetch(
        """
        SELECT holder_id, array_agg(DISTINCT state ORDER BY state) AS states
        FROM reservation WHERE resolved_at IS NULL
        GROUP BY holder_id HAVING count(DISTINCT state) > 1
        ORDER BY 1
        """
    )


async def differing_dispatches(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Find dispatches that are not exactly the reservations they consumed, as far as history goes.

    A consumed reservation whose movement is missing counts while it is younger than the movements
    that retention has dropped.
    """
    return await connection.fetch(
        """
        SELECT coalesce(m.sku, r.sku) AS sku, coalesce(m.movement_id, r.movement_id) AS movement_id,
               coalesce(m.quantity, 0)::bigint AS expected, coalesce(r.quantity, 0)::bigint AS found
        FROM (SELECT sku, movement_id, quantity FROM movement WHERE kind = 'dispatch') AS m
        FULL JOIN (
            SELECT sku, movement_id, sum(quantity) AS quantity FROM reservation
            WHERE movement_id IS NOT NULL
              AND resolved_at >= coalesce((SELECT max(folded_to) FROM stock_opening), '-infinity')
            GROUP BY sku, movement_id
        ) AS r ON (r.sku, r.movement_id) = (m.sku, m.movement_id)
        WHERE m.quantity IS DISTINCT FROM r.quantity
        ORDER BY 1, 2
        """
    )


async def differing_transfers(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Find transfers where what left, what arrived and what is still to come do not sum.

    What has left and has neither arrived nor been given up as lost is in transit, and is what the
    destination expects. Only as far as history goes.
    """
    return await connection.fetch(
        """
        WITH transit AS (
            SELECT l.sku, t.transfer_id, 'transfer/' || t.transfer_id AS supply_id, t.from_node_id,
                   t.to_node_id, l.shipped, l.received, l.lost
            FROM transfer t JOIN transfer_line l USING (transfer_id)
            WHERE t.created_at >= coalesce((SELECT max(folded_to) FROM stock_opening), '-infinity')
        ), moved AS (
            SELECT sku, reference, node_id, kind, sum(quantity)::bigint AS units
            FROM movement WHERE kind IN ('transfer_out', 'transfer_in')
            GROUP BY sku, reference, node_id, kind
        )
        SELECT t.sku, t.transfer_id, c.what, coalesce(c.expected, 0) AS expected, c.found
        FROM transit t
        LEFT JOIN moved gone ON (gone.sku, gone.reference, gone.node_id, gone.kind)
                              = (t.sku, t.supply_id, t.from_node_id, 'transfer_out')
        LEFT JOIN moved come ON (come.sku, come.reference, come.node_id, come.kind)
                              = (t.sku, t.supply_id, t.to_node_id, 'transfer_in')
        LEFT JOIN supply u ON (u.sku, u.supply_id) = (t.sku, t.supply_id)
        CROSS JOIN LATERAL (VALUES
            ('left', gone.units, t.shipped),
            ('arrived', come.units, t.received),
            ('in transit', coalesce(gone.units, 0) - coalesce(come.units, 0) - t.lost,
             coalesce(u.quantity - u.received, 0))
        ) AS c (what, expected, found)
        WHERE coalesce(c.expected, 0) <> c.found
        ORDER BY 1, 2, 3
        """
    )


async def repeated_movements(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Find movements that were recorded more than once."""
    return await connection.fetch(
        """
        SELECT sku, movement_id, count(*) AS found FROM movement
        GROUP BY sku, movement_id HAVING count(*) > 1
        ORDER BY 1, 2
        """
    )


async def oversold(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Find records that gave away more than ever came in, by movements and reservations alone."""
    return await connection.fetch(
        f"""
        SELECT sku, node_id, (promised - there)::bigint AS units FROM (
            SELECT coalesce(l.sku, r.sku) AS sku, coalesce(l.node_id, r.node_id) AS node_id,
                   coalesce(l.on_hand - l.unavailable, 0) AS there,
                   coalesce(r.quantity, 0) AS promised
            FROM ({LEDGER}) AS l FULL JOIN (
                SELECT sku, node_id, sum(quantity) AS quantity FROM reservation
                WHERE state IN ('held', 'confirmed') AND supply_id IS NULL
                GROUP BY sku, node_id
            ) AS r ON (r.sku, r.node_id) = (l.sku, l.node_id)
        ) AS balance
        WHERE promised > there
        ORDER BY 1, 2
        """
    )
