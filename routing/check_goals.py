"""The judge's part about goals: what a whole plan comes to, what that costs, and what is too much.

Like `check.py`, it shares nothing with the code that makes plans but the value types. It measures
the plan as it is told, of which the rest of the judge checks every figure.
"""

from collections.abc import Callable, Iterator
from zoneinfo import ZoneInfo

from routing.plan import Broken, Fulfillment, Plan
from routing.problem import Goal, Lane, Measure, Problem
from routing.violation import Violation


def beyond_limits(problem: Problem, plan: Plan) -> Iterator[Violation]:
    """(13) What a plan comes to is within the limit of every goal."""
    for goal in problem.policy.goals:
        came_to = _measured(problem, plan, goal)
        if goal.limit is not None and came_to > goal.limit:
            what = f"{goal.measure} comes to {came_to}, at most {goal.limit} may be"
            yield Violation("goal", what)


def missed(problem: Problem, plan: Plan) -> tuple[Broken, ...]:
    """The goals that a plan misses, and what each costs."""
    found = []
    for goal in problem.policy.goals:
        came_to = _measured(problem, plan, goal)
        if came_to > goal.target:
            price = (came_to - goal.target) * goal.minor // goal.per
            if price > 0:
                found.append(Broken(goal.measure, None, price, came_to, goal.target))
    return tuple(found)


def _measured(problem: Problem, plan: Plan, goal: Goal) -> int:
    """What a plan comes to, read off the plan."""
    return MEASURES[goal.measure](problem, plan, goal)


def _parcels_minor(_problem: Problem, plan: Plan, _goal: Goal) -> int:
    return sum(f.cost.parcels_minor for f in plan.fulfillments)


def _handling_minor(_problem: Problem, plan: Plan, _goal: Goal) -> int:
    return sum(f.cost.handling_minor for f in plan.fulfillments)


def _delivery_days(problem: Problem, plan: Plan, _goal: Goal) -> int:
    ordered_on = problem.now.astimezone(ZoneInfo(problem.destination_time_zone)).date()
    return max([0, *((f.promise.latest - ordered_on).days for f in plan.fulfillments)])


def _shipments(_problem: Problem, plan: Plan, _goal: Goal) -> int:
    return sum(f.method in {"ship", "ship_to_store"} for f in plan.fulfillments)


def _distance_km(problem: Problem, plan: Plan, _goal: Goal) -> int:
    known = {node.node_id: node.distance_km or 0 for node in problem.nodes}
    return sum(known[f.node_id] for f in plan.fulfillments if f.method == "ship")


def _group_units(problem: Problem, plan: Plan, goal: Goal) -> int:
    named = {node.node_id for node in problem.nodes if {*node.groups} & {*goal.names}}
    return sum(p.quantity for f in plan.fulfillments for p in f.lines if f.node_id in named)


def _late_days(problem: Problem, plan: Plan, _goal: Goal) -> int:
    total = 0
    for line in problem.lines:
        for_it = [
            f.promise.latest
            for f in plan.fulfillments
            if any(part.line_id == line.line_id for part in f.lines)
        ]
        if for_it and line.requested_by is not None:
            total += max(0, (max(for_it) - line.requested_by).days)
    return total


def _co2_grams(problem: Problem, plan: Plan, _goal: Goal) -> int:
    return sum(_emitted(problem, f) for f in plan.fulfillments)


def _emitted(problem: Problem, f: Fulfillment) -> int:
    """Emissions of a parcel, and of each unit in it whole grams."""
    lane = _lane(problem, f)
    if lane is None:
        return 0
    total = lane.co2_grams
    for line in problem.lines:
        kit = {each.sku: each.quantity for each in line.components} or {line.sku: 1}
        inside = [
            sum(p.quantity for p in f.lines if (p.line_id, p.sku) == (line.line_id, sku)) // count
            for sku, count in kit.items()
        ]
        grams = max(line.weight_grams, line.dimensional_grams)
        total += min(inside) * (grams * lane.co2_grams_per_kg // 1_000)
    return total


def _lane(problem: Problem, f: Fulfillment) -> Lane | None:
    if f.method == "pickup":
        return None
    place = f.node_id, f.pickup_node, f.service
    return next(e for e in problem.lanes if (e.node_id, e.to_node, e.service) == place)


MEASURES: dict[Measure, Callable[[Problem, Plan, Goal], int]] = {
    "cost_minor": lambda _problem, plan, _goal: plan.cost.total_minor,
    "parcels_minor": _parcels_minor,
    "handling_minor": _handling_minor,
    "delivery_days": _delivery_days,
    "late_days": _late_days,
    "fulfillments": lambda _problem, plan, _goal: len(plan.fulfillments),
    "shipments": _shipments,
    "distance_km": _distance_km,
    "co2_grams": _co2_grams,
    "group_units": _group_units,
}
