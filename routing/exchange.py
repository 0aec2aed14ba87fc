"""A good plan of a long order at once: sets of slots exchanged one for one, the best of them shared.

What a set of slots costs at least takes no sharing to tell: what opens them, the cheapest price
steps that carry all grams, and each unit where it is cheapest among them. Sets from two simple
rules are bettered by that one slot at a time; of all sets met on the way those of the least such
cost are shared, so that their loads fit price steps. Nothing is proven here.
"""

from typing import NamedTuple

import numpy as np

from routing.compiled import compiled
from routing.facts import MISSING, REAL, SPLIT, Facts, Floats
from routing.grid import Ints
from routing.settle import hastened
from routing.sharing import Best, beaten, late

__all__ = ["exchanged"]

SLOTS_MAX = 12
"""Most slots of a set; orders that take more have their plans from rules alone, and the search."""

ROUNDS_MAX = 8
"""Most exchanges of one set."""

KEPT = 12
"""Sets that are shared, at most."""

CELLS = 64
"""Weights told apart; a price step counts as if it were rounded up to the next."""

FAR_MINOR = 1e300


class Ground(NamedTuple):
    """What all sets have in common; arrays of the facts by themselves, which are quicker to read."""

    starts: Ints
    lines: Ints
    most: Floats
    costs: Floats
    opening: Floats
    limit_starts: Ints
    parcels: Floats
    wanted: Floats
    cells: Ints
    """`[L]`: the most cells of each price step."""
    dearest: Floats
    """`[I]`: the highest price of a unit anywhere."""
    holder_starts: Ints
    """`[I + 1]`: the slots that hold any of a line are those from here on."""
    holders: Ints


class Rest(NamedTuple):
    """A set of slots but one, to be completed by another."""

    held: Floats
    """`[I]`: units of each line in all of them."""
    cheapest: Floats
    """`[I]`: the least price of a unit, the dearest of all where they have none."""
    carried: Floats
    """`[CELLS + 1]`: the least price of carrying so many cells."""


class Kept(NamedTuple):
    """The best sets met."""

    least: Floats
    """`[KEPT]`: what they cost at least, ascending."""
    slots: Ints
    """`[KEPT, SLOTS_MAX + 1]`: how many, and which, ascending."""


@compiled
def exchanged(facts: Facts, best: Best) -> None:
    """Look for a cheaper incumbent among plans of few slots that fulfill all that can be."""
    if facts.prices[REAL] < 1 or facts.wanted.max() <= 0:
        return
    ground = _ground(facts)
    kept = Kept(np.full(KEPT, FAR_MINOR), np.zeros((KEPT, SLOTS_MAX + 1), np.int64))
    for cheapest in (True, False):
        _bettered(ground, kept, _covering(facts, ground, cheapest), best)
    fixed = float(facts.prices[MISSING] - facts.prices[SPLIT])
    for number in range(KEPT):
        if (
            kept.least[number] >= FAR_MINOR
            or beaten(best, fixed + kept.least[number])
            or late(best)
        ):
            break
        hastened(facts, kept.slots[number, 1 : 1 + kept.slots[number, 0]].copy(), best)


@compiled
def _ground(facts: Facts) -> Ground:
    """The facts of real slots, and the slots by line."""
    starts, lines = facts.starts[: facts.prices[REAL] + 1], facts.lines
    weight = max(1.0, (facts.wanted * facts.grams).sum())
    cells = np.empty(len(facts.limits), np.int64)
    for step in range(len(cells)):
        cells[step] = min(CELLS, int(np.ceil(facts.limits[step] / weight * CELLS - 1e-6)))
    dearest = np.zeros(len(facts.wanted))
    holder_starts = np.zeros(len(facts.wanted) + 1, np.int64)
    for n in range(starts[len(starts) - 1]):
        dearest[lines[n]] = max(dearest[lines[n]], facts.costs[n])
        holder_starts[lines[n] + 1] += 1
    holder_starts = np.cumsum(holder_starts)
    holders, filled = np.empty(holder_starts[-1], np.int64), holder_starts.copy()
    for k in range(len(starts) - 1):
        for n in range(starts[k], starts[k + 1]):
            holders[filled[lines[n]]] = k
            filled[lines[n]] += 1
    own = starts, lines, facts.most, facts.costs, facts.opening, facts.limit_starts, facts.parcels
    return Ground(*own, facts.wanted, cells, dearest, holder_starts, holders)


