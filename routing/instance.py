"""A problem made ready to solve: slots that may be opened, and the limits that couple them.

Every solver step (greedy, bounds, CP-SAT) reads an `Instance` and answers an `Assignment`; none of
them knows about calendars, tariffs or capabilities.
"""

from collections import Counter
from datetime import date, datetime
from typing import Literal

import msgspec

from routing import cost, filters
from routing.bundles import Bundle
from routing.cost import Steps
from routing.dates import First
from routing.plan import Promise
from routing.problem import Lane, Method, Node, Policy, Soft, Stock, method_of

Assignment = dict[int, dict[int, int]]
"""Units by slot, then by line; only opened slots and positive units are present."""


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """One fulfillment that may be made: a node, a method, a carrier service and a work date."""

    node: Node
    method: Method
    service: str | None
    pickup_node: str | None
    """Where the customer collects; none for `ship`."""
    receiver: Node | None = None
    """The node that unpacks and hands over what another one sends there."""
    start_on: date
    """The work date on which the work starts: what is there by then can be taken."""
    work_on: date
    """The work date of dispatch or readiness, whose capacity is taken."""
    ship_by: datetime
    promise: Promise
    steps: Steps
    """Price of a shipment by weight."""
    broken: tuple[Soft, ...] = ()
    """Soft rules that it breaks."""
    emissions_minor: int = 0
    """Price of the emissions of a shipment, whatever it weighs."""
    emissions_rate: int = 0
    """Price of those of each gram, in millionths."""
    co2_grams: int = 0
    """Emissions of a shipment, whatever it weighs."""
    co2_grams_per_kg: int = 0

    @property
    def handlers(self) -> tuple[Node, ...]:
        """The nodes that handle it, each at its own price: the one it is of, and who receives."""
        return (self.node,) if self.receiver is None else (self.node, self.receiver)

    @property
    def opening_minor(self) -> int:
        """Price of opening it beside parcels and the split."""
        soft = sum(rule.minor for rule in self.broken)
        handling = cost.handling_order_minor(self.handlers)
        return handling + self.node.surcharge_minor + soft + self.emissions_minor

    def unit_emissions_minor(self, grams: int) -> int:
        """Price of the emissions of a unit of so many grams."""
        return grams * self.emissions_rate // filters.RATE


def slot_of(
    policy: Policy,
    ends: tuple[Node, Node | None],
    lane: Lane | None,
    start: First,
    promised: Promise,
    steps: Steps,
) -> Slot:
    """The slot of a node's lane, or of a pickup without one, that starts so.

    `ends` are the node and, where the lane leads to one, the node that receives.
    """
    node, receiver = ends
    return Slot(
        node=node,
        method=method_of(lane),
        service=lane.service if lane else None,
        pickup_node=lane.to_node if lane else node.node_id,
        receiver=receiver,
        start_on=start.start_on,
        work_on=start.work_on,
        ship_by=start.ship_by,
        promise=promised,
        steps=steps,
        broken=filters.broken(policy, node, lane),
        emissions_minor=filters.emissions_minor(policy, lane),
        emissions_rate=filters.emissions_rate(policy, lane),
        co2_grams=lane.co2_grams if lane else 0,
        co2_grams_per_kg=lane.co2_grams_per_kg if lane else 0,
    )


def bundle_emissions_minor(slot: Slot, bundle: Bundle) -> int:
    """The price of what a unit of a bundle emits, those of its lines together."""
    return sum(
        units * slot.unit_emissions_minor(line.priced_grams) for line, units in bundle.counted
    )


class UnitLimit(msgspec.Struct, frozen=True):
    """Units, by slot and line, each times its count, sum to at most `units_max`."""

    kind: Literal["stock", "capacity"]
    units_max: int
    terms: tuple[tuple[int, int, int], ...]
    """Slot, line, and what one of its units counts."""


