"""What routing is asked: one order against one network, as values.

A `Problem` holds everything a plan may depend on, so the same problem always gets the same plan.
Nothing here reads a clock, a database or the network; whoever builds a problem has done that.
"""

from datetime import date, datetime, time
from typing import Literal

import msgspec

PRICE_MINOR_MAX = 10**12
"""Largest price of anything, so that every sum stays far inside 64 bits."""


class ProblemError(ValueError):
    """A problem that no plan can answer because it contradicts itself; says what and where."""


Method = Literal["ship", "pickup"]
NodeKind = Literal["warehouse", "store", "supplier", "partner"]
CapacityUnit = Literal["orders", "units"]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the order: `quantity` units of one sku and how they may reach the customer."""

    line_id: str
    sku: str
    quantity: int
    weight_grams: int
    """Weight of one unit."""
    methods: tuple[Method, ...] = ("ship",)
    pickup_node: str | None = None
    """The node where the customer collects; required when `methods` contains `pickup`."""
    requested_by: date | None = None
    """Local date at the destination (ship) or at the pickup node (pickup)."""
    requires: tuple[str, ...] = ()
    """Capabilities a node must have for this item, beyond the one its method needs."""


class Calendar(msgspec.Struct, frozen=True, kw_only=True):
    """On which local dates a node works or a carrier moves."""

    calendar_id: str
    weekdays: tuple[int, ...]
    """ISO weekdays worked, Monday is 1."""
    holidays: tuple[date, ...] = ()


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """What a node can still take on one local work date."""

    work_on: date
    remaining: int
    unit: CapacityUnit = "orders"


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A place that can supply or hand over goods, as far as routing needs to know it."""

    node_id: str
    kind: NodeKind
    time_zone: str
    """IANA name; `cut_off`, work dates and `ship_by` are local to it."""
    calendar_id: str
    cut_off: time
    """Work accepted up to this local time counts from the same work date, later from the next."""
    handling_days: int
    """Further work dates between acceptance and dispatch or readiness for pickup."""
    capabilities: tuple[str, ...]
    """`ship`, `pickup` and whatever items require, such as `hazmat` or `bulky`."""
    handling_order_minor: int
    handling_unit_minor: int
    capacity: tuple[Capacity, ...] = ()
    """Only dates with a limit are listed; an unlisted date is unlimited."""
    surcharge_minor: int = 0
    """Price of one more fulfillment at the node now, beyond money; part of `objective` only."""


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """One carrier service from one node to the destination's zone."""

    node_id: str
    service: str
    tariff_id: str
    transit_days_min: int
    transit_days_max: int
    calendar_id: str | None = None
    """Transit days count on this calendar's dates; every day when absent."""


class Bracket(msgspec.Struct, frozen=True, kw_only=True):
    """A parcel up to `weight_grams_max` costs `price_minor`."""

    weight_grams_max: int
    price_minor: int


class Tariff(msgspec.Struct, frozen=True, kw_only=True):
    """Prices of one parcel by weight; a heavier shipment is the cheapest set of parcels."""

    tariff_id: str
    brackets: tuple[Bracket, ...]


class Supply(msgspec.Struct, frozen=True, kw_only=True):
    """Units expected at a node that may be promised from their date on (trust already applied)."""

    supply_id: str
    available_on: date
    quantity: int


class Stock(msgspec.Struct, frozen=True, kw_only=True):
    """What one node can give of one sku: `available` now and expected supply by date."""

    node_id: str
    sku: str
    available: int
    supply: tuple[Supply, ...] = ()
    worth_minor: int = 0
    """What a unit may be worth at the node otherwise, for each one taken from whatever source;
    part of `objective` only."""
    risk_minor: int = 0
    """Expected cost of the node refusing a unit, for each one taken; part of `objective` only."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The prices and limits of the strategy in force, together with the customer's wishes."""

    strategy: str = "cheapest"
    ship_complete: bool = False
    """Every unit of the order or nothing."""
    shipments_max: int | None = None
    """Most fulfillments with method `ship`."""
    backorder: bool = False
    """Whether expected supply may be promised."""
    split_minor: int = 250
    """For each fulfillment beyond the first."""
    lateness_minor: int = 100
    """For each line and day after its `requested_by`; money, part of `cost`."""
    delay_minor: int = 5
    """For each line and day from the order's date to its promise; part of `objective` only."""
    shortage_minor: int = 1_000_000
    """For each unit no fulfillment takes; part of `objective` only, dominates every other price."""
    time_limit_ms: int = 250
    seed: int = 1


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One order against one network at one instant."""

    now: datetime
    """The instant of the order, UTC."""
    destination_time_zone: str
    lines: tuple[Line, ...]
    nodes: tuple[Node, ...]
    stock: tuple[Stock, ...]
    lanes: tuple[Lane, ...]
    calendars: tuple[Calendar, ...]
    tariffs: tuple[Tariff, ...]
    policy: Policy = Policy()
