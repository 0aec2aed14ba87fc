"""The orders of a day, read from their records, decided again at prices of the stock they shared."""

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from routing.decided_again import Again, Cell, cells_of, decided, ready, taken_of
from routing.grid import Ints
from routing.hindsight import Answer, Hindsight, look_back
from routing.record import Asked
from routing.terrain import Terrain

__all__ = ["DayOrder", "look_back_on"]

ORDER_LIMIT_MS = 100
"""Time for one decision; a plan that is not proven by then still has its bound."""


class DayOrder(NamedTuple):
    """One order of the day."""

    terrain: Terrain
    """Of its destination, at its own instant."""
    asked: Asked
    cost_minor: int
    """What its plan cost, without prices of units and nodes."""


def look_back_on(
    orders: Sequence[DayOrder],
    left: Mapping[Cell, int],
    numbers: Mapping[str, int],
    time_limit_s: float,
) -> Hindsight:
    """The bound on what a day's orders cost in all, by decisions made with knowledge of all of them.

    `left` are units that were free at the end of the day, `numbers` those of nodes in the terrains.
    What came in during the day counts as if it had been there from the beginning, and what others
    took as if it had never been, so the bound is on the safe side. Capacity and buffers do not
    count, for the same reason. Raises `ValueError` where the time is too short for a first round.
    """
    supply: dict[Cell, int] = {cell: units for cell, units in left.items() if units > 0}
    for order in orders:
        for cell, units in order.asked.taken.items():
            supply[cell] = supply.get(cell, 0) + units
    index = {cell: n for n, cell in enumerate(supply)}
    there = np.fromiter(supply.values(), np.int64, len(supply))
    by_sku = cells_of(index, numbers)
    again = [ready(order.terrain, order.asked, by_sku) for order in orders]
    deadline = time.perf_counter() + time_limit_s

    def answer(prices: Ints) -> list[Answer] | None:
        found = []
        for each in again:
            if time.perf_counter() > deadline:
                return None
            found.append(_answer(each, there, prices, index))
        return found

    cost_minor = sum(order.cost_minor for order in orders)
    scale_minor = cost_minor - sum(_shortage_minor(order.asked) for order in orders)
    return look_back(there, cost_minor, answer, _scarce(orders, supply), scale_minor)


def _shortage_minor(asked: Asked) -> int:
    """Price of the units that nobody gave."""
    wanted = sum(line.quantity for line in asked.lines)
    return (wanted - sum(asked.taken.values())) * asked.policy.shortage_minor


def _scarce(orders: Sequence[DayOrder], supply: Mapping[Cell, int]) -> Ints:
    """Prices to start with: what a shortfall costs, at the cells of skus that are short in all."""
    short: dict[str, int] = {}
    shortage: dict[str, int] = {}
    for order in orders:
        for line in order.asked.lines:
            short[line.sku] = short.get(line.sku, 0) + line.quantity
            price = order.asked.policy.shortage_minor
            shortage[line.sku] = min(shortage.get(line.sku, price), price)
    for (_, sku), units in supply.items():
        if sku in short:
            short[sku] -= units
    prices = (shortage[sku] if short.get(sku, 0) > 0 else 0 for _, sku in supply)
    return np.fromiter(prices, np.int64, len(supply))


def _answer(again: Again, units: Ints, prices: Ints, index: Mapping[Cell, int]) -> Answer:
    """The cheapest plan of one order where units cost what `prices` say."""
    plan = decided(again, units[again.cells], prices[again.cells], ORDER_LIMIT_MS)
    taken = taken_of(plan, again.asked, index)
    return Answer(
        plan.bound_minor,
        plan.objective_minor - plan.prices.worth_minor,
        np.array(list(taken), np.int64),
        np.array(list(taken.values()), np.int64),
    )
