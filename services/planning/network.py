"""The network as routing needs it: one immutable value per version, shared by every order."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from math import asin, cos, radians, sin, sqrt

import msgspec
import structlog

from inventory.slots import Slot
from inventory.view import DailyDefault
from routing.problem import Calendar, Lane, Node, Tariff
from services.database import Database
from services.planning import records
from services.planning.playbook import Playbook, playbook
from services.planning.records import LaneGroup, NodeRow, Zone
from services.polling import Poll

__all__ = ["Network", "NetworkCache", "NodeRow", "Zone", "build", "distance_km", "normalize"]

EARTH_RADIUS_KM = 6_371.0

SENDS = "ship_to_store"
"""Capability of nodes that may send goods to a store where they are collected."""

Lanes = dict[str, dict[str, tuple[Lane, ...]]]

log = structlog.get_logger()


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about places, carriers and dates at one version; nothing in it ever changes."""

    version: int
    nodes: dict[str, Node]
    """Nodes that take new work, by id; their `capacity` is empty, as it changes with every order."""
    places: dict[str, tuple[float, float]]
    """Latitude and longitude of every node, switched off or not."""
    disabled: frozenset[str]
    """Nodes that exist but take no new work."""
    limited: frozenset[str]
    """Nodes whose capacity is limited on some date; only theirs needs reading."""
    daily: dict[str, DailyDefault]
    """What limited nodes can do on a day that has no figures of its own, by id."""
    overloads: dict[str, int]
    """Price of a fulfillment beyond what is planned, of nodes that have one of their own, by id."""
    lanes: Lanes
    """Zone, then node, then the lanes between them by service."""
    calendars: dict[str, Calendar]
    tariffs: dict[str, Tariff]
    zones: dict[str, Zone]
    senders: frozenset[str] = frozenset()
    """Nodes that may send goods to a store where they are collected."""
    playbook: Playbook
    """The strategies in force, and which orders get which."""
    slots: dict[str, Slot] = {}
    """Windows in which customers receive their orders, by id."""
    prefixes: dict[tuple[str, str], Zone] = {}
    """Zones by country and postal prefix; filled from `zones`."""

    def __post_init__(self) -> None:
        """Index the zones; of two that claim one prefix the first by id has it."""
        for _, zone in sorted(self.zones.items()):
            for prefix in zone.postal_prefixes:
                self.prefixes.setdefault((zone.country, normalize(prefix)), zone)

    def resolve(
        self, country: str, postal_code: str, latitude: float | None, longitude: float | None
    ) -> Zone | None:
        """Return the zone of a destination, or none when nothing covers it.

        That is the zone with the longest postal prefix within the country; else, with coordinates,
        the zone of the country whose center is nearest.
        """
        code = normalize(postal_code)
        for length in range(len(code), 0, -1):
            found = self.prefixes.get((country, code[:length]))
            if found is not None:
                return found
        if latitude is None or longitude is None:
            return None
        here = (latitude, longitude)
        candidates = [zone for zone in self.zones.values() if zone.country == country]
        return min(
            candidates,
            key=lambda zone: (distance_km(here, (zone.latitude, zone.longitude)), zone.zone_id),
            default=None,
        )

    def zone_at(self, node_id: str | None) -> Zone | None:
        """Return the zone in which a node lies: the one whose center is nearest to it."""
        here = self.places.get(node_id or "")
        if here is None:
            return None
        return min(
            self.zones.values(),
            key=lambda zone: (distance_km(here, (zone.latitude, zone.longitude)), zone.zone_id),
            default=None,
        )

    def nodes_seen_from(self, zone: Zone | None) -> Iterator[Node]:
        """Return the working nodes with how far each is from the center of a zone."""
        if zone is None:
            yield from self.nodes.values()
            return
        center = (zone.latitude, zone.longitude)
        for node_id, node in self.nodes.items():
            kilometers = round(distance_km(self.places[node_id], center))
            yield msgspec.structs.replace(node, distance_km=kilometers)

    def lanes_to(self, zone: Zone | None, stores: Sequence[str] = ()) -> Iterator[Lane]:
        """Return the lanes of working nodes to a zone, and those on which goods come to `stores`.

        What is sent to a store goes by the lanes to the zone in which the store lies, from nodes
        that may send it.
        """
        for node_id, lanes in self.lanes.get(zone.zone_id, {}).items() if zone else ():
            if node_id in self.nodes:
                yield from lanes
        for store in stores:
            for lane in self.lanes_into(store):
                yield msgspec.structs.replace(lane, to_node=store)

    def lanes_into(self, store: str) -> Iterator[Lane]:
        """Return the lanes to the zone of a working store from nodes that may send goods to it."""
        near = self.zone_at(store) if store in self.nodes else None
        for node_id, lanes in self.lanes.get(near.zone_id, {}).items() if near else ():
            if node_id in self.senders and node_id != store:
                yield from lanes