@compiled
def _covering(facts: Facts, ground: Ground, cheapest: bool) -> Ints:
    """Slots, the best per unit or those of most units first, until all is held; none if too many."""
    starts, lines, most, costs = ground.starts, ground.lines, ground.most, ground.costs
    grams, left = facts.grams, ground.wanted.copy()
    step_starts, step_grams, step_minor = facts.step_starts, facts.step_grams, facts.step_minor
    slots, count = np.empty(SLOTS_MAX, np.int64), 0
    closed = np.ones(len(starts) - 1, np.bool_)
    while left.max() > 0:
        chosen, first, second = -1, 0.0, 0.0
        for k in range(len(closed)):
            units, load, price = 0.0, 0.0, ground.opening[k]
            for n in range(starts[k], starts[k + 1]):
                more = min(left[lines[n]], most[n])
                units += more
                load += more * grams[lines[n]]
                price += more * costs[n]
            step = step_starts[k]
            while step_grams[step] < load:
                step += 1
            price += step_minor[step]
            one, two = (price / max(units, 1e-9), -units) if cheapest else (-units, price)
            if (
                closed[k]
                and units > 0
                and (chosen < 0 or one < first or (one == first and two < second))
            ):
                chosen, first, second = k, one, two
        if chosen < 0 or count == SLOTS_MAX:
            return slots[:0]
        slots[count], closed[chosen] = chosen, False
        count += 1
        for n in range(starts[chosen], starts[chosen + 1]):
            left[lines[n]] -= min(left[lines[n]], most[n])
    return slots[:count].copy()


@compiled
def _bettered(ground: Ground, kept: Kept, begun: Ints, best: Best) -> None:
    """Change a set as long as that makes it cheaper, each time in the best of all ways.

    A slot is added, dropped or exchanged; where that does not help, two are given for one.
    """
    slots, count, lowest = np.zeros(SLOTS_MAX + 1, np.int64), len(begun), FAR_MINOR
    slots[:count] = begun
    rest = Rest(np.empty(len(ground.wanted)), np.empty(len(ground.wanted)), np.empty(CELLS + 1))
    changed, chosen = np.empty(SLOTS_MAX + 1, np.int64), np.empty(SLOTS_MAX + 1, np.int64)
    for _ in range(ROUNDS_MAX if count else 0):
        better = 0
        for pair in range(2):
            for a in range(-1 if count < SLOTS_MAX and not pair else 0, count):
                for b in range(a + 1 if pair else a, count if pair else a + 1):
                    if late(best):
                        return
                    value, size = _changed(ground, rest, kept, (slots[:count], a, b), changed)
                    if value < lowest:
                        lowest, better = value, size
                        chosen[:size] = changed[:size]
            if better:
                break
        if not better:
            return
        count = better
        slots[:count] = chosen[:count]


@compiled
def _changed(
    ground: Ground, rest: Rest, kept: Kept, given: tuple[Ints, int, int], changed: Ints
) -> tuple[float, int]:
    """The least cost of a set with slots exchanged for one or for none, which goes into `changed`.

    `given` are the set and the places of up to two slots that are left out. With the cost comes
    how many slots there are then.
    """
    slots, first, second = given
    size = 0
    for a in range(len(slots)):
        if a not in (first, second):
            changed[size] = slots[a]
            size += 1
    base, missing = _without(ground, rest, changed[:size])
    value, k = _completed(ground, rest, kept, (changed, size), (base, missing))
    if missing < 0 and size and base + rest.carried[CELLS] < value:
        value = base + rest.carried[CELLS]
        _keep(kept, changed[:size], value)
        return value, size
    changed[size] = k
    return value, size + 1


