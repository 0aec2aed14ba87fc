"""What stock and capacity are worth to the orders to come, by orders like those that came.

Recorded orders stand for those expected until the next replenishment, each for so many of its kind.
All of them are decided again at prices that move by steps, see `prices_stepwise`: every decision is
the optimizer's, on what will be there in that time. Walk-ins have no part in it: whoever uses the
prices blends them with the chance that one of these comes first (`prices_chosen.blended_minor`).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from routing.decided_again import Again, Cell, decided, taken_of
from routing.grid import Ints
from routing.prices_stepwise import Chosen, Prices, Shared, Stepping, reach_minor, stepwise

__all__ = ["Ahead", "Coming", "Shelves", "prices_ahead"]

ORDER_LIMIT_MS = 20
"""Time for one decision; nearly all are proven in a fraction of it."""
REACH_ORDERS = 100
"""Orders whose costs say how far a step goes."""


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
    """`[C]`: units until the next replenishment, those of now and those that come in."""
    short_minor: int
    """What a unit costs at most that an order goes without."""
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
    """How far what the orders cost, estimated from above, and its bound are apart, as a share of the
    bound; at most 1, which says nothing."""
    steps: int


def prices_ahead(
    orders: Sequence[Coming], shelves: Shelves, steps_max: int, limit_s: float
) -> Ahead:
    """Prices of stock and capacity for orders to come: those that steps lead to within `limit_s`.

    The first of the orders say how far a step goes, so draw them by lot. Without orders everything
    is free, and where the time is over before all were decided once.
    """
    rooms = np.array([*shelves.rooms.values()], float)
    shared = Shared(
        stock=shelves.units.astype(float),
        room=rooms,
        walk_ins=np.zeros(len(shelves.units)),
        value_minor=np.zeros(1),
        shortage_minor=shelves.short_minor,
    )
    if not orders:
        return Ahead(np.zeros(len(shelves.units), np.int64), {}, 0.0, 0)
    stepping = Stepping(steps_max, reach_minor(_costs(orders[:REACH_ORDERS], shelves)), whole=True)
    propose = _proposing(orders, shelves, time.perf_counter() + limit_s)
    found = stepwise(propose, shared, stepping)
    prices = zip(shelves.rooms, found.prices.room.astype(np.int64).tolist(), strict=True)
    return Ahead(
        found.prices.stock.astype(np.int64),
        {node_id: minor for node_id, minor in prices if minor},
        min(1.0, found.gap),
        found.steps,
    )


def _costs(orders: Sequence[Coming], shelves: Shelves) -> list[int]:
    """What each order costs by itself where everything is free, minor units of money."""
    return [
        decided(
            order, shelves.units[order.cells], np.zeros_like(order.cells), ORDER_LIMIT_MS
        ).cost.total_minor
        for order, _ in orders
    ]


def _proposing(
    orders: Sequence[Coming], shelves: Shelves, deadline: float
) -> Callable[[Prices], Chosen | None]:
    """What all orders choose at whole prices, one decision each; none after the deadline."""
    room_of = {node_id: n for n, node_id in enumerate(shelves.rooms)}

    def propose(prices: Prices) -> Chosen | None:
        worth, minor = prices.stock.astype(np.int64), prices.room.astype(np.int64).tolist()
        surcharges = {node_id: minor[n] for node_id, n in room_of.items() if minor[n]}
        taken, sent = np.zeros(len(worth)), np.zeros(len(minor))
        priced = money = 0.0
        for order, expected in orders:
            if time.perf_counter() > deadline:
                return None
            units = shelves.units[order.cells]
            plan = decided(order, units, worth[order.cells], ORDER_LIMIT_MS, surcharges)
            paid = plan.prices.worth_minor + plan.prices.surcharge_minor
            priced += expected * plan.objective_minor
            money += expected * (plan.objective_minor - paid)
            for cell, count in taken_of(plan, order.asked, shelves.places).items():
                taken[cell] += expected * count
            for part in plan.fulfillments:
                if part.node_id in room_of:
                    sent[room_of[part.node_id]] += expected
        return Chosen(priced, money, taken, sent)

    return propose
