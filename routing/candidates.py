"""From a problem to an instance: which slots there are, and a verdict on every node without one.

A slot is (node, method, service, start date). A node offers the first work date that counts and,
with backorders, the first work date from each supply date on. Where a capacity may not take all
that this order could ask, later work dates follow until one can, at most `LATER_DATES_MAX`.
A later start without such a reason is never cheaper, since promises only get later.
"""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta

import msgspec
import numpy as np

from routing import cost, promise
from routing.dates import Dates, First
from routing.dominance import Dominated, Offers, dominated, offers
from routing.instance import Instance, OpenLimit, Reason, Slot, UnitLimit, Verdict
from routing.later import LATER_DATES_MAX
from routing.plan import Promise
from routing.problem import Capacity, Lane, Method, Node, Problem, Stock
from routing.survey import Survey, survey


class Outlook(msgspec.Struct, frozen=True):
    """What depends on the problem alone, before any node is left out."""

    surveyed: Survey
    dates: Dates
    offered: Offers


class Choice(msgspec.Struct, frozen=True):
    """The instance to solve and the nodes that another node makes needless."""

    instance: Instance
    needless: tuple[Dominated, ...]


def look(problem: Problem) -> Outlook:
    """Read a problem: stock, eligibility, first dates and tariffs of every node.

    Raises `ProblemError` for a reference to a calendar or tariff that is not given.
    """
    surveyed = survey(problem)
    dates = Dates(problem.now, problem.destination_time_zone, problem.calendars)
    return Outlook(surveyed, dates, offers(surveyed, dates))


def choose(
    outlook: Outlook, *, prune: bool = True, without: frozenset[str] = frozenset()
) -> Choice:
    """The instance over all nodes but those of `without` and those that others dominate.

    `prune=False` keeps dominated nodes; the optimum is the same.
    """
    surveyed, offered = outlook.surveyed, outlook.offered
    usable = np.array([node.node_id not in without for node in surveyed.nodes], np.bool_)
    needless = dominated(surveyed, offered, usable) if prune else []
    gone = {each.node for each in needless}
    slots: list[Slot] = []
    units_max: list[tuple[int, ...]] = []
    for n in np.flatnonzero(usable).tolist():
        lanes = () if n in gone else offered.kept[n]
        if lanes or surveyed.can_pickup[n].any():
            for slot in _node_slots(outlook, n, lanes):
                units = _units_max(surveyed, n, slot)
                if any(units):
                    slots.append(slot)
                    units_max.append(units)
    return Choice(_instance(surveyed, tuple(slots), tuple(units_max)), tuple(needless))


def candidates(problem: Problem, *, prune: bool = True) -> Instance:
    """The instance of a problem. Raises `ProblemError` as `look` does."""
    return choose(look(problem), prune=prune).instance


def _node_slots(outlook: Outlook, n: int, lanes: tuple[Lane, ...]) -> Iterator[Slot]:
    surveyed = outlook.surveyed
    node = surveyed.nodes[n]
    collects = bool(surveyed.can_pickup[n].any())
    for start in _starts(surveyed, outlook.dates, n, len(lanes) + collects):
        if collects:
            yield _slot(node, "pickup", start, promise.pickup_promise(start.work_on))
        yield from _shipments(outlook, n, lanes, start)


def _slot(node: Node, method: Method, start: First, promised: Promise) -> Slot:
    return Slot(
        node=node,
        method=method,
        service=None,
        start_on=start.start_on,
        work_on=start.work_on,
        ship_by=start.ship_by,
        promise=promised,
        steps=cost.NO_PARCEL,
    )


def _shipments(outlook: Outlook, n: int, lanes: tuple[Lane, ...], start: First) -> list[Slot]:
    """One slot per service, without services that are neither cheaper nor sooner than another."""
    surveyed, dates, offered = outlook.surveyed, outlook.dates, outlook.offered
    weight = sum(line.quantity * line.weight_grams for line in surveyed.lines)
    slots: list[tuple[int, Slot]] = []
    for place, lane in enumerate(lanes):
        promised = dates.delivery(lane, start.ship_by)
        if promised is not None:
            steps = cost.parcel_steps(surveyed.tariffs[lane.tariff_id].brackets, weight)
            slot = _slot(surveyed.nodes[n], "ship", start, promised)
            slot = msgspec.structs.replace(slot, service=lane.service, steps=steps)
            slots.append((int(offered.tariff[n, place]), slot))
    kept = [*range(len(slots))]
    for a, (tariff, slot) in enumerate(slots):
        rivals = (slots[b] for b in kept if b != a)
        if any(
            offered.savings[tariff, other] >= 0 and rival.promise.latest <= slot.promise.latest
            for other, rival in rivals
        ):
            kept.remove(a)
    return [slots[k][1] for k in kept]


