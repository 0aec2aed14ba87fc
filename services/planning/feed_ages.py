"""How old the stock of each node is that a feed tells of, as a worker knows it.

A strategy may leave nodes out, or charge for them, whose feed is too old. While none is, that costs
an order one comparison.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

import asyncpg
import msgspec
import numpy as np
from prometheus_client import Gauge

from inventory.node_feeds import NodeFeed, read_feeds
from inventory.slices import Ints
from inventory.view import StockView

POLL_S = 1.0
"""Pause between two looks at what feeds have told."""
KEPT = timedelta(seconds=1)
"""How long it is remembered which nodes are stale."""
OVERLAP = timedelta(minutes=1)
"""Looked at again: a message may be noted by a transaction that took as long to commit."""

stale_nodes = Gauge(
    "nom_stale_nodes",
    "Nodes whose stock feed is older than a strategy in force allows",
    multiprocess_mode="livemax",
)


class FeedRule(msgspec.Struct, frozen=True):
    """What a strategy says of nodes whose feed is old."""

    age_max_s: int
    surcharge_minor: int | None
    """Price of a fulfillment by such a node; none leaves it out."""


class Stale(msgspec.Struct, frozen=True):
    """The nodes whose feed is older than a rule allows."""

    until: datetime
    ages_s: Mapping[str, int]
    numbers: Ints
    """The same nodes as a view numbers them."""


NO_NODES: Mapping[str, int] = MappingProxyType({})


class FeedAges:
    """When each node's stock was last told of."""

    def __init__(self) -> None:
        """Know of no feed yet."""
        self.seen_at: dict[str, datetime] = {}
        self.oldest: datetime | None = None
        self.read_to: datetime | None = None
        self.kept: dict[int, Stale] = {}

    async def read(self, connection: asyncpg.Connection) -> None:
        """Read what has been told since the last look."""
        since = self.read_to - OVERLAP if self.read_to else None
        self.apply(await read_feeds(connection, since=since))

    def apply(self, feeds: list[NodeFeed]) -> None:
        """Take note of when nodes were told of."""
        for feed in feeds:
            self.seen_at[feed.node_id] = feed.seen_at
            self.read_to = max(self.read_to or feed.noted_at, feed.noted_at)
        if feeds:
            self.oldest = min(self.seen_at.values())
            self.kept.clear()
            # Counted anew with the next order that minds.
            stale_nodes.set(0)

    def stale(self, rule: FeedRule | None, now: datetime, view: StockView) -> Stale | None:
        """Return the nodes that a rule finds too old at `now`; none where there are none."""
        if rule is None or self.oldest is None:
            return None
        limit = timedelta(seconds=rule.age_max_s)
        if now - self.oldest <= limit:
            return None
        found = self.kept.get(rule.age_max_s)
        if found is None or now >= found.until:
            found = self.kept[rule.age_max_s] = self.find(limit, now, view)
            stale_nodes.set(len(found.ages_s))
        return found if found.ages_s else None

    def left_out(self, rule: FeedRule | None, now: datetime, view: StockView) -> Mapping[str, int]:
        """Return the ages in seconds of the feeds of nodes that take no orders for that."""
        if rule is None or rule.surcharge_minor is not None:
            return NO_NODES
        found = self.stale(rule, now, view)
        return NO_NODES if found is None else found.ages_s

    def find(self, limit: timedelta, now: datetime, view: StockView) -> Stale:
        """Return the nodes whose feed is older than `limit`."""
        ages = {
            node_id: int((now - seen_at).total_seconds())
            for node_id, seen_at in self.seen_at.items()
            if now - seen_at > limit
        }
        numbers = [view.number(node_id) for node_id in ages]
        return Stale(now + KEPT, ages, np.array(numbers, np.int64))
