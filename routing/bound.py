"""A lower bound from prices on units, and the slots it prices out of any better plan.

Lagrangian: every line i gets a price per unit, and a slot is worth opening only where the units
it takes are worth more than they cost there. What couples slots (stock by date, capacity, most
shipments, everything or nothing) is left out, which can only lower the bound.
"""

import math
from itertools import pairwise

import msgspec
import numpy as np
from numpy.typing import NDArray

from routing.cost import Steps, handling_minor, shortage_minor, split_minor
from routing.instance import Assignment, Instance

Floats = NDArray[np.float64]

ROUNDS_MAX = 60
"""Price adjustments of one order."""

_SLACK = 1e-6
"""Floats are trusted to this much of a minor unit."""


class Bound(msgspec.Struct, frozen=True):
    """What prices prove about an instance."""

    bound_minor: int
    """No assignment has a smaller objective."""
    least_minor: tuple[int, ...]
    """By slot: no assignment that opens it has a smaller objective."""

    def slots_below(self, objective_minor: int) -> tuple[int, ...]:
        """The only slots that an assignment cheaper than `objective_minor` can open."""
        return tuple(k for k, least in enumerate(self.least_minor) if least < objective_minor)


class _Relaxation(msgspec.Struct, frozen=True):
    """The instance without its couplings, over K slots, I lines and M supports of the tariff."""

    quantities: Floats
    """`[I]`"""
    most: Floats
    """`[K, I]`: units a slot could take."""
    fixed: Floats
    """`[K, M]`: price of opening, with the split and the support's constant part."""
    unit: Floats
    """`[K, M, I]`: price of a unit: handling, its share of waiting, its weight on the support."""
    short: float


def bound(instance: Instance, incumbent: Assignment, objective_minor: int) -> Bound:
    """Bound the objective from below, over all assignments and over those that open each slot."""
    relaxed = _relaxation(instance)
    prices = _first_prices(instance, incumbent)
    split = split_minor(instance.policy, 2)
    nothing = shortage_minor(instance.policy, instance.units)
    best = -math.inf
    least = np.zeros(len(instance.slots))
    target, scale = float(objective_minor), 1.0
    stalled = 0
    direction = np.zeros_like(prices)
    for _ in range(ROUNDS_MAX):
        rest, taken = _reduced(relaxed, prices)
        value = float(prices @ relaxed.quantities + np.minimum(rest, 0).sum()) - split
        least = np.maximum(least, value + np.maximum(rest, 0))
        if value > best + 1e-3:
            best, stalled = value, 0
        else:
            stalled += 1
            if stalled == 4:
                scale, stalled = scale / 2, 0
        slope = relaxed.quantities - taken
        direction = slope + 0.4 * direction
        length = float(direction @ direction)
        if best > target - 1 + _SLACK or length < 1e-9 or scale < 0.02:
            break
        step = scale * max(1.0, target - value) / length
        prices = np.clip(prices + step * direction, 0.0, relaxed.short)
    lowest = min(best, float(nothing))
    proven = min(objective_minor, max(0, math.ceil(lowest - _SLACK)))
    return Bound(proven, tuple(np.ceil(least - _SLACK).astype(np.int64).tolist()))


def _reduced(relaxed: _Relaxation, prices: Floats) -> tuple[Floats, Floats]:
    """What opening each slot costs beyond the worth of its units, and the units taken by line."""
    margin = prices - relaxed.unit
    worth = np.einsum("kmi,ki->km", np.maximum(margin, 0.0), relaxed.most)
    rests = relaxed.fixed - worth
    # Every support lies below the tariff, so the highest answer is the best valid one.
    support = rests.argmax(axis=1)
    rows = np.arange(len(support))
    rest = rests[rows, support]
    opened = rest < 0
    takes = relaxed.most[opened] * (margin[rows, support][opened] > 0)
    return rest, takes.sum(axis=0)


def _first_prices(instance: Instance, incumbent: Assignment) -> Floats:
    """Each opened slot's price shared by its units, half by weight and half by count."""
    prices = np.zeros(len(instance.lines))
    wanted = np.array([line.quantity for line in instance.lines], float)
    for k, taken in incumbent.items():
        slot, count = instance.slots[k], sum(taken.values())
        weight = sum(instance.lines[i].weight_grams * units for i, units in taken.items())
        whole = slot.steps.price_minor(weight) + handling_minor(slot.node, 0)
        whole += split_minor(instance.policy, 2)
        unit = handling_minor(slot.node, 1) - handling_minor(slot.node, 0)
        for i, units in taken.items():
            heavy = instance.lines[i].weight_grams / weight if weight else 1 / count
            share = whole * (heavy + 1 / count) / 2 + unit
            share += instance.time_minor[k][i] / instance.lines[i].quantity
            prices[i] += share * units / wanted[i]
    return np.clip(prices, 0.0, float(shortage_minor(instance.policy, 1)))


def _relaxation(instance: Instance) -> _Relaxation:
    """Arrays of the relaxed instance; supports are padded by repeating the last one."""
    lines = instance.lines
    most = np.array(instance.units_max, float).reshape(len(instance.slots), len(lines))
    weights = np.array([line.weight_grams for line in lines], float)
    quantities = np.array([line.quantity for line in lines], float)
    heaviest = most @ weights
    supports = [
        _supports(slot.steps, int(load))
        for slot, load in zip(instance.slots, heaviest, strict=True)
    ]
    width = max((len(rows) for rows in supports), default=1)
    padded = np.array(
        [rows + [rows[-1]] * (width - len(rows)) for rows in supports], float
    ).reshape(len(supports), width, 2)
    opening = [handling_minor(slot.node, 0) for slot in instance.slots]
    handling = [
        handling_minor(slot.node, 1) - handling_minor(slot.node, 0) for slot in instance.slots
    ]
    waiting = np.array(instance.time_minor, float).reshape(most.shape) / quantities
    unit = np.array(handling, float)[:, None] + waiting
    return _Relaxation(
        quantities=quantities,
        most=most,
        fixed=padded[:, :, 0] + np.array(opening)[:, None] + split_minor(instance.policy, 2),
        unit=unit[:, None, :] + padded[:, :, 1, None] * weights,
        short=float(shortage_minor(instance.policy, 1)),
    )


def _supports(steps: Steps, heaviest: int) -> list[tuple[float, float]]:
    """(constant, per gram) of lines that lie below the staircase up to `heaviest` grams.

    They are the lower hull of where each step ends, the last at the heaviest load.
    """
    corners = [(0, steps.prices_minor[0])]
    for weight, price in zip(steps.weights_grams, steps.prices_minor, strict=True):
        corners.append((max(1, min(weight, heaviest)), price))
        if weight >= heaviest:
            break
    hull: list[tuple[int, int]] = []
    for corner in corners:
        while len(hull) > 1 and _above(hull[-2], hull[-1], corner):
            hull.pop()
        hull.append(corner)
    lines = []
    for (w1, p1), (w2, p2) in pairwise(hull):
        slope = (p2 - p1) / (w2 - w1)
        lines.append((p1 - slope * w1, slope))
    return lines


def _above(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> bool:
    """Whether `b` lies on or above the line from `a` to `c`."""
    return (b[1] - a[1]) * (c[0] - a[0]) >= (c[1] - a[1]) * (b[0] - a[0])
