"""Every fulfillment that could be made of an order, found by the rules in the plainest way.

Like the search that uses them it shares no code with routing: dates come from `slow_dates`, parcels
from a recursion over the brackets.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

from routing.problem import Lane, Line, Node, Policy, Problem
from tests.routing import slow_dates


@dataclass(frozen=True)
class Option:
    """One fulfillment that could be made, and who is paid for handling it."""

    node: Node
    lane: Lane | None
    collected_at: str | None
    start_on: date
    work_on: date
    latest: date
    brackets: tuple[tuple[int, int], ...]
    hands: tuple[Node, ...]


@lru_cache(maxsize=200_000)
def parcels(brackets: tuple[tuple[int, int], ...], weight: int) -> int:
    """Cheapest multiset of brackets that covers the weight; nothing without brackets."""
    if not brackets:
        return 0
    return min(p + (parcels(brackets, weight - w) if weight > w else 0) for w, p in brackets)


def starts(
    problem: Problem, node: Node, lane: Lane | None, *, every_date: bool
) -> list[tuple[date, date]]:
    """(start, dispatch) dates worth trying at a node.

    A later start than the first needs a reason: supply that has come since the one before, or a
    capacity on the dispatch date of the one before. `every_date` tries them all, to test that.
    """
    calendar = next(c for c in problem.calendars if c.calendar_id == node.calendar_id)
    first = slow_dates.first_day(node.time_zone, node.cut_off, problem.now)
    if lane is not None and lane.cut_off is not None:
        first = max(first, slow_dates.first_day(node.time_zone, lane.cut_off, problem.now))
    days = slow_dates.worked_days(calendar, first, 14, node.time_zone)
    if len(days) < 14:
        return []
    supplies = [s for stock in problem.stock if stock.node_id == node.node_id for s in stock.supply]
    limits = {limit.work_on for limit in node.capacity}
    kept = [(days[0], days[node.handling_days])]
    for d in range(1, 8):
        day, dispatch = days[d], days[d + node.handling_days]
        arrived = any(days[d - 1] < s.available_on <= day for s in supplies)
        if every_date or arrived or days[d - 1 + node.handling_days] in limits:
            kept.append((day, dispatch))
    return kept


def options(problem: Problem, *, every_date: bool = False) -> list[Option]:
    """Every fulfillment any node could make."""
    tariffs = {
        t.tariff_id: tuple((b.weight_grams_max, b.price_minor) for b in t.brackets)
        for t in problem.tariffs
    }
    found = []
    for node in problem.nodes:
        if not wanted(problem.policy, node, None):
            continue
        for start, dispatch in starts(problem, node, None, every_date=every_date):
            if "pickup" in node.capabilities:
                found.append(
                    Option(node, None, node.node_id, start, dispatch, dispatch, (), (node,))
                )
        for lane in problem.lanes:
            if lane.node_id != node.node_id or not wanted(problem.policy, node, lane):
                continue
            rates = tariffs[lane.tariff_id]
            hands = (node, *(n for n in problem.nodes if n.node_id == lane.to_node))
            for start, dispatch in starts(problem, node, lane, every_date=every_date):
                latest = arrival(problem, node, lane, dispatch)
                if latest is not None:
                    found.append(
                        Option(node, lane, lane.to_node, start, dispatch, latest, rates, hands)
                    )
    return found


def wanted(policy: Policy, node: Node, lane: Lane | None) -> bool:
    """Whether a strategy wants a node, and a lane of it."""
    near = policy.radius_km is None or not far(policy.radius_km, node, lane)
    service = lane is None or not policy.services or lane.service in policy.services
    groups = set(node.groups)
    only = not policy.groups_only or bool(groups & set(policy.groups_only))
    return near and service and only and not groups & set(policy.groups_never)


def far(kilometers: int, node: Node, lane: Lane | None) -> bool:
    """Whether a parcel to the customer's door would come from farther away."""
    to_the_door = lane is not None and lane.to_node is None
    return to_the_door and node.distance_km is not None and node.distance_km > kilometers


def disliked(policy: Policy, option: Option) -> int:
    """What the soft rules that an option breaks cost, and its emissions but for the weight."""
    total = 0
    for soft in policy.soft:
        total += (
            soft.minor
            * {
                "groups_never": bool(set(soft.names) & set(option.node.groups)),
                "services": option.lane is not None and option.lane.service not in soft.names,
                "radius_km": far(soft.radius_km, option.node, option.lane),
            }[soft.rule]
        )
    return total + (option.lane.co2_grams * policy.co2_minor_per_kg // 1000 if option.lane else 0)


def arrival(problem: Problem, node: Node, lane: Lane, dispatch: date) -> date | None:
    """The last date on which the customer has what leaves a node by a lane, none when never."""
    calendars = {c.calendar_id: c for c in problem.calendars}
    store = next((n for n in problem.nodes if n.node_id == lane.to_node), None)
    zone = store.time_zone if store else problem.destination_time_zone
    carrier = calendars[lane.calendar_id] if lane.calendar_id else None
    at = lane.cut_off or node.cut_off
    leaves = slow_dates.cut_off_instant(node.time_zone, dispatch, at)
    days = slow_dates.worked_days(carrier, slow_dates.today(zone, leaves), 14, zone)
    if len(days) < 14:
        return None
    if store is None:
        return days[lane.transit_days_max]
    there = days[lane.transit_days_max] + timedelta(days=1)
    worked = slow_dates.worked_days(calendars[store.calendar_id], there, 14, zone)
    return worked[store.handling_days] if len(worked) == 14 else None


def counted(line: Line) -> int:
    """What a unit counts for in a parcel."""
    return max(line.weight_grams, line.dimensional_grams)
