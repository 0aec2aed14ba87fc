"""Every SQL statement of the stock record, one named function each.

Batches are arrays that PostgreSQL turns into rows with `unnest`, so a call is one round trip
however many rows it carries. Locks are taken by functions whose name starts with `lock_`, each in
the order of its table's primary key; `locks.py` says in which order the tables come.
"""

from collections.abc import Callable, Coroutine, Sequence
from datetime import date, datetime
from typing import Any, Literal, Protocol
from uuid import UUID

import asyncpg

Columns = Sequence[Sequence[Any]]
"""Arrays of equal length, one for each column."""


class Range(Protocol):
    """A table partitioned by ranges of one column."""

    @property
    def table(self) -> str:
        """Its name."""

    @property
    def column(self) -> str:
        """The column whose ranges partition it."""


LIVE = "('held', 'confirmed')"
PROMISABLE = "greatest(u.quantity - u.received, 0) * u.trust_percent / 100"


def noted(kind: str, *keys: str) -> str:
    """Return the statement, a part of every one that writes, that notes which rows it changes.

    `kind` is one of `tables.CHANGE_KINDS` and `keys` are expressions for the arrays of the rows'
    keys, such as `$1::text[]`; where the first is empty nothing is noted. Whoever follows changes
    reads these rows again, so a write without its note stays unseen until a view is loaded anew.
    """
    columns = ", ".join(f"key_{part}" for part in range(1, len(keys) + 1))
    return (
        f"INSERT INTO change (kind, {columns}) SELECT '{kind}', {', '.join(keys)} "
        f"WHERE cardinality({keys[0]}) > 0"
    )


NOTE_STOCK = noted("stock", "$1::text[]", "$2::text[]")
NOTE_SUPPLY = noted("supply", "$4::text[]", "$5::text[]")
NOTE_CAPACITY = noted("capacity", "$1::text[]", "$2::date[]::text[]", "$3::text[]")
NOTE_BUFFERS = noted("buffer", "$1::text[]", "$2::text[]", "$3::text[]")

# A change of promises never writes a larger shortage; it can only make one smaller.
CHANGE_STOCK = """
    UPDATE stock s
    SET version = s.version + 1, reserved = s.reserved + d.quantity,
        shortage = least(s.shortage,
                         greatest(s.reserved + d.quantity - s.on_hand + s.unavailable, 0))
    FROM unnest($1::text[], $2::text[], $3::bigint[]) AS d (sku, node_id, quantity)
    WHERE s.sku = d.sku AND s.node_id = d.node_id
"""
CHANGE_SUPPLY = f"""
    UPDATE supply u
    SET version = u.version + 1, promised = u.promised + d.quantity,
        shortage = least(u.shortage, greatest(u.promised + d.quantity - {PROMISABLE}, 0))
    FROM unnest($4::text[], $5::text[], $6::bigint[]) AS d (sku, supply_id, quantity)
    WHERE u.sku = d.sku AND u.supply_id = d.supply_id
"""


# Locks


async def lock_stock(
    connection: asyncpg.Connection, skus: Sequence[str], node_ids: Sequence[str]
) -> list[asyncpg.Record]:
    """Lock these stock records; the values returned are those under the lock."""
    return await connection.fetch(
        """
        SELECT s.sku, s.node_id, s.on_hand, s.reserved, s.unavailable, s.shortage, s.as_of,
               s.pooled
        FROM unnest($1::text[], $2::text[]) AS k (sku, node_id)
        JOIN stock s USING (sku, node_id)
        ORDER BY s.sku, s.node_id
        FOR UPDATE OF s
        """,
        skus,
        node_ids,
    )


async def lock_supply(
    connection: asyncpg.Connection, skus: Sequence[str], supply_ids: Sequence[str]
) -> list[asyncpg.Record]:
    """Lock these supply rows; the values returned are those under the lock."""
    return await connection.fetch(
        """
        SELECT u.sku, u.supply_id, u.node_id, u.expected_on, u.quantity, u.trust_percent,
               u.received, u.promised, u.shortage,
               (now() AT TIME ZONE 'UTC')::date - u.expected_on AS days_late
        FROM unnest($1::text[], $2::text[]) AS k (sku, supply_id)
        JOIN supply u USING (sku, supply_id)
        ORDER BY u.sku, u.supply_id
        FOR UPDATE OF u
        """,
        skus,
        supply_ids,
    )


async def lock_capacity(
    connection: asyncpg.Connection,
    node_ids: Sequence[str],
    dates: Sequence[date],
    slots: Sequence[str],
) -> list[asyncpg.Record]:
    """Lock these capacity rows; the values returned are those under the lock."""
    return await connection.fetch(
        """
        SELECT c.node_id, c.work_on, c.slot, c.unit, c.maximum, c.used
        FROM unnest($1::text[], $2::date[], $3::text[]) AS k (node_id, work_on, slot)
        JOIN capacity c USING (node_id, work_on, slot)
        ORDER BY c.node_id, c.work_on, c.slot
        FOR UPDATE OF c
        """,
        node_ids,
        dates,
        slots,
    )


async def lock_reservations(
    connection: asyncpg.Connection, holders: Sequence[UUID], states: Sequence[str]
) -> None:
    """Lock the holders' reservations that are in one of `states`.

    A reservation may be split while we wait for it, and the part split off is a row this statement
    cannot see. So it returns nothing: callers act on what their next statement finds.
    """
    await connection.execute(
        """
        SELECT FROM reservation
        WHERE holder_id = ANY ($1::uuid[]) AND state = ANY ($2::text[])
        ORDER BY sku, reservation_id
        FOR UPDATE
        """,
        holders,
        states,
    )


async def lock_promises(
    connection: asyncpg.Connection, holder: UUID, skus: Sequence[str], node_ids: Sequence[str]
) -> None:
    """Lock what the holder has and what waits for supply at these stock records, in one order."""
    await connection.execute(
        f"""
        SELECT FROM reservation
        WHERE (sku, reservation_id) IN (
            SELECT sku, reservation_id FROM reservation
            WHERE holder_id = $1 AND state IN {LIVE}
            UNION ALL
            SELECT r.sku, r.reservation_id
            FROM unnest($2::text[], $3::text[]) AS k (sku, node_id)
            JOIN reservation r USING (sku, node_id)
            WHERE r.supply_id IS NOT NULL AND r.state IN {LIVE}
        )
        ORDER BY sku, reservation_id
        FOR UPDATE
        """,
        holder,
        skus,
        node_ids,
    )


async def lock_due(
    connection: asyncpg.Connection,
    holder_kind: Literal["allocation", "staff"],
    limit: int,
    now: datetime | None,
) -> list[asyncpg.Record]:
    """Lock held reservations that are due, passing over those someone else is working on.

    The kind of holder is part of the statement, so that the index of those of staff serves it.
    """
    return await connection.fetch(
        f"""
        SELECT holder_id
        FROM reservation
        WHERE state = 'held' AND expires_at <= coalesce($2, now()) AND holder_id IN (
            SELECT holder_id FROM reservation
            WHERE state = 'held' AND expires_at <= coalesce($2, now())
              AND holder_kind = '{holder_kind}'
            ORDER BY expires_at LIMIT $1
        )
        ORDER BY sku, reservation_id
        FOR UPDATE SKIP LOCKED
        """,
        limit,
        now,
    )


