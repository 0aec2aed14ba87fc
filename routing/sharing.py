"""Some slots opened: how they share the units, and what prices per gram prove about that."""

from typing import NamedTuple

import numpy as np

from routing.bonds import kept
from routing.climbing import begun, noted, returned, stepped
from routing.clock import now_s
from routing.compiled import compiled
from routing.facts import (
    NOTHING,
    REAL,
    SLACK_MINOR,
    SPLIT,
    Facts,
    Floats,
    parcel_minor,
)
from routing.grid import Ints


class Sharing(NamedTuple):
    """Some slots opened, m of them, and units shared between them."""

    slots: Ints
    """`[m]`: their numbers."""
    most: Ints
    """`[m, I]`: units each could take."""
    times: Ints
    """`[m, I]`: what a line waits at least with a unit there."""
    each: Ints
    """`[m, I]`: price of a unit, its waiting and grams aside."""
    share: Ints
    """`[m, I]`: the units of the plan being made."""
    wanted: Ints
    """`[I]`: units wanted."""
    grams: Floats
    """`[I]`: grams of one."""
    nodes: Ints
    """`[m]`: slots of one node have the same number, -1 for units that are left out."""
    nodes_max: int
    """The most nodes that may share a line, 0 for any number."""
    numbers: Floats
    """`[3, m]`: price per gram, most grams of the price step chosen, and load."""


GRAM, CAP, LOAD = range(3)

GAP_WIDE = 0.08
"""Of the incumbent's objective, open after half of a short time. On real baskets with 5 ms one in
twelve of such is proven in the other half, and plans get 0.3 % cheaper."""

Tables = tuple[Ints, Ints, Ints, Ints, Ints, Floats]
"""Of a sharing: share, most, times, each, wanted, grams. Whole values take time where they are
handed on, at each call."""


class Best(NamedTuple):
    """The incumbent."""

    units: Ints
    """`[K, I]` of real slots."""
    objective: Ints
    """`[1]`"""
    until: Floats
    """`[1]`: when the search for a better one is to end, as a reading of `now_s`."""


@compiled
def late(best: Best) -> bool:
    """Whether the time is over."""
    return bool(best.until[0] < np.inf and now_s() > best.until[0])


@compiled
def wide(best: Best, value: float, since: float) -> bool:
    """Whether it is later than `since`, and the least objective still possible far below the best."""
    return bool(value < (1 - GAP_WIDE) * best.objective[0] and since < np.inf and now_s() > since)


@compiled
def ascending(keys: Floats) -> Ints:
    """The places of keys in ascending order, equal ones as they come.

    The one sort there is: it takes a second to compile.
    """
    return np.argsort(keys, kind="mergesort")


@compiled
def sharing(facts: Facts, slots: Ints) -> Sharing:
    """Tables of the slots alone."""
    m, lines = len(slots), len(facts.wanted)
    most = np.zeros((m, lines), np.int64)
    times = np.zeros((m, lines), np.int64)
    each = np.zeros((m, lines), np.int64)
    nodes = np.full(m, -1)
    for a in range(m):
        k = slots[a]
        for n in range(facts.starts[k], facts.starts[k + 1]):
            most[a, facts.lines[n]] = int(facts.most[n])
        if k < facts.prices[REAL]:
            times[a] = facts.time_minor[k]
            if facts.bonds.nodes_max:
                nodes[a] = facts.bonds.nodes[k]
            each[a] = facts.unit_minor[k]
        else:
            each[a] = facts.shortage_minor
    wanted, share = facts.wanted.astype(np.int64), np.zeros((m, lines), np.int64)
    most_nodes, numbers = facts.bonds.nodes_max, np.zeros((3, m))
    return Sharing(slots, most, times, each, share, wanted, facts.grams, nodes, most_nodes, numbers)


@compiled
def tables_of(local: Sharing) -> Tables:
    """What sharing a line reads."""
    return local.share, local.most, local.times, local.each, local.wanted, local.grams


@compiled
def share_minor(facts: Facts, local: Sharing) -> int:
    """The objective of the units shared."""
    share, each, times, slots = local.share, local.each, local.times, local.slots
    weights, shortage, slot_minor = facts.weights_grams, facts.shortage_minor, facts.slot_minor
    real, total, opened = facts.prices[REAL], facts.prices[NOTHING], 0
    count, lines = share.shape
    for a in range(count):
        k = slots[a]
        if k < real:
            units = load = 0
            for i in range(lines):
                units += share[a, i]
                load += share[a, i] * weights[i]
                total += share[a, i] * (each[a, i] - shortage[i])
            if units:
                opened += 1
                total += parcel_minor(facts, k, load) + slot_minor[k]
    for i in range(lines):
        waits = 0
        for a in range(count):
            if share[a, i]:
                waits = max(waits, times[a, i])
        total += waits
    return int(total + facts.prices[SPLIT] * max(0, opened - 1))


