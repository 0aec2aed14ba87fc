"""The judge: whether a plan is what it claims to be, recomputed from the problem alone.

Shares nothing with the code that makes plans but the value types: its dates, prices and sums are
its own, written the slow and obvious way. Rules are numbered as in README.md where they have one.
"""

import math
from collections import Counter
from collections.abc import Iterator
from datetime import date, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import msgspec

from routing import check_goals, check_strategy
from routing.judged_dates import cut_off, worked_dates, works
from routing.plan import Cost, Fulfillment, FulfillmentLine, Plan, Promise
from routing.problem import Lane, Line, Node, Problem
from routing.violation import Violation


class _Lookup:
    """The problem's values by id."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.lines = {line.line_id: line for line in problem.lines}
        self.nodes = {node.node_id: node for node in problem.nodes}
        self.stock = {(s.node_id, s.sku): s for s in problem.stock}
        self.lanes = {(e.node_id, e.to_node, e.service): e for e in problem.lanes}
        self.calendars = {c.calendar_id: c for c in problem.calendars}
        self.tariffs = {t.tariff_id: t for t in problem.tariffs}

    def lane(self, fulfillment: Fulfillment) -> Lane | None:
        """The lane a shipment uses."""
        to_node = fulfillment.pickup_node
        return self.lanes.get((fulfillment.node_id, to_node, fulfillment.service or ""))


def check(problem: Problem, plan: Plan) -> list[Violation]:
    """Every rule `plan` breaks as an answer to a valid `problem`; none for a right plan."""
    lookup = _Lookup(problem)
    shape = list(_shape(lookup, plan))
    if shape:
        return shape
    return [
        *_balance(lookup, plan),
        *_stock(lookup, plan),
        *_eligible(lookup, plan),
        *check_strategy.left_out(problem, plan),
        *check_strategy.later_than_promised(problem, plan),
        *check_goals.beyond_limits(problem, plan),
        *_dates(lookup, plan),
        *_capacity(lookup, plan),
        *_wishes(lookup, plan),
        *_whole_kits(lookup, plan),
        *_together(lookup, plan),
        *_prices(lookup, plan),
        *_claims(plan),
    ]


def _shape(lookup: _Lookup, plan: Plan) -> Iterator[Violation]:
    """References that lead nowhere, repeated parts and quantities that are none."""
    keys = Counter((f.node_id, f.pickup_node, f.service, f.work_on) for f in plan.fulfillments)
    for key, count in keys.items():
        if count > 1:
            yield Violation("shape", f"{count} fulfillments are the same one: {key}")
    for f in plan.fulfillments:
        yield from _fulfillment_shape(lookup, f)
    for shortfall in plan.shortfalls:
        if shortfall.line_id not in lookup.lines or shortfall.quantity < 1:
            yield Violation("shape", f"{shortfall} is not of any line")


def _fulfillment_shape(lookup: _Lookup, f: Fulfillment) -> Iterator[Violation]:
    if f.node_id not in lookup.nodes:
        yield Violation("shape", f"node {f.node_id} is not in the problem")
    if f.method != "pickup" and lookup.lane(f) is None:
        yield Violation("shape", f"node {f.node_id} has no lane {f.service} to {f.pickup_node}")
    if f.method == "pickup" and f.service is not None:
        yield Violation("shape", f"a pickup at {f.node_id} names the service {f.service}")
    if f.method == "pickup" and f.pickup_node != f.node_id:
        yield Violation("shape", f"a pickup at {f.node_id} is collected at {f.pickup_node}")
    nowhere = f.pickup_node not in {None, *lookup.nodes}
    if nowhere or (f.method == "ship") != (f.pickup_node is None):
        yield Violation("shape", f"{f.method} from {f.node_id} is collected at {f.pickup_node}")
    if not f.lines:
        yield Violation("shape", f"the fulfillment at {f.node_id} has no lines")
    for part in f.lines:
        line = lookup.lines.get(part.line_id)
        if line is None or part.sku not in _kit(line) or part.quantity < 1:
            yield Violation("shape", f"{part} at {f.node_id} is not of any line")


def _kit(line: Line) -> dict[str, int]:
    """What one unit of a line takes of each sku."""
    return {each.sku: each.quantity for each in line.components} or {line.sku: 1}


def _in(f: Fulfillment, line: Line) -> dict[str, int]:
    """Units of each sku of a line in a fulfillment."""
    found = dict.fromkeys(_kit(line), 0)
    for part in f.lines:
        if part.line_id == line.line_id:
            found[part.sku] += part.quantity
    return found


def _units(f: Fulfillment, line: Line) -> int:
    """Whole units of a line in a fulfillment, kits of a kit."""
    return min(_in(f, line)[sku] // count for sku, count in _kit(line).items())


def _taken(lookup: _Lookup, plan: Plan) -> Counter[str]:
    taken: Counter[str] = Counter()
    for f in plan.fulfillments:
        for line in lookup.problem.lines:
            taken[line.line_id] += _units(f, line)
    return taken


def _balance(lookup: _Lookup, plan: Plan) -> Iterator[Violation]:
    """(1) Every unit is taken or short, exactly once."""
    accounted = _taken(lookup, plan)
    for shortfall in plan.shortfalls:
        accounted[shortfall.line_id] += shortfall.quantity
    if len({s.line_id for s in plan.shortfalls}) != len(plan.shortfalls):
        yield Violation("balance", "a line has two shortfalls")
    for line in lookup.problem.lines:
        if accounted[line.line_id] != line.quantity:
            found = accounted[line.line_id]
            yield Violation("balance", f"{line.line_id}: {found} of {line.quantity} units")


def _stock(lookup: _Lookup, plan: Plan) -> Iterator[Violation]:
    """(4) No source gives more than it has, and supply only where it is allowed and known."""
    drawn: Counter[tuple[str, str, str | None]] = Counter()
    for f in plan.fulfillments:
        for part in f.lines:
            drawn[f.node_id, part.sku, part.supply_id] += part.quantity
            yield from _source(lookup, f, part)
    for (node_id, sku, supply_id), units in drawn.items():
        stock = lookup.stock.get((node_id, sku))
        there = 0
        if stock is not None and supply_id is None:
            there = stock.available
        elif stock is not None:
            there = sum(s.quantity for s in stock.supply if s.supply_id == supply_id)
        if units > there:
            source = supply_id or "on hand"
            yield Violation("stock", f"{units} of {sku} at {node_id} from {source}, has {there}")


def _source(lookup: _Lookup, f: Fulfillment, part: FulfillmentLine) -> Iterator[Violation]:
    now, node = lookup.problem.now, lookup.nodes[f.node_id]
    if part.source == "on_hand":
        today = now.astimezone(ZoneInfo(node.time_zone)).date()
        if part.supply_id is not None or part.available_on != today:
            yield Violation("stock", f"{part} is not on hand on {today}")
        return
    stock = lookup.stock.get((f.node_id, part.sku))
    known = {s.supply_id: s.available_on for s in stock.supply} if stock else {}
    if not lookup.problem.policy.backorder:
        yield Violation("backorder", f"{part} is promised from supply")
    if known.get(part.supply_id or "") != part.available_on:
        yield Violation("stock", f"{part} names no supply of that date at {f.node_id}")


def _eligible(lookup: _Lookup, plan: Plan) -> Iterator[Violation]:
    """(2) Methods, pickup nodes and capabilities."""
    for f in plan.fulfillments:
        able = lookup.nodes[f.node_id].capabilities
        for part in f.lines:
            line = lookup.lines[part.line_id]
            if f.method not in line.methods:
                yield Violation("method", f"{line.line_id} may not be {f.method}")
            if f.pickup_node is not None:
                yield from _collected(lookup, f, line)
            missing = [name for name in (f.method, *line.requires) if name not in able]
            if missing:
                yield Violation("capability", f"{f.node_id} lacks {missing} for {line.line_id}")


def _collected(lookup: _Lookup, f: Fulfillment, line: Line) -> Iterator[Violation]:
    """What is collected is collected where it was asked for, at a node that may hand it over."""
    if line.pickup_node != f.pickup_node:
        yield Violation("pickup", f"{line.line_id} is not collected at {f.pickup_node}")
    if f.method == "ship_to_store" and f.node_id == f.pickup_node:
        yield Violation("pickup", f"{f.node_id} sends {line.line_id} to itself")
    able = lookup.nodes[f.pickup_node or ""].capabilities
    missing = [name for name in ("pickup", *line.requires) if name not in able]
    if missing:
        yield Violation("capability", f"{f.pickup_node} lacks {missing} for {line.line_id}")


def _earliest_dispatch(
    lookup: _Lookup, node: Node, ready: date, collected: time | None
) -> date | None:
    """The first date on which goods there from `ready` on can leave `node`.

    A carrier that comes before the cut-off, at `collected`, takes only what was accepted by then.
    """
    calendar = lookup.calendars[node.calendar_id]
    today = lookup.problem.now.astimezone(ZoneInfo(node.time_zone)).date()
    if lookup.problem.now > min(cut_off(node, today), cut_off(node, today, collected)):
        today += timedelta(days=1)
    worked = worked_dates(calendar, max(today, ready), node.time_zone)
    return worked[node.handling_days] if len(worked) > node.handling_days else None


def _dates(lookup: _Lookup, plan: Plan) -> Iterator[Violation]:
    """Work date, `ship_by` and promise of every fulfillment."""
    for f in plan.fulfillments:
        node, lane = lookup.nodes[f.node_id], lookup.lane(f)
        collected = lane.cut_off if lane else None
        if not works(lookup.calendars[node.calendar_id], f.work_on, node.time_zone):
            yield Violation("calendar", f"{f.node_id} does not work on {f.work_on}")
        for part in f.lines:
            earliest = _earliest_dispatch(lookup, node, part.available_on, collected)
            if earliest is None or f.work_on < earliest:
                yield Violation("work date", f"{part} cannot leave on {f.work_on}: {earliest}")
        if f.ship_by != cut_off(node, f.work_on, collected):
            yield Violation("ship_by", f"{f.ship_by} is not the cut-off on {f.work_on}")
        promised = _promise(lookup, f)
        if f.promise != promised:
            yield Violation("promise", f"{f.node_id}: {f.promise} instead of {promised}")


def _promise(lookup: _Lookup, f: Fulfillment) -> Promise | None:
    if f.method == "pickup":
        return Promise(earliest=f.work_on, latest=f.work_on)
    lane = lookup.lane(f)
    if lane is None:
        return None
    calendar = lookup.calendars[lane.calendar_id] if lane.calendar_id else None
    leaves = cut_off(lookup.nodes[f.node_id], f.work_on, lane.cut_off)
    place = lookup.nodes.get(lane.to_node or "")
    zone = place.time_zone if place else lookup.problem.destination_time_zone
    moves = worked_dates(calendar, leaves.astimezone(ZoneInfo(zone)).date(), zone)
    first, last = moves[lane.transit_days_min], moves[lane.transit_days_max]
    if place is None:
        return Promise(earliest=first, latest=last)
    store = lookup.calendars[place.calendar_id]
    # A parcel may come before or after the store's cut-off of its day.
    return Promise(
        earliest=worked_dates(store, first, zone)[place.handling_days],
        latest=worked_dates(store, last + timedelta(days=1), zone)[place.handling_days],
    )


def _capacity(lookup: _Lookup, plan: Plan) -> Iterator[Violation]:
    """(5), (6) What a node can still do on a work date, in fulfillments or units."""
    orders: Counter[tuple[str, date]] = Counter()
    units: Counter[tuple[str, date]] = Counter()
    for f in plan.fulfillments:
        orders[f.node_id, f.work_on] += 1
        units[f.node_id, f.work_on] += sum(part.quantity for part in f.lines)
    for (node_id, day), count in orders.items():
        for limit in lookup.nodes[node_id].capacity:
            asked = count if limit.unit == "orders" else units[node_id, day]
            if limit.work_on == day and asked > limit.remaining:
                left = f"{limit.remaining} {limit.unit}"
                yield Violation("capacity", f"{node_id} on {day}: {asked} asked, {left} left")


def _wishes(lookup: _Lookup, plan: Plan) -> Iterator[Violation]:
    """(7) the most shipments, (8) everything or nothing, (10) the most nodes of a line."""
    policy = lookup.problem.policy
    shipments = sum(f.method != "pickup" for f in plan.fulfillments)
    if policy.shipments_max is not None and shipments > policy.shipments_max:
        yield Violation("shipments_max", f"{shipments} shipments of {policy.shipments_max}")
    if policy.ship_complete and plan.fulfillments and plan.shortfalls:
        yield Violation("ship_complete", f"{len(plan.shortfalls)} lines are short")
    for line in lookup.problem.lines:
        nodes = {f.node_id for f in plan.fulfillments if any(_in(f, line).values())}
        if policy.nodes_per_line_max is not None and len(nodes) > policy.nodes_per_line_max:
            yield Violation("nodes_per_line_max", f"{line.line_id} is shared by {sorted(nodes)}")


def _whole_kits(lookup: _Lookup, plan: Plan) -> Iterator[Violation]:
    """(11) All components of a kit come with it in one fulfillment."""
    for f in plan.fulfillments:
        for line in lookup.problem.lines:
            units = _units(f, line)
            if any(_in(f, line)[sku] != units * count for sku, count in _kit(line).items()):
                yield Violation("kit", f"{f.node_id}: {_in(f, line)} is no number of {line.sku}")


def _together(lookup: _Lookup, plan: Plan) -> Iterator[Violation]:
    """(12) Lines of a group are all in one fulfillment, in full, or all short in full."""
    taken = _taken(lookup, plan)
    for group in {line.together for line in lookup.problem.lines if line.together is not None}:
        lines = [line for line in lookup.problem.lines if line.together == group]
        whole = any(all(_units(f, n) == n.quantity for n in lines) for f in plan.fulfillments)
        if not whole and any(taken[line.line_id] for line in lines):
            names = " and ".join(sorted(line.line_id for line in lines))
            yield Violation("together", f"{names} are not in one fulfillment")


@lru_cache(maxsize=100_000)
def _parcels(brackets: tuple[tuple[int, int], ...], weight_grams: int) -> int:
    """The cheapest parcels for a weight, by counting up in the brackets' common measure."""
    measure = math.gcd(*(limit for limit, _ in brackets))
    wanted = max(1, -(-weight_grams // measure))
    cheapest = [0] * (wanted + 1)
    for load in range(1, wanted + 1):
        cheapest[load] = min(
            price + cheapest[max(0, load - limit // measure)] for limit, price in brackets
        )
    return cheapest[wanted]


def _expected_cost(lookup: _Lookup, f: Fulfillment) -> tuple[int, Cost]:
    """Weight and cost a fulfillment should show."""
    node, lane = lookup.nodes[f.node_id], lookup.lane(f)
    weight = sum(_units(f, line) * line.weight_grams for line in lookup.problem.lines)
    counted = sum(_units(f, line) * _counted_grams(line) for line in lookup.problem.lines)
    parcels = 0
    if f.method != "pickup" and lane is not None:
        rows = lookup.tariffs[lane.tariff_id].brackets
        parcels = _parcels(tuple((r.weight_grams_max, r.price_minor) for r in rows), counted)
    units = sum(part.quantity for part in f.lines)
    handling = node.handling_order_minor + units * node.handling_unit_minor
    if f.method == "ship_to_store" and f.pickup_node is not None:
        store = lookup.nodes[f.pickup_node]
        handling += store.handling_order_minor + units * store.handling_unit_minor
    total = parcels + handling
    return weight, Cost(parcels_minor=parcels, handling_minor=handling, total_minor=total)


def _counted_grams(line: Line) -> int:
    """What a unit counts for in a parcel, by weight or by volume."""
    return max(line.weight_grams, line.dimensional_grams)


def _days_after(day: date, other: date) -> int:
    return max(0, (day - other).days)


def _line_days(lookup: _Lookup, line: Line, plan: Plan) -> tuple[int, int]:
    """Days late and days waited of a line, by its last unit; none when no unit is taken."""
    promised = [
        f.promise.latest
        for f in plan.fulfillments
        if any(part.line_id == line.line_id for part in f.lines)
    ]
    if not promised:
        return 0, 0
    zone = ZoneInfo(lookup.problem.destination_time_zone)
    ordered_on = lookup.problem.now.astimezone(zone).date()
    late = _days_after(max(promised), line.requested_by) if line.requested_by else 0
    return late, _days_after(max(promised), ordered_on)


def _prices(lookup: _Lookup, plan: Plan) -> Iterator[Violation]:
    """Weights, cost by component, prices beyond it by component, and the objective."""
    policy = lookup.problem.policy
    parcels = handling = 0
    for f in plan.fulfillments:
        weight, cost = _expected_cost(lookup, f)
        parcels += cost.parcels_minor
        handling += cost.handling_minor
        if f.weight_grams != weight or f.cost != cost:
            yield Violation(
                "cost", f"{f.node_id}: {f.weight_grams} g {f.cost}, is {weight} g {cost}"
            )
    days = [_line_days(lookup, line, plan) for line in lookup.problem.lines]
    split = policy.split_minor * max(0, len(plan.fulfillments) - 1)
    lateness = policy.lateness_minor * sum(late for late, _ in days)
    expected = Cost(
        parcels_minor=parcels,
        handling_minor=handling,
        split_minor=split,
        lateness_minor=lateness,
        total_minor=parcels + handling + split + lateness,
    )
    if plan.cost != expected:
        yield Violation("cost", f"{plan.cost} instead of {expected}")
    beyond = check_strategy.prices(lookup.problem, plan, sum(waited for _, waited in days))
    if plan.prices != beyond:
        yield Violation("prices", f"{plan.prices} instead of {beyond}")
    broken = check_strategy.broken(lookup.problem, plan)
    if plan.broken != broken:
        yield Violation("prices", f"{plan.broken} instead of {broken}")
    objective = expected.total_minor + sum(msgspec.structs.astuple(beyond))
    if plan.objective_minor != objective:
        yield Violation("objective", f"{plan.objective_minor} instead of {objective}")


def _claims(plan: Plan) -> Iterator[Violation]:
    """What the plan says about its own proof."""
    if sum(broken.price_minor for broken in plan.broken) != plan.prices.soft_minor:
        yield Violation("prices", f"{plan.broken} do not cost {plan.prices.soft_minor}")
    if not 0 <= plan.bound_minor <= plan.objective_minor:
        yield Violation("bound", f"{plan.bound_minor} above {plan.objective_minor} or negative")
    if (plan.status == "optimal") != (plan.bound_minor == plan.objective_minor):
        claim = f"bound {plan.bound_minor}, objective {plan.objective_minor}"
        yield Violation("status", f"{plan.status} with {claim}")
