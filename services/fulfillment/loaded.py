"""What a strategy says of nodes as they are now, for work that finds another place.

The same as a first decision weighs, on rows read: feeds that are too old, and places that have a
price since a node has much to do.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta

import asyncpg

from inventory.availability import Cell
from inventory.node_feeds import read_feeds
from inventory.nodes import CapacityLeft
from routing.problem import Policy
from routing.promise import NeverError, dispatch_date, start_date
from services.planning.network import Network
from services.prices import records as prices
from services.prices.few import Record, few_prices
from services.prices.load import node_minor

Place = tuple[Network, Policy]
"""The network, and what the strategy that is followed says."""


async def prices_of(
    connection: asyncpg.Connection,
    place: Place,
    wanted: Mapping[str, int],
    cells: Sequence[Cell],
    now: datetime,
) -> Mapping[tuple[str, str], tuple[int, int]]:
    """Return worth and risk of a unit by (node, sku), where the strategy looks at them.

    `wanted` are units by sku.
    """
    network, policy = place
    weights = network.playbook.weights.get(policy.strategy)
    if weights is None:
        return {}
    found = [
        Record(
            cell.node_id,
            cell.sku,
            network.nodes[cell.node_id].time_zone,
            cell.on_hand - cell.reserved - cell.unavailable,
            network.nodes[cell.node_id].kind == "store",
        )
        for cell in cells
        if cell.node_id in network.nodes
    ]
    return await few_prices(connection, found, wanted, weights, now)


async def weighed(
    connection: asyncpg.Connection,
    place: Place,
    cells: Sequence[Cell],
    left: Sequence[CapacityLeft],
    now: datetime,
) -> tuple[list[Cell], Mapping[str, int]]:
    """Return the records of nodes that a strategy does not leave out, and what the nodes cost.

    The price is of one more fulfillment, by node, in minor units.
    """
    old, aged = await stale_nodes(connection, place, {cell.node_id for cell in cells}, now)
    minor = Counter(await surcharges(connection, place, left, now))
    minor.update(aged)
    return [cell for cell in cells if cell.node_id not in old], minor


async def stale_nodes(
    connection: asyncpg.Connection,
    place: Place,
    node_ids: Collection[str],
    now: datetime,
) -> tuple[frozenset[str], Mapping[str, int]]:
    """Return the nodes that a strategy leaves out for the age of their feed, and what others cost.

    The price is of a fulfillment, by node, in minor units.
    """
    network, policy = place
    rule = network.playbook.feeds.get(policy.strategy)
    if rule is None or not node_ids:
        return frozenset(), {}
    limit = timedelta(seconds=rule.age_max_s)
    feeds = await read_feeds(connection, node_ids=node_ids)
    old = frozenset(feed.node_id for feed in feeds if now - feed.seen_at > limit)
    if rule.surcharge_minor is None:
        return old, {}
    return frozenset(), dict.fromkeys(old, rule.surcharge_minor)


async def surcharges(
    connection: asyncpg.Connection,
    place: Place,
    left: Sequence[CapacityLeft],
    now: datetime,
) -> dict[str, int]:
    """Return the price of one more fulfillment by node, on the first date that it can work on.

    Of a date with figures of its own, the maximum is taken to be the node's default or what is
    left, if that is more: how much was set for the date is not read.
    """
    network, policy = place
    weights = network.playbook.weights.get(policy.strategy)
    if not left or (weights is None and not network.overloads):
        return {}
    version = await prices.find_version(connection)
    learned = weights is not None and version is not None and now <= version.valid_until_at
    paces = {each.node_id: each for each in await prices.read_paces(connection)} if learned else {}
    found = {}
    for each in left:
        if each.node_id not in network.nodes:
            continue
        if each.work_on != first_date(network, each.node_id, now):
            continue
        minor = node_minor(each, network, paces.get(each.node_id), weights, now)
        if minor:
            found[each.node_id] = minor
    return found


def first_date(network: Network, node_id: str, now: datetime) -> date | None:
    """Return the first date on which a node can work on what comes now; none where it never does."""
    node = network.nodes[node_id]
    calendar = network.calendars[node.calendar_id]
    with suppress(NeverError):
        return dispatch_date(node, calendar, start_date(node, calendar, now))
    return None
