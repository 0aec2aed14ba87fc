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


Method = Literal["ship", "pickup", "ship_to_store"]
NodeKind = Literal["warehouse", "store", "supplier", "partner"]
CapacityUnit = Literal["orders", "units"]


class Component(msgspec.Struct, frozen=True, array_like=True):
    """What one kit has of one sku."""

    sku: str
    quantity: int


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the order: `quantity` units of one sku and how they may reach the customer."""

    line_id: str
    sku: str
    quantity: int
    weight_grams: int
    """Weight of one unit."""
    methods: tuple[Method, ...] = ("ship",)
    pickup_node: str | None = None
    """The node where the customer collects; required by `pickup`, which takes what is there, and by
    `ship_to_store`, which takes what another node sends there."""
    requested_by: date | None = None
    """Local date at the destination (ship) or at the pickup node."""
    requires: tuple[str, ...] = ()
    """Capabilities a node must have for this item, beyond the one its method needs."""
    dimensional_grams: int = 0
    """What a unit counts for by its volume, as carriers price bulky goods."""
    components: tuple[Component, ...] = ()
    """For a kit: what one of it is made up of, by the node that sends it; else nothing."""
    together: str | None = None
    """Lines of the same name go in one fulfillment, in full, or are short together."""
    promised_by: date | None = None
    """What was promised before: no unit may be promised for later."""

    @property
    def priced_grams(self) -> int:
        """What a unit counts for in parcels: its weight, or its dimensional weight if that is more."""
        return max(self.weight_grams, self.dimensional_grams)


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
    kept: int = 0
    """More that is left, and kept for orders that cannot wait: the node is to start later."""


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
    """The methods by which it gives goods, and whatever items require, such as `hazmat`. What is
    sent to it for a customer to collect takes `pickup` alone."""
    handling_order_minor: int
    handling_unit_minor: int
    capacity: tuple[Capacity, ...] = ()
    """Only dates with a limit are listed; an unlisted date is unlimited."""
    surcharge_minor: int = 0
    """Price of one more fulfillment at the node now, beyond money; part of `objective` only."""
    groups: tuple[str, ...] = ()
    """Names by which strategies take nodes together, such as `outlet` or `north`."""
    distance_km: int | None = None
    """From the destination, where somebody knows it."""


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """One carrier service from one node to the destination's zone or to a pickup node."""

    node_id: str
    service: str
    tariff_id: str
    transit_days_min: int
    transit_days_max: int
    calendar_id: str | None = None
    """Transit days count on this calendar's dates; every day when absent."""
    to_node: str | None = None
    """The node where what it brings is collected; the customer's destination when absent."""
    cut_off: time | None = None
    """When the carrier collects at the node for the last time of a date, local to the node. It takes
    what was accepted by then and by the node's own cut-off; without it that is the carrier's too."""
    co2_grams: int = 0
    """Emissions of a shipment, whatever it weighs."""
    co2_grams_per_kg: int = 0
    """Emissions of each kilogram of it."""


def method_of(lane: Lane | None) -> Method:
    """The method by which a lane brings goods to the customer; without one they are picked up."""
    if lane is None:
        return "pickup"
    return "ship" if lane.to_node is None else "ship_to_store"


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


SoftRule = Literal["radius_km", "groups_never", "services"]


class Soft(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that may be broken, at a price for each fulfillment that does."""

    rule: SoftRule
    """As the field of `Policy` of this name would have it."""
    minor: int
    """Part of `objective` only."""
    radius_km: int = 0
    """For `radius_km`."""
    names: tuple[str, ...] = ()
    """Groups or services."""


Measure = Literal[
    "cost_minor",
    "parcels_minor",
    "handling_minor",
    "delivery_days",
    "late_days",
    "fulfillments",
    "shipments",
    "distance_km",
    "co2_grams",
    "group_units",
]
"""What a goal measures of a whole plan; see "Goals" in README.md. A plan of nothing measures 0."""


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """What a whole plan should come to: no price up to the target, then so much, never beyond a limit."""

    measure: Measure
    target: int = 0
    """Up to here nothing is paid."""
    limit: int | None = None
    """No plan measures more."""
    minor: int = 0
    """For every `per` beyond the target, parts of a minor unit left out; part of `objective` only."""
    per: int = 1
    names: tuple[str, ...] = ()
    """For `group_units`: the groups of nodes whose units count."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The prices and limits of the strategy in force, together with the customer's wishes."""

    strategy: str = "cheapest"
    ship_complete: bool = False
    """Every unit of the order or nothing."""
    shipments_max: int | None = None
    """Most fulfillments that a carrier brings: `ship` and `ship_to_store`."""
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
    split_value_min_minor: int = 0
    """For whoever poses the problem and knows prices: an order worth less goes in one parcel."""
    radius_km: int | None = None
    """Nodes farther from the destination do not ship there; unknown distances are near enough."""
    groups_only: tuple[str, ...] = ()
    """Only nodes of one of these groups take part; all where none is named."""
    groups_never: tuple[str, ...] = ()
    """Nodes of these groups do not take part."""
    services: tuple[str, ...] = ()
    """The carrier services that may be used; all where none is named."""
    soft: tuple[Soft, ...] = ()
    """Rules with a price each."""
    co2_minor_per_kg: int = 0
    """For each kilogram of emissions of lanes; part of `objective` only."""
    prices: int = 0
    """Version of the learned prices that worth, risk and surcharges come from; 0 for none."""
    nodes_per_line_max: int | None = None
    """The most nodes that may share a line."""
    goals: tuple[Goal, ...] = ()
    """What a plan should come to as a whole."""


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
