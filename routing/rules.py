"""Plans that simple rules find at once, on arrays."""

import numpy as np

from routing.bonds import openable, other_nodes, taken_of
from routing.compiled import compiled
from routing.facts import MISSING, SPLIT, Facts, objective_of, parcel_minor
from routing.grid import Ints


@compiled
def by_rule(facts: Facts, complete: bool, cheapest: bool) -> Ints:
    """Open the slot that is best per unit, or that takes most units, until nothing is wanted.

    Units `[K, I]`, within all limits; none where all or none must be fulfilled and the rule does
    not find all.
    """
    slots, lines = facts.units_max.shape
    units = np.zeros((slots, lines), np.int64)
    left = facts.wanted.astype(np.int64)
    waited, row = np.zeros(lines, np.int64), np.zeros(lines, np.int64)
    closed = np.ones(slots, np.bool_)
    used = np.zeros(len(facts.bonds.most), np.int64)
    split = 0
    while left.any():
        best_k, first, second = -1, 0.0, 0.0
        for k in range(slots):
            if closed[k] and openable(facts.bonds, k, closed):
                _take(facts, k, (left, units), used.copy() if len(used) else used, row)
                count, price, shortage = _priced(facts, k, row, waited)
                price += split
                if count and (complete or price < shortage):
                    each = price / count
                    one, two = (each, -count) if cheapest else (-count, price)
                    if best_k < 0 or one < first or (one == first and two < second):
                        best_k, first, second = k, one, two
        if best_k < 0:
            break
        closed[best_k] = False
        split = facts.prices[SPLIT]
        row[:] = 0
        _take(facts, best_k, (left, units), used, row)
        for i in range(lines):
            if row[i]:
                units[best_k, i] = row[i]
                left[i] -= row[i]
                waited[i] = max(waited[i], facts.time_minor[best_k, i])
    if complete and (left.any() or facts.prices[MISSING] > 0):
        units[:] = 0
    return units


@compiled
def _take(facts: Facts, k: int, state: tuple[Ints, Ints], used: Ints, row: Ints) -> None:
    """Put the units of its lines that slot `k` could take of those left into `row`.

    Adds them to those that count against the limits. The last node that a line may be shared with
    takes all that is left of it or none. `state` are the units left and those taken by slot.
    """
    left, units = state
    for n in range(facts.starts[k], facts.starts[k + 1]):
        i = facts.lines[n]
        row[i] = min(left[i], facts.units_max[k, i])
        if facts.bonds.nodes_max:
            more = facts.bonds.nodes_max - other_nodes(facts.bonds, units[:, i], k)
            if more < 1 or (more == 1 and row[i] < left[i]):
                row[i] = 0
    if len(used):
        taken_of(facts.bonds, k, row, used)


@compiled
def _priced(facts: Facts, k: int, row: Ints, waited: Ints) -> tuple[int, float, int]:
    """How many units of its lines slot `k` takes, what opening it adds, and what they cost short."""
    count, load, price, shortage = 0, 0, 0, 0
    for n in range(facts.starts[k], facts.starts[k + 1]):
        i = facts.lines[n]
        if row[i]:
            count += row[i]
            load += row[i] * facts.weights_grams[i]
            price += row[i] * facts.unit_minor[k, i]
            shortage += row[i] * facts.shortage_minor[i]
            price += max(0, facts.time_minor[k, i] - waited[i])
    if count == 0:
        return 0, 0.0, 0
    return count, float(price + parcel_minor(facts, k, load) + facts.slot_minor[k]), shortage


@compiled
def quickest(facts: Facts, complete: bool) -> tuple[Ints, int]:
    """The best of what the rules find, or nothing at all where that is cheaper."""
    slots, lines = facts.units_max.shape
    best = np.zeros((slots, lines), np.int64)
    price = objective_of(facts, best)
    for cheapest in (True, False):
        units = by_rule(facts, complete, cheapest)
        found = objective_of(facts, units)
        if found < price:
            best, price = units, found
    return best, price