async def lock_pegs(
    connection: asyncpg.Connection, skus: Sequence[str], node_ids: Sequence[str]
) -> list[asyncpg.Record]:
    """Lock the reservations at these stock records that wait for supply."""
    return await connection.fetch(
        f"""
        SELECT r.sku, r.reservation_id, r.node_id, r.supply_id, r.quantity, r.promise_on,
               r.created_at
        FROM unnest($1::text[], $2::text[]) AS k (sku, node_id)
        JOIN reservation r USING (sku, node_id)
        WHERE r.supply_id IS NOT NULL AND r.state IN {LIVE}
        ORDER BY r.sku, r.reservation_id
        FOR UPDATE OF r
        """,
        skus,
        node_ids,
    )


# Taking and giving back


async def ensure_capacity(
    connection: asyncpg.Connection,
    node_ids: Sequence[str],
    dates: Sequence[date],
    slots: Sequence[str],
) -> None:
    """Make the capacity rows that do not exist yet from their node's default, or from their slot.

    A slot is locked meanwhile, so that who changes its places misses no row.
    """
    await connection.execute(
        """
        WITH made AS (
            INSERT INTO capacity (node_id, work_on, slot, unit, planned, maximum)
            SELECT node_id, k.work_on, k.slot, n.capacity_unit, n.capacity_planned,
                   n.capacity_maximum
            FROM unnest($1::text[], $2::date[], $3::text[]) AS k (node_id, work_on, slot)
            JOIN node n USING (node_id)
            WHERE n.capacity_maximum IS NOT NULL AND k.slot = 'day'
            UNION ALL
            SELECT k.node_id, k.work_on, k.slot, 'orders', NULL, coalesce(
                (SELECT (d->>'places')::bigint FROM jsonb_array_elements(s.dates) AS d
                 WHERE (d->>'on')::date = k.work_on),
                s.places
            )
            FROM unnest($1::text[], $2::date[], $3::text[]) AS k (node_id, work_on, slot)
            JOIN (
                SELECT slot_id, places, dates FROM slot
                WHERE '' = ANY ($1::text[]) AND slot_id = ANY ($3::text[])
                ORDER BY slot_id FOR SHARE
            ) AS s ON s.slot_id = k.slot
            WHERE k.node_id = ''
            ORDER BY node_id, work_on, slot
            ON CONFLICT DO NOTHING
            RETURNING node_id, work_on, slot
        )
        INSERT INTO change (kind, key_1, key_2, key_3)
        SELECT 'capacity', array_agg(node_id), array_agg(work_on::text), array_agg(slot)
        FROM made HAVING count(*) > 0
        """,
        node_ids,
        dates,
        slots,
    )


async def take(
    connection: asyncpg.Connection, stock: Columns, supply: Columns, reservations: Columns
) -> None:
    """Raise the counters of locked rows and insert the reservations they stand for."""
    await connection.execute(
        f"""
        WITH stock_taken AS ({CHANGE_STOCK}), supply_taken AS ({CHANGE_SUPPLY}),
             stock_noted AS ({NOTE_STOCK}), supply_noted AS ({NOTE_SUPPLY})
        INSERT INTO reservation (sku, reservation_id, node_id, line_id, quantity, supply_id,
                                 promise_on, pool_id, pool_units, holder_kind, holder_id, actor,
                                 expires_at, state)
        SELECT * FROM unnest($7::text[], $8::uuid[], $9::text[], $10::text[], $11::bigint[],
                             $12::text[], $13::date[], $14::text[], $15::bigint[], $16::text[],
                             $17::uuid[], $18::text[], $19::timestamptz[], $20::text[])
        """,
        *stock,
        *supply,
        *reservations,
    )


async def change_promises(connection: asyncpg.Connection, stock: Columns, supply: Columns) -> None:
    """Add these amounts, negative to give back, to the promises of locked rows."""
    await connection.execute(
        f"""
        WITH stock_changed AS ({CHANGE_STOCK}), stock_noted AS ({NOTE_STOCK}),
             supply_noted AS ({NOTE_SUPPLY})
        {CHANGE_SUPPLY}
        """,
        *stock,
        *supply,
    )


async def take_capacity(connection: asyncpg.Connection, used: Columns, holds: Columns) -> None:
    """Raise `used` of locked capacity rows and record who holds how much of them."""
    await connection.execute(
        f"""
        WITH taken AS (
            UPDATE capacity c SET version = c.version + 1, used = c.used + d.quantity
            FROM unnest($1::text[], $2::date[], $3::text[], $4::bigint[])
                 AS d (node_id, work_on, slot, quantity)
            WHERE (c.node_id, c.work_on, c.slot) = (d.node_id, d.work_on, d.slot)
        ), noted AS ({NOTE_CAPACITY})
        INSERT INTO capacity_hold AS h (node_id, work_on, slot, holder_id, quantity)
        SELECT * FROM unnest($5::text[], $6::date[], $7::text[], $8::uuid[], $9::bigint[])
        ON CONFLICT (node_id, work_on, slot, holder_id) DO UPDATE
        SET quantity = excluded.quantity + CASE WHEN h.active THEN h.quantity ELSE 0 END,
            active = true
        """,
        *used,
        *holds,
    )


async def give_back_capacity(connection: asyncpg.Connection, used: Columns) -> None:
    """Lower `used` of locked capacity rows."""
    await connection.execute(
        f"""
        WITH noted AS ({NOTE_CAPACITY})
        UPDATE capacity c SET version = c.version + 1, used = c.used - d.quantity
        FROM unnest($1::text[], $2::date[], $3::text[], $4::bigint[])
             AS d (node_id, work_on, slot, quantity)
        WHERE (c.node_id, c.work_on, c.slot) = (d.node_id, d.work_on, d.slot)
        """,
        *used,
    )


async def end_capacity_holds(
    connection: asyncpg.Connection, holders: Sequence[UUID]
) -> list[asyncpg.Record]:
    """End the holders' capacity holds, except at nodes that have already dispatched for them.

    A place in a slot is kept once anything has been dispatched: it still arrives then.
    """
    return await connection.fetch(
        """
        UPDATE capacity_hold h SET active = false
        WHERE h.holder_id = ANY ($1::uuid[]) AND h.active AND NOT EXISTS (
            SELECT FROM reservation r
            WHERE r.holder_id = h.holder_id AND h.node_id IN ('', r.node_id)
              AND r.state = 'consumed'
        )
        RETURNING h.node_id, h.work_on, h.slot, h.quantity
        """,
        holders,
    )


# Reservations through their states


