"""A grid made ready for compiled stages: only what can be taken, and the floats that bounds need."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from routing.bonds import Bonds, no_bonds
from routing.compiled import compiled
from routing.grid import Grid, Ints

Floats = NDArray[np.float64]
Bytes = NDArray[np.int8]
Bools = NDArray[np.bool_]

STEPS_MAX = 40
"""Price steps of one slot told apart in bounds; beyond, neighbors share the lower price."""

MOTE = 1e-6
"""Grams that weightless units count for; limits are that much wider for every line."""

SLACK_MINOR = 1e-3
"""Floats are trusted to this much of a minor unit."""


class Facts(NamedTuple):
    """What bounds, rules and packing read; K slots, I lines, N pairs of a slot and a line it has.

    With shortage priced so low that leaving units out may pay, the last slot is one that takes
    every unit at that price.
    """

    starts: Ints
    """`[K + 1]`: the pairs of slot k are those from `starts[k]` on."""
    lines: Ints
    """`[N]`: the line of each pair, ascending in a slot."""
    most: Floats
    """`[N]`: units the slot could take."""
    heavy: Floats
    """`[N]`: their grams, at least a mote, so that worth per gram is a number."""
    costs: Floats
    """`[N]`: price of one unit and its share of the line's waiting."""
    opening: Floats
    """`[K]`: price of the fulfillment, parcels aside, and the split."""
    limit_starts: Ints
    """`[K + 1]`: the price steps of slot k that it can reach are those from here on."""
    limits: Floats
    """`[L]`: the most grams of a price step that the slot could load."""
    parcels: Floats
    """`[L]`: its price, at most the true one."""
    wanted: Floats
    """`[I]`: units that all nodes together can give, at most those ordered."""
    grams: Floats
    """`[I]`: grams of one unit."""
    units_max: Ints
    """`[K, I]`, as are the next nine: the grid's own, units at most those wanted."""
    quantities: Ints
    weights_grams: Ints
    shortage_minor: Ints
    time_minor: Ints
    slot_minor: Ints
    unit_minor: Ints
    step_starts: Ints
    step_grams: Ints
    step_minor: Ints
    prices: Ints
    """`[5]`: split, least shortage of a unit, price of the units no plan finds, price of finding
    none at all, and how many of the slots are real."""
    bonds: Bonds
    """Limits that couple real slots; bounds know nothing of them, plans keep them."""


SPLIT, SHORTAGE, MISSING, NOTHING, REAL = range(5)


def facts(grid: Grid, objective_minor: int, bonds: Bonds | None = None) -> Facts:
    """The facts of a grid, and of limits on its slots, for plans below `objective_minor`."""
    wanted, most = reachable(grid.units_max, grid.quantities, grid.nodes, grid.nodes_max)
    shortage = grid.shortage_minor
    missing = int(shortage @ (grid.quantities - wanted))
    least = int(shortage.min())
    scalars = (grid.split_minor, least, missing, int(shortage @ grid.quantities), len(most))
    prices = np.array(scalars, np.int64)
    short = _loose(grid, missing + least, objective_minor)
    charges = grid.unit_minor, grid.time_minor, wanted, grid.weights_grams
    starts, lines, amounts = _pairs(most, charges, shortage if short else shortage[:0])
    staircase = grid.step_starts, grid.step_grams, grid.step_minor
    limit_starts, limits, parcels = _limits(starts, amounts[1], staircase, len(wanted))
    opening = np.zeros(len(starts) - 1)
    opening[: len(most)] = grid.slot_minor + grid.split_minor
    return Facts(
        starts,
        lines,
        *amounts,
        opening,
        limit_starts,
        limits,
        parcels,
        wanted.astype(np.float64),
        grid.weights_grams.astype(np.float64),
        most,
        grid.quantities,
        grid.weights_grams,
        shortage,
        grid.time_minor,
        grid.slot_minor,
        grid.unit_minor,
        *staircase,
        prices,
        no_bonds(len(most)) if bonds is None else bonds,
    )


def loose(grid: Grid, known: Facts, objective_minor: int) -> bool:
    """Whether a plan below `objective_minor` may leave units out for their price."""
    return _loose(grid, int(known.prices[MISSING] + known.prices[SHORTAGE]), objective_minor)


def _loose(grid: Grid, least_minor: int, objective_minor: int) -> bool:
    """The same, where doing so costs at least `least_minor`."""
    return not grid.complete and objective_minor > least_minor