@compiled
def offer(facts: Facts, local: Sharing, best: Best) -> bool:
    """Keep the units shared where they are the cheapest so far and no limit speaks against them."""
    price = share_minor(facts, local)
    if price >= best.objective[0] or not kept(facts.bonds, local.slots, local.share):
        return False
    best.objective[0] = price
    best.units[:] = 0
    for a in range(len(local.slots)):
        if local.slots[a] < facts.prices[REAL]:
            best.units[local.slots[a]] = local.share[a]
    return True


@compiled
def beaten(best: Best, value: float) -> bool:
    """Whether no plan of at least this objective is cheaper than the incumbent."""
    return bool(value > best.objective[0] - 1 + SLACK_MINOR)


@compiled
def filled(tables: Tables, gram: Floats, i: int, until: int) -> float:
    """Share a line among slots that wait no longer than `until`, the cheapest first.

    Units cost their price and their grams; the sum excludes waiting. 1e300 where there are
    too few units.
    """
    share, most, times, each, wanted, grams = tables
    left, total = wanted[i], 0.0
    share[:, i] = 0
    while left > 0:
        chosen, lowest = -1, 1e300
        for a in range(len(gram)):
            if share[a, i] == 0 and most[a, i] > 0 and times[a, i] <= until:
                price = each[a, i] + gram[a] * grams[i]
                if price < lowest:
                    chosen, lowest = a, price
        if chosen < 0:
            return 1e300
        units = min(left, most[chosen, i])
        share[chosen, i] = units
        total += units * lowest
        left -= units
    return total


@compiled
def spread(tables: Tables, gram: Floats, i: int) -> float:
    """Share a line at the least price of its units, waiting and grams; what that comes to."""
    _, most, times, _, _, _ = tables
    lowest, until, one = 1e300, 0, -1
    for a in range(len(gram)):
        if most[a, i] > 0:
            price = filled(tables, gram, i, times[a, i]) + times[a, i]
            if price < lowest:
                lowest, until, one = price, times[a, i], a
    if one >= 0:
        filled(tables, gram, i, until)
    return lowest


@compiled
def spread_all(local: Sharing) -> float:
    """Share all lines at the least price each, and sum that up; sets the loads.

    Most lines are cheapest in one slot, which holds all of them and promises no later than others.
    """
    tables = tables_of(local)
    share, most, times, each, wanted, grams = tables
    gram, load = local.numbers[GRAM], local.numbers[LOAD]
    total = 0.0
    load[:] = 0
    for i in range(len(grams)):
        count, lowest, one, soonest = wanted[i], 1e300, -1, 1 << 60
        for a in range(len(gram)):
            share[a, i] = 0
            if most[a, i] > 0:
                soonest = min(soonest, times[a, i])
                price = each[a, i] + gram[a] * grams[i]
                if count == 1:
                    price += times[a, i]
                if price < lowest:
                    lowest, one = price, a
        if one < 0:
            total += lowest if count else 0.0
        elif count == 1:
            share[one, i] = 1
            load[one] += grams[i]
            total += lowest
        elif most[one, i] >= count and times[one, i] == soonest:
            share[one, i] = count
            load[one] += count * grams[i]
            total += count * lowest + soonest
        else:
            total += spread(tables, gram, i)
            for a in range(len(gram)):
                load[a] += share[a, i] * grams[i]
    return total


@compiled
def by_gram(facts: Facts, local: Sharing, best: Best, fixed: float, turns: int) -> float:
    """The best bound found on plans whose loads fit the caps; leaves the prices that prove it.

    Each gram above a cap is sold at the price, each below bought. `fixed` is what such plans pay
    besides units. Plans met on the way that fit are offered.
    """
    m = len(local.slots)
    gram, caps, load = local.numbers[GRAM], local.numbers[CAP], local.numbers[LOAD]
    climb, over, found = begun(gram), np.empty(m), -1e300
    for _ in range(turns):
        value = fixed + spread_all(local)
        for a in range(m):
            value -= gram[a] * caps[a]
            over[a] = load[a] - caps[a]
        if over.max() <= 0:
            offer(facts, local, best)
        found = noted(climb, gram, value)
        if beaten(best, found) or not stepped(climb, gram, over, best.objective[0]):
            break
    returned(climb, gram)
    return found