async def confirm_reservations(
    connection: asyncpg.Connection, holders: Sequence[UUID]
) -> list[asyncpg.Record]:
    """Confirm the holders' held reservations, which are locked."""
    return await connection.fetch(
        """
        UPDATE reservation SET state = 'confirmed'
        WHERE holder_id = ANY ($1::uuid[]) AND state = 'held'
        RETURNING holder_id
        """,
        holders,
    )


async def extend_reservations(
    connection: asyncpg.Connection, holder: UUID, expires_at: datetime
) -> str:
    """Set when the holder's held reservations, which are locked, expire."""
    return await connection.execute(
        "UPDATE reservation SET expires_at = $2 WHERE holder_id = $1 AND state = 'held'",
        holder,
        expires_at,
    )


async def end_reservations(
    connection: asyncpg.Connection, holders: Sequence[UUID], states: Sequence[str], state: str
) -> list[asyncpg.Record]:
    """Move the holders' locked reservations from one of `states` to the final `state`."""
    return await connection.fetch(
        """
        UPDATE reservation SET state = $3, resolved_at = now()
        WHERE holder_id = ANY ($1::uuid[]) AND state = ANY ($2::text[])
        RETURNING holder_id, sku, node_id, quantity, supply_id, pool_id, pool_units
        """,
        holders,
        states,
        state,
    )


async def find_held(connection: asyncpg.Connection, holder: UUID) -> list[asyncpg.Record]:
    """Find the holder's live reservations, which are locked."""
    return await connection.fetch(
        f"""
        SELECT sku, reservation_id, node_id, line_id, quantity, supply_id, pool_id,
               coalesce(pool_units, 0) AS pool_units
        FROM reservation
        WHERE holder_id = $1 AND state IN {LIVE}
        ORDER BY sku, node_id, reservation_id
        """,
        holder,
    )


async def release_parts(
    connection: asyncpg.Connection, whole: Columns, kept: Columns, split: Columns
) -> None:
    """Release locked reservations: some whole, of others the part that is split off."""
    await connection.execute(
        """
        WITH ended AS (
            UPDATE reservation r SET state = 'released', resolved_at = now()
            FROM unnest($1::text[], $2::uuid[]) AS d (sku, reservation_id)
            WHERE (r.sku, r.reservation_id) = (d.sku, d.reservation_id)
        ), kept AS (
            UPDATE reservation r
            SET quantity = d.quantity, pool_units = nullif(d.pool_units, 0),
                pool_id = CASE WHEN d.pool_units > 0 THEN r.pool_id END
            FROM unnest($3::text[], $4::uuid[], $5::bigint[], $6::bigint[])
                 AS d (sku, reservation_id, quantity, pool_units)
            WHERE (r.sku, r.reservation_id) = (d.sku, d.reservation_id)
        )
        INSERT INTO reservation (sku, reservation_id, node_id, line_id, quantity, supply_id,
                                 promise_on, holder_kind, holder_id, actor, expires_at, state,
                                 created_at, resolved_at)
        SELECT r.sku, d.split_id, r.node_id, r.line_id, d.quantity, r.supply_id, r.promise_on,
               r.holder_kind, r.holder_id, r.actor, r.expires_at, 'released', r.created_at, now()
        FROM unnest($7::text[], $8::uuid[], $9::uuid[], $10::bigint[])
             AS d (sku, reservation_id, split_id, quantity)
        JOIN reservation r USING (sku, reservation_id)
        """,
        *whole,
        *kept,
        *split,
    )


async def lower_capacity_holds(
    connection: asyncpg.Connection, holder: UUID, amounts: Columns
) -> None:
    """Lower what a holder holds of capacity; a hold of which nothing is left ends."""
    await connection.execute(
        """
        UPDATE capacity_hold h
        SET quantity = CASE WHEN d.quantity < h.quantity THEN h.quantity - d.quantity
                            ELSE h.quantity END,
            active = d.quantity < h.quantity
        FROM unnest($2::text[], $3::date[], $4::text[], $5::bigint[])
             AS d (node_id, work_on, slot, quantity)
        WHERE (h.node_id, h.work_on, h.slot, h.holder_id) = (d.node_id, d.work_on, d.slot, $1)
          AND h.active
        """,
        holder,
        *amounts,
    )


async def count_live(
    connection: asyncpg.Connection, holders: Sequence[UUID]
) -> list[asyncpg.Record]:
    """Count the holders' live reservations."""
    return await connection.fetch(
        f"""
        SELECT holder_id, count(*) AS live FROM reservation
        WHERE holder_id = ANY ($1::uuid[]) AND state IN {LIVE}
        GROUP BY holder_id
        """,
        holders,
    )


# The ledger


async def ensure_stock(
    connection: asyncpg.Connection, skus: Sequence[str], node_ids: Sequence[str]
) -> list[asyncpg.Record]:
    """Make the stock records that do not exist yet, empty; return those that were made."""
    return await connection.fetch(
        """
        INSERT INTO stock (sku, node_id)
        SELECT k.sku, k.node_id FROM unnest($1::text[], $2::text[]) AS k (sku, node_id)
        WHERE NOT EXISTS (SELECT FROM stock s WHERE (s.sku, s.node_id) = (k.sku, k.node_id))
        ORDER BY k.sku, k.node_id
        ON CONFLICT DO NOTHING
        RETURNING sku, node_id
        """,
        skus,
        node_ids,
    )


async def find_pegs(
    connection: asyncpg.Connection, skus: Sequence[str], node_ids: Sequence[str]
) -> list[asyncpg.Record]:
    """Find the reservations at these locked stock records that wait for supply."""
    return await connection.fetch(
        f"""
        SELECT r.sku, r.reservation_id, r.node_id, r.supply_id, r.quantity, r.promise_on,
               r.created_at
        FROM unnest($1::text[], $2::text[]) AS k (sku, node_id)
        JOIN reservation r USING (sku, node_id)
        WHERE r.supply_id IS NOT NULL AND r.state IN {LIVE}
        """,
        skus,
        node_ids,
    )


async def find_supply(
    connection: asyncpg.Connection, skus: Sequence[str], node_ids: Sequence[str]
) -> list[asyncpg.Record]:
    """Find the supply that is still to come at these stock records."""
    return await connection.fetch(
        """
        SELECT u.sku, u.supply_id
        FROM unnest($1::text[], $2::text[]) AS k (sku, node_id) JOIN supply u USING (sku, node_id)
        WHERE u.quantity > u.received
        """,
        skus,
        node_ids,
    )


