"""Where orders to one destination can be filled from: prepared once, used until a date changes.

A terrain is what routing needs to know of the network for one destination at one time. It costs
milliseconds to prepare and microseconds to use, so a worker keeps the terrains it has prepared.
"""

import zlib
from collections.abc import Iterable
from datetime import date, datetime

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
    cut_offs: dict[tuple[str, date], datetime] = msgspec.field(default_factory=dict)

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
        key = fulfillment.node_id, fulfillment.work_on
        found = self.cut_offs.get(key)
        if found is None:
            found = self.cut_offs[key] = last_cut_off(fulfillment, self.network, now)
        return found


class Grounds:
    """The grounds of one worker, by network version and zone."""

    def __init__(self) -> None:
        """Start empty."""
        self.kept: dict[str | None, Ground] = {}
        self.stored: set[bytes] = set()
        """Digests of the terrains whose facts are in the database, where records refer to them."""

    def find(self, network: Network, zone: Zone | None, stock: StockView, now: datetime) -> Ground:
        """Return the ground of a destination at `now`, prepared where that has not been done."""
        zone_id = zone.zone_id if zone else None
        ground = self.kept.get(zone_id)
        if ground is None or ground.network is not network or not ground.terrain.covers(now):
            while len(self.kept) >= GROUNDS_MAX:
                del self.kept[next(iter(self.kept))]
            ground = self.kept[zone_id] = prepared(network, zone, stock, now)
        return ground

    def unstored(self, used: Iterable[Ground]) -> list[Ground]:
        """Return those of `used` whose facts are not known to be in the database, each once."""
        by_digest = {ground.terrain.digest: ground for ground in used}
        return [by_digest[digest] for digest in by_digest.keys() - self.stored]


def prepared(network: Network, zone: Zone | None, stock: StockView, now: datetime) -> Ground:
    """Return the ground of a destination, made anew."""
    for node_id in network.nodes:
        stock.number(node_id)
    lanes = network.lanes.get(zone.zone_id, {}) if zone else {}
    served = destination(
        network.nodes.values(),
        (lane for node_id, found in lanes.items() if node_id in network.nodes for lane in found),
        network.calendars.values(),
        network.tariffs.values(),
        zone.time_zone if zone else HERE,
    )
    return Ground(network, prepare(served, stock.numbers, now))
