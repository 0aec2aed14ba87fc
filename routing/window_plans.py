"""All plans of an order that could be worth it, cheapest first.

Around the cheapest plan at some prices others are found by allowing one unit less of something
that is scarce: a plan that takes no less of anything scarce and costs no less is never needed. What
is left over when the search for them stops costs at least what it says.
"""

import heapq
from typing import NamedTuple

import numpy as np

from routing.facts import Bools
from routing.grid import Ints
from routing.window_ground import Column
from routing.window_orders import Order, column_of
from routing.window_pricing import NEVER, Answer, Choices, priced
from routing.window_whole import Whole, answered, without

__all__ = ["Plans", "plans"]

Scarce = tuple[Bools, Bools]
"""`[C]` and `[R]`: which cells and capacities could run out."""


class Plans(NamedTuple):
    """Plans of one order."""

    columns: tuple[Column, ...]
    open_minor: float
    """Every other plan that is needed costs at least this at the prices asked."""
    inexact_minor: int
    """By how much a plan that is needed may cost less than the one found in its stead."""


Cap = tuple[str, int, int]
"""`cell` and its number, or `room`, its number and a line."""
Caps = tuple[tuple[Cap, int], ...]
"""The most units of a cell, or of a line that a capacity works on, in order."""


class _Branch(NamedTuple):
    """The plans that take no more of some cells than allowed, with the cheapest of them."""

    least: int
    order: int
    caps: Caps
    answer: Answer


def plans(
    order: Order, prices: tuple[Ints, Ints], scarce: Scarce, below: float, most: int
) -> Plans:
    """The plans of an order that cost less than `below` at these prices.

    The search for them is left open once about `most` caps have been tried.
    """
    choices = order.choices
    if order.whole is not None:
        return _wholes(order, order.whole, prices, scarce)
    if choices is None:
        return Plans((), float(NEVER), 0)
    below += order.first_minor
    columns: list[Column] = []
    met: set[Caps] = {()}
    kinds: set[object] = set()
    inexact, count = 0, 0
    first = priced(choices, *prices)
    waiting = [_Branch(first.least, 0, (), first)]
    while waiting and waiting[0].least < below:
        branch = heapq.heappop(waiting)
        answer = branch.answer
        fewer = _fewer(choices, answer, branch.caps, scarce)
        if count >= most or answer.minor >= NEVER or fewer is None:
            # Nothing is known of the plans that are left but what they cost at least.
            return Plans(tuple(columns), float(branch.least - order.first_minor), inexact)
        column = column_of(order, answer)
        if (column.cells, column.rooms) not in kinds:
            kinds.add((column.cells, column.rooms))
            columns.append(column)
        inexact = max(inexact, answer.paid - answer.least)
        for caps in fewer:
            if caps not in met:
                met.add(caps)
                count += 1
                found = priced(_with_caps(choices, caps), *prices)
                heapq.heappush(waiting, _Branch(found.least, count, caps, found))
    return Plans(tuple(columns), float(NEVER), inexact)


def _wholes(order: Order, own: Whole, prices: tuple[Ints, Ints], scarce: Scarce) -> Plans:
    """The cheapest plan of an order asked as a whole, and those without one of its scarce cells.

    Others are left open: they cost no less than the cheapest.
    """
    first = order.ask(*prices)
    if first.minor >= NEVER:
        return Plans((), float(first.least), 0)
    columns = [column_of(order, first)]
    for cell, _ in columns[0].cells:
        if scarce[0][cell]:
            other = answered(without(own, cell), *prices)
            if other.minor < NEVER:
                columns.append(column_of(order, other))
    return Plans(tuple(columns), float(first.least), 0)


def _fewer(choices: Choices, answer: Answer, caps: Caps, scarce: Scarce) -> list[Caps] | None:
    """The caps under which plans take less of something scarce; none where caps cannot say that.

    Who takes less of a capacity has it work on less of some line, unless it is two parcels of one
    capacity that become one.
    """
    found: list[Caps] = []
    opened = choices.order_rooms[answer.slots].tolist()
    for slot, row in zip(answer.slots.tolist(), answer.units.tolist(), strict=True):
        by_order, by_unit = int(choices.order_rooms[slot]), int(choices.unit_rooms[slot])
        if scarce[1][by_order] and opened.count(by_order) > 1:
            return None
        full = [room for room in sorted({by_order, by_unit}) if scarce[1][room]]
        for i, units in enumerate(row):
            if not units:
                continue
            less: list[Cap] = [("room", room, i) for room in full]
            cell = int(choices.cells[slot, i])
            less += [("cell", cell, 0)] if scarce[0][cell] else []
            for cap in less:
                kept = dict(caps)
                kept[cap] = min(kept.get(cap, units), units) - 1
                found.append(tuple(sorted(kept.items())))
    return found


def _with_caps(choices: Choices, caps: Caps) -> Choices:
    most, at_node = choices.most.copy(), choices.there.copy()
    for (kind, number, line), units in caps:
        if kind == "cell":
            own = choices.cells == number
            most[own] = np.minimum(most[own], units)
            at_node[own] = np.minimum(at_node[own], units)
        else:
            there = (choices.order_rooms == number) | (choices.unit_rooms == number)
            most[there, line] = np.minimum(most[there, line], units)
    return choices._replace(most=most, there=at_node)
