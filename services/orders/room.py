"""Which nodes may be too full for an order, kept as one array so that asking costs microseconds."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import numpy as np

from inventory.nodes import CapacityLeft
from inventory.view import StockView
from routing.problem import Capacity
from routing.promise import local_date
from services.planning.network import Network

CAPACITY_DAYS = 60
"""How far ahead the capacity of a node that may be full is shown to routing."""
KINDS_MAX = 16
"""A node that can take as many more orders has room for whatever one order could open there."""
AMPLE = 1 << 60


class Room:
    """For every node of a network, the units that an order may have before it needs a closer look.

    A node's room is the least that any date has left; where orders are counted instead of units it
    is nothing once fewer than `KINDS_MAX` are left on some date.
    """

    def __init__(self, stock: StockView) -> None:
        """Know nothing yet."""
        self.stock = stock
        self.changed = stock.capacities.follow()
        self.network: Network | None = None
        self.hour: datetime | None = None
        self.rooms = np.zeros(0, np.int64)

    def tight(self, network: Network, units: int, now: datetime) -> dict[str, tuple[Capacity, ...]]:
        """Return the capacity by date of each node that may not take an order of `units`."""
        if not network.limited:
            return {}
        self.follow(network, now)
        from_on = (now - timedelta(days=1)).date()
        node_ids = (self.stock.node_ids[n] for n in np.flatnonzero(self.rooms < units).tolist())
        return {
            node_id: tuple(
                capacity(left)
                for left in self.stock.capacities.left(
                    node_id, network.daily.get(node_id), from_on, CAPACITY_DAYS
                )
            )
            for node_id in node_ids
        }

    def follow(self, network: Network, now: datetime) -> None:
        """Bring the rooms up to date with the view, and each hour with the dates of the nodes."""
        changed = set(self.changed)
        hour = now.replace(minute=0, second=0, microsecond=0)
        if network is not self.network or hour != self.hour:
            self.network, self.hour = network, hour
            self.rooms = np.full(0, AMPLE)
            changed = changed | network.limited
        missing = len(self.stock.node_ids) - self.rooms.size
        if missing > 0:
            self.rooms = np.append(self.rooms, np.full(missing, AMPLE))
        for node_id in changed & network.limited:
            number = self.stock.number(node_id)
            if number >= self.rooms.size:
                self.rooms = np.append(self.rooms, AMPLE)
            self.rooms[number] = self.units(network, node_id, now)
        self.changed.clear()

    def units(self, network: Network, node_id: str, now: datetime) -> int:
        """Return the units an order may have before this node needs a closer look."""
        least = AMPLE
        node = network.nodes.get(node_id)
        if node is None:
            return least
        today = local_date(now, node.time_zone)
        left = self.stock.capacities.least(node_id, network.daily.get(node_id), today)
        for unit, remaining in left:
            least = min(least, remaining if unit == "units" else ample(remaining))
        return least


def narrowed(
    tight: Mapping[str, tuple[Capacity, ...]], kept: Mapping[str, tuple[Capacity, ...]]
) -> Mapping[str, tuple[Capacity, ...]]:
    """Return what nodes have left for an order where they keep places of some dates for others."""
    if not kept:
        return tight
    found = {**tight, **kept}
    for node_id in tight.keys() & kept.keys():
        dates = {each.work_on for each in kept[node_id]}
        left = [each for each in tight[node_id] if each.work_on not in dates]
        found[node_id] = tuple(sorted([*kept[node_id], *left], key=lambda each: each.work_on))
    return found


def ample(orders: int) -> int:
    """Return the room of a node that can take so many more orders."""
    return AMPLE if orders >= KINDS_MAX else 0


def capacity(left: CapacityLeft) -> Capacity:
    """Return what a node has left as routing knows it."""
    return Capacity(work_on=left.work_on, remaining=left.remaining, unit=left.unit)
