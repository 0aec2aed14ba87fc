"""Calls of the planner for what parcels cost and when they arrive: zones, lanes, tariffs, calendars."""

from datetime import date
from typing import Annotated

import msgspec
from litestar import get, put
from litestar.datastructures import State
from litestar.params import JSONBody
from msgspec import Meta

from routing.problem import Bracket, Calendar, Tariff
from routing.validate import CO2_GRAMS_MAX
from services.http.access import allow
from services.http.answers import BODY, Written, raises
from services.http.fields import (
    ENTRIES_MAX,
    PAGE_DEFAULT,
    Country,
    Cursor,
    Days,
    Id,
    Latitude,
    Limit,
    LocalTime,
    Longitude,
    Minor,
    PostalCode,
    QueryId,
    TimeZone,
    check_time_zone,
)
from services.http.paging import after, cursor_of
from services.planning import masterdata, records
from services.planning.records import Zone, ZoneLane
from services.runtime import Runtime

PREFIXES_MAX = 10_000
HOLIDAYS_MAX = 1_000
BRACKETS_MAX = 200
READERS = allow("planner", "operator")


Grams = Annotated[int, Meta(ge=0, le=CO2_GRAMS_MAX)]


class ZoneEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a country that carriers price alike."""

    zone_id: Id
    country: Country
    postal_prefixes: Annotated[
        list[Annotated[PostalCode, Meta(min_length=1)]],
        Meta(max_length=PREFIXES_MAX, description="The longest prefix of an address wins."),
    ] = msgspec.field(default_factory=list)
    latitude: Annotated[
        Latitude, Meta(description="Center: addresses no prefix covers go to the nearest zone.")
    ]
    longitude: Longitude
    time_zone: Annotated[TimeZone, Meta(description="In which promises are dated.")]

    def __post_init__(self) -> None:
        """Raise `ValueError` unless the time zone exists."""
        check_time_zone(self.time_zone)


class LaneEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One carrier service from a node to a zone."""

    zone_id: Id
    node_id: Id
    service: Id
    tariff_id: Id
    transit_days_min: Days
    transit_days_max: Days
    calendar_id: Annotated[
        Id | None, Meta(description="Dates the carrier moves; every date without.")
    ] = None
    cut_off: Annotated[
        LocalTime | None,
        Meta(
            description="When the carrier collects at the node for the last time of a date; the "
            "node's own cut-off without. It takes what was accepted by both."
        ),
    ] = None
    co2_grams: Annotated[Grams, Meta(description="Emissions of a parcel, whatever it weighs.")] = 0
    co2_grams_per_kg: Annotated[Grams, Meta(description="Emissions of each kilogram.")] = 0

    def __post_init__(self) -> None:
        """Raise `ValueError` when the days are the wrong way round."""
        if self.transit_days_max < self.transit_days_min:
            raise ValueError(
                f"transit_days_max {self.transit_days_max} is below transit_days_min "
                f"{self.transit_days_min}"
            )


class BracketEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The price of a parcel up to a weight."""

    weight_grams_max: Annotated[int, Meta(ge=1, le=10_000_000)]
    price_minor: Minor


class TariffEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prices of one parcel by weight; a heavier shipment is the cheapest set of parcels."""

    tariff_id: Id
    brackets: Annotated[list[BracketEntry], Meta(min_length=1, max_length=BRACKETS_MAX)]

    def __post_init__(self) -> None:
        """Raise `ValueError` when two brackets end at one weight."""
        if len({bracket.weight_grams_max for bracket in self.brackets}) < len(self.brackets):
            raise ValueError(f"two brackets of tariff {self.tariff_id} have one weight_grams_max")


class CalendarEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """On which local dates a node works or a carrier moves."""

    calendar_id: Id
    weekdays: Annotated[
        list[Annotated[int, Meta(ge=1, le=7)]],
        Meta(min_length=1, max_length=7, description="ISO weekdays, Monday is 1."),
    ]
    holidays: Annotated[list[date], Meta(max_length=HOLIDAYS_MAX)] = msgspec.field(
        default_factory=list
    )


class ZonesBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Zones to add or replace."""

    zones: Annotated[list[ZoneEntry], Meta(min_length=1, max_length=ENTRIES_MAX)]


class LanesBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Lanes to add or replace."""

    lanes: Annotated[list[LaneEntry], Meta(min_length=1, max_length=ENTRIES_MAX)]


class TariffsBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tariffs to add or replace."""

    tariffs: Annotated[list[TariffEntry], Meta(min_length=1, max_length=ENTRIES_MAX)]


class CalendarsBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Calendars to add or replace."""

    calendars: Annotated[list[CalendarEntry], Meta(min_length=1, max_length=ENTRIES_MAX)]


class ZonesPage(msgspec.Struct, frozen=True):
    """Zones by id."""

    zones: list[Zone]
    next_cursor: str | None


class LanesPage(msgspec.Struct, frozen=True):
    """Lanes by zone, node and service."""

    lanes: list[ZoneLane]
    next_cursor: str | None


class TariffsPage(msgspec.Struct, frozen=True):
    """Tariffs by id."""

    tariffs: list[Tariff]
    next_cursor: str | None


class CalendarsPage(msgspec.Struct, frozen=True):
    """Calendars by id."""

    calendars: list[Calendar]
    next_cursor: str | None


