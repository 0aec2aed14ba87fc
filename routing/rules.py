"""Plans that simple rules find at once, on arrays."""

from typing import NamedTuple

import numpy as np

from routing.bonds import Bonds, openable, other_nodes, taken_of
from routing.compiled import compiled
from routing.facts import MISSING, SPLIT, Bools, Facts, Floats, objective_of
from routing.grid import Ints


class Offers(NamedTuple):
    """What each slot would take of what is left."""

    units: Ints
    """`[K]`: how many."""
    price: Floats
    """`[K]`: what opening it adds, the split aside."""
    shortage: Ints
    """`[K]`: what these units cost short."""


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
    closed, stale = np.ones(slots, np.bool_), np.ones(slots, np.bool_)
    used = np.zeros(len(facts.bonds.most), np.int64)
    offers = Offers(np.zeros(slots, np.int64), np.zeros(slots), np.zeros(slots, np.int64))
    coupled = len(used) > 0 or facts.bonds.nodes_max > 0
    most = np.zeros_like(units) if coupled else facts.units_max
    tables = facts.starts, facts.lines, facts.units_max
    split = 0
    while left.any():
        if coupled:
            stale[:] = True
            for k in range(slots):
                _take(tables, facts.bonds, k, (left, units, used.copy()), most[k])
        stale &= closed
        _price(facts, stale, (most, left, waited), offers)
        best_k = _chosen(facts, offers, closed, (complete, cheapest), split)
        if best_k < 0:
            break
        closed[best_k] = False
        split = facts.prices[SPLIT]
        row[:] = 0
        _take(tables, facts.bonds, best_k, (left, units, used), row)
        for i in range(lines):
            if row[i]:
                units[best_k, i] = row[i]
                left[i] -= row[i]
                waited[i] = max(waited[i], facts.time_minor[best_k, i])
        _outdate(facts.units_max, facts.time_minor, stale, left, row)
    if complete and (left.any() or facts.prices[MISSING] > 0):
        units[:] = 0
    return units


@compiled
def _chosen(
    facts: Facts, offers: Offers, closed: Bools, rule: tuple[bool, bool], split: int
) -> int:
    """The slot that the rule opens next, -1 for none; `rule` is as `by_rule` has it."""
    complete, cheapest = rule
    rationed = len(facts.bonds.open_most) > 0
    best_k, first, second = -1, 0.0, 0.0
    for k in range(len(closed)):
        count, price = offers.units[k], offers.price[k] + split
        if closed[k] and count and (complete or price < offers.shortage[k]):
            each = price / count
            one, two = (each, -count) if cheapest else (-count, price)
            better = best_k < 0 or one < first or (one == first and two < second)
            if better and (not rationed or openable(facts.bonds, k, closed)):
                best_k, first, second = k, one, two
    return best_k


@compiled
def _outdate(units_max: Ints, time_minor: Ints, stale: Bools, left: Ints, row: Ints) -> None:
    """Mark the slots whose offer may be another after units `row` were taken.

    Those that could take more of a line than is left of it now, or whose waiting is partly paid.
    """
    stale[:] = False
    for i in range(len(row)):
        if row[i]:
            for k in range(len(stale)):
                has = units_max[k, i]
                stale[k] |= has > left[i] or (has > 0 and time_minor[k, i] > 0)


@compiled
def _take(
    tables: tuple[Ints, Ints, Ints], bonds: Bonds, k: int, state: tuple[Ints, Ints, Ints], row: Ints
) -> None:
    """Put the units of its lines that slot `k` could take of those left into `row`.

    Adds them to those that count against the limits. The last node that a line may be shared with
    takes all that is left of it or none. `tables` are of the facts what is read; `state` the units
    left, those taken by slot, and those that count already.
    """
    starts, lines, units_max = tables
    left, units, used = state
    for n in range(starts[k], starts[k + 1]):
        i = lines[n]
        row[i] = min(left[i], units_max[k, i])
        if bonds.nodes_max:
            more = bonds.nodes_max - other_nodes(bonds, units[:, i], k)
            if more < 1 or (more == 1 and row[i] < left[i]):
                row[i] = 0
    if len(used):
        taken_of(bonds, k, row, used)


@compiled
def _price(facts: Facts, stale: Bools, state: tuple[Ints, Ints, Ints], offers: Offers) -> None:
    """Note how many of the units left stale slots take, what they cost there, and what short.

    `state` are what slots could take, what is left of each line, and what it waits already.
    """
    most, left, waited = state
    starts, lines, unit_minor = facts.starts, facts.lines, facts.unit_minor
    weights, shortages, time_minor = facts.weights_grams, facts.shortage_minor, facts.time_minor
    step_grams, step_minor = facts.step_grams, facts.step_minor
    for k in np.flatnonzero(stale):
        count, load, price, shortage = 0, 0, 0, 0
        for n in range(starts[k], starts[k + 1]):
            i = lines[n]
            units = min(left[i], most[k, i])
            if units:
                count += units
                load += units * weights[i]
                price += units * unit_minor[k, i]
                shortage += units * shortages[i]
                price += max(0, time_minor[k, i] - waited[i])
        if count:
            step = facts.step_starts[k]
            while step_grams[step] < load:
                step += 1
            price += step_minor[step] + facts.slot_minor[k]
        offers.units[k], offers.price[k], offers.shortage[k] = count, price, shortage


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