@compiled
def reachable(units_max: Ints, quantities: Ints, nodes: Ints, nodes_max: int) -> tuple[Ints, Ints]:
    """The units all nodes together can give, and what each slot could take of them.

    With `nodes_max`, not all nodes but those many that give most of a line.
    """
    slots, lines = units_max.shape
    if nodes_max:
        return _reachable_by_few(units_max, quantities, nodes, nodes_max)
    wanted = np.zeros(lines, np.int64)
    best = np.zeros(lines, np.int64)
    for k in range(slots):
        fresh = k == 0 or nodes[k] != nodes[k - 1]
        for i in range(lines):
            before = 0 if fresh else best[i]
            best[i] = max(before, units_max[k, i])
            wanted[i] += best[i] - before
    most = np.empty((slots, lines), np.int64)
    for i in range(lines):
        wanted[i] = min(wanted[i], quantities[i])
        for k in range(slots):
            most[k, i] = min(units_max[k, i], wanted[i])
    return wanted, most


@compiled
def _reachable_by_few(
    units_max: Ints, quantities: Ints, nodes: Ints, nodes_max: int
) -> tuple[Ints, Ints]:
    slots, lines = units_max.shape
    wanted, most = np.zeros(lines, np.int64), np.empty((slots, lines), np.int64)
    for i in range(lines):
        gives = np.zeros(slots, np.int64)
        for k in range(slots):
            gives[nodes[k]] = max(gives[nodes[k]], units_max[k, i])
        gives.sort()
        wanted[i] = min(quantities[i], gives[max(0, slots - nodes_max) :].sum())
        for k in range(slots):
            most[k, i] = min(units_max[k, i], wanted[i])
    return wanted, most


@compiled
def _pairs(
    most: Ints, charges: tuple[Ints, Ints, Ints, Ints], shortage_minor: Ints
) -> tuple[Ints, Ints, tuple[Floats, Floats, Floats]]:
    """Starts, lines, and units, grams and price of a unit of all pairs of a slot and its lines.

    With prices of units short, a last slot takes all units at them.
    """
    unit_minor, time_minor, wanted, weights_grams = charges
    slots, width = most.shape
    loose = len(shortage_minor) > 0
    count = np.count_nonzero(most) + (width if loose else 0)
    starts = np.zeros(slots + (2 if loose else 1), np.int64)
    lines = np.empty(count, np.int64)
    units, heavy, costs = np.empty(count), np.empty(count), np.empty(count)
    n = 0
    for k in range(len(starts) - 1):
        for i in range(width):
            number = most[k, i] if k < slots else wanted[i]
            if number > 0 or k == slots:
                lines[n], units[n] = i, number
                heavy[n] = max(MOTE, float(number * weights_grams[i]))
                if k == slots:
                    costs[n] = shortage_minor[i]
                else:
                    costs[n] = unit_minor[k, i] + time_minor[k, i] / wanted[i]
                n += 1
        starts[k + 1] = n
    return starts, lines, (units, heavy, costs)


@compiled
def _limits(
    starts: Ints, heavy: Floats, staircase: tuple[Ints, Ints, Ints], width: int
) -> tuple[Ints, Floats, Floats]:
    """Starts, most grams and prices of the price steps that each slot can reach."""
    step_starts, step_grams, step_minor = staircase
    limit_starts = np.zeros(len(starts), np.int64)
    limits, parcels = np.empty(len(step_grams) + 1), np.empty(len(step_grams) + 1)
    count = 0
    for k in range(len(starts) - 1):
        load = np.floor(heavy[starts[k] : starts[k + 1]].sum())
        if k == len(step_starts) - 1:
            limits[count], parcels[count] = load + 1, 0.0
            count += 1
        else:
            first, steps = step_starts[k], 1
            while step_grams[first + steps - 1] < load:
                steps += 1
            shared = (steps + STEPS_MAX - 1) // STEPS_MAX
            for step in range(0, steps, shared):
                last = first + min(step + shared, steps) - 1
                limits[count] = min(load, float(step_grams[last])) + MOTE * width
                parcels[count] = step_minor[first + step]
                count += 1
        limit_starts[k + 1] = count
    return limit_starts, limits[:count].copy(), parcels[:count].copy()


@compiled
def parcel_minor(facts: Facts, k: int, load: int) -> int:
    """What sending `load` grams from slot `k` costs."""
    low, high = facts.step_starts[k], facts.step_starts[k + 1] - 1
    while low < high:
        middle = (low + high) // 2
        if facts.step_grams[middle] < load:
            low = middle + 1
        else:
            high = middle
    return int(facts.step_minor[low])


@compiled
def objective_of(facts: Facts, units: Ints) -> int:
    """The objective of units `[K, I]` of real slots."""
    slots, lines = units.shape
    total, opened = facts.prices[NOTHING], 0
    for k in range(slots):
        count = load = 0
        for i in range(lines):
            count += units[k, i]
            load += units[k, i] * facts.weights_grams[i]
            total += units[k, i] * (facts.unit_minor[k, i] - facts.shortage_minor[i])
        if count:
            opened += 1
            total += parcel_minor(facts, k, load) + facts.slot_minor[k]
    for i in range(lines):
        waits = 0
        for k in range(slots):
            if units[k, i]:
                waits = max(waits, facts.time_minor[k, i])
        total += waits
    return int(total + facts.prices[SPLIT] * max(0, opened - 1))
