"""What makes a problem impossible to answer, each fault with a sentence that says what to change."""

from collections.abc import Hashable, Iterable, Iterator
from datetime import timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from routing.bundles import methods_of, needs_of, plain
from routing.cost import PARCELS_MAX
from routing.problem import (
    PRICE_MINOR_MAX,
    Calendar,
    Goal,
    Lane,
    Line,
    Node,
    Policy,
    Problem,
    ProblemError,
    Stock,
    Tariff,
)
from routing.promise import DAYS_MAX

CO2_GRAMS_MAX = 1_000_000
"""Largest emissions of a shipment, or of a kilogram of it."""

GOALS_MAX = 10
"""Most goals of a policy."""

GOAL_MINOR_MAX = 10**9
"""Largest price of missing a goal, for every `per`."""

GOAL_PER_MAX = 10**6
"""Most of a measure that is priced together."""

UNITS_MAX = 1_000_000
"""Most units in one order, so that every price stays far inside 64 bits."""

GRAMS_MAX = 1 << 26
"""Most grams in one order, 67 t: what it costs to send any weight up to its own is worked out, in a
tenth of a second for so much. More is freight, not parcels."""


def validate(problem: Problem) -> None:
    """Raise `ProblemError` with the first fault: the order's, then the network's."""
    validate_order(problem)
    for fault in _network_faults(problem):
        raise ProblemError(fault)


def validate_order(problem: Problem) -> None:
    """Raise `ProblemError` for a fault in lines, policy or instant.

    The cheap half of `validate`, which every solve repeats; master data is validated when stored.
    """
    for fault in _order_faults(problem):
        raise ProblemError(fault)


def _repeated(values: Iterable[Hashable]) -> Hashable | None:
    seen: set[Hashable] = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None


def validate_lines(lines: tuple[Line, ...], policy: Policy) -> None:
    """Raise `ProblemError` for a fault in lines or policy."""
    if not (_sound_lines(lines) and _sound_policy(policy)):
        for fault in _lines_faults(lines, policy):
            raise ProblemError(fault)


def _sound_lines(lines: tuple[Line, ...]) -> bool:
    """Whether lines are plain and without fault; if not, it is worth the time to look closer."""
    units = weight_grams = 0
    for line in lines:
        grams = min(line.weight_grams, line.dimensional_grams)
        if line.quantity < 1 or grams < 0 or not line.methods:
            return False
        if line.pickup_node is None and line.methods != ("ship",):
            return False
        if not plain(line):
            return False
        units += line.quantity
        weight_grams += line.quantity * max(line.weight_grams, line.dimensional_grams)
    fits = units <= UNITS_MAX and weight_grams <= GRAMS_MAX
    return fits and 0 < len({line.line_id for line in lines}) == len(lines)


@lru_cache(maxsize=1024)
def _sound_policy(policy: Policy) -> bool:
    return not any(_policy_faults(policy))


def _order_faults(problem: Problem) -> Iterator[str]:
    yield from _lines_faults(problem.lines, problem.policy)
    if problem.now.utcoffset() != timedelta():
        yield f"now is {problem.now}; give an instant in UTC"
    if not _known_zone(problem.destination_time_zone):
        yield f"destination time zone {problem.destination_time_zone} is unknown; use an IANA name"


def _lines_faults(lines: tuple[Line, ...], policy: Policy) -> Iterator[str]:
    if not lines:
        yield "the order has no lines; give at least one"
    repeated = _repeated(line.line_id for line in lines)
    if repeated is not None:
        yield f"line id {repeated} occurs twice; ids must differ within an order"
    for line in lines:
        yield from _line_faults(line)
    for group in sorted({line.together for line in lines if line.together is not None}):
        yield from _group_faults(group, tuple(line for line in lines if line.together == group))
    yield from size_faults(lines, sum(needs_of(lines).values()))
    yield from _policy_faults(policy)


def size_faults(lines: tuple[Line, ...], units: int) -> Iterator[str]:
    """Say what of an order is too much to be planned at once; `units` count components of kits."""
    if units > UNITS_MAX:
        yield f"the order has {units} units, more than {UNITS_MAX}; split it"
    grams = sum([each.quantity * max(each.weight_grams, each.dimensional_grams) for each in lines])
    if grams > GRAMS_MAX:
        yield f"the order weighs {grams} g, more than {GRAMS_MAX}; split it"


