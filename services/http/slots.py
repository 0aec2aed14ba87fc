"""Calls of the planner for slots: windows of a date in which customers receive their orders."""

from datetime import date
from typing import Annotated

import msgspec
from litestar import get, put
from litestar.datastructures import State
from litestar.params import JSONBody
from msgspec import Meta

from inventory.slots import Slot, SlotDate, list_slots
from services.http.access import allow
from services.http.answers import BODY, Written, raises
from services.http.fields import (
    ENTRIES_MAX,
    PAGE_DEFAULT,
    UNITS_MAX,
    Cursor,
    Id,
    Limit,
    LocalTime,
    Minor,
)
from services.http.paging import after, cursor_of
from services.planning import masterdata
from services.runtime import Runtime

ZONES_MAX = 1_000
DATES_MAX = 1_000
DAYS_AHEAD_MAX = 60
LEAD_MINUTES_MAX = 7 * 24 * 60

Places = Annotated[int, Meta(ge=0, le=UNITS_MAX)]


class SlotDateEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A date with places of its own."""

    on: date
    places: Annotated[Places, Meta(description="0 closes the slot on the date.")]


class SlotEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A window of a local date with places and a price."""

    slot_id: Id
    service: Annotated[
        Id | None, Meta(description="The carrier service that delivers in it, to `zone_ids`.")
    ] = None
    zone_ids: Annotated[list[Id], Meta(max_length=ZONES_MAX)] = msgspec.field(default_factory=list)
    node_id: Annotated[
        Id | None, Meta(description="Where the customer collects, if nobody delivers.")
    ] = None
    opens: LocalTime = msgspec.field(name="from")
    closes: LocalTime = msgspec.field(name="until")
    weekdays: Annotated[
        list[Annotated[int, Meta(ge=1, le=7)]],
        Meta(min_length=1, max_length=7, description="ISO weekdays, Monday is 1."),
    ]
    places: Annotated[Places, Meta(description="Orders on a date without a figure of its own.")]
    price_minor: Annotated[Minor, Meta(description="What the customer pays for it.")] = 0
    lead_minutes: Annotated[
        int,
        Meta(
            ge=0,
            le=LEAD_MINUTES_MAX,
            description="Least time from the goods leaving their node, or being ready to be "
            "collected, to `from`.",
        ),
    ] = 0
    days_ahead: Annotated[
        int,
        Meta(
            ge=0,
            le=DAYS_AHEAD_MAX,
            description="Days from today within which it can be chosen. The carrier or node keeps "
            "what is there before.",
        ),
    ] = 14
    dates: Annotated[list[SlotDateEntry], Meta(max_length=DATES_MAX)] = msgspec.field(
        default_factory=list
    )

    def __post_init__(self) -> None:
        """Raise `ValueError` unless it is for delivery or for pickup, and its times are in order."""
        if (self.service is None) == (self.node_id is None):
            raise ValueError(f"slot {self.slot_id} needs either a service or a node_id")
        if (self.service is None) != (not self.zone_ids):
            raise ValueError(f"slot {self.slot_id} needs zone_ids with a service, and only then")
        if self.opens >= self.closes:
            raise ValueError(f"slot {self.slot_id} is from {self.opens} until {self.closes}")
        if len({each.on for each in self.dates}) < len(self.dates):
            raise ValueError(f"a date of slot {self.slot_id} stands there twice")


class SlotsBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Slots to add or replace."""

    slots: Annotated[list[SlotEntry], Meta(min_length=1, max_length=ENTRIES_MAX)]


class SlotsPage(msgspec.Struct, frozen=True):
    """Slots by id."""

    slots: list[SlotEntry]
    next_cursor: str | None


@put(
    "/v1/slots",
    opt=allow("planner"),
    responses=raises(*BODY, "duplicate-entry", "unknown-node", "unknown-reference"),
    tags=["planner"],
)
async def put_slots(data: JSONBody[SlotsBody], state: State) -> Written:
    """Add or replace slots: windows in which a service delivers, or a node hands over.

    Other places count for all dates to come; orders that have a place keep it. A slot is ended by
    giving it no places.
    """
    runtime: Runtime = state.runtime
    await masterdata.put_slots(runtime.database, [slot_of(entry) for entry in data.slots])
    return Written(len(data.slots))


@get("/v1/slots", opt=allow("planner", "operator"), responses=raises(), tags=["planner"])
async def get_slots(state: State, cursor: Cursor = None, limit: Limit = PAGE_DEFAULT) -> SlotsPage:
    """List slots by id; `/v1/promises` tells which of them a basket can have."""
    runtime: Runtime = state.runtime
    (start,) = after(cursor)
    async with runtime.database.connect() as connection:
        page = await list_slots(connection, after=start, limit=limit)
    next_cursor = cursor_of(page, limit, lambda slot: (slot.slot_id,))
    return SlotsPage([entry_of(slot) for slot in page], next_cursor)


def slot_of(entry: SlotEntry) -> Slot:
    """Return the slot that an entry describes."""
    fields = msgspec.structs.asdict(entry) | {
        "zone_ids": tuple(sorted(set(entry.zone_ids))),
        "weekdays": tuple(sorted(set(entry.weekdays))),
        "dates": tuple(
            SlotDate(each.on, each.places) for each in sorted(entry.dates, key=lambda each: each.on)
        ),
    }
    return Slot(**fields)


def entry_of(slot: Slot) -> SlotEntry:
    """Return a slot as it is told."""
    fields = msgspec.structs.asdict(slot) | {
        "zone_ids": list(slot.zone_ids),
        "weekdays": list(slot.weekdays),
        "dates": [SlotDateEntry(each.on, each.places) for each in slot.dates],
    }
    return SlotEntry(**fields)


handlers = [put_slots, get_slots]
