"""Where units can come from instead: planned from rows read now, on the network as checkout sees it.

Nothing is written here and nothing is held while the solver runs. A promise is kept where that is
possible: no later date, the same kind of method, the same pickup node, no more parcels than shown.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Literal
from uuid import UUID

import asyncpg
import msgspec

from inventory.availability import Cell, read_cells
from inventory.items import Item, get_items
from inventory.nodes import CapacityLeft, read_capacity
from routing.plan import Plan
from routing.problem import Capacity, Line, Method, Node, Policy, Problem, Stock, Supply
from routing.solve import solve
from services import records as shared_records
from services.database import Database
from services.fulfillment import exceptions_records
from services.fulfillment.loaded import prices_of, weighed
from services.orders.lifecycle import find as find_allocation
from services.orders.lifecycle import told
from services.orders.records import AllocationRow
from services.orders.request import SlotWish
from services.orders.slot_changes import slots_of
from services.orders.slots import Chosen, arrival, chosen, is_for, is_kept
from services.orders.strategies import decided_by, ruled
from services.orders.translate import dimensional_grams
from services.planning.network import Network, Zone, distance_km

EXCLUDING = ("excluded", "node excluded")
"""Rules of buffers under which nothing at all is promised from a record."""
LATE_DAY_MINOR = 100_000
"""Price of a day after the promise: more than any parcel, so that a date is broken last of all."""
SHORT_UNIT_MINOR = 1_000_000_000
"""Price of a unit that nobody gives: more than being late by years."""
CAPACITY_DAYS = 60
HERE = "UTC"
"""Time zone of what is picked up: it has no destination of its own."""

Worse = Literal["late", "parcels"]


class Want(msgspec.Struct, frozen=True, kw_only=True):
    """Units of one line that need another place."""

    line_id: str
    sku: str
    quantity: int


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be placed, and what was promised for it."""

    order_id: str
    allocation_id: UUID
    wants: tuple[Want, ...]
    method: Method
    pickup_node: str | None = None
    """Where the customer collects; none for what is shipped."""
    promise_latest: date
    parcels: int = 1
    """Parcels that may be sent for these units without the customer getting more than shown."""
    backorder: bool = False
    """Whether it may come from expected supply: it was promised from supply before."""
    failed: frozenset[tuple[str, str]] = frozenset()
    """(node, sku) that fail it now, beside those that have failed the order before."""
    near: str | None = None
    """Where the customer is near, when the order has no destination: a pickup node."""
    node_id: str | None = None
    """The only node that is asked, by a person: no buffer and no exclusion binds them."""
    service: str | None = None
    """The only carrier service, by a person."""
    slots: tuple[SlotWish, ...] | None = None
    """Slots instead of those that the order has."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What was read for a need."""

    now: datetime
    channel: str
    zone: Zone | None
    items: dict[str, Item]
    cells: list[Cell]
    capacity: list[CapacityLeft]
    divisor: int = 0
    """Cubic centimeters that count as a kilogram; 0 where weight alone is priced."""
    strategy: str | None = None
    """By name, the one that decided the order; none where that is not known."""
    prices: Mapping[tuple[str, str], tuple[int, int]] = {}
    """Worth and risk of a unit by (node, sku), by what was learned."""
    surcharges: Mapping[str, int] = {}
    """Price of one more fulfillment, by node."""
    slots: Sequence[Chosen] = ()
    """In which the order is to come."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The best plan for a need."""

    plan: Plan
    wants: tuple[Want, ...]
    """Lines of the plan are named by their positions here."""
    buffers: dict[tuple[str, str], int]
    """What is to be left at each (sku, node)."""
    channel: str
    """Whose pools it may take from."""
    late_days: int
    """Days after the promise of the line that comes last; 0 where the promise is kept."""
    more_parcels: int
    """Parcels beyond those shown."""
    slots_missed: int = 0
    """Slots of the order that cannot be kept by it."""
    now: datetime

    @property
    def units(self) -> int:
        """Units that the plan places."""
        return sum(line.quantity for each in self.plan.fulfillments for line in each.lines)

    @property
    def worse(self) -> tuple[Worse, ...]:
        """In which ways the promise is worse than it was."""
        late: tuple[Worse, ...] = ("late",) if self.late_days else ()
        parcels: tuple[Worse, ...] = ("parcels",) if self.more_parcels else ()
        return late + parcels


async def find(
    database: Database, network: Network, need: Need, time_limit_ms: int, *, divisor: int
) -> Found:
    """Return the best plan for a need within about `time_limit_ms`; it may place nothing.

    `divisor` is that of dimensional weight, 0 where there is none. Raises `not-found` for an allocation that does not exist.
    """
    async with database.connect() as connection:
        facts = await read_facts(connection, network, need)
    facts = msgspec.structs.replace(facts, divisor=divisor)
    return await asyncio.to_thread(best, network, need, facts, time_limit_ms)


