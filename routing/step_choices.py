"""Price steps of some slots: what all choices of them cost at least, and which are worth a look.

Steps that hold all grams together cost at least what the cheapest such steps do, a knapsack of few
hundred grains. Less a price per gram for what each step holds, the same knapsack bounds whole plans,
and tells early which choices of steps are too dear (see Sharing in README.md).
"""

from typing import NamedTuple

import numpy as np

from routing.climbing import begun, noted, returned, stepped
from routing.compiled import compiled
from routing.facts import Facts, Floats
from routing.grid import Ints
from routing.sharing import GRAM, LOAD, Best, Sharing, ascending, beaten, offer, spread_all

__all__ = ["CHOICES_MAX", "TRIES_MAX", "Stairs", "by_stairs", "choices", "priced", "stairs"]

CHOICES_MAX = 2_000
"""Most ways to choose price steps for a set of slots."""

TRIES_MAX = 20 * CHOICES_MAX
"""Most steps looked at to find these."""

GRAINS_MAX = 256
"""Most grains that the weight of an order is told apart by."""


class Stairs(NamedTuple):
    """The price steps of m slots, and the cheapest that hold up to Q grains."""

    low: Ints
    """`[m]`: the lowest step of each slot that holds what only this slot has."""
    end: Ints
    """`[m]`: its steps end before this one."""
    grain: int
    """Grams of a grain."""
    least: Floats
    """`[m + 1, Q + 1]`: what the steps of this slot and those after it, which hold so many grains,
    cost at least, less the price of the grams they hold."""
    pick: Ints
    """`[m, Q + 1]`: the step of this slot among these."""


@compiled
def stairs(facts: Facts, local: Sharing, spare: float) -> Stairs:
    """The steps of some slots, not priced yet, that hold all units and a share of `spare` more."""
    m = len(local.slots)
    weight, base = _weights(local)
    total = int(weight * (1.0 + spare))
    low, end, grain = np.empty(m, np.int64), np.empty(m, np.int64), 0
    for a in range(m):
        k = local.slots[a]
        low[a], end[a] = facts.limit_starts[k], facts.limit_starts[k + 1]
        while low[a] < end[a] - 1 and facts.limits[low[a]] < base[a]:
            low[a] += 1
        # The last limit is what the slot has; those before it are mostly multiples of something.
        for step in range(low[a], end[a] - 1):
            rest = int(facts.limits[step])
            while rest:
                grain, rest = rest, grain % rest
    grain = max(grain, 1 + total // GRAINS_MAX)
    grains = -(-total // grain)
    least = np.zeros((m + 1, grains + 1))
    least[m, 1:] = 1e300
    return Stairs(low, end, grain, least, np.zeros((m, grains + 1), np.int64))


@compiled
def held(facts: Facts, stair: Stairs, step: int) -> int:
    """The grains that a step holds, one in part counted as one."""
    return -(-int(facts.limits[step]) // stair.grain)


@compiled
def priced(facts: Facts, stair: Stairs, gram: Floats) -> float:
    """The least that steps for all grains cost, less the price of the grams they hold.

    `gram` `[m]` are prices per gram. 1e300 or about that where no steps hold so much.
    """
    least, pick = stair.least, stair.pick
    ends = least.shape[1]
    for a in range(len(gram) - 1, -1, -1):
        least[a] = 1e300
        for step in range(stair.low[a], stair.end[a]):
            own = facts.parcels[step] - gram[a] * facts.limits[step]
            alone, room = own + least[a + 1, 0], min(ends, held(facts, stair, step))
            for q in range(room):
                if alone < least[a, q]:
                    least[a, q], pick[a, q] = alone, step
            for q in range(room, ends):
                price = own + least[a + 1, q - room]
                if price < least[a, q]:
                    least[a, q], pick[a, q] = price, step
    return float(least[0, ends - 1])


@compiled
def by_stairs(
    facts: Facts, local: Sharing, stair: Stairs, best: Best, limits: tuple[float, int]
) -> float:
    """The best bound found on plans that open the slots; leaves the prices per gram that prove it.

    As `by_gram`, with the steps that are cheapest at the prices in place of given ones, and `stair`
    priced. `limits` are what such plans pay besides steps and units, and how many prices are tried,
    of which the first are those to begin with.
    """
    fixed, turns = limits
    m, gram = len(local.slots), local.numbers[GRAM]
    climb, over, found = begun(gram), np.empty(m), -1e300
    for turn in range(turns):
        value = fixed + spread_all(local)
        if turn == 0:
            offer(facts, local, best)
        value += priced(facts, stair, gram)
        found = noted(climb, gram, value)
        if beaten(best, found) or turn == turns - 1:
            break
        _overloads(facts, local, stair, over)
        if not stepped(climb, gram, over, best.objective[0]):
            break
    if returned(climb, gram):
        priced(facts, stair, gram)
    return found


@compiled
def _overloads(facts: Facts, local: Sharing, stair: Stairs, over: Floats) -> None:
    """By how many grams loads are above the steps that are cheapest."""
    q = stair.least.shape[1] - 1
    for a in range(len(over)):
        step = stair.pick[a, q]
        q = max(0, q - held(facts, stair, step))
        over[a] = local.numbers[LOAD, a] - facts.limits[step]


@compiled
def choices(
    facts: Facts, local: Sharing, stair: Stairs, ceiling: float
) -> tuple[Ints, Floats, bool]:
    """Every choice of price steps that costs at most `ceiling`, less the price of its grams.

    `stair` is priced at the same prices. Steps `[C, m]`, what they cost `[C]` in ascending order,
    and whether these are all: there are fewer than `CHOICES_MAX`, and finding them was not too much
    work.
    """
    m, gram = len(local.slots), local.numbers[GRAM]
    steps, prices = np.empty((CHOICES_MAX, m), np.int64), np.empty(CHOICES_MAX)
    place, paid = stair.low.copy(), np.zeros(m + 1)
    wanted = np.full(m + 1, stair.least.shape[1] - 1)
    count, depth, tries = 0, 0, 0
    while depth >= 0 and count < CHOICES_MAX and tries < TRIES_MAX:
        tries += 1
        step = place[depth]
        if step == stair.end[depth]:
            place[depth] = stair.low[depth]
            depth -= 1
            if depth >= 0:
                place[depth] += 1
            continue
        left = max(0, wanted[depth] - held(facts, stair, step))
        price = paid[depth] + facts.parcels[step] - gram[depth] * facts.limits[step]
        if price + stair.least[depth + 1, left] > ceiling:
            place[depth] += 1
        elif depth == m - 1:
            steps[count], prices[count] = place, price
            count += 1
            place[depth] += 1
        else:
            depth += 1
            paid[depth], wanted[depth] = price, left
    order = ascending(prices[:count])
    return steps[order], prices[order], depth < 0


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
