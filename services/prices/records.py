"""SQL of learned prices: what they are learned from, what is kept, and which version is in force."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import asyncpg
import msgspec

from services.prices.refusals import DAY_PARTS, Refusal, Seen

WANTED_KINDS = ("sale", "feed_loss")
"""Movements by which goods go to walk-ins: sold at the till, or gone by what the till's feed says."""
MISSED = "kind = 'count_loss' AND source IS NOT NULL"
"""Gone by what the till's snapshot says, of which nobody had told before."""
TOLD_LATER = "kind = 'count_gain' AND reason = 'in the last snapshot already'"
"""Beside what was told after a snapshot had shown it, so that it does not count twice."""
NOT_ITS_FAULT = ("fraud_suspected",)
"""Reasons that say something of the order and nothing of the node."""
AGED = "power(0.5, extract(epoch FROM $1::timestamptz - {at}) / extract(epoch FROM $2::interval))"
"""How much something counts that happened `at`, at the instant $1 with the half-life $2."""

CELLS = f"""
    WITH store AS (
        SELECT node_id, number FROM unnest($4::text[]) WITH ORDINALITY AS t (node_id, number)
    ), cell AS (
        SELECT s.sku, s.node_id, number::int - 1 AS number,
               s.on_hand - s.unavailable > 0 AS there
        FROM stock s JOIN store USING (node_id) WHERE s.sku > $5 AND s.sku <= $6
    ), gone AS (
        SELECT sku, node_id,
               (coalesce(sum(quantity * weight) FILTER (WHERE kind = ANY ($7::text[])), 0)
                + greatest(0, coalesce(sum(quantity * weight) FILTER (WHERE {MISSED}), 0)
                - coalesce(sum(quantity * weight) FILTER (WHERE {TOLD_LATER}), 0)))::float8
               AS sold,
               (coalesce(sum(quantity) FILTER (WHERE kind = ANY ($7::text[])), 0)
                + greatest(0, coalesce(sum(quantity) FILTER (WHERE {MISSED}), 0)
                - coalesce(sum(quantity) FILTER (WHERE {TOLD_LATER}), 0)))::bigint
               AS sold_units,
               (extract(epoch FROM $1 - max(happened_at)) / 86400)::float8 AS quiet_days
        FROM movement, LATERAL (SELECT {AGED.format(at="happened_at")} AS weight) AS aged
        WHERE sku > $5 AND sku <= $6 AND recorded_at >= $3 AND happened_at >= $3
            AND happened_at <= $1
            AND (kind = ANY ($7::text[]) OR {MISSED} OR {TOLD_LATER})
        GROUP BY sku, node_id
    ), due AS (
        SELECT sku, node_id, min(expected_on) - $1::date AS due_days FROM supply
        WHERE sku > $5 AND sku <= $6 AND quantity > received AND expected_on >= $1::date
        GROUP BY sku, node_id
    )
    SELECT sku, array_agg(number ORDER BY number), array_agg(there ORDER BY number),
           array_agg(coalesce(sold, 0) ORDER BY number),
           array_agg(coalesce(sold_units, 0) ORDER BY number),
           array_agg(quiet_days ORDER BY number), array_agg(due_days ORDER BY number)
    FROM cell LEFT JOIN gone USING (sku, node_id) LEFT JOIN due USING (sku, node_id)
    GROUP BY sku ORDER BY sku
"""
"""The stock records of some skus at some stores, with what walk-ins took of them: see `read_cells`."""


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """What was learned when, from what."""

    version: int
    since_at: datetime
    """Nothing older was looked at."""
    started_at: datetime
    published_at: datetime
    valid_until_at: datetime
    """Afterwards it is too old, and counts as none."""
    sold_units: int
    """Units that walk-ins took since then."""
    asked_lines: int
    """Lines that nodes answered since then."""
    walk_in_records: int
    """Stock records of which it is known what walk-ins want."""
    refusal_cells: int
    """Chances of a refusal: of nodes, by category and part of the day."""
    pace_nodes: int
    """Nodes of which it is known how much work they are given."""


