"""Prices on units: what they prove about the objective and about each slot, and better ones.

Lagrangian: every line gets a price per unit, and a slot is worth opening only where the units it
takes are worth more than they cost there.
"""

from typing import NamedTuple

import numpy as np

from routing.compiled import compiled
from routing.facts import MISSING, SPLIT, Bytes, Facts, Floats
from routing.grid import Ints
from routing.sharing import Best, beaten, late

SHUT, FREE, FORCED = range(3)
"""What a part of the search says of a slot."""


class Ascent(NamedTuple):
    """Working arrays, and the best prices found with what they prove."""

    order: Ints
    """`[N]`: the pairs of each slot by worth per gram, as of the last look."""
    worth: Floats
    """`[N]`: their worth per gram."""
    keys: Floats
    """`[N]`: the same in that order."""
    rest: Floats
    """`[K]`: what opening costs beyond the worth of the units, at the prices tried; in the end,
    at the best."""
    gain: Floats
    """`[K]`: worth of the units worth taking."""
    load: Floats
    """`[K]`: the grams a slot takes."""
    taken: Floats
    """`[I]`: the units that slots worth opening take."""
    direction: Floats
    trial: Floats
    """`[I]`: the prices tried."""
    prices: Floats
    """`[I]`: the best prices."""
    least: Floats
    """`[K]`: no plan of the part that opens the slot has a smaller objective."""


@compiled
def ascent(facts: Facts) -> Ascent:
    """Empty working arrays."""
    slots, lines, pairs = len(facts.opening), len(facts.wanted), len(facts.lines)
    return Ascent(
        np.arange(pairs),
        np.zeros(pairs),
        np.zeros(pairs),
        np.zeros(slots),
        np.zeros(slots),
        np.zeros(slots),
        np.zeros(lines),
        np.zeros(lines),
        np.zeros(lines),
        np.zeros(lines),
        np.zeros(slots),
    )


@compiled
def appraise(facts: Facts, room: Ascent, status: Bytes) -> None:
    """Worth per gram of all pairs of slots not shut; worth and grams of those worth taking."""
    starts, lines, most, heavy = facts.starts, facts.lines, facts.most, facts.heavy
    costs, trial, worth = facts.costs, room.trial, room.worth
    for k in range(len(status)):
        if status[k] != SHUT:
            gain, load = 0.0, 0.0
            for n in range(starts[k], starts[k + 1]):
                each = (trial[lines[n]] - costs[n]) * most[n]
                worth[n] = each / heavy[n]
                if each > 0:
                    gain += each
                    load += heavy[n]
            room.gain[k], room.load[k] = gain, load


@compiled
def arrange(order: Ints, worth: Floats, keys: Floats, first: int, last: int) -> None:
    """Sort the pairs of a slot by worth per gram; nearly in order since the last look."""
    for place in range(first, last):
        n = order[place]
        value, before = worth[n], place - 1
        while before >= first and keys[before] < value:
            keys[before + 1] = keys[before]
            order[before + 1] = order[before]
            before -= 1
        keys[before + 1] = value
        order[before + 1] = n


@compiled
def weigh(facts: Facts, room: Ascent, status: Bytes, enough: float) -> None:
    """What opening each slot costs beyond the worth of its units: `rest`, and the grams it takes.

    A rest above `enough` may be too low. A load in price step l costs at least the step's price;
    the most its units are worth is a knapsack over the step's limit, at most the one that divides
    units.
    """
    heavy, limits, parcels = facts.heavy, facts.limits, facts.parcels
    order, worth, keys = room.order, room.worth, room.keys
    rest, grams = room.rest, room.load
    for k in range(len(status)):
        if status[k] == SHUT:
            continue
        low, high = facts.limit_starts[k], facts.limit_starts[k + 1]
        rest[k] = parcels[low] - room.gain[k] + facts.opening[k]
        if limits[low] >= grams[k] or (rest[k] > enough and status[k] == FREE):
            continue
        first, last = facts.starts[k], facts.starts[k + 1]
        arrange(order, worth, keys, first, last)
        best, filled = 1e300, 0.0
        held, gain, place = 0.0, 0.0, first
        for step in range(low, high):
            limit = limits[step]
            while place < last and keys[place] > 0:
                more = heavy[order[place]]
                if held + more > limit:
                    break
                held += more
                gain += keys[place] * more
                place += 1
            ended = place == last or keys[place] <= 0
            value = parcels[step] - gain
            if not ended:
                value -= (limit - held) * keys[place]
            if value < best:
                best, filled = value, limit
            if ended:
                break
        rest[k] = best + facts.opening[k]
        grams[k] = min(filled, grams[k])


