"""The policies that are compared, from what rule engines do to priced optimal plans.

All of them see stock and capacity as they are when an order comes. The rules know no prices; the
exact ones take the cheapest plan in money and in the prices of `forecast.Prices`, either by the
optimizer that is shipped or, to simulate the past quickly, by `exact.cheapest`.
"""

from typing import NamedTuple, Protocol

import numpy as np

from tests.benchmarks.policies.exact import (
    Asked,
    Made,
    State,
    Table,
    cheapest,
    compiled,
    late_minor,
    shifts,
)
from tests.benchmarks.policies.simulate import Running
from tests.benchmarks.policies.world import Floats, Ints


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

    def worth_minor(self, running: Running, asked: Asked, at_days: float) -> Floats:
        """Nothing."""
        return np.zeros((len(asked.skus), len(running.room)))

    def surcharge_minor(self, running: Running) -> Floats:
        """Nothing."""
        return np.zeros(running.room.shape)


class Rule(NamedTuple):
    """Nodes one after another: the nearest first, or those that have most of what is left."""

    nearest: bool

    def renew(self, running: Running, day: int) -> None:
        """Rules know no days."""

    def decide(self, running: Running, asked: Asked, at_days: float) -> tuple[Ints, Ints]:
        """Each line from the first node that has it."""
        return by_rule(running.table, (running.stock[asked.skus], running.room), asked, self.nearest)


class Exact(NamedTuple):
    """The cheapest plan of each order at some prices, by looking at all of them."""

    prices: Prices

    def renew(self, running: Running, day: int) -> None:
        """Renew the prices."""
        self.prices.renew(running, day)

    def decide(self, running: Running, asked: Asked, at_days: float) -> tuple[Ints, Ints]:
        """The cheapest plan."""
        found: Made = cheapest(running.table, seen(self.prices, running, asked, at_days), asked)
        return found.nodes, found.days


def seen(prices: Prices, running: Running, asked: Asked, at_days: float) -> State:
    """What a decision sees."""
    return State(
        running.stock[asked.skus],
        running.room,
        prices.worth_minor(running, asked, at_days),
        prices.surcharge_minor(running),
    )


@compiled
def by_rule(
    table: Table, left: tuple[Ints, Ints], asked: Asked, nearest: bool
) -> tuple[Ints, Ints]:
    """Open nodes until nothing is wanted or nobody has it.

    Nearest: the least days, then the cheapest parcel, whatever it has. Else what rule engines do to
    avoid splits: the most lines, then the least money.
    """
    stock, room = left
    lines = len(asked.skus)
    nodes, days = np.full(lines, -1), np.full(lines, -1)
    state = State(stock, room, np.zeros((1, 1)), np.zeros(room.shape))
    used = np.zeros(len(room), np.bool_)
    while True:
        best, best_day = -1, -1
        key = np.full(3, np.inf)
        for node in range(len(room)):
            tariff = table.tariff[node, asked.zone]
            has, grams = 0, 0
            for i in range(lines):
                if nodes[i] < 0 and stock[i, node] > 0:
                    has += 1
                    grams += table.grams[asked.skus[i]]
            if used[node] or tariff < 0 or has == 0:
                continue
            shift, late = shifts(table, state, node, asked, has)
            if shift < 0:
                continue
            paid = table.price[tariff, np.searchsorted(table.grid, grams)] + late
            paid += table.order_minor[node] + has * table.unit_minor[node]
            first = table.days[node, asked.zone] + shift if nearest else -has
            second = table.price[tariff, 0] if nearest else paid
            if first < key[0] or (first == key[0] and second < key[1]):
                best, best_day = node, asked.day + shift
                key[0], key[1] = first, second
        if best < 0:
            return nodes, days
        used[best] = True
        for i in range(lines):
            if nodes[i] < 0 and stock[i, best] > 0:
                nodes[i], days[i] = best, best_day