async def read_facts(connection: asyncpg.Connection, network: Network, need: Need) -> Facts:
    """Read what there is of a need's skus at nodes that have not failed the order."""
    row = await find_allocation(connection, need.allocation_id)
    now = await shared_records.database_now(connection)
    skus = sorted({each.sku for each in need.wants})
    cells = await read_cells(connection, skus, channel=row.channel, today=now.date())
    if need.node_id is not None:
        cells = [unbound(cell) for cell in cells if cell.node_id == need.node_id]
    else:
        before = await exceptions_records.find_excluded(connection, need.order_id)
        failed = before | need.failed
        cells = [
            cell
            for cell in cells
            if (cell.node_id, cell.sku) not in failed and cell.buffer_rule not in EXCLUDING
        ]
    limited = sorted({cell.node_id for cell in cells} & network.limited)
    since = (now - timedelta(days=1)).date()
    zone = network.zones.get(row.zone_id or "") or network.zone_at(need.near)
    strategy = await decided_by(connection, need.allocation_id)
    place = network, followed(network, strategy, row.channel, zone)
    left = await read_capacity(connection, limited, since, CAPACITY_DAYS) if limited else []
    surcharges: Mapping[str, int] = {}
    if need.node_id is None:
        # Whom a person names is asked, whatever that costs.
        cells, surcharges = await weighed(connection, place, cells, left, now)
    wishes = wished(row) if need.slots is None else need.slots
    return Facts(
        now=now,
        channel=row.channel,
        zone=zone,
        strategy=strategy,
        prices=await prices_of(connection, place, wanted_of(need), cells, now),
        surcharges=surcharges,
        slots=chosen([each for each in wishes if each.slot_id in network.slots], network),
        items={item.sku: item for item in await get_items(connection, skus)},
        cells=cells,
        capacity=left,
    )


def wanted_of(need: Need) -> Counter[str]:
    """Return the units that a need is of, by sku."""
    wanted: Counter[str] = Counter()
    for each in need.wants:
        wanted[each.sku] += each.quantity
    return wanted


def wished(row: AllocationRow) -> tuple[SlotWish, ...]:
    """Return the slots in which an order has a place."""
    return tuple(SlotWish(slot_id=each.slot_id, on=each.on) for each in slots_of(told(row)))


def followed(network: Network, strategy: str | None, channel: str, zone: Zone | None) -> Policy:
    """Return the policy of a strategy as it is in force; of the rules' choice where there is none."""
    return network.playbook.policies.get(strategy or "") or ruled(network, channel, zone)


def unbound(cell: Cell) -> Cell:
    """Return a record as a person may use it who looks at the shelf: without buffers.

    What pools have a right to is theirs all the same.
    """
    free = max(cell.on_hand - cell.reserved - cell.unavailable - cell.protected, 0)
    return msgspec.structs.replace(cell, buffer=0, buffer_rule=None, available=free)


def best(network: Network, need: Need, facts: Facts, time_limit_ms: int) -> Found:
    """Return the plan that leaves the fewest units short, is least late, then best by the strategy.

    That is the one that decided the order, as it is in force now; the one the rules give such an
    order where that is not known or not there any more. First one parcel for everything is tried,
    then any number. Pure.
    """
    policy = msgspec.structs.replace(
        followed(network, facts.strategy, facts.channel, facts.zone),
        backorder=need.backorder,
        ship_complete=False,
        shipments_max=None,
        lateness_minor=LATE_DAY_MINOR,
        shortage_minor=SHORT_UNIT_MINOR,
        time_limit_ms=time_limit_ms // 2,
    )
    if need.node_id is not None or need.service is not None:
        # Whom a person names is not left out by a strategy.
        policy = msgspec.structs.replace(
            policy, radius_km=None, groups_only=(), groups_never=(), services=()
        )
    plans = (
        solve(problem(network, need, facts, each)) for each in policies_for(policy, need, facts)
    )
    return min((judged(plan, network, need, facts) for plan in plans), key=rank)


def policies_for(policy: Policy, need: Need, facts: Facts) -> list[Policy]:
    """Return what is tried: one parcel, any number, and both by the service of the order's slot."""
    if need.method != "ship":
        return [policy]
    tried = [msgspec.structs.replace(policy, ship_complete=True, shipments_max=1), policy]
    services = tuple(slot.service for slot, _ in facts.slots if slot.service is not None)
    if services and need.service is None:
        tried += [msgspec.structs.replace(each, services=services) for each in tried]
    return tried