@compiled
def take(facts: Facts, room: Ascent, status: Bytes) -> None:
    """The units by line that forced slots and those worth opening take at the prices tried."""
    heavy, lines, most = facts.heavy, facts.lines, facts.most
    order, worth, taken = room.order, room.worth, room.taken
    taken[:] = 0.0
    for k in range(len(status)):
        if status[k] == FORCED or (status[k] == FREE and room.rest[k] < 0):
            left = room.load[k]
            for place in range(facts.starts[k], facts.starts[k + 1]):
                n = order[place]
                if worth[n] > 0:
                    part = 1.0 if heavy[n] <= left else left / heavy[n]
                    taken[lines[n]] += most[n] * part
                    left = max(0.0, left - heavy[n])


@compiled
def ascend(
    facts: Facts, room: Ascent, status: Bytes, incumbent: Best, limits: tuple[int, int]
) -> float:
    """Deflected Polyak steps from `room.trial` over plans that open every forced slot and no shut.

    Returns what the best prices prove; ends when nothing below the incumbent is left, or late.
    `limits` are the most rounds, and the fewest that there are however late it is.
    """
    rounds, rounds_least = limits
    fixed = float(facts.prices[MISSING] - facts.prices[SPLIT])
    target = float(incumbent.objective[0])
    best, scale, stalled = -1e300, 1.0, 0
    room.direction[:] = 0.0
    room.least[:] = -1e300
    for turn in range(rounds):
        appraise(facts, room, status)
        weigh(facts, room, status, 0.0)
        value = fixed + (room.trial * facts.wanted).sum() + judged(room, status)
        excluded(room, status, value)
        stalled += 1
        if value > best + 1e-3:
            best, stalled = value, 0
            room.prices[:] = room.trial
        elif stalled == 4:
            scale, stalled = scale / 2, 0
        if beaten(incumbent, best) or scale < 0.02 or turn == rounds - 1:
            break
        if turn + 1 >= rounds_least and late(incumbent):
            break
        take(facts, room, status)
        room.direction[:] = facts.wanted - room.taken + 0.4 * room.direction
        length = (room.direction * room.direction).sum()
        if length < 1e-9:
            break
        step = scale * max(1.0, target - value) / length
        room.trial[:] = np.maximum(room.trial + step * room.direction, 0.0)
    room.trial[:] = room.prices
    appraise(facts, room, status)
    weigh(facts, room, status, max(0.0, target - best))
    excluded(room, status, best)
    return best


@compiled
def excluded(room: Ascent, status: Bytes, value: float) -> None:
    """Raise what plans that open each slot cost at least, at prices that prove `value` for all."""
    for k in range(len(status)):
        if status[k] == FORCED:
            room.least[k] = max(room.least[k], value)
        elif status[k] == FREE:
            room.least[k] = max(room.least[k], value + max(room.rest[k], 0.0))


@compiled
def judged(room: Ascent, status: Bytes) -> float:
    """The rests of forced slots and the negative ones of free slots."""
    total = 0.0
    for k in range(len(status)):
        if status[k] == FORCED:
            total += room.rest[k]
        elif status[k] == FREE:
            total += min(room.rest[k], 0.0)
    return total
