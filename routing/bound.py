"""A lower bound from prices on units, and the slots it prices out of any better plan.

Lagrangian: every line i gets a price per unit, and a slot is worth opening only where the units
it takes are worth more than they cost there. What couples slots (stock by date, capacity, most
shipments, everything or nothing) is left out, which can only lower the bound.
"""

import math
import time
from bisect import bisect_left

import msgspec
import numpy as np
from numpy.typing import NDArray

from routing.cost import Steps, handling_minor, shortage_minor, split_minor
from routing.instance import Assignment, Instance

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

ROUNDS_MAX = 60
"""Price adjustments of one order, in two passes."""

PARCELS_MAX = 40
"""Price steps of one slot told apart; beyond, neighbors share the lower price."""

MULTIPLIERS = 8
"""Prices per gram tried for every price step, fewer for large instances."""

CELLS_MAX = 250_000
"""Slots times lines times prices per gram of one round."""

COMBINED_MAX = 512
"""Ways to combine price steps that are kept; with more there is no answer."""

SLACK_MINOR = 1e-6
"""Floats are trusted to this much of a minor unit."""


class Bound(msgspec.Struct, frozen=True, eq=False):
    """What prices prove about an instance."""

    bound_minor: int
    """No assignment has a smaller objective."""
    least_minor: tuple[int, ...]
    """By slot: no assignment that opens it has a smaller objective."""
    prices: Floats
    """`[I]`: the prices of lines that prove it."""

    def slots_below(self, objective_minor: int) -> tuple[int, ...]:
        """The only slots that an assignment cheaper than `objective_minor` can open."""
        return tuple(k for k, least in enumerate(self.least_minor) if least < objective_minor)