async def post(connection: asyncpg.Connection, stock: Columns, movements: Columns) -> None:
    """Write movements and the counters of the locked stock records they change, at once.

    Nothing has happened later than now, whatever the clock of whoever reports it says. `least`
    passes over nulls: without the CASE every movement would pass for a snapshot as of now.
    """
    await connection.execute(
        f"""
        WITH changed AS (
            UPDATE stock s
            SET version = s.version + 1,
                on_hand = s.on_hand + d.on_hand, unavailable = s.unavailable + d.unavailable,
                reserved = s.reserved + d.reserved, shortage = d.shortage,
                as_of = CASE WHEN d.as_of IS NULL THEN s.as_of ELSE least(d.as_of, now()) END
            FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[],
                        $6::bigint[], $7::timestamptz[])
                 AS d (sku, node_id, on_hand, unavailable, reserved, shortage, as_of)
            WHERE s.sku = d.sku AND s.node_id = d.node_id
        ), noted AS ({NOTE_STOCK})
        INSERT INTO movement (sku, movement_id, node_id, kind, quantity, happened_at, reference,
                              reason, source, actor)
        SELECT sku, coalesce(movement_id, gen_random_uuid()), node_id, kind, quantity,
               least(coalesce(happened_at, now()), now()), reference, reason, source, actor
        FROM unnest($8::text[], $9::uuid[], $10::text[], $11::text[], $12::bigint[],
                    $13::timestamptz[], $14::text[], $15::text[], $16::text[], $17::text[])
             AS m (sku, movement_id, node_id, kind, quantity, happened_at, reference, reason,
                   source, actor)
        """,
        *stock,
        *movements,
    )


async def split_pegs(connection: asyncpg.Connection, kept: Columns, split: Columns) -> None:
    """Change what locked reservations keep and where it comes from; insert what is split off."""
    await connection.execute(
        """
        WITH kept AS (
            UPDATE reservation r SET quantity = d.quantity, supply_id = d.supply_id
            FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::text[])
                 AS d (sku, reservation_id, quantity, supply_id)
            WHERE (r.sku, r.reservation_id) = (d.sku, d.reservation_id)
        )
        INSERT INTO reservation (sku, reservation_id, node_id, line_id, quantity, supply_id,
                                 promise_on, holder_kind, holder_id, actor, expires_at, state,
                                 created_at)
        SELECT r.sku, d.split_id, r.node_id, r.line_id, d.quantity, d.supply_id, r.promise_on,
               r.holder_kind, r.holder_id, r.actor, r.expires_at, r.state, r.created_at
        FROM unnest($5::text[], $6::uuid[], $7::uuid[], $8::bigint[], $9::text[])
             AS d (sku, reservation_id, split_id, quantity, supply_id)
        JOIN reservation r USING (sku, reservation_id)
        """,
        *kept,
        *split,
    )


async def set_supply(connection: asyncpg.Connection, counters: Columns) -> None:
    """Set the counters of locked supply rows."""
    await connection.execute(
        f"""
        WITH noted AS ({noted("supply", "$1::text[]", "$2::text[]")})
        UPDATE supply u
        SET version = u.version + 1, received = d.received, promised = d.promised,
            shortage = d.shortage
        FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
             AS d (sku, supply_id, received, promised, shortage)
        WHERE u.sku = d.sku AND u.supply_id = d.supply_id
        """,
        *counters,
    )


async def find_movements(
    connection: asyncpg.Connection, skus: Sequence[str], movement_ids: Sequence[UUID]
) -> list[asyncpg.Record]:
    """Find which of these movements are recorded already."""
    return await connection.fetch(
        """
        SELECT m.sku, m.movement_id, m.node_id, m.kind, m.quantity
        FROM unnest($1::text[], $2::uuid[]) AS k (sku, movement_id)
        JOIN movement m USING (sku, movement_id)
        """,
        skus,
        movement_ids,
    )


async def sum_movements_after(
    connection: asyncpg.Connection,
    keys: Columns,
    earliest: datetime,
    kinds: Columns,
) -> list[asyncpg.Record]:
    """Sum what has moved at each record after its instant; none of them is before `earliest`.

    What is recorded has happened, so older partitions need not be looked at.
    """
    return await connection.fetch(
        """
        SELECT k.sku, k.node_id, sum(m.quantity * e.on_hand)::bigint AS on_hand,
               sum(m.quantity * e.unavailable)::bigint AS unavailable
        FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS k (sku, node_id, as_of)
        JOIN movement m ON m.sku = k.sku AND m.node_id = k.node_id AND m.happened_at > k.as_of
                       AND m.recorded_at > $4
        JOIN unnest($5::text[], $6::int[], $7::int[]) AS e (kind, on_hand, unavailable)
             ON e.kind = m.kind
        GROUP BY k.sku, k.node_id
        """,
        *keys,
        earliest,
        *kinds,
    )


async def find_folded(connection: asyncpg.Connection, keys: Columns) -> list[asyncpg.Record]:
    """Find records whose movements after the given instant have in part been folded away."""
    return await connection.fetch(
        """
        SELECT o.sku, o.node_id
        FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS k (sku, node_id, as_of)
        JOIN stock_opening o USING (sku, node_id)
        WHERE o.folded_to > k.as_of
        """,
        *keys,
    )


async def find_references(
    connection: asyncpg.Connection,
    skus: Sequence[str],
    node_ids: Sequence[str],
    references: Sequence[str],
) -> list[asyncpg.Record]:
    """Find movements of our own, not a feed's, that carry these references."""
    return await connection.fetch(
        """
        SELECT DISTINCT m.sku, m.node_id, m.reference, m.kind
        FROM unnest($1::text[], $2::text[], $3::text[]) AS k (sku, node_id, reference)
        JOIN movement m USING (sku, node_id, reference)
        WHERE m.source IS NULL
        """,
        skus,
        node_ids,
        references,
    )


async def claim_message(
    connection: asyncpg.Connection, source: str, sequence: int, kind: str, size: int
) -> bool:
    """Note that this message of a source is being applied; false when it has been before."""
    status = await connection.execute(
        """
        INSERT INTO feed_message (source, sequence, kind, records) VALUES ($1, $2, $3, $4)
        ON CONFLICT DO NOTHING
        """,
        source,
        sequence,
        kind,
        size,
    )
    return status == "INSERT 0 1"


async def advance_feed(connection: asyncpg.Connection, source: str, sequence: int) -> int:
    """Move a source's watermark to a new message; return how many before it are missing."""
    missing: int = await connection.fetchval(
        """
        INSERT INTO feed AS f (source, sequence) VALUES ($1, $2)
        ON CONFLICT (source) DO UPDATE
        SET gaps = greatest(0, f.gaps + CASE WHEN $2 < f.sequence THEN -1
                                             ELSE greatest($2 - f.sequence - 1, 0) END),
            sequence = greatest(f.sequence, $2), received_at = now()
        RETURNING gaps
        """,
        source,
        sequence,
    )
    return missing


async def find_confirmed(connection: asyncpg.Connection, holder: UUID) -> list[asyncpg.Record]:
    """Find the holder's confirmed reservations, which are locked."""
    return await connection.fetch(
        """
        SELECT sku, reservation_id, node_id, line_id, quantity, supply_id, pool_id,
               coalesce(pool_units, 0) AS pool_units
        FROM reservation
        WHERE holder_id = $1 AND state = 'confirmed'
        ORDER BY sku, node_id, reservation_id
        """,
        holder,
    )


