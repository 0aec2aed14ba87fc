"""What an order to a destination could expect of each node, whatever the sku: kept until it changes.

Dates follow from calendars, cut-offs and transit, so they are the same for every question between
two cut-offs. They are worked out once for a destination, with the text in which answers show them.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from inventory.slices import Ints
from routing import terrain
from routing.destination import destination
from routing.promise import pickup_promise
from routing.terrain import UNKNOWN_ABILITY, Terrain
from services.planning import written
from services.planning.network import EARTH_RADIUS_KM, Network, Zone
from services.planning.written import Bytes

PROSPECTS_MAX = 1_000
"""Destinations remembered; beyond it the oldest go."""
PLACES_MAX = 64
"""Places whose distances are remembered with a destination."""
LAST = date.max
NOWHERE = "UTC"
"""Time zone of a question without a destination."""

Degrees = NDArray[np.float64]


class ShipPromise(msgspec.Struct, frozen=True, kw_only=True):
    """When the quickest service delivers from a node; local dates at the destination."""

    service: str
    ship_by: datetime
    earliest: date
    latest: date


class Outlook(NamedTuple):
    """What to expect of one node."""

    ship: ShipPromise | None
    pickup_on: date | None


class Prospect(msgspec.Struct, frozen=True, eq=False, weakref=True):
    """What to expect of every node, by number, for one destination."""

    network: Network
    terrain: Terrain
    table: Ints
    """A row of `written.Places` for each node number."""
    texts: Bytes
    latitudes: Degrees
    """Radians, by node number."""
    longitudes: Degrees
    text_bytes: int
    """No node's texts are longer together."""
    distances: dict[tuple[float, float] | None, Ints] = {}
    """Those worked out before, by place."""

    @property
    def bytes(self) -> int:
        """About how many bytes this takes."""
        places = 2 * self.latitudes.nbytes + len(self.distances) * self.latitudes.nbytes
        return self.table.nbytes + self.texts.nbytes + places

    def needs(self, requires: Sequence[str]) -> int:
        """Return the abilities an item needs of a node as bits."""
        found = 0
        for name in requires:
            found |= self.terrain.abilities.get(name, UNKNOWN_ABILITY)
        return found

    def tenths_km(self, place: tuple[float, float] | None) -> Ints:
        """Return the distance of every node to a place in tenths of a kilometer."""
        found = self.distances.get(place)
        if found is None:
            if len(self.distances) >= PLACES_MAX:
                self.distances.clear()
            found = self.distances[place] = self.measure(place)
        return found

    def measure(self, place: tuple[float, float] | None) -> Ints:
        """Return the same, worked out anew (haversine)."""
        if place is None:
            return np.full(len(self.table), written.NO_DISTANCE, np.int64)
        latitude, longitude = np.radians(place)
        half = (
            np.sin((self.latitudes - latitude) / 2) ** 2
            + np.cos(latitude)
            * np.cos(self.latitudes)
            * np.sin((self.longitudes - longitude) / 2) ** 2
        )
        kilometers = 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.minimum(half, 1.0)))
        tenths: Ints = np.rint(10 * kilometers).astype(np.int64)
        return tenths

    def among(self, numbers: Sequence[int] | None, without: Sequence[int] = ()) -> Ints:
        """Return the table with only these nodes open, all of it where none are named.

        Nodes `without` are never open.
        """
        if numbers is None and not without:
            return self.table
        table = self.table.copy()
        closed = np.full(len(table), numbers is not None)
        closed[list(numbers or ())] = False
        closed[[number for number in without if number < len(table)]] = True
        table[closed, written.STANDING] = 0
        return table


class Prospects:
    """The prospects of one worker."""

    def __init__(self) -> None:
        """Start empty."""
        self.kept: dict[str | None, Prospect] = {}

    def find(
        self, network: Network, zone: Zone | None, node_ids: Sequence[str], now: datetime
    ) -> Prospect:
        """Return what to expect for a zone at `now`; `node_ids` are the nodes by number."""
        zone_id = zone.zone_id if zone else None
        found = self.kept.get(zone_id)
        if (
            found is None
            or found.network is not network
            or len(found.table) != len(node_ids)
            or not found.terrain.covers(now)
        ):
            while len(self.kept) >= PROSPECTS_MAX:
                del self.kept[next(iter(self.kept))]
            found = self.kept[zone_id] = build(network, zone, node_ids, now)
        return found

    def forget(self) -> None:
        """Forget all: they hold the network they were made from."""
        self.kept.clear()


