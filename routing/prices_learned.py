"""Demand learned from the past: how often each cell of stock sells, where most cells hardly ever do.

A store that sold two of an item in a quarter has told little about the next week, and one that sold
none has not told that nobody will come. Each rate is drawn towards what its groups (its item, its
node) say together, the more so the less the cell itself has seen.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from routing.grid import Ints
from routing.prices import Floats

__all__ = ["Learned", "learned_rates"]

SWEEPS = 12
"""Passes over all groupings; effects of crossed groups settle within a few."""
SHAPE_MAX = 1e6
"""A shape above it says that cells differ from their groups by chance alone."""


class Learned(NamedTuple):
    """Expected demand per day of each cell."""

    per_day: Floats
    """`[P]`: mean of the gamma distribution that is left after the past was seen."""
    prior_per_day: Floats
    """`[P]`: what the groups alone say."""
    shape: float
    """How alike cells of one prior are: variance of their true rates is prior squared / shape."""


def learned_rates(counts: Ints, exposure_days: Floats, groups: Sequence[Ints] = ()) -> Learned:
    """Rates per day from units sold in `exposure_days` of each cell, arrays of length P.

    Exposure counts days on which the cell had stock: a sale that could not be made is not seen.
    `groups` are labels from 0, one array `[P]` for each grouping, such as the number of the sku and
    that of the node; the prior of a cell is the overall rate times the effect of each of its groups.

    Formula: counts c ~ Poisson(e), e = rate x exposure, rate ~ Gamma(shape a, mean m) give the mean
    (a + c) / (a / m + exposure). The shape is found by moments: the sum of (c - m exposure)^2 - c is
    the sum of (m exposure)^2 / a. Effects of groups are drawn to 1 in the same way. Clayton and
    Kaldor, Empirical Bayes estimates of age-standardized relative risks, Biometrics 43 (1987).
    Raises `ValueError` where lengths differ or nothing was exposed.
    """
    seen, exposure = np.asarray(counts, float), np.asarray(exposure_days, float)
    if any(len(each) != len(seen) for each in (exposure, *groups)):
        raise ValueError(
            f"{len(seen)} counts, {len(exposure)} exposures and groupings of"
            f" {[len(each) for each in groups]} cells do not belong together"
        )
    if exposure.sum() <= 0:
        raise ValueError(f"none of {len(seen)} cells was ever exposed, so no rate can be learned")
    overall = seen.sum() / exposure.sum()
    prior = np.full(len(seen), overall)
    effects = [np.ones(int(labels.max(initial=-1)) + 1) for labels in groups]
    for _ in range(SWEEPS):
        for g, labels in enumerate(groups):
            prior /= effects[g][labels]
            effects[g] = _effects(seen, prior * exposure, labels, len(effects[g]))
            prior *= effects[g][labels]
    shape = _shape(seen, prior * exposure)
    per_day = prior * (shape + seen) / (shape + prior * exposure) if overall > 0 else prior
    return Learned(per_day, prior, shape)


def _effects(seen: Floats, expected: Floats, labels: Ints, count: int) -> Floats:
    """By how much each group sold more than expected, drawn to 1 the less there was to see."""
    sold: Floats = np.bincount(labels, seen, count).astype(float)
    due: Floats = np.bincount(labels, expected, count).astype(float)
    shape = _shape(sold, due)
    return (shape + sold) / (shape + due)


def _shape(seen: Floats, expected: Floats) -> float:
    """The shape by which true rates spread about what was expected of them, by moments."""
    spread = float(((seen - expected) ** 2 - seen).sum())
    scale = float((expected**2).sum())
    if scale <= 0:
        return SHAPE_MAX
    return min(SHAPE_MAX, scale / spread) if spread > 0 else SHAPE_MAX
