"""What stock and capacity are worth to the orders to come, by orders like those that came.

Recorded orders stand for those expected until the next replenishment, each for so many of its kind.
They are the kinds of `prices_duals.whole_order_duals`: whole orders, each fulfilled in whole ways on
the stock of now. Only skus that are asked often have prices: of one that is asked once in a while
the program sees half a unit to spare where the next customer finds none (see `prices`).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from routing.decided_again import Again, Cell, decided, taken_of
from routing.grid import Ints
from routing.prices import Floats
from routing.prices_duals import ROUNDS_MAX, Duals, Way, whole_order_duals

__all__ = ["Ahead", "Coming", "Shelves", "prices_ahead"]

ORDER_LIMIT_MS = 20
"""Time for one decision; nearly all are proven in a fraction of it."""
PROPOSALS = 1.5
"""Proposals of all ways in a round, about: damped prices that lead to nothing new need a second."""
GAP = 2e-3
GAP_MAX = 0.05
"""Share of the bound beyond which prices are not used: rounds that end too soon leave the price of a
shortfall on whatever they looked at last, and orders would go around it at any cost."""


class Coming(NamedTuple):
    """An order that stands for some of those to come."""

    again: Again
    expected: float
    """How many like it are expected."""


class Shelves(NamedTuple):
    """What they have to share: C cells and some nodes that take so many fulfillments and no more."""

    places: Mapping[Cell, int]
    """The number of each cell."""
    units: Ints
    """`[C]`: units now."""
    supply: Floats
    """`[C]`: units until the next replenishment, those of now and those that come in."""
    fast: NDArray[np.bool_]
    """`[C]`: whether units have a price; of others it is 0."""
    rooms: Mapping[str, float]
    """By node, fulfillments that it can make until then; leave out nodes without a limit. Not by day:
    an order that can wait for tomorrow would look as scarce as if it had to go today."""


class Ahead(NamedTuple):
    """The prices."""

    worth_minor: Ints
    """`[C]`: of a unit of each cell."""
    room_minor: Mapping[str, int]
    """By node of `Shelves.rooms`, of one more fulfillment; nodes without a price are left out."""
    gap: float
    """How far what the program found and its bound are apart, as a share of the bound."""
    rounds: int


def prices_ahead(orders: Sequence[Coming], shelves: Shelves, limit_s: float) -> Ahead:
    """Prices of stock and capacity for orders to come, found within about `limit_s`.

    There are as many rounds as fit into the time by what the first decisions take, at most
    `prices_duals.ROUNDS_MAX`. Without orders everything is free, and so it is where that was too little
    time for prices within `GAP_MAX`.
    """
    cells = len(shelves.units)
    if not orders or not (shelves.fast.any() or shelves.rooms):
        return Ahead(np.zeros(cells, np.int64), {}, 0.0, 0)
    propose = _proposing(orders, shelves)
    supply = np.concatenate([shelves.supply, [*shelves.rooms.values()]]).astype(float)
    started = time.perf_counter()
    first = propose(np.zeros(len(supply)))
    each_s = max(time.perf_counter() - started, 1e-3)
    rounds = min(ROUNDS_MAX, max(1, int(limit_s / (PROPOSALS * each_s))))
    nothing = [Way(k, _short_minor(order.again), ()) for k, order in enumerate(orders)]
    demand = np.array([order.expected for order in orders])
    found: Duals = whole_order_duals(supply, demand, [*nothing, *first], propose, rounds, GAP)
    if found.gap > GAP_MAX:
        return Ahead(np.zeros(cells, np.int64), {}, found.gap, found.rounds)
    whole = np.rint(found.prices_minor).astype(np.int64)
    rooms = zip(shelves.rooms, whole[cells:].tolist(), strict=True)
    return Ahead(
        whole[:cells], {node: minor for node, minor in rooms if minor}, found.gap, found.rounds
    )


def _short_minor(again: Again) -> int:
    """What an order costs that is given nothing."""
    return again.asked.policy.shortage_minor * sum(line.quantity for line in again.asked.lines)


def _proposing(orders: Sequence[Coming], shelves: Shelves) -> Callable[[Floats], list[Way]]:
    """The cheapest way of each order at given prices, one decision each."""
    cells = len(shelves.units)
    room_of = {node_id: cells + n for n, node_id in enumerate(shelves.rooms)}

    def way(number: int, again: Again, prices: Ints) -> Way:
        surcharges = {
            node_id: int(prices[place]) for node_id, place in room_of.items() if prices[place]
        }
        units, worth = shelves.units[again.cells], prices[again.cells]
        plan = decided(again, units, worth, ORDER_LIMIT_MS, surcharges)
        uses = {
            cell: units
            for cell, units in taken_of(plan, again.asked, shelves.places).items()
            if shelves.fast[cell]
        }
        for part in plan.fulfillments:
            if part.node_id in room_of:
                place = room_of[part.node_id]
                uses[place] = uses.get(place, 0) + 1
        paid = plan.prices.worth_minor + plan.prices.surcharge_minor
        return Way(number, plan.objective_minor - paid, tuple(uses.items()))

    def propose(prices: Floats) -> list[Way]:
        whole = np.rint(prices).astype(np.int64)
        return [way(number, order.again, whole) for number, order in enumerate(orders)]

    return propose
