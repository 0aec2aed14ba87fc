"""From a basket on a prepared destination to its plan and the record of it."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from routing.assemble import assemble, objective_minor
from routing.basket import Basket, Seen, limited, problem_of, seen
from routing.cost import NO_PARCEL, parcel_steps
from routing.gather import Gathered, gather
from routing.grid import Ints, assignment, taken
from routing.instance import Instance, Slot
from routing.later import with_room
from routing.model import improve
from routing.partition import partition
from routing.plan import Plan, Status
from routing.problem import ProblemError, Stock
from routing.promise import pickup_promise
from routing.record import write
from routing.search import search
from routing.solve import model_ms, search_until, solve
from routing.terrain import Terrain
from routing.untangle import within_nodes
from routing.validate import validate_lines

__all__ = ["Planned", "plan_basket"]


class Planned(NamedTuple):
    """A plan and the record that explains it."""

    plan: Plan
    record: bytes
    """See `routing.record`: `expand` tells the rest on reading."""


class Finding(NamedTuple):
    """A plan on a grid and its proof."""

    units: Ints
    """`[K, I]`"""
    objective_minor: int
    bound_minor: int
    found_by: str
    unproven: Status = "greedy"
    """The status of the plan where the bound does not meet the objective."""


def plan_basket(terrain: Terrain, basket: Basket, time_limit_ms: int) -> Planned:
    """The cheapest plan for a basket, proven so when its status is `optimal`, with its record.

    Always answers within about `time_limit_ms`. Raises `ProblemError` for an order that contradicts
    itself, and for one placed when the terrain's dates do not hold.
    """
    deadline = time.perf_counter() + time_limit_ms / 1000
    if not terrain.covers(basket.now):
        raise ProblemError(
            f"the order is of {basket.now}, the terrain holds from {terrain.from_at} until"
            f" {terrain.until_at}; prepare it anew"
        )
    policy = msgspec.structs.replace(basket.policy, time_limit_ms=time_limit_ms)
    validate_lines(basket.lines, policy)
    there = seen(terrain, basket)
    found = (
        _at_once(terrain, basket, there, deadline) if _ordinary(terrain, basket, there) else None
    )
    if found is not None:
        plan, there = found
    else:
        left_ms = max(0, round((deadline - time.perf_counter()) * 1000))
        hurried = msgspec.structs.replace(policy, time_limit_ms=left_ms)
        there = limited(terrain, basket, there)
        plan = solve(problem_of(terrain.destination, there, basket.now, basket.lines, hurried))
    return Planned(plan, write(terrain, basket, policy, there, plan))


def _ordinary(terrain: Terrain, basket: Basket, there: Seen) -> bool:
    """Whether a grid says all there is to say of the basket, capacities aside."""
    return (
        not there.supply
        and len(there.skus) == len(basket.lines)
        and all(name in terrain.abilities for line in basket.lines for name in line.requires)
    )


def _at_once(
    terrain: Terrain, basket: Basket, there: Seen, deadline: float
) -> tuple[Plan, Seen] | None:
    """The plan of an ordinary basket, none where limits that are left out here speak against it.

    With it what was seen, and of which nodes capacities were looked at.
    """
    shifted = with_room(terrain, basket, there)
    if shifted is None:
        return None
    terrain, there = shifted
    gathered = gather(terrain, there, basket.lines, basket.policy)
    parted = partition(gathered.grid)
    if parted is not None:
        found = Finding(
            parted.units, parted.objective_minor, parted.objective_minor, parted.found_by
        )
    else:
        found = _searched(terrain, basket, gathered, deadline)
    if not _allowed(terrain, basket, gathered, found.units):
        return None
    return _assembled(terrain, basket, gathered, found), there


def _searched(terrain: Terrain, basket: Basket, gathered: Gathered, deadline: float) -> Finding:
    """What the search finds and, in time that it leaves, the exact model on the slots left over."""
    grid = gathered.grid
    found = search(grid, search_until(deadline))
    step = "search" if found.improved else "greedy"
    first = Finding(found.units, found.objective_minor, found.bound_minor, step)
    slots = found.slots if found.bound_minor < found.objective_minor else ()
    left_ms = (deadline - time.perf_counter()) * 1000
    if not slots or left_ms < model_ms(grid.units_max[[*slots]]):
        return first
    instance = _instance(terrain, basket, gathered, slots)
    answer = improve(instance, found.objective_minor, left_ms)
    bound_minor = max(found.bound_minor, answer.bound_minor)
    if answer.units is None:
        return first._replace(bound_minor=bound_minor, unproven="feasible")
    units = np.zeros_like(grid.units_max)
    units[[*slots]] = taken(answer.units, len(slots), len(gathered.lines))
    objective = objective_minor(instance, answer.units)
    return Finding(units, objective, bound_minor, "cp-sat", "feasible")


def _allowed(terrain: Terrain, basket: Basket, gathered: Gathered, units: Ints) -> bool:
    """Whether stock, capacities and the most shipments allow a plan found without regard to them.

    If they do, no plan is cheaper: without them there are only more.
    """
    slots, grid = gathered.slots, gathered.grid
    if not within_nodes(units, grid.units_max, grid.nodes):
        return False
    opened = np.flatnonzero(units.any(axis=1)).tolist()
    most = basket.policy.shipments_max
    if most is not None and sum(int(slots.lanes[k]) >= 0 for k in opened) > most:
        return False
    return not basket.capacity or all(
        _has_room(terrain, basket, int(slots.rows[k]), units[slots.rows == slots.rows[k]])
        for k in opened
    )


def _has_room(terrain: Terrain, basket: Basket, row: int, units: Ints) -> bool:
    """Whether a node's capacity on its work date takes the units `[k, I]` of its slots."""
    limits = basket.capacity.get(terrain.destination.nodes[row].node_id, ())
    first = terrain.dispatches[row]
    orders, count = int(units.any(axis=1).sum()), int(units.sum())
    return all(
        limit.remaining >= (orders if limit.unit == "orders" else count)
        for limit in limits
        if first is not None and limit.work_on == first.work_on
    )


