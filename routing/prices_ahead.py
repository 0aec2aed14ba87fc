"""What stock and capacity are worth to the orders to come, by orders like those that came.

Recorded orders stand for those expected until the next replenishment, each for so many of its kind.
All of them are decided again at prices that move by steps, see `prices_stepwise`: every decision is
the optimizer's, on what will be there in that time. Walk-ins have no part in it: whoever uses the
prices blends them with the chance that one of these comes first (`prices_chosen.blended_minor`).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import NamedTuple

import numpy as np

from routing.decided_again import Cell, decided, taken_of
from routing.grid import Ints
from routing.prices_places import Coming, Rooms, minor_by_date, offers_of
from routing.prices_stepwise import Chosen, Prices, Shared, Stepping, reach_minor, stepwise

__all__ = ["Ahead", "Coming", "Rooms", "Shelves", "prices_ahead"]

ORDER_LIMIT_MS = 20
"""Time for one decision; nearly all are proven in a fraction of it."""
REACH_ORDERS = 100
"""Orders whose costs say how far a step goes."""


class Shelves(NamedTuple):
    """What they have to share: C cells and some nodes that take so many fulfillments and no more."""

    places: Mapping[Cell, int]
    """The number of each cell."""
    units: Ints
    """`[C]`: units until the next replenishment, those of now and those that come in."""
    short_minor: int
    """What a unit costs at most that an order goes without."""
    rooms: Mapping[str, Rooms]
    """By node; leave out those without a limit."""


class Ahead(NamedTuple):
    """The prices."""

    worth_minor: Ints
    """`[C]`: of a unit of each cell."""
    room_minor: Mapping[str, Mapping[date, int]]
    """By node of `Shelves.rooms` and date, of one more fulfillment; what has no price is left out."""
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
    rooms = np.array([each for known in shelves.rooms.values() for each in known.places], float)
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
    return Ahead(
        found.prices.stock.astype(np.int64),
        minor_by_date(shelves.rooms, found.prices.room.astype(np.int64)),
        min(1.0, found.gap),
        found.steps,
    )


def _costs(orders: Sequence[Coming], shelves: Shelves) -> list[int]:
    """What each order costs by itself where everything is free, minor units of money."""
    return [
        decided(
            order, shelves.units[order.cells], np.zeros_like(order.cells), ORDER_LIMIT_MS
        ).cost.total_minor
        for order, *_ in orders
    ]


def _proposing(
    orders: Sequence[Coming], shelves: Shelves, deadline: float
) -> Callable[[Prices], Chosen | None]:
    """What all orders choose at whole prices, one decision each; none after the deadline."""
    offers = offers_of(orders, shelves.rooms, shelves.short_minor)

    def propose(prices: Prices) -> Chosen | None:
        worth, minor = prices.stock.astype(np.int64), prices.room.astype(np.int64)
        taken, sent = np.zeros(len(worth)), np.zeros(len(minor))
        priced = money = 0.0
        for (order, expected, _), offer in zip(orders, offers, strict=True):
            if time.perf_counter() > deadline:
                return None
            units = shelves.units[order.cells]
            taking = offer.taking(minor)
            plan = decided(order, units, worth[order.cells], ORDER_LIMIT_MS, taking.tolls)
            paid = plan.prices.worth_minor + plan.prices.surcharge_minor
            priced += expected * plan.objective_minor
            money += expected * (plan.objective_minor - paid)
            for cell, count in taken_of(plan, order.asked, shelves.places).items():
                taken[cell] += expected * count
            for part in plan.fulfillments:
                if part.node_id in taking.places:
                    sent[taking.places[part.node_id]] += expected
                    money += expected * taking.waits_minor[part.node_id]
        return Chosen(priced, money, taken, sent)

    return propose
