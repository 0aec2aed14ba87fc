"""A destination made ready: every date, price step and ability of the nodes that can reach it.

A terrain is prepared once per destination and stays valid until the first cut-off or local
midnight that would change a date. Every order of that window is planned on it, so that no order
pays for dates, tariffs or the order of node ids. It holds no stock and no capacity.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import NamedTuple

import msgspec
import numpy as np

from routing import promise
from routing.compiled import compiled
from routing.cost import NO_PARCEL, Steps, parcel_steps, saving_min, span_grams
from routing.dates import Dates, First
from routing.destination import Destination, digest_of
from routing.grid import Ints
from routing.kinds import NONE, kinds_of
from routing.plan import Promise
from routing.problem import Lane, Node, ProblemError, Tariff
from routing.validity import window

ABILITIES_MAX = 59
"""Most capabilities, besides the methods, that are kept as bits of a number."""

SHIP, PICKUP, SEND = 1, 2, 4
UNKNOWN_ABILITY = 1 << (ABILITIES_MAX + 3)


class Rows(NamedTuple):
    """Arrays over R nodes by id and L lanes that ever deliver, in order."""

    row_of: Ints
    """`[numbers]`: row of a node number, -1 where the node is not in the terrain."""
    abilities: Ints
    """`[R]`: bits of what the node can do; 0 where it never works."""
    lane_starts: Ints
    """`[R + 1]`: the lanes of row r are those from `lane_starts[r]` on."""
    lane_tariff: Ints
    """`[L]`."""
    lane_latest: Ints
    """`[L]`: latest promise as an ordinal."""
    lane_ready: Ints
    """`[L]`: work date of the first parcel as an ordinal."""
    lane_opening: Ints
    """`[L]`: price of a parcel beyond money: emissions, and soft rules that the lane breaks."""
    lane_rate: Ints
    """`[L]`: price of emissions for each gram, in millionths."""
    lane_to: Ints
    """`[L]`: row of the node where what it brings is collected, -1 at the destination."""
    lane_abilities: Ints
    """`[L]`: bits of what that node can do; all of them at the destination."""
    ready: Ints
    """`[R]`: work date as an ordinal, 0 where the node never works."""
    order_minor: Ints
    """`[R]`: handling of a fulfillment."""
    unit_minor: Ints
    """`[R]`: handling of a unit."""
    pickup_opening: Ints
    """`[R]`: price of a pickup beyond money: soft rules that the node breaks."""
    kind: Ints = NONE
    """`[R]`: rows of one kind differ for an order in nothing but stock and the prices it brings.
    This and the next three: see `kinds.Kinds`."""
    kind_rows: Ints = NONE
    kind_starts: Ints = NONE
    rows_by_kind: Ints = NONE


class Stairs(NamedTuple):
    """The price staircases of T tariffs for orders up to some weight, and what each saves."""

    starts: Ints
    """`[T + 2]`: steps of each tariff, and last those of a pickup, which costs nothing to send."""
    grams: Ints
    minor: Ints
    savings: Ints
    """`[T, T]`: the least that sending by tariff b saves over a, see `saving_min`."""


def sorted_out(rows: Rows) -> Rows:
    """Rows with their kinds, which have to be found anew when anything else of them changes."""
    own = rows.order_minor, rows.unit_minor, rows.abilities
    ways = rows.lane_to, rows.lane_tariff, rows.lane_latest, rows.lane_opening, rows.lane_rate
    return rows._replace(**kinds_of(own, rows.lane_starts, ways)._asdict())


def packed(arrays: Rows | Stairs) -> Ints:
    """All arrays one after another behind their lengths, to be handed to compiled code as one.

    Each array that crosses over costs as much as the work on it; `rows_of` and `stairs_of` take
    them apart on the other side.
    """
    return np.concatenate([_ints(each.size for each in arrays), *(each.ravel() for each in arrays)])


@compiled
def rows_of(packed: Ints) -> Rows:
    """The rows that were packed."""
    a = _ends(packed, 18)
    return Rows(
        packed[a[0] : a[1]],
        packed[a[1] : a[2]],
        packed[a[2] : a[3]],
        packed[a[3] : a[4]],
        packed[a[4] : a[5]],
        packed[a[5] : a[6]],
        packed[a[6] : a[7]],
        packed[a[7] : a[8]],
        packed[a[8] : a[9]],
        packed[a[9] : a[10]],
        packed[a[10] : a[11]],
        packed[a[11] : a[12]],
        packed[a[12] : a[13]],
        packed[a[13] : a[14]],
        packed[a[14] : a[15]],
        packed[a[15] : a[16]],
        packed[a[16] : a[17]],
        packed[a[17] : a[18]],
    )


@compiled
def stairs_of(packed: Ints) -> Stairs:
    """The staircases that were packed."""
    a = _ends(packed, 4)
    tariffs = a[1] - a[0] - 2
    savings = packed[a[3] : a[4]].reshape((tariffs, tariffs))
    return Stairs(packed[a[0] : a[1]], packed[a[1] : a[2]], packed[a[2] : a[3]], savings)


@compiled
def _ends(packed: Ints, count: int) -> Ints:
    """Where each of `count` packed arrays begins, and where the last ends."""
    ends = np.empty(count + 1, np.int64)
    ends[0] = count
    for n in range(count):
        ends[n + 1] = ends[n] + packed[n]
    return ends


class Terrain(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A destination during `from_at <= now < until_at`."""

    destination: Destination
    digest: bytes
    """Of the master data alone: the same at any time and under any numbering."""
    from_at: datetime
    until_at: datetime
    ordered_on: date
    """The destination's local date."""
    rows: Rows
    packed: Ints
    """The same, for compiled code."""
    row_of: dict[str, int]
    """Row of each node id."""
    todays: tuple[date, ...]
    """By row: the node's local date."""
    dispatches: tuple[First | None, ...]
    """By row; none where the node never works."""
    promises: tuple[Promise, ...]
    """By lane."""
    departures: tuple[First, ...]
    """By lane: those of its node, or others where the carrier collects at a time of its own."""
    lanes: tuple[Lane, ...]
    """Those that ever deliver, as in `rows`."""
    timed: bool
    """Whether some carriers collect at times of their own."""
    abilities: dict[str, int]
    """The bit of each capability."""
    dates: Dates
    """Further dates, worked out as orders ask for them."""
    stairs: dict[int, Ints] = msgspec.field(default_factory=dict)
    """Packed staircases by span of grams, filled as orders ask for them."""
    leaning: dict[object, "Terrain"] = msgspec.field(default_factory=dict)
    """The same as strategies see it, filled as orders ask for them; see `filters`."""

    def covers(self, now: datetime) -> bool:
        """Whether an order placed at `now` sees the dates of this terrain."""
        return self.from_at <= now < self.until_at

    def staircases(self, weight_grams: int) -> Ints:
        """The price steps of every tariff for an order of this weight, packed."""
        span = span_grams(weight_grams)
        found = self.stairs.get(span)
        if found is None:
            found = self.stairs[span] = _stairs(self.destination.tariffs, span)
        return found


