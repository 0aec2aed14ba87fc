"""The same orders by other rules, on the stock each order could see.

The replay knows every plan that was held and released, and when it learned of it. Walking through
these events again gives the stock as it was known when each order was sent: exactly what the order
saw where one caller replays; with more callers, off by what was under way at that moment.
"""

from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from itertools import groupby

import msgspec

from inventory.nodes import Node
from inventory.view import StockView, Taking
from routing import problem as asked
from routing.basket import problem_of, seen
from routing.greedy import single_then_greedy
from routing.plan import Cost, Plan
from routing.problem import Lane, Problem
from routing.solve import solve
from services.demo.network import DemoNetwork
from services.demo.orders import DemoOrder
from services.demo.replay import Replay, Replayed
from services.orders.answers import AllocationAnswer, CostAnswer
from services.orders.ground import Grounds
from services.orders.request import AllocationRequest, verify
from services.orders.strategies import strategy_of
from services.orders.translate import basket
from services.planning.network import Network, build
from services.planning.records import LaneGroup, NetworkRows, NodeRow, ZoneLane

DECISION_MS = 1_000
"""Time for each of the two plans of a choice; more than the service takes, to prove more."""

HURRY_MINOR = 100_000
"""Price of a line's day at which a plan is as early as can be, below the price of a shortfall."""

Watch = Callable[[int], None]


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One order as it was planned and as a rule engine would have planned it."""

    number: int
    lines: int
    proven: bool
    """Whether the plan is proven optimal."""
    cost: Cost
    greedy_cost: Cost
    shipments: int
    greedy_shipments: int
    units: int
    greedy_units: int
    """Units the rule finds; a comparison of money is fair only where both find the same."""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The cheapest and the earliest plan of one order."""

    number: int
    cheapest_minor: int
    earliest_minor: int
    cheapest_line_days: int
    """Days from the order to the promise, summed over lines."""
    earliest_line_days: int

    @property
    def is_real(self) -> bool:
        """Whether neither plan dominates the other: one is cheaper, the other earlier."""
        return (
            self.cheapest_minor < self.earliest_minor
            and self.earliest_line_days < self.cheapest_line_days
        )


class Rebuilt:
    """The network and its stock as the service has them, rebuilt from the demonstration's values."""

    def __init__(self, network: DemoNetwork) -> None:
        """Start from the opening stock."""
        self.network = planning_network(network)
        self.grounds = Grounds()
        self.stock = StockView()
        self.stock.apply_items(
            [(item.sku, item.weight_grams, ()) for item in network.items], replace=True
        )
        rows = zip(
            network.stock.skus, network.stock.node_ids, network.stock.quantities, strict=True
        )
        self.stock.apply_stock(
            [(sku, node_id, quantity, 0, 0, 0) for sku, node_id, quantity in rows]
        )
        self.takings: dict[str, Taking] = {}

    def hold(self, answer: AllocationAnswer) -> None:
        """Take what an allocation holds."""
        self.takings[answer.order_id] = self.stock.take(
            [
                (line.sku, fulfillment.node, line.quantity)
                for fulfillment in answer.fulfillments
                for line in fulfillment.lines
            ]
        )

    def release(self, answer: AllocationAnswer) -> None:
        """Give back what an allocation held."""
        self.stock.give_back(self.takings.pop(answer.order_id))

    def left(self) -> dict[tuple[str, str], int]:
        """Return the units that are left of each stock record, by sku and node."""
        return {
            (sku, self.stock.node_ids[number]): on_hand - pending
            for sku in self.stock.slots
            for number, on_hand, _, _, pending in self.stock.cells(sku).tolist()
        }

    def asked(self, request: AllocationRequest, now: datetime) -> Problem:
        """Return what routing is asked for an order, on the stock of this moment."""
        zone = verify(request, self.network, now)
        ground = self.grounds.find(self.network, zone, self.stock, now)
        found = basket(request, self.stock, strategy_of(request, self.network, zone), now)
        there = seen(ground.terrain, found)
        policy = msgspec.structs.replace(found.policy, time_limit_ms=DECISION_MS)
        return problem_of(ground.terrain.destination, there, now, found.lines, policy)


def problems(
    network: DemoNetwork, replay: Replay, numbers: Collection[int]
) -> Iterator[tuple[Replayed, Problem]]:
    """Yield the chosen orders in the order in which they were sent, each with its problem."""
    rebuilt = Rebuilt(network)
    by_number = {each.order.number: each for each in replay.orders}
    for event in replay.events:
        replayed = by_number[event.number]
        if event.kind == "sent" and event.number in numbers:
            yield replayed, rebuilt.asked(replayed.order.request, replayed.sent_at)
        elif event.kind == "held" and replayed.answer is not None:
            rebuilt.hold(replayed.answer)
        elif event.kind == "released" and replayed.answer is not None:
            rebuilt.release(replayed.answer)