class StoreRow(msgspec.Struct, frozen=True):
    """A store, as far as learning needs to know it."""

    node_id: str
    region: str


class CellsRow(msgspec.Struct, frozen=True):
    """The stock records of a sku at stores, and what walk-ins took of them; lists side by side."""

    sku: str
    numbers: list[int]
    """Of the stores, in the order asked."""
    there: list[bool]
    """Whether there is anything now."""
    sold: list[float]
    """Units, older ones counting less."""
    sold_units: list[int]
    """All units alike."""
    quiet_days: list[float | None]
    """Days since the last of them; none where there was none."""
    due_days: list[int | None]
    """Days until the next delivery; none where none is expected."""


class Pace(msgspec.Struct, frozen=True):
    """How much work a node is given on a day on which it is given any."""

    node_id: str
    orders_per_day: float
    units_per_day: float


class WalkInRow(msgspec.Struct, frozen=True):
    """What walk-ins want of an item at stores, and what else prices need to know of it."""

    sku: str
    category: str
    unit_margin_minor: int | None
    node_ids: list[str]
    per_day: list[float]
    days: list[float]
    """Until the next delivery."""


class Learned(msgspec.Struct, frozen=True):
    """Demand of walk-ins for one sku; lists side by side."""

    sku: str
    node_ids: list[str]
    per_day: list[float]
    days: list[float]


# What prices are learned from


async def read_stores(connection: asyncpg.Connection) -> list[StoreRow]:
    """Return all stores by id; a region is a time zone of a country."""
    rows = await connection.fetch(
        "SELECT node_id, country || ' ' || time_zone AS region FROM node WHERE kind = 'store'"
        " ORDER BY node_id"
    )
    return [StoreRow(*row) for row in rows]


async def read_bound(connection: asyncpg.Connection, after: str, limit: int) -> tuple[str, int]:
    """Return the last of the next `limit` skus that come after one, and how many these are."""
    (row,) = await connection.fetch(
        "SELECT coalesce(max(sku), '') AS last, count(*) AS skus FROM"
        " (SELECT sku FROM item WHERE sku > $1 ORDER BY sku LIMIT $2) AS next",
        after,
        limit,
    )
    return row["last"], row["skus"]


async def read_cells(
    connection: asyncpg.Connection,
    bounds: tuple[str, str],
    node_ids: Sequence[str],
    period: tuple[datetime, datetime, timedelta],
) -> list[CellsRow]:
    """Return the records at some stores of the skus after the first bound and up to the second.

    The period is its end, its beginning and the half-life of what happened in it.
    """
    until_at, since_at, half_life = period
    rows = await connection.fetch(
        CELLS,
        until_at,
        half_life,
        since_at,
        node_ids,
        *bounds,
        WANTED_KINDS,
    )
    return [CellsRow(*row) for row in rows]


async def read_collected(
    connection: asyncpg.Connection, until_at: datetime, since_at: datetime, half_life: timedelta
) -> list[tuple[str, str, float, int]]:
    """Return what customers collected: sku, node, units of which older ones count less, and all."""
    rows = await connection.fetch(
        f"""
        SELECT l.sku, o.node_id,
               sum(l.collected * {AGED.format(at="o.created_at")})::float8, sum(l.collected)::bigint
        FROM fulfillment_order o JOIN fulfillment_line l USING (order_id, fulfillment_order_id)
        WHERE o.method = 'pickup' AND o.created_at >= $3 AND o.created_at <= $1 AND l.collected > 0
        GROUP BY l.sku, o.node_id
        """,
        until_at,
        half_life,
        since_at,
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]