async def consume_reservations(
    connection: asyncpg.Connection, kept: Columns, split: Columns
) -> None:
    """Consume locked reservations: what is kept by its name, whole or not yet, and what is split."""
    await connection.execute(
        """
        WITH kept AS (
            UPDATE reservation r
            SET quantity = d.quantity, movement_id = d.movement_id,
                pool_units = nullif(d.pool_units, 0),
                pool_id = CASE WHEN d.pool_units > 0 THEN r.pool_id END,
                state = CASE WHEN d.movement_id IS NULL THEN r.state ELSE 'consumed' END,
                resolved_at = CASE WHEN d.movement_id IS NULL THEN NULL ELSE now() END
            FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::uuid[], $5::bigint[])
                 AS d (sku, reservation_id, quantity, movement_id, pool_units)
            WHERE (r.sku, r.reservation_id) = (d.sku, d.reservation_id)
        )
        INSERT INTO reservation (sku, reservation_id, node_id, line_id, quantity, movement_id,
                                 promise_on, holder_kind, holder_id, actor, expires_at, state,
                                 created_at, resolved_at, pool_id, pool_units)
        SELECT r.sku, d.split_id, r.node_id, r.line_id, d.quantity, d.movement_id, r.promise_on,
               r.holder_kind, r.holder_id, r.actor, r.expires_at, 'consumed', r.created_at, now(),
               CASE WHEN d.pool_units > 0 THEN r.pool_id END, nullif(d.pool_units, 0)
        FROM unnest($6::text[], $7::uuid[], $8::uuid[], $9::bigint[], $10::uuid[], $11::bigint[])
             AS d (sku, reservation_id, split_id, quantity, movement_id, pool_units)
        JOIN reservation r USING (sku, reservation_id)
        """,
        *kept,
        *split,
    )


# Reading what can be promised


async def read_stock(
    connection: asyncpg.Connection, skus: Sequence[str], node_ids: Sequence[str] | None
) -> list[asyncpg.Record]:
    """Read the stock records of these skus at enabled nodes, or at those of `node_ids`."""
    return await connection.fetch(
        """
        SELECT s.sku, s.node_id, s.on_hand, s.reserved, s.unavailable, s.shortage, s.pooled
        FROM stock s JOIN node n USING (node_id)
        WHERE s.sku = ANY ($1::text[]) AND n.enabled
          AND ($2::text[] IS NULL OR node_id = ANY ($2::text[]))
        ORDER BY s.sku, node_id
        """,
        skus,
        node_ids,
    )


async def read_supply(
    connection: asyncpg.Connection,
    skus: Sequence[str],
    node_ids: Sequence[str] | None,
    *,
    today: date | None,
    grace_days: int,
) -> list[asyncpg.Record]:
    """Read supply that may still be promised from, by date; what is late is expected today."""
    return await connection.fetch(
        f"""
        SELECT u.sku, u.node_id, u.supply_id,
               greatest(u.expected_on, d.today) AS expected_on, {PROMISABLE} - u.promised AS free
        FROM supply u, (SELECT coalesce($3, (now() AT TIME ZONE 'UTC')::date) AS today) AS d
        WHERE u.sku = ANY ($1::text[]) AND u.quantity > u.received
          AND ($2::text[] IS NULL OR u.node_id = ANY ($2::text[]))
          AND d.today - u.expected_on <= $4
        ORDER BY u.sku, u.node_id, u.expected_on, u.supply_id
        """,
        skus,
        node_ids,
        today,
        grace_days,
    )


async def read_buffers(
    connection: asyncpg.Connection, skus: Sequence[str], channels: Sequence[str]
) -> list[asyncpg.Record]:
    """Read the buffer rules that could apply to these skus in any of these channels."""
    return await connection.fetch(
        """
        SELECT sku, node_id, channel, quantity FROM buffer
        WHERE sku = ANY ($1::text[] || '*'::text) AND channel = ANY ($2::text[])
        """,
        skus,
        channels,
    )


async def read_set_capacity(
    connection: asyncpg.Connection, node_ids: Sequence[str], from_on: date, days: int
) -> list[asyncpg.Record]:
    """Read what nodes have left on the dates that have figures of their own."""
    return await connection.fetch(
        """
        SELECT node_id, work_on, slot, unit, maximum - used AS remaining,
               planned - used AS planned_remaining
        FROM capacity
        WHERE node_id = ANY ($1::text[]) AND work_on >= $2 AND work_on < $2 + $3::int
        ORDER BY node_id, work_on, slot
        """,
        node_ids,
        from_on,
        days,
    )


async def read_capacity(
    connection: asyncpg.Connection, node_ids: Sequence[str], from_on: date, days: int
) -> list[asyncpg.Record]:
    """Read what limited nodes have left by date, from their default where no row exists yet."""
    return await connection.fetch(
        """
        SELECT c.node_id, c.work_on, c.slot, c.unit, c.maximum - c.used AS remaining,
               c.planned - c.used AS planned_remaining
        FROM capacity c
        WHERE c.node_id = ANY ($1::text[]) AND c.work_on >= $2 AND c.work_on < $2 + $3::int
        UNION ALL
        SELECT n.node_id, d.work_on, 'day', n.capacity_unit, n.capacity_maximum,
               n.capacity_planned
        FROM node n CROSS JOIN (
            SELECT $2::date + i AS work_on FROM generate_series(0, $3::int - 1) AS i
        ) AS d
        WHERE n.node_id = ANY ($1::text[]) AND n.capacity_maximum IS NOT NULL
          AND NOT EXISTS (
              SELECT FROM capacity c
              WHERE (c.node_id, c.work_on, c.slot) = (n.node_id, d.work_on, 'day')
          )
        ORDER BY 1, 2, 3
        """,
        node_ids,
        from_on,
        days,
    )


# Following changes: a change is new to a snapshot that sees it, when the one before did not


async def current_snapshot(connection: asyncpg.Connection) -> asyncpg.Record:
    """Return the snapshot at hand, in the form in which statements take it back, and its server."""
    (row,) = await connection.fetch(
        "SELECT pg_current_snapshot()::text AS snapshot, pg_postmaster_start_time() AS server"
    )
    return row


async def read_changes(
    connection: asyncpg.Connection, seen: str, known: Sequence[int]
) -> list[asyncpg.Record]:
    """Read the changes that the snapshot `seen` did not see yet, and the snapshot that does.

    Those of stock by the transactions `known` are left out.

    Always returns a row; without changes its kind is null. `now` is the database's clock, and `gone`
    tells that changes which `seen`
    did not see may have been deleted.
    """
    return await connection.fetch(
        """
        SELECT pg_current_snapshot()::text AS snapshot, pg_postmaster_start_time() AS server,
               statement_timestamp() AS now,
               pg_snapshot_xmax(f.seen::pg_snapshot) > pg_snapshot_xmax($1::text::pg_snapshot)
               OR EXISTS (
                   SELECT FROM pg_snapshot_xip($1::text::pg_snapshot) AS running
                   WHERE pg_visible_in_snapshot(running, f.seen::pg_snapshot)
               ) AS gone,
               c.kind, c.key_1, c.key_2, c.key_3
        FROM change_floor f
        LEFT JOIN change c
            ON c.xid >= (pg_snapshot_xmin($1::text::pg_snapshot)::text)::bigint
            AND NOT pg_visible_in_snapshot((c.xid::text)::xid8, $1::text::pg_snapshot)
            AND NOT (c.kind = 'stock' AND c.xid = ANY($2::bigint[]))
        """,
        seen,
        known,
    )