class Relaxation(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The instance without its couplings: K slots, I lines, L price steps."""

    wanted: Ints
    """`[I]`: units that all nodes together can give, at most those ordered."""
    missing_minor: int
    """Price of the units that no plan finds."""
    most: Floats
    """`[K, I]`: units a slot could take."""
    weights: Floats
    """`[I]`: grams of one unit."""
    unit: Floats
    """`[K, I]`: handling of a unit and its share of the line's waiting."""
    opening: Floats
    """`[K]`: handling of the fulfillment and the split."""
    limits: Floats
    """`[K, L]`: the most grams of each price step that the slot could load; the last repeats."""
    parcels: Floats
    """`[K, L]`: its price."""
    short_minor: float
    split_minor: int


class Ascent(msgspec.Struct, eq=False):
    """The best prices so far and what they prove."""

    value: float
    """No assignment that opens anything and all forced slots has a smaller objective."""
    least: Floats
    """`[K]`: no such assignment that opens the slot has a smaller objective."""
    rest: Floats
    """`[K]`: what opening the slot costs beyond the worth of its units at these prices."""
    prices: Floats
    """`[I]`"""


def bound(
    instance: Instance,
    incumbent: Assignment,
    objective_minor: int,
    deadline: float = math.inf,
    start: Floats | None = None,
) -> Bound:
    """Bound the objective from below, over all assignments and over those that open each slot.

    `start` are prices by line to begin with, else they follow from the incumbent.
    """
    relaxed = relaxation(instance)
    prices = first_prices(instance, incumbent, relaxed) if start is None else start
    nothing = shortage_minor(instance.policy, instance.units)
    free = np.zeros(len(instance.slots), np.bool_)
    target = float(objective_minor)
    first = ascend(relaxed, prices, free, (target, ROUNDS_MAX // 3, deadline))
    # Prices per gram chosen anew from better prices lift the bound of long orders by a tenth.
    best = ascend(relaxed, first.prices, free, (target, ROUNDS_MAX - ROUNDS_MAX // 3, deadline))
    best.value = max(best.value, first.value)
    np.maximum(best.least, first.least, out=best.least)
    lowest = min(best.value, float(nothing))
    proven = min(objective_minor, max(0, math.ceil(lowest - SLACK_MINOR)))
    least = np.ceil(best.least - SLACK_MINOR).astype(np.int64)
    return Bound(proven, tuple(least.tolist()), best.prices)


def ascend(
    relaxed: Relaxation, prices: Floats, forced: Bools, until: tuple[float, int, float]
) -> Ascent:
    """Deflected Polyak steps from `prices` for plans that open at least the forced slots.

    `until` says when to end: the objective to reach, the most rounds, a reading of
    `time.perf_counter`.
    """
    target, rounds, deadline = until
    slots = len(relaxed.most)
    best = Ascent(-math.inf, np.zeros(slots), np.zeros(slots), prices)
    tables = _tables(relaxed, prices)
    scale, stalled = 1.0, 0
    direction = np.zeros_like(prices)
    fixed = relaxed.missing_minor - relaxed.split_minor
    for _ in range(rounds):
        rest, taken = _reduced(relaxed, prices, forced, tables)
        paid = np.where(forced, rest, np.minimum(rest, 0))
        value = float(prices @ relaxed.wanted + paid.sum()) + fixed
        np.maximum(best.least, value + rest - paid, out=best.least)
        stalled += 1
        if value > best.value + 1e-3:
            best.value, best.rest, best.prices, stalled = value, rest, prices, 0
        elif stalled == 4:
            scale, stalled = scale / 2, 0
        direction = relaxed.wanted - taken + 0.4 * direction
        length = float(direction @ direction)
        enough = best.value > target - 1 + SLACK_MINOR or length < 1e-9 or scale < 0.02
        if enough or time.perf_counter() > deadline:
            break
        step = scale * max(1.0, target - value) / length
        prices = np.clip(prices + step * direction, 0.0, relaxed.short_minor)
    return best


def opened_bound(relaxed: Relaxation, ceiling: float) -> float:
    """What any plan costs at least that opens exactly these slots and fulfills all that can be.

    Price steps are whole here: together they must hold all the weight, and each slot's what nobody
    else has. Units go where they are cheapest, whatever the steps hold. Above `ceiling` any answer
    beyond it is as good as another.
    """
    total = float(relaxed.weights @ relaxed.wanted)
    spare = np.maximum(relaxed.wanted - (relaxed.most.sum(axis=0) - relaxed.most), 0)
    alone = np.minimum(spare, relaxed.most) @ relaxed.weights
    fixed = relaxed.missing_minor - relaxed.split_minor
    price = fixed + float(relaxed.opening.sum()) + _cheapest_units(relaxed)
    combined = [(0.0, price)]
    for k, needed in enumerate(alone.tolist()):
        steps = dict.fromkeys(
            zip(relaxed.limits[k].tolist(), relaxed.parcels[k].tolist(), strict=True)
        )
        merged = sorted(
            (paid + more, -min(total, held + limit))
            for held, paid in combined
            for limit, more in steps
            if limit >= needed and paid + more <= ceiling
        )
        combined = []
        for paid, held in merged:
            if not combined or -held > combined[-1][0]:
                combined.append((-held, paid))
        if len(combined) > COMBINED_MAX:
            return -math.inf
    return min((paid for held, paid in combined if held >= total), default=math.inf)


def _cheapest_units(relaxed: Relaxation) -> float:
    """The least that handling and waiting of all wanted units come to in these slots."""
    order = relaxed.unit.argsort(axis=0, kind="stable")
    most = np.take_along_axis(relaxed.most, order, axis=0)
    before = np.cumsum(most, axis=0) - most
    taken = np.clip(relaxed.wanted - before, 0, most)
    return float((taken * np.take_along_axis(relaxed.unit, order, axis=0)).sum())


def _tables(relaxed: Relaxation, prices: Floats) -> tuple[Floats, Floats]:
    """What stays the same while prices move.

    `[K, M, I]` cost of all units of a line at each price per gram; `[K, M, L]` each price step,
    its limit sold back at that price.
    """
    grams = _multipliers(relaxed, prices)
    costs = relaxed.unit[:, None, :] + grams[:, None] * relaxed.weights
    costs *= relaxed.most[:, None, :]
    return costs, relaxed.parcels[:, None, :] - grams[:, None] * relaxed.limits[:, None, :]


def _multipliers(relaxed: Relaxation, prices: Floats) -> Floats:
    """Prices per gram worth trying: where the lines' worth by weight is, from none on."""
    weighed = relaxed.weights > 0
    if not weighed.any() or not len(relaxed.unit):
        return np.zeros(1)
    worth = np.maximum(prices - relaxed.unit.min(axis=0), 0)[weighed] / relaxed.weights[weighed]
    worth.sort()
    count = min(MULTIPLIERS - 1, max(1, CELLS_MAX // relaxed.most.size))
    places = np.linspace(0, len(worth) - 1, count + 2)[1:-1].astype(np.int64)
    return np.concatenate((np.zeros(1), worth[places]))


def _reduced(
    relaxed: Relaxation, prices: Floats, forced: Bools, tables: tuple[Floats, Floats]
) -> tuple[Floats, Floats]:
    """What opening each slot costs beyond the worth of its units, and the units taken by line.

    For a price step of up to W grams and any m >= 0, a load x costs at least the step's price plus
    m (weight of x - W); the best of all m holds, and the cheapest step must be assumed.
    """
    costs, parcels = tables
    gains = (relaxed.most * prices)[:, None, :] - costs
    np.maximum(gains, 0.0, out=gains)
    rests = parcels - gains.sum(axis=2)[:, :, None]
    by_step = rests.max(axis=1)
    step = by_step.argmin(axis=1)
    rest = by_step[np.arange(len(step)), step] + relaxed.opening
    opened = np.flatnonzero((rest < 0) | forced)
    chosen = rests[opened, :, step[opened]].argmax(axis=1)
    takes = relaxed.most[opened] * (gains[opened, chosen] > 0)
    return rest, takes.sum(axis=0)


def first_prices(instance: Instance, incumbent: Assignment, relaxed: Relaxation) -> Floats:
    """Each opened slot's price shared by its units, half by weight and half by count."""
    prices = np.zeros(len(instance.lines))
    wanted = np.maximum(relaxed.wanted, 1)
    for k, taken in incumbent.items():
        slot, count = instance.slots[k], sum(taken.values())
        weight = sum(instance.lines[i].weight_grams * units for i, units in taken.items())
        whole = slot.steps.price_minor(weight) + relaxed.opening[k]
        unit = relaxed.unit[k]
        for i, units in taken.items():
            heavy = instance.lines[i].weight_grams / weight if weight else 1 / count
            share = whole * (heavy + 1 / count) / 2 + unit[i]
            prices[i] += share * units / wanted[i]
    return np.clip(prices, 0.0, relaxed.short_minor)


def relaxation(instance: Instance) -> Relaxation:
    """Arrays of the relaxed instance."""
    lines, slots = instance.lines, instance.slots
    most = np.array(instance.units_max, float).reshape(len(slots), len(lines))
    weights = np.array([line.weight_grams for line in lines], float)
    ordered = np.array([line.quantity for line in lines], np.int64)
    wanted = np.minimum(ordered, _reachable(instance, most))
    limits, parcels = _staircases([slot.steps for slot in slots], most @ weights)
    handling = [handling_minor(slot.node, 1) - handling_minor(slot.node, 0) for slot in slots]
    waiting = np.array(instance.time_minor, float).reshape(most.shape) / np.maximum(wanted, 1)
    opening = np.array([handling_minor(slot.node, 0) for slot in slots], float)
    split = split_minor(instance.policy, 2)
    return Relaxation(
        wanted=wanted,
        missing_minor=shortage_minor(instance.policy, int((ordered - wanted).sum())),
        most=most,
        weights=weights,
        unit=np.array(handling, float)[:, None] + waiting,
        opening=opening + split,
        limits=limits,
        parcels=parcels,
        short_minor=float(shortage_minor(instance.policy, 1)),
        split_minor=split,
    )


def _reachable(instance: Instance, most: Floats) -> Ints:
    """`[I]`: units all nodes together can give; slots of a node draw on the same stock."""
    total = np.zeros(len(instance.lines))
    first: dict[str, int] = {}
    for k, slot in enumerate(instance.slots):
        first.setdefault(slot.node.node_id, k)
    starts = list(first.values())
    if starts:
        total = np.maximum.reduceat(most, starts, axis=0).sum(axis=0)
    return total.astype(np.int64)


def _staircases(steps: list[Steps], heaviest: Floats) -> tuple[Floats, Floats]:
    """`[K, L]` limits and prices of the price steps each slot can reach, the last repeated."""
    rows = [_reached(step, int(load)) for step, load in zip(steps, heaviest, strict=True)]
    width = max((len(row) for row in rows), default=1)
    padded = np.array([row + [row[-1]] * (width - len(row)) for row in rows], float)
    padded = padded.reshape(len(rows), width, 2)
    return padded[:, :, 0], padded[:, :, 1]


def _reached(steps: Steps, heaviest: int) -> list[tuple[int, int]]:
    """(most grams, price) of the steps up to the heaviest load; too many share lower prices."""
    count = bisect_left(steps.weights_grams, heaviest) + 1
    width = -(-count // PARCELS_MAX)
    return [
        (
            min(heaviest, steps.weights_grams[min(first + width, count) - 1]),
            steps.prices_minor[first],
        )
        for first in range(0, count, width)
    ]
