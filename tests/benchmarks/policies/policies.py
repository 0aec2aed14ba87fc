"""The policies that are compared, from what rule engines do to priced optimal plans.

All of them see stock and capacity as they are when an order comes. The rules know no prices; the
exact ones take the cheapest plan in money and in the prices of `forecast.Prices`, either by the
optimizer that is shipped or, to simulate the past quickly, by `exact.cheapest`.
"""

from typing import NamedTuple

import numpy as np

from tests.benchmarks.policies.exact import (
    Asked,
    Made,
    State,
    Table,
    cheapest,
    compiled,
    shifts,
)
from tests.benchmarks.policies.forecast import Prices
from tests.benchmarks.policies.simulate import Running
from tests.benchmarks.policies.world import Ints


class Rule(NamedTuple):
    """Nodes one after another: the nearest first, or those that have most of what is left."""

    nearest: bool

    def renew(self, running: Running, day: int) -> None:
        """Rules know no days."""

    def decide(self, running: Running, asked: Asked, _at_days: float) -> tuple[Ints, Ints]:
        """Each line from the first node that has it."""
        return by_rule(
            running.table, (running.stock[asked.skus], running.room), asked, self.nearest
        )


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
    while True:
        best, best_day, key = -1, -1, (np.inf, np.inf)
        for node in range(len(room)):
            day, first, second = _offer(table, state, asked, nodes, node)
            if day < 0:
                continue
            if node == table.nowhere:
                first, second = np.inf, 0.0
            elif nearest:
                first = table.days[node, asked.zone] + day - asked.day
                second = table.price[table.tariff[node, asked.zone], 0]
            if (first, second) < key:
                best, best_day, key = node, day, (first, second)
        if best < 0:
            return nodes, days
        for i in range(lines):
            if nodes[i] < 0 and stock[i, best] > 0:
                nodes[i], days[i] = best, best_day


@compiled
def _offer(
    table: Table, state: State, asked: Asked, nodes: Ints, node: int
) -> tuple[int, float, float]:
    """When a node could send what it has of the lines left, -1: never; lines, negative; cost."""
    tariff, has, grams = table.tariff[node, asked.zone], 0, 0
    for i in range(len(nodes)):
        if nodes[i] < 0 and state.stock[i, node] > 0:
            has += 1
            grams += table.grams[asked.skus[i]]
    if tariff < 0 or has == 0:
        return -1, 0.0, 0.0
    shift, paid = shifts(table, state, node, asked, has)
    if shift < 0:
        return -1, 0.0, 0.0
    paid += table.price[tariff, np.searchsorted(table.grid, grams)]
    paid += table.order_minor[node] + has * table.unit_minor[node]
    return asked.day + shift, float(-has), paid
