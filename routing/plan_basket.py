"""From a basket on a prepared destination to its plan and the record of it."""

import time
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec
import numpy as np

from routing.basket import Basket, expected, limited, prices_of, problem_of, seen
from routing.beyond import NOTHING
from routing.billed import LANE, OBJECTIVE, ROW, UNITS, Proof, billed, parts, plan_of
from routing.bonds import Bools, kept, limits_of, of_nodes
from routing.bundles import bundles, plain
from routing.cost import NO_PARCEL, parcel_steps
from routing.deadlines import model_limit_ms, search_until
from routing.gather import Gathered, by_id, gather
from routing.goals import Opened, missed, within_goals
from routing.grid import Grid, Ints, taken
from routing.instance import Instance, Slot, slot_of
from routing.later import with_room
from routing.leaning import leaned
from routing.model import improve
from routing.ordinary import settled
from routing.partition import partition
from routing.plan import Plan
from routing.problem import Policy, ProblemError, Stock
from routing.promise import pickup_promise
from routing.record import Sight, prices_seen, sight, write
from routing.search import search
from routing.solve import solve
from routing.terrain import Terrain
from routing.validate import validate_lines

__all__ = ["Planned", "plan_at_length", "plan_basket", "plan_soon"]

GOALS_SHARE = 0.25
"""Of the time there is, for the plan of an order with goals as if it had none."""


class Planned(NamedTuple):
    """A plan and the record that explains it."""

    plan: Plan
    record: bytes
    """See `routing.record`: `expand` tells the rest on reading."""


def plan_basket(
    terrain: Terrain, basket: Basket, time_limit_ms: int, since: float | None = None
) -> Planned:
    """The cheapest plan for a basket, proven so when its status is `optimal`, with its record.

    Always answers within about `time_limit_ms` of now, or of `since`, a reading of
    `time.perf_counter`. Raises `ProblemError` for an order that contradicts
    itself, and for one placed when the terrain's dates do not hold.
    """
    began = time.perf_counter() if since is None else since
    soon = plan_soon(terrain, basket, time_limit_ms, began)
    return soon or plan_at_length(terrain, basket, time_limit_ms, began)


def plan_soon(terrain: Terrain, basket: Basket, time_limit_ms: int, since: float) -> Planned | None:
    """What `plan_basket` returns where the terrain's arrays say all there is to say of the order.

    None where it has to be posed as a `Problem`, which takes milliseconds to begin with; raises as
    `plan_basket` does.
    """
    terrain, policy = _leaned(terrain, basket, time_limit_ms)
    if not _ordinary(terrain, basket):
        return None
    found = _short_way(terrain, basket, since + time_limit_ms / 1000)
    if found is None:
        return None
    plan, saw = found
    return Planned(plan, write(terrain, basket, policy, saw, plan))


def plan_at_length(terrain: Terrain, basket: Basket, time_limit_ms: int, since: float) -> Planned:
    """What `plan_basket` returns where `plan_soon` returns none; raises as it does."""
    terrain, policy = _leaned(terrain, basket, time_limit_ms)
    left_ms = max(0, round((since + time_limit_ms / 1000 - time.perf_counter()) * 1000))
    there = limited(terrain, basket, seen(terrain, basket))
    hurried = _timed(policy, left_ms)
    plan = solve(problem_of(terrain.destination, there, basket.now, basket.lines, hurried))
    saw = sight(there, len(terrain.destination.nodes))
    return Planned(plan, write(terrain, basket, policy, saw, plan))


def _leaned(terrain: Terrain, basket: Basket, time_limit_ms: int) -> tuple[Terrain, Policy]:
    """The terrain by the order's policy, and that policy with its time; raises `ProblemError`."""
    if not terrain.covers(basket.now):
        raise ProblemError(
            f"the order is of {basket.now}, the terrain holds from {terrain.from_at} until"
            f" {terrain.until_at}; prepare it anew"
        )
    policy = _timed(basket.policy, time_limit_ms)
    validate_lines(basket.lines, policy)
    return leaned(terrain, basket.policy), policy


@lru_cache(maxsize=1024)
def _timed(policy: Policy, time_limit_ms: int) -> Policy:
    return msgspec.structs.replace(policy, time_limit_ms=time_limit_ms)


@lru_cache(maxsize=1024)
def _without_goals(policy: Policy) -> Policy:
    return msgspec.structs.replace(policy, goals=())


