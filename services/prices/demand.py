"""What walk-ins want: a rate for each stock record at a store, from what they took of it.

Most records sell a few units a year, so hardly any says much by itself: `routing.prices_learned`
draws each towards what its item sells in the region and what its store sells in all.
"""

from collections.abc import Mapping, Sequence
from math import log

import msgspec
import numpy as np
from numpy.typing import NDArray

from routing.prices_learned import learned_rates
from services.prices.records import CellsRow, Learned, StoreRow

WANTED_MIN = 0.001
"""Units wanted until the next delivery below which a record is left out: nobody will come."""
DAYS_MIN, DAYS_MAX = 0.5, 60.0
"""Least and most days until a delivery that are looked ahead."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Cells(msgspec.Struct, eq=False):
    """The stock records at stores, sku after sku, in parts as they were read."""

    stores: Sequence[StoreRow]
    skus: list[str] = []
    counts: list[int] = []
    """Records of each sku."""
    numbers: list[Ints] = []
    sold: list[Floats] = []
    exposures: list[Floats] = []
    days: list[Floats] = []
    sold_units: int = 0
    bounds: list[tuple[str, str, int]] = []
    """Of each step in which they were read: the sku before it, its last, and how many are in."""


class Span(msgspec.Struct, frozen=True):
    """How far back is looked, how fast what happened loses weight, how often stores are supplied."""

    window_days: float
    half_life_days: float
    replenish_days: float

    def exposure_days(self, quiet_days: Floats) -> Floats:
        """Return the weight of the days from so many days ago back to the beginning of the window.

        The integral of 0.5 to the power of age / half-life: sales are weighed in the same way, so
        that the ratio of the two is a rate per day.
        """
        last = 0.5 ** (self.window_days / self.half_life_days)
        first = 0.5 ** (np.minimum(quiet_days, self.window_days) / self.half_life_days)
        found: Floats = self.half_life_days / log(2) * (first - last)
        return found


def add(
    cells: Cells,
    row: CellsRow,
    collected: Mapping[tuple[str, str], tuple[float, int]],
    span: Span,
) -> None:
    """Add the records of a sku; `collected` is what customers came for, by sku and node.

    A record that is empty has been so since its last sale, or all the time: on these days nobody
    could be seen to want anything, so they do not count as days without demand.
    """
    numbers = np.array(row.numbers, np.int64)
    sold = np.array(row.sold, float)
    sold_units = sum(row.sold_units)
    for place, number in enumerate(row.numbers):
        weighed, units = collected.get((row.sku, cells.stores[number].node_id), (0.0, 0))
        sold[place] += weighed
        sold_units += units
    empty = [
        0.0 if there else (span.window_days if quiet is None else quiet)
        for there, quiet in zip(row.there, row.quiet_days, strict=True)
    ]
    days = [span.replenish_days if due is None else due for due in row.due_days]
    cells.skus.append(row.sku)
    cells.counts.append(len(numbers))
    cells.numbers.append(numbers)
    cells.sold.append(sold)
    cells.exposures.append(span.exposure_days(np.array(empty)))
    cells.days.append(np.clip(np.array(days, float), DAYS_MIN, DAYS_MAX))
    cells.sold_units += sold_units


def learned(cells: Cells) -> dict[int, Learned]:
    """Return what walk-ins want of each sku at stores where that is worth a look, by its place.

    Each record's rate is drawn towards the product of its sku in its region and of its store; see
    `learned_rates` for the formula. Nothing is returned where nothing was sold.
    """
    if not cells.sold_units:
        return {}
    numbers = np.concatenate(cells.numbers)
    skus = np.repeat(np.arange(len(cells.skus)), cells.counts)
    names = sorted({store.region for store in cells.stores})
    regions = np.array([names.index(store.region) for store in cells.stores])
    _, in_region = np.unique(skus * len(names) + regions[numbers], return_inverse=True)
    exposures = np.concatenate(cells.exposures)
    rates = learned_rates(np.concatenate(cells.sold), exposures, (in_region, numbers))
    days = np.concatenate(cells.days)
    kept = rates.per_day * days >= WANTED_MIN
    ends = np.cumsum(cells.counts)
    found = {}
    for place, sku in enumerate(cells.skus):
        own = slice(ends[place] - cells.counts[place], ends[place])
        chosen = np.flatnonzero(kept[own]) + own.start
        if chosen.size:
            node_ids = [cells.stores[number].node_id for number in numbers[chosen].tolist()]
            per_day, until = rates.per_day[chosen].tolist(), days[chosen].tolist()
            found[place] = Learned(sku, node_ids, per_day, until)
    return found
