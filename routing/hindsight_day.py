"""The orders of a day, read from their records, decided again at prices of the stock they shared."""

import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from routing.decided_again import Again, Cell, cells_of, decided, ready, taken_of
from routing.grid import Ints
from routing.hindsight import Answer, Hindsight, look_back
from routing.hindsight_rooms import Place, Room, Toll, rooms_of, toll
from routing.plan import Plan
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


class Shared(NamedTuple):
    """What the orders of a day share: stock, and then room at nodes."""

    cells: dict[Cell, int]
    """By cell, its number."""
    rooms: dict[Place, Room]
    places: dict[Place, int]
    """By room, its number."""
    units: Ints
    """By number."""


class _Entry(NamedTuple):
    """An order, and the nodes with any of it that could be short of room."""

    again: Again
    row_of: Ints
    """`[P]`: the row of each of its places' nodes, -1 where the terrain does not have it."""
    rows: tuple[int, ...]


def look_back_on(
    orders: Sequence[DayOrder],
    left: Mapping[Cell, int],
    numbers: Mapping[str, int],
    time_limit_s: float,
    rooms: Mapping[Place, Room] = MappingProxyType({}),
) -> Hindsight:
    """The bound on what a day's orders cost in all, by decisions made with knowledge of all of them.

    `left` are units that were free at the end of the day, `numbers` those of nodes in the terrains.
    `rooms` are what limited nodes could still do by work date then, the work of these orders
    included; places that are not told are not short. What came in during the day counts as if it had been
    there from the beginning, and what others took as if it had never been, so the bound is on the
    safe side. Buffers do not count, for the same reason. Raises `ValueError` where the time is too
    short for a first round.
    """
    supply: dict[Cell, int] = {cell: units for cell, units in left.items() if units > 0}
    for order in orders:
        for cell, units in order.asked.taken.items():
            supply[cell] = supply.get(cell, 0) + units
    index = {cell: n for n, cell in enumerate(supply)}
    limited = rooms_of([order.asked for order in orders], rooms)
    remaining = (room.remaining for room in limited.values())
    there = np.fromiter((*supply.values(), *remaining), np.int64, len(supply) + len(limited))
    places = {at: n for n, at in enumerate(limited, len(supply))}
    shared = Shared(index, limited, places, there)
    by_sku = cells_of(index, numbers)
    entries = [_entry(ready(each.terrain, each.asked, by_sku), limited) for each in orders]
    deadline = time.perf_counter() + time_limit_s

    def answer(prices: Ints) -> list[Answer] | None:
        found = []
        tolls = {at: int(prices[n]) for at, n in places.items() if prices[n]}
        for each in entries:
            if time.perf_counter() > deadline:
                return None
            found.append(_answer(each, shared, prices, tolls))
        return found

    cost_minor = sum(order.cost_minor for order in orders)
    scale_minor = cost_minor - sum(_shortage_minor(order.asked) for order in orders)
    start = np.concatenate([_scarce(orders, supply), np.zeros(len(limited), np.int64)])
    return look_back(there, cost_minor, answer, start, scale_minor)


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


def _entry(again: Again, limited: Mapping[Place, Room]) -> _Entry:
    known, nodes = again.terrain.rows.row_of.tolist(), again.terrain.destination.nodes
    row_of = [known[number] if number < len(known) else -1 for number in again.numbers.tolist()]
    names = {node_id for node_id, _ in limited}
    rows = tuple(row for row in sorted({*row_of} - {-1}) if nodes[row].node_id in names)
    return _Entry(again, np.array(row_of, np.int64), rows)


def _answer(entry: _Entry, shared: Shared, prices: Ints, price_of: Mapping[Place, int]) -> Answer:
    """The cheapest plan of one order where units and room cost what `prices` say."""
    again = entry.again
    tolls: dict[str, Toll] = {}
    worth, units = prices[again.cells], shared.units[again.cells]
    for row in entry.rows:
        found = toll((again.terrain, again.asked), row, shared.rooms, price_of)
        if found is not None:
            tolls[again.terrain.destination.nodes[row].node_id] = found
            if found.unit_minor:
                worth = worth + (entry.row_of == row) * found.unit_minor
            if found.place is None:
                units = np.where(entry.row_of == row, 0, units)
    surcharges = {name: each.order_minor for name, each in tolls.items() if each.order_minor}
    plan = decided(again, units, worth, ORDER_LIMIT_MS, surcharges)
    taken = taken_of(plan, again.asked, shared.cells)
    firm = _use_rooms(plan, tolls, shared, taken)
    return Answer(
        plan.bound_minor,
        plan.objective_minor - plan.prices.worth_minor - plan.prices.surcharge_minor,
        np.array(list(taken), np.int64),
        np.array(list(taken.values()), np.int64),
        firm,
    )


def _use_rooms(
    plan: Plan, tolls: Mapping[str, Toll], shared: Shared, taken: dict[int, int]
) -> bool:
    """Add the room that a plan takes to what it takes; whether it takes it when the plan says so."""
    firm = True
    for part in plan.fulfillments:
        paid = tolls.get(part.node_id)
        firm = firm and (paid is None or paid.first)
        at = (part.node_id, part.work_on) if paid is None or paid.first else paid.place
        if at is not None and at in shared.places:
            by_units = shared.rooms[at].unit == "units"
            count = sum(line.quantity for line in part.lines) if by_units else 1
            taken[shared.places[at]] = taken.get(shared.places[at], 0) + count
    return firm
