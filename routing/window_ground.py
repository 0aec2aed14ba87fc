"""What the orders of a window share, and what each of them could do with it."""

from collections import Counter
from datetime import date
from typing import NamedTuple

import msgspec
import numpy as np

from routing.basket import Basket, held, seen
from routing.billed import Proof, billed, plan_of
from routing.bundles import plain
from routing.gather import Gathered, by_id, gather
from routing.grid import Ints
from routing.plan import Fulfillment, Plan
from routing.problem import CapacityUnit
from routing.terrain import Terrain
from routing.window import Waiting, Window
from routing.window_pricing import SUMS_MAX, Answer, Choices, sums

__all__ = ["Column", "Ground", "Order", "asked", "column_of", "ground", "planned"]

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
    prices: dict[str, tuple[Ints, Ints]]
    """By sku, parallel to `stock`: worth and risk of a unit; empty where nothing has any."""
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


class Order(msgspec.Struct, frozen=True, eq=False):
    """An order of a window with its choices."""

    waiting: Waiting
    present: Column
    choices: Choices | None
    """None where it is left as it is."""
    kept: Ints
    """The slots of `gather` that the choices have."""
    first_minor: int
    """What choices charge too much: the split of a first fulfillment."""
    no_room: int
    """The capacity that stands for none."""


