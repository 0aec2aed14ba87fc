"""The dates that orders of a window can be given: later ones too, where a node may be full.

An order is put off when the node it goes to has no room on its first date. Once there is some again,
or on a date in between, it can come forward; and it may make room for others as long as its own
promise holds. So each service of a node whose capacity counts is there once for every date it may
start on, as if they were services of their own.
"""

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import NamedTuple

import msgspec
import numpy as np

from routing.dates import First
from routing.later import LATER_DATES_MAX, following
from routing.plan import Promise
from routing.problem import Lane
from routing.terrain import Terrain, packed, sorted_out
from routing.window import Waiting, Window
from routing.window_ground import Ground

__all__ = ["dated", "leaves_from", "work_dates"]

Room = Mapping[tuple[str, date], bool]
"""By node id and work date, of those whose capacity counts: whether there is any."""


class _Span(NamedTuple):
    """What the dates of a terrain have to reach over for all of its orders."""

    leaves_at: datetime
    """The last of the instants before which nothing may have to leave."""
    until: date
    """The last date that was promised."""


def dated(window: Window, at: Ground) -> Window:
    """The window with terrains in which services are offered on later dates, where those may be needed.

    Up to the latest date that any order of the terrain was promised; a date that others take all of
    is left out, and so is every date after one without a limit that is late enough for all orders.
    """
    room: dict[tuple[str, date], bool] = {}
    for (node_id, work_on, _), n in at.rooms.items():
        room[node_id, work_on] = room.get((node_id, work_on), True) and bool(at.space[n] > 0)
    spans: dict[int, _Span] = {}
    for order in window.orders:
        span = _Span(leaves_from(order) or window.now, last_promised(order))
        known = spans.get(id(order.terrain), span)
        spans[id(order.terrain)] = _Span(
            max(span.leaves_at, known.leaves_at), max(span.until, known.until)
        )
    terrains = {id(order.terrain): order.terrain for order in window.orders}
    seen = {key: _unfolded(each, room, spans[key]) for key, each in terrains.items()}
    return msgspec.structs.replace(
        window,
        orders=tuple(
            msgspec.structs.replace(order, terrain=seen[id(order.terrain)])
            for order in window.orders
        ),
    )


def last_promised(order: Waiting) -> date:
    """The latest date that was promised of an order."""
    return max(
        (each.promise.latest for each in order.plan.fulfillments), default=order.terrain.ordered_on
    )


def leaves_from(order: Waiting) -> datetime | None:
    """The instant before which nothing may have to leave, none where any will do.

    Nobody is asked before the order is released; a plan that leaves sooner gets no worse.
    """
    if order.released_at is None:
        return None
    return min([order.released_at, *(each.ship_by for each in order.plan.fulfillments)])


def work_dates(terrain: Terrain) -> dict[str, list[date]]:
    """By node id: the work dates on which its services start, ascending."""
    found: dict[str, set[date]] = {}
    for lane, first in zip(terrain.lanes, terrain.departures, strict=True):
        found.setdefault(lane.node_id, set()).add(first.work_on)
    return {node_id: sorted(days) for node_id, days in found.items()}


def _unfolded(terrain: Terrain, room: Room, span: _Span) -> Terrain:
    """The terrain with a lane for each date of each service; the first dates come first."""
    rows = terrain.rows
    places: list[int] = []
    starts: list[tuple[First, Promise]] = []
    counts = []
    spans = zip(rows.lane_starts[:-1].tolist(), rows.lane_starts[1:].tolist(), strict=True)
    for first, last in spans:
        own = range(first, last)
        offered = [(n, (terrain.departures[n], terrain.promises[n])) for n in own]
        later = ((n, each) for n in own for each in _later(terrain, n, room, span))
        offered += sorted(later, key=lambda each: (each[1][0].work_on, each[0]))
        places += [n for n, _ in offered]
        starts += [each for _, each in offered]
        counts.append(len(offered))
    if len(places) == len(terrain.lanes):
        return terrain
    return _with_lanes(terrain, places, starts, counts)


def _later(
    terrain: Terrain, place: int, room: Room, span: _Span
) -> Iterator[tuple[First, Promise]]:
    """The later starts of a lane that are worth a look, with what they promise."""
    lane: Lane = terrain.lanes[place]
    node, start = terrain.destination.nodes[terrain.row_of[lane.node_id]], terrain.departures[place]
    for _ in range(LATER_DATES_MAX):
        if (lane.node_id, start.work_on) not in room and start.ship_by >= span.leaves_at:
            return
        later = following(terrain.dates, node, start, lane.cut_off)
        promised = terrain.dates.delivery(lane, later.ship_by) if later else None
        if later is None or promised is None or promised.latest > span.until:
            return
        start = later
        if room.get((lane.node_id, start.work_on), True):
            yield start, promised


def _with_lanes(
    terrain: Terrain, places: list[int], starts: list[tuple[First, Promise]], counts: list[int]
) -> Terrain:
    """The terrain with these of its lanes, on other dates; `counts` are by row."""
    rows, kept = terrain.rows, np.array(places, np.int64)
    rows = sorted_out(
        rows._replace(
            lane_starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            lane_tariff=rows.lane_tariff[kept],
            lane_latest=np.array([each.latest.toordinal() for _, each in starts], np.int64),
            lane_ready=np.array([each.work_on.toordinal() for each, _ in starts], np.int64),
            lane_to=rows.lane_to[kept],
            lane_abilities=rows.lane_abilities[kept],
            lane_opening=rows.lane_opening[kept],
            lane_rate=rows.lane_rate[kept],
        )
    )
    return msgspec.structs.replace(
        terrain,
        rows=rows,
        packed=packed(rows),
        departures=tuple(first for first, _ in starts),
        promises=tuple(promised for _, promised in starts),
        lanes=tuple(terrain.lanes[n] for n in places),
        leaning={},
    )
