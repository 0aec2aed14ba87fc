"""What priced policies believe of the demand to come: learned from books of the past, or told."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from routing.prices import TailTable, tail_table
from routing.prices_chosen import blended_minor
from routing.prices_duals import Way
from routing.prices_learned import learned_rates
from tests.benchmarks.policies.exact import Asked
from tests.benchmarks.policies.kinds import Kind, duals_of
from tests.benchmarks.policies.simulate import Past, Running
from tests.benchmarks.policies.world import Floats, Ints, Network

RATE_MAX, UNITS_MAX = 200.0, 60


class Belief(NamedTuple):
    """Walk-ins expected per day, `[S, N]`, and how chances follow from them."""

    rates: Floats
    table: TailTable


def belief(rates: Floats) -> Belief:
    """A belief in given rates."""
    return Belief(rates, tail_table(RATE_MAX, UNITS_MAX))


def learned(network: Network, books: Sequence[Past]) -> Belief:
    """What the books say: cells that ever had stock at a store, by item and by store."""
    sold = sum((each.sold for each in books), np.zeros_like(books[0].sold))
    exposure = sum((each.exposure_days for each in books), np.zeros(sold.shape))
    skus, nodes = np.nonzero((exposure > 0) & network.stores)
    rates = np.zeros(sold.shape)
    if len(skus) and sold.sum():
        found = learned_rates(sold[skus, nodes], exposure[skus, nodes], [skus, nodes])
        rates[skus, nodes] = found.per_day
    return belief(rates)


class Rationing:
    """The chance that a walk-in will want the unit, times what it costs to lose them."""

    def __init__(self, known: Belief, weight: float = 1.0) -> None:
        """Prices by a belief; at weight 0 everything is free."""
        self.known = known
        self.weight = weight

    def renew(self, running: Running, day: int) -> None:
        """Chances are looked up for each order and never grow old."""

    def worth_minor(self, running: Running, asked: Asked, at_days: float) -> Floats:
        """chance x value, by the units of the moment and the days to the next replenishment."""
        chances = self.chances(running, asked, at_days)
        value: Ints = running.network.value_minor[asked.skus][:, None]
        return blended_minor(value, chances, np.zeros(chances.shape), self.weight).astype(float)

    def chances(self, running: Running, asked: Asked, at_days: float) -> Floats:
        """`[I, N]`: that walk-ins will want the last unit."""
        left = max(0.0, running.days - at_days)
        classes = self.known.table.classes(self.known.rates[asked.skus] * left)
        return self.known.table.at(classes, running.stock[asked.skus])

    def surcharge_minor(self, running: Running) -> Floats:
        """Capacity is free."""
        return np.zeros(running.room.shape)


class WholeOrders:
    """Duals of a linear program over whole orders, renewed every day for what is left."""

    def __init__(self, expected: dict[Kind, float]) -> None:
        """Prices for so many orders of each kind in a whole period."""
        self.expected = expected
        self.worth = np.zeros((0, 0))
        self.ways: tuple[Way, ...] = ()

    def renew(self, running: Running, day: int) -> None:
        """Solve the program for the rest of the period."""
        left = 1 - day / running.days
        due = {kind: count * left for kind, count in self.expected.items()}
        found = duals_of(running.table, running.stock, due, self.ways)
        self.worth, self.ways = found.prices_minor.reshape(running.stock.shape), found.ways

    def worth_minor(self, running: Running, asked: Asked, at_days: float) -> Floats:
        """The dual of each cell."""
        return self.worth[asked.skus]

    def surcharge_minor(self, running: Running) -> Floats:
        """Capacity is free."""
        return np.zeros(running.room.shape)
