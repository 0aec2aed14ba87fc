"""Prices on units: what they prove about the objective and about each slot, and better ones.

Lagrangian: every line gets a price per unit, and a slot is worth opening only where the units it
takes are worth more than they cost there.
"""

from typing import NamedTuple

import numpy as np

from routing.compiled import compiled
from routing.facts import MISSING, SLACK_MINOR, SPLIT, Bytes, Facts, Floats
from routing.grid import Ints

SHUT, FREE, FORCED = range(3)
"""What a part of the search says of a slot."""


class Ascent(NamedTuple):
    """Working arrays, and the best prices found with what they prove."""

    order: Ints
    """`[N]`: the pairs of each slot by worth per gram, as of the last look."""
    worth: Floats
    """`[N]`: their worth per gram."""
    rest: Floats
    """`[K]`: what opening costs beyond the worth of the units, at the prices tried."""
    taken: Floats
    """`[I]`: the units that slots worth opening take."""
    direction: Floats
    trial: Floats
    """`[I]`: the prices tried."""
    prices: Floats
    """`[I]`: the best prices."""
    best_rest: Floats
    """`[K]`: what opening costs beyond the worth of the units at the best prices."""
    least: Floats
    """`[K]`: no plan of the part that opens the slot has a smaller objective."""


@compiled
def ascent(facts: Facts) -> Ascent:
    """Empty working arrays."""
    slots, lines, pairs = len(facts.opening), len(facts.wanted), len(facts.lines)
    return Ascent(
        np.arange(pairs),
        np.zeros(pairs),
        np.zeros(slots),
        np.zeros(lines),
        np.zeros(lines),
        np.zeros(lines),
        np.zeros(lines),
        np.zeros(slots),
        np.zeros(slots),
    )


@compiled
def sorted_worth(facts: Facts, room: Ascent, k: int) -> tuple[int, float, float]:
    """Worth per gram of the pairs of slot `k`; how many are worth taking, their worth and grams."""
    first, last = facts.starts[k], facts.starts[k + 1]
    count, gain, load = 0, 0.0, 0.0
    for n in range(first, last):
        i = facts.lines[n]
        each = room.trial[i] - facts.costs[n]
        if each > 0:
            count += 1
            gain += each * facts.most[n]
            load += facts.heavy[n]
            room.worth[n] = each / max(facts.grams[i], 1e-3)
        else:
            room.worth[n] = 0.0
    return count, gain, load


@compiled
def arrange(room: Ascent, first: int, last: int) -> None:
    """Sort the pairs of a slot by worth per gram; nearly in order since the last look."""
    order, worth = room.order, room.worth
    for place in range(first + 1, last):
        n = order[place]
        value = worth[n]
        before = place - 1
        while before >= first and worth[order[before]] < value:
            order[before + 1] = order[before]
            before -= 1
        order[before + 1] = n


@compiled
def rest_of(facts: Facts, room: Ascent, k: int, enough: float, take: bool) -> float:
    """What opening slot `k` costs beyond the worth of its units; any answer above `enough` may be
    too low. Adds the units to `taken` where the rest is negative or `take` is set.

    A load in price step l costs at least the step's price; the most its units are worth is a
    knapsack over the step's limit, at most the one that divides units.
    """
    first, last = facts.starts[k], facts.starts[k + 1]
    count, gain, load = sorted_worth(facts, room, k)
    low, high = facts.limit_starts[k], facts.limit_starts[k + 1]
    opening = facts.opening[k]
    weak = facts.parcels[low] - gain + opening
    if weak > enough and not take:
        return weak
    if facts.limits[low] >= load:
        if weak < 0 or take:
            for n in range(first, last):
                if room.worth[n] > 0:
                    room.taken[facts.lines[n]] += facts.most[n]
        return weak
    arrange(room, first, last)
    best, best_step = 1e300, low
    held, worth, place = 0.0, 0.0, first
    end = first + count
    for step in range(low, high):
        limit = facts.limits[step]
        while place < end and held + facts.heavy[room.order[place]] <= limit:
            n = room.order[place]
            held += facts.heavy[n]
            worth += (room.trial[facts.lines[n]] - facts.costs[n]) * facts.most[n]
            place += 1
        part = (limit - held) * room.worth[room.order[place]] if place < end else 0.0
        value = facts.parcels[step] - worth - part
        if value < best:
            best, best_step = value, step
        if place >= end:
            break
    if best + opening < 0 or take:
        _take(facts, room, (first, end), facts.limits[best_step])
    return best + opening


@compiled
def _take(facts: Facts, room: Ascent, places: tuple[int, int], limit: float) -> None:
    held = 0.0
    for place in range(places[0], places[1]):
        n = room.order[place]
        heavy = facts.heavy[n]
        if held + heavy > limit:
            room.taken[facts.lines[n]] += facts.most[n] * (limit - held) / heavy
            return
        held += heavy
        room.taken[facts.lines[n]] += facts.most[n]


@compiled
def ascend(
    facts: Facts, room: Ascent, status: Bytes, target: float, rounds: int
) -> tuple[float, int]:
    """Deflected Polyak steps from `room.trial` over plans that open every forced slot and no shut.

    Returns what the best prices prove and the pairs looked at; ends when nothing below `target` is
    left.
    """
    slots, lines = len(facts.opening), len(facts.wanted)
    fixed = float(facts.prices[MISSING] - facts.prices[SPLIT])
    best, scale, stalled, work = -1e300, 1.0, 0, 0
    room.direction[:] = 0.0
    room.least[:] = -1e300
    for turn in range(rounds):
        room.taken[:] = 0.0
        value = fixed
        for i in range(lines):
            value += room.trial[i] * facts.wanted[i]
        enough = max(0.0, target - best) if turn else 1e300
        for k in range(slots):
            if status[k] != SHUT:
                rest = rest_of(facts, room, k, enough, status[k] == FORCED)
                room.rest[k] = rest
                value += rest if status[k] == FORCED else min(rest, 0.0)
                work += facts.starts[k + 1] - facts.starts[k]
        for k in range(slots):
            if status[k] != SHUT:
                paid = room.rest[k] if status[k] == FORCED else min(room.rest[k], 0.0)
                room.least[k] = max(room.least[k], value + room.rest[k] - paid)
        stalled += 1
        if value > best + 1e-3:
            best, stalled = value, 0
            room.best_rest[:] = room.rest
            room.prices[:] = room.trial
        elif stalled == 4:
            scale, stalled = scale / 2, 0
        if best > target - 1 + SLACK_MINOR or scale < 0.02:
            break
        length = 0.0
        for i in range(lines):
            room.direction[i] = facts.wanted[i] - room.taken[i] + 0.4 * room.direction[i]
            length += room.direction[i] * room.direction[i]
        if length < 1e-9:
            break
        step = scale * max(1.0, target - value) / length
        for i in range(lines):
            room.trial[i] = max(0.0, room.trial[i] + step * room.direction[i])
    return best, work
