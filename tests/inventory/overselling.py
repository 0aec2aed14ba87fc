"""Statements that look right and are not; `test_races.py` shows what each of them does.

They are fixtures: each reserves one two-line order in one statement, as a first draft of such code
often does, and each goes wrong as soon as two callers meet.
"""

import asyncpg

from inventory.reserve import Demand

TAKE = """
    , taken AS (
        UPDATE stock s SET reserved = s.reserved + d.quantity
        FROM demand d, decision
        WHERE decision.fits AND (s.sku, s.node_id) = (d.sku, d.node_id)
        RETURNING s.sku, s.node_id
    )
    INSERT INTO reservation (sku, reservation_id, node_id, line_id, quantity, promise_on,
                             holder_kind, holder_id, actor, expires_at)
    SELECT d.sku, d.reservation_id, d.node_id, d.line_id, d.quantity, d.promise_on,
           'allocation', $7, 'test', now() + interval '1 hour'
    FROM demand d JOIN taken USING (sku, node_id)
"""
DEMAND = """
    WITH demand AS (
        SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::uuid[], $5::text[],
                             $6::date[])
                      AS d (sku, node_id, quantity, reservation_id, line_id, promise_on)
    )
"""
LOCKED = """
    , locked AS MATERIALIZED (
        SELECT s.sku, s.node_id, s.on_hand, s.reserved, s.unavailable
        FROM demand JOIN stock s USING (sku, node_id)
        ORDER BY s.sku, s.node_id FOR UPDATE OF s
    )
"""

# The rows are locked, and then the table is read again beside the lock. That read sees what the
# table held when the statement began, which was before it waited.
READS_THE_TABLE = f"""
    {DEMAND} {LOCKED}
    , decision AS (
        SELECT bool_and(s.on_hand - s.reserved - s.unavailable >= d.quantity) AS fits
        FROM demand d JOIN stock s USING (sku, node_id)
        WHERE (SELECT count(*) FROM locked) > 0
    )
    {TAKE}
"""  # noqa: S608 - composed of constants

# The lock's own values are used for what is on hand, but what is promised is summed from rows that
# other callers have inserted since the statement began, and cannot be seen.
SUMS_OTHER_ROWS = f"""
    {DEMAND} {LOCKED}
    , decision AS (
        SELECT bool_and(l.on_hand - l.unavailable - d.quantity >= (
            SELECT coalesce(sum(r.quantity), 0) FROM reservation r
            WHERE (r.sku, r.node_id) = (l.sku, l.node_id) AND r.resolved_at IS NULL
        )) AS fits
        FROM demand d JOIN locked l USING (sku, node_id)
    )
    {TAKE}
"""  # noqa: S608 - composed of constants

# The update itself is guarded, line by line. It never oversells, and leaves half an order behind
# whenever one of two lines no longer fits.
GUARDS_EACH_LINE = f"""
    {DEMAND}
    , decision AS (SELECT true AS fits)
    {TAKE.replace("WHERE decision.fits", "WHERE s.on_hand - s.reserved - s.unavailable >= d.quantity")}
"""

# Locks in the order in which the keys were given.
LOCKS_AS_GIVEN = """
    UPDATE stock s SET reserved = s.reserved
    FROM unnest($1::text[], $2::text[]) AS d (sku, node_id)
    WHERE (s.sku, s.node_id) = (d.sku, d.node_id)
"""


async def reserve_wrongly(connection: asyncpg.Connection, statement: str, demand: Demand) -> bool:
    """Reserve with one of the statements above; tell whether it says that it has."""
    takes = demand.takes
    status = await connection.execute(
        statement,
        [take.sku for take in takes],
        [take.node_id for take in takes],
        [take.quantity for take in takes],
        [take.reservation_id for take in takes],
        [take.line_id for take in takes],
        [take.promise_on for take in takes],
        demand.holder_id,
    )
    return status != "INSERT 0 0"
