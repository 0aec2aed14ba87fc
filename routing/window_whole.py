"""Orders that cheapest parcels do not say all of, asked of the optimizer as a whole at any prices.

Kits, lines that go together, a sku on two lines, few nodes for a line, and long orders: each has
its own instance of `candidates`, in which the prices of stock and capacity are worth and surcharge.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from operator import add

import msgspec
import numpy as np

from routing.assemble import assemble, objective_minor
from routing.basket import Basket, Held, held, problem_of, seen
from routing.bundles import as_units, needs_of
from routing.candidates import candidates, of_slots
from routing.grid import Ints
from routing.instance import Assignment, Instance, Slot
from routing.plan import Plan
from routing.problem import Capacity, CapacityUnit, Line, Node, Policy, Problem, Stock
from routing.solve import parts_of, solve_instance
from routing.window import Waiting
from routing.window_dates import leaves_from, work_dates
from routing.window_ground import Ground, capped, prices_of, sites, surcharges_of
from routing.window_pricing import NEVER, Answer

__all__ = [
    "Whole",
    "answered",
    "bound_lines",
    "bound_policy",
    "present_minor",
    "whole",
    "whole_plan",
]

ASK_S = 0.05
"""Time for an order to be asked once; what is not proven by then is a bound all the same."""

Cell = tuple[str, str]
"""Node id and sku."""


class Whole(msgspec.Struct, frozen=True, eq=False):
    """An order with all it could do, and where its slots stand on the ground."""

    instance: Instance
    cells: Mapping[Cell, int]
    order_rooms: tuple[int, ...]
    """By slot: the capacity of its work date that counts orders, else the last of all."""
    unit_rooms: tuple[int, ...]
    """The same for units."""
    beside_minor: int
    """What every plan costs beyond its own price: another part of the order is sent already."""

    @property
    def touched(self) -> tuple[Ints, Ints]:
        """The cells and the capacities that it could take of."""
        rooms = {*self.order_rooms, *self.unit_rooms}
        return np.array(sorted(self.cells.values()), np.int64), np.array(sorted(rooms), np.int64)


def bound_policy(waiting: Waiting) -> Policy:
    """The policy of an order with what was promised of parcels: everything, in no more of them."""
    return msgspec.structs.replace(
        waiting.policy,
        ship_complete=True,
        shipments_max=len(waiting.plan.fulfillments),
        backorder=False,
    )


def bound_lines(waiting: Waiting) -> tuple[Line, ...]:
    """The lines of an order with the dates that were promised: no unit gets later."""
    return tuple(
        msgspec.structs.replace(
            line,
            methods=("ship",),
            pickup_node=None,
            promised_by=min(
                each.promise.latest
                for each in waiting.plan.fulfillments
                if any(part.line_id == line.line_id for part in each.lines)
            ),
        )
        for line in waiting.lines
    )


def whole(at: Ground, waiting: Waiting) -> Whole | None:
    """An order with all it could do on the dates that its nodes offer; none where that is nothing."""
    terrain, lines = waiting.terrain, bound_lines(waiting)
    basket = Basket(
        now=at.window.now,
        lines=lines,
        policy=bound_policy(waiting),
        held=offered(at, waiting, held(lines, at.stock, prices_of(at, waiting))),
        surcharges=surcharges_of(at, waiting),
    )
    problem = problem_of(
        terrain.destination, seen(terrain, basket), basket.now, lines, basket.policy
    )
    instance = _on_all_dates(waiting, problem)
    if not instance.slots:
        return None
    nodes = {slot.node.node_id for slot in instance.slots}
    return Whole(
        instance=instance,
        cells={
            (node_id, sku): _cell(at, waiting, node_id, sku)
            for node_id, sku in instance.stock
            if node_id in nodes
        },
        order_rooms=_rooms(at, instance, "orders"),
        unit_rooms=_rooms(at, instance, "units"),
        beside_minor=waiting.policy.split_minor if waiting.beside else 0,
    )


def _on_all_dates(waiting: Waiting, problem: Problem) -> Instance:
    """The instance of an order with a slot for each date that a service of its terrain has.

    The optimizer offers later dates where earlier ones are full, so those are closed in turn.
    """
    days, leaves = work_dates(waiting.terrain), leaves_from(waiting)
    found: dict[tuple[str, str | None, date], Slot] = {}
    depth = max((len(days.get(node.node_id, ())) for node in problem.nodes), default=0)
    for n in range(depth):
        nodes = tuple(_closed(node, days.get(node.node_id, ()), n) for node in problem.nodes)
        looked = candidates(msgspec.structs.replace(problem, nodes=nodes), prune=False)
        for slot in looked.slots:
            node_id = slot.node.node_id
            if slot.work_on in days.get(node_id, ()) and (leaves is None or slot.ship_by >= leaves):
                found.setdefault((node_id, slot.service, slot.work_on), slot)
    return of_slots(problem, found.values())


def _closed(node: Node, days: Sequence[date], n: int) -> Node:
    """A node without room before the `n`th of its dates, if there is one."""
    if not 0 < n < len(days):
        return node
    span = (days[0] + timedelta(days=ahead) for ahead in range((days[n] - days[0]).days))
    full = tuple(Capacity(work_on=day, remaining=0) for day in span)
    return msgspec.structs.replace(node, capacity=full)


def _rooms(at: Ground, instance: Instance, unit: CapacityUnit) -> tuple[int, ...]:
    """By slot: the capacity of its work date, the last of all where it has none."""
    return tuple(
        at.rooms.get((slot.node.node_id, slot.work_on, unit), len(at.rooms))
        for slot in instance.slots
    )


def offered(at: Ground, waiting: Waiting, there: Held) -> Held:
    """Stock as an order may take it, without that of nodes that get no further work of it."""
    there = capped(at, waiting, there)
    row_of = waiting.terrain.rows.row_of
    rows = {waiting.terrain.row_of.get(node_id, -2) for node_id in waiting.barred}
    barred = [n for n, row in enumerate(row_of.tolist()) if row in rows]
    if not barred:
        return there
    return there._replace(units=np.where(np.isin(there.numbers, barred), 0, there.units))


def _cell(at: Ground, waiting: Waiting, node_id: str, sku: str) -> int:
    """The number of a node's cell of a sku."""
    number = sites(at, waiting.terrain).numbers[waiting.terrain.row_of[node_id]]
    return at.starts[sku] + int(np.searchsorted(at.stock[sku][0], number))