@compiled
def _without(ground: Ground, rest: Rest, slots: Ints) -> tuple[float, int]:
    """Set what some slots have in common; what opens them and their units cost at least.

    With it the line of which they hold too few that the fewest slots have, -1 where there is none.
    """
    held, cheapest, carried = rest.held, rest.cheapest, rest.carried
    starts, lines, parcels, cells = ground.starts, ground.lines, ground.parcels, ground.cells
    held[:], cheapest[:], carried[:] = 0.0, ground.dearest, FAR_MINOR
    carried[0], base = 0.0, 0.0
    for k in slots:
        base += ground.opening[k]
        for n in range(starts[k], starts[k + 1]):
            held[lines[n]] += ground.most[n]
            cheapest[lines[n]] = min(cheapest[lines[n]], ground.costs[n])
        before = carried.copy()
        carried[:] = FAR_MINOR
        for step in range(ground.limit_starts[k], ground.limit_starts[k + 1]):
            for cell in range(CELLS + 1):
                price = before[max(0, cell - cells[step])] + parcels[step]
                carried[cell] = min(carried[cell], price)
    missing, fewest = -1, 1 << 60
    for i in range(len(held)):
        base += ground.wanted[i] * cheapest[i]
        if held[i] < ground.wanted[i]:
            able = int(ground.holder_starts[i + 1] - ground.holder_starts[i])
            if able < fewest:
                missing, fewest = i, able
    return base, missing


@compiled
def _completed(
    ground: Ground, rest: Rest, kept: Kept, others: tuple[Ints, int], known: tuple[float, int]
) -> tuple[float, int]:
    """The least cost of the rest with one slot more that makes it hold everything, and the slot.

    `others` are the slots of the rest; `known` is what `_without` told. Sets met are kept.
    """
    (slots, size), (base, missing) = others, known
    starts, lines, most, costs, wanted = (
        ground.starts,
        ground.lines,
        ground.most,
        ground.costs,
        ground.wanted,
    )
    held, cheapest, carried = rest.held, rest.cheapest, rest.carried
    within = np.zeros(len(starts) - 1, np.bool_)
    within[slots[:size]] = True
    uncovered = (held < wanted).sum()
    first = ground.holder_starts[missing] if missing >= 0 else 0
    last = ground.holder_starts[missing + 1] if missing >= 0 else len(within)
    lowest, best_k = FAR_MINOR, -1
    for place in range(first, last):
        k = ground.holders[place] if missing >= 0 else place
        covered, value = 0, base + ground.opening[k]
        for n in range(starts[k], starts[k + 1]):
            i = lines[n]
            covered += held[i] < wanted[i] <= held[i] + most[n]
            value -= wanted[i] * max(0.0, cheapest[i] - costs[n])
        if within[k] or covered < uncovered:
            continue
        parcel = FAR_MINOR
        for step in range(ground.limit_starts[k], ground.limit_starts[k + 1]):
            price = ground.parcels[step] + carried[CELLS - ground.cells[step]]
            parcel = min(parcel, price)
        value += parcel
        if value < kept.least[KEPT - 1]:
            slots[size] = k
            _keep(kept, slots[: size + 1], value)
        if value < lowest:
            lowest, best_k = value, k
    return lowest, best_k


@compiled
def _keep(kept: Kept, slots: Ints, value: float) -> None:
    """Keep a set among the best, once."""
    least, sets = kept
    if value >= least[KEPT - 1]:
        return
    ordered = np.sort(slots)
    place = KEPT - 1
    for number in range(KEPT):
        same = sets[number, 0] == len(ordered)
        for a in range(len(ordered)):
            same = same and sets[number, 1 + a] == ordered[a]
        if same:
            return
    while place > 0 and least[place - 1] > value:
        least[place] = least[place - 1]
        sets[place] = sets[place - 1]
        place -= 1
    least[place] = value
    sets[place, 0] = len(ordered)
    sets[place, 1 : 1 + len(ordered)] = ordered
