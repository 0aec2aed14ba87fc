"""The cheapest plan that opens exactly given slots, found and proven.

What all choices of price steps cost at least is looked at first, then one choice after another, for
which units are shared so that each slot's load fits its step: a bound by prices per gram shuts most
choices, `closing.py` what is left.
"""

from routing.closing import closed
from routing.compiled import compiled
from routing.facts import MISSING, SLACK_MINOR, SPLIT, Facts
from routing.grid import Ints
from routing.mending import polish
from routing.sharing import (
    CAP,
    GRAM,
    Best,
    Sharing,
    beaten,
    by_gram,
    late,
    offer,
    sharing,
    spread_all,
)
from routing.step_choices import TRIES_MAX, Stairs, by_stairs, choices, priced, stairs

SLOTS_MAX = 12
"""Most slots opened at once that are looked at."""

FEW = 3
"""Slots of which there are so few choices that these are looked at at once."""

TURNS_MAX, PARTS_TURN = 12, 8
"""Prices per gram tried for all choices together, one for so many parts allowed."""

TURNS = 24
"""Adjustments of the prices per gram for one choice."""

HASTY_CHOICES, HASTY_TURNS = 10, 4
"""Choices looked at, and adjustments for each, for the sake of the incumbent alone."""

SPARE = 0.1
"""Of the weight of all units, what is left over in such choices: tighter ones seldom can be filled."""

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
    local = sharing(facts, slots)
    m, lines = local.most.shape
    work = 4 * m * lines
    if spread_all(local) > 1e299:
        return 1e300, work
    fixed = float(facts.prices[MISSING] - facts.prices[SPLIT])
    for a in range(m):
        fixed += facts.opening[slots[a]]
    turns = max(1, min(TURNS_MAX, parts_max // PARTS_TURN)) if FEW < m <= SLOTS_MAX else 1
    stair = stairs(facts, local, 0.0)
    bound = by_stairs(facts, local, stair, best, (fixed, turns))
    work += turns * m * (lines + stair.least.shape[1])
    if beaten(best, bound):
        return 1e300, work
    if m > SLOTS_MAX:
        return bound, work
    lowest, more = _by_choices(facts, local, stair, best, (fixed, parts_max))
    return max(bound, lowest), work + more


@compiled
def _by_choices(
    facts: Facts, local: Sharing, stair: Stairs, best: Best, limits: tuple[float, int]
) -> tuple[float, int]:
    """The same by choices of price steps, from what proves a bound on all of them.

    `limits` are what plans pay besides steps and units, and the parts allowed.
    """
    fixed, parts_max = limits
    units = fixed + spread_all(local)
    ceiling = best.objective[0] - 1 + SLACK_MINOR - units
    steps, prices, whole = choices(facts, local, stair, ceiling)
    if not whole:
        return -1e300, TRIES_MAX
    lowest, work, work_max = 1e300, 0, WORK_LEAST + WORK_PART * parts_max
    for c in range(len(steps)):
        least, paid = units + prices[c], fixed
        if beaten(best, least):
            break
        if work > work_max or late(best):
            return min(lowest, least), work
        for a in range(len(local.slots)):
            local.numbers[CAP, a] = facts.limits[steps[c, a]]
            paid += facts.parcels[steps[c, a]]
        bound, more = decided(facts, local, best, paid, parts_max)
        lowest = min(lowest, max(least, bound))
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
    stair = stairs(facts, local, SPARE)
    priced(facts, stair, local.numbers[GRAM])
    steps, prices, _ = choices(facts, local, stair, ceiling)
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