def _policy_faults(policy: Policy) -> Iterator[str]:
    prices = (
        policy.split_minor,
        policy.lateness_minor,
        policy.delay_minor,
        policy.shortage_minor,
    )
    if not all(0 <= price <= PRICE_MINOR_MAX for price in prices):
        yield f"a policy price is outside 0 to {PRICE_MINOR_MAX}: {prices}"
    yield from _strategy_faults(policy)
    if policy.shipments_max is not None and policy.shipments_max < 0:
        yield f"shipments_max is {policy.shipments_max}; give 0 or more, or none for no limit"
    nodes_max = policy.nodes_per_line_max
    if nodes_max is not None and nodes_max < 1:
        yield f"nodes_per_line_max is {nodes_max}; give 1 or more, or none for no limit"
    if policy.time_limit_ms < 0:
        yield f"time_limit_ms is {policy.time_limit_ms}; give 0 or more"


def _strategy_faults(policy: Policy) -> Iterator[str]:
    if policy.radius_km is not None and policy.radius_km < 0:
        yield f"radius_km is {policy.radius_km}; give 0 or more, or none for no limit"
    prices = (policy.co2_minor_per_kg, *(soft.minor for soft in policy.soft))
    if not all(0 <= price <= PRICE_MINOR_MAX for price in prices):
        yield f"the price of emissions or of a soft rule is outside 0 to {PRICE_MINOR_MAX}: {prices}"
    if len(policy.goals) > GOALS_MAX:
        yield f"there are {len(policy.goals)} goals; give at most {GOALS_MAX}"
    for goal in policy.goals:
        yield from goal_faults(goal)


def goal_faults(goal: Goal) -> Iterator[str]:
    """What is wrong with a goal, in sentences without a full stop."""
    name = f"the goal of {goal.measure}"
    if goal.target < 0:
        yield f"{name} has the target {goal.target}; give 0 or more"
    if goal.limit is not None and goal.limit < goal.target:
        yield f"{name} has a limit of {goal.limit} below its target {goal.target}; raise the limit"
    if not 0 <= goal.minor <= GOAL_MINOR_MAX:
        yield f"{name} costs {goal.minor}; give 0 to {GOAL_MINOR_MAX}"
    if not 1 <= goal.per <= GOAL_PER_MAX:
        yield f"{name} is priced per {goal.per}; give 1 to {GOAL_PER_MAX}"
    if bool(goal.names) != (goal.measure == "group_units"):
        yield f"{name} names the groups {goal.names}; only group_units counts groups, and needs one"


def _line_faults(line: Line) -> Iterator[str]:
    if line.quantity < 1:
        yield f"line {line.line_id} asks for {line.quantity} units; ask for at least 1"
    grams = line.weight_grams, line.dimensional_grams
    if min(grams) < 0:
        yield f"line {line.line_id} weighs {min(grams)} g a unit; give 0 or more"
    if not line.methods:
        yield f"line {line.line_id} allows no method; allow ship, pickup or both"
    if line.pickup_node is None and line.methods != ("ship",) and line.methods:
        yield f"line {line.line_id} may be picked up but names no pickup_node"
    yield from _kit_faults(line)


def _kit_faults(line: Line) -> Iterator[str]:
    for each in line.components:
        if each.quantity < 1:
            yield f"kit {line.line_id} has {each.quantity} units of {each.sku}; give at least 1"
    repeated = _repeated(each.sku for each in line.components)
    if repeated is not None:
        yield f"kit {line.line_id} has {repeated} twice; give it once with all its units"


def _group_faults(group: str, lines: tuple[Line, ...]) -> Iterator[str]:
    if not methods_of(lines):
        names = " and ".join(line.line_id for line in lines)
        yield (
            f"lines {names} go together as {group}, but no method and pickup node suits them all;"
            " give them one in common"
        )


def _network_faults(problem: Problem) -> Iterator[str]:
    calendars = {calendar.calendar_id for calendar in problem.calendars}
    tariffs = {tariff.tariff_id: tariff for tariff in problem.tariffs}
    weight = sum(line.quantity * line.priced_grams for line in problem.lines)
    for kind, ids in (
        ("node", (node.node_id for node in problem.nodes)),
        ("calendar", (calendar.calendar_id for calendar in problem.calendars)),
        ("tariff", (tariff.tariff_id for tariff in problem.tariffs)),
        ("lane", ((lane.node_id, lane.to_node, lane.service) for lane in problem.lanes)),
        ("stock record", ((stock.node_id, stock.sku) for stock in problem.stock)),
    ):
        repeated = _repeated(ids)
        if repeated is not None:
            yield f"{kind} {repeated} is given twice; give it once"
    for calendar in problem.calendars:
        yield from _calendar_faults(calendar)
    for node in problem.nodes:
        yield from _node_faults(node, calendars)
    for lane in problem.lanes:
        yield from _lane_faults(lane, calendars, set(tariffs))
        yield from _emission_faults(lane)
        yield from _end_faults(lane, {node.node_id for node in problem.nodes})
    for tariff in problem.tariffs:
        yield from _tariff_faults(tariff, weight)
    for stock in problem.stock:
        yield from _stock_faults(stock)


