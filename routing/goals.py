"""Goals of a plan as a whole: what each measures, what missing one costs, and plans it forbids.

What a goal measures is built like the objective: something for each slot opened, for each unit, for
the time a line waits, for parcels and splits. So a price on a measure is a change of prices.
"""

from datetime import date
from typing import NamedTuple

import msgspec

from routing import cost
from routing.bundles import Bundle
from routing.cost import Steps
from routing.instance import Assignment, Instance, Slot
from routing.plan import Broken
from routing.problem import Goal, Policy
from routing.promise import line_days

__all__ = ["Opened", "Rate", "missed", "penalty_minor", "value", "weighed", "within_goals"]

BY_SLOT = frozenset(
    ["cost_minor", "handling_minor", "fulfillments", "shipments", "distance_km", "co2_grams"]
)
"""Measures that count something for each slot opened; see `by_slot`, and so on."""
BY_UNIT = frozenset(["cost_minor", "handling_minor", "co2_grams", "group_units"])
BY_WAIT = frozenset(["cost_minor", "late_days"])
BY_PARCEL = frozenset(["cost_minor", "parcels_minor"])
BY_LAST = frozenset(["delivery_days"])

PART_MAX = 10**10
"""Most that a price on a measure adds to any other price, so that bounds stay sharp as floats."""


class Opened(NamedTuple):
    """What a goal looks at of an order: the fields of an `Instance`, for some of its slots."""

    policy: Policy
    lines: tuple[Bundle, ...]
    slots: tuple[Slot, ...]
    ordered_on: date


def by_slot(goal: Goal, slot: Slot) -> int:
    """What a goal counts for opening a slot."""
    match goal.measure:
        case "cost_minor" | "handling_minor":
            return cost.handling_order_minor(slot.handlers)
        case "co2_grams":
            return slot.co2_grams
        case "distance_km":
            return slot.node.distance_km or 0 if slot.method == "ship" else 0
        case "shipments":
            return int(slot.method != "pickup")
        case _:
            return int(goal.measure == "fulfillments")