def build(network: Network, zone: Zone | None, node_ids: Sequence[str], now: datetime) -> Prospect:
    """Return what to expect of every node for a destination, worked out anew."""
    known = destination(
        network.nodes.values(),
        network.lanes_to(zone),
        network.calendars.values(),
        network.tariffs.values(),
        zone.time_zone if zone else NOWHERE,
    )
    numbers = {node_id: number for number, node_id in enumerate(node_ids)}
    ground = terrain.prepare(known, numbers, now)
    table, parts = tabled(ground, node_ids, anywhere=zone is None)
    places = np.radians([network.places.get(each, (0.0, 0.0)) for each in node_ids])
    places = places.reshape(-1, 2)
    return Prospect(
        network=network,
        terrain=ground,
        table=table,
        texts=np.frombuffer(b"".join(parts), np.uint8),
        latitudes=places[:, 0].copy(),
        longitudes=places[:, 1].copy(),
        text_bytes=max(map(len, parts), default=0) * 2,
    )


def tabled(ground: Terrain, node_ids: Sequence[str], *, anywhere: bool) -> tuple[Ints, list[bytes]]:
    """Return a row of `written.Places` for each node, and the texts they refer to, end to end."""
    table = np.zeros((len(node_ids), written.PLACE_COLUMNS), np.int64)
    parts: list[bytes] = []
    rank = {node_id: place for place, node_id in enumerate(sorted(node_ids))}
    at = 0
    for number, node_id in enumerate(node_ids):
        row = ground.row_of.get(node_id)
        if row is None:
            continue
        outlook = outlook_of(ground, row)
        head, end = msgspec.json.encode(node_id), tail(outlook)
        soonest = outlook.pickup_on if anywhere else outlook.ship and outlook.ship.latest
        middle = at + len(head)
        table[number] = (
            standing(ground, row, outlook, anywhere=anywhere),
            ground.rows.abilities[row],
            (soonest or LAST).toordinal(),
            rank[node_id],
            at,
            middle,
            middle,
            middle + len(end),
        )
        parts += [head, end]
        at = middle + len(end)
    return table, parts


def standing(ground: Terrain, row: int, outlook: Outlook, *, anywhere: bool) -> int:
    """Return what a node can do for the destination as bits; `anywhere` when there is none."""
    found = written.OPEN
    if ground.rows.abilities[row] & terrain.SHIP and (anywhere or outlook.ship is not None):
        found |= written.SHIPS
    if outlook.pickup_on is not None:
        found |= written.COLLECTS
    return found


def outlook_of(ground: Terrain, row: int) -> Outlook:
    """Return the quickest promise of a node and the date from which it hands over."""
    dispatched = ground.dispatches[row]
    if dispatched is None:
        return Outlook(None, None)
    abilities = int(ground.rows.abilities[row])
    ship = None
    if abilities & terrain.SHIP:
        start, end = ground.rows.lane_starts[row : row + 2].tolist()
        ship = min(
            (
                ShipPromise(
                    service=ground.lanes[lane].service,
                    ship_by=ground.departures[lane].ship_by,
                    earliest=ground.promises[lane].earliest,
                    latest=ground.promises[lane].latest,
                )
                for lane in range(start, end)
            ),
            key=lambda each: (each.latest, each.earliest, each.service),
            default=None,
        )
    collects = abilities & terrain.PICKUP
    return Outlook(ship, pickup_promise(dispatched.work_on).earliest if collects else None)


def tail(outlook: Outlook) -> bytes:
    """Return the end of a node's entry."""
    ship, pickup_on = (msgspec.json.encode(each) for each in outlook)
    return b',"ship":' + ship + b',"pickup_on":' + pickup_on + b"}"