def _assembled(terrain: Terrain, basket: Basket, gathered: Gathered, found: Finding) -> Plan:
    """The plan of units `[K, I]`, from an instance of nothing but the slots they open."""
    opened = np.flatnonzero(found.units.any(axis=1)).tolist()
    return assemble(
        _instance(terrain, basket, gathered, opened),
        assignment(found.units[opened]),
        bound_minor=found.bound_minor,
        found_by=found.found_by,
        unproven=found.unproven,
    )


def _instance(
    terrain: Terrain, basket: Basket, gathered: Gathered, chosen: Sequence[int]
) -> Instance:
    """The instance of some slots, without limits."""
    slots, grid = gathered.slots, gathered.grid
    weight = int(grid.quantities @ grid.weights_grams)
    units_max = grid.units_max[[*chosen]].tolist()
    stock: dict[tuple[str, str], Stock] = {}
    made: list[Slot] = []
    for k, row in zip(chosen, units_max, strict=True):
        slot = _slot(terrain, int(slots.rows[k]), int(slots.lanes[k]), weight)
        made.append(slot)
        node_id = slot.node.node_id
        for line, most in zip(gathered.lines, row, strict=True):
            if most:
                stock[node_id, line.sku] = Stock(node_id=node_id, sku=line.sku, available=most)
    return Instance(
        policy=basket.policy,
        lines=gathered.lines,
        slots=tuple(made),
        units_max=tuple(map(tuple, units_max)),
        time_minor=tuple(map(tuple, grid.time_minor[[*chosen]].tolist())),
        unit_limits=(),
        open_limits=(),
        stock=stock,
        now=basket.now,
    )


def _slot(terrain: Terrain, row: int, lane: int, weight_grams: int) -> Slot:
    first = terrain.dispatches[row]
    if first is None:
        raise ValueError(f"row {row} never works and has no slot")
    served = terrain.destination
    if lane < 0:
        service, promised, steps = None, pickup_promise(first.work_on), NO_PARCEL
    else:
        brackets = served.tariffs[terrain.rows.lane_tariff[lane]].brackets
        service, promised = terrain.lanes[lane].service, terrain.promises[lane]
        steps = parcel_steps(brackets, weight_grams)
    return Slot(
        node=served.nodes[row],
        method="pickup" if lane < 0 else "ship",
        service=service,
        start_on=first.start_on,
        work_on=first.work_on,
        ship_by=first.ship_by,
        promise=promised,
        steps=steps,
    )
