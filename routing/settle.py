"""The cheapest plan that opens exactly given slots, found and proven.

Whole price steps are chosen first, then units are shared so that each slot's load fits its step: a
bound by prices per gram shuts most choices, `closing.py` what is left.
"""

import numpy as np

from routing.closing import closed
from routing.compiled import compiled
from routing.facts import MISSING, SLACK_MINOR, SPLIT, Facts, Floats
from routing.grid import Ints
from routing.mending import polish
from routing.sharing import (
    CAP,
    Best,
    Sharing,
    ascending,
    beaten,
    by_gram,
    late,
    offer,
    sharing,
    spread_all,
)

SLOTS_MAX = 12
"""Most slots opened at once that are looked at."""

CHOICES_MAX = 2_000
"""Most ways to choose price steps for them."""

TRIES_MAX = 20 * CHOICES_MAX
"""Most steps looked at to find these."""

TURNS = 24
"""Adjustments of the prices per gram for one choice."""

HASTY_CHOICES, HASTY_TURNS = 10, 4
"""Choices looked at, and adjustments for each, for the sake of the incumbent alone."""

PARTS_LEAST = 10
"""Parts of a choice looked at, at least, when others have used up what there was."""

WORK_LEAST, WORK_PART = 100_000, 2_000
"""Work after which no further choice is looked at: this much, and for every part allowed."""


@compiled
def settle(facts: Facts, slots: Ints, best: Best, parts_max: int) -> tuple[float, int]:
    """Look for the cheapest plan that opens exactly `slots` and fulfills all that is wanted.

    Returns a bound on those cheaper than the incumbent, which may be new, infinite when there are
    none, and the work done. At most about `parts_max` parts of its choices are looked at.
    """
    if len(slots) > SLOTS_MAX:
        return -1e300, 1
    local = sharing(facts, slots)
    m, lines = local.most.shape
    units = spread_all(local)
    work = 4 * m * lines
    if units > 1e299:
        return 1e300, work
    offer(facts, local, best)
    fixed = float(facts.prices[MISSING] - facts.prices[SPLIT])
    for a in range(m):
        fixed += facts.opening[slots[a]]
    ceiling = best.objective[0] - 1 + SLACK_MINOR - fixed - units
    steps, prices, whole = choices(facts, local, ceiling)
    if not whole:
        return -1e300, work + TRIES_MAX
    lowest, work_max = 1e300, WORK_LEAST + WORK_PART * parts_max
    for c in range(len(steps)):
        paid = fixed + prices[c]
        if beaten(best, paid + units):
            break
        if work > work_max or late(best):
            return min(lowest, paid + units), work
        for a in range(m):
            local.numbers[CAP, a] = facts.limits[steps[c, a]]
        bound, more = decided(facts, local, best, paid, parts_max)
        lowest = min(lowest, bound)
        parts_max = max(parts_max - more // WORK_PART, PARTS_LEAST)
        work += more
    return lowest, work


@compiled
def hastened(facts: Facts, slots: Ints, best: Best) -> None:
    """Look for a cheap plan that opens some of `slots` and fulfills all that is wanted, in a hurry."""
    if len(slots) > SLOTS_MAX:
        return
    local = sharing(facts, slots)
    units = spread_all(local)
    if units > 1e299:
        return
    offer(facts, local, best)
    fixed = float(facts.prices[MISSING] - facts.prices[SPLIT])
    for a in range(len(slots)):
        fixed += facts.opening[slots[a]]
    ceiling = best.objective[0] - 1 + SLACK_MINOR - fixed - units
    steps, prices, _ = choices(facts, local, ceiling)
    for c in range(min(len(steps), HASTY_CHOICES)):
        if beaten(best, fixed + prices[c] + units) or late(best):
            break
        for a in range(len(slots)):
            local.numbers[CAP, a] = facts.limits[steps[c, a]]
        if not beaten(best, by_gram(facts, local, best, fixed + prices[c], HASTY_TURNS)):
            spread_all(local)
            polish(facts, local, best)


@compiled
def decided(
    facts: Facts, local: Sharing, best: Best, paid: float, parts_max: int
) -> tuple[float, int]:
    """Look for the cheapest plan whose loads fit the caps; `paid` are its slots and price steps.

    Returns a bound on those cheaper than the incumbent, infinite when there are none, and the work
    done.
    """
    m, lines = local.most.shape
    bound = by_gram(facts, local, best, paid, TURNS)
    work = TURNS * m * lines
    if beaten(best, bound):
        return 1e300, work
    spread_all(local)
    work += polish(facts, local, best)
    if beaten(best, bound):
        return 1e300, work
    done, more = closed(facts, local, best, paid, parts_max)
    return 1e300 if done else bound, work + more


@compiled
def choices(facts: Facts, local: Sharing, ceiling: float) -> tuple[Ints, Floats, bool]:
    """Every choice of price steps that could hold all units for less than `ceiling`.

    Steps `[C, m]`, their prices `[C]` in ascending order, and whether these are all: there are fewer
    than `CHOICES_MAX`, and finding them was not too much work.
    """
    m = len(local.slots)
    steps = np.empty((CHOICES_MAX, m), np.int64)
    prices = np.empty(CHOICES_MAX)
    total, base = _weights(local)
    low, cheapest, widest = _ends(facts, local, base)
    count, depth, tries = 0, 0, 0
    place = low.copy()
    paid, held = np.zeros(m + 1), np.zeros(m + 1)
    while depth >= 0 and count < CHOICES_MAX:
        tries += 1
        if tries > TRIES_MAX:
            break
        step = place[depth]
        if step >= facts.limit_starts[local.slots[depth] + 1] or (
            paid[depth] + facts.parcels[step] + cheapest[depth + 1] > ceiling
        ):
            place[depth] = low[depth]
            depth -= 1
            place[depth] += 1
        elif held[depth] + facts.limits[step] + widest[depth + 1] < total:
            place[depth] += 1
        elif depth == m - 1:
            steps[count] = place
            prices[count] = paid[depth] + facts.parcels[step]
            count += 1
            place[depth] += 1
        else:
            paid[depth + 1] = paid[depth] + facts.parcels[step]
            held[depth + 1] = held[depth] + facts.limits[step]
            depth += 1
    order = ascending(prices[:count])
    return steps[order], prices[order], depth < 0


@compiled
def _ends(facts: Facts, local: Sharing, base: Floats) -> tuple[Ints, Floats, Floats]:
    """The lowest step of each slot; from each on, what these cost and the most grams there are."""
    m = len(local.slots)
    low = np.empty(m, np.int64)
    cheapest, widest = np.zeros(m + 1), np.zeros(m + 1)
    for a in range(m - 1, -1, -1):
        k = local.slots[a]
        low[a] = facts.limit_starts[k]
        last = facts.limit_starts[k + 1] - 1
        while low[a] < last and facts.limits[low[a]] < base[a]:
            low[a] += 1
        cheapest[a] = cheapest[a + 1] + facts.parcels[low[a]]
        widest[a] = widest[a + 1] + facts.limits[facts.limit_starts[k + 1] - 1]
    return low, cheapest, widest


@compiled
def _weights(local: Sharing) -> tuple[float, Floats]:
    """The weight of all units, and of those that only each slot can take."""
    m, lines = local.most.shape
    total, base = 0.0, np.zeros(m)
    for i in range(lines):
        units = 0
        for a in range(m):
            units += local.most[a, i]
        for a in range(m):
            alone = local.wanted[i] - (units - local.most[a, i])
            base[a] += max(0, alone) * local.grams[i]
        total += local.wanted[i] * local.grams[i]
    return total, base
