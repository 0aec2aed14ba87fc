"""SQL of zones, lanes, tariffs and calendars, and the version by which caches notice changes.

Lists go in as one JSON array, because rows hold arrays of different lengths, which `unnest` cannot
take apart. Whatever writes here counts the version up in the same transaction.
"""

from collections.abc import Sequence
from datetime import date, datetime, time
from uuid import UUID

import asyncpg
import msgspec

from inventory.buffers import EXCLUDED
from inventory.slots import Slot, list_slots
from inventory.view import DailyDefault
from routing.problem import Bracket, Calendar, Lane, Node, Tariff
from services.planning.strategy_records import VersionRow, read_active

SINCE = "current_date - 1"
"""The earliest date that can still be a local work date somewhere."""

LANE_COLUMNS = (
    "service, tariff_id, transit_days_min, transit_days_max, calendar_id, cut_off, co2_grams,"
    " co2_grams_per_kg"
)
"""Columns of a lane beside where it is, as in `Lane`."""

DAILY = Calendar(calendar_id="daily", weekdays=(1, 2, 3, 4, 5, 6, 7))
"""Works every date; it exists without being written, so that a network can start without one."""


class Zone(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a country that carriers price alike."""

    zone_id: str
    country: str
    """ISO 3166-1 alpha-2."""
    postal_prefixes: tuple[str, ...] = ()
    latitude: float
    """Of the zone's center, degrees."""
    longitude: float
    time_zone: str
    """IANA name in which promises to this zone are dated."""


class ZoneLane(msgspec.Struct, frozen=True, kw_only=True):
    """A lane together with the zone it leads to."""

    zone_id: str
    node_id: str
    service: str
    tariff_id: str
    transit_days_min: int
    transit_days_max: int
    calendar_id: str | None = None
    cut_off: time | None = None
    """When the carrier collects for the last time of a date, local to the node."""
    co2_grams: int = 0
    co2_grams_per_kg: int = 0


class BufferRow(msgspec.Struct, frozen=True, kw_only=True):
    """A buffer rule; `*` matches everything."""

    sku: str
    node_id: str
    channel: str
    quantity: int


class NodeRow(msgspec.Struct, frozen=True, kw_only=True):
    """A node as the network reads it."""

    node: Node
    latitude: float
    longitude: float
    enabled: bool
    limited: bool
    """Whether its capacity is limited by default or on some date to come."""
    daily: DailyDefault | None = None
    """Its default for a day nobody has set; none when that is unlimited."""
    overload_minor: int | None = None
    """Price of a fulfillment beyond what is planned; the strategy's when absent."""


class LaneGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Lanes that differ in nothing but their zone."""

    lane: Lane
    zone_ids: tuple[str, ...]


class NetworkRows(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a network is built from, read in one snapshot."""

    version: int = -1
    nodes: tuple[NodeRow, ...] = ()
    lanes: tuple[LaneGroup, ...] = ()
    calendars: tuple[Calendar, ...] = ()
    tariffs: tuple[Tariff, ...] = ()
    zones: tuple[Zone, ...] = ()
    strategies: tuple[VersionRow, ...] = ()
    """Versions in force, of strategies and of the rules."""
    slots: tuple[Slot, ...] = ()


async def read_version(connection: asyncpg.Connection) -> int:
    """Return how often nodes and their network have changed."""
    version: int = await connection.fetchval("SELECT version FROM network_version")
    return version


async def bump_version(connection: asyncpg.Connection) -> None:
    """Tell every process that nodes or their network have changed, once this commits.

    Every writer calls it first, so that they take turns: what one reads it can replace, and two of
    them cannot deadlock.
    """
    await connection.execute("UPDATE network_version SET version = version + 1")


async def put_zones(connection: asyncpg.Connection, zones: Sequence[Zone]) -> None:
    """Add or replace zones, each `zone_id` at most once."""
    await bump_version(connection)
    await connection.execute(
        "INSERT INTO zone (zone_id, country, postal_prefixes, latitude, longitude, time_zone)"
        " SELECT * FROM json_to_recordset($1::json) AS given(zone_id text, country text,"
        " postal_prefixes text[], latitude float8, longitude float8, time_zone text)"
        " ORDER BY zone_id"
        " ON CONFLICT (zone_id) DO UPDATE SET country = excluded.country,"
        " postal_prefixes = excluded.postal_prefixes, latitude = excluded.latitude,"
        " longitude = excluded.longitude, time_zone = excluded.time_zone",
        as_json(zones),
    )


async def put_lanes(connection: asyncpg.Connection, lanes: Sequence[ZoneLane]) -> None:
    """Add or replace lanes, each of zone, node and service at most once."""
    await bump_version(connection)
    await connection.execute(
        f"INSERT INTO lane (zone_id, node_id, {LANE_COLUMNS})"
        " SELECT * FROM json_to_recordset($1::json) AS given(zone_id text, node_id text,"
        " service text, tariff_id text, transit_days_min int, transit_days_max int,"
        " calendar_id text, cut_off time, co2_grams int, co2_grams_per_kg int)"
        " ORDER BY zone_id, node_id, service"
        " ON CONFLICT (zone_id, node_id, service) DO UPDATE SET tariff_id = excluded.tariff_id,"
        " transit_days_min = excluded.transit_days_min,"
        " transit_days_max = excluded.transit_days_max, calendar_id = excluded.calendar_id,"
        " cut_off = excluded.cut_off, co2_grams = excluded.co2_grams,"
        " co2_grams_per_kg = excluded.co2_grams_per_kg",
        as_json(lanes),
    )


async def put_tariffs(connection: asyncpg.Connection, tariffs: Sequence[Tariff]) -> None:
    """Add or replace tariffs, each `tariff_id` at most once."""
    await bump_version(connection)
    await connection.execute(
        "INSERT INTO tariff (tariff_id, brackets)"
        " SELECT * FROM json_to_recordset($1::json) AS given(tariff_id text, brackets jsonb)"
        " ORDER BY tariff_id"
        " ON CONFLICT (tariff_id) DO UPDATE SET brackets = excluded.brackets",
        as_json(tariffs),
    )


async def put_calendars(connection: asyncpg.Connection, calendars: Sequence[Calendar]) -> None:
    """Add or replace calendars, each `calendar_id` at most once."""
    await bump_version(connection)
    await connection.execute(
        "INSERT INTO calendar (calendar_id, weekdays, holidays)"
        " SELECT * FROM json_to_recordset($1::json) AS given(calendar_id text, weekdays int[],"
        " holidays date[])"
        " ORDER BY calendar_id"
        " ON CONFLICT (calendar_id) DO UPDATE SET weekdays = excluded.weekdays,"
        " holidays = excluded.holidays",
        as_json(calendars),
    )


async def list_zones(connection: asyncpg.Connection, after: str, limit: int) -> list[Zone]:
    """Return up to `limit` zones whose id comes after `after`, by id."""
    rows = await connection.fetch(
        "SELECT zone_id, country, postal_prefixes, latitude, longitude, time_zone FROM zone"
        " WHERE zone_id > $1 ORDER BY zone_id LIMIT $2",
        after,
        limit,
    )
    return [zone_of(row) for row in rows]


async def list_lanes(
    connection: asyncpg.Connection,
    after: tuple[str, str, str],
    limit: int,
    *,
    zone_id: str | None = None,
    node_id: str | None = None,
) -> list[ZoneLane]:
    """Return up to `limit` lanes after (zone, node, service), in that order.

    With `zone_id` or `node_id` only the lanes of that zone or node.
    """
    rows = await connection.fetch(
        f"SELECT zone_id, node_id, {LANE_COLUMNS} FROM lane WHERE (zone_id, node_id, service) > ($1, $2, $3)"
        " AND ($5::text IS NULL OR zone_id = $5) AND ($6::text IS NULL OR node_id = $6)"
        " ORDER BY zone_id, node_id, service LIMIT $4",
        *after,
        limit,
        zone_id,
        node_id,
    )
    return [ZoneLane(**row) for row in rows]


async def list_tariffs(connection: asyncpg.Connection, after: str, limit: int) -> list[Tariff]:
    """Return up to `limit` tariffs whose id comes after `after`, by id."""
    rows = await connection.fetch(
        "SELECT tariff_id, brackets::text AS brackets FROM tariff WHERE tariff_id > $1 ORDER BY tariff_id LIMIT $2",
        after,
        limit,
    )
    return [tariff_of(row) for row in rows]


async def list_calendars(connection: asyncpg.Connection, after: str, limit: int) -> list[Calendar]:
    """Return up to `limit` calendars whose id comes after `after`, by id."""
    rows = await connection.fetch(
        "SELECT calendar_id, weekdays, holidays FROM calendar WHERE calendar_id > $1"
        " ORDER BY calendar_id LIMIT $2",
        after,
        limit,
    )
    return [calendar_of(row) for row in rows]


async def list_buffers(
    connection: asyncpg.Connection, after: tuple[str, str, str], limit: int
) -> list[BufferRow]:
    """Return up to `limit` buffer rules after (sku, node, channel), in that order."""
    rows = await connection.fetch(
        "SELECT sku, node_id, channel, quantity FROM buffer"
        " WHERE (sku, node_id, channel) > ($1, $2, $3) AND channel <> $5"
        " ORDER BY sku, node_id, channel LIMIT $4",
        *after,
        limit,
        EXCLUDED,
    )
    return [BufferRow(**row) for row in rows]


async def list_stock(
    connection: asyncpg.Connection,
    after: tuple[str, str],
    limit: int,
    *,
    skus: Sequence[str] | None = None,
    node_ids: Sequence[str] | None = None,
) -> list[asyncpg.Record]:
    """Return up to `limit` stock records after (sku, node), in that order.

    With `skus` or `node_ids` only theirs; nodes that are switched off are there too.
    """
    return await connection.fetch(
        "SELECT sku, node_id, on_hand, reserved, unavailable, shortage, as_of, pooled FROM stock"
        " WHERE (sku, node_id) > ($1, $2)"
        " AND ($4::text[] IS NULL OR sku = ANY ($4)) AND ($5::text[] IS NULL OR node_id = ANY ($5))"
        " ORDER BY sku, node_id LIMIT $3",
        *after,
        limit,
        skus,
        node_ids,
    )


async def list_movements(
    connection: asyncpg.Connection,
    sku: str,
    node_id: str | None,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> list[asyncpg.Record]:
    """Return up to `limit` movements of a sku, at one node if named, newest first.

    They are those before (`happened_at`, `movement_id`).
    """
    happened_at, movement_id = before or (None, None)
    return await connection.fetch(
        "SELECT movement_id, sku, node_id, kind, quantity, happened_at, recorded_at, reference,"
        " reason, source, actor FROM movement"
        " WHERE sku = $1 AND ($2::text IS NULL OR node_id = $2)"
        " AND ($3::timestamptz IS NULL OR (happened_at, movement_id) < ($3, $4::uuid))"
        " ORDER BY happened_at DESC, movement_id DESC LIMIT $5",
        sku,
        node_id,
        happened_at,
        movement_id,
        limit,
    )


async def missing_zones(connection: asyncpg.Connection, zone_ids: Sequence[str]) -> list[str]:
    """Return those of `zone_ids` that are no zone, in the order given."""
    return await missing(connection, "zone", "zone_id", zone_ids)


async def missing_tariffs(connection: asyncpg.Connection, tariff_ids: Sequence[str]) -> list[str]:
    """Return those of `tariff_ids` that are no tariff, in the order given."""
    return await missing(connection, "tariff", "tariff_id", tariff_ids)


async def missing_calendars(
    connection: asyncpg.Connection, calendar_ids: Sequence[str]
) -> list[str]:
    """Return those of `calendar_ids` that are no calendar, in the order given."""
    wanted = [calendar_id for calendar_id in calendar_ids if calendar_id != DAILY.calendar_id]
    return await missing(connection, "calendar", "calendar_id", wanted)


async def missing(
    connection: asyncpg.Connection, table: str, column: str, ids: Sequence[str]
) -> list[str]:
    """Return those of `ids` that are in no row's `column` of `table`."""
    rows = await connection.fetch(
        "SELECT id FROM unnest($1::text[]) WITH ORDINALITY AS given(id, at)"
        f" WHERE NOT EXISTS (SELECT FROM {table} WHERE {column} = id) ORDER BY at",
        list(ids),
    )
    return [row["id"] for row in rows]


async def read_network(connection: asyncpg.Connection) -> NetworkRows:
    """Return the whole network; in a REPEATABLE READ transaction all of one version."""
    version = await read_version(connection)
    calendars = await connection.fetch(
        "SELECT calendar_id, weekdays, holidays FROM calendar ORDER BY calendar_id"
    )
    tariffs = await connection.fetch(
        "SELECT tariff_id, brackets::text AS brackets FROM tariff ORDER BY tariff_id"
    )
    zones = await connection.fetch(
        "SELECT zone_id, country, postal_prefixes, latitude, longitude, time_zone FROM zone"
        " ORDER BY zone_id"
    )
    nodes = await connection.fetch(
        "SELECT node_id, kind, time_zone, calendar_id, cut_off, handling_days, capabilities,"
        " groups, handling_order_minor, handling_unit_minor, latitude, longitude, enabled,"
        " capacity_unit, capacity_planned, capacity_maximum, overload_minor,"
        " capacity_maximum IS NOT NULL OR EXISTS (SELECT FROM capacity"
        f" WHERE capacity.node_id = node.node_id AND work_on >= {SINCE}) AS limited"
        " FROM node ORDER BY node_id"
    )
    lanes = await connection.fetch(
        f"SELECT node_id, {LANE_COLUMNS}, array_agg(zone_id ORDER BY zone_id) AS zone_ids"
        " FROM lane GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9 ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9"
    )
    return NetworkRows(
        version=version,
        nodes=tuple(node_row(row) for row in nodes),
        lanes=tuple(lane_group(row) for row in lanes),
        calendars=tuple(calendar_of(row) for row in calendars),
        tariffs=tuple(tariff_of(row) for row in tariffs),
        zones=tuple(zone_of(row) for row in zones),
        strategies=tuple(await read_active(connection)),
        slots=tuple(await list_slots(connection)),
    )


def as_json(values: Sequence[msgspec.Struct]) -> str:
    """Return values as the JSON array that `json_to_recordset` takes."""
    return msgspec.json.encode(values).decode()


def zone_of(row: asyncpg.Record) -> Zone:
    """Return the zone in a row."""
    return Zone(**{**row, "postal_prefixes": tuple(row["postal_prefixes"])})


def tariff_of(row: asyncpg.Record) -> Tariff:
    """Return the tariff in a row, which has its brackets as JSON text."""
    brackets = msgspec.json.decode(row["brackets"], type=tuple[Bracket, ...])
    return Tariff(tariff_id=row["tariff_id"], brackets=brackets)


def calendar_of(row: asyncpg.Record) -> Calendar:
    """Return the calendar in a row."""
    holidays: list[date] = row["holidays"]
    return Calendar(
        calendar_id=row["calendar_id"],
        weekdays=tuple(row["weekdays"]),
        holidays=tuple(holidays),
    )


def node_row(row: asyncpg.Record) -> NodeRow:
    """Return the node in a row."""
    daily = None
    if row["capacity_maximum"] is not None:
        daily = DailyDefault(row["capacity_unit"], row["capacity_planned"], row["capacity_maximum"])
    return NodeRow(
        node=Node(
            node_id=row["node_id"],
            kind=row["kind"],
            time_zone=row["time_zone"],
            calendar_id=row["calendar_id"],
            cut_off=row["cut_off"],
            handling_days=row["handling_days"],
            capabilities=tuple(row["capabilities"]),
            groups=tuple(row["groups"]),
            handling_order_minor=row["handling_order_minor"],
            handling_unit_minor=row["handling_unit_minor"],
        ),
        latitude=row["latitude"],
        longitude=row["longitude"],
        enabled=row["enabled"],
        limited=row["limited"],
        daily=daily,
        overload_minor=row["overload_minor"],
    )


def lane_group(row: asyncpg.Record) -> LaneGroup:
    """Return the lanes in a row."""
    fields = {name: value for name, value in row.items() if name != "zone_ids"}
    return LaneGroup(lane=Lane(**fields), zone_ids=tuple(row["zone_ids"]))
