"""Orders whose work is not released yet, as routing plans them anew together.

Read in one snapshot, without a lock: whoever acts on it looks again under locks.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from uuid import UUID

import asyncpg
import msgspec
import numpy as np

from inventory.availability import Cell, read_cells
from inventory.items import Item, get_items
from inventory.nodes import CapacityLeft, read_capacity
from routing import plan as plans
from routing.leaning import leaned
from routing.plan import Plan, Prices, Promise
from routing.problem import Capacity, Line, Policy
from routing.terrain import Terrain, destination, prepare
from routing.window import Waiting, Window
from services import records as shared_records
from services.fulfillment import exceptions_records, records
from services.fulfillment.records import Work
from services.fulfillment.resource import CAPACITY_DAYS, EXCLUDING, Want, volume_mm3
from services.orders.answers import CostAnswer
from services.orders.lifecycle import find as find_allocation
from services.orders.records import AllocationRow
from services.orders.strategies import decided_by, ruled
from services.orders.translate import dimensional_grams
from services.planning.network import Network

Key = tuple[str, str]
"""sku, node"""


class Waited(msgspec.Struct, frozen=True, kw_only=True):
    """An order that can still be planned anew."""

    works: tuple[Work, ...]
    """Its parcels, none of them asked of a node yet."""
    wants: tuple[Want, ...]
    """Their units by line; lines of plans are named by their positions here."""
    channel: str
    zone_id: str
    strategy: str | None
    barred: frozenset[str]
    beside: int
    """Other work of the order."""

    @property
    def allocation_id(self) -> UUID:
        """Whose it is."""
        return self.works[0].order.allocation_id


class Shelf(msgspec.Struct, frozen=True, kw_only=True):
    """What a channel's waiting orders could be given."""

    now: datetime
    waited: tuple[Waited, ...]
    items: Mapping[str, Item]
    cells: Mapping[Key, Cell]
    capacity: Mapping[str, tuple[Capacity, ...]]
    """By node id."""
    surcharges: Mapping[str, int]
    """By node id: its own price of work beyond what is planned, where it has that today."""


async def read_shelves(
    connection: asyncpg.Connection, network: Network, from_at: datetime, limit: int
) -> list[Shelf]:
    """Read at most `limit` orders that are not released before `from_at`, by channel."""
    now = await shared_records.database_now(connection)
    works = await records.find_waiting(connection, from_at, limit)
    found = [
        await waited(connection, network, tuple(own))
        for _, own in groupby(works, key=lambda work: work.order.allocation_id)
    ]
    by_channel: dict[str, list[Waited]] = {}
    for each in found:
        if each is not None:
            by_channel.setdefault(each.channel, []).append(each)
    return [
        await shelf(connection, network, now, channel, own)
        for channel, own in sorted(by_channel.items())
    ]


async def waited(
    connection: asyncpg.Connection, network: Network, works: tuple[Work, ...]
) -> Waited | None:
    """Return an allocation's parcels as they can be planned anew, none where they cannot."""
    mine = tuple(work for work in works if is_movable(work))
    names = {(line.line_id, line.sku) for work in mine for line in work.lines}
    # Parts of a kit share its line, and go together.
    if not mine or len({line_id for line_id, _ in names}) < len(names):
        return None
    order = mine[0].order
    row = await find_allocation(connection, order.allocation_id)
    if row.state != "confirmed" or row.zone_id not in network.zones:
        return None
    units: Counter[tuple[str, str]] = Counter()
    for work in mine:
        for line in work.lines:
            units[line.line_id, line.sku] += line.quantity
    strategy = await decided_by(connection, order.allocation_id)
    if is_priced(network, strategy, row):
        return None
    barred = await exceptions_records.find_excluded(connection, order.order_id)
    return Waited(
        works=mine,
        wants=tuple(
            Want(line_id=line_id, sku=sku, quantity=quantity)
            for (line_id, sku), quantity in sorted(units.items())
        ),
        channel=row.channel,
        zone_id=row.zone_id,
        strategy=strategy,
        barred=frozenset(node_id for node_id, _ in barred),
        beside=sum(any(line.left for line in work.lines) for work in works) - len(mine),
    )


def is_priced(network: Network, strategy: str | None, row: AllocationRow) -> bool:
    """Tell whether an order's strategy goes by learned prices of units.

    Planned without them it would go where they kept it from, so it stays where it is.
    """
    policy = policy_of(network, strategy, row.channel, row.zone_id or "")
    return policy.strategy in network.playbook.weights


def policy_of(network: Network, strategy: str | None, channel: str, zone_id: str) -> Policy:
    """Return the strategy that decided an order as it is in force now, else what the rules say."""
    followed = network.playbook.policies.get(strategy or "")
    return followed or ruled(network, channel, network.zones[zone_id])


def is_movable(work: Work) -> bool:
    """Tell whether nobody has been asked for some parcel, nor has anything happened to it."""
    order = work.order
    return (
        (order.state, order.request_state, order.method) == ("open", "unsubmitted", "ship")
        and bool(work.lines)
        and all(line.quantity == line.to_pick for line in work.lines)
    )


