"""Prices that were put to the test: blended, and shrunk to what they were worth on past data.

A price is a forecast, and a forecast can be wrong in a way that costs more than no price at all:
holding back stores' stock at a peak sends everything to warehouses that have no room for it. So the
weight of prices is chosen by what they would have saved in the past, and none is a choice.
"""

from collections.abc import Mapping, Sequence
from math import sqrt

import numpy as np

from routing.grid import Ints
from routing.prices import Floats

__all__ = ["blended_minor", "chosen_weight"]

CERTAIN = 1.0
"""Standard errors by which prices have to have saved something before they are used."""


def blended_minor(
    value_minor: Ints | int, chances: Floats, duals_minor: Floats, weight: float = 1.0
) -> Ints:
    """The worth of a unit that a walk-in wants with some chance, and else another order, `[P]`.

    chance x value + (1 - chance) x dual: whoever values it more comes first, and what he leaves is
    worth its price to the orders to come. All of it times `weight`, from 0 (as if it were free) on.
    """
    worth = weight * (chances * np.asarray(value_minor) + (1 - chances) * duals_minor)
    found: Ints = np.rint(np.maximum(worth, 0)).astype(np.int64)
    return found


def chosen_weight(costs: Mapping[float, Sequence[float]], certain: float = CERTAIN) -> float:
    """The weight of prices that did best in past periods, 0 unless it did surely better than none.

    `costs` gives for each weight the total cost of each period, in the same order; weight 0 has to
    be among them. The weight of least mean is taken where its mean saving against weight 0 is at
    least `certain` standard errors of the paired differences above nothing; smaller weights are
    tried next, in order of their means. With a single period any saving will do. Raises `ValueError`
    where 0 is missing or periods do not match.
    """
    if 0 not in costs or len({len(each) for each in costs.values()}) != 1 or not costs[0]:
        raise ValueError(
            "costs without prices (weight 0) and of the same past periods for each weight are"
            f" needed, not { ({weight: len(each) for weight, each in costs.items()}) }"
        )
    base = np.asarray(costs[0], float)
    for weight in sorted(costs, key=lambda weight: (float(np.mean(costs[weight])), weight)):
        saved = base - np.asarray(costs[weight], float)
        spread = float(saved.std(ddof=1)) / sqrt(len(saved)) if len(saved) > 1 else 0.0
        if weight == 0 or saved.mean() > certain * spread:
            return weight
    return 0.0