def answered(order: Whole, worth: Ints, rooms: Ints) -> Answer:
    """The cheapest plan of an order at these prices, as `window_pricing.priced` tells it.

    `slots` are those of its instance, `units` are of its bundles.
    """
    instance = _priced(order, worth, rooms)
    parted = parts_of(instance)
    if parted is not None:
        units, least, _ = parted
    else:
        solution = solve_instance(instance, time.perf_counter() + ASK_S)
        units, least = solution.units, solution.plan.bound_minor
    width = len(instance.lines)
    if sum(map(sum, (taken.values() for taken in units.values()))) < sum(
        line.quantity for line in instance.lines
    ):
        none = np.zeros(0, np.int64), np.zeros((0, width), np.int64)
        return Answer(least + order.beside_minor, NEVER, NEVER, *none)
    slots = sorted(units)
    sent = np.zeros((len(slots), width), np.int64)
    for n, k in enumerate(slots):
        for i, count in units[k].items():
            sent[n, i] = count
    return Answer(
        least + order.beside_minor,
        objective_minor(order.instance, units) + order.beside_minor,
        objective_minor(instance, units) + order.beside_minor,
        np.array(slots, np.int64),
        sent,
    )


def _priced(order: Whole, worth: Ints, rooms: Ints) -> Instance:
    """The instance with prices of stock as worth, and of capacity as surcharge and handling."""
    instance = order.instance
    stock: dict[Cell, Stock] = {}
    dearer: dict[Cell, int] = {}
    for (node_id, sku), held_there in instance.stock.items():
        cell = order.cells.get((node_id, sku))
        minor = 0 if cell is None else int(worth[cell])
        stock[node_id, sku] = held_there
        if minor:
            dearer[node_id, sku] = minor
            stock[node_id, sku] = msgspec.structs.replace(
                held_there, worth_minor=held_there.worth_minor + minor
            )
    opening = [int(rooms[room]) for room in order.order_rooms]
    working = [int(rooms[room]) for room in order.unit_rooms]
    return msgspec.structs.replace(
        instance,
        slots=tuple(map(_dearer, instance.slots, opening, working)),
        stock=stock,
        opening_minor=tuple(map(add, instance.opening_minor, opening)),
        unit_minor=tuple(
            tuple(
                minor
                + line.pieces * each
                + sum(count * dearer.get((slot.node.node_id, sku), 0) for sku, count in line.parts)
                for line, minor in zip(instance.lines, row, strict=True)
            )
            for slot, row, each in zip(instance.slots, instance.unit_minor, working, strict=True)
        ),
    )