def _ordinary(terrain: Terrain, basket: Basket) -> bool:
    """Whether a grid says all there is to say of the basket, capacities aside."""
    return (
        len(basket.held.skus) == len(basket.lines)
        and all(plain(line) and line.promised_by is None for line in basket.lines)
        and not (basket.policy.backorder and expected(terrain, basket))
        # Services of a node that start on different dates do not move together to one with room.
        and not (basket.capacity and terrain.timed)
        and all(name in terrain.abilities for line in basket.lines for name in line.requires)
    )


def _short_way(terrain: Terrain, basket: Basket, deadline: float) -> tuple[Plan, Sight] | None:
    """The plan of an ordinary basket with what was seen; none where it has to go the long way.

    Goals only ever add to the objective and forbid plans. So a cheapest plan without them that
    misses none is a cheapest plan with them, with the same proof.
    """
    if not basket.policy.goals:
        found = _at_once(terrain, basket, deadline)
        return None if found is None else (found.plan, found.sight)
    now = time.perf_counter()
    freed = msgspec.structs.replace(basket, policy=_without_goals(basket.policy))
    found = _at_once(terrain, freed, now + GOALS_SHARE * (deadline - now))
    if found is None or found.plan.status != "optimal":
        return None
    return (found.plan, found.sight) if _goals_met(terrain, basket, found.made) else None


class _AtOnce(NamedTuple):
    """A plan of a basket without its goals."""

    plan: Plan
    sight: Sight
    made: Sequence[Sequence[int]]
    """The parts of its bill."""


def _at_once(terrain: Terrain, basket: Basket, deadline: float) -> _AtOnce | None:
    """The plan of an ordinary basket, none where limits that are left out here speak against it.

    With it what was seen, and of which nodes capacities were looked at.
    """
    there = seen(terrain, basket) if basket.capacity else None
    if there is not None:
        shifted = with_room(terrain, basket, there)
        if shifted is None:
            return None
        terrain, there = shifted
    lines = by_id(basket.lines)
    beyond = prices_of(terrain, basket)
    found = settled(terrain, basket.held, lines, basket.policy, beyond)
    if found is not None and _few_enough(basket, parts(found.figures, len(lines))):
        figures, proof = found.figures, Proof(found.figures[OBJECTIVE], "partition")
        if beyond is not NOTHING:
            there = there or seen(terrain, basket)
        saw = Sight(
            found.stock,
            capacity=there.capacity if there else (),
            beyond=prices_seen(there, len(terrain.destination.nodes)) if there else b"",
        )
    else:
        there = there or seen(terrain, basket)
        gathered = gather(terrain, there, lines, basket.policy)
        units, proof = _looked_for(terrain, basket, gathered, deadline)
        figures = billed(terrain, gathered, units)
        saw = sight(there, len(terrain.destination.nodes))
    made = parts(figures, len(lines))
    if not _roomy(terrain, basket, made):
        return None
    return _AtOnce(plan_of(terrain, basket.policy, lines, figures, proof), saw, made)


def _goals_met(terrain: Terrain, basket: Basket, made: Sequence[Sequence[int]]) -> bool:
    """Whether the parts of a bill pay for no goal and are within the limits of all."""
    lines = bundles(basket.lines)
    weight = sum(line.quantity * line.priced_grams for line in lines)
    slots = tuple(_slot(terrain, basket.policy, part[ROW], part[LANE], weight) for part in made)
    units = {
        k: {i: count for i, count in enumerate(part[UNITS:]) if count}
        for k, part in enumerate(made)
    }
    opened = Opened(basket.policy, lines, slots, terrain.ordered_on)
    return within_goals(opened, units) and not missed(opened, units)


def _looked_for(
    terrain: Terrain, basket: Basket, gathered: Gathered, deadline: float
) -> tuple[Ints, Proof]:
    """Units `[K, I]` by the first step that comes to an end, of no more shipments than allowed."""
    parted = partition(gathered.grid, deadline)
    ships = gathered.slots.lanes >= 0
    if parted is not None and _kept(basket, gathered.grid, ships, parted.units):
        return parted.units, Proof(parted.objective_minor, parted.found_by)
    return _searched(terrain, basket, gathered, deadline)


def _kept(basket: Basket, grid: Grid, ships: Bools, units: Ints) -> bool:
    """Whether units `[K, I]` keep the limits that parting does not look at."""
    policy = basket.policy
    if policy.shipments_max is None and policy.nodes_per_line_max is None:
        return True
    bonds = of_nodes(grid, ships, policy.shipments_max)
    return bool(kept(bonds, np.arange(len(units)), units))