def normalize(postal_code: str) -> str:
    """Return a postal code as it is compared: upper case, without spaces and hyphens."""
    return postal_code.replace(" ", "").replace("-", "").upper()


def distance_km(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Return the great-circle distance between two (latitude, longitude) in degrees (haversine)."""
    latitude, longitude = radians(one[0]), radians(one[1])
    latitude_2, longitude_2 = radians(other[0]), radians(other[1])
    half = (
        sin((latitude_2 - latitude) / 2) ** 2
        + cos(latitude) * cos(latitude_2) * sin((longitude_2 - longitude) / 2) ** 2
    )
    return 2 * EARTH_RADIUS_KM * asin(min(1.0, sqrt(half)))


def build(read: records.NetworkRows) -> Network:
    """Return the network of what was read.

    A node whose calendar is missing counts as switched off and a lane whose tariff or calendar is
    missing is left out, each with a warning: an import may bring them before what they refer to,
    and one bad row must not stop all orders.
    """
    calendars = {each.calendar_id: each for each in (records.DAILY, *read.calendars)}
    tariffs = {each.tariff_id: each for each in read.tariffs}
    working = [row for row in read.nodes if row.enabled and row.node.calendar_id in calendars]
    homeless = [row for row in read.nodes if row.node.calendar_id not in calendars]
    if homeless:
        log.warning(
            "nodes without a calendar take no orders",
            nodes=len(homeless),
            first=homeless[0].node.node_id,
            calendar_id=homeless[0].node.calendar_id,
        )
    nodes = {row.node.node_id: row.node for row in working}
    return Network(
        version=read.version,
        nodes=nodes,
        places={row.node.node_id: (row.latitude, row.longitude) for row in read.nodes},
        disabled=frozenset(row.node.node_id for row in read.nodes) - nodes.keys(),
        limited=frozenset(row.node.node_id for row in read.nodes if row.limited),
        daily={row.node.node_id: row.daily for row in read.nodes if row.daily is not None},
        overloads={
            row.node.node_id: row.overload_minor
            for row in read.nodes
            if row.overload_minor is not None
        },
        lanes=usable_lanes(read.lanes, calendars, tariffs),
        calendars=calendars,
        tariffs=tariffs,
        zones={zone.zone_id: zone for zone in read.zones},
        senders=frozenset(each for each, node in nodes.items() if SENDS in node.capabilities),
        playbook=playbook(read.strategies),
        slots={slot.slot_id: slot for slot in read.slots},
    )


def usable_lanes(
    groups: Sequence[LaneGroup], calendars: Mapping[str, Calendar], tariffs: Mapping[str, Tariff]
) -> Lanes:
    """Return lanes by zone and node; `groups` are sorted by node and service, so lanes are too.

    The lanes of a group differ only in their zone, which a `Lane` does not name, so all zones share
    one value: a network of 70,000 lanes holds some thousands of them.
    """
    lanes: Lanes = {}
    dropped = 0
    for group in groups:
        lane = group.lane
        if lane.tariff_id not in tariffs or (lane.calendar_id or "") not in {"", *calendars}:
            dropped += len(group.zone_ids)
            continue
        for zone_id in group.zone_ids:
            by_node = lanes.setdefault(zone_id, {})
            by_node[lane.node_id] = (*by_node.get(lane.node_id, ()), lane)
    if dropped:
        log.warning("lanes without their tariff or calendar are left out", lanes=dropped)
    return share_equal(lanes)


def share_equal(lanes: Lanes) -> Lanes:
    """Return `lanes` with equal tuples stored once."""
    seen: dict[tuple[Lane, ...], tuple[Lane, ...]] = {}
    return {
        zone_id: {node_id: seen.setdefault(each, each) for node_id, each in by_node.items()}
        for zone_id, by_node in lanes.items()
    }


class NetworkCache:
    """The newest network this process knows; follows the database within `poll_ms`."""

    def __init__(self, database: Database, poll_ms: int) -> None:
        """Look for a new version every `poll_ms` milliseconds once opened."""
        self.database = database
        self.current = build(records.NetworkRows())
        self.polling = Poll(
            self.refresh,
            poll_ms,
            outage="network cannot be read; the last one stays",
            recovery="network is read again",
        )

    async def open(self) -> None:
        """Load the network and start following it; raises what the database raises."""
        await self.load()
        self.polling.start()

    async def close(self) -> None:
        """Stop following."""
        await self.polling.close()

    async def refresh(self) -> bool:
        """Load the network if its version has changed; say whether it had."""
        async with self.database.connect() as connection:
            version = await records.read_version(connection)
        if version == self.current.version:
            return False
        await self.load()
        return True

    async def load(self) -> None:
        """Read the whole network in one snapshot and put it in place of the current one."""
        async with self.database.transaction(
            isolation="repeatable_read", readonly=True
        ) as connection:
            read = await records.read_network(connection)
        # In a thread, so that the event loop gets its turn while tens of thousands of lanes are
        # put in order.
        self.current = await asyncio.to_thread(build, read)