async def advance_floor(connection: asyncpg.Connection, before: datetime) -> bool:
    """Let changes be deleted up to the snapshot set aside before an instant; false when none was.

    A floor from the future was restored from another server, whose transactions had other numbers:
    it starts anew, and whoever follows loads anew.
    """
    status = await connection.execute(
        """
        UPDATE change_floor
        SET seen = CASE WHEN restored THEN pg_current_snapshot()::text ELSE next_seen END,
            next_seen = pg_current_snapshot()::text, next_at = now()
        FROM (
            SELECT pg_snapshot_xmax(next_seen::pg_snapshot)
                   > pg_snapshot_xmax(pg_current_snapshot()) AS restored
            FROM change_floor
        ) AS found
        WHERE next_at < $1 OR restored
        """,
        before,
    )
    return status == "UPDATE 1"


async def delete_changes(connection: asyncpg.Connection, limit: int) -> int:
    """Delete at most `limit` changes that the floor sees, or that no transaction here wrote."""
    done: str = await connection.execute(
        """
        DELETE FROM change WHERE ctid = ANY (ARRAY(
            SELECT c.ctid FROM change c, change_floor f
            WHERE pg_visible_in_snapshot((c.xid::text)::xid8, f.seen::pg_snapshot)
               OR c.xid >= (pg_snapshot_xmax(pg_current_snapshot())::text)::bigint
            ORDER BY c.xid LIMIT $1
        ))
        """,
        limit,
    )
    return int(done.removeprefix("DELETE "))


# Reading what a view holds, all of it or some keys

VIEWED_STOCK = (
    "SELECT s.sku, s.node_id, s.on_hand, s.reserved, s.unavailable, s.version FROM stock s"
)
VIEWED_SUPPLY = """
    SELECT u.sku, u.supply_id, u.node_id, u.expected_on, u.quantity, u.trust_percent, u.received,
           u.promised, u.version FROM supply u
"""
VIEWED_CAPACITY = """
    SELECT c.node_id, c.work_on, c.slot, c.unit, c.planned, c.maximum, c.used, c.version
    FROM capacity c
"""


async def forbid_timeout(connection: asyncpg.Connection) -> None:
    """Let the statements of this transaction take as long as it takes to read whole tables."""
    await connection.execute("SET LOCAL statement_timeout = 0")


async def copy_stock(
    connection: asyncpg.Connection, sink: Callable[[bytes], Coroutine[Any, Any, None]]
) -> None:
    """Pass every stock record to `sink`, as PostgreSQL's binary COPY in pieces of any length."""
    await connection.copy_from_query(VIEWED_STOCK, output=sink, format="binary")