def _searched(
    terrain: Terrain, basket: Basket, gathered: Gathered, deadline: float
) -> tuple[Ints, Proof]:
    """What the search finds and, in time that it leaves, the exact model on the slots left over."""
    grid = gathered.grid
    bonds = of_nodes(grid, gathered.slots.lanes >= 0, basket.policy.shipments_max)
    found = search(grid, search_until(deadline), bonds=bonds)
    first = Proof(found.bound_minor, "search" if found.improved else "greedy")
    slots = found.slots if found.bound_minor < found.objective_minor else ()
    limit_ms = model_limit_ms(grid.units_max[[*slots]], deadline)
    if not slots or limit_ms <= 0:
        return found.units, first
    instance = _instance(terrain, basket, gathered, slots)
    unit_limits, open_limits = limits_of(bonds, slots)
    instance = msgspec.structs.replace(instance, unit_limits=unit_limits, open_limits=open_limits)
    answer = improve(instance, found.objective_minor, limit_ms)
    bound_minor = max(found.bound_minor, answer.bound_minor)
    if answer.units is None:
        return found.units, Proof(bound_minor, first.found_by, "feasible")
    units = np.zeros_like(grid.units_max)
    units[[*slots]] = taken(answer.units, len(slots), len(gathered.lines))
    return units, Proof(bound_minor, "cp-sat", "feasible")


def _few_enough(basket: Basket, made: Sequence[Sequence[int]]) -> bool:
    """Whether the parts of a bill found without them keep the most shipments and nodes per line."""
    shipments, nodes = basket.policy.shipments_max, basket.policy.nodes_per_line_max
    if shipments is not None and sum(part[LANE] >= 0 for part in made) > shipments:
        return False
    return nodes is None or all(
        len({part[ROW] for part in made if part[UNITS + i]}) <= nodes
        for i in range(len(basket.lines))
    )


def _roomy(terrain: Terrain, basket: Basket, made: Sequence[Sequence[int]]) -> bool:
    """Whether capacities allow the parts of a bill found without them.

    If they do, no plan is cheaper: without them there are only more.
    """
    return not basket.capacity or all(
        _has_room(terrain, basket, row, [part for part in made if part[ROW] == row])
        for row in {part[ROW] for part in made}
    )


def _has_room(terrain: Terrain, basket: Basket, row: int, made: Sequence[Sequence[int]]) -> bool:
    """Whether a node's capacity on its work date takes all it is to do."""
    limits = basket.capacity.get(terrain.destination.nodes[row].node_id, ())
    first = terrain.dispatches[row]
    orders, count = len(made), sum(sum(part[UNITS:]) for part in made)
    return all(
        limit.remaining >= (orders if limit.unit == "orders" else count)
        for limit in limits
        if first is not None and limit.work_on == first.work_on
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
        slot = _slot(terrain, basket.policy, int(slots.rows[k]), int(slots.lanes[k]), weight)
        made.append(slot)
        node_id = slot.node.node_id
        for line, most in zip(gathered.lines, row, strict=True):
            if most:
                stock[node_id, line.sku] = Stock(node_id=node_id, sku=line.sku, available=most)
    return Instance(
        policy=basket.policy,
        lines=bundles(gathered.lines),
        slots=tuple(made),
        units_max=tuple(map(tuple, units_max)),
        opening_minor=tuple(grid.slot_minor[[*chosen]].tolist()),
        unit_minor=tuple(map(tuple, grid.unit_minor[[*chosen]].tolist())),
        time_minor=tuple(map(tuple, grid.time_minor[[*chosen]].tolist())),
        unit_limits=(),
        open_limits=(),
        stock=stock,
        now=basket.now,
        ordered_on=terrain.ordered_on,
    )


def _slot(terrain: Terrain, policy: Policy, row: int, lane: int, weight_grams: int) -> Slot:
    served = terrain.destination
    node = served.nodes[row]
    if lane >= 0:
        brackets = served.tariffs[terrain.rows.lane_tariff[lane]].brackets
        steps = parcel_steps(brackets, weight_grams)
        start, promised = terrain.departures[lane], terrain.promises[lane]
        to = int(terrain.rows.lane_to[lane])
        ends = node, None if to < 0 else served.nodes[to]
        return slot_of(policy, ends, terrain.lanes[lane], start, promised, steps)
    first = terrain.dispatches[row]
    if first is None:
        raise ValueError(f"row {row} never works and has no slot")
    return slot_of(policy, (node, None), None, first, pickup_promise(first.work_on), NO_PARCEL)