def by_unit(goal: Goal, slot: Slot, bundle: Bundle) -> int:
    """What a goal counts for a unit of a bundle; of emissions, parts of a gram of a unit not."""
    match goal.measure:
        case "cost_minor" | "handling_minor":
            return cost.handling_unit_minor(slot.handlers) * bundle.pieces
        case "co2_grams":
            rate = slot.co2_grams_per_kg
            return sum(
                units * (line.priced_grams * rate // 1_000) for line, units in bundle.counted
            )
        case "group_units":
            return bundle.pieces * (not set(goal.names).isdisjoint(slot.node.groups))
        case _:
            return 0


def by_wait(instance: Instance | Opened, goal: Goal, slot: Slot, bundle: Bundle) -> int:
    """What a goal counts for a bundle whose last unit comes from a slot."""
    if goal.measure not in BY_WAIT:
        return 0
    each = 1 if goal.measure == "late_days" else instance.policy.lateness_minor
    return each * sum(line_days(slot.promise.latest, day) for day in bundle.requested)


def by_last(instance: Instance | Opened, goal: Goal, slot: Slot) -> int:
    """What a goal counts for a slot, of which the largest alone counts."""
    if goal.measure not in BY_LAST:
        return 0
    return line_days(slot.promise.latest, instance.ordered_on)


def by_split(instance: Instance | Opened, goal: Goal) -> int:
    """What a goal counts for each fulfillment beyond the first."""
    return instance.policy.split_minor if goal.measure == "cost_minor" else 0


def value(instance: Instance | Opened, goal: Goal, units: Assignment) -> int:
    """What a goal measures of an assignment."""
    total = by_split(instance, goal) * max(0, len(units) - 1)
    waits, last = [0] * len(instance.lines), 0
    for k, taken in units.items():
        slot = instance.slots[k]
        total += by_slot(goal, slot)
        last = max(last, by_last(instance, goal, slot))
        for i, count in taken.items():
            total += count * by_unit(goal, slot, instance.lines[i])
            waits[i] = max(waits[i], by_wait(instance, goal, slot, instance.lines[i]))
        if goal.measure in BY_PARCEL:
            grams = sum(instance.lines[i].priced_grams * count for i, count in taken.items())
            total += slot.steps.price_minor(grams)
    return total + sum(waits) + last


def penalty_minor(goal: Goal, came_to: int) -> int:
    """What a goal costs of which the measure comes to so much."""
    return goal.minor * max(0, came_to - goal.target) // goal.per


def within_goals(instance: Instance | Opened, units: Assignment) -> bool:
    """Whether an assignment is within the limit of every goal."""
    return all(
        goal.limit is None or value(instance, goal, units) <= goal.limit
        for goal in instance.policy.goals
    )


def missed(instance: Instance | Opened, units: Assignment) -> tuple[Broken, ...]:
    """The goals that an assignment misses at a price, in their order."""
    found = []
    for goal in instance.policy.goals:
        came_to = value(instance, goal, units)
        price = penalty_minor(goal, came_to)
        if price:
            found.append(Broken(goal.measure, None, price, came_to, goal.target))
    return tuple(found)


class Rate(msgspec.Struct, frozen=True):
    """A price on what a goal measures: `minor` for every `per` of it."""

    goal: Goal
    free: int
    """What is paid back, whatever a plan comes to: the target of the goal, or its limit."""
    minor: int

    @property
    def offset_minor(self) -> int:
        """The price of so much, rounded up."""
        return -(-self.minor * self.free // self.goal.per)

    def part(self, count: int) -> int:
        """The price of a part of the measure, parts of a minor unit left out."""
        return min(PART_MAX, self.minor * count // self.goal.per)


def weighed(instance: Instance, rates: tuple[Rate, ...]) -> Instance:
    """The instance without goals in which their measures have prices instead.

    No plan costs less in the instance with goals than here less all `offset_minor`, as long as no
    rate on a target is above the goal's own price; the proof is in README.md, "Goals".
    """
    rates = tuple(rate for rate in rates if rate.minor)
    slots, policy = instance.slots, instance.policy
    split = policy.split_minor + sum(rate.part(by_split(instance, rate.goal)) for rate in rates)
    made = msgspec.structs.replace(
        instance,
        policy=msgspec.structs.replace(policy, goals=(), split_minor=split),
        slots=_paying(slots, tuple(rate for rate in rates if rate.goal.measure in BY_PARCEL)),
    )
    opening, unit, time = instance.opening_minor, instance.unit_minor, instance.time_minor
    for rate in rates:
        goal = rate.goal
        if goal.measure in BY_SLOT:
            counts = (by_slot(goal, slot) for slot in slots)
            opening = tuple(a + rate.part(b) for a, b in zip(opening, counts, strict=True))
        if goal.measure in BY_UNIT:
            rows = ([by_unit(goal, slot, each) for each in instance.lines] for slot in slots)
            unit = tuple(_raised(rate, *each) for each in zip(unit, rows, strict=True))
        if goal.measure in BY_WAIT:
            rows = (
                [by_wait(instance, goal, slot, each) for each in instance.lines] for slot in slots
            )
            time = tuple(_raised(rate, *each) for each in zip(time, rows, strict=True))
    return msgspec.structs.replace(made, opening_minor=opening, unit_minor=unit, time_minor=time)


def _raised(rate: Rate, prices: tuple[int, ...], counts: list[int]) -> tuple[int, ...]:
    return tuple(a + rate.part(b) for a, b in zip(prices, counts, strict=True))


def _paying(slots: tuple[Slot, ...], rates: tuple[Rate, ...]) -> tuple[Slot, ...]:
    """Slots whose parcels cost what rates on their price add."""
    if not rates:
        return slots
    known: dict[Steps, Steps] = {}
    found = []
    for slot in slots:
        steps = slot.steps
        if steps not in known:
            prices = tuple(p + sum(rate.part(p) for rate in rates) for p in steps.prices_minor)
            known[steps] = msgspec.structs.replace(steps, prices_minor=prices)
        found.append(msgspec.structs.replace(slot, steps=known[steps]))
    return tuple(found)


def last_minor(instance: Instance, k: int) -> int:
    """What a plan pays at least that opens a slot, for goals of which the last slot counts."""
    slot = instance.slots[k]
    return sum(
        penalty_minor(goal, by_last(instance, goal, slot))
        for goal in instance.policy.goals
        if goal.measure in BY_LAST
    )


def without_forbidden(instance: Instance) -> Instance:
    """The instance in which slots that the limit of a goal keeps shut take no units."""
    limits = [goal for goal in instance.policy.goals if goal.limit is not None]
    barred = {
        k
        for k, slot in enumerate(instance.slots)
        for goal in limits
        if by_slot(goal, slot) + by_last(instance, goal, slot) > (goal.limit or 0)
    }
    if not barred:
        return instance
    none = (0,) * len(instance.lines)
    rows = tuple(none if k in barred else row for k, row in enumerate(instance.units_max))
    return msgspec.structs.replace(instance, units_max=rows)
