"""Some slots opened: how they share the units, and what prices per gram prove about that."""

from typing import NamedTuple

import numpy as np

from routing.bonds import kept
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

OVER_MINOR = 1.0
"""Price of a gram above a cap while units are moved."""

POLISH_TURNS = 12
"""Times all units are looked at for a better place."""


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
def share_minor(facts: Facts, local: Sharing) -> int:
    """The objective of the units shared."""
    opened, total = 0, facts.prices[NOTHING]
    count, lines = local.share.shape
    for a in range(count):
        k = local.slots[a]
        if k < facts.prices[REAL]:
            units = load = 0
            for i in range(lines):
                units += local.share[a, i]
                load += local.share[a, i] * facts.weights_grams[i]
                total += local.share[a, i] * (local.each[a, i] - facts.shortage_minor[i])
            if units:
                opened += 1
                total += parcel_minor(facts, k, load) + facts.slot_minor[k]
    for i in range(lines):
        waits = 0
        for a in range(count):
            if local.share[a, i]:
                waits = max(waits, local.times[a, i])
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
def filled(local: Sharing, i: int, until: int) -> float:
    """Share a line among slots that wait no longer than `until`, the cheapest first.

    Units cost their price and their grams; the sum excludes waiting. 1e300 where there are
    too few units.
    """
    left, total = local.wanted[i], 0.0
    m = len(local.slots)
    for a in range(m):
        local.share[a, i] = 0
    while left > 0:
        chosen, lowest = -1, 1e300
        for a in range(m):
            if local.share[a, i] == 0 and local.most[a, i] > 0 and local.times[a, i] <= until:
                price = local.each[a, i] + local.numbers[GRAM, a] * local.grams[i]
                if price < lowest:
                    chosen, lowest = a, price
        if chosen < 0:
            return 1e300
        units = min(left, local.most[chosen, i])
        local.share[chosen, i] = units
        total += units * lowest
        left -= units
    return total


@compiled
def spread(local: Sharing, i: int) -> float:
    """Share a line at the least price of its units, waiting and grams; what that comes to."""
    m = len(local.slots)
    lowest, until, one = 1e300, 0, -1
    for a in range(m):
        if local.most[a, i] > 0:
            if local.wanted[i] == 1:
                price = local.each[a, i] + local.numbers[GRAM, a] * local.grams[i]
                price += local.times[a, i]
                local.share[a, i] = 0
            else:
                price = filled(local, i, local.times[a, i]) + local.times[a, i]
            if price < lowest:
                lowest, until, one = price, local.times[a, i], a
    if one >= 0 and local.wanted[i] == 1:
        local.share[one, i] = 1
    elif one >= 0:
        filled(local, i, until)
    return lowest if local.wanted[i] > 0 else 0.0


@compiled
def spread_all(local: Sharing) -> float:
    """Share all lines at the least price each, and sum that up; sets the loads."""
    total = 0.0
    for i in range(len(local.wanted)):
        total += spread(local, i)
    for a in range(len(local.slots)):
        local.numbers[LOAD, a] = (local.share[a] * local.grams).sum()
    return total


@compiled
def by_gram(facts: Facts, local: Sharing, best: Best, fixed: float, turns: int) -> float:
    """The best bound found on plans whose loads fit the caps; leaves the prices that prove it.

    Each gram above a cap is sold at the price, each below bought. `fixed` is what such plans pay
    besides units. Plans met on the way that fit are offered.
    """
    m = len(local.slots)
    found, scale, stalled = -1e300, 1.0, 0
    kept = local.numbers[GRAM].copy()
    direction = np.zeros(m)
    for _ in range(turns):
        value = fixed + spread_all(local)
        fits, length = True, 0.0
        for a in range(m):
            value -= local.numbers[GRAM, a] * local.numbers[CAP, a]
            over = local.numbers[LOAD, a] - local.numbers[CAP, a]
            fits = fits and over <= 0
            direction[a] = over + 0.3 * direction[a]
            if direction[a] > 0 or local.numbers[GRAM, a] > 0:
                length += direction[a] * direction[a]
        if fits:
            offer(facts, local, best)
        stalled += 1
        if value > found + 1e-3:
            found, stalled = value, 0
            kept[:] = local.numbers[GRAM]
        elif stalled == 3:
            scale, stalled = scale / 2, 0
        if beaten(best, found) or length < 1e-9:
            break
        step = scale * max(1.0, best.objective[0] - value) / length
        for a in range(m):
            local.numbers[GRAM, a] = max(0.0, local.numbers[GRAM, a] + step * direction[a])
    local.numbers[GRAM] = kept
    return found


