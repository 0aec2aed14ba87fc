"""Which nodes have so much to do that one more fulfillment has a price there, by date; and when then.

An order that can wait is given the date of a node for which price and waiting come to least; places
that are left before it are kept for orders that cannot. See `routing.putting_off`.
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple

from inventory.view import DailyDefault, StockView
from routing.basket import Basket
from routing.dates import Start
from routing.problem import Capacity
from routing.promise import local_date, local_instant
from routing.putting_off import Waits, can_wait, starts_of, waits_minor, waits_of
from services.orders.ground import Ground
from services.orders.room import CAPACITY_DAYS
from services.planning.network import Network
from services.planning.playbook import Weights
from services.prices.book import Book
from services.prices.load import CHANCE_MIN, Load, load_of, surcharge_minor
from services.prices.records import Pace

AHEAD = timedelta(days=21)
"""Work of later dates than that is not priced."""
KEPT_MAX = 100
"""Destinations, each with a strategy, of which prices by date are kept."""
NEVER_MINOR = 1 << 60
"""More than any date costs."""
PAUSE = timedelta(minutes=5)
"""Time after which every node is looked at again: the end of its day comes nearer."""


class Charged(NamedTuple):
    """What an order pays for places beyond money, and which it leaves to others; by node id."""

    surcharges: Mapping[str, int]
    """Price of one more fulfillment on the date that the node should start on."""
    kept: Mapping[str, tuple[Capacity, ...]]
    """Dates before that with room, which is kept; of nodes that should not start at once."""


UNCHARGED = Charged(MappingProxyType({}), MappingProxyType({}))


class Dated(NamedTuple):
    """A date that a node offers."""

    start: Start
    minor: int
    """Price of one more fulfillment."""
    load: Load | None
    """None where nothing has a price."""


class Offered(NamedTuple):
    """The dates that a node offers for a destination, up to the first without a price."""

    seen: Mapping[date, Load]
    """The loads that it was worked out from."""
    dates: tuple[Dated, ...]


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
        self.kept: dict[tuple[Ground, Weights | None], dict[str, Offered]] = {}

    def charged(
        self, asked: Basket, ground: Ground, weights: Weights | None, book: Book | None
    ) -> Charged:
        """Return what places cost an order at the nodes that hold any of it, and when they start."""
        network = ground.network
        if not network.limited or (weights is None and not network.overloads):
            return UNCHARGED
        self.follow(network, book, asked.now)
        if not self.loads:
            return UNCHARGED
        if len(self.kept) > KEPT_MAX:
            self.kept.clear()
        known = self.kept.setdefault((ground, weights), {})
        terrain, expecting = ground.terrain, {node_id for node_id, _ in asked.supply}
        waits = waits_of(asked.policy, asked.lines, terrain.ordered_on)
        patient = can_wait(terrain, asked.lines)
        surcharges: dict[str, int] = {}
        kept: dict[str, tuple[Capacity, ...]] = {}
        for node_id in self.holding(asked, expecting):
            dates = self.offered(known, ground, weights, node_id)
            at = chosen(dates, waits) if patient and node_id not in expecting else 0
            if dates and dates[at].minor:
                surcharges[node_id] = dates[at].minor
            if at:
                kept[node_id] = tuple(
                    kept_back(each.load) for each in dates[:at] if each.load is not None
                )
        return Charged(surcharges, kept)

    def holding(self, asked: Basket, expecting: set[str]) -> list[str]:
        """Return the nodes with much to do that have or expect any of an order."""
        held = asked.held.numbers[asked.held.units > 0].tolist()
        names = expecting.union([self.stock.node_ids[number] for number in held])
        return [node_id for node_id in self.loads if node_id in names]

    def offered(
        self,
        known: dict[str, Offered],
        ground: Ground,
        weights: Weights | None,
        node_id: str,
    ) -> tuple[Dated, ...]:
        """Return the dates that a node offers, from those known while nothing has changed there."""
        loads, found = self.loads[node_id], known.get(node_id)
        if found is not None and found.seen is loads:
            return found.dates
        dates: list[Dated] = []
        row = ground.terrain.row_of.get(node_id)
        own_minor = ground.network.overloads.get(node_id)
        for start in starts_of(ground.terrain, row) if row is not None else ():
            load = loads.get(start.work_on)
            minor = surcharge_minor(load, weights, own_minor) if load else 0
            dates.append(Dated(start, minor, load))
            if load is None or not (minor or load.left.remaining <= 0):
                # Later dates cost no less.
                break
        known[node_id] = Offered(loads, tuple(dates))
        return known[node_id].dates

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
        today = local_date(now, node.time_zone)
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


def chosen(dates: tuple[Dated, ...], waits: Waits) -> int:
    """Return the date, by its place, for which price and waiting come to least; the first of those.

    Of those with room; where none has any, the first.
    """
    best, least = 0, NEVER_MINOR
    for at, each in enumerate(dates):
        full = each.load is not None and each.load.left.remaining <= 0
        if each.minor >= least or full:
            continue
        minor = each.minor + (waits_minor(waits, dates[0].start, each.start) if at else 0)
        if minor < least:
            best, least = at, minor
    return best


def kept_back(load: Load) -> Capacity:
    """Return what an order finds of a date that is kept for others, if it is not full anyway."""
    left = load.left
    return Capacity(
        work_on=left.work_on,
        remaining=min(0, left.remaining),
        unit=left.unit,
        kept=max(0, left.remaining),
    )
