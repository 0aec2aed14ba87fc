"""What it costs at least that parcels carry grams, by how many slots send them."""

from typing import NamedTuple

import numpy as np

from routing.compiled import compiled
from routing.facts import MISSING, SPLIT, Facts, Floats
from routing.grid import Ints

__all__ = [
    "Carriage",
    "Steps",
    "by_many",
    "by_one",
    "by_three",
    "by_two",
    "carriage_of",
    "carried",
]

CAPS_MAX = 24
"""Weights told apart; a price step between two of them counts as carrying the upper one."""


class Steps(NamedTuple):
    """What prices of sets are made of, in few arrays: each takes time where it is handed on."""

    starts: Ints
    limits: Floats
    parcels: Floats
    """As in the facts: the steps of slot k from `starts[k]` on, their grams and prices."""
    opening: Floats
    """`[K]`"""
    dearer: Floats
    """`[K]`: how much dearer all units are at least, were they all of this slot."""


class Carriage(NamedTuple):
    """What it costs at least to carry grams, whichever slots do."""

    caps: Floats
    """`[T]`: grams, ascending; the last are all."""
    one: Floats
    """`[T]`: the least price of one slot that carries so much, with what opens it."""
    base: float
    """The least that units cost, with those that no plan finds, less the first split."""
    weight: float
    """Grams of all that is wanted."""
    steps: Steps


@compiled
def carriage_of(facts: Facts) -> Carriage:
    """The least prices of grams over all slots."""
    weight, units = (facts.wanted * facts.grams).sum(), facts.wanted.sum()
    least = np.full(len(facts.wanted), 1e300)
    for n in range(len(facts.lines)):
        least[facts.lines[n]] = min(least[facts.lines[n]], facts.costs[n])
    base = float(facts.prices[MISSING] - facts.prices[SPLIT])
    for i in range(len(least)):
        if facts.wanted[i] > 0:
            base += facts.wanted[i] * least[i]
    dearer = np.full(len(facts.opening), 1e300)
    for k in range(len(dearer)):
        for n in range(facts.starts[k], facts.starts[k + 1]):
            dearer[k] = min(dearer[k], units * (facts.costs[n] - least[facts.lines[n]]))
    caps = _caps(facts, weight)
    steps = Steps(facts.limit_starts, facts.limits, facts.parcels, facts.opening, dearer)
    return Carriage(caps, _least_minor(facts, caps, weight), base, weight, steps)


@compiled
def _least_minor(facts: Facts, caps: Floats, weight: float) -> Floats:
    """The least price of one slot that carries so much, with what opens it."""
    least = np.full(len(caps), 1e300)
    for k in range(len(facts.opening)):
        place = 0
        for step in range(facts.step_starts[k], facts.step_starts[k + 1]):
            grams = min(weight, float(facts.step_grams[step]))
            while caps[place] < grams:
                place += 1
            least[place] = min(least[place], facts.opening[k] + facts.step_minor[step])
            if grams == weight:
                break
    for place in range(len(caps) - 2, -1, -1):
        least[place] = min(least[place], least[place + 1])
    return least


@compiled
def _caps(facts: Facts, weight: float) -> Floats:
    """The weights of price steps that are told apart, ascending, all grams last."""
    caps = np.empty(CAPS_MAX)
    caps[0], count = weight, 1
    for step in range(len(facts.step_grams)):
        grams = float(facts.step_grams[step])
        if grams < weight and count < CAPS_MAX:
            place = 0
            while caps[place] < grams:
                place += 1
            if caps[place] > grams:
                for after in range(count, place, -1):
                    caps[after] = caps[after - 1]
                caps[place] = grams
                count += 1
    return caps[:count].copy()


@compiled
def by_one(carriage: Carriage, grams: float) -> float:
    """The least price at which one slot carries so much."""
    place = 0
    while place < len(carriage.caps) - 1 and carriage.caps[place] < grams:
        place += 1
    return float(carriage.one[place])


@compiled
def by_two(carriage: Carriage, grams: float) -> float:
    """The least price at which two slots carry so much."""
    caps, one, least = carriage.caps, carriage.one, 1e300
    other = len(caps) - 1
    for place in range(len(caps)):
        while other > 0 and caps[place] + caps[other - 1] >= grams:
            other -= 1
        least = min(least, one[place] + one[other])
    return float(least)


@compiled
def by_three(carriage: Carriage) -> float:
    """The least price at which three slots carry all."""
    least = 1e300
    for place in range(len(carriage.caps)):
        left = carriage.weight - carriage.caps[place]
        least = min(least, carriage.one[place] + by_two(carriage, left))
    return float(least)


@compiled
def by_many(carriage: Carriage, least: int) -> float:
    """A bound on the price at which so many slots or more carry all.

    Under a straight line below all prices, each slot costs its height and each gram its slope.
    """
    caps, one = carriage.caps, carriage.one
    found = least * one[0]
    for low in range(len(caps)):
        for high in range(low + 1, len(caps)):
            slope = (one[high] - one[low]) / (caps[high] - caps[low])
            height = one[0] - slope * caps[0]
            for place in range(1, len(caps)):
                height = min(height, one[place] - slope * caps[place])
            if height >= 0:
                found = max(found, least * height + slope * carriage.weight)
    return float(found)


@compiled
def carried(steps: Steps, slots: Ints, grams: float) -> float:
    """The least price of parcels that carry so much between up to three slots."""
    if len(slots) == 1:
        return _between(steps, -1, slots[0], grams)
    if len(slots) == 2:
        return _between(steps, slots[0], slots[1], grams)
    least = 1e300
    for step in range(steps.starts[slots[0]], steps.starts[slots[0] + 1]):
        rest = _between(steps, slots[1], slots[2], grams - steps.limits[step])
        least = min(least, steps.parcels[step] + rest)
    return least


@compiled
def _between(steps: Steps, a: int, b: int, grams: float) -> float:
    """The same between two slots, or by the second alone where there is no first."""
    least, low = 1e300, steps.starts[b]
    other = steps.starts[b + 1] - 1
    if a < 0:
        while other > low and steps.limits[other - 1] >= grams:
            other -= 1
        return float(steps.parcels[other]) if steps.limits[other] >= grams else least
    for step in range(steps.starts[a], steps.starts[a + 1]):
        left = grams - steps.limits[step]
        while other > low and steps.limits[other - 1] >= left:
            other -= 1
        if steps.limits[other] >= left:
            least = min(least, steps.parcels[step] + steps.parcels[other])
    return float(least)
