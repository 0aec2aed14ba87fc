"""From rows to a `Problem`, and from a `Plan` to a demand on the system of record."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from uuid import UUID, uuid5

import msgspec

from inventory.availability import Cell
from inventory.reserve import CapacityTake, Demand, Take
from routing.plan import Fulfillment, Plan
from routing.problem import Capacity, Line, Method, Node, Policy, Problem, Stock, Supply
from services.orders.request import AllocationRequest, QuoteRequest, RequestLine
from services.orders.strategies import STRATEGIES
from services.planning.network import Network, Zone
from services.problems import Refused

DAY_SLOT = "day"
HERE = "UTC"

Key = tuple[str, str]
"""A stock record: sku, node."""


class ItemFacts(msgspec.Struct, frozen=True):
    """What routing needs to know of an item."""

    weight_grams: int
    requires: tuple[str, ...]


class View:
    """Stock and capacity as one batch saw them, less what its earlier orders have taken.

    Solving each order on what the orders before it leave keeps a batch from racing with itself.
    """

    def __init__(self, cells: Sequence[Cell], capacity: Mapping[str, tuple[Capacity, ...]]) -> None:
        """Start from freshly read cells and each limited node's capacity."""
        self.cells: dict[Key, Cell] = {(cell.sku, cell.node_id): cell for cell in cells}
        self.by_sku: dict[str, list[Key]] = defaultdict(list)
        for key in self.cells:
            self.by_sku[key[0]].append(key)
        self.capacity = dict(capacity)
        self.seen = totals(cells)
        """Units of each sku over all nodes when the view was read."""

    def stock(self, sku: str, *, backorder: bool) -> list[Stock]:
        """Return what each node can give of a sku."""
        found = []
        for key in self.by_sku.get(sku, ()):
            cell = self.cells[key]
            supply = tuple(
                Supply(
                    supply_id=each.supply_id,
                    available_on=each.expected_on,
                    quantity=each.quantity_promisable,
                )
                for each in cell.supply
                if backorder and each.quantity_promisable > 0
            )
            if cell.available > 0 or supply:
                found.append(
                    Stock(node_id=key[1], sku=sku, available=cell.available, supply=supply)
                )
        return found

    def take(self, plan: Plan) -> None:
        """Lower the view by what `plan` takes."""
        for fulfillment in plan.fulfillments:
            for line in fulfillment.lines:
                key = (line.sku, fulfillment.node_id)
                cell = self.cells[key]
                if line.supply_id is None:
                    changed = msgspec.structs.replace(
                        cell, available=cell.available - line.quantity
                    )
                else:
                    changed = msgspec.structs.replace(
                        cell,
                        supply=tuple(
                            msgspec.structs.replace(
                                each,
                                quantity_promisable=each.quantity_promisable - line.quantity,
                            )
                            if each.supply_id == line.supply_id
                            else each
                            for each in cell.supply
                        ),
                    )
                self.cells[key] = changed
            self.take_capacity(fulfillment)

    def take_capacity(self, fulfillment: Fulfillment) -> None:
        """Lower the capacity of the fulfillment's node on its work date."""
        limits = self.capacity.get(fulfillment.node_id)
        if limits is None:
            return
        units = sum(line.quantity for line in fulfillment.lines)
        self.capacity[fulfillment.node_id] = tuple(
            msgspec.structs.replace(
                limit,
                remaining=max(0, limit.remaining - (1 if limit.unit == "orders" else units)),
            )
            if limit.work_on == fulfillment.work_on
            else limit
            for limit in limits
        )


def totals(cells: Sequence[Cell]) -> dict[str, int]:
    """Return the available units of each sku over all nodes."""
    found: dict[str, int] = defaultdict(int)
    for cell in cells:
        found[cell.sku] += cell.available
    return dict(found)


class Reading(msgspec.Struct):
    """What a batch saw before it decided."""

    now: datetime
    read_at: float
    """Monotonic seconds."""
    items: dict[str, ItemFacts]
    views: dict[str, View]
    """By channel, since buffers differ; orders of one channel share a view."""
    network: Network