async def view_nodes(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Read the ids of all nodes, in order."""
    return await connection.fetch("SELECT node_id FROM node ORDER BY node_id")


VIEWED_ITEM = (
    "SELECT sku, weight_grams, requires,"
    " coalesce(length_mm::bigint * width_mm * height_mm, 0) AS volume_mm3, components FROM item"
)


async def view_items(
    connection: asyncpg.Connection, after: str, limit: int
) -> list[asyncpg.Record]:
    """Read items in order of their sku, from the one after `after`."""
    return await connection.fetch(
        f"{VIEWED_ITEM} WHERE sku > $1 ORDER BY sku LIMIT $2",
        after,
        limit,
    )


async def view_open_supply(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Read all supply that is still to come."""
    return await connection.fetch(f"{VIEWED_SUPPLY} WHERE u.quantity > u.received")


async def view_capacity_from(connection: asyncpg.Connection, day: date) -> list[asyncpg.Record]:
    """Read all capacity rows of `day` and later dates."""
    return await connection.fetch(f"{VIEWED_CAPACITY} WHERE c.work_on >= $1", day)


async def view_buffers(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Read all buffer rules."""
    return await connection.fetch("SELECT sku, node_id, channel, quantity FROM buffer")


async def find_viewed_stock(connection: asyncpg.Connection, keys: Columns) -> list[asyncpg.Record]:
    """Read these stock records."""
    return await connection.fetch(
        f"{VIEWED_STOCK} JOIN unnest($1::text[], $2::text[]) AS k (sku, node_id) "
        "USING (sku, node_id)",
        *keys,
    )


async def find_viewed_skus(
    connection: asyncpg.Connection, skus: Sequence[str]
) -> tuple[list[tuple[Any, ...]], bool, bool]:
    """Read all stock records of these skus, and whether there are quotas and supply of them.

    Nearly always there are none, and asking for both would take as long as the stock itself.
    """
    rows = await connection.fetch(
        f"""
        SELECT s.*, f.*
        FROM (SELECT EXISTS (SELECT FROM quota q WHERE q.sku = ANY ($1::text[])) AS has_quotas,
                     EXISTS (SELECT FROM supply u WHERE u.sku = ANY ($1::text[])) AS has_supply
        ) AS f
        LEFT JOIN ({VIEWED_STOCK}) AS s ON s.sku = ANY ($1::text[])
        """,
        skus,
    )
    *_, has_quotas, has_supply = rows[0]
    return [row[:-2] for row in rows if row["sku"] is not None], has_quotas, has_supply


async def find_viewed_supply(connection: asyncpg.Connection, keys: Columns) -> list[asyncpg.Record]:
    """Read these supplies, come in or not."""
    return await connection.fetch(
        f"{VIEWED_SUPPLY} JOIN unnest($1::text[], $2::text[]) AS k (sku, supply_id) "
        "USING (sku, supply_id)",
        *keys,
    )


async def find_viewed_arrivals(
    connection: asyncpg.Connection, skus: Sequence[str]
) -> list[asyncpg.Record]:
    """Read all supply of these skus, come in or not."""
    return await connection.fetch(f"{VIEWED_SUPPLY} WHERE u.sku = ANY ($1::text[])", skus)


async def find_viewed_capacity(
    connection: asyncpg.Connection, keys: Columns
) -> list[asyncpg.Record]:
    """Read these capacity rows."""
    return await connection.fetch(
        f"{VIEWED_CAPACITY} JOIN unnest($1::text[], $2::text[]::date[], $3::text[]) "
        "AS k (node_id, work_on, slot) USING (node_id, work_on, slot)",
        *keys,
    )


async def find_viewed_items(
    connection: asyncpg.Connection, skus: Sequence[str]
) -> list[asyncpg.Record]:
    """Read what a view holds of these items."""
    return await connection.fetch(f"{VIEWED_ITEM} WHERE sku = ANY ($1::text[])", skus)


async def find_viewed_buffers(
    connection: asyncpg.Connection, keys: Columns
) -> list[asyncpg.Record]:
    """Read those of these buffer rules that exist."""
    return await connection.fetch(
        "SELECT sku, node_id, channel, quantity FROM buffer "
        "JOIN unnest($1::text[], $2::text[], $3::text[]) AS k (sku, node_id, channel) "
        "USING (sku, node_id, channel)",
        *keys,
    )


# Supply


async def put_supply(connection: asyncpg.Connection, supply: Columns) -> None:
    """Insert supply or replace what is known of it, recording at once what it falls short of."""
    await connection.execute(
        f"""
        WITH noted AS ({noted("supply", "$1::text[]", "$2::text[]")})
        INSERT INTO supply AS u (sku, supply_id, node_id, kind, expected_on, quantity,
                                 trust_percent)
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::date[],
                             $6::bigint[], $7::int[])
                      AS d (sku, supply_id, node_id, kind, expected_on, quantity, trust_percent)
        ORDER BY sku, supply_id
        ON CONFLICT (sku, supply_id) DO UPDATE
        SET version = u.version + 1,
            node_id = excluded.node_id, kind = excluded.kind, expected_on = excluded.expected_on,
            quantity = excluded.quantity, trust_percent = excluded.trust_percent,
            shortage = greatest(0, u.promised - greatest(excluded.quantity - u.received, 0)
                                                * excluded.trust_percent / 100),
            changed_at = now()
        """,
        *supply,
    )


async def read_supply_rows(
    connection: asyncpg.Connection, skus: Sequence[str]
) -> list[asyncpg.Record]:
    """Read all supply of these skus, come in or not."""
    return await connection.fetch(
        """
        SELECT sku, supply_id, node_id, kind, expected_on, quantity, trust_percent, received,
               promised, shortage
        FROM supply WHERE sku = ANY ($1::text[])
        ORDER BY sku, node_id, expected_on, supply_id
        """,
        skus,
    )


# Master data: rows go in as JSON, because lists of capabilities do not fit into arrays of columns


async def put_nodes(connection: asyncpg.Connection, nodes: str) -> None:
    """Insert or replace nodes; a node that exists keeps its switch."""
    await connection.execute(
        """
        INSERT INTO node (node_id, kind, name, country, latitude, longitude, time_zone,
                          calendar_id, cut_off, handling_days, capabilities, groups,
                          handling_order_minor, handling_unit_minor, enabled, capacity_unit,
                          capacity_planned, capacity_maximum, partner_id, overload_minor)
        SELECT * FROM jsonb_to_recordset($1::text::jsonb) AS r (
            node_id text, kind text, name text, country text, latitude float8, longitude float8,
            time_zone text, calendar_id text, cut_off time, handling_days int,
            capabilities text[], groups text[], handling_order_minor int8,
            handling_unit_minor int8,
            enabled boolean, capacity_unit text, capacity_planned int8, capacity_maximum int8,
            partner_id text, overload_minor int8)
        ORDER BY node_id
        ON CONFLICT (node_id) DO UPDATE SET
            kind = excluded.kind, name = excluded.name, country = excluded.country,
            latitude = excluded.latitude, longitude = excluded.longitude,
            time_zone = excluded.time_zone, calendar_id = excluded.calendar_id,
            cut_off = excluded.cut_off, handling_days = excluded.handling_days,
            capabilities = excluded.capabilities, groups = excluded.groups,
            handling_order_minor = excluded.handling_order_minor,
            handling_unit_minor = excluded.handling_unit_minor,
            capacity_unit = excluded.capacity_unit,
            capacity_planned = excluded.capacity_planned,
            capacity_maximum = excluded.capacity_maximum, partner_id = excluded.partner_id,
            overload_minor = excluded.overload_minor,
            changed_at = now()
        """,
        nodes,
    )


async def read_nodes(
    connection: asyncpg.Connection, node_ids: Sequence[str] | None, after: str, limit: int | None
) -> list[asyncpg.Record]:
    """Read these nodes, or all in order of their id from the one after `after`."""
    return await connection.fetch(
        """
        SELECT node_id, kind, name, country, latitude, longitude, time_zone, calendar_id, cut_off,
               handling_days, capabilities, groups, handling_order_minor, handling_unit_minor,
               enabled, capacity_unit, capacity_planned, capacity_maximum, partner_id,
               overload_minor
        FROM node
        WHERE ($1::text[] IS NULL OR node_id = ANY ($1::text[])) AND node_id > $2
        ORDER BY node_id LIMIT $3
        """,
        node_ids,
        after,
        limit,
    )


async def set_enabled(connection: asyncpg.Connection, node_id: str, *, enabled: bool) -> str:
    """Switch a node on or off for new work."""
    return await connection.execute(
        "UPDATE node SET enabled = $2, changed_at = now() WHERE node_id = $1", node_id, enabled
    )


async def find_nodes(
    connection: asyncpg.Connection, node_ids: Sequence[str]
) -> list[asyncpg.Record]:
    """Find which of these nodes exist."""
    return await connection.fetch(
        "SELECT node_id FROM node WHERE node_id = ANY ($1::text[])", node_ids
    )


async def put_items(connection: asyncpg.Connection, items: str, *, keep_kits: bool) -> None:
    """Insert or replace items; with `keep_kits` those that exist keep their components."""
    await connection.execute(
        """
        WITH put AS (
            INSERT INTO item AS i (sku, name, category, weight_grams, length_mm, width_mm,
                                   height_mm, requires, unit_margin_minor, components,
                                   unit_price_minor, markdown_on, markdown_price_minor, style,
                                   size)
            SELECT * FROM jsonb_to_recordset($1::text::jsonb) AS r (
                sku text, name text, category text, weight_grams int, length_mm int,
                width_mm int, height_mm int, requires text[], unit_margin_minor int8,
                components jsonb, unit_price_minor int8, markdown_on date,
                markdown_price_minor int8, style text, size text)
            ORDER BY sku
            ON CONFLICT (sku) DO UPDATE SET
                name = excluded.name, category = excluded.category,
                weight_grams = excluded.weight_grams, length_mm = excluded.length_mm,
                width_mm = excluded.width_mm, height_mm = excluded.height_mm,
                requires = excluded.requires,
                unit_margin_minor = excluded.unit_margin_minor,
                components = CASE WHEN $2 THEN i.components ELSE excluded.components END,
                unit_price_minor = excluded.unit_price_minor,
                markdown_on = excluded.markdown_on,
                markdown_price_minor = excluded.markdown_price_minor,
                style = excluded.style, size = excluded.size, changed_at = now()
            RETURNING sku
        )
        INSERT INTO change (kind, key_1)
        SELECT 'item', array_agg(sku) FROM put HAVING count(*) > 0
        """,
        items,
        keep_kits,
    )


async def find_kits(connection: asyncpg.Connection, skus: Sequence[str]) -> list[asyncpg.Record]:
    """Read which of these items are kits."""
    return await connection.fetch(
        "SELECT sku FROM item WHERE sku = ANY ($1::text[]) AND components <> '[]'", skus
    )


async def find_kits_with(connection: asyncpg.Connection, sku: str) -> list[asyncpg.Record]:
    """Read which kits an item is in."""
    return await connection.fetch(
        "SELECT sku FROM item"
        " WHERE components @> jsonb_build_array(jsonb_build_object('sku', $1::text))",
        sku,
    )


async def read_items(
    connection: asyncpg.Connection, skus: Sequence[str] | None, after: str, limit: int | None
) -> list[asyncpg.Record]:
    """Read these items, or all in order of their sku from the one after `after`."""
    return await connection.fetch(
        """
        SELECT sku, name, category, weight_grams, length_mm, width_mm, height_mm, requires,
               unit_margin_minor, components, unit_price_minor, markdown_on,
               markdown_price_minor, style, size
        FROM item
        WHERE ($1::text[] IS NULL OR sku = ANY ($1::text[])) AND sku > $2
        ORDER BY sku LIMIT $3
        """,
        skus,
        after,
        limit,
    )


async def find_items(connection: asyncpg.Connection, skus: Sequence[str]) -> list[asyncpg.Record]:
    """Find which of these items exist."""
    return await connection.fetch("SELECT sku FROM item WHERE sku = ANY ($1::text[])", skus)


async def put_buffers(connection: asyncpg.Connection, buffers: Columns) -> None:
    """Insert or replace buffer rules."""
    await connection.execute(
        f"""
        WITH noted AS ({NOTE_BUFFERS})
        INSERT INTO buffer (sku, node_id, channel, quantity)
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[])
                      AS r (sku, node_id, channel, quantity)
        ORDER BY sku, node_id, channel
        ON CONFLICT (sku, node_id, channel) DO UPDATE SET quantity = excluded.quantity
        """,
        *buffers,
    )


async def delete_buffers(connection: asyncpg.Connection, keys: Columns) -> str:
    """Delete buffer rules, so that less specific ones apply again."""
    return await connection.execute(
        f"""
        WITH noted AS ({NOTE_BUFFERS})
        DELETE FROM buffer b
        USING unnest($1::text[], $2::text[], $3::text[]) AS k (sku, node_id, channel)
        WHERE (b.sku, b.node_id, b.channel) = (k.sku, k.node_id, k.channel)
        """,
        *keys,
    )


async def put_capacity(connection: asyncpg.Connection, capacity: Columns) -> list[asyncpg.Record]:
    """Insert or replace capacity; a row in use keeps its unit, and is then not returned."""
    return await connection.fetch(
        f"""
        WITH noted AS ({NOTE_CAPACITY})
        INSERT INTO capacity AS c (node_id, work_on, slot, unit, planned, maximum)
        SELECT * FROM unnest($1::text[], $2::date[], $3::text[], $4::text[], $5::bigint[],
                             $6::bigint[]) AS r (node_id, work_on, slot, unit, planned, maximum)
        ORDER BY node_id, work_on, slot
        ON CONFLICT (node_id, work_on, slot) DO UPDATE
        SET version = c.version + 1,
            unit = excluded.unit, planned = excluded.planned, maximum = excluded.maximum
        WHERE c.unit = excluded.unit OR c.used = 0
        RETURNING node_id, work_on, slot
        """,
        *capacity,
    )


async def find_capacity_holds(connection: asyncpg.Connection, holder: UUID) -> list[asyncpg.Record]:
    """Return a holder's active capacity holds."""
    return await connection.fetch(
        """
        SELECT node_id, work_on, slot, quantity FROM capacity_hold
        WHERE holder_id = $1 AND active
        ORDER BY node_id, work_on, slot
        """,
        holder,
    )


