"""The orders of a day, read from their records, decided again at prices of the stock they shared."""

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from routing.basket import Basket, Held
from routing.grid import Ints
from routing.hindsight import Answer, Hindsight, look_back
from routing.plan import Plan
from routing.plan_basket import plan_basket
from routing.record import Asked
from routing.terrain import Terrain

__all__ = ["DayOrder", "look_back_on"]

ORDER_LIMIT_MS = 100
"""Time for one decision; a plan that is not proven by then still has its bound."""

Cell = tuple[str, str]
"""node id, sku"""


class DayOrder(NamedTuple):
    """One order of the day."""

    terrain: Terrain
    """Of its destination, at its own instant."""
    asked: Asked
    cost_minor: int
    """What its plan cost, without prices of units and nodes."""


class _Ready(NamedTuple):
    """An order with the cells it may take from."""

    order: DayOrder
    skus: tuple[str, ...]
    counts: Ints
    numbers: Ints
    cells: Ints


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
    by_sku: dict[str, list[tuple[int, int]]] = {}
    for (node_id, sku), n in index.items():
        if node_id in numbers:
            by_sku.setdefault(sku, []).append((numbers[node_id], n))
    ready = [_ready(order, by_sku) for order in orders]
    deadline = time.perf_counter() + time_limit_s

    def answer(prices: Ints) -> list[Answer] | None:
        found = []
        for each in ready:
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


def _ready(order: DayOrder, by_sku: Mapping[str, Sequence[tuple[int, int]]]) -> _Ready:
    skus = tuple(sorted({line.sku for line in order.asked.lines}))
    own = [sorted(by_sku.get(sku, ())) for sku in skus]
    flat = [place for places in own for place in places]
    return _Ready(
        order,
        skus,
        np.array([len(places) for places in own], np.int64),
        np.array([number for number, _ in flat], np.int64),
        np.array([cell for _, cell in flat], np.int64),
    )


def _answer(ready: _Ready, units: Ints, prices: Ints, index: Mapping[Cell, int]) -> Answer:
    """The cheapest plan of one order where units cost what `prices` say."""
    terrain, asked, _ = ready.order
    held = Held(
        ready.skus,
        ready.counts,
        ready.numbers,
        units[ready.cells],
        prices[ready.cells],
        np.zeros(len(ready.cells), np.int64),
    )
    basket = Basket(
        now=asked.now,
        lines=asked.lines,
        policy=asked.policy,
        held=held,
        supply=asked.supply if asked.policy.backorder else {},
    )
    plan = plan_basket(terrain, basket, ORDER_LIMIT_MS).plan
    taken = _taken(plan, asked, index)
    return Answer(
        plan.bound_minor,
        plan.objective_minor - plan.prices.worth_minor,
        np.array(list(taken), np.int64),
        np.array(list(taken.values()), np.int64),
    )


def _taken(plan: Plan, asked: Asked, index: Mapping[Cell, int]) -> dict[int, int]:
    """Units on hand that a plan takes, by cell."""
    skus = {line.line_id: line.sku for line in asked.lines}
    taken: dict[int, int] = {}
    for part in plan.fulfillments:
        for line in part.lines:
            if line.source == "on_hand":
                cell = index[part.node_id, skus[line.line_id]]
                taken[cell] = taken.get(cell, 0) + line.quantity
    return taken
