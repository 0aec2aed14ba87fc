"""What the orders of a window share: stock and capacity, with what they hold of it."""

from collections import Counter
from collections.abc import Mapping
from datetime import date
from typing import NamedTuple

import msgspec
import numpy as np

from routing.basket import Held
from routing.bundles import needs_of
from routing.grid import Ints
from routing.plan import Fulfillment, Plan
from routing.problem import CapacityUnit
from routing.terrain import Terrain
from routing.window import Waiting, Window

__all__ = [
    "Column",
    "Ground",
    "capped",
    "ground",
    "held_at",
    "loads",
    "numbers_of",
    "prices_of",
    "sites",
]

Room = tuple[str, date, CapacityUnit]
"""A capacity: node id, work date and what it counts."""


class Column(NamedTuple):
    """One way to fulfill an order."""

    minor: int
    """What it costs at its own prices."""
    cells: tuple[tuple[int, int], ...]
    """Which stock it takes, and how many units."""
    rooms: tuple[tuple[int, int], ...]
    """Which capacity, and how much of it."""
    slots: Ints
    """Those it opens, none for the plan that is there already."""
    units: Ints
    """`[n, I]`"""


class Ground(msgspec.Struct, frozen=True, eq=False):
    """Stock and capacity of a window with what its orders hold of it."""

    window: Window
    stock: dict[str, tuple[Ints, Ints]]
    """By sku: node numbers, ascending, and units."""
    starts: dict[str, int]
    """By sku: the number of its first cell; a cell is a sku at a node."""
    units: Ints
    """`[C]`: by cell."""
    rooms: dict[Room, int]
    """The number of each capacity."""
    space: Ints
    """`[R]`: by capacity, and one more that nobody reads."""
    seen: dict[int, "Sites"] = msgspec.field(default_factory=dict)
    """What was worked out of each terrain, by identity."""


class Sites(NamedTuple):
    """The rows of a terrain on the ground."""

    terrain: Terrain
    numbers: Ints
    """`[R]`: the number of each row's node."""
    order_rooms: Ints
    """`[L]`: by lane, the capacity of its work date that counts orders, else the last of all."""
    unit_rooms: Ints
    """`[L]`: the same for units."""
    leaves: Ints
    """`[L]`: when the goods leave, in seconds of the epoch."""


def ground(window: Window) -> Ground:
    """Stock and capacity of a window, its orders' own share added to what is left beside them."""
    stock: dict[str, Counter[int]] = {}
    space: Counter[Room] = Counter()
    for order in window.orders:
        numbers = numbers_of(order.terrain)
        for (number, sku), count in held_at(order.plan, order.terrain, numbers).items():
            stock.setdefault(sku, Counter())[number] += count
        for each in order.plan.fulfillments:
            for unit, taken in loads(each):
                space[each.node_id, each.work_on, unit] += taken
    limits = {
        (node_id, each.work_on, each.unit): max(0, each.remaining)
        for node_id, capacity in window.room.items()
        for each in capacity
    }
    for order in window.orders:
        for sku in needs_of(order.lines):
            stock.setdefault(sku, Counter())
    rooms = {room: n for n, room in enumerate(sorted(limits))}
    shared, starts = _pooled(window, stock)
    return Ground(
        window=window,
        stock=shared,
        starts=starts,
        units=np.concatenate([_NONE, *(units for _, units in shared.values())]),
        rooms=rooms,
        space=np.array([*(limits[room] + space[room] for room in rooms), 0], np.int64),
    )


_NONE = np.zeros(0, np.int64)


def _pooled(
    window: Window, own: dict[str, Counter[int]]
) -> tuple[dict[str, tuple[Ints, Ints]], dict[str, int]]:
    """Stock by sku, and the first cell of each."""
    shared, starts, start = {}, {}, 0
    for sku in sorted(own):
        numbers, units = window.left.get(sku, (_NONE, _NONE))
        there = dict(zip(numbers.tolist(), np.maximum(units, 0).tolist(), strict=True))
        for number, held_units in own[sku].items():
            there[number] = there.get(number, 0) + held_units
        places = sorted(there)
        shared[sku] = (
            np.array(places, np.int64),
            np.array([there[number] for number in places], np.int64),
        )
        starts[sku] = start
        start += len(places)
    return shared, starts


