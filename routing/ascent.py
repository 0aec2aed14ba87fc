"""Prices on units: what they prove about the objective and about each slot, and better ones.

Lagrangian: every line gets a price per unit, and a slot is worth opening only where the units it
takes are worth more than they cost there.
"""

from typing import NamedTuple

import numpy as np

from routing.climbing import DEFLECTED
from routing.compiled import compiled
from routing.facts import MISSING, SPLIT, Bytes, Facts, Floats
from routing.grid import Ints
from routing.sharing import Best, beaten, late

SHUT, FREE, FORCED = range(3)
"""What a part of the search says of a slot."""

SCALE_LEAST = 0.2
"""Of the mean price, the least that a step is in proportion to, so that no price stays at nothing."""


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
    load: Floats
    """`[K]`: the grams a slot takes."""
    taken: Floats
    """`[I]`: the units that slots worth opening take."""
    direction: Floats
    scales: Floats
    """`[I]`: what a step of each price is in proportion to."""
    trial: Floats
    """`[I]`: the prices tried."""
    risen: Floats
    """`[I]`: by how much they are higher than those tried before."""
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
        np.zeros(lines),
        np.zeros(lines),
        np.zeros(lines),
        np.zeros(lines),
        np.zeros(lines),
        np.zeros(lines),
        np.zeros(slots),
    )


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
def lower(facts: Facts, room: Ascent, status: Bytes) -> None:
    """Take what prices have risen by off each positive `rest`: units are worth that much more at most."""
    starts, lines, most = facts.starts, facts.lines, facts.most
    rest, risen = room.rest, room.risen
    for k in range(len(status)):
        if status[k] == FREE and rest[k] > 0:
            more = 0.0
            for n in range(starts[k], starts[k + 1]):
                more += risen[lines[n]] * most[n]
            rest[k] -= more


@compiled
def weigh(facts: Facts, room: Ascent, status: Bytes, enough: float) -> None:
    """What opening each slot costs beyond the worth of its units: `rest`, and the grams it takes.

    A rest above `enough` may be too low; one that is above it to begin with stays. A load in price
    step l costs at least the step's price; the most its units are worth is a knapsack over the
    step's limit, at most the one that divides units.
    """
    starts, lines, most, heavy = facts.starts, facts.lines, facts.most, facts.heavy
    costs, limits, parcels = facts.costs, facts.limits, facts.parcels
    order, worth, keys, trial = room.order, room.worth, room.keys, room.trial
    rest, grams = room.rest, room.load
    for k in range(len(status)):
        if status[k] == SHUT or (status[k] == FREE and rest[k] > enough):
            continue
        first, last = starts[k], starts[k + 1]
        gain, load = 0.0, 0.0
        for n in range(first, last):
            each = (trial[lines[n]] - costs[n]) * most[n]
            worth[n] = each / heavy[n]
            if each > 0:
                gain += each
                load += heavy[n]
        low, high = facts.limit_starts[k], facts.limit_starts[k + 1]
        rest[k], grams[k] = parcels[low] - gain + facts.opening[k], load
        if limits[low] >= load or (rest[k] > enough and status[k] == FREE):
            continue
        arrange(order, worth, keys, first, last)
        filled = packed(heavy, (order, keys), (limits, parcels), (first, last, low, high))
        rest[k], grams[k] = filled[0] + facts.opening[k], min(filled[1], load)


@compiled
def packed(
    heavy: Floats,
    arranged: tuple[Ints, Floats],
    steps: tuple[Floats, Floats],
    ends: tuple[int, int, int, int],
) -> tuple[float, float]:
    """The least price of a step beyond the worth of the units it carries, and its grams.

    `arranged` are the pairs by worth per gram, and that worth; `steps` their grams and prices. Of
    both, `ends` are those of one slot.
    """
    order, keys = arranged
    limits, parcels = steps
    first, last, low, high = ends
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
    return best, filled


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

    Steps are in proportion to the prices themselves: that of a heavy unit is many times that of a
    light one, and has as much farther to go. Returns what the best prices prove; ends when nothing
    below the incumbent is left, or late. `limits` are the most rounds, and the fewest that there are
    however late it is.
    """
    rounds, rounds_least = limits
    fixed = float(facts.prices[MISSING] - facts.prices[SPLIT])
    target = float(incumbent.objective[0])
    best, scale, stalled = -1e300, 1.0, 0
    room.direction[:] = 0.0
    room.scales[:] = np.maximum(room.trial, SCALE_LEAST * room.trial.mean() + 1e-9)
    room.least[:] = -1e300
    room.rest[:] = -1e300
    for turn in range(rounds):
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
        if not stepped(facts, room, scale * max(1.0, target - value)):
            break
        lower(facts, room, status)
    room.trial[:], room.rest[:] = room.prices, -1e300
    weigh(facts, room, status, max(0.0, target - best))
    excluded(room, status, best)
    return best


@compiled
def stepped(facts: Facts, room: Ascent, length: float) -> bool:
    """Move the prices tried by so much; not when what is taken is all that is wanted."""
    direction, scales, trial = room.direction, room.scales, room.trial
    direction[:] = facts.wanted - room.taken + DEFLECTED * direction
    steep = (scales * direction * direction).sum()
    if steep < 1e-9:
        return False
    for i in range(len(trial)):
        price = max(trial[i] + length / steep * scales[i] * direction[i], 0.0)
        room.risen[i] = max(price - trial[i], 0.0)
        trial[i] = price
    return True


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
