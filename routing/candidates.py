"""From a problem to an instance: which slots there are, and a verdict on every node without one.

A slot is (node, method, pickup node, service, start date). A node offers the first work date that counts and,
with backorders, the first work date from each supply date on. Where a capacity may not take all
that this order could ask, later work dates follow until one can, at most `LATER_DATES_MAX`.
A later start without such a reason is never cheaper, since promises only get later.
"""

from collections.abc import Iterable
from datetime import date, time, timedelta

import msgspec
import numpy as np

from routing import cost, filters, promise
from routing.dates import Dates, First
from routing.dominance import Dominated, Offers, brings, dominated, offers
from routing.instance import (
    Instance,
    OpenLimit,
    Reason,
    Slot,
    UnitLimit,
    Verdict,
    bundle_emissions_minor,
    slot_of,
)
from routing.later import LATER_DATES_MAX
from routing.limits import available_by, capacity_limits, stock_limits
from routing.problem import Capacity, Lane, Node, Problem
from routing.survey import Bools, Survey, survey, whole


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
    dates = Dates(problem.now, problem.destination_time_zone, problem.calendars, problem.nodes)
    return Outlook(surveyed, dates, offers(surveyed, dates))


def choose(
    outlook: Outlook, *, prune: bool = True, without: frozenset[str] = frozenset()
) -> Choice:
    """The instance over all nodes but those of `without` and those that others dominate.

    `prune=False` keeps dominated nodes; the optimum is the same. With goals all are kept.
    """
    surveyed, offered = outlook.surveyed, outlook.offered
    usable = np.array([node.node_id not in without for node in surveyed.nodes], np.bool_)
    # A node that another undercuts may still be nearer, cleaner or in another group.
    prune = prune and not surveyed.problem.policy.goals
    needless = dominated(surveyed, offered, usable) if prune else []
    gone = {(each.node, each.to_node) for each in needless}
    slots: list[Slot] = []
    units_max: list[tuple[int, ...]] = []
    for n in np.flatnonzero(usable).tolist():
        lanes = tuple(lane for lane in offered.kept[n] if (n, lane.to_node) not in gone)
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


def of_slots(problem: Problem, slots: Iterable[Slot]) -> Instance:
    """The instance of a problem over these slots of its nodes alone, in canonical order."""
    surveyed = survey(problem)
    number = {node.node_id: n for n, node in enumerate(surveyed.nodes)}
    kept = [
        (msgspec.structs.replace(slot, node=surveyed.nodes[number[slot.node.node_id]]), units)
        for slot in sorted(slots, key=_place)
        for units in (_units_max(surveyed, number[slot.node.node_id], slot),)
        if any(units)
    ]
    return _instance(surveyed, tuple(slot for slot, _ in kept), tuple(units for _, units in kept))


def _place(slot: Slot) -> tuple[str, date, str, str, str]:
    return (
        *(slot.node.node_id, slot.start_on, slot.method),
        *(slot.pickup_node or "", slot.service or ""),
    )


def _node_slots(outlook: Outlook, n: int, lanes: tuple[Lane, ...]) -> list[Slot]:
    """The slots of a node by start, method, pickup node and service."""
    surveyed = outlook.surveyed
    node, policy = surveyed.nodes[n], surveyed.problem.policy
    collects = bool(surveyed.can_pickup[n].any())
    kinds = len(lanes) + collects
    slots: list[Slot] = []
    if collects:
        for start in _starts(surveyed, outlook.dates, n, kinds, None):
            promised = promise.pickup_promise(start.work_on)
            slots.append(slot_of(policy, (node, None), None, start, promised, cost.NO_PARCEL))
    by_start: dict[date, list[tuple[Lane, First]]] = {}
    starts = {
        cut_off: _starts(surveyed, outlook.dates, n, kinds, cut_off)
        for cut_off in {lane.cut_off for lane in lanes}
    }
    for lane in lanes:
        for start in starts[lane.cut_off]:
            by_start.setdefault(start.start_on, []).append((lane, start))
    for offered in by_start.values():
        slots += _shipments(outlook, n, offered)
    return sorted(slots, key=lambda slot: slot.start_on)