def _calendar_faults(calendar: Calendar) -> Iterator[str]:
    if not set(calendar.weekdays) <= {1, 2, 3, 4, 5, 6, 7}:
        yield f"calendar {calendar.calendar_id} has weekdays {calendar.weekdays}; use 1 to 7"


def _known_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _node_faults(node: Node, calendars: set[str]) -> Iterator[str]:
    if not _known_zone(node.time_zone):
        yield f"node {node.node_id} has the unknown time zone {node.time_zone}; use an IANA name"
    if node.calendar_id not in calendars:
        yield f"node {node.node_id} names calendar {node.calendar_id}, which is not given"
    if not 0 <= node.handling_days <= DAYS_MAX:
        yield f"node {node.node_id} has {node.handling_days} handling days; give 0 to {DAYS_MAX}"
    handling = node.handling_order_minor, node.handling_unit_minor
    if not all(0 <= price <= PRICE_MINOR_MAX for price in handling):
        yield f"node {node.node_id} has handling {handling}, outside 0 to {PRICE_MINOR_MAX}"
    surcharge = node.surcharge_minor
    if not 0 <= surcharge <= PRICE_MINOR_MAX:
        yield f"node {node.node_id} has surcharge {surcharge}, outside 0 to {PRICE_MINOR_MAX}"
    if node.cut_off.tzinfo is not None:
        yield f"node {node.node_id} has a cut-off with a zone of its own; give a local time"


def _lane_faults(lane: Lane, calendars: set[str], tariffs: set[str]) -> Iterator[str]:
    name = f"lane {lane.node_id} {lane.service}"
    if lane.tariff_id not in tariffs:
        yield f"{name} names tariff {lane.tariff_id}, which is not given"
    if lane.calendar_id is not None and lane.calendar_id not in calendars:
        yield f"{name} names calendar {lane.calendar_id}, which is not given"
    days = lane.transit_days_min, lane.transit_days_max
    if not 0 <= days[0] <= days[1] <= DAYS_MAX:
        yield f"{name} takes {days[0]} to {days[1]} days; give 0 <= min <= max <= {DAYS_MAX}"


def _emission_faults(lane: Lane) -> Iterator[str]:
    grams = lane.co2_grams, lane.co2_grams_per_kg
    if not all(0 <= each <= CO2_GRAMS_MAX for each in grams):
        name = f"lane {lane.node_id} {lane.service}"
        yield f"{name} emits {grams} g; give 0 to {CO2_GRAMS_MAX}"


def _end_faults(lane: Lane, nodes: set[str]) -> Iterator[str]:
    name = f"lane {lane.node_id} {lane.service}"
    if lane.to_node is not None and lane.to_node not in nodes:
        yield f"{name} leads to node {lane.to_node}, which is not given"
    if lane.to_node == lane.node_id:
        yield f"{name} leads to its own node; what is there is picked up"


def _tariff_faults(tariff: Tariff, weight_grams: int) -> Iterator[str]:
    if not tariff.brackets:
        yield f"tariff {tariff.tariff_id} has no brackets; give at least one"
        return
    if any(b.weight_grams_max < 1 for b in tariff.brackets):
        yield f"tariff {tariff.tariff_id} has a bracket below 1 g"
    if any(not 0 <= b.price_minor <= PRICE_MINOR_MAX for b in tariff.brackets):
        yield f"tariff {tariff.tariff_id} has a price outside 0 to {PRICE_MINOR_MAX}"
    heaviest = max(b.weight_grams_max for b in tariff.brackets)
    if weight_grams > heaviest * PARCELS_MAX:
        yield (
            f"the order weighs {weight_grams} g, more than {PARCELS_MAX} parcels of"
            f" {heaviest} g in tariff {tariff.tariff_id}; split it"
        )


def _stock_faults(stock: Stock) -> Iterator[str]:
    repeated = _repeated(supply.supply_id for supply in stock.supply)
    if repeated is not None:
        yield f"supply {repeated} of {stock.sku} at {stock.node_id} is given twice"
    if any(supply.quantity < 0 for supply in stock.supply):
        yield f"supply of {stock.sku} at {stock.node_id} has a negative quantity"
    prices = stock.worth_minor, stock.risk_minor
    if not all(0 <= price <= PRICE_MINOR_MAX for price in prices):
        yield (
            f"{stock.sku} at {stock.node_id} has worth and risk {prices},"
            f" outside 0 to {PRICE_MINOR_MAX}; adding a unit may never lower a price"
        )
