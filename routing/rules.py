"""Plans that simple rules find at once, on arrays."""

import numpy as np

from routing.compiled import compiled
from routing.facts import MISSING, SHORTAGE, SPLIT, Facts, objective_of, parcel_minor
from routing.grid import Ints


@compiled
def by_rule(facts: Facts, complete: bool, cheapest: bool) -> Ints:
    """Open the slot that is best per unit, or that takes most units, until nothing is wanted.

    Units `[K, I]`; none where all or none must be fulfilled and the rule does not find all.
    """
    slots, lines = facts.units_max.shape
    units = np.zeros((slots, lines), np.int64)
    left = facts.wanted.astype(np.int64)
    waited = np.zeros(lines, np.int64)
    closed = np.ones(slots, np.bool_)
    split = 0
    while left.any():
        best_k, first, second = -1, 0.0, 0.0
        for k in range(slots):
            if closed[k]:
                count, price = _priced(facts, k, left, waited)
                price += split
                if count and (complete or price < facts.prices[SHORTAGE] * count):
                    each = price / count
                    one, two = (each, -count) if cheapest else (-count, price)
                    if best_k < 0 or one < first or (one == first and two < second):
                        best_k, first, second = k, one, two
        if best_k < 0:
            break
        closed[best_k] = False
        split = facts.prices[SPLIT]
        for i in range(lines):
            count = min(left[i], facts.units_max[best_k, i])
            if count:
                units[best_k, i] = count
                left[i] -= count
                waited[i] = max(waited[i], facts.time_minor[best_k, i])
    if complete and (left.any() or facts.prices[MISSING] > 0):
        units[:] = 0
    return units


@compiled
def _priced(facts: Facts, k: int, left: Ints, waited: Ints) -> tuple[int, float]:
    """The units slot `k` could take of those left, and what opening it for them adds."""
    count, load, longer = 0, 0, 0
    for n in range(facts.starts[k], facts.starts[k + 1]):
        i = facts.lines[n]
        units = min(left[i], facts.units_max[k, i])
        if units:
            count += units
            load += units * facts.weights_grams[i]
            longer += max(0, facts.time_minor[k, i] - waited[i])
    if count == 0:
        return 0, 0.0
    price = parcel_minor(facts, k, load) + facts.slot_minor[k] + facts.unit_minor[k] * count
    return count, float(price + longer)


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