def _shipments(outlook: Outlook, n: int, lanes: list[tuple[Lane, First]]) -> list[Slot]:
    """One slot per service, without those neither cheaper nor sooner than another to there."""
    surveyed, dates, offered = outlook.surveyed, outlook.dates, outlook.offered
    node, policy = surveyed.nodes[n], surveyed.problem.policy
    weight = sum(line.quantity * line.priced_grams for line in surveyed.lines)
    slots: list[tuple[int, Slot]] = []
    for lane, start in lanes:
        promised = dates.delivery(lane, start.ship_by)
        if promised is not None:
            steps = cost.parcel_steps(surveyed.tariffs[lane.tariff_id].brackets, weight)
            tariff = int(offered.tariff[n, offered.kept[n].index(lane)])
            ends = node, dates.receiver(lane)
            slots.append((tariff, slot_of(policy, ends, lane, start, promised, steps)))
    kept = [*range(len(slots))]
    for a, (tariff, slot) in enumerate(slots if not policy.goals else []):
        rivals = (slots[b] for b in kept if b != a)
        if any(_beats(rival, slot, offered.savings[tariff, other]) for other, rival in rivals):
            kept.remove(a)
    return [slots[k][1] for k in kept]


def _beats(rival: Slot, slot: Slot, saving_minor: int) -> bool:
    """Whether another slot of a node on the same start is no dearer at any weight and no later."""
    return bool(
        rival.pickup_node == slot.pickup_node
        and rival.promise.latest <= slot.promise.latest
        and rival.emissions_rate <= slot.emissions_rate
        and saving_minor + slot.opening_minor >= rival.opening_minor
    )


def _starts(
    surveyed: Survey, dates: Dates, n: int, kinds: int, collected: time | None
) -> list[First]:
    """The start dates the node offers, ascending; `kinds` slots may be opened on each.

    `collected` is when a carrier collects, where that has a time of its own.
    """
    node = surveyed.nodes[n]
    first = dates.start(node, collected)
    if first is None:
        return []
    wanted = {first, *_supply_dates(surveyed, n, first)}
    units = int(min(surveyed.needs.sum(), surveyed.total[n].sum()))
    found: dict[date, First] = {}
    for day in sorted(wanted):
        start_on: date | None = _worked(dates, node, day)
        for _ in range(LATER_DATES_MAX + 1):
            dispatched = dates.dispatch(node, start_on, collected) if start_on else None
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


def _units_max(surveyed: Survey, n: int, slot: Slot) -> tuple[int, ...]:
    able = _able(surveyed, n, slot)
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
    units = np.minimum(surveyed.quantities, whole(there[None], surveyed.parts)[0]) * able
    return tuple(
        most if line.promised_by is None or slot.promise.latest <= line.promised_by else 0
        for most, line in zip(units.tolist(), surveyed.lines, strict=True)
    )


