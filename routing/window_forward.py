"""Nothing is put off without need: what was chosen starts as soon as there is room for it.

A choice of plans is as cheap as the plans that were looked at. One of them may put work off to a date
when an earlier one has room left in the end, which costs no less and keeps the customer waiting.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from routing.assemble import objective_minor
from routing.grid import Ints
from routing.later import LATER_DATES_MAX
from routing.window_choice import take
from routing.window_ground import Column
from routing.window_orders import Order, column_of
from routing.window_pricing import Answer, cost_of

__all__ = ["forward"]


class _Slots(NamedTuple):
    """The slots of an order, whichever way it is asked; K of them, I lines."""

    nodes: Sequence[object]
    days: Sequence[int]
    order_rooms: Sequence[int]
    unit_rooms: Sequence[int]
    most: Ints
    """`[K, I]`"""
    pieces: Ints
    """`[I]`: what a unit counts for in capacities of units."""


def forward(orders: Sequence[Order], picked: Sequence[Column], space: Ints) -> list[Column]:
    """The plans of a choice, each new one moved to earlier dates while that is no dearer and fits.

    `space` is all capacity, the work of these plans included.
    """
    found, none = list(picked), np.zeros(0, np.int64)
    left = none, space.copy()
    for each in found:
        take(left, each._replace(cells=()), 1)
    for _ in range(LATER_DATES_MAX):
        changed = False
        for n, column in enumerate(found):
            sooner = _sooner(orders[n], column, left[1]) if len(column.slots) else None
            if sooner is not None:
                take(left, column._replace(cells=()), -1)
                take(left, sooner._replace(cells=()), 1)
                found[n], changed = sooner, True
        if not changed:
            break
    return found


def _sooner(order: Order, column: Column, left: Ints) -> Column | None:
    """The plan with one of its parcels on an earlier date; none where no other way fits."""
    slots = _slots(order)
    for slot, units in zip(column.slots.tolist(), column.units, strict=True):
        for other in _earlier(slots, slot):
            held = dict(zip(column.slots.tolist(), column.units, strict=True))
            there = held.get(other, np.zeros_like(units))
            if not _fits(slots, other, units, left, opens=other not in held):
                continue
            if (there + units > slots.most[other]).any():
                continue
            del held[slot]
            held[other] = there + units
            opened = sorted(held)
            sent = np.array([held[k] for k in opened], np.int64)
            minor = _minor(order, np.array(opened, np.int64), sent)
            answer = Answer(minor, minor, minor, np.array(opened, np.int64), sent)
            sooner = column_of(order, answer)
            if sooner.minor <= column.minor:
                return sooner
    return None


def _slots(order: Order) -> _Slots:
    if order.choices is not None:
        own = order.choices
        ones = np.ones(len(own.wanted), np.int64)
        rooms = own.order_rooms.tolist(), own.unit_rooms.tolist()
        return _Slots(own.nodes.tolist(), order.days.tolist(), *rooms, own.most, ones)
    if order.whole is None:
        raise ValueError(f"order {order.waiting.order_id} has no choices")
    instance = order.whole.instance
    return _Slots(
        [slot.node.node_id for slot in instance.slots],
        [slot.work_on.toordinal() for slot in instance.slots],
        order.whole.order_rooms,
        order.whole.unit_rooms,
        np.array(instance.units_max, np.int64),
        np.array([line.pieces for line in instance.lines], np.int64),
    )


def _earlier(slots: _Slots, slot: int) -> Iterator[int]:
    """The slots of a slot's node that start sooner, the soonest first."""
    found = [
        (day, k)
        for k, (node, day) in enumerate(zip(slots.nodes, slots.days, strict=True))
        if node == slots.nodes[slot] and day < slots.days[slot]
    ]
    yield from (k for _, k in sorted(found))


def _fits(slots: _Slots, slot: int, units: Ints, left: Ints, *, opens: bool) -> bool:
    """Whether a slot has room for some units more."""
    none = len(left) - 1
    by_order, by_unit = slots.order_rooms[slot], slots.unit_rooms[slot]
    pieces = int(units @ slots.pieces)
    roomy = by_order == none or left[by_order] >= int(opens)
    return roomy and (by_unit == none or int(left[by_unit]) >= pieces)


def _minor(order: Order, slots: Ints, units: Ints) -> int:
    """What a plan costs, as an answer tells it."""
    if order.choices is not None:
        own = order.choices
        free = np.zeros(int(own.cells.max(initial=0)) + 1, np.int64)
        last = max(int(own.order_rooms.max(initial=0)), int(own.unit_rooms.max(initial=0)))
        return int(cost_of(own, slots, units, free, np.zeros(last + 1, np.int64))[0])
    if order.whole is None:
        raise ValueError(f"order {order.waiting.order_id} has no choices")
    sent = {
        k: {i: count for i, count in enumerate(row) if count}
        for k, row in zip(slots.tolist(), units.tolist(), strict=True)
    }
    return objective_minor(order.whole.instance, sent) + order.whole.beside_minor
