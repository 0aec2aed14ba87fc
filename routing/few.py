"""Plans that open few slots: all that could be cheapest are looked at, where more cost too much.

A parcel carries grams at a price, so many parcels for one weight cost more than few. Where that
alone proves that four slots or three cost as much as the incumbent, nothing is left but pairs and
triples, of which few hold all that is wanted (see Few parcels in README.md).
"""

from typing import NamedTuple

import numpy as np

from routing.carriage import (
    Carriage,
    Steps,
    by_many,
    by_one,
    by_three,
    by_two,
    carriage_of,
    carried,
)
from routing.compiled import compiled
from routing.facts import REAL, SLACK_MINOR, Facts, Floats
from routing.grid import Ints
from routing.settle import settle
from routing.sharing import Best, ascending, beaten, late

__all__ = ["least_beyond_few"]

BITS_MAX = 62
"""Units, or else lines, that are told apart by bits."""

SETS_MAX = 2_048
"""Sets of slots that could be cheaper; with more of them the search is the quicker way."""

LOOKED_MAX, PRICED_MAX = 2_000_000, 60_000
"""Sets of slots looked at, and those of them that hold all, for the same reason: the former take a
nanosecond or two each, the latter ten for two slots and about three times as much for three."""

CLOSING = 100
"""Parts looked at to share units among a set of slots."""


FOUND, LOOKED, PRICED = range(3)


class Held(NamedTuple):
    """What slots hold as bits; two hold all where the lower of one and the upper of the other do."""

    lower: Ints
    """`[K]`: for each line the lowest bits, as many as units."""
    upper: Ints
    """`[K]`: the highest ones."""
    whole: int
    """All that is wanted."""
    single: bool
    """Whether there is only one bit for each line, set where there is any of it."""


class Sets(NamedTuple):
    """Sets of slots that hold all that is wanted."""

    slots: Ints
    """`[S, 3]`: slots, ascending; -1 for none."""
    least: Floats
    """`[S]`: no plan that opens them has a smaller objective."""
    counts: Ints
    """`[3]`: how many there are, how many were looked at, and how many of these priced."""


@compiled
def least_beyond_few(facts: Facts, best: Best) -> float:
    """Look at all plans of few slots; what one that is cheaper than the incumbent then costs at least.

    The incumbent may be a new one, and is proven where that is no less. Plans that leave units out
    for their price are not looked at: where there are any nothing is told.
    """
    slots, lines = len(facts.opening), len(facts.wanted)
    if slots > facts.prices[REAL] or slots < 1:
        return -1e300
    carriage = carriage_of(facts)
    three, many = by_three(carriage), by_many(carriage, 4)
    two = min(by_one(carriage, carriage.weight), by_two(carriage, carriage.weight))
    if lines > BITS_MAX or not _by_size(facts, best, carriage, 2):
        return carriage.base + min(two, three, many)
    least = carriage.base + min(three, many)
    if beaten(best, least) or not beaten(best, carriage.base + many):
        return least
    return carriage.base + many if _by_size(facts, best, carriage, 3) else least


@compiled
def _by_size(facts: Facts, best: Best, carriage: Carriage, size: int) -> bool:
    """Look at the plans that open at most two slots, or exactly three; whether that was all of them."""
    near = _worthwhile(facts, best, carriage, size)
    ceiling = best.objective[0] - 1 + SLACK_MINOR - carriage.base
    sets = _sets(facts, carriage, (near, size, ceiling), best)
    if _too_many(sets) or late(best):
        return False
    ended = True
    for number in ascending(sets.least[: sets.counts[FOUND]]):
        if late(best):
            return False
        if beaten(best, carriage.base + sets.least[number]):
            break
        chosen = sets.slots[number]
        lowest, _ = settle(facts, chosen[chosen >= 0], best, CLOSING)
        ended &= beaten(best, lowest)
    return ended


@compiled
def _worthwhile(facts: Facts, best: Best, carriage: Carriage, size: int) -> Ints:
    """The slots that could be among so many of a cheaper plan."""
    found = np.empty(len(facts.opening), np.int64)
    count = 0
    for k in range(len(found)):
        least = 1e300
        for step in range(facts.limit_starts[k], facts.limit_starts[k + 1]):
            left = carriage.weight - facts.limits[step]
            price = facts.parcels[step]
            if size > 2:
                price += by_two(carriage, left)
            elif left > 0:
                price += by_one(carriage, left)
            least = min(least, price)
        if not beaten(best, carriage.base + facts.opening[k] + least):
            found[count] = k
            count += 1
    return found[:count]


