"""What priced policies believe of the demand to come: learned from books of the past, or told."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from routing.prices import TailTable, tail_table
from routing.prices_chosen import blended_minor
from routing.prices_learned import learned_rates
from routing.prices_stepwise import Stepping
from tests.benchmarks.policies.exact import Asked
from tests.benchmarks.policies.hindsight import REACH, Demand, priced
from tests.benchmarks.policies.kinds import Kind, duals_of
from tests.benchmarks.policies.program import Way
from tests.benchmarks.policies.simulate import Past, Running
from tests.benchmarks.policies.world import Floats, Ints, Network

RATE_MAX, UNITS_MAX = 200.0, 60
LINES_MAX = 6
"""Longer baskets are left out of the orders that duals are made of: they have too many plans."""
RENEWALS, STEPS = 4, 6
"""How often duals of past orders are renewed in a period, and steps of their prices each time."""
SCENARIOS = 4
"""Earlier periods whose orders stand, one period after another, for those to come."""


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


class Prices(Protocol):
    """What stock and capacity are worth to others."""

    def renew(self, running: Running, day: int) -> None:
        """Work them out anew."""

    def worth_minor(self, running: Running, asked: Asked, at_days: float) -> Floats:
        """`[I, N]`: the price of a unit of each line at each node."""

    def surcharge_minor(self, running: Running) -> Floats:
        """`[N, D]`: the price of a parcel of each node on each day."""


class Free:
    """Everything is free: each order for itself."""

    def renew(self, running: Running, day: int) -> None:
        """Nothing changes."""

    def worth_minor(self, running: Running, asked: Asked, _at_days: float) -> Floats:
        """Nothing."""
        return np.zeros((len(asked.skus), len(running.room)))

    def surcharge_minor(self, running: Running) -> Floats:
        """Nothing."""
        return np.zeros(running.room.shape)


class Rationing:
    """The chance that a walk-in will want the unit, times what it costs to lose them."""

    def __init__(self, known: Belief, weight: float = 1.0) -> None:
        """Prices by a belief; at weight 0 everything is free."""
        self.known = known
        self.weight = weight

    def renew(self, running: Running, day: int) -> None:
        """Chances are looked up for each order and never grow old."""

    def worth_minor(self, running: Running, asked: Asked, at_days: float) -> Floats:
        """Chance x value + (1 - chance) x dual, by the units and the days left of the moment."""
        chances = self.chances(running, asked, at_days)
        value: Ints = running.network.value_minor[asked.skus][:, None]
        return blended_minor(value, chances, self.duals(asked.skus)).astype(float)

    def duals(self, skus: Ints) -> Floats:
        """`[I, N]` or to broadcast: what units are worth to orders to come, here nothing."""
        return np.zeros((len(skus), 1))

    def chances(self, running: Running, asked: Asked, at_days: float) -> Floats:
        """`[I, N]`: that walk-ins will want the last unit, times the weight, at most 1."""
        left = max(0.0, running.days - at_days)
        classes = self.known.table.classes(self.known.rates[asked.skus] * left)
        chances = self.known.table.at(classes, running.stock[asked.skus])
        found: Floats = np.minimum(1, self.weight * chances)
        return found

    def surcharge_minor(self, running: Running) -> Floats:
        """Capacity is free."""
        return np.zeros(running.room.shape)


class Blend(Rationing):
    """Rationing for walk-ins, duals for orders to come and for capacity, renewed several times.

    Where the same kinds of orders come again, duals are those of the whole-order program of all
    kinds. Else the orders of some earlier periods stand for those to come, each by itself: those of
    its days that are still ahead are given prices as in `hindsight.priced`, a few steps from where
    prices were, and the mean over the periods is the price. The prices of a single period are those
    of its accidents (a randomized linear program: Talluri and van Ryzin, Transportation Science 33,
    1999).
    """

    def __init__(
        self, known: Belief, weight: float, demands: Sequence[Demand], kinds: dict[Kind, float]
    ) -> None:
        """Prices by a belief in walk-ins, and by orders of earlier periods or of all kinds."""
        super().__init__(known, weight)
        self.demands = demands
        self.kinds = kinds
        self.worth: Floats = np.zeros((0, 0))
        self.surcharge: Floats = np.zeros((0, 0))
        self.found: list[tuple[Floats, Floats]] = []
        self.ways: tuple[Way, ...] = ()

    def renew(self, running: Running, day: int) -> None:
        """Prices for the rest of the period, on what is left."""
        if self.kinds:
            left = 1 - day / running.days
            due = {kind: count * left for kind, count in self.kinds.items()}
            solved = duals_of(running.table, running.stock, due, self.ways)
            self.worth = solved.prices_minor.reshape(running.stock.shape)
            self.surcharge, self.ways = np.zeros(running.room.shape), solved.ways
        elif day % max(1, running.days // RENEWALS) == 0:
            limits = running.stock, running.room
            # Walk-ins have no part here, so what they would lose has none.
            value = np.zeros(len(running.stock), np.int64)
            stepping = Stepping(STEPS, REACH)
            before = self.found if day else [None] * len(self.demands)
            solutions = [
                priced(running.table, value, from_day(demand, day), limits, stepping, first)
                for demand, first in zip(self.demands, before, strict=True)
            ]
            self.found = [(each.worth, each.surcharge) for each in solutions]
            self.worth = np.mean([worth for worth, _ in self.found], axis=0)
            self.surcharge = np.mean([surcharge for _, surcharge in self.found], axis=0)

    def duals(self, skus: Ints) -> Floats:
        """Those of the last renewal."""
        return self.worth[skus]

    def surcharge_minor(self, _running: Running) -> Floats:
        """The duals of capacity."""
        return self.surcharge


def from_day(demand: Demand, day: int) -> Demand:
    """The orders of a period from one of its days on, without walk-ins and very long baskets."""
    kept = np.flatnonzero((demand.day >= day) & (np.diff(demand.starts) <= LINES_MAX))
    bounds = zip(demand.starts[kept].tolist(), demand.starts[kept + 1].tolist(), strict=True)
    baskets = [demand.skus[first:last] for first, last in bounds]
    return Demand(
        starts=np.concatenate([[0], np.cumsum([len(each) for each in baskets])]).astype(np.int64),
        skus=np.concatenate([demand.skus[:0], *baskets]),
        zone=demand.zone[kept],
        day=demand.day[kept],
        wish=demand.wish[kept],
        weight=demand.weight[kept],
        walk_ins=np.zeros_like(demand.walk_ins),
    )