def _starts(surveyed: Survey, dates: Dates, n: int, kinds: int) -> list[First]:
    """The start dates the node offers, ascending; `kinds` slots may be opened on each."""
    node = surveyed.nodes[n]
    first = dates.start(node)
    if first is None:
        return []
    wanted = {first, *_supply_dates(surveyed, n, first)}
    units = int(min(surveyed.needs.sum(), surveyed.total[n].sum()))
    found: dict[date, First] = {}
    for day in sorted(wanted):
        start_on: date | None = _worked(dates, node, day)
        for _ in range(LATER_DATES_MAX + 1):
            dispatched = dates.dispatch(node, start_on) if start_on else None
            if start_on is None or dispatched is None:
                break
            work_on, ship_by = dispatched
            remaining = [_room(limit, kinds, units) for limit in _capacity(node, work_on)]
            if all(room != "none" for room in remaining):
                found[start_on] = First(start_on, work_on, ship_by)
            if all(room == "ample" for room in remaining):
                break
            start_on = _worked(dates, node, start_on + timedelta(days=1))
    return [found[day] for day in sorted(found)]


def _worked(dates: Dates, node: Node, day: date) -> date | None:
    try:
        return promise.worked_date(dates.calendar(node), day, time_zone=node.time_zone)
    except promise.NeverError:
        return None


def _supply_dates(surveyed: Survey, n: int, first: date) -> Iterable[date]:
    if not surveyed.problem.policy.backorder:
        return ()
    node_id = surveyed.nodes[n].node_id
    held = (surveyed.stock.get((node_id, sku)) for sku in surveyed.skus)
    return {
        supply.available_on
        for stock in held
        if stock is not None
        for supply in stock.supply
        if supply.available_on > first
    }


def _capacity(node: Node, work_on: date) -> list[Capacity]:
    return [limit for limit in node.capacity if limit.work_on == work_on]


def _room(limit: Capacity, kinds: int, units: int) -> str:
    """Whether a capacity takes `none`, `some` or all (`ample`) this order could ask of it."""
    asked = kinds if limit.unit == "orders" else units
    if limit.remaining <= 0:
        return "none"
    return "ample" if limit.remaining >= asked else "some"


def available_by(stock: Stock | None, day: date, *, backorder: bool) -> int:
    """Units that work started on `day` can take: on hand and, with backorders, supply until then."""
    if stock is None:
        return 0
    expected = sum(s.quantity for s in stock.supply if s.available_on <= day) if backorder else 0
    return max(0, stock.available) + expected


def _units_max(surveyed: Survey, n: int, slot: Slot) -> tuple[int, ...]:
    able = surveyed.can_pickup[n] if slot.method == "pickup" else surveyed.can_ship[n]
    if surveyed.problem.policy.backorder:
        node_id = slot.node.node_id
        there = np.array(
            [
                available_by(surveyed.stock.get((node_id, sku)), slot.start_on, backorder=True)
                for sku in surveyed.skus
            ],
            np.int64,
        )
    else:
        there = surveyed.on_hand[n]
    units = np.minimum(surveyed.quantities, there[surveyed.sku_of]) * able
    return tuple(units.tolist())


def _instance(
    surveyed: Survey, slots: tuple[Slot, ...], units_max: tuple[tuple[int, ...], ...]
) -> Instance:
    problem = surveyed.problem
    kept = {slot.node.node_id for slot in slots}
    stock = {key: held for key, held in surveyed.stock.items() if key[0] in kept}
    by_node: dict[str, list[int]] = {}
    for k, slot in enumerate(slots):
        by_node.setdefault(slot.node.node_id, []).append(k)
    unit_limits: list[UnitLimit] = []
    open_limits: list[OpenLimit] = []
    lines_of: dict[str, list[int]] = {}
    for i, line in enumerate(surveyed.lines):
        lines_of.setdefault(line.sku, []).append(i)
    shared = {sku: lines for sku, lines in lines_of.items() if len(lines) > 1}
    for indices in by_node.values():
        # A sku of one line in one slot is limited by that slot's units alone.
        coupled = lines_of if len(indices) > 1 else shared
        unit_limits.extend(_stock_limits(surveyed, slots, units_max, indices, coupled))
        for limit in _capacity_limits(slots, units_max, indices):
            (unit_limits if isinstance(limit, UnitLimit) else open_limits).append(limit)  # type: ignore[arg-type]
    shipments = tuple(k for k, slot in enumerate(slots) if slot.method == "ship")
    if problem.policy.shipments_max is not None and len(shipments) > problem.policy.shipments_max:
        open_limits.append(OpenLimit("shipments", problem.policy.shipments_max, shipments))
    return Instance(
        policy=problem.policy,
        lines=surveyed.lines,
        slots=slots,
        units_max=units_max,
        opening_minor=tuple(cost.opening_minor(slot.node) for slot in slots),
        unit_minor=_unit_minor(surveyed, slots),
        time_minor=_time_minor(surveyed, slots),
        unit_limits=tuple(unit_limits),
        open_limits=tuple(open_limits),
        stock=stock,
        now=problem.now,
    )