def without(order: Whole, cell: int) -> Whole:
    """An order that takes nothing of a cell."""
    names = {name for name, number in order.cells.items() if number == cell}
    instance = order.instance
    units_max = tuple(
        tuple(
            0 if any((slot.node.node_id, sku) in names for sku, _ in line.parts) else most
            for line, most in zip(instance.lines, row, strict=True)
        )
        for slot, row in zip(instance.slots, instance.units_max, strict=True)
    )
    return msgspec.structs.replace(
        order, instance=msgspec.structs.replace(instance, units_max=units_max)
    )


def _dearer(slot: Slot, opening_minor: int, unit_minor: int) -> Slot:
    if not (opening_minor or unit_minor):
        return slot
    node = msgspec.structs.replace(
        slot.node,
        surcharge_minor=slot.node.surcharge_minor + opening_minor,
        handling_unit_minor=slot.node.handling_unit_minor + unit_minor,
    )
    return msgspec.structs.replace(slot, node=node)


def places(order: Whole, answer: Answer) -> tuple[Counter[int], Counter[int]]:
    """What a plan takes of cells and of capacities."""
    cells, rooms = Counter[int](), Counter[int]()
    for k, row in zip(answer.slots.tolist(), answer.units.tolist(), strict=True):
        node_id = order.instance.slots[k].node.node_id
        rooms[order.order_rooms[k]] += 1
        for line, count in zip(order.instance.lines, row, strict=True):
            rooms[order.unit_rooms[k]] += count * line.pieces
            for sku, each in line.parts if count else ():
                cells[order.cells[node_id, sku]] += count * each
    return cells, rooms


def present_minor(order: Whole, plan: Plan) -> int | None:
    """What a plan costs by the slots it would open now; none where there is not each of them."""
    slot_of = {
        (slot.node.node_id, slot.service, slot.work_on): k
        for k, slot in enumerate(order.instance.slots)
    }
    units: Assignment = {}
    for each in plan.fulfillments:
        k = slot_of.get((each.node_id, each.service, each.work_on))
        if k is None or order.instance.slots[k].promise != each.promise:
            return None
        taken: Counter[str] = Counter()
        for part in each.lines:
            taken[part.line_id] += part.quantity
        units[k] = {
            i: as_units(bundle, taken)
            for i, bundle in enumerate(order.instance.lines)
            if bundle.line_id in taken
        }
    return objective_minor(order.instance, units) + order.beside_minor


def whole_plan(order: Whole, slots: Ints, units: Ints) -> Plan:
    """The plan of some slots of an order's instance."""
    sent: Assignment = {
        k: {i: count for i, count in enumerate(row) if count}
        for k, row in zip(slots.tolist(), units.tolist(), strict=True)
    }
    return assemble(order.instance, sent, bound_minor=0, found_by="window", unproven="feasible")


def wanted(order: Whole) -> dict[str, int]:
    """Units of each sku that an order takes."""
    return needs_of(line for bundle in order.instance.lines for line in bundle.members)
