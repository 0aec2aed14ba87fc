"""The judge's part about strategies: what they leave out, and what they price beyond money.

Like `check.py`, it shares nothing with the code that makes plans but the value types.
"""

from collections.abc import Iterator, Mapping

from routing import check_goals
from routing.plan import Broken, Fulfillment, Plan, Prices
from routing.problem import Lane, Line, Node, Problem, Soft
from routing.violation import Violation


def left_out(problem: Problem, plan: Plan) -> Iterator[Violation]:
    """Nodes, distances and services that the policy does not want."""
    policy = problem.policy
    for f, node, lane in _used(problem, plan):
        groups = set(node.groups)
        if policy.groups_only and groups.isdisjoint(policy.groups_only):
            yield Violation("groups_only", f"{node.node_id} is in none of {policy.groups_only}")
        if not groups.isdisjoint(policy.groups_never):
            yield Violation("groups_never", f"{node.node_id} is in one of {policy.groups_never}")
        if policy.radius_km is not None and _farther(f, node, policy.radius_km):
            yield Violation("radius_km", f"{node.node_id} is {node.distance_km} km away")
        if lane is not None and policy.services and f.service not in policy.services:
            yield Violation("services", f"{f.service} from {node.node_id} is not wanted")


def later_than_promised(problem: Problem, plan: Plan) -> Iterator[Violation]:
    """Units that come after what was promised for their line before."""
    limits = {line.line_id: line.promised_by for line in problem.lines}
    for f in plan.fulfillments:
        for line_id in sorted({part.line_id for part in f.lines}):
            limit = limits[line_id]
            if limit is not None and f.promise.latest > limit:
                yield Violation("promised_by", f"{line_id} was promised by {limit}")


def prices(problem: Problem, plan: Plan, days_waited: int) -> Prices:
    """What the objective counts beyond money."""
    policy = problem.policy
    stock = {(s.node_id, s.sku): s for s in problem.stock}
    lines = {line.line_id: line for line in problem.lines}
    short = sum(line.quantity for line in problem.lines)
    short -= sum(sum(_units(f, lines).values()) for f in plan.fulfillments)
    worth = risk = surcharge = emissions = 0
    for f, node, lane in _used(problem, plan):
        surcharge += node.surcharge_minor
        if lane is not None:
            emissions += lane.co2_grams * policy.co2_minor_per_kg // 1_000
        for part in f.lines:
            held = stock.get((f.node_id, part.sku))
            if held is not None:
                worth += part.quantity * held.worth_minor
                risk += part.quantity * held.risk_minor
    for f, units in ((f, _units(f, lines)) for f in plan.fulfillments):
        lane = _lane(problem, f)
        for line_id, quantity in units.items():
            rate = lane.co2_grams_per_kg * policy.co2_minor_per_kg if lane else 0
            line = lines[line_id]
            grams = max(line.weight_grams, line.dimensional_grams)
            emissions += quantity * (grams * rate // 1_000_000)
    return Prices(
        delay_minor=policy.delay_minor * days_waited,
        shortage_minor=policy.shortage_minor * short,
        worth_minor=worth,
        risk_minor=risk,
        surcharge_minor=surcharge,
        emissions_minor=emissions,
        soft_minor=sum(each.price_minor for each in broken(problem, plan)),
    )


def broken(problem: Problem, plan: Plan) -> tuple[Broken, ...]:
    """The soft rules that a plan breaks, fulfillment by fulfillment, and the goals it misses."""
    rules = tuple(
        Broken(soft.rule, node.node_id, soft.minor)
        for f, node, _ in _used(problem, plan)
        for soft in problem.policy.soft
        if _breaks(soft, f, node)
    )
    return rules + check_goals.missed(problem, plan)


def _breaks(soft: Soft, f: Fulfillment, node: Node) -> bool:
    if soft.rule == "services":
        return f.method != "pickup" and f.service not in soft.names
    if soft.rule == "radius_km":
        return _farther(f, node, soft.radius_km)
    return not set(soft.names).isdisjoint(node.groups)


def _farther(f: Fulfillment, node: Node, kilometers: int) -> bool:
    known = node.distance_km is not None
    return f.method == "ship" and known and (node.distance_km or 0) > kilometers


def _used(problem: Problem, plan: Plan) -> Iterator[tuple[Fulfillment, Node, Lane | None]]:
    nodes = {node.node_id: node for node in problem.nodes}
    for f in plan.fulfillments:
        yield f, nodes[f.node_id], _lane(problem, f)


def _lane(problem: Problem, f: Fulfillment) -> Lane | None:
    if f.method == "pickup":
        return None
    return next(
        lane
        for lane in problem.lanes
        if (lane.node_id, lane.to_node, lane.service) == (f.node_id, f.pickup_node, f.service)
    )


def _units(f: Fulfillment, lines: Mapping[str, Line]) -> dict[str, int]:
    """Whole units by line, kits of a kit."""
    found: dict[str, dict[str, int]] = {}
    for part in f.lines:
        taken = found.setdefault(part.line_id, {})
        taken[part.sku] = taken.get(part.sku, 0) + part.quantity
    units = {}
    for line_id, taken in found.items():
        line = lines[line_id]
        kit = {each.sku: each.quantity for each in line.components} or {line.sku: 1}
        units[line_id] = min(taken.get(sku, 0) // count for sku, count in kit.items())
    return units