async def shelf(
    connection: asyncpg.Connection,
    network: Network,
    now: datetime,
    channel: str,
    waited: Sequence[Waited],
) -> Shelf:
    """Read what there is of the skus of a channel's waiting orders."""
    skus = sorted({want.sku for each in waited for want in each.wants})
    cells = await read_cells(connection, skus, channel=channel, today=now.date())
    limited = sorted(network.limited)
    since = (now - timedelta(days=1)).date()
    left = await read_capacity(connection, limited, since, CAPACITY_DAYS) if limited else []
    capacity: dict[str, list[Capacity]] = {}
    for each in left:
        room = Capacity(work_on=each.work_on, remaining=each.remaining, unit=each.unit)
        capacity.setdefault(each.node_id, []).append(room)
    shut = {(cell.sku, cell.node_id) for cell in cells if is_shut(cell)}
    return Shelf(
        now=now.astimezone(UTC),
        waited=tuple(each for each in waited if not shut & places_of(each)),
        items={item.sku: item for item in await get_items(connection, skus)},
        cells={
            (cell.sku, cell.node_id): cell
            for cell in cells
            if cell.node_id in network.nodes and not is_shut(cell)
        },
        capacity={node_id: tuple(rooms) for node_id, rooms in capacity.items()},
        surcharges=surcharges_of(network, left, now),
    )


def surcharges_of(network: Network, left: Sequence[CapacityLeft], now: datetime) -> dict[str, int]:
    """Return the price of one more fulfillment at nodes that have planned for no more by tomorrow."""
    until = now.date() + timedelta(days=1)
    return {
        each.node_id: network.overloads[each.node_id]
        for each in left
        if each.node_id in network.overloads
        and each.work_on <= until
        and each.planned_remaining is not None
        and each.planned_remaining <= 0
    }


def is_shut(cell: Cell) -> bool:
    """Tell whether what is freed at a record is not free for others.

    Nothing is promised from it at all, or more is promised or protected than there is. Relief looks
    after orders that hold such units.
    """
    free = cell.on_hand - cell.reserved - cell.unavailable - cell.buffer - cell.protected
    return cell.buffer_rule in EXCLUDING or free < 0


def places_of(each: Waited) -> set[Key]:
    """Return the records from whose shelves an order is promised."""
    return {
        (line.sku, work.order.node_id)
        for work in each.works
        for line in work.lines
        if line.supply_id is None
    }


def window_of(network: Network, given: Shelf, divisor: int) -> Window:
    """Return the window of waiting orders, their lines named by positions of their wants.

    `divisor` is that of dimensional weight, 0 where weight alone is priced.
    """
    numbers = {node_id: n for n, node_id in enumerate(sorted(network.nodes))}
    terrains = {
        zone_id: terrain_of(network, zone_id, numbers, given.now)
        for zone_id in sorted({each.zone_id for each in given.waited})
    }
    left: dict[str, list[tuple[int, int]]] = {}
    for (sku, node_id), cell in sorted(given.cells.items()):
        left.setdefault(sku, []).append((numbers[node_id], cell.available))
    return Window(
        now=given.now,
        orders=tuple(order_of(network, given, each, terrains, divisor) for each in given.waited),
        left={
            sku: (
                np.array([number for number, _ in own], np.int64),
                np.array([units for _, units in own], np.int64),
            )
            for sku, own in left.items()
        },
        room=given.capacity,
        surcharges=given.surcharges,
    )


def terrain_of(
    network: Network, zone_id: str, numbers: Mapping[str, int], now: datetime
) -> Terrain:
    """Return a zone made ready for orders of this instant."""
    zone = network.zones[zone_id]
    served = destination(
        network.nodes_seen_from(zone),
        network.lanes_to(zone),
        network.calendars.values(),
        network.tariffs.values(),
        zone.time_zone,
    )
    return prepare(served, numbers, now)


def order_of(
    network: Network,
    given: Shelf,
    each: Waited,
    terrains: Mapping[str, Terrain],
    divisor: int,
) -> Waiting:
    """Return a waiting order as routing knows it, by the strategy that decided it."""
    policy = policy_of(network, each.strategy, each.channel, each.zone_id)
    return Waiting(
        order_id=str(each.allocation_id),
        terrain=leaned(terrains[each.zone_id], policy),
        lines=tuple(
            Line(
                line_id=str(position),
                sku=want.sku,
                quantity=want.quantity,
                weight_grams=given.items[want.sku].weight_grams,
                requires=given.items[want.sku].requires,
                dimensional_grams=dimensional_grams(volume_mm3(given.items[want.sku]), divisor),
            )
            for position, want in enumerate(each.wants)
        ),
        policy=policy,
        plan=plan_of(each),
        beside=each.beside,
        barred=each.barred,
    )


def plan_of(each: Waited) -> Plan:
    """Return what was promised for an order, as a plan."""
    position = {(want.line_id, want.sku): str(n) for n, want in enumerate(each.wants)}
    return Plan(
        fulfillments=tuple(fulfillment_of(work, position) for work in each.works),
        shortfalls=(),
        cost=plans.Cost(),
        prices=Prices(),
        objective_minor=0,
        bound_minor=0,
        status="feasible",
        found_by="records",
    )


def fulfillment_of(work: Work, position: Mapping[tuple[str, str], str]) -> plans.Fulfillment:
    """Return some work as a part of a plan."""
    order = work.order
    cost = msgspec.json.decode(order.cost, type=CostAnswer)
    return plans.Fulfillment(
        node_id=order.node_id,
        method="ship",
        service=order.service,
        work_on=order.work_on,
        ship_by=order.ship_by,
        promise=Promise(earliest=order.promise_earliest, latest=order.promise_latest),
        lines=tuple(
            plans.FulfillmentLine(
                line_id=position[line.line_id, line.sku],
                sku=line.sku,
                quantity=line.quantity,
                source="on_hand" if line.supply_id is None else "supply",
                supply_id=line.supply_id,
                available_on=order.work_on,
            )
            for line in work.lines
        ),
        weight_grams=order.weight_grams,
        cost=plans.Cost(
            parcels_minor=cost.parcels.amount_minor,
            handling_minor=cost.handling.amount_minor,
            total_minor=cost.parcels.amount_minor + cost.handling.amount_minor,
        ),
    )
