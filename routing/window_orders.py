"""What each order of a window has, and could do instead."""

from collections import Counter

import msgspec
import numpy as np

from routing.basket import Basket, held, seen
from routing.billed import Proof, billed, plan_of
from routing.bundles import parts_of, plain
from routing.gather import Gathered, gather
from routing.grid import Ints
from routing.plan import Plan
from routing.window import Waiting
from routing.window_dates import leaves_from
from routing.window_ground import (
    Column,
    Ground,
    capped,
    held_at,
    loads,
    prices_of,
    sites,
    surcharges_of,
)
from routing.window_pricing import SUMS_MAX, Answer, Choices, priced, sums
from routing.window_whole import Whole, answered, places, present_minor, whole, whole_plan

__all__ = ["Order", "asked", "column_of", "planned"]

_NONE = np.zeros(0, np.int64)


class Order(msgspec.Struct, frozen=True, eq=False):
    """An order of a window with its choices."""

    waiting: Waiting
    present: Column
    choices: Choices | None
    """None where cheapest parcels do not say all of it, or it is left as it is."""
    kept: Ints
    """The slots of `gather` that the choices have."""
    first_minor: int
    """What choices charge too much: the split of a first fulfillment."""
    no_room: int
    """The capacity that stands for none."""
    days: Ints = _NONE
    """The work date of each slot of the choices, as an ordinal."""
    whole: Whole | None = None
    """The order as the optimizer is asked of it; none where it has choices or is left as it is."""

    @property
    def is_kept(self) -> bool:
        """Whether it is left as it is."""
        return self.choices is None and self.whole is None

    def ask(self, worth: Ints, rooms: Ints) -> Answer:
        """The cheapest plan at these prices. Raises `ValueError` for an order that is kept."""
        if self.choices is not None:
            return priced(self.choices, worth, rooms)
        if self.whole is None:
            raise ValueError(f"order {self.waiting.order_id} has no choices")
        return answered(self.whole, worth, rooms)

    def touched(self) -> tuple[Ints, Ints]:
        """The cells and the capacities that it could take of."""
        if self.whole is not None:
            return self.whole.touched
        if self.choices is None:
            return _NONE, _NONE
        rooms = np.concatenate([self.choices.order_rooms, self.choices.unit_rooms])
        return np.unique(self.choices.cells[self.choices.most > 0]), np.unique(rooms)


def asked(at: Ground, waiting: Waiting, *, wholes: bool = True) -> Order:
    """An order with everything it could do without making its promise worse.

    Without `wholes` one that is not ordinary is left as it is.
    """
    split = 0 if waiting.beside else waiting.policy.split_minor
    if not _same_units(waiting) or waiting.plan.shortfalls or waiting.policy.goals:
        return Order(waiting, _present(at, waiting, None), None, _NONE, split, len(at.rooms))
    gathered = None
    if _is_ordinary(waiting):
        gathered = _gathered(at, waiting)
        kept, choices = _choices(at, waiting, gathered)
        if len(kept) and sums(choices) <= SUMS_MAX:
            present = _present(at, waiting, _again(waiting, gathered))
            days = waiting.terrain.rows.lane_ready[gathered.slots.lanes[kept]]
            return Order(waiting, present, choices, kept, split, len(at.rooms), days)
    found = whole(at, waiting) if wholes else None
    minor = present_minor(found, waiting.plan) if found else None
    present = _present(at, waiting, minor)
    return Order(waiting, present, None, _NONE, 0, len(at.rooms), whole=found)


def _is_ordinary(waiting: Waiting) -> bool:
    """Whether cheapest parcels of each number of units say all of an order."""
    lines = waiting.lines
    each_its_sku = len({line.sku for line in lines}) == len(lines) and all(map(plain, lines))
    return each_its_sku and waiting.policy.nodes_per_line_max is None


def _same_units(waiting: Waiting) -> bool:
    """Whether a plan gives exactly what is to be sent, of kits all components."""
    sent: Counter[tuple[str, str]] = Counter()
    for each in waiting.plan.fulfillments:
        for line in each.lines:
            sent[line.line_id, line.sku] += line.quantity
    return sent == {
        (line.line_id, sku): count * line.quantity
        for line in waiting.lines
        for sku, count in parts_of(line)
    }


def _gathered(at: Ground, waiting: Waiting) -> Gathered:
    """Every slot that could send any of an order."""
    lines = tuple(
        msgspec.structs.replace(line, methods=("ship",), pickup_node=None) for line in waiting.lines
    )
    basket = Basket(
        now=at.window.now,
        lines=lines,
        policy=waiting.policy,
        held=capped(at, waiting, held(lines, at.stock, prices_of(at, waiting))),
        surcharges=surcharges_of(at, waiting),
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
    leaves = leaves_from(waiting)
    if leaves is not None:
        most[site.leaves[slots.lanes] < leaves.timestamp()] = 0
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
        there=grid.units_max[kept],
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


def _present(at: Ground, waiting: Waiting, minor: int | None) -> Column:
    """The plan that an order has: at today's prices where that is known, else as it was told."""
    terrain, cells, rooms = waiting.terrain, Counter[int](), Counter[int]()
    own = held_at(waiting.plan, terrain, sites(at, terrain).numbers)
    for (number, sku), count in own.items():
        cells[at.starts[sku] + int(np.searchsorted(at.stock[sku][0], number))] += count
    for each in waiting.plan.fulfillments:
        for unit, taken in loads(each):
            room = at.rooms.get((each.node_id, each.work_on, unit))
            if room is not None:
                rooms[room] += taken
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
        (int(row), terrain.lanes[lane].service, terrain.departures[lane].work_on): k
        for k, (row, lane) in enumerate(zip(slots.rows.tolist(), slots.lanes.tolist(), strict=True))
    }
    units = np.zeros_like(gathered.grid.units_max)
    line_of = {line.line_id: i for i, line in enumerate(gathered.lines)}
    for each in waiting.plan.fulfillments:
        row = terrain.row_of.get(each.node_id, -1)
        k = slot_of.get((row, each.service or "", each.work_on))
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
    surcharges, prices = surcharges_of(at, waiting), prices_of(at, waiting)
    for each in waiting.plan.fulfillments:
        total += surcharges.get(each.node_id, 0)
        row = waiting.terrain.row_of.get(each.node_id)
        for line in each.lines:
            if row is not None and line.source == "on_hand" and line.sku in prices:
                place = np.searchsorted(at.stock[line.sku][0], numbers[row])
                total += line.quantity * sum(int(each[place]) for each in prices[line.sku])
    return total


def column_of(order: Order, answer: Answer) -> Column:
    """The column of a plan that an order was asked for."""
    if order.whole is not None:
        taken, work = places(order.whole, answer)
        work.pop(order.no_room, None)
        return Column(answer.minor, _sorted(taken), _sorted(work), answer.slots, answer.units)
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
    if order.whole is not None:
        return whole_plan(order.whole, column.slots, column.units)
    waiting = order.waiting
    gathered = _gathered(at, waiting)
    units = np.zeros_like(gathered.grid.units_max)
    units[order.kept[column.slots]] = column.units
    figures = billed(waiting.terrain, gathered, units)
    # What its own order could cost at least was asked at prices that others pay too.
    proof = Proof(0, "window", "feasible")
    return plan_of(waiting.terrain, waiting.policy, gathered.lines, figures, proof)
