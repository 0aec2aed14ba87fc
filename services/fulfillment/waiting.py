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

from inventory.availability import Cell, read_cells
from inventory.items import Item, get_items
from inventory.node_feeds import read_feeds
from inventory.nodes import CapacityLeft, read_capacity
from routing.problem import Line, Policy
from routing.record import lines_of
from routing.record import strategy_of as strategy_recorded
from services import records as shared_records
from services.fulfillment import exceptions_records, records
from services.fulfillment.records import Work
from services.fulfillment.resource import CAPACITY_DAYS, EXCLUDING, Want
from services.fulfillment.waiting_prices import Learned, read_learned
from services.orders.lifecycle import find as find_allocation
from services.orders.records import find_decision as find_record
from services.orders.strategies import ruled
from services.orders.translate import DAY_SLOT
from services.planning.feed_ages import FeedRule
from services.planning.network import Network
from services.planning.playbook import Weights

Key = tuple[str, str]
"""sku, node"""


class Waited(msgspec.Struct, frozen=True, kw_only=True):
    """An order that can still be planned anew."""

    works: tuple[Work, ...]
    """Its parcels, none of them asked of a node yet."""
    wants: tuple[Want, ...]
    """Their units by line, of kits whole kits; lines of plans are named by their positions here."""
    asked: Mapping[str, Line]
    """By id: the lines as they were decided; none where that is not kept."""
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

    @property
    def skus(self) -> set[str]:
        """What its units are of."""
        return {line.sku for work in self.works for line in work.lines}

    def parts(self, want: Want) -> Mapping[str, int]:
        """Return what a unit of a line takes of each sku."""
        asked = self.asked.get(want.line_id)
        parts = {each.sku: each.quantity for each in asked.components} if asked else {}
        return parts or {want.sku: 1}


class Shelf(msgspec.Struct, frozen=True, kw_only=True):
    """What a channel's waiting orders could be given."""

    now: datetime
    waited: tuple[Waited, ...]
    items: Mapping[str, Item]
    cells: Mapping[Key, Cell]
    left: tuple[CapacityLeft, ...]
    """What nodes can still take, by date."""
    surcharges: Mapping[str, int]
    """By node id: its own price of work beyond what is planned, where it has that today."""
    learned: Learned | None = None
    """Learned prices in force, where a strategy goes by them."""
    feeds: Mapping[str, datetime] = {}
    """By node id: when a feed last told of its stock, where a strategy minds."""


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
    if not mine:
        return None
    order = mine[0].order
    row = await find_allocation(connection, order.allocation_id)
    if row.state != "confirmed" or row.zone_id not in network.zones:
        return None
    # Imported orders and those made at a counter were not decided by routing.
    record = await find_record(connection, order.allocation_id)
    asked = {line.line_id: line for line in lines_of(record)} if record else {}
    wants = wants_of(mine, asked)
    if wants is None:
        return None
    barred = await exceptions_records.find_excluded(connection, order.order_id)
    return Waited(
        works=mine,
        wants=wants,
        asked=asked,
        channel=row.channel,
        zone_id=row.zone_id,
        strategy=strategy_recorded(record).rpartition("@")[0] if record else None,
        barred=frozenset(node_id for node_id, _ in barred),
        beside=sum(any(line.left for line in work.lines) for work in works) - len(mine),
    )


def wants_of(works: Sequence[Work], asked: Mapping[str, Line]) -> tuple[Want, ...] | None:
    """Return the units of some work by line, of kits whole kits.

    None where that is not known: parts of a kit that do not make up whole ones, or of a group of
    lines that go together.
    """
    by_line: dict[str, Counter[str]] = {}
    for work in works:
        for line in work.lines:
            by_line.setdefault(line.line_id, Counter())[line.sku] += line.quantity
    wants = []
    for line_id, units in sorted(by_line.items()):
        known = asked.get(line_id)
        kit = {each.sku: each.quantity for each in known.components} if known else {}
        if known is None or not kit:
            if len(units) > 1:
                return None
            (sku, count), *_ = units.items()
        else:
            sku, count = known.sku, min(units[part] // each for part, each in kit.items())
            if units != {part: each * count for part, each in kit.items()}:
                return None
        wants.append(Want(line_id=line_id, sku=sku, quantity=count))
    there = {want.line_id: want.quantity for want in wants}
    names = {asked[line_id].together for line_id in there if line_id in asked} - {None}
    grouped = [line for line in asked.values() if line.together in names]
    if any(there.get(line.line_id) != line.quantity for line in grouped):
        return None
    return tuple(wants)


def policy_of(network: Network, strategy: str | None, channel: str, zone_id: str) -> Policy:
    """Return the strategy that decided an order as it is in force now, else what the rules say."""
    followed = network.playbook.policies.get(strategy or "")
    return followed or ruled(network, channel, network.zones[zone_id])


def weights_of(network: Network, each: Waited) -> Weights | None:
    """Return what an order's strategy makes of learned prices; none where it does not look."""
    policy = policy_of(network, each.strategy, each.channel, each.zone_id)
    return network.playbook.weights.get(policy.strategy)


def feed_rule_of(network: Network, each: Waited) -> FeedRule | None:
    """Return what an order's strategy says of nodes whose feed is old; none where it does not mind."""
    policy = policy_of(network, each.strategy, each.channel, each.zone_id)
    return network.playbook.feeds.get(policy.strategy)


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
    skus = sorted({sku for each in waited for sku in each.skus})
    sold = sorted({want.sku for each in waited for want in each.wants}.union(skus))
    cells = await read_cells(connection, skus, channel=channel, today=now.date())
    limited = sorted(network.limited)
    since = (now - timedelta(days=1)).date()
    left = await read_capacity(connection, limited, since, CAPACITY_DAYS) if limited else []
    shut = {(cell.sku, cell.node_id) for cell in cells if is_shut(cell)}
    learned = None
    if any(weights_of(network, each) for each in waited):
        names = sorted({cell.node_id for cell in cells})
        learned = await read_learned(connection, skus, names, now)
    feeds = []
    if any(feed_rule_of(network, each) for each in waited):
        feeds = await read_feeds(connection, node_ids={cell.node_id for cell in cells})
    left = [each for each in left if each.slot == DAY_SLOT]
    return Shelf(
        now=now.astimezone(UTC),
        # Without the prices that its strategy goes by an order would go where they kept it from.
        waited=tuple(
            each
            for each in waited
            if not shut & places_of(each) and (learned or not weights_of(network, each))
        ),
        items={item.sku: item for item in await get_items(connection, sold)},
        cells={
            (cell.sku, cell.node_id): cell
            for cell in cells
            if cell.node_id in network.nodes and not is_shut(cell)
        },
        left=tuple(left),
        surcharges=surcharges_of(network, left, now),
        learned=learned,
        feeds={feed.node_id: feed.seen_at for feed in feeds},
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