def compare(replayed: Replayed, asked_for: Problem) -> Compared | None:
    """Return how an order's plan compares with the rule's; none where the order was refused."""
    if replayed.answer is None:
        return None
    rule = single_then_greedy(asked_for)
    return Compared(
        number=replayed.order.number,
        lines=len(replayed.order.request.lines),
        proven=replayed.answer.solver.status == "optimal",
        cost=cost_of(replayed.answer.cost),
        greedy_cost=rule.cost,
        shipments=sum(each.method == "ship" for each in replayed.answer.fulfillments),
        greedy_shipments=sum(each.method == "ship" for each in rule.fulfillments),
        units=sum(line.quantity for each in replayed.answer.fulfillments for line in each.lines),
        greedy_units=sum(line.quantity for each in rule.fulfillments for line in each.lines),
    )


def choice(order: DemoOrder, asked_for: Problem) -> Choice:
    """Return the two ends of an order's choice: least money, and fewest days at least money."""
    cheapest = solve(priced(asked_for, delay_minor=0))
    earliest = solve(priced(asked_for, delay_minor=HURRY_MINOR))
    return Choice(
        number=order.number,
        cheapest_minor=cheapest.cost.total_minor,
        earliest_minor=earliest.cost.total_minor,
        cheapest_line_days=line_days(cheapest, asked_for),
        earliest_line_days=line_days(earliest, asked_for),
    )


def priced(asked_for: Problem, *, delay_minor: int) -> Problem:
    """Return a problem with another price for waiting."""
    policy = msgspec.structs.replace(asked_for.policy, delay_minor=delay_minor)
    return msgspec.structs.replace(asked_for, policy=policy)


def line_days(plan: Plan, asked_for: Problem) -> int:
    """Return the days from the order to the promise of its last unit, summed over lines."""
    latest: dict[str, int] = {}
    ordered_on = asked_for.now.date()
    for fulfillment in plan.fulfillments:
        days = (fulfillment.promise.latest - ordered_on).days
        for line in fulfillment.lines:
            latest[line.line_id] = max(latest.get(line.line_id, days), days)
    return sum(latest.values())


def cost_of(told: CostAnswer) -> Cost:
    """Return the cost an answer tells."""
    return Cost(
        parcels_minor=told.parcels.amount_minor,
        handling_minor=told.handling.amount_minor,
        split_minor=told.split.amount_minor,
        lateness_minor=told.lateness.amount_minor,
        total_minor=told.total.amount_minor,
    )


def planning_network(network: DemoNetwork) -> Network:
    """Return the network as the service would read it from its database."""
    return build(
        NetworkRows(
            version=0,
            nodes=tuple(node_row(node) for node in network.nodes),
            lanes=tuple(lane_groups(network.lanes)),
            calendars=tuple(network.calendars),
            tariffs=tuple(network.tariffs),
            zones=tuple(network.zones),
        )
    )


def node_row(node: Node) -> NodeRow:
    """Return a node as the network reads it: all of routing's fields that are master data."""
    wanted = {field.name for field in msgspec.structs.fields(asked.Node)}
    wanted &= {field.name for field in msgspec.structs.fields(Node)}
    return NodeRow(
        node=asked.Node(**{name: getattr(node, name) for name in wanted}),
        latitude=node.latitude,
        longitude=node.longitude,
        enabled=True,
        limited=False,
    )


def lane_groups(lanes: list[ZoneLane]) -> Iterator[LaneGroup]:
    """Yield lanes grouped by everything but their zone, by node and service."""
    for key, group in groupby(sorted(lanes, key=lane_key), key=lane_key):
        node_id, service, tariff_id, days_min, days_max, calendar_id = key
        lane = Lane(
            node_id=node_id,
            service=service,
            tariff_id=tariff_id,
            transit_days_min=days_min,
            transit_days_max=days_max,
            calendar_id=calendar_id,
        )
        yield LaneGroup(lane=lane, zone_ids=tuple(each.zone_id for each in group))


def lane_key(lane: ZoneLane) -> tuple[str, str, str, int, int, str]:
    """Return everything about a lane but its zone; every lane here has a calendar."""
    return (
        lane.node_id,
        lane.service,
        lane.tariff_id,
        lane.transit_days_min,
        lane.transit_days_max,
        lane.calendar_id or "",
    )
