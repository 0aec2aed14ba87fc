"""Where orders to one destination can be filled from: prepared once, used until a date changes.

A terrain is what routing needs to know of the network for one destination at one time. It costs
milliseconds to prepare and microseconds to use, so a worker keeps the terrains it has prepared.
"""

import zlib
from collections.abc import Iterable
from datetime import date, datetime, time

import msgspec

from inventory.view import StockView
from routing.plan import Fulfillment, Plan
from routing.terrain import Terrain, body, destination, prepare
from services.orders.promise import last_cut_off
from services.planning.network import Network, Zone

HERE = "UTC"
"""Time zone of an order that is picked up whole: it has no destination of its own."""
GROUNDS_MAX = 2_000
"""Grounds kept; beyond it the oldest go."""


class Ground(msgspec.Struct, eq=False):
    """A terrain with what follows from it and the network it was prepared from."""

    network: Network
    terrain: Terrain
    cut_offs: dict[tuple[str, date, time | None], datetime] = msgspec.field(default_factory=dict)

    def facts(self) -> bytes:
        """Return what `routing.record.expand` needs beside a record, compressed."""
        return zlib.compress(body(self.terrain))

    def valid_until(self, plan: Plan, now: datetime) -> datetime | None:
        """Return the instant up to which confirming `plan` leaves its dates as they are.

        That is the earliest of its fulfillments' last cut-offs; none for an empty plan.
        """
        return min([self.cut_off(each, now) for each in plan.fulfillments], default=None)

    def cut_off(self, fulfillment: Fulfillment, now: datetime) -> datetime:
        """Return the last cut-off at which work for the fulfillment's date can still begin."""
        collected = self.collected(fulfillment) if self.terrain.timed else None
        key = fulfillment.node_id, fulfillment.work_on, collected
        found = self.cut_offs.get(key)
        if found is None:
            found = last_cut_off(fulfillment, self.network, now, collected)
            self.cut_offs[key] = found
        return found

    def collected(self, fulfillment: Fulfillment) -> time | None:
        """Return when the carrier of a fulfillment collects, if at a time of its own."""
        if fulfillment.method == "pickup":
            return None
        place = fulfillment.node_id, fulfillment.pickup_node, fulfillment.service
        return next(
            lane.cut_off
            for lane in self.terrain.lanes
            if (lane.node_id, lane.to_node, lane.service) == place
        )


class Grounds:
    """The grounds of one worker, by network version, zone and the stores that goods are sent to."""

    def __init__(self) -> None:
        """Start empty."""
        self.kept: dict[tuple[str | None, tuple[str, ...]], Ground] = {}
        self.stored: set[bytes] = set()
        """Digests of the terrains whose facts are in the database, where records refer to them."""

    def find(
        self,
        network: Network,
        zone: Zone | None,
        stock: StockView,
        now: datetime,
        stores: tuple[str, ...] = (),
    ) -> Ground:
        """Return the ground of a destination at `now`, prepared where that has not been done.

        `stores` are those that goods may be sent to for the customer to collect.
        """
        place = zone.zone_id if zone else None, stores
        ground = self.kept.get(place)
        if ground is None or ground.network is not network or not ground.terrain.covers(now):
            while len(self.kept) >= GROUNDS_MAX:
                del self.kept[next(iter(self.kept))]
            ground = self.kept[place] = prepared(network, zone, stock, now, stores)
        return ground

    def unstored(self, used: Iterable[Ground]) -> list[Ground]:
        """Return those of `used` whose facts are not known to be in the database, each once."""
        by_digest = {ground.terrain.digest: ground for ground in used}
        return [by_digest[digest] for digest in by_digest.keys() - self.stored]


def prepared(
    network: Network,
    zone: Zone | None,
    stock: StockView,
    now: datetime,
    stores: tuple[str, ...] = (),
) -> Ground:
    """Return the ground of a destination, made anew."""
    for node_id in network.nodes:
        stock.number(node_id)
    served = destination(
        network.nodes_seen_from(zone),
        network.lanes_to(zone, stores),
        network.calendars.values(),
        network.tariffs.values(),
        zone.time_zone if zone else HERE,
    )
    return Ground(network, prepare(served, stock.numbers, now))