def prices_of(at: Ground, waiting: Waiting) -> dict[str, tuple[Ints, Ints]]:
    """By sku, parallel to `stock`: worth and risk of a unit to an order; empty without prices."""
    given = at.window.prices if waiting.prices is None else waiting.prices
    if not given:
        return {}
    return {
        sku: _prices(at.window, sku, at.stock[sku][0], given) for sku in needs_of(waiting.lines)
    }


def _prices(
    window: Window, sku: str, places: Ints, given: Mapping[str, tuple[Ints, Ints]]
) -> tuple[Ints, Ints]:
    """Worth and risk of a unit at some nodes; nothing where a node is not in what is left."""
    found = np.zeros(len(places), np.int64), np.zeros(len(places), np.int64)
    if sku in given:
        numbers = window.left[sku][0]
        own = np.searchsorted(places, numbers)
        for prices, each in zip(found, given[sku], strict=True):
            prices[own] = each
    return found


def capped(at: Ground, waiting: Waiting, there: Held) -> Held:
    """Stock as an order may take it: at capped nodes what it holds of it, and no more."""
    if not waiting.capped:
        return there
    rows, numbers = waiting.terrain.row_of, sites(at, waiting.terrain).numbers
    names = {int(numbers[rows[name]]) for name in waiting.capped if name in rows}
    shut = np.isin(there.numbers, list(names))
    units = np.where(shut, 0, there.units)
    sku_of = np.repeat(np.arange(len(there.skus)), there.counts)
    index = {sku: s for s, sku in enumerate(there.skus)}
    for (number, sku), count in held_at(waiting.plan, waiting.terrain, numbers).items():
        if number in names and sku in index:
            own = (sku_of == index[sku]) & (there.numbers == number)
            units[own] = np.minimum(there.units[own], count)
    return there._replace(units=units)


def held_at(plan: Plan, terrain: Terrain, numbers: Ints) -> Counter[tuple[int, str]]:
    """What a plan takes of stock on hand, by node number and sku, `numbers` by row of the terrain."""
    taken: Counter[tuple[int, str]] = Counter()
    for each in plan.fulfillments:
        row = terrain.row_of.get(each.node_id)
        for line in each.lines:
            if row is not None and numbers[row] >= 0 and line.source == "on_hand":
                taken[int(numbers[row]), line.sku] += line.quantity
    return taken


def surcharges_of(at: Ground, waiting: Waiting) -> Mapping[str, int]:
    """By node id: what one more fulfillment of an order costs there."""
    return at.window.surcharges if waiting.surcharges is None else waiting.surcharges


def loads(each: Fulfillment) -> tuple[tuple[CapacityUnit, int], ...]:
    """What a fulfillment takes of a capacity, by what that counts."""
    return ("orders", 1), ("units", sum(line.quantity for line in each.lines))


def numbers_of(terrain: Terrain) -> Ints:
    """`[R]`: the number of each row's node, -1 for nodes without one."""
    row_of = terrain.rows.row_of
    numbers = np.full(len(terrain.destination.nodes), -1, np.int64)
    known = np.flatnonzero(row_of >= 0)
    numbers[row_of[known]] = known
    return numbers


def sites(at: Ground, terrain: Terrain) -> Sites:
    """The rows of a terrain on the ground, worked out once."""
    found = at.seen.get(id(terrain))
    if found is None:
        found = Sites(
            terrain,
            numbers_of(terrain),
            _rooms(at, terrain, "orders"),
            _rooms(at, terrain, "units"),
            np.array([int(first.ship_by.timestamp()) for first in terrain.departures], np.int64),
        )
        at.seen[id(terrain)] = found
    return found


def _rooms(at: Ground, terrain: Terrain, unit: CapacityUnit) -> Ints:
    """`[L]`: the capacity of each lane's work date, the last of all where it has none."""
    last = len(at.rooms)
    return np.array(
        [
            at.rooms.get((lane.node_id, first.work_on, unit), last)
            for lane, first in zip(terrain.lanes, terrain.departures, strict=True)
        ],
        np.int64,
    )