def _unit_minor(surveyed: Survey, slots: tuple[Slot, ...]) -> tuple[tuple[int, ...], ...]:
    """`[slot][line]`: price of a unit; handling alone where the node has none."""
    none = Stock(node_id="", sku="", available=0)
    by_node = {
        slot.node.node_id: tuple(
            cost.unit_minor(slot.node, surveyed.stock.get((slot.node.node_id, line.sku), none))
            for line in surveyed.lines
        )
        for slot in slots
    }
    return tuple(by_node[slot.node.node_id] for slot in slots)


def _time_minor(surveyed: Survey, slots: tuple[Slot, ...]) -> tuple[tuple[int, ...], ...]:
    """`[slot][line]`: the price of waiting for the slot's promise, once per distinct date."""
    problem = surveyed.problem
    policy = problem.policy
    ordered_on = promise.local_date(problem.now, problem.destination_time_zone)
    by_date = {
        latest: tuple(
            cost.lateness_minor(policy, line, latest) + cost.delay_minor(policy, latest, ordered_on)
            for line in surveyed.lines
        )
        for latest in {slot.promise.latest for slot in slots}
    }
    return tuple(by_date[slot.promise.latest] for slot in slots)


def _stock_limits(
    surveyed: Survey,
    slots: tuple[Slot, ...],
    units_max: tuple[tuple[int, ...], ...],
    indices: list[int],
    lines_of: dict[str, list[int]],
) -> Iterator[UnitLimit]:
    """Units of a sku in all slots that start by a date are there by that date.

    Stock by date only grows, so these prefix limits are enough for every unit to have a source.
    """
    backorder = surveyed.problem.policy.backorder
    for sku, lines in lines_of.items():
        stock = surveyed.stock.get((slots[indices[0]].node.node_id, sku))
        needed = sum(surveyed.lines[i].quantity for i in lines)
        for day in sorted({slots[k].start_on for k in indices}):
            there = available_by(stock, day, backorder=backorder)
            pairs = tuple(
                (k, i)
                for k in indices
                if slots[k].start_on <= day
                for i in lines
                if units_max[k][i]
            )
            if there < needed and len(pairs) > 1:
                yield UnitLimit("stock", there, pairs)


def _capacity_limits(
    slots: tuple[Slot, ...], units_max: tuple[tuple[int, ...], ...], indices: list[int]
) -> Iterator[UnitLimit | OpenLimit]:
    """Slots of one node and work date share its capacity."""
    node = slots[indices[0]].node
    for limit in node.capacity:
        shared = tuple(k for k in indices if slots[k].work_on == limit.work_on)
        if limit.unit == "orders":
            if len(shared) > limit.remaining:
                yield OpenLimit("capacity", limit.remaining, shared)
            continue
        pairs = tuple((k, i) for k in shared for i, most in enumerate(units_max[k]) if most)
        if sum(units_max[k][i] for k, i in pairs) > limit.remaining:
            yield UnitLimit("capacity", limit.remaining, pairs)


def verdicts(outlook: Outlook, choice: Choice) -> tuple[Verdict, ...]:
    """Nodes without a slot, grouped by the first reason that applies."""
    surveyed = outlook.surveyed
    kept = {slot.node.node_id for slot in choice.instance.slots}
    replaced = {each.node: each for each in choice.needless}
    groups: dict[tuple[Reason, str | None], list[tuple[str, int]]] = {}
    for n, node in enumerate(surveyed.nodes):
        if node.node_id in kept:
            continue
        by = replaced.get(n)
        if by is None:
            groups.setdefault((_reason(outlook, n), None), []).append((node.node_id, 0))
        else:
            key: tuple[Reason, str | None] = "dominated", surveyed.nodes[by.by].node_id
            groups.setdefault(key, []).append((node.node_id, by.saving_minor))
    if surveyed.no_stock:
        groups["no_stock", None] = [(node_id, 0) for node_id in surveyed.no_stock]
    return tuple(
        Verdict(
            reason,
            tuple(node_id for node_id, _ in members),
            by=name,
            minor=tuple(minor for _, minor in members) if reason == "dominated" else (),
        )
        for (reason, name), members in sorted(groups.items(), key=str)
    )


def _reason(outlook: Outlook, n: int) -> Reason:
    surveyed, offered = outlook.surveyed, outlook.offered
    node = surveyed.nodes[n]
    if offered.closed[n]:
        return "closed"
    if not (surveyed.can_ship[n].any() or surveyed.can_pickup[n].any()):
        ships = any("ship" in line.methods for line in surveyed.lines)
        return "incapable" if ships else "not_asked"
    if surveyed.can_ship[n].any() and not offered.kept[n]:
        return "closed" if surveyed.lanes.get(node.node_id) else "no_lane"
    return "full"