def problem(
    request: AllocationRequest | QuoteRequest,
    zone: Zone | None,
    reading: Reading,
    decision_ms: int,
) -> Problem:
    """Return the order as routing is asked it; raises `unknown-sku` naming the first unknown one."""
    network, items, view = reading.network, reading.items, reading.views[request.channel]
    for line in request.lines:
        if line.sku not in items:
            raise Refused("unknown-sku", f"Line {line.line_id}: there is no item {line.sku}.")
    stock = [
        each
        for sku in sorted({line.sku for line in request.lines})
        for each in view.stock(sku, backorder=request.policy.backorder)
        if each.node_id in network.nodes
    ]
    node_ids = sorted({each.node_id for each in stock})
    lanes = network.lanes.get(zone.zone_id, {}) if zone else {}
    return Problem(
        now=reading.now.astimezone(UTC),
        destination_time_zone=zone.time_zone if zone else HERE,
        lines=tuple(routing_line(line, items[line.sku]) for line in request.lines),
        nodes=tuple(routing_node(network, node_id, view) for node_id in node_ids),
        stock=tuple(stock),
        lanes=tuple(lane for node_id in node_ids for lane in lanes.get(node_id, ())),
        calendars=tuple(network.calendars.values()),
        tariffs=tuple(network.tariffs.values()),
        policy=routing_policy(request, decision_ms),
    )


def routing_line(line: RequestLine, facts: ItemFacts) -> Line:
    """Return a line of the basket as routing knows it."""
    methods: tuple[Method, ...] = ("ship",)
    if line.method == "pickup":
        methods = ("pickup",)
    elif line.method == "any" and line.pickup_node is not None:
        methods = ("ship", "pickup")
    return Line(
        line_id=line.line_id,
        sku=line.sku,
        quantity=line.quantity,
        weight_grams=facts.weight_grams,
        methods=methods,
        pickup_node=line.pickup_node,
        requested_by=line.requested_by,
        requires=facts.requires,
    )


def routing_node(network: Network, node_id: str, view: View) -> Node:
    """Return a node with the capacity it has left."""
    node = network.nodes[node_id]
    capacity = view.capacity.get(node_id)
    return msgspec.structs.replace(node, capacity=capacity) if capacity else node


def routing_policy(request: AllocationRequest | QuoteRequest, decision_ms: int) -> Policy:
    """Return the strategy's prices with the order's wishes."""
    wished = request.policy
    return msgspec.structs.replace(
        STRATEGIES[wished.strategy],
        ship_complete=wished.ship_complete,
        shipments_max=wished.shipments_max,
        backorder=wished.backorder,
        time_limit_ms=decision_ms,
    )


def demand(
    plan: Plan,
    allocation_id: UUID,
    *,
    actor: str,
    expires_at: datetime,
    view: View,
    limited: frozenset[str],
) -> Demand:
    """Return what the plan takes from the system of record.

    Reservation ids follow from the allocation's id, so repeating the demand names the same rows.
    """
    takes: list[Take] = []
    capacity: dict[tuple[str, date], tuple[int, int]] = {}
    for fulfillment in plan.fulfillments:
        for line in fulfillment.lines:
            takes.append(
                Take(
                    reservation_id=uuid5(allocation_id, str(len(takes))),
                    line_id=line.line_id,
                    sku=line.sku,
                    node_id=fulfillment.node_id,
                    quantity=line.quantity,
                    buffer=view.cells[line.sku, fulfillment.node_id].buffer,
                    supply_id=line.supply_id,
                    promise_on=fulfillment.promise.latest,
                )
            )
        if fulfillment.node_id in limited:
            at = (fulfillment.node_id, fulfillment.work_on)
            orders, units = capacity.get(at, (0, 0))
            taken = sum(line.quantity for line in fulfillment.lines)
            capacity[at] = (orders + 1, units + taken)
    return Demand(
        holder_kind="allocation",
        holder_id=allocation_id,
        actor=actor,
        expires_at=expires_at,
        takes=tuple(takes),
        capacity=tuple(
            CapacityTake(node_id=node_id, work_on=on, slot=DAY_SLOT, orders=orders, units=units)
            for (node_id, on), (orders, units) in capacity.items()
        ),
    )
