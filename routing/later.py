"""Nodes that are full on their first work date start later: the terrain as one order finds it."""

from collections.abc import Iterator, Mapping
from datetime import time, timedelta

import msgspec

from routing import promise
from routing.basket import Basket, Seen
from routing.dates import Dates, First
from routing.kinds import apart
from routing.plan import Promise
from routing.problem import Capacity, Node
from routing.terrain import Terrain, packed

LATER_DATES_MAX = 10
"""Work dates offered after one whose capacity may be too small."""


def with_room(terrain: Terrain, basket: Basket, there: Seen) -> tuple[Terrain, Seen] | None:
    """The terrain in which every node that is full starts on its first date with any room.

    What is left on that date is not compared with the order; a plan that uses the node has to be.
    What was looked at is noted in what was seen. None where a carrier never moves after such a
    date, so that services of one node would differ in more than dates.
    """
    if not basket.capacity:
        return terrain, there
    held = {*there.rows[there.units > 0].tolist()}
    moved: dict[int, First | None] = {}
    looked = []
    for node_id, limits in basket.capacity.items():
        row = terrain.row_of.get(node_id, -1)
        first = terrain.dispatches[row] if row in held else None
        if first is None:
            continue
        node = terrain.destination.nodes[row]
        later = _first_with_room(terrain.dates, node, first, limits)
        last = later or first
        seen = (limit for limit in limits if later is None or limit.work_on <= last.work_on)
        looked.append((row, tuple(limit for limit in seen if limit.work_on >= first.work_on)))
        if later != first:
            moved[row] = later
    there = msgspec.structs.replace(there, capacity=tuple(looked))
    shifted = _moved(terrain, moved) if moved else terrain
    return None if shifted is None else (shifted, there)


def _first_with_room(
    dates: Dates, node: Node, first: First, limits: tuple[Capacity, ...]
) -> First | None:
    """The first start whose work date is not full, none when there is none soon."""
    full = {limit.work_on for limit in limits if limit.remaining <= 0}
    found: First | None = first
    for _ in range(LATER_DATES_MAX + 1):
        if found is None or found.work_on not in full:
            return found
        found = following(dates, node, found)
    return None


def following(
    dates: Dates, node: Node, start: First, collected: time | None = None
) -> First | None:
    """The next start of a node after one, none when it never works again.

    `collected` is when a carrier collects, where that has a time of its own.
    """
    try:
        tomorrow = start.start_on + timedelta(days=1)
        day = promise.worked_date(dates.calendar(node), tomorrow, time_zone=node.time_zone)
    except promise.NeverError:
        return None
    dispatched = dates.dispatch(node, day, collected)
    return First(day, *dispatched) if dispatched else None


def starts(terrain: Terrain, row: int) -> Iterator[First]:
    """The starts that a node offers, its first one first; none where it never works."""
    day = terrain.dispatches[row]
    for _ in range(LATER_DATES_MAX + 1):
        if day is None:
            return
        yield day
        day = following(terrain.dates, terrain.destination.nodes[row], day)


def _moved(terrain: Terrain, moved: Mapping[int, First | None]) -> Terrain | None:
    """The terrain with other first starts for some rows, none of them where there is no start."""
    rows, promises = terrain.rows, [*terrain.promises]
    ready, abilities, latest = rows.ready.copy(), rows.abilities.copy(), rows.lane_latest.copy()
    dispatches, departures = [*terrain.dispatches], [*terrain.departures]
    lane_ready = rows.lane_ready.copy()
    for row, first in moved.items():
        dispatches[row] = first
        if first is None:
            abilities[row] = ready[row] = 0
            continue
        ready[row] = first.work_on.toordinal()
        for lane in range(rows.lane_starts[row], rows.lane_starts[row + 1]):
            promised: Promise | None = terrain.dates.delivery(terrain.lanes[lane], first.ship_by)
            if promised is None:
                return None
            promises[lane], departures[lane] = promised, first
            lane_ready[lane] = ready[row]
            latest[lane] = promised.latest.toordinal()
    rows = rows._replace(
        ready=ready,
        abilities=abilities,
        lane_latest=latest,
        lane_ready=lane_ready,
        **apart(rows.kind, moved)._asdict(),
    )
    return msgspec.structs.replace(
        terrain,
        rows=rows,
        packed=packed(rows),
        dispatches=tuple(dispatches),
        departures=tuple(departures),
        promises=tuple(promises),
    )
