"""Keep shares of stock for channels.

Orders for stock records that no pool has a right to pay for one flag on the row they lock anyway.
"""

from importlib import import_module

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

KINDS = "kind IN ('stock', 'supply', 'capacity', 'item', 'buffer')"
KINDS_NOW = "kind IN ('stock', 'supply', 'capacity', 'item', 'buffer', 'pool', 'quota')"
ZERO = sa.text("0")

HOLD_ORDERS = """
CREATE FUNCTION hold_orders(
    -- What this transaction has made sure of already: names, keys and orders, room in each row.
    sure boolean,
    names bigint[],
    -- Stock records with the units to take and to leave.
    cell_skus text[], cell_node_ids text[], cell_units bigint[], cell_buffers bigint[],
    -- Work for nodes of limited capacity; `works` are positions of orders, from 1.
    works int[], work_node_ids text[], work_dates date[], work_slots text[],
    work_orders bigint[], work_units bigint[],
    -- Reservations; `lines` are positions of orders, from 1.
    lines int[], line_skus text[], reservation_ids uuid[], line_node_ids text[], line_ids text[],
    line_quantities bigint[], line_supply_ids text[], line_promises date[],
    -- Orders. One that holds nothing has no allocation; an answer without a status is not stored.
    scopes bytea[], request_hashes bytea[], status_codes int[], bodies bytea[], order_ids text[],
    allocation_ids uuid[], channels text[], zone_ids text[], actors text[], completes boolean[],
    expiries timestamptz[], decisions bytea[],
    OUT held boolean,
    -- For each stock record: its position in the arguments, from 1, and what it is now.
    OUT cells bigint[], OUT on_hands bigint[], OUT reserveds bigint[],
    OUT unavailables bigint[], OUT versions bigint[],
    OUT clock timestamptz,
    -- The transaction, as its changes are noted.
    OUT writer bigint
)
LANGUAGE plpgsql
-- The plan of a statement must not depend on how full the tables were when it was first made.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
    room bigint;
    limits bigint;
    pooled boolean;
    -- By line, the pool that some of its units come from and how many; none where none do.
    line_pools text[];
    line_pool_units bigint[];
BEGIN
    held := false;
    clock := clock_timestamp();

    IF NOT sure THEN
        PERFORM pg_advisory_xact_lock(number) FROM unnest(names) AS number;
        -- Each statement here sees what was committed before it began, so also what the locks have
        -- waited for.
        PERFORM FROM idempotency WHERE scope = ANY (scopes) LIMIT 1;
        IF FOUND THEN
            RETURN;
        END IF;
        PERFORM FROM allocation
        WHERE order_id = ANY (order_ids) AND state IN ('held', 'confirmed') LIMIT 1;
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;

    writer := pg_current_xact_id()::text::bigint;
    -- What is taken when not everything fits is given back by undoing the block.
    BEGIN
        -- An UPDATE waits for a row's lock and then judges the row as it is by then. Rows are met in
        -- the order of the subquery, by a nested loop, or in that of the index, which is the same.
        WITH taken AS (
            UPDATE stock s
            SET version = s.version + 1, reserved = s.reserved + k.units
            FROM (
                SELECT * FROM unnest(cell_skus, cell_node_ids, cell_units, cell_buffers)
                     WITH ORDINALITY AS u (sku, node_id, units, buffer, cell)
                ORDER BY sku, node_id
            ) AS k
            WHERE s.sku = k.sku AND s.node_id = k.node_id
              AND (sure OR k.units + k.buffer <= s.on_hand - s.unavailable - s.reserved)
            RETURNING k.cell, s.on_hand, s.reserved, s.unavailable, s.version, s.pooled
        )
        SELECT array_agg(t.cell), array_agg(t.on_hand), array_agg(t.reserved),
               array_agg(t.unavailable), array_agg(t.version), count(*), bool_or(t.pooled)
        INTO cells, on_hands, reserveds, unavailables, versions, room, pooled
        FROM taken AS t;
        IF NOT sure AND room < cardinality(cell_skus) THEN
            RAISE SQLSTATE 'NOFIT';
        END IF;

        -- Quotas are written under their stock records' locks alone, which are held by now: these
        -- statements see what the locks have waited for.
        IF pooled THEN
            -- Each line takes from its channel's pool what the lines before it have left there.
            SELECT array_agg(CASE WHEN g.units > 0 THEN g.pool_id END ORDER BY g.place),
                   array_agg(nullif(g.units, 0) ORDER BY g.place)
            INTO line_pools, line_pool_units
            FROM (
                SELECT l.place, q.pool_id,
                       CASE WHEN q.pool_id IS NULL THEN 0 ELSE greatest(0, least(
                           l.units, q.quantity - q.used - q.consumed - (sum(l.units) OVER w - l.units)
                       )) END AS units
                FROM unnest(lines, line_skus, line_node_ids, line_quantities, line_supply_ids)
                     WITH ORDINALITY AS l (line, sku, node_id, units, supply_id, place)
                LEFT JOIN pool_channel p
                    ON p.channel = channels[l.line] AND l.supply_id IS NULL
                LEFT JOIN quota q
                    ON q.sku = l.sku AND q.node_id = l.node_id AND q.pool_id = p.pool_id
                WINDOW w AS (PARTITION BY q.sku, q.node_id, q.pool_id ORDER BY l.place
                             ROWS UNBOUNDED PRECEDING)
            ) AS g;
            UPDATE quota q SET version = q.version + 1, used = q.used + k.units
            FROM (
                SELECT u.sku, u.node_id, u.pool_id, sum(u.units) AS units
                FROM unnest(line_skus, line_node_ids, line_pools, line_pool_units)
                     AS u (sku, node_id, pool_id, units)
                WHERE u.pool_id IS NOT NULL
                GROUP BY u.sku, u.node_id, u.pool_id
            ) AS k
            WHERE q.sku = k.sku AND q.node_id = k.node_id AND q.pool_id = k.pool_id;
            INSERT INTO change (kind, key_1, key_2, key_3)
            SELECT 'quota', array_agg(u.sku), array_agg(u.node_id), array_agg(u.pool_id)
            FROM unnest(line_skus, line_node_ids, line_pools) AS u (sku, node_id, pool_id)
            WHERE u.pool_id IS NOT NULL
            HAVING count(*) > 0;
            -- All of a batch fit in whatever order where the rights that are left still have stock
            -- behind them, or where nobody took more than a right. Else they are walked.
            IF NOT sure AND EXISTS (
                SELECT FROM unnest(cell_skus, cell_node_ids, cell_units, cell_buffers)
                            AS c (sku, node_id, units, buffer)
                JOIN stock s ON s.sku = c.sku AND s.node_id = c.node_id
                WHERE s.pooled
                  AND s.on_hand - s.unavailable - s.reserved - c.buffer < (
                      SELECT sum(q.quantity - q.used - q.consumed) FROM quota q
                      WHERE q.sku = c.sku AND q.node_id = c.node_id
                  )
                  AND c.units > (
                      SELECT coalesce(sum(u.units), 0)
                      FROM unnest(line_skus, line_node_ids, line_pool_units)
                           AS u (sku, node_id, units)
                      WHERE u.sku = c.sku AND u.node_id = c.node_id
                  )
            ) THEN
                RAISE SQLSTATE 'NOFIT';
            END IF;
        END IF;

        IF cardinality(works) > 0 THEN
            SELECT count(*),
                   count(*) FILTER (WHERE l.used + CASE l.unit WHEN 'orders' THEN l.orders
                                                               ELSE l.units END <= l.maximum)
            INTO limits, room
            FROM (
                SELECT c.unit, c.maximum, c.used, k.orders, k.units
                FROM (
                    SELECT node_id, work_on, slot, sum(orders) AS orders, sum(units) AS units
                    FROM unnest(work_node_ids, work_dates, work_slots, work_orders, work_units)
                         AS w (node_id, work_on, slot, orders, units)
                    GROUP BY node_id, work_on, slot
                ) AS k
                JOIN capacity c USING (node_id, work_on, slot)
                ORDER BY c.node_id, c.work_on, c.slot
                FOR UPDATE OF c
            ) AS l;
            -- A row that is missing may have to be made first.
            IF NOT sure AND (room < limits OR limits < (
                SELECT count(DISTINCT (node_id, work_on, slot))
                FROM unnest(work_node_ids, work_dates, work_slots) AS w (node_id, work_on, slot)
            )) THEN
                RAISE SQLSTATE 'NOFIT';
            END IF;
        END IF;
    EXCEPTION WHEN SQLSTATE 'NOFIT' THEN
        RETURN;
    END;

    IF cardinality(works) > 0 THEN
        UPDATE capacity c
        SET version = c.version + 1,
            used = c.used + CASE c.unit WHEN 'orders' THEN k.orders ELSE k.units END
        FROM (
            SELECT node_id, work_on, slot, sum(orders) AS orders, sum(units) AS units
            FROM unnest(work_node_ids, work_dates, work_slots, work_orders, work_units)
                 AS w (node_id, work_on, slot, orders, units)
            GROUP BY node_id, work_on, slot
        ) AS k
        WHERE c.node_id = k.node_id AND c.work_on = k.work_on AND c.slot = k.slot;
        INSERT INTO capacity_hold (node_id, work_on, slot, holder_id, quantity)
        SELECT w.node_id, w.work_on, w.slot, allocation_ids[w.work],
               CASE c.unit WHEN 'orders' THEN w.orders ELSE w.units END
        FROM unnest(works, work_node_ids, work_dates, work_slots, work_orders, work_units)
             AS w (work, node_id, work_on, slot, orders, units)
        JOIN capacity c USING (node_id, work_on, slot)
        WHERE CASE c.unit WHEN 'orders' THEN w.orders ELSE w.units END > 0;
        INSERT INTO change (kind, key_1, key_2, key_3)
        VALUES ('capacity', work_node_ids, work_dates::text[], work_slots);
    END IF;

    IF cardinality(cell_skus) > 0 THEN
        INSERT INTO change (kind, key_1, key_2) VALUES ('stock', cell_skus, cell_node_ids);
    END IF;

    IF cardinality(lines) > 0 THEN
        INSERT INTO reservation (sku, reservation_id, node_id, line_id, quantity, supply_id,
                                 promise_on, holder_kind, holder_id, actor, expires_at, state,
                                 pool_id, pool_units)
        SELECT l.sku, l.reservation_id, l.node_id, l.line_id, l.quantity, l.supply_id,
               l.promise_on, 'allocation', allocation_ids[l.line], actors[l.line],
               expiries[l.line], 'held', line_pools[l.place], line_pool_units[l.place]
        FROM unnest(lines, line_skus, reservation_ids, line_node_ids, line_ids, line_quantities,
                    line_supply_ids, line_promises) WITH ORDINALITY
             AS l (line, sku, reservation_id, node_id, line_id, quantity, supply_id, promise_on,
                   place);
        INSERT INTO allocation (order_id, allocation_id, channel, zone_id, state, complete,
                                request_hash, body, actor, expires_at)
        SELECT o.order_id, o.allocation_id, o.channel, o.zone_id, 'held', o.complete,
               o.request_hash, o.body, o.actor, o.expires_at
        FROM unnest(order_ids, allocation_ids, channels, zone_ids, completes, request_hashes,
                    bodies, actors, expiries)
             AS o (order_id, allocation_id, channel, zone_id, complete, request_hash, body, actor,
                   expires_at)
        WHERE o.allocation_id IS NOT NULL;
        INSERT INTO decision (allocation_id, record)
        SELECT o.allocation_id, o.record
        FROM unnest(allocation_ids, decisions) AS o (allocation_id, record)
        WHERE o.record IS NOT NULL;
        INSERT INTO event (event_id, kind, subject, actor, payload)
        SELECT o.allocation_id, 'allocation.held', o.order_id, o.actor,
               jsonb_build_object('allocation_id', o.allocation_id, 'complete', o.complete)
        FROM unnest(order_ids, allocation_ids, actors, completes)
             AS o (order_id, allocation_id, actor, complete)
        WHERE o.allocation_id IS NOT NULL;
    END IF;

    INSERT INTO idempotency (scope, request_hash, status_code, body)
    SELECT a.scope, a.request_hash, a.status_code, a.body
    FROM unnest(scopes, request_hashes, status_codes, bodies)
         AS a (scope, request_hash, status_code, body)
    WHERE a.status_code IS NOT NULL;
    held := true;
END
$$
"""


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "pool",
        sa.Column("pool_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "changed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("pool_id", name=op.f("pool_pkey")),
    )
    op.create_table(
        "pool_channel",
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("pool_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("channel", name=op.f("pool_channel_pkey")),
        comment="Which pool a channel takes from; one that is not here has the common stock alone.",
    )
    op.create_index(op.f("pool_channel_pool_id_idx"), "pool_channel", ["pool_id"])
    op.create_table(
        "quota",
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("node_id", sa.Text(), nullable=False),
        sa.Column("pool_id", sa.Text(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), server_default=ZERO, nullable=False),
        sa.Column("used", sa.BigInteger(), server_default=ZERO, nullable=False),
        sa.Column("consumed", sa.BigInteger(), server_default=ZERO, nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=ZERO, nullable=False),
        sa.CheckConstraint("used >= 0 AND consumed >= 0", name=op.f("quota_counters_check")),
        sa.CheckConstraint("used + consumed <= quantity", name=op.f("quota_quantity_check")),
        sa.PrimaryKeyConstraint("sku", "node_id", "pool_id", name=op.f("quota_pkey")),
        comment="Units of one stock record kept for a pool; written under the stock record's lock.",
    )
    op.add_column(
        "stock", sa.Column("pooled", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.add_column(
        "reservation",
        sa.Column(
            "pool_id",
            sa.Text(),
            nullable=True,
            comment="The pool that some of its units came from.",
        ),
    )
    op.add_column(
        "reservation",
        sa.Column(
            "pool_units",
            sa.BigInteger(),
            nullable=True,
            comment="Of its quantity, the units from that pool.",
        ),
    )
    op.create_check_constraint(
        op.f("reservation_pool_units_check"),
        "reservation",
        "(pool_id IS NULL) = (pool_units IS NULL) AND pool_units BETWEEN 1 AND quantity",
    )
    op.drop_constraint(op.f("change_kind_check"), "change")
    op.create_check_constraint(op.f("change_kind_check"), "change", KINDS_NOW)
    op.execute("DROP FUNCTION hold_orders")
    op.execute(HOLD_ORDERS)


def downgrade() -> None:
    """Undo; rights end, and what was taken by them stays with its orders."""
    op.execute("DROP FUNCTION hold_orders")
    op.execute(import_module("services.migrations.versions.0015_taken_at_once").HOLD_ORDERS)
    op.execute("DELETE FROM change WHERE kind IN ('pool', 'quota')")
    op.drop_constraint(op.f("change_kind_check"), "change")
    op.create_check_constraint(op.f("change_kind_check"), "change", KINDS)
    op.drop_constraint(op.f("reservation_pool_units_check"), "reservation")
    op.drop_column("reservation", "pool_units")
    op.drop_column("reservation", "pool_id")
    op.drop_column("stock", "pooled")
    op.drop_table("quota")
    op.drop_table("pool_channel")
    op.drop_table("pool")
