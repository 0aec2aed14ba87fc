"""A grid made ready for compiled stages: only what can be taken, and the floats that bounds need."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

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
    """`[N]`: handling of one unit and its share of the line's waiting."""
    opening: Floats
    """`[K]`: handling of the fulfillment and the split."""
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
    """`[K, I]`, as are the next eight: the grid's own, units at most those wanted."""
    quantities: Ints
    weights_grams: Ints
    time_minor: Ints
    slot_minor: Ints
    unit_minor: Ints
    step_starts: Ints
    step_grams: Ints
    step_minor: Ints
    prices: Ints
    """`[5]`: split, shortage, price of the units no plan finds, units ordered, and how many of the
    slots are real."""


SPLIT, SHORTAGE, MISSING, ORDERED, REAL = range(5)


def facts(grid: Grid, objective_minor: int) -> Facts:
    """The facts of a grid for plans cheaper than `objective_minor`."""
    wanted, most = reachable(grid.units_max, grid.quantities, grid.nodes)
    ordered = int(grid.quantities.sum())
    missing = grid.shortage_minor * (ordered - int(wanted.sum()))
    scalars = (grid.split_minor, grid.shortage_minor, missing, ordered, len(most))
    prices = np.array(scalars, np.int64)
    loose = not grid.complete and objective_minor > missing + grid.shortage_minor
    return _arranged(
        (most, grid.quantities, grid.weights_grams, grid.time_minor),
        (grid.slot_minor, grid.unit_minor, grid.step_starts, grid.step_grams, grid.step_minor),
        prices,
        wanted,
        loose,
    )


@compiled
def reachable(units_max: Ints, quantities: Ints, nodes: Ints) -> tuple[Ints, Ints]:
    """The units all nodes together can give, and what each slot could take of them."""
    slots, lines = units_max.shape
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
def _arranged(
    order: tuple[Ints, Ints, Ints, Ints],
    money: tuple[Ints, Ints, Ints, Ints, Ints],
    prices: Ints,
    wanted: Ints,
    loose: bool,
) -> Facts:
    units_max, quantities, weights_grams, time_minor = order
    slot_minor, unit_minor, step_starts, step_grams, step_minor = money
    real, width = units_max.shape
    slots = real + 1 if loose else real
    pairs = np.count_nonzero(units_max) + (width if loose else 0)
    starts = np.zeros(slots + 1, np.int64)
    lines = np.empty(pairs, np.int64)
    most, heavy, costs = np.empty(pairs), np.empty(pairs), np.empty(pairs)
    opening = np.zeros(slots)
    limit_starts = np.zeros(slots + 1, np.int64)
    limits = np.empty(len(step_grams) + 1)
    parcels = np.empty(len(step_grams) + 1)
    n = count = 0
    for k in range(real):
        load = 0
        for i in range(width):
            if units_max[k, i] > 0:
                lines[n] = i
                most[n] = units_max[k, i]
                heavy[n] = max(MOTE, float(units_max[k, i] * weights_grams[i]))
                costs[n] = unit_minor[k] + time_minor[k, i] / wanted[i]
                load += units_max[k, i] * weights_grams[i]
                n += 1
        starts[k + 1] = n
        opening[k] = slot_minor[k] + prices[SPLIT]
        first = step_starts[k]
        steps = 1
        while step_grams[first + steps - 1] < load:
            steps += 1
        shared = (steps + STEPS_MAX - 1) // STEPS_MAX
        for step in range(0, steps, shared):
            last = min(step + shared, steps) - 1
            limits[count] = min(load, step_grams[first + last]) + MOTE * width
            parcels[count] = step_minor[first + step]
            count += 1
        limit_starts[k + 1] = count
    if loose:
        for i in range(width):
            lines[n] = i
            most[n] = wanted[i]
            heavy[n] = max(MOTE, float(wanted[i] * weights_grams[i]))
            costs[n] = prices[SHORTAGE]
            n += 1
        limits[count] = (wanted * weights_grams).sum() + MOTE * width
        parcels[count] = 0
        count += 1
        starts[slots], limit_starts[slots] = n, count
    return Facts(
        starts,
        lines,
        most,
        heavy,
        costs,
        opening,
        limit_starts,
        limits[:count].copy(),
        parcels[:count].copy(),
        wanted.astype(np.float64),
        weights_grams.astype(np.float64),
        units_max,
        quantities,
        weights_grams,
        time_minor,
        slot_minor,
        unit_minor,
        step_starts,
        step_grams,
        step_minor,
        prices,
    )


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
    total = facts.prices[ORDERED] * facts.prices[SHORTAGE]
    opened = 0
    for k in range(slots):
        count = load = 0
        for i in range(lines):
            count += units[k, i]
            load += units[k, i] * facts.weights_grams[i]
        if count:
            opened += 1
            total += parcel_minor(facts, k, load) + facts.slot_minor[k]
            total += count * (facts.unit_minor[k] - facts.prices[SHORTAGE])
    for i in range(lines):
        waits = 0
        for k in range(slots):
            if units[k, i]:
                waits = max(waits, facts.time_minor[k, i])
        total += waits
    return int(total + facts.prices[SPLIT] * max(0, opened - 1))