async def read_answered(
    connection: asyncpg.Connection, until_at: datetime, since_at: datetime, half_life: timedelta
) -> tuple[list[Seen], int]:
    """Return how nodes answered lines, by category and part of the day, and how many lines.

    The day is that of the node, when it was asked. A line of which a part was refused counts in
    part as refused.
    """
    rows = await connection.fetch(
        f"""
        WITH refused AS (
            SELECT order_id, fulfillment_order_id, line_id, sku, sum(quantity) AS quantity
            FROM rejection WHERE created_at >= $3 AND reason <> ALL ($4::text[])
            GROUP BY 1, 2, 3, 4
        ), answered AS (
            SELECT o.node_id, coalesce(i.category, '') AS category,
                   (extract(hour FROM coalesce(o.submitted_at, o.created_at) AT TIME ZONE
                    n.time_zone)::int * {DAY_PARTS} / 24) AS day_part,
                   {AGED.format(at="o.created_at")} AS weight,
                   least(coalesce(r.quantity, 0) / l.quantity, 1) AS refused
            FROM fulfillment_order o JOIN node n USING (node_id)
            JOIN fulfillment_line l USING (order_id, fulfillment_order_id)
            LEFT JOIN item i USING (sku)
            LEFT JOIN refused r ON r.order_id = o.order_id AND r.sku = l.sku
                AND r.fulfillment_order_id = o.fulfillment_order_id AND r.line_id = l.line_id
            WHERE o.created_at >= $3 AND o.created_at <= $1
                AND (o.answered_at IS NOT NULL OR l.rejected > 0 OR l.picked > 0)
        )
        SELECT node_id, category, day_part, sum(weight)::float8, sum(weight * refused)::float8,
               count(*)
        FROM answered GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        """,
        until_at,
        half_life,
        since_at,
        NOT_ITS_FAULT,
    )
    return [Seen(*row[:5]) for row in map(tuple, rows)], sum(row[5] for row in rows)


async def read_pace(
    connection: asyncpg.Connection, until_at: datetime, since_at: datetime, half_life: timedelta
) -> list[Pace]:
    """Return how much work nodes were given on the dates on which they were given any."""
    rows = await connection.fetch(
        f"""
        WITH day AS (
            SELECT o.node_id, o.work_on, count(DISTINCT o.fulfillment_order_id) AS orders,
                   sum(l.quantity) AS units, max({AGED.format(at="o.created_at")}) AS weight
            FROM fulfillment_order o JOIN fulfillment_line l USING (order_id, fulfillment_order_id)
            WHERE o.created_at >= $3 AND o.created_at <= $1 GROUP BY 1, 2
        )
        SELECT node_id, (sum(orders * weight) / sum(weight))::float8,
               (sum(units * weight) / sum(weight))::float8
        FROM day GROUP BY 1 ORDER BY 1
        """,
        until_at,
        half_life,
        since_at,
    )
    return [Pace(*row) for row in rows]


# What is kept


async def replace_walk_ins(
    connection: asyncpg.Connection,
    bounds: tuple[str, str],
    learned: Sequence[Learned],
    learned_at: datetime,
) -> None:
    """Have exactly this demand of the skus after the first bound and up to the second."""
    await connection.execute("DELETE FROM walk_in WHERE sku > $1 AND sku <= $2", *bounds)
    await connection.copy_records_to_table(
        "walk_in",
        columns=["sku", "node_ids", "per_day", "days", "learned_at"],
        records=[(*msgspec.structs.astuple(each), learned_at) for each in learned],
    )


async def delete_walk_ins_after(connection: asyncpg.Connection, sku: str) -> None:
    """Forget the demand of skus after the last item, as of items that have gone."""
    await connection.execute("DELETE FROM walk_in WHERE sku > $1", sku)


async def replace_refusals(
    connection: asyncpg.Connection, learned: Sequence[Refusal], learned_at: datetime
) -> None:
    """Have exactly these chances of refusals."""
    await connection.execute("DELETE FROM refusal")
    await connection.copy_records_to_table(
        "refusal",
        columns=["node_id", "category", "day_part", "asked", "refused", "chance", "learned_at"],
        records=[(*msgspec.structs.astuple(each), learned_at) for each in learned],
    )