@compiled
def _sets(facts: Facts, carriage: Carriage, sought: tuple[Ints, int, float], best: Best) -> Sets:
    """The sets of at most two slots, or of three, that hold all and cost at most so much.

    `sought` are the slots, how many, and what they may cost. Not all of them when it gets late.
    """
    near, size, ceiling = sought
    sets = Sets(np.empty((SETS_MAX, 3), np.int64), np.empty(SETS_MAX), np.zeros(3, np.int64))
    units = np.zeros((len(near), len(facts.wanted)), np.int64)
    for a in range(len(near)):
        for n in range(facts.starts[near[a]], facts.starts[near[a] + 1]):
            units[a, facts.lines[n]] = int(facts.most[n])
    held, wanted = _held(facts, units), facts.wanted.astype(np.int64)
    chosen, bounds = np.empty(3, np.int64), (carriage.weight, ceiling)
    for a in range(len(near)):
        if _too_many(sets) or late(best):
            return sets
        chosen[0] = near[a]
        if size == 2:
            if held.lower[a] == held.whole:
                _note(carriage.steps, sets, chosen[:1], bounds)
            _completed(carriage.steps, sets, (held, near), (a, held.lower[a], chosen[:2]), bounds)
            continue
        for b in range(a + 1, len(near)):
            chosen[1] = near[b]
            both = _lower(wanted, units[a] + units[b], held.single)
            _completed(carriage.steps, sets, (held, near), (b, both, chosen), bounds)
            if _too_many(sets) or late(best):
                break
    if held.single:
        _sift(facts, sets)
    return sets


@compiled
def _too_many(sets: Sets) -> bool:
    """Whether not all sets were looked at, or will be."""
    looked, priced = sets.counts[LOOKED] > LOOKED_MAX, sets.counts[PRICED] > PRICED_MAX
    return bool(looked or priced or sets.counts[FOUND] == SETS_MAX)


@compiled
def _completed(
    steps: Steps,
    sets: Sets,
    known: tuple[Held, Ints],
    begun: tuple[int, int, Ints],
    bounds: tuple[float, float],
) -> None:
    """Note the sets that a slot after those chosen completes.

    `begun` are the place of the last one chosen, what they hold as bits, and the set to complete;
    `bounds` the grams of all and the ceiling.
    """
    held, near = known
    last, lower, chosen = begun
    sets.counts[LOOKED] += len(near) - last
    for other in range(last + 1, len(near)):
        if lower | held.upper[other] == held.whole:
            chosen[len(chosen) - 1] = near[other]
            _note(steps, sets, chosen, bounds)


@compiled
def _held(facts: Facts, units: Ints) -> Held:
    """What slots hold as bits: one for each unit, or where these are too many, for each line."""
    single = facts.wanted.sum() > BITS_MAX
    lower, upper = np.zeros(len(units), np.int64), np.zeros(len(units), np.int64)
    wanted = facts.wanted.astype(np.int64)
    whole = _lower(wanted, wanted, single)
    for a in range(len(units)):
        lower[a] = _lower(wanted, units[a], single)
        # The units that the others have to bring, where this slot brings all that it has.
        left = np.empty(len(wanted), np.int64)
        for i in range(len(left)):
            left[i] = 0 if single and units[a, i] else wanted[i] - units[a, i]
        upper[a] = whole & ~_lower(wanted, left, single)
    return Held(lower, upper, int(whole), single)


@compiled
def _lower(wanted: Ints, units: Ints, single: bool) -> int:
    """As many bits of each line as there are units of it, at most those wanted; the lowest ones."""
    found, place = np.int64(0), 0
    for i in range(len(units)):
        width, count = wanted[i], units[i]
        if single:
            width, count = min(width, 1), min(count, 1)
        found |= ((np.int64(1) << min(width, count)) - 1) << place
        place += width
    return int(found)


@compiled
def _note(steps: Steps, sets: Sets, slots: Ints, bounds: tuple[float, float]) -> None:
    """Note slots that could be cheaper."""
    grams, ceiling = bounds
    number, opening, dearer = sets.counts[FOUND], 0.0, 1e300
    if number == SETS_MAX:
        return
    for k in slots:
        opening += steps.opening[k]
        dearer = min(dearer, steps.dearer[k])
    sets.counts[PRICED] += 3 if len(slots) > 2 else 1
    least = opening + dearer
    if least <= ceiling:
        least += carried(steps, slots, grams)
    if least <= ceiling:
        sets.slots[number] = -1
        sets.slots[number, : len(slots)] = slots
        sets.least[number] = least
        sets.counts[FOUND] = number + 1


@compiled
def _sift(facts: Facts, sets: Sets) -> None:
    """Leave only sets noted that hold all units, not only some of all lines."""
    kept = 0
    for number in range(sets.counts[FOUND]):
        left = facts.wanted.copy()
        for k in sets.slots[number]:
            if k >= 0:
                for n in range(facts.starts[k], facts.starts[k + 1]):
                    left[facts.lines[n]] -= facts.most[n]
        if left.max() <= 0:
            sets.slots[kept], sets.least[kept] = sets.slots[number], sets.least[number]
            kept += 1
    sets.counts[FOUND] = kept
