"""What a unit of stock is worth where it stands: the chance that somebody else will want it there.

Shipping a store's last unit costs more than its parcel when a walk-in would have bought it. The
worth of the unit that would be taken is its value to the walk-in times the chance that demand until
the next replenishment reaches it (Littlewood's rule for two classes of demand; for stores that ship,
Jalilipour Alishah, Moinzadeh and Zhou show that the best rule is of this threshold form). It needs
no solver, and holds for slow movers, for which prices of a linear program are wrong: with half a
unit of demand expected and one unit on the shelf, the program sees half a unit to spare.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from routing.grid import Ints

__all__ = ["Floats", "TailTable", "poisson_tail", "rationing_minor", "tail_table"]

Floats = NDArray[np.float64]

CLASS_RATIO = 1.01
"""Rates of one class differ by at most this factor: chances are off by 0.002 sqrt(rate) at most."""
RATE_MIN = 1e-4
"""Below it nothing is expected: the chance of a sale is smaller than one in ten thousand."""


class TailTable(NamedTuple):
    """Chances that Poisson demand reaches some units, by class of rate: one lookup for each cell."""

    chances: Floats
    """`[C, U + 1]`: chance that demand of the class is at least u."""
    class_ratio: float

    def classes(self, rates: Floats) -> Ints:
        """The class of each expected demand; 0 is no demand, the last class has all above it."""
        known = np.log(np.maximum(rates, RATE_MIN) / RATE_MIN) / np.log(self.class_ratio)
        numbers = np.minimum(np.rint(known).astype(np.int64) + 1, len(self.chances) - 1)
        found: Ints = np.where(rates < RATE_MIN, 0, numbers)
        return found

    def at(self, classes: Ints, units: Ints) -> Floats:
        """The chance that demand of each class reaches the units beside it.

        Units of 0 or less are reached for certain. For more units than the table has, the chance is
        that of its last column, which is too high.
        """
        reached = np.clip(units, 0, self.chances.shape[1] - 1)
        found: Floats = self.chances[classes, reached]
        return found


def tail_table(rate_max: float, units_max: int, class_ratio: float = CLASS_RATIO) -> TailTable:
    """A table for expected demands up to `rate_max` and up to `units_max` units.

    Raises `ValueError` for a rate that is not positive, units below 1 or a ratio of at most 1.
    """
    if rate_max <= 0 or units_max < 1 or class_ratio <= 1:
        raise ValueError(
            f"a table needs a positive rate, units and a ratio above 1, not {rate_max},"
            f" {units_max} and {class_ratio}"
        )
    count = max(0, int(np.ceil(np.log(max(rate_max / RATE_MIN, 1)) / np.log(class_ratio)))) + 1
    rates = np.concatenate([[0.0], RATE_MIN * class_ratio ** np.arange(count)])
    units = np.arange(units_max + 1)
    return TailTable(poisson_tail(rates[:, None], units[None, :]), class_ratio)


def poisson_tail(rates: Floats, units: Ints) -> Floats:
    """The chance that a Poisson number with mean `rates` is at least `units`; arrays broadcast.

    Exact to 1e-9 for means up to 700. Above, where the first term underflows, by Wilson and
    Hilferty's cube root of the gamma distribution, good to 1e-3.
    """
    means, wanted = np.broadcast_arrays(np.asarray(rates, float), np.asarray(units, np.int64))
    chance = np.where(wanted <= 0, 1.0, 0.0)
    small = (means <= 700) & (wanted > 0)
    term = np.exp(-np.minimum(means, 700))
    below = np.zeros_like(means)
    for k in range(int(wanted[small].max(initial=0))):
        below += np.where(wanted > k, term, 0.0)
        term = term * means / (k + 1)
    chance = np.where(small, np.clip(1 - below, 0, 1), chance)
    large = (means > 700) & (wanted > 0)
    if large.any():
        chance[large] = _wilson_hilferty(means[large], wanted[large])
    return chance


def _wilson_hilferty(means: Floats, units: Ints) -> Floats:
    """P(N >= n) = P(Gamma(n) <= mean), of which the cube root is nearly normal."""
    spread = 1 / (9 * units)
    z = ((means / units) ** (1 / 3) - (1 - spread)) / np.sqrt(spread)
    # The normal distribution by its logistic approximation of Bowling and others, good to 2e-4.
    return np.asarray(1 / (1 + np.exp(-0.07056 * z**3 - 1.5976 * z)))


def rationing_minor(
    rates: Floats,
    units: Ints,
    value_minor: Ints | int,
    taken: int = 1,
    table: TailTable | None = None,
) -> Ints:
    """The worth of a unit taken from each cell, in minor units: value x P(demand >= units).

    `rates` is the demand of others expected in the cell until it is replenished, `units` what it
    has now, `value_minor` what is lost when one of them finds nothing: margin and good will, for all
    cells or each. With `taken` units at once it is the mean over them, since the first is the one
    least likely to be missed. Cells without units are worth the whole value. With a `table` chances
    are looked up by class. Raises `ValueError` where `taken` is below 1.
    """
    if taken < 1:
        raise ValueError(f"the worth of {taken} units was asked for, at least 1 can be taken")
    whole = np.asarray(units, np.int64)
    if table is None:
        chances = [poisson_tail(rates, whole - k) for k in range(taken)]
    else:
        classes = table.classes(rates)
        chances = [table.at(classes, whole - k) for k in range(taken)]
    worth = np.asarray(value_minor) * np.mean(chances, axis=0)
    found: Ints = np.rint(worth).astype(np.int64)
    return found