async def replace_pace(
    connection: asyncpg.Connection, learned: Sequence[Pace], learned_at: datetime
) -> None:
    """Have exactly this pace of nodes."""
    await connection.execute("DELETE FROM work_pace")
    await connection.copy_records_to_table(
        "work_pace",
        columns=["node_id", "orders_per_day", "units_per_day", "learned_at"],
        records=[(*msgspec.structs.astuple(each), learned_at) for each in learned],
    )


async def publish(
    connection: asyncpg.Connection,
    since_at: datetime,
    started_at: datetime,
    valid: timedelta,
    counts: tuple[int, int, int, int, int],
) -> int:
    """Put what was written in force for every process, for some time; return its version.

    Counts are units sold, lines asked, stock records, chances of refusal and nodes with a pace.
    """
    version: int = await connection.fetchval(
        "INSERT INTO price_version (version, since_at, started_at, valid_until_at, sold_units, asked_lines,"
        " walk_in_records, refusal_cells, pace_nodes)"
        " SELECT coalesce(max(version), 0) + 1, $1, $2, now() + $3, $4, $5, $6, $7, $8 FROM price_version"
        " RETURNING version",
        since_at,
        started_at,
        valid,
        *counts,
    )
    return version


# What is in force


async def find_version(connection: asyncpg.Connection) -> Version | None:
    """Return the newest version; none before anything was learned."""
    row = await connection.fetchrow(
        f"SELECT {', '.join(Version.__struct_fields__)} FROM price_version"
        " ORDER BY version DESC LIMIT 1"
    )
    return Version(**row) if row else None


async def read_walk_ins(connection: asyncpg.Connection, after: str, limit: int) -> list[WalkInRow]:
    """Return up to `limit` items after a sku with what walk-ins want of them, by sku."""
    rows = await connection.fetch(
        "SELECT i.sku, i.category, i.unit_margin_minor, coalesce(w.node_ids, '{}'),"
        " coalesce(w.per_day, '{}'), coalesce(w.days, '{}')"
        " FROM item i LEFT JOIN walk_in w USING (sku) WHERE i.sku > $1 ORDER BY i.sku LIMIT $2",
        after,
        limit,
    )
    return [WalkInRow(*row) for row in rows]


async def find_walk_ins(connection: asyncpg.Connection, skus: Sequence[str]) -> list[WalkInRow]:
    """Return what walk-ins want of these items, by sku."""
    rows = await connection.fetch(
        "SELECT i.sku, i.category, i.unit_margin_minor, coalesce(w.node_ids, '{}'),"
        " coalesce(w.per_day, '{}'), coalesce(w.days, '{}')"
        " FROM item i LEFT JOIN walk_in w USING (sku) WHERE i.sku = ANY ($1::text[])"
        " ORDER BY i.sku",
        skus,
    )
    return [WalkInRow(*row) for row in rows]


async def read_refusals(connection: asyncpg.Connection) -> list[Refusal]:
    """Return all chances of refusals."""
    rows = await connection.fetch(
        "SELECT node_id, category, day_part, asked, refused, chance FROM refusal"
        " ORDER BY node_id, category, day_part"
    )
    return [Refusal(*row) for row in rows]


async def find_refusals(
    connection: asyncpg.Connection, node_ids: Sequence[str], categories: Sequence[str]
) -> list[Refusal]:
    """Return the chances of these nodes for these categories, and of nodes as a whole."""
    rows = await connection.fetch(
        "SELECT node_id, category, day_part, asked, refused, chance FROM refusal"
        " WHERE node_id = ANY ($1::text[] || '{*}') AND category = ANY ($2::text[] || '{*}')"
        " ORDER BY node_id, category, day_part",
        node_ids,
        categories,
    )
    return [Refusal(*row) for row in rows]


async def read_paces(connection: asyncpg.Connection) -> list[Pace]:
    """Return the pace of all nodes."""
    rows = await connection.fetch(
        "SELECT node_id, orders_per_day, units_per_day FROM work_pace ORDER BY node_id"
    )
    return [Pace(*row) for row in rows]