def ground(window: Window) -> Ground:
    """Stock and capacity of a window, its orders' own share added to what is left beside them."""
    stock: dict[str, Counter[int]] = {}
    space: Counter[Room] = Counter()
    for order in window.orders:
        numbers = numbers_of(order.terrain)
        for each in order.plan.fulfillments:
            row = order.terrain.row_of.get(each.node_id)
            for line in each.lines:
                if row is not None and numbers[row] >= 0 and line.source == "on_hand":
                    own = stock.setdefault(line.sku, Counter())
                    own[int(numbers[row])] += line.quantity
            for unit, taken in loads(each):
                space[each.node_id, each.work_on, unit] += taken
    limits = {
        (node_id, each.work_on, each.unit): max(0, each.remaining)
        for node_id, capacity in window.room.items()
        for each in capacity
    }
    for order in window.orders:
        for asked_for in order.lines:
            stock.setdefault(asked_for.sku, Counter())
    rooms = {room: n for n, room in enumerate(sorted(limits))}
    shared, starts = _pooled(window, stock)
    return Ground(
        window=window,
        stock=shared,
        starts=starts,
        units=np.concatenate([_NONE, *(units for _, units in shared.values())]),
        prices={sku: _prices(window, sku, shared[sku][0]) for sku in shared}
        if window.prices
        else {},
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


def _prices(window: Window, sku: str, places: Ints) -> tuple[Ints, Ints]:
    """Worth and risk of a unit at some nodes; nothing where a node is not in what is left."""
    found = np.zeros(len(places), np.int64), np.zeros(len(places), np.int64)
    if sku in window.prices:
        numbers = window.left[sku][0]
        own = np.searchsorted(places, numbers)
        for prices, given in zip(found, window.prices[sku], strict=True):
            prices[own] = given
    return found


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


def asked(at: Ground, waiting: Waiting) -> Order:
    """An order with everything it could do without making its promise worse."""
    lines = by_id(waiting.lines)
    split = 0 if waiting.beside else waiting.policy.split_minor
    each_its_sku = len({line.sku for line in lines}) == len(lines) and all(map(plain, lines))
    free = waiting.policy.nodes_per_line_max is None and not waiting.plan.shortfalls
    if not (each_its_sku and free and _same_units(waiting)):
        present = _present(at, waiting, None)
        return Order(waiting, present, None, _NONE, split, len(at.rooms))
    gathered = _gathered(at, waiting)
    kept, choices = _choices(at, waiting, gathered)
    short = len(kept) > 0 and sums(choices) <= SUMS_MAX
    present = _present(at, waiting, gathered)
    return Order(waiting, present, choices if short else None, kept, split, len(at.rooms))


def _same_units(waiting: Waiting) -> bool:
    sent: Counter[tuple[str, str]] = Counter()
    for each in waiting.plan.fulfillments:
        for line in each.lines:
            sent[line.line_id, line.sku] += line.quantity
    return sent == {(line.line_id, line.sku): line.quantity for line in waiting.lines}


def _gathered(at: Ground, waiting: Waiting) -> Gathered:
    """Every slot that could send any of an order."""
    lines = tuple(
        msgspec.structs.replace(line, methods=("ship",), pickup_node=None) for line in waiting.lines
    )
    basket = Basket(
        now=at.window.now,
        lines=lines,
        policy=waiting.policy,
        held=held(lines, at.stock, at.prices),
        surcharges=at.window.surcharges,
    )
    there = seen(waiting.terrain, basket)
    return gather(waiting.terrain, there, lines, waiting.policy, pruned=False)


def _choices(at: Ground, waiting: Waiting, gathered: Gathered) -> tuple[Ints, Choices]:
    """The slots that keep the promise, with what is asked of each."""
    slots, grid, terrain = gathered.slots, gathered.grid, waiting.terrain
    site = sites(at, terrain)
    limits = np.array([promised(waiting, line.line_id) for line in gathered.lines], np.int64)
    latest = terrain.rows.lane_latest[slots.lanes]
    most = np.where(latest[:, None] <= limits[None, :], grid.units_max, 0)
    # Capacity is looked at on the node's first work date alone.
    elsewhere = terrain.rows.lane_ready[slots.lanes] != terrain.rows.ready[slots.rows]
    most[elsewhere] = 0
    if waiting.barred:
        barred = [terrain.row_of[name] for name in waiting.barred if name in terrain.row_of]
        most[np.isin(slots.rows, barred)] = 0
    kept = np.flatnonzero(most.any(axis=1))
    rows, lanes, most = slots.rows[kept], slots.lanes[kept], most[kept]
    cells = np.zeros_like(most)
    for i, line in enumerate(gathered.lines):
        places = np.searchsorted(at.stock[line.sku][0], site.numbers[rows])
        cells[:, i] = np.where(most[:, i] > 0, at.starts[line.sku] + places, 0)
    starts, steps = _steps(grid.step_starts, kept)
    return kept, Choices(
        most=most,
        time_minor=grid.time_minor[kept],
        slot_minor=grid.slot_minor[kept] + waiting.policy.split_minor,
        unit_minor=grid.unit_minor[kept],
        step_starts=starts,
        step_grams=grid.step_grams[steps],
        step_minor=grid.step_minor[steps],
        nodes=grid.nodes[kept],
        wanted=grid.quantities,
        grams=grid.weights_grams,
        cells=cells,
        order_rooms=site.order_rooms[lanes],
        unit_rooms=site.unit_rooms[lanes],
        parcels_max=len(waiting.plan.fulfillments),
    )


def promised(waiting: Waiting, line_id: str) -> int:
    """The date, as an ordinal, by which every unit of a line may come: no unit gets later."""
    return min(
        each.promise.latest.toordinal()
        for each in waiting.plan.fulfillments
        if any(line.line_id == line_id for line in each.lines)
    )


def _steps(starts: Ints, kept: Ints) -> tuple[Ints, Ints]:
    """Where the price steps of kept slots begin, and which of all steps they are."""
    counts = starts[kept + 1] - starts[kept]
    ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return ends, np.arange(ends[-1]) + np.repeat(starts[kept] - ends[:-1], counts)


def _present(at: Ground, waiting: Waiting, gathered: Gathered | None) -> Column:
    """The plan that an order has, at today's prices where its dates are still today's."""
    terrain, cells, rooms = waiting.terrain, Counter[int](), Counter[int]()
    numbers = sites(at, terrain).numbers
    for each in waiting.plan.fulfillments:
        row = terrain.row_of.get(each.node_id)
        for line in each.lines:
            if row is not None and numbers[row] >= 0 and line.source == "on_hand":
                place = np.searchsorted(at.stock[line.sku][0], numbers[row])
                cells[at.starts[line.sku] + int(place)] += line.quantity
        for unit, taken in loads(each):
            room = at.rooms.get((each.node_id, each.work_on, unit))
            if room is not None:
                rooms[room] += taken
    minor = _again(waiting, gathered) if gathered is not None else None
    if minor is None:
        minor = _as_told(waiting) + _beyond(at, waiting)
    none = np.zeros((0, len(waiting.lines)), np.int64)
    return Column(minor, _sorted(cells), _sorted(rooms), _NONE, none)


def _sorted(counts: Counter[int]) -> tuple[tuple[int, int], ...]:
    return tuple(sorted(counts.items()))


def _again(waiting: Waiting, gathered: Gathered) -> int | None:
    """What a plan costs by the slots it would open now; none where there is not each of them."""
    terrain, slots = waiting.terrain, gathered.slots
    slot_of = {
        (int(row), terrain.lanes[lane].service): k
        for k, (row, lane) in enumerate(zip(slots.rows.tolist(), slots.lanes.tolist(), strict=True))
    }
    units = np.zeros_like(gathered.grid.units_max)
    line_of = {line.line_id: i for i, line in enumerate(gathered.lines)}
    for each in waiting.plan.fulfillments:
        k = slot_of.get((terrain.row_of.get(each.node_id, -1), each.service or ""))
        if k is None or terrain.promises[slots.lanes[k]] != each.promise:
            return None
        for line in each.lines:
            units[k, line_of[line.line_id]] += line.quantity
    beside = waiting.policy.split_minor if waiting.beside else 0
    return billed(terrain, gathered, units)[0] + beside


def _as_told(waiting: Waiting) -> int:
    """What a plan costs by its own figures, its waiting counted from today."""
    policy, ordered_on = waiting.policy, waiting.terrain.ordered_on
    plan = waiting.plan
    opened = len(plan.fulfillments) - (0 if waiting.beside else 1)
    total = sum(each.cost.total_minor for each in plan.fulfillments)
    total += policy.split_minor * max(0, opened)
    for line in waiting.lines:
        promised = (
            each.promise.latest
            for each in plan.fulfillments
            if any(own.line_id == line.line_id for own in each.lines)
        )
        latest = max(promised, default=ordered_on)
        total += policy.delay_minor * max(0, (latest - ordered_on).days)
        if line.requested_by is not None:
            total += policy.lateness_minor * max(0, (latest - line.requested_by).days)
    return total


def _beyond(at: Ground, waiting: Waiting) -> int:
    """What a plan's units are worth and risk where they stand, and what its nodes add."""
    total = 0
    numbers = sites(at, waiting.terrain).numbers
    for each in waiting.plan.fulfillments:
        total += at.window.surcharges.get(each.node_id, 0)
        row = waiting.terrain.row_of.get(each.node_id)
        for line in each.lines:
            if row is not None and line.source == "on_hand" and line.sku in at.prices:
                place = np.searchsorted(at.stock[line.sku][0], numbers[row])
                total += line.quantity * sum(int(each[place]) for each in at.prices[line.sku])
    return total


def column_of(order: Order, answer: Answer) -> Column:
    """The column of a plan that an order's choices offered."""
    choices = order.choices
    if choices is None:
        raise ValueError(f"order {order.waiting.order_id} has no choices")
    cells, rooms = Counter[int](), Counter[int]()
    for slot, row in zip(answer.slots.tolist(), answer.units.tolist(), strict=True):
        for i, units in enumerate(row):
            if units:
                cells[int(choices.cells[slot, i])] += units
        rooms[int(choices.order_rooms[slot])] += 1
        rooms[int(choices.unit_rooms[slot])] += sum(row)
    rooms.pop(order.no_room, None)
    minor = answer.minor - order.first_minor
    return Column(minor, _sorted(cells), _sorted(rooms), answer.slots, answer.units)


def planned(at: Ground, order: Order, column: Column) -> Plan:
    """The plan of a column that is not the present one."""
    waiting = order.waiting
    gathered = _gathered(at, waiting)
    units = np.zeros_like(gathered.grid.units_max)
    units[order.kept[column.slots]] = column.units
    figures = billed(waiting.terrain, gathered, units)
    # What its own order could cost at least was asked at prices that others pay too.
    proof = Proof(0, "window", "feasible")
    return plan_of(waiting.terrain, waiting.policy, gathered.lines, figures, proof)