async def end_capacity_hold(
    connection: asyncpg.Connection, holder: UUID, node_id: str, work_on: date, slot: str
) -> None:
    """End one of a holder's capacity holds."""
    await connection.execute(
        """
        UPDATE capacity_hold SET active = false
        WHERE (node_id, work_on, slot, holder_id) = ($1, $2, $3, $4)
        """,
        node_id,
        work_on,
        slot,
        holder,
    )


# Partitions: names are checked to be plain identifiers before they get here


async def find_partitions(connection: asyncpg.Connection, table: str) -> list[asyncpg.Record]:
    """Find the partitions of a table, by name."""
    return await connection.fetch(
        """
        SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = $1::text::regclass
        ORDER BY c.relname
        """,
        table,
    )


async def make_partition(
    connection: asyncpg.Connection, spec: Range, name: str, start: datetime, end: datetime
) -> None:
    """Make a partition beside the table, move into it what the default one has taken, attach it.

    Attaching an existing table lets readers and writers of the parent go on; creating it as a
    partition would not.
    """
    table, column, default = spec.table, spec.column, f"{spec.table}_default"
    within = f"{column} >= '{start.isoformat()}' AND {column} < '{end.isoformat()}'"
    await connection.execute(
        f"""
        CREATE TABLE {name} (LIKE {table} INCLUDING ALL);
        LOCK TABLE {default} IN ACCESS EXCLUSIVE MODE;
        WITH moved AS (DELETE FROM {default} WHERE {within} RETURNING *)
        INSERT INTO {name} SELECT * FROM moved;
        ALTER TABLE {table} ATTACH PARTITION {name}
            FOR VALUES FROM ('{start.isoformat()}') TO ('{end.isoformat()}');
        """
    )


async def drop_partition(connection: asyncpg.Connection, name: str) -> None:
    """Drop a partition with its rows."""
    await connection.execute(f"DROP TABLE {name}")


async def fold_movements(
    connection: asyncpg.Connection, partition: str, end: datetime, kinds: Columns
) -> None:
    """Add a partition's movements to the opening sums, locked against further ones."""
    await connection.execute(f"LOCK TABLE {partition} IN EXCLUSIVE MODE")
    await connection.execute(
        f"""
        INSERT INTO stock_opening AS o (sku, node_id, on_hand, unavailable, folded_to)
        SELECT m.sku, m.node_id, sum(m.quantity * e.on_hand), sum(m.quantity * e.unavailable), $1
        FROM {partition} m
        JOIN unnest($2::text[], $3::int[], $4::int[]) AS e (kind, on_hand, unavailable)
             ON e.kind = m.kind
        GROUP BY m.sku, m.node_id
        ON CONFLICT (sku, node_id) DO UPDATE
        SET on_hand = o.on_hand + excluded.on_hand,
            unavailable = o.unavailable + excluded.unavailable,
            folded_to = greatest(o.folded_to, excluded.folded_to)
        """,
        end,
        *kinds,
    )


async def delete_messages(connection: asyncpg.Connection, before: datetime, limit: int) -> int:
    """Delete at most `limit` feed messages received before an instant; return how many."""
    done: str = await connection.execute(
        """
        DELETE FROM feed_message WHERE (source, sequence, kind) IN (
            SELECT source, sequence, kind FROM feed_message WHERE received_at < $1
            ORDER BY source, sequence, kind LIMIT $2
        )
        """,
        before,
        limit,
    )
    return int(done.removeprefix("DELETE "))