class OpenLimit(msgspec.Struct, frozen=True):
    """At most `slots_max` of these slots may be opened."""

    kind: Literal["capacity", "shipments"]
    slots_max: int
    slots: tuple[int, ...]


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """Bundles and slots in canonical order.

    Bundles by line id; slots by node id, start, method, pickup node, service.
    """

    policy: Policy
    lines: tuple[Bundle, ...]
    slots: tuple[Slot, ...]
    units_max: tuple[tuple[int, ...], ...]
    """`[slot][line]`: most units of the line the slot could take on its own, 0 where it may not."""
    opening_minor: tuple[int, ...]
    """`[slot]`: price of opening it, beside parcels and the split."""
    unit_minor: tuple[tuple[int, ...], ...]
    """`[slot][line]`: price of a unit of the line."""
    time_minor: tuple[tuple[int, ...], ...]
    """`[slot][line]`: lateness and delay of the line when its last unit comes from the slot."""
    unit_limits: tuple[UnitLimit, ...]
    open_limits: tuple[OpenLimit, ...]
    stock: dict[tuple[str, str], Stock]
    """What the kept nodes can give, by (node_id, sku)."""
    now: datetime
    ordered_on: date
    """Of `now`, at the destination."""

    @property
    def units(self) -> int:
        """Units of lines ordered."""
        return sum(bundle.quantity * bundle.short for bundle in self.lines)


def within_limits(instance: Instance, units: Assignment) -> bool:
    """Whether an assignment keeps every limit that couples slots."""
    return (
        all(
            sum(count * units.get(k, {}).get(i, 0) for k, i, count in limit.terms)
            <= limit.units_max
            for limit in instance.unit_limits
        )
        and all(
            sum(k in units for k in most.slots) <= most.slots_max for most in instance.open_limits
        )
        and _few_nodes(instance, units)
    )


def _few_nodes(instance: Instance, units: Assignment) -> bool:
    """Whether no line is shared by more nodes than may."""
    most = instance.policy.nodes_per_line_max
    places = {(i, instance.slots[k].node.node_id) for k, row in units.items() for i in row}
    return most is None or max(Counter(i for i, _ in places).values(), default=0) <= most


def node_numbers(slots: tuple[Slot, ...]) -> list[int]:
    """A number for the node of each slot, ascending as slots are in order of their nodes."""
    numbers: dict[str, int] = {}
    return [numbers.setdefault(slot.node.node_id, len(numbers)) for slot in slots]


def restrict(instance: Instance, slots: tuple[int, ...]) -> Instance:
    """The instance with only these slots, renumbered in their order."""
    number = {k: new for new, k in enumerate(slots)}
    units = (
        UnitLimit(
            limit.kind,
            limit.units_max,
            tuple((number[k], i, count) for k, i, count in limit.terms if k in number),
        )
        for limit in instance.unit_limits
    )
    opens = (
        OpenLimit(most.kind, most.slots_max, tuple(number[k] for k in most.slots if k in number))
        for most in instance.open_limits
    )
    return msgspec.structs.replace(
        instance,
        slots=tuple(instance.slots[k] for k in slots),
        units_max=tuple(instance.units_max[k] for k in slots),
        opening_minor=tuple(instance.opening_minor[k] for k in slots),
        unit_minor=tuple(instance.unit_minor[k] for k in slots),
        time_minor=tuple(instance.time_minor[k] for k in slots),
        unit_limits=tuple(limit for limit in units if limit.terms),
        open_limits=tuple(most for most in opens if most.slots),
    )


Reason = Literal[
    "stale",
    "no_stock",
    "not_asked",
    "incapable",
    "no_lane",
    "left_out",
    "too_far",
    "no_service",
    "closed",
    "full",
    "dominated",
    "priced_out",
    "open",
]


class Verdict(msgspec.Struct, frozen=True, array_like=True):
    """Why nodes are not among the candidates of a decision."""

    reason: Reason
    node_ids: tuple[str, ...]
    by: str | None = None
    """For `dominated`: the node that serves whatever these could, at no higher price."""
    minor: tuple[int, ...] = ()
    """By node; `dominated`: how much less `by` costs per shipment, at least; `priced_out`: the
    least objective of any plan that uses the node."""
    age_s: tuple[int, ...] = ()
    """By node; `stale`: how long ago its feed had come."""
