"""What routing answers: who fulfills what, by when, at what cost, and how well that is proven."""

from datetime import date, datetime
from typing import Literal

import msgspec

from routing.problem import Method

Status = Literal["optimal", "feasible", "greedy"]
Source = Literal["on_hand", "supply"]


class FulfillmentLine(msgspec.Struct, frozen=True, kw_only=True):
    """Units of one order line taken from one source at the fulfillment's node."""

    line_id: str
    sku: str
    quantity: int
    source: Source
    supply_id: str | None
    available_on: date
    """Local date at the node from which these units are there."""


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """Local dates, at the destination or pickup node, between which the customer has the goods."""

    earliest: date
    latest: date


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Money in minor units, by component; `total_minor` is their sum."""

    parcels_minor: int = 0
    handling_minor: int = 0
    split_minor: int = 0
    lateness_minor: int = 0
    total_minor: int = 0


class Fulfillment(msgspec.Struct, frozen=True, kw_only=True):
    """What one node is to do for the order at one time: one shipment or one pickup."""

    node_id: str
    method: Method
    service: str | None
    """The carrier service of the lane used; none for pickup."""
    pickup_node: str | None = None
    """Where the customer collects: the node itself, or the one it sends to; none for `ship`."""
    work_on: date
    """Local work date whose capacity this fulfillment takes."""
    ship_by: datetime
    """The instant, UTC, by which the goods have left or are ready for pickup."""
    promise: Promise
    lines: tuple[FulfillmentLine, ...]
    weight_grams: int
    cost: Cost
    """Parcels and handling of this fulfillment; split and lateness belong to the order."""


class Shortfall(msgspec.Struct, frozen=True, kw_only=True):
    """Units of a line that no fulfillment takes."""

    line_id: str
    quantity: int


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """What the objective counts beyond money, in minor units, by component."""

    delay_minor: int = 0
    """Lines waiting from the order's date to their promise."""
    shortage_minor: int = 0
    """Units that no fulfillment takes."""
    worth_minor: int = 0
    """What the units taken may be worth at their nodes otherwise."""
    risk_minor: int = 0
    """Expected cost of nodes refusing them."""
    surcharge_minor: int = 0
    """One more fulfillment at each of these nodes now."""
    emissions_minor: int = 0
    soft_minor: int = 0
    """Soft rules broken and goals missed, see `Plan.broken`."""

    @property
    def total_minor(self) -> int:
        """Their sum."""
        return sum(msgspec.structs.astuple(self))


class Broken(msgspec.Struct, frozen=True):
    """A soft rule that a plan breaks, or a goal it misses, and what that adds to the objective."""

    rule: str
    """The rule, or what the goal measures."""
    node_id: str | None
    """Where; none for a goal, which is about the whole order."""
    price_minor: int
    measured: int | None = None
    """What a goal's measure comes to."""
    target: int | None = None
    """What the goal wanted it to be at most."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one problem."""

    fulfillments: tuple[Fulfillment, ...]
    shortfalls: tuple[Shortfall, ...]
    cost: Cost
    """Money alone."""
    prices: Prices
    objective_minor: int
    """`cost.total_minor` plus all `prices`: what was minimized."""
    bound_minor: int
    """No plan has a smaller objective than this."""
    status: Status
    """`optimal` when the bound meets the objective, `feasible` with a gap, `greedy` unsolved."""
    found_by: str
    """The step that came upon it: `partition`, `greedy`, `search` under the bound, or `cp-sat`."""
    broken: tuple[Broken, ...] = ()
    """Soft rules it breaks, then goals it misses; their prices sum to `prices.soft_minor`."""