@compiled
def waiting(local: Sharing, i: int, without: int, within: int) -> int:
    """What a line waits with one unit less in a slot and one more in another."""
    found = 0
    for a in range(len(local.slots)):
        units = local.share[a, i] - (1 if a == without else 0) + (1 if a == within else 0)
        if units > 0:
            found = max(found, local.times[a, i])
    return found


@compiled
def gained(local: Sharing, i: int, a: int, b: int) -> float:
    """What moving a unit of a line from one slot to another saves, its grams aside."""
    saved = local.each[a, i] - local.each[b, i]
    if local.wanted[i] == 1:
        return float(saved + local.times[a, i] - local.times[b, i])
    return float(saved + waiting(local, i, -1, -1) - waiting(local, i, a, b))


@compiled
def lighter(local: Sharing, a: int, b: int, grams: float) -> float:
    """What is saved on load above the caps when some grams move from one slot to another."""
    first = local.numbers[LOAD, a] - local.numbers[CAP, a]
    second = local.numbers[LOAD, b] - local.numbers[CAP, b]
    before = max(0.0, first) + max(0.0, second)
    return float(OVER_MINOR * (before - max(0.0, first - grams) - max(0.0, second + grams)))


@compiled
def move(local: Sharing, i: int, a: int, b: int) -> None:
    """Move one unit of a line from one slot to another."""
    local.share[a, i] -= 1
    local.share[b, i] += 1
    local.numbers[LOAD, a] -= local.grams[i]
    local.numbers[LOAD, b] += local.grams[i]


@compiled
def polish(facts: Facts, local: Sharing, best: Best) -> int:
    """Move and swap single units until all loads fit their caps, cheaply; offer what comes of it.

    Returns how many moves were looked at.
    """
    m, lines = local.most.shape
    looked = 0
    for _ in range(POLISH_TURNS):
        changed = False
        for i in range(lines):
            looked += m * m
            changed = moved(local, i) or changed
        for a in range(m):
            if not changed and local.numbers[LOAD, a] > local.numbers[CAP, a]:
                looked += m * lines * lines // 4
                changed = swapped(local, a)
        if not changed:
            break
    fits = True
    for a in range(m):
        fits = fits and local.numbers[LOAD, a] <= local.numbers[CAP, a]
    if fits:
        offer(facts, local, best)
    return looked


@compiled
def moved(local: Sharing, i: int) -> bool:
    """Move units of a line wherever that saves something; whether any were."""
    m = len(local.slots)
    changed = False
    for a in range(m):
        for b in range(m):
            able = a != b and local.share[a, i] > 0
            if able and local.share[b, i] < local.most[b, i]:
                gain = lighter(local, a, b, local.grams[i]) + gained(local, i, a, b)
                if gain > 1e-6:
                    move(local, i, a, b)
                    changed = True
    return changed


@compiled
def swapped(local: Sharing, a: int) -> bool:
    """Make the best swap of a unit in slot `a` with one elsewhere; whether there was any."""
    m, lines = local.most.shape
    found, best_b, best_i, best_j = 1e-6, -1, -1, -1
    for b in range(m):
        for i in range(lines):
            if b == a or local.share[a, i] == 0 or local.share[b, i] >= local.most[b, i]:
                continue
            there = gained(local, i, a, b)
            for j in range(lines):
                if j == i or local.share[b, j] == 0 or local.share[a, j] >= local.most[a, j]:
                    continue
                gain = there + lighter(local, a, b, local.grams[i] - local.grams[j])
                if gain > found - 1e3:
                    gain += gained(local, j, b, a)
                if gain > found:
                    found, best_b, best_i, best_j = gain, b, i, j
    if best_b < 0:
        return False
    move(local, best_i, a, best_b)
    move(local, best_j, best_b, a)
    return True