def _able(surveyed: Survey, n: int, slot: Slot) -> Bools:
    """`[I]`: the lines of which the slot may give any."""
    able: Bools = surveyed.can_pickup if slot.method == "pickup" else surveyed.can_ship
    if slot.method == "ship_to_store":
        able = brings(surveyed, slot.pickup_node)
    one: Bools = able[n]
    return one


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
    takers: dict[int, list[tuple[int, int]]] = {}
    for i, takes in enumerate(surveyed.parts):
        for s, count in takes:
            takers.setdefault(s, []).append((i, count))
    shared = {s: lines for s, lines in takers.items() if len(lines) > 1}
    for indices in by_node.values():
        # A sku of one bundle in one slot is limited by that slot's units alone.
        coupled = takers if len(indices) > 1 else shared
        unit_limits.extend(stock_limits(surveyed, slots, units_max, indices, coupled))
        for limit in capacity_limits(surveyed, slots, units_max, indices):
            (unit_limits if isinstance(limit, UnitLimit) else open_limits).append(limit)  # type: ignore[arg-type]
    shipments = tuple(k for k, slot in enumerate(slots) if slot.method != "pickup")
    if problem.policy.shipments_max is not None and len(shipments) > problem.policy.shipments_max:
        open_limits.append(OpenLimit("shipments", problem.policy.shipments_max, shipments))
    return Instance(
        policy=problem.policy,
        lines=surveyed.lines,
        slots=slots,
        units_max=units_max,
        opening_minor=tuple(slot.opening_minor for slot in slots),
        unit_minor=_unit_minor(surveyed, slots),
        time_minor=_time_minor(surveyed, slots),
        unit_limits=tuple(unit_limits),
        open_limits=tuple(open_limits),
        stock=stock,
        now=problem.now,
        ordered_on=promise.local_date(problem.now, problem.destination_time_zone),
    )


def _unit_minor(surveyed: Survey, slots: tuple[Slot, ...]) -> tuple[tuple[int, ...], ...]:
    """`[slot][line]`: price of a unit; handling alone where the node has none."""
    stock = surveyed.stock
    by_node = {
        node.node_id: tuple(
            sum(
                count * cost.unit_minor(node, stock.get((node.node_id, sku)))
                for sku, count in bundle.parts
            )
            for bundle in surveyed.lines
        )
        for node in {slot.node.node_id: slot.node for slot in slots}.values()
    }
    return tuple(
        tuple(
            price + bundle_emissions_minor(slot, line) + line.pieces * _receiving_minor(slot)
            for price, line in zip(by_node[slot.node.node_id], surveyed.lines, strict=True)
        )
        if slot.emissions_rate or slot.receiver
        else by_node[slot.node.node_id]
        for slot in slots
    )


def _receiving_minor(slot: Slot) -> int:
    """Handling of a unit at the node that receives it."""
    return slot.receiver.handling_unit_minor if slot.receiver else 0


def _time_minor(surveyed: Survey, slots: tuple[Slot, ...]) -> tuple[tuple[int, ...], ...]:
    """`[slot][line]`: the price of waiting for the slot's promise, once per distinct date."""
    problem = surveyed.problem
    policy = problem.policy
    ordered_on = promise.local_date(problem.now, problem.destination_time_zone)
    by_date = {
        latest: tuple(
            cost.waiting_minor(policy, bundle, latest, ordered_on) for bundle in surveyed.lines
        )
        for latest in {slot.promise.latest for slot in slots}
    }
    return tuple(by_date[slot.promise.latest] for slot in slots)


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


def _is_asked(surveyed: Survey, node: Node) -> bool:
    """Whether some line that the node may hold can reach the customer from there."""
    stocked = {sku for _, sku in surveyed.stock}
    return any(
        line.methods != ("pickup",) or line.pickup_node == node.node_id
        for line in surveyed.problem.lines
        if (node.node_id, line.sku) in surveyed.stock or line.sku not in stocked
    )


def _reason(outlook: Outlook, n: int) -> Reason:
    surveyed, offered = outlook.surveyed, outlook.offered
    node = surveyed.nodes[n]
    if not filters.takes_node(surveyed.problem.policy, node):
        return "left_out"
    if offered.closed[n]:
        return "closed"
    sends = surveyed.can_ship[n].any() or surveyed.can_send[n].any()
    if not (sends or surveyed.can_pickup[n].any()):
        return "incapable" if _is_asked(surveyed, node) else "not_asked"
    if sends and not offered.kept[n]:
        bar = surveyed.bars.get(node.node_id)
        return "closed" if surveyed.lanes.get(node.node_id) else bar or "no_lane"
    return "full"