@put(
    "/v1/zones",
    opt=allow("planner"),
    responses=raises(*BODY, "impossible-coordinates", "duplicate-entry"),
    tags=["planner"],
)
async def put_zones(data: JSONBody[ZonesBody], state: State) -> Written:
    """Add or replace zones: which addresses carriers price alike."""
    runtime: Runtime = state.runtime
    zones = [
        Zone(
            zone_id=entry.zone_id,
            country=entry.country,
            postal_prefixes=tuple(entry.postal_prefixes),
            latitude=entry.latitude,
            longitude=entry.longitude,
            time_zone=entry.time_zone,
        )
        for entry in data.zones
    ]
    await masterdata.put_zones(runtime.database, zones)
    return Written(len(zones))


@get("/v1/zones", opt=READERS, responses=raises(), tags=["planner"])
async def list_zones(state: State, cursor: Cursor = None, limit: Limit = PAGE_DEFAULT) -> ZonesPage:
    """List zones by id."""
    runtime: Runtime = state.runtime
    (start,) = after(cursor)
    async with runtime.database.connect() as connection:
        page = await records.list_zones(connection, start, limit)
    return ZonesPage(page, cursor_of(page, limit, lambda zone: (zone.zone_id,)))


@put(
    "/v1/lanes",
    opt=allow("planner"),
    responses=raises(*BODY, "duplicate-entry", "unknown-node", "unknown-reference"),
    tags=["planner"],
)
async def put_lanes(data: JSONBody[LanesBody], state: State) -> Written:
    """Add or replace lanes: which carrier service brings parcels from a node to a zone."""
    runtime: Runtime = state.runtime
    lanes = [ZoneLane(**msgspec.structs.asdict(entry)) for entry in data.lanes]
    await masterdata.put_lanes(runtime.database, lanes)
    return Written(len(lanes))


@get("/v1/lanes", opt=READERS, responses=raises(), tags=["planner"])
async def list_lanes(
    state: State,
    zone_id: QueryId = None,
    node_id: QueryId = None,
    cursor: Cursor = None,
    limit: Limit = PAGE_DEFAULT,
) -> LanesPage:
    """List lanes by zone, node and service, on request those of one zone or node."""
    runtime: Runtime = state.runtime
    zone, node, service = after(cursor, 3)
    async with runtime.database.connect() as connection:
        page = await records.list_lanes(
            connection, (zone, node, service), limit, zone_id=zone_id, node_id=node_id
        )
    return LanesPage(
        page, cursor_of(page, limit, lambda lane: (lane.zone_id, lane.node_id, lane.service))
    )


@put(
    "/v1/tariffs",
    opt=allow("planner"),
    responses=raises(*BODY, "duplicate-entry"),
    tags=["planner"],
)
async def put_tariffs(data: JSONBody[TariffsBody], state: State) -> Written:
    """Add or replace tariffs: what a parcel costs by weight."""
    runtime: Runtime = state.runtime
    tariffs = [
        Tariff(
            tariff_id=entry.tariff_id,
            brackets=tuple(
                Bracket(weight_grams_max=each.weight_grams_max, price_minor=each.price_minor)
                for each in sorted(entry.brackets, key=lambda each: each.weight_grams_max)
            ),
        )
        for entry in data.tariffs
    ]
    await masterdata.put_tariffs(runtime.database, tariffs)
    return Written(len(tariffs))


@get("/v1/tariffs", opt=READERS, responses=raises(), tags=["planner"])
async def list_tariffs(
    state: State, cursor: Cursor = None, limit: Limit = PAGE_DEFAULT
) -> TariffsPage:
    """List tariffs by id."""
    runtime: Runtime = state.runtime
    (start,) = after(cursor)
    async with runtime.database.connect() as connection:
        page = await records.list_tariffs(connection, start, limit)
    return TariffsPage(page, cursor_of(page, limit, lambda tariff: (tariff.tariff_id,)))


@put(
    "/v1/calendars",
    opt=allow("planner"),
    responses=raises(*BODY, "duplicate-entry"),
    tags=["planner"],
)
async def put_calendars(
    data: JSONBody[CalendarsBody],
    state: State,
) -> Written:
    """Add or replace calendars: on which dates nodes work and carriers move."""
    runtime: Runtime = state.runtime
    calendars = [
        Calendar(
            calendar_id=entry.calendar_id,
            weekdays=tuple(sorted(set(entry.weekdays))),
            holidays=tuple(sorted(set(entry.holidays))),
        )
        for entry in data.calendars
    ]
    await masterdata.put_calendars(runtime.database, calendars)
    return Written(len(calendars))


@get("/v1/calendars", opt=READERS, responses=raises(), tags=["planner"])
async def list_calendars(
    state: State, cursor: Cursor = None, limit: Limit = PAGE_DEFAULT
) -> CalendarsPage:
    """List calendars by id; `daily`, every date, exists without being listed."""
    runtime: Runtime = state.runtime
    (start,) = after(cursor)
    async with runtime.database.connect() as connection:
        page = await records.list_calendars(connection, start, limit)
    return CalendarsPage(page, cursor_of(page, limit, lambda each: (each.calendar_id,)))


handlers = [
    put_zones,
    list_zones,
    put_lanes,
    list_lanes,
    put_tariffs,
    list_tariffs,
    put_calendars,
    list_calendars,
]