def rank(found: Found) -> tuple[int, int, int, int, int]:
    """Return what makes one plan better than another, the weightiest first."""
    return (
        -found.units,
        found.slots_missed,
        found.late_days,
        found.more_parcels,
        found.plan.objective_minor,
    )


def judged(plan: Plan, network: Network, need: Need, facts: Facts) -> Found:
    """Return a plan with how it compares to what was promised."""
    arrivals = [arrival(each) for each in plan.fulfillments]
    latest = max((each.promise.latest for each in plan.fulfillments), default=need.promise_latest)
    parcels = sum(each.method != "pickup" for each in plan.fulfillments)
    return Found(
        plan=plan,
        wants=need.wants,
        buffers={(cell.sku, cell.node_id): cell.buffer for cell in facts.cells},
        channel=facts.channel,
        late_days=max((latest - need.promise_latest).days, 0),
        more_parcels=max(parcels - need.parcels, 0),
        slots_missed=sum(
            not is_kept(slot, on, each, network, facts.zone)
            for slot, on in facts.slots
            for each in arrivals
            if is_for(slot, each)
        ),
        now=facts.now,
    )


def problem(network: Network, need: Need, facts: Facts, policy: Policy) -> Problem:
    """Return the problem that a need poses; its lines are named by their positions."""
    stock = [
        stocked(cell, need, facts.prices.get((cell.node_id, cell.sku), (0, 0)))
        for cell in facts.cells
        if cell.node_id in network.nodes
    ]
    stock = [each for each in stock if each.available > 0 or each.supply]
    holding = {each.node_id for each in stock}
    stores = [need.pickup_node] if need.pickup_node and need.method == "ship_to_store" else []
    known = holding.union(stores)
    nodes = [node for node in network.nodes_seen_from(facts.zone) if node.node_id in known]
    return Problem(
        now=facts.now,
        destination_time_zone=facts.zone.time_zone if facts.zone else HERE,
        lines=tuple(line_of(n, want, need, facts) for n, want in enumerate(need.wants)),
        nodes=tuple(as_it_is(node, facts) for node in nodes),
        stock=tuple(stock),
        lanes=tuple(
            lane
            for lane in network.lanes_to(facts.zone, stores)
            if lane.node_id in holding and need.service in (None, lane.service)
        ),
        calendars=tuple(network.calendars.values()),
        tariffs=tuple(network.tariffs.values()),
        policy=policy,
    )


def line_of(position: int, want: Want, need: Need, facts: Facts) -> Line:
    """Return units to be placed as routing knows them."""
    item = facts.items[want.sku]
    return Line(
        line_id=str(position),
        sku=want.sku,
        quantity=want.quantity,
        weight_grams=item.weight_grams,
        # What was sent to a store may as well come from its own shelf.
        methods=("pickup", need.method) if need.method == "ship_to_store" else (need.method,),
        pickup_node=need.pickup_node,
        requested_by=need.promise_latest,
        requires=item.requires,
        dimensional_grams=dimensional_grams(volume_mm3(item), facts.divisor),
    )


def volume_mm3(item: Item) -> int:
    """Return the volume of a unit, 0 where its size is not known."""
    return (item.length_mm or 0) * (item.width_mm or 0) * (item.height_mm or 0)


def stocked(cell: Cell, need: Need, prices: tuple[int, int]) -> Stock:
    """Return what a record can give to a need; prices are the worth and the risk of a unit."""
    wanted = sum(each.quantity for each in need.wants if each.sku == cell.sku)
    return Stock(
        node_id=cell.node_id,
        sku=cell.sku,
        available=min(cell.available, wanted),
        supply=tuple(
            Supply(
                supply_id=each.supply_id,
                available_on=each.expected_on,
                quantity=each.quantity_promisable,
            )
            for each in cell.supply
            if each.quantity_promisable > 0
        )
        if need.backorder
        else (),
        worth_minor=prices[0],
        risk_minor=prices[1],
    )


def as_it_is(node: Node, facts: Facts) -> Node:
    """Return a node with what it can still take, and what one more fulfillment costs there."""
    own = tuple(
        Capacity(work_on=each.work_on, remaining=each.remaining, unit=each.unit)
        for each in facts.capacity
        if each.node_id == node.node_id
    )
    return msgspec.structs.replace(
        node, capacity=own, surcharge_minor=facts.surcharges.get(node.node_id, 0)
    )


def nearest(
    network: Network, node_id: str, candidates: Collection[str], count: int
) -> list[tuple[str, float]]:
    """Return the nodes nearest to a node, with how many kilometers away they are."""
    here = network.places[node_id]
    found = [
        (other, distance_km(here, network.places[other]))
        for other in candidates
        if other in network.places and other != node_id
    ]
    return sorted(found, key=lambda each: (each[1], each[0]))[:count]
