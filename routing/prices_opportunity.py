"""What shipping a unit from one store rather than another costs a merchant, beyond who wants it next.

Three rules of thumb of the trade, each as a price, so that they are weighed against parcels and each
other instead of sorting one before the other: sell first what will be marked down (IBM Sterling
Fulfillment Optimizer names markdown avoidance by price and date), spare what will soon be sold out
(weeks of supply there and in HotWax Commerce), and do not break a run of sizes (HotWax Commerce sorts
stores whose run is broken first).
"""

import numpy as np

from routing.grid import Ints
from routing.prices import Floats

__all__ = ["broken_run_minor", "markdown_minor", "stockout_minor"]

WEEK_DAYS = 7.0


def markdown_minor(loss_minor: float, left: Floats) -> Ints:
    """What a unit costs because one elsewhere is likelier to be marked down, `[P]`.

    `loss_minor` is what a unit loses by the markdown and `left` the chance of each cell that its
    next unit is still there then, 0 where nothing is marked down. Taking that unit saves loss x left;
    prices must not fall below 0, so that every other one costs what it saves less than the most:

        loss x (max left - left)
    """
    saved = loss_minor * left
    found: Ints = np.rint(saved.max(initial=0.0) - saved).astype(np.int64)
    return found


def stockout_minor(premium_minor: float, weeks: float, left: Ints, per_day: Floats) -> Ints:
    """What a unit costs where few weeks of supply are left, `[P]`.

    `left` are the units that stay on each shelf and `per_day` what walk-ins are expected to want
    there. With w = left / (7 per_day) weeks of supply the price falls in a straight line from the
    premium at none to 0 at `weeks`:

        premium x max(0, 1 - w / weeks)

    Nothing where nobody walks in, or `weeks` are 0.
    """
    if weeks <= 0:
        return np.zeros(len(left), np.int64)
    a_week = np.maximum(per_day, 1e-9) * WEEK_DAYS
    share = np.clip(1 - np.maximum(left, 0) / a_week / weeks, 0, 1)
    found: Ints = np.rint(np.where(per_day > 0, premium_minor * share, 0)).astype(np.int64)
    return found


def broken_run_minor(premium_minor: float, others: Ints, sizes: int) -> Ints:
    """What taking the last unit of a size costs where other sizes of its style stay behind, `[P]`.

    `others` are how many other sizes each cell's node has, `sizes` how many the style has in all:

        premium x others / (sizes - 1)

    so the last size of a run that is broken already costs nothing. Raises `ValueError` for a style
    of fewer than two sizes.
    """
    if sizes < 2:
        raise ValueError(f"a style of {sizes} sizes has no run that could be broken")
    found: Ints = np.rint(premium_minor * others / (sizes - 1)).astype(np.int64)
    return found
