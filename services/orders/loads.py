"""Which nodes have so much to do that one more fulfillment there has a price, and what price."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from types import MappingProxyType
from zoneinfo import ZoneInfo

from inventory.view import DailyDefault, StockView
from routing.promise import local_instant
from services.orders.ground import Ground
from services.orders.room import CAPACITY_DAYS
from services.planning.network import Network
from services.planning.playbook import Weights
from services.prices.book import Book
from services.prices.load import CHANCE_MIN, Load, load_of, surcharge_minor
from services.prices.records import Pace

NO_SURCHARGES: Mapping[str, int] = MappingProxyType({})
AHEAD = timedelta(days=14)
"""Work of later dates than that is not priced."""
KEPT_MAX = 1_000
"""Surcharges kept by destination and strategy until some node has more or less to do."""
PAUSE = timedelta(minutes=5)
"""Time after which every node is looked at again: the end of its day comes nearer."""


class Loads:
    """The nodes with much to do, by date, as the stock view of one worker knows them."""

    def __init__(self, stock: StockView) -> None:
        """Know nothing yet."""
        self.stock = stock
        self.follower = stock.capacities.follow()
        self.network: Network | None = None
        self.book: Book | None = None
        self.looked_at: datetime | None = None
        self.loads: dict[str, dict[date, Load]] = {}
        """By node and date, of those that have a price."""
        self.kept: dict[tuple[Ground, Weights | None], Mapping[str, int]] = {}

    def surcharges(
        self, ground: Ground, weights: Weights | None, book: Book | None, now: datetime
    ) -> Mapping[str, int]:
        """Return the price of one more fulfillment by node, of the nodes where there is one.

        The date is the first on which a node can do the work of an order of now.
        """
        network = ground.network
        if not network.limited or (weights is None and not network.overloads):
            return NO_SURCHARGES
        self.follow(network, book, now)
        if not self.loads:
            return NO_SURCHARGES
        key = ground, weights
        found = self.kept.get(key)
        if found is None:
            if len(self.kept) >= KEPT_MAX:
                self.kept.clear()
            found = self.kept[key] = self.priced(ground, weights)
        return found

    def priced(self, ground: Ground, weights: Weights | None) -> Mapping[str, int]:
        """Return the same, worked out anew."""
        found = {}
        for node_id, by_date in self.loads.items():
            row = ground.terrain.row_of.get(node_id)
            first = None if row is None else ground.terrain.dispatches[row]
            load = by_date.get(first.work_on) if first is not None else None
            if load is not None:
                minor = surcharge_minor(load, weights, ground.network.overloads.get(node_id))
                if minor:
                    found[node_id] = minor
        return found

    def follow(self, network: Network, book: Book | None, now: datetime) -> None:
        """Bring the loads up to date with the view, all of them where anything else has changed."""
        changed = set(self.follower)
        if (
            network is not self.network
            or book is not self.book
            or self.looked_at is None
            or now - self.looked_at >= PAUSE
        ):
            self.network, self.book, self.looked_at = network, book, now
            self.loads = {}
            self.kept.clear()
            changed |= network.limited
        self.follower.clear()
        for node_id in changed & network.limited:
            loads = self.look(network, node_id, book.paces.get(node_id) if book else None, now)
            if loads != self.loads.get(node_id, {}):
                self.kept.clear()
                self.loads[node_id] = loads
                if not loads:
                    del self.loads[node_id]

    def look(
        self, network: Network, node_id: str, pace: Pace | None, now: datetime
    ) -> dict[date, Load]:
        """Return how full a node is on the dates on which that has a price."""
        node = network.nodes.get(node_id)
        if node is None:
            return {}
        today = now.astimezone(ZoneInfo(node.time_zone)).date()
        daily = network.daily.get(node_id)
        from_on = (now - timedelta(days=1)).date()
        found: dict[date, Load] = {}
        for left in self.stock.capacities.left(node_id, daily, from_on, CAPACITY_DAYS):
            if not today <= left.work_on < today + AHEAD:
                continue
            maximum = self.maximum(node_id, left.work_on, left.slot, daily)
            starts_on = left.work_on - timedelta(days=node.handling_days)
            cut_off_at = local_instant(starts_on, node.cut_off, node.time_zone)
            load = load_of(left, maximum, pace, cut_off_at, now)
            if load.over or load.chance >= CHANCE_MIN:
                found[left.work_on] = load
        return found

    def maximum(self, node_id: str, work_on: date, slot: str, daily: DailyDefault | None) -> int:
        """Return what a node can do at most on a date."""
        row = self.stock.capacities.rows.get(node_id, {}).get((work_on, slot))
        return row.maximum if row is not None else daily.maximum if daily is not None else 0
