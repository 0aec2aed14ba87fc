"""Prices per gram on their way up: what they have proven, where they turn, and how far they go.

Subgradient steps towards what is above its cap: of a length in proportion to what the bound lacks
(Polyak, 1969), deflected by where the ones before went (Camerini, Fratta and Maffioli, 1975), and
half as long after a few that proved no more (Held, Wolfe and Crowder, 1974).
"""

from typing import NamedTuple

import numpy as np

from routing.compiled import compiled
from routing.facts import Floats

__all__ = ["DEFLECTED", "Climb", "begun", "noted", "returned", "stepped"]

DEFLECTED = 0.3
"""How much of the last direction is in the next."""

VAIN_MAX = 3
"""Prices in a row that prove no more, after which steps are half as long."""

GAIN_LEAST = 1e-3
"""By how much a bound has to be better to count as one."""

FLAT = 1e-9
"""Squared length of a direction that leads nowhere."""

FOUND, LATEST, SCALE, VAIN = range(4)
"""The best bound, that of the prices tried last, the share of a step's usual length, and how many
prices in a row proved no more."""


class Climb(NamedTuple):
    """Where prices per gram of m caps have been."""

    keep: Floats
    """`[m]`: the prices that prove the best bound."""
    direction: Floats
    """`[m]`: where the last step went."""
    state: Floats
    """`[4]`: see `FOUND`."""


@compiled
def begun(prices: Floats) -> Climb:
    """Nothing tried yet."""
    state = np.zeros(4)
    state[FOUND], state[SCALE] = -1e300, 1.0
    return Climb(prices.copy(), np.zeros(len(prices)), state)


@compiled
def noted(climb: Climb, prices: Floats, value: float) -> float:
    """Take note that `prices` prove the bound `value`; the best bound so far."""
    state = climb.state
    state[LATEST] = value
    state[VAIN] += 1
    if value > state[FOUND] + GAIN_LEAST:
        state[FOUND], state[VAIN] = value, 0
        climb.keep[:] = prices
    elif state[VAIN] % VAIN_MAX == 0:
        state[SCALE] /= 2
    return float(state[FOUND])


@compiled
def stepped(climb: Climb, prices: Floats, over: Floats, target: float) -> bool:
    """Move `prices` up where loads are `over` their caps and down where they are below, not below 0.

    `target` is what the bound may reach at most. Returns whether there was anywhere to go.
    """
    direction, length = climb.direction, 0.0
    for a in range(len(prices)):
        direction[a] = over[a] + DEFLECTED * direction[a]
        if direction[a] > 0 or prices[a] > 0:
            length += direction[a] * direction[a]
    if length < FLAT:
        return False
    step = climb.state[SCALE] * max(1.0, target - climb.state[LATEST]) / length
    for a in range(len(prices)):
        prices[a] = max(0.0, prices[a] + step * direction[a])
    return True


@compiled
def returned(climb: Climb, prices: Floats) -> bool:
    """Put `prices` back to those of the best bound; whether others were tried after them."""
    prices[:] = climb.keep
    return bool(climb.state[VAIN] > 0)
