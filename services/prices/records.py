"""SQL of learned prices: what they are learned from, what is kept, and which version is in force."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

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
        SELECT sku, node_id, number::int - 1 AS number, on_hand - unavailable > 0 AS there
        FROM stock JOIN store USING (node_id) WHERE {{some}}
    ), gone AS (
        SELECT sku, node_id,
               (coalesce(sum(quantity * weight) FILTER (WHERE kind = ANY ($5::text[])), 0)
                + greatest(0, coalesce(sum(quantity * weight) FILTER (WHERE {MISSED}), 0)
                - coalesce(sum(quantity * weight) FILTER (WHERE {TOLD_LATER}), 0)))::float8
               AS sold,
               (coalesce(sum(quantity) FILTER (WHERE kind = ANY ($5::text[])), 0)
                + greatest(0, coalesce(sum(quantity) FILTER (WHERE {MISSED}), 0)
                - coalesce(sum(quantity) FILTER (WHERE {TOLD_LATER}), 0)))::bigint
               AS sold_units,
               (extract(epoch FROM $1 - max(happened_at)) / 86400)::float8 AS quiet_days
        FROM movement, LATERAL (SELECT {AGED.format(at="happened_at")} AS weight) AS aged
        WHERE {{some}} AND recorded_at >= $3 AND happened_at >= $3
            AND happened_at <= $1
            AND (kind = ANY ($5::text[]) OR {MISSED} OR {TOLD_LATER})
        GROUP BY sku, node_id
    ), due AS (
        SELECT sku, node_id, min(expected_on) - $1::date AS due_days FROM supply
        WHERE {{some}} AND quantity > received AND expected_on >= $1::date
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
BETWEEN = CELLS.format(some="sku > $6 AND sku <= $7")
AMONG = CELLS.format(some="sku = ANY ($6::text[])")


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
    priced_orders: int = 0
    """Recorded orders that stood for those to come."""
    order_price_records: int = 0
    """Stock records of which a unit is worth something to orders to come."""
    place_prices: int = 0
    """Dates of nodes with a limit on which a place is worth something to orders to come."""
    order_price_gap: float = 0.0
    """How far these prices are from the best, as a share of what the orders cost."""
    walk_in_weight: float = 1.0
    """How much the chance counts that a walk-in wants a unit, by what that would have saved of
    late."""
    order_weight: float = 0.0
    """The same of what units are worth to orders to come."""
    weighed_at: datetime | None = None
    """When that was last looked at; never where there were too few orders."""


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
    places: Mapping[date, int] = {}
    """By work date what one more fulfillment there is worth to orders to come, where it is."""


class Priced(NamedTuple):
    """What is learned of one stock record."""

    node_id: str
    per_day: float
    """Units that walk-ins want."""
    days: float
    """Until the next delivery."""
    orders_minor: int
    """What a unit is worth to orders to come."""


class ItemRow(NamedTuple):
    """What prices need to know of an item."""

    sku: str
    category: str
    unit_margin_minor: int | None
    unit_price_minor: int | None
    markdown_on: date | None
    markdown_price_minor: int | None
    style: str | None


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
        BETWEEN,
        until_at,
        half_life,
        since_at,
        node_ids,
        WANTED_KINDS,
        *bounds,
    )
    return [CellsRow(*row) for row in rows]


async def read_cells_of(
    connection: asyncpg.Connection,
    skus: Sequence[str],
    node_ids: Sequence[str],
    period: tuple[datetime, datetime, timedelta],
) -> list[CellsRow]:
    """Return the same of these skus."""
    until_at, since_at, half_life = period
    rows = await connection.fetch(
        AMONG, until_at, half_life, since_at, node_ids, WANTED_KINDS, list(skus)
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


async def next_version(connection: asyncpg.Connection) -> int:
    """Return a version that nothing was ever written for."""
    version: int = await connection.fetchval(
        "SELECT greatest((SELECT max(version) FROM price_version),"
        " (SELECT max(version) FROM price_page), 0) + 1"
    )
    return version


async def insert_page(
    connection: asyncpg.Connection, version: int, last_sku: str, body: bytes
) -> None:
    """Keep a page of a version that is not in force yet."""
    await connection.execute("INSERT INTO price_page VALUES ($1, $2, $3)", version, last_sku, body)


async def delete_pages(connection: asyncpg.Connection, version: int) -> None:
    """Forget the pages of all other versions; whoever is still reading them sees them to the end."""
    await connection.execute("DELETE FROM price_page WHERE version <> $1", version)


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
    """Have exactly this pace of nodes, and these prices of their places."""
    await connection.execute("DELETE FROM work_pace")
    await connection.copy_records_to_table(
        "work_pace",
        columns=["node_id", "orders_per_day", "units_per_day", "learned_at"],
        records=[
            (each.node_id, each.orders_per_day, each.units_per_day, learned_at) for each in learned
        ],
    )
    await connection.execute("DELETE FROM work_place")
    await connection.copy_records_to_table(
        "work_place",
        columns=["node_id", "work_on", "place_minor", "learned_at"],
        records=[
            (each.node_id, work_on, minor, learned_at)
            for each in learned
            for work_on, minor in each.places.items()
        ],
    )


async def publish(connection: asyncpg.Connection, version: Version) -> None:
    """Put what was written in force for every process."""
    fields = Version.__struct_fields__
    places = ", ".join(f"${n}" for n, _ in enumerate(fields, 1))
    await connection.execute(
        f"INSERT INTO price_version ({', '.join(fields)}) VALUES ({places})",
        *msgspec.structs.astuple(version),
    )


# What is in force


async def find_version(connection: asyncpg.Connection) -> Version | None:
    """Return the newest version; none before anything was learned."""
    row = await connection.fetchrow(
        f"SELECT {', '.join(Version.__struct_fields__)} FROM price_version"
        " ORDER BY version DESC LIMIT 1"
    )
    return Version(**row) if row else None


async def read_items(connection: asyncpg.Connection, bounds: tuple[str, str]) -> list[ItemRow]:
    """Return the items after the first bound and up to the second, by sku."""
    rows = await connection.fetch(
        f"SELECT {', '.join(ItemRow._fields)} FROM item WHERE sku > $1 AND sku <= $2 ORDER BY sku",
        *bounds,
    )
    return [ItemRow(*row) for row in rows]


async def read_pages(
    connection: asyncpg.Connection, version: int, after: str, limit: int
) -> list[tuple[str, bytes]]:
    """Return up to `limit` pages of a version after a sku: their last sku and what they keep."""
    rows = await connection.fetch(
        "SELECT last_sku, body FROM price_page WHERE version = $1 AND last_sku > $2"
        " ORDER BY last_sku LIMIT $3",
        version,
        after,
        limit,
    )
    return [(row[0], row[1]) for row in rows]


async def find_pages(connection: asyncpg.Connection, skus: Sequence[str]) -> list[bytes]:
    """Return the pages in force that these skus are in, each once."""
    rows = await connection.fetch(
        "SELECT DISTINCT ON (p.last_sku) p.body FROM unnest($1::text[]) AS asked (sku),"
        " (SELECT max(version) AS version FROM price_version) AS newest,"
        " LATERAL (SELECT last_sku, body FROM price_page WHERE version = newest.version"
        " AND last_sku >= asked.sku ORDER BY last_sku LIMIT 1) AS p",
        list(skus),
    )
    return [row[0] for row in rows]


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
    """Return the pace of all nodes, with the prices of their places."""
    rows = await connection.fetch(
        "SELECT node_id, orders_per_day, units_per_day, dates, places FROM work_pace LEFT JOIN ("
        "SELECT node_id, array_agg(work_on) AS dates, array_agg(place_minor) AS places"
        " FROM work_place GROUP BY node_id) AS p USING (node_id) ORDER BY node_id"
    )
    return [
        Pace(node_id, orders, units, dict(zip(dates or (), places or (), strict=True)))
        for node_id, orders, units, dates, places in map(tuple, rows)
    ]