def prepare(known: Destination, numbers: Mapping[str, int], now: datetime) -> Terrain:
    """The terrain of a destination at `now`, an instant in UTC.

    `numbers` gives each node the stable number by which a `Basket` names it; a node without one
    can never be asked for. Raises `ProblemError` for a reference to a calendar or tariff that is
    not given.
    """
    return _dated(known, digest_of(known), numbers, now)


def prepare_again(before: Terrain, numbers: Mapping[str, int], now: datetime) -> Terrain:
    """The terrain of the same destination at another instant: less work than from its master data."""
    return _dated(before.destination, before.digest, numbers, now)


def _dated(known: Destination, digest: bytes, numbers: Mapping[str, int], now: datetime) -> Terrain:
    dates = Dates(now, known.time_zone, known.calendars, known.nodes)
    dispatches = tuple(dates.first(node) for node in known.nodes)
    row_of = {node.node_id: row for row, node in enumerate(known.nodes)}
    lanes, departures, promises = _delivering(known, dates, dispatches, row_of)
    abilities, (from_at, until_at) = _abilities(known.nodes), _window(known, now)
    found = Rows(
        row_of=_numbered(numbers, row_of),
        abilities=_bits(known.nodes, dispatches, abilities),
        lane_starts=_starts(lanes, row_of),
        lane_tariff=_tariffs(known.tariffs, lanes),
        lane_latest=_ints(promised.latest.toordinal() for promised in promises),
        lane_ready=_ints(first.work_on.toordinal() for first in departures),
        lane_opening=np.zeros(len(lanes), np.int64),
        lane_rate=np.zeros(len(lanes), np.int64),
        lane_to=_ints(-1 if lane.to_node is None else row_of[lane.to_node] for lane in lanes),
        lane_abilities=_receiving(known.nodes, lanes, abilities),
        ready=_ints(found.work_on.toordinal() if found else 0 for found in dispatches),
        order_minor=_ints(node.handling_order_minor for node in known.nodes),
        unit_minor=_ints(node.handling_unit_minor for node in known.nodes),
        pickup_opening=np.zeros(len(known.nodes), np.int64),
    )
    rows = sorted_out(found)
    return Terrain(
        destination=known,
        digest=digest,
        from_at=from_at,
        until_at=until_at,
        ordered_on=promise.local_date(now, known.time_zone),
        rows=rows,
        packed=packed(rows),
        row_of=row_of,
        todays=_todays(known.nodes, now),
        dispatches=dispatches,
        promises=promises,
        departures=departures,
        lanes=lanes,
        timed=any(lane.cut_off is not None for lane in lanes),
        abilities=abilities,
        dates=dates,
    )


