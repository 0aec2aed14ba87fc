"""Where orders to one destination can be filled from: prepared once, used until a date changes.

A terrain is what routing needs to know of the network for one destination at one time. It costs
milliseconds to prepare and microseconds to use, so a worker keeps the terrains it has prepared.
"""

import asyncio
import zlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from datetime import date, datetime, time
from functools import partial

import msgspec

from inventory.view import StockView
from routing.destination import body, destination
from routing.plan import Fulfillment, Plan
from routing.terrain import Terrain, prepare, prepare_again
from services.orders.promise import last_cut_off
from services.planning.network import Network, Zone

HERE = "UTC"
"""Time zone of an order that is picked up whole: it has no destination of its own."""
GROUNDS_MAX = 2_000
"""Grounds kept; beyond it the oldest go."""
NODES_AT_ONCE_MAX = 250
"""Nodes of a network up to which a ground is prepared at once, in about two milliseconds; beyond it
in a thread, since thousands of nodes take long enough to keep all other requests waiting."""

CUT_OFFS_MAX = 100_000
"""Cut-offs remembered; beyond it they are worked out anew."""

CutOffs = dict[tuple[str, date, time | None], datetime]
"""By node, work date and the time of collection, the last cut-off for that work. It is the same
whenever it is asked for, as long as such work can be promised at all."""
Place = tuple[str | None, tuple[str, ...]]
"""A zone, and the stores that goods may be sent to."""


class Ground(msgspec.Struct, eq=False):
    """A terrain with what follows from it and the network it was prepared from."""

    network: Network
    terrain: Terrain
    cut_offs: CutOffs = msgspec.field(default_factory=dict)
    """Those worked out before, shared by all grounds of a network."""

    def facts(self) -> bytes:
        """Return what `routing.record.expand` needs beside a record, compressed."""
        return zlib.compress(body(self.terrain.destination))

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
            if len(self.cut_offs) >= CUT_OFFS_MAX:
                self.cut_offs.clear()
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
        self.kept: dict[Place, Ground] = {}
        self.making: dict[tuple[int, Place], asyncio.Future[Ground]] = {}
        """Grounds under way in threads, by network version and place."""
        self.stored: set[bytes] = set()
        """Digests of the terrains whose facts are in the database, where records refer to them."""
        self.cut_offs: tuple[Network | None, CutOffs] = None, {}
        """Of the network of the newest ground."""

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
        ground = self.ready(network, zone, now, stores)
        if ground is None:
            place = zone.zone_id if zone else None, stores
            ground = self.making_of(network, zone, numbered(network, stock), (now, stores))()
            self.keep(place, ground)
        return ground

    def ready(
        self, network: Network, zone: Zone | None, now: datetime, stores: tuple[str, ...]
    ) -> Ground | None:
        """Return the ground of a destination where it has been prepared."""
        ground = self.kept.get((zone.zone_id if zone else None, stores))
        if ground is None or ground.network is not network or not ground.terrain.covers(now):
            return None
        return ground

    async def make_ready(
        self,
        network: Network,
        zone: Zone | None,
        stock: StockView,
        asked: tuple[datetime, tuple[str, ...]],
        threads: Executor,
    ) -> None:
        """Prepare the ground of a destination in a thread if that takes long, once for all who wait.

        `asked` are the instant and the stores of `find`, which prepares what is not ready after this.
        """
        now, stores = asked
        if len(network.nodes) <= NODES_AT_ONCE_MAX or self.ready(network, zone, now, stores):
            return
        place = zone.zone_id if zone else None, stores
        making = self.making.get((network.version, place))
        if making is None:
            numbers = dict(numbered(network, stock))
            making = asyncio.get_running_loop().run_in_executor(
                threads, self.making_of(network, zone, numbers, asked)
            )
            self.making[network.version, place] = making
            making.add_done_callback(lambda _: self.making.pop((network.version, place)))
        self.keep(place, await asyncio.shield(making))

    def making_of(
        self,
        network: Network,
        zone: Zone | None,
        numbers: Mapping[str, int],
        asked: tuple[datetime, tuple[str, ...]],
    ) -> Callable[[], Ground]:
        """Return what prepares a ground: anew, or only its dates where nothing else has changed."""
        now, stores = asked
        before = self.kept.get((zone.zone_id if zone else None, stores))
        if before is not None and before.network is network:
            return partial(prepared_again, before, numbers, now)
        return partial(prepared, network, zone, numbers, now, stores)

    def keep(self, place: Place, ground: Ground) -> None:
        """Keep a ground, and let go of the oldest where there are too many."""
        while len(self.kept) >= GROUNDS_MAX:
            del self.kept[next(iter(self.kept))]
        if self.cut_offs[0] is not ground.network:
            self.cut_offs = ground.network, {}
        ground.cut_offs = self.cut_offs[1]
        self.kept[place] = ground

    def unstored(self, used: Iterable[Ground]) -> list[Ground]:
        """Return those of `used` whose facts are not known to be in the database, each once."""
        by_digest = {ground.terrain.digest: ground for ground in used}
        return [by_digest[digest] for digest in by_digest.keys() - self.stored]


def numbered(network: Network, stock: StockView) -> Mapping[str, int]:
    """Return the number of each node, those of the network included."""
    for node_id in network.nodes:
        stock.number(node_id)
    return stock.numbers


def prepared(
    network: Network,
    zone: Zone | None,
    numbers: Mapping[str, int],
    now: datetime,
    stores: tuple[str, ...] = (),
) -> Ground:
    """Return the ground of a destination, made anew; `numbers` are those of all nodes."""
    served = destination(
        network.nodes_seen_from(zone),
        network.lanes_to(zone, stores),
        network.calendars.values(),
        network.tariffs.values(),
        zone.time_zone if zone else HERE,
    )
    return Ground(network, prepare(served, numbers, now))


def prepared_again(before: Ground, numbers: Mapping[str, int], now: datetime) -> Ground:
    """Return the ground of the same destination in the same network at another instant."""
    return Ground(before.network, prepare_again(before.terrain, numbers, now))
