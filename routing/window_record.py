"""The decision records of moves: each new plan as a decision of its own, on what others left of it.

Once all moves of a window are made, an order could have taken what is left beside all plans and
what it holds itself. On that its new plan is recorded, with the dates and the number of parcels that
it was promised, so that a reader sees what else there was, and a replay proves the plan again.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import NamedTuple

import msgspec
import numpy as np

from routing.basket import Basket, Numbers, held, limited, problem_of, seen
from routing.bundles import needs_of
from routing.destination import Destination
from routing.grid import Ints
from routing.plan import Plan
from routing.problem import Capacity
from routing.record import sight, write
from routing.solve import solve
from routing.terrain import Terrain
from routing.window import Move, Rearranged, Waiting, Window
from routing.window_dates import dated, leaves_from
from routing.window_ground import (
    Ground,
    Room,
    ground,
    held_at,
    loads,
    prices_of,
    sites,
    surcharges_of,
)
from routing.window_search import leaning
from routing.window_whole import bound_lines, bound_policy, offered

__all__ = ["Recorded", "recorded"]

PROOF_MS = 250
"""Time to prove a new plan on what other orders left; without a proof it is recorded as unproven."""


class Recorded(NamedTuple):
    """A move, and the record that explains its new plan."""

    move: Move
    record: bytes
    served: Destination
    """The master data that it refers to."""


def recorded(window: Window, found: Rearranged) -> Iterator[Recorded]:
    """The records of all moves of a window, one after another, each worked out when it is asked for.

    A new plan is proven where nothing cheaper was left for its order: `optimal` in its record.
    """
    window = leaning(window)
    at, orders = ground(window), {each.order_id: each for each in window.orders}
    plans = {each.order_id: each.plan for each in window.orders}
    plans |= {each.order_id: each.plan for each in found.moves}
    stock, space = _left(at, orders, plans)
    terrains = {each.order_id: each.terrain for each in dated(window, at).orders}
    for move in found.moves:
        waiting = orders[move.order_id]
        basket = _basket(at, waiting, move.plan, stock, space)
        shut = _too_early(waiting, terrains[move.order_id], basket.capacity)
        basket = msgspec.structs.replace(basket, capacity=shut)
        there = limited(waiting.terrain, basket, seen(waiting.terrain, basket))
        served = waiting.terrain.destination
        problem = problem_of(served, there, basket.now, basket.lines, basket.policy)
        plan = _proven(move.plan, solve(problem))
        saw = sight(there, len(served.nodes))
        yield Recorded(move, write(waiting.terrain, basket, basket.policy, saw, plan), served)


def _left(
    at: Ground, orders: Mapping[str, Waiting], plans: Mapping[str, Plan]
) -> tuple[Counter[tuple[int, str]], Counter[Room]]:
    """What is left of stock, by node number and sku, and of capacity once all plans are made."""
    stock: Counter[tuple[int, str]] = Counter()
    for sku, (numbers, units) in at.stock.items():
        for number, count in zip(numbers.tolist(), units.tolist(), strict=True):
            stock[number, sku] = count
    space: Counter[Room] = Counter()
    for room, n in at.rooms.items():
        space[room] = int(at.space[n])
    for order_id, plan in plans.items():
        taken, work = _taken(at, orders[order_id], plan)
        stock.subtract(taken)
        space.subtract({room: count for room, count in work.items() if room in at.rooms})
    return stock, space


def _taken(
    at: Ground, waiting: Waiting, plan: Plan
) -> tuple[Counter[tuple[int, str]], Counter[Room]]:
    """What a plan takes of stock on hand and of capacity."""
    numbers, terrain = sites(at, waiting.terrain).numbers, waiting.terrain
    work: Counter[Room] = Counter()
    for each in plan.fulfillments:
        for unit, count in loads(each):
            work[each.node_id, each.work_on, unit] += count
    return held_at(plan, terrain, numbers), work


def _basket(
    at: Ground,
    waiting: Waiting,
    plan: Plan,
    stock: Counter[tuple[int, str]],
    space: Counter[Room],
) -> Basket:
    """What an order asks, and what was left for it."""
    lines, policy = bound_lines(waiting), bound_policy(waiting)
    own, work = _taken(at, waiting, plan)
    there = {
        sku: (numbers, np.array([stock[n, sku] + own[n, sku] for n in numbers.tolist()], np.int64))
        for sku in needs_of(lines)
        for numbers in (at.stock[sku][0],)
    }
    return Basket(
        now=at.window.now,
        lines=lines,
        policy=msgspec.structs.replace(policy, time_limit_ms=PROOF_MS),
        held=offered(at, waiting, held(lines, there, prices_of(at, waiting))),
        capacity=_capacity(at, waiting, plan, space, work),
        surcharges=surcharges_of(at, waiting),
        stale=_stale(at, waiting, there),
    )


def _stale(
    at: Ground, waiting: Waiting, there: Mapping[str, tuple[Numbers, Ints]]
) -> dict[str, int]:
    """The ages of feeds that were too old, of nodes with anything of an order."""
    if not waiting.stale:
        return {}
    having = {n for numbers, units in there.values() for n in numbers[units > 0].tolist()}
    rows, numbers = waiting.terrain.row_of, sites(at, waiting.terrain).numbers
    return {
        node_id: age_s
        for node_id, age_s in waiting.stale.items()
        if node_id in rows and int(numbers[rows[node_id]]) in having
    }


def _capacity(
    at: Ground, waiting: Waiting, plan: Plan, space: Counter[Room], work: Counter[Room]
) -> dict[str, tuple[Capacity, ...]]:
    """What nodes can still take on dates that keep the promise, where that may be too little."""
    units = sum(needs_of(waiting.lines).values())
    latest = max(each.promise.latest for each in waiting.plan.fulfillments)
    found: dict[str, list[Capacity]] = {}
    for room in at.rooms:
        node_id, work_on, unit = room
        remaining = space[room] + work[room]
        if work_on <= latest and remaining < max(units, len(plan.fulfillments)):
            limit = Capacity(work_on=work_on, remaining=max(0, remaining), unit=unit)
            found.setdefault(node_id, []).append(limit)
    return {node_id: tuple(limits) for node_id, limits in found.items()}


def _too_early(
    waiting: Waiting, terrain: Terrain, capacity: Mapping[str, tuple[Capacity, ...]]
) -> dict[str, tuple[Capacity, ...]]:
    """Capacities without any on dates of which all services leave before the order is released."""
    leaves, last = leaves_from(waiting), dict[tuple[str, date], datetime]()
    for lane, first in zip(terrain.lanes, terrain.departures, strict=True):
        at = lane.node_id, first.work_on
        last[at] = max(last.get(at, first.ship_by), first.ship_by)
    found = dict(capacity)
    for (node_id, work_on), ship_by in sorted(last.items()):
        if leaves is not None and ship_by < leaves:
            others = tuple(each for each in found.get(node_id, ()) if each.work_on != work_on)
            found[node_id] = (*others, Capacity(work_on=work_on, remaining=0))
    return found


def _proven(plan: Plan, alone: Plan) -> Plan:
    """A plan with what was proven of the order's plans: nothing left for it is cheaper, or so much."""
    bound = min(alone.bound_minor, plan.objective_minor)
    return msgspec.structs.replace(
        plan,
        bound_minor=bound,
        status="optimal" if bound == plan.objective_minor else "feasible",
    )