def _ints(values: Iterable[int]) -> Ints:
    return np.array([*values], np.int64)


def _todays(nodes: tuple[Node, ...], now: datetime) -> tuple[date, ...]:
    zones = {node.time_zone for node in nodes}
    today = {time_zone: promise.local_date(now, time_zone) for time_zone in zones}
    return tuple(today[node.time_zone] for node in nodes)


def _delivering(
    known: Destination,
    dates: Dates,
    dispatches: tuple[First | None, ...],
    row_of: Mapping[str, int],
) -> tuple[tuple[Lane, ...], tuple[First, ...], tuple[Promise, ...]]:
    """The lanes that ever deliver, when the first parcel leaves, and what it is promised for."""
    lanes, departures, promises = [], [], []
    for lane in known.lanes:
        row = row_of.get(lane.node_id)
        if row is None:
            continue
        timed = lane.cut_off is not None
        first = dates.first(known.nodes[row], lane.cut_off) if timed else dispatches[row]
        promised = dates.delivery(lane, first.ship_by) if first else None
        if first is not None and promised is not None:
            lanes.append(lane)
            departures.append(first)
            promises.append(promised)
    return tuple(lanes), tuple(departures), tuple(promises)


def _starts(lanes: tuple[Lane, ...], row_of: Mapping[str, int]) -> Ints:
    counts = np.bincount(_ints(row_of[lane.node_id] for lane in lanes), minlength=len(row_of))
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _tariffs(tariffs: tuple[Tariff, ...], lanes: tuple[Lane, ...]) -> Ints:
    index = {tariff.tariff_id: t for t, tariff in enumerate(tariffs)}
    for lane in lanes:
        if lane.tariff_id not in index:
            raise ProblemError(f"a lane names tariff {lane.tariff_id}, which is not given")
    return _ints(index[lane.tariff_id] for lane in lanes)


def _numbered(numbers: Mapping[str, int], row_of: Mapping[str, int]) -> Ints:
    found = np.full(max(numbers.values(), default=-1) + 1, -1, np.int64)
    for node_id, row in row_of.items():
        number = numbers.get(node_id)
        if number is not None:
            found[number] = row
    return found


def _abilities(nodes: tuple[Node, ...]) -> dict[str, int]:
    methods = {"ship": SHIP, "pickup": PICKUP, "ship_to_store": SEND}
    names = {name for node in nodes for name in node.capabilities} - methods.keys()
    bits = {name: (2 * SEND) << bit for bit, name in enumerate(sorted(names)[:ABILITIES_MAX])}
    return methods | bits


def _bits(
    nodes: tuple[Node, ...],
    dispatches: tuple[First | None, ...],
    abilities: Mapping[str, int],
) -> Ints:
    bits = {names: _bits_of(names, abilities) for names in {node.capabilities for node in nodes}}
    return _ints(
        bits[node.capabilities] if dispatched else 0
        for node, dispatched in zip(nodes, dispatches, strict=True)
    )


def _bits_of(names: Sequence[str], abilities: Mapping[str, int]) -> int:
    return sum(abilities.get(name, 0) for name in set(names))


def _receiving(
    nodes: tuple[Node, ...], lanes: tuple[Lane, ...], abilities: Mapping[str, int]
) -> Ints:
    """What the node at the end of each lane can do; the destination takes everything."""
    ends = {lane.to_node for lane in lanes}
    bits = {
        node.node_id: _bits_of(node.capabilities, abilities)
        for node in nodes
        if node.node_id in ends
    }
    return _ints(-1 if lane.to_node is None else bits[lane.to_node] for lane in lanes)


@lru_cache(maxsize=256)
def _stairs(tariffs: tuple[Tariff, ...], span: int) -> Ints:
    # Remembered, because all destinations of a network share their tariffs.
    steps: list[Steps] = [parcel_steps(tariff.brackets, span - 1) for tariff in tariffs]
    savings = saving_min(steps, span) if steps else np.zeros((0, 0), np.int64)
    every = [*steps, NO_PARCEL]
    return packed(
        Stairs(
            starts=_ints(np.cumsum([0, *(len(step.weights_grams) for step in every)])),
            grams=_ints(grams for step in every for grams in step.weights_grams),
            minor=_ints(minor for step in every for minor in step.prices_minor),
            savings=savings,
        )
    )


def _window(known: Destination, now: datetime) -> tuple[datetime, datetime]:
    """See `validity.window`; of the destination, its nodes and their carriers."""
    zone_of = {node.node_id: node.time_zone for node in known.nodes}
    cut_offs = {(node.time_zone, node.cut_off) for node in known.nodes}
    cut_offs |= {
        (zone_of[lane.node_id], lane.cut_off)
        for lane in known.lanes
        if lane.cut_off is not None and lane.node_id in zone_of
    }
    return window({known.time_zone, *zone_of.values()}, cut_offs, now)
