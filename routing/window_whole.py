"""Orders that cheapest parcels do not say all of, asked of the optimizer as a whole at any prices.

Kits, lines that go together, a sku on two lines, few nodes for a line, and long orders: each has
its own instance of `candidates`, in which the prices of stock and capacity are worth and surcharge.
"""

import time
from collections import Counter
from collections.abc import Mapping

import msgspec
import numpy as np

from routing.assemble import assemble, objective_minor
from routing.basket import Basket, Held, held, problem_of, seen
from routing.bundles import as_units, needs_of
from routing.candidates import candidates
from routing.grid import Ints
from routing.instance import Assignment, Instance, Slot, restrict
from routing.plan import Plan
from routing.problem import CapacityUnit, Line, Policy, Stock
from routing.solve import parts_of, solve_instance
from routing.window import Waiting
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
    order_rooms: Mapping[str, int]
    """By node id: the capacity of its work date that counts orders, else the last of all."""
    unit_rooms: Mapping[str, int]
    beside_minor: int
    """What every plan costs beyond its own price: another part of the order is sent already."""

    @property
    def touched(self) -> tuple[Ints, Ints]:
        """The cells and the capacities that it could take of."""
        rooms = {*self.order_rooms.values(), *self.unit_rooms.values()}
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
    """An order with all it could do on its nodes' first dates; none where that is nothing."""
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
    instance = candidates(problem, prune=False)
    first = dict(zip(terrain.row_of, terrain.dispatches, strict=True))
    kept = tuple(k for k, slot in enumerate(instance.slots) if _starts_first(first, slot))
    if not kept:
        return None
    instance = restrict(instance, kept)
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


def _rooms(at: Ground, instance: Instance, unit: CapacityUnit) -> dict[str, int]:
    """By node id: the capacity of its work date, the last of all where it has none."""
    return {
        slot.node.node_id: at.rooms.get((slot.node.node_id, slot.work_on, unit), len(at.rooms))
        for slot in instance.slots
    }


def _starts_first(first: Mapping[str, object], slot: Slot) -> bool:
    """Whether a slot takes of the capacity of its node's first work date, the one looked at."""
    found = first[slot.node.node_id]
    return getattr(found, "work_on", None) == slot.work_on


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
    """The instance with prices of stock as worth, and of capacity as worth and surcharge."""
    instance = order.instance
    stock: dict[Cell, Stock] = {}
    dearer: dict[Cell, int] = {}
    for (node_id, sku), held_there in instance.stock.items():
        cell = order.cells.get((node_id, sku))
        minor = 0 if cell is None else int(worth[cell] + rooms[order.unit_rooms[node_id]])
        stock[node_id, sku] = held_there
        if minor:
            dearer[node_id, sku] = minor
            stock[node_id, sku] = msgspec.structs.replace(
                held_there, worth_minor=held_there.worth_minor + minor
            )
    opening = {node_id: int(rooms[room]) for node_id, room in order.order_rooms.items()}
    return msgspec.structs.replace(
        instance,
        slots=tuple(_opened(slot, opening[slot.node.node_id]) for slot in instance.slots),
        stock=stock,
        opening_minor=tuple(
            minor + opening[slot.node.node_id]
            for slot, minor in zip(instance.slots, instance.opening_minor, strict=True)
        ),
        unit_minor=tuple(
            tuple(
                minor
                + sum(count * dearer.get((slot.node.node_id, sku), 0) for sku, count in line.parts)
                for line, minor in zip(instance.lines, row, strict=True)
            )
            for slot, row in zip(instance.slots, instance.unit_minor, strict=True)
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


def _opened(slot: Slot, minor: int) -> Slot:
    if not minor:
        return slot
    node = msgspec.structs.replace(slot.node, surcharge_minor=slot.node.surcharge_minor + minor)
    return msgspec.structs.replace(slot, node=node)


def places(order: Whole, answer: Answer) -> tuple[Counter[int], Counter[int]]:
    """What a plan takes of cells and of capacities."""
    cells, rooms = Counter[int](), Counter[int]()
    for k, row in zip(answer.slots.tolist(), answer.units.tolist(), strict=True):
        node_id = order.instance.slots[k].node.node_id
        rooms[order.order_rooms[node_id]] += 1
        for line, count in zip(order.instance.lines, row, strict=True):
            rooms[order.unit_rooms[node_id]] += count * line.pieces
            for sku, each in line.parts if count else ():
                cells[order.cells[node_id, sku]] += count * each
    return cells, rooms


def present_minor(order: Whole, plan: Plan) -> int | None:
    """What a plan costs by the slots it would open now; none where there is not each of them."""
    slot_of = {(slot.node.node_id, slot.service): k for k, slot in enumerate(order.instance.slots)}
    units: Assignment = {}
    for each in plan.fulfillments:
        k = slot_of.get((each.node_id, each.service))
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
