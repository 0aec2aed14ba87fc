"""Places by day: which dates of a node an order may choose from, and which it takes at some prices.

A place is one fulfillment that a node with a limit can make on one work date. The optimizer is asked
of an order with its nodes' first dates alone. So it is charged, for each such node, the least over
the dates on offer of the price of a place and what the order waits more for it, taken as a whole
(`putting_off`); the place that it takes is the one of that date.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from routing.dates import Start
from routing.decided_again import Again
from routing.grid import Ints
from routing.putting_off import can_wait, starts_of, waits_minor, waits_of

__all__ = ["Coming", "Offer", "Rooms", "Taking", "minor_by_date", "offers_of"]


class Coming(NamedTuple):
    """An order that stands for some of those to come."""

    again: Again
    expected: float
    """How many like it are expected."""
    days_later: int = 0
    """How many days after its own dates those of them are."""


class Rooms(NamedTuple):
    """What a node with a limit can do on D of its work dates to come."""

    dates: tuple[date, ...]
    """`[D]`: all that it works between the first and the last."""
    places: tuple[float, ...]
    """`[D]`: fulfillments that it can make on each."""


class Taking(NamedTuple):
    """What an order takes of each node with a limit if it uses it; by node id."""

    places: Mapping[str, int]
    """Numbers of places."""
    waits_minor: Mapping[str, int]
    """What it pays more for waiting than on the node's first date."""
    tolls: Mapping[str, int]
    """That and the price of the place; nothing where both are nothing."""


class Offer(NamedTuple):
    """The dates that an order may choose from, of M nodes with a limit that could have any of it."""

    node_ids: tuple[str, ...]
    places: Ints
    """`[M, K]`: numbers of places, the last ones again where there are fewer."""
    waits: Ints
    """`[M, K]`: minor units."""

    def taking(self, minor: Ints) -> Taking:
        """What it takes where places cost `minor` `[P]`, the earliest of those that come to least."""
        if not self.node_ids:
            return Taking({}, {}, {})
        sums = minor[self.places] + self.waits
        best = np.arange(len(sums)), sums.argmin(axis=1)
        tolls = zip(self.node_ids, sums[best].tolist(), strict=True)
        return Taking(
            dict(zip(self.node_ids, self.places[best].tolist(), strict=True)),
            dict(zip(self.node_ids, self.waits[best].tolist(), strict=True)),
            {node_id: toll for node_id, toll in tolls if toll},
        )


def offers_of(
    orders: Sequence[Coming], rooms: Mapping[str, Rooms], never_minor: int
) -> list[Offer]:
    """The dates that each order may choose from; places are numbered in the order of `rooms`.

    Dates without a whole place are not on offer. A node that has none for an order costs it
    `never_minor` for each of its lines.
    """
    sizes = accumulate((len(each.dates) for each in rooms.values()), initial=0)
    first_of = dict(zip(rooms, sizes, strict=False))
    waits: dict[tuple[object, ...], tuple[int, ...]] = {}
    found = []
    for order in orders:
        again, wishes = order.again, _wishes(order.again)
        never = 0, never_minor * len(again.asked.lines)
        offer: dict[str, list[tuple[int, int]]] = {}
        for row, node_id in _limited(again, rooms):
            starts = starts_of(again.terrain, row)
            # The same tuple comes back for all nodes of the same rules.
            key = id(starts), again.terrain.ordered_on, wishes
            if key not in waits:
                waits[key] = _waits(again, starts)
            dates = _dates(order, rooms[node_id], starts, waits[key]) or [never]
            offer[node_id] = [(first_of[node_id] + n, wait) for n, wait in dates]
        found.append(_offer(offer))
    return found


def minor_by_date(rooms: Mapping[str, Rooms], minor: Ints) -> dict[str, dict[date, int]]:
    """Prices of all places by node and date, of those that have one."""
    found: dict[str, dict[date, int]] = {}
    first = 0
    for node_id, (dates, _) in rooms.items():
        own = zip(dates, minor[first : first + len(dates)].tolist(), strict=True)
        first += len(dates)
        if priced := {day: price for day, price in own if price}:
            found[node_id] = priced
    return found


def _limited(again: Again, rooms: Mapping[str, Rooms]) -> list[tuple[int, str]]:
    """Row and id of the nodes with a limit that could have any of an order."""
    row_of, nodes = again.terrain.rows.row_of, again.terrain.destination.nodes
    numbers = np.unique(again.numbers)
    rows = row_of[numbers[numbers < len(row_of)]].tolist()
    known = ((row, nodes[row].node_id) for row in rows if row >= 0)
    return [(row, node_id) for row, node_id in known if node_id in rooms]


def _wishes(again: Again) -> tuple[object, ...]:
    """All that waiting depends on beside the node."""
    policy = again.asked.policy
    wishes = tuple(line.requested_by for line in again.asked.lines)
    return policy.lateness_minor, policy.delay_minor, wishes


def _waits(again: Again, starts: Sequence[Start]) -> tuple[int, ...]:
    """What an order pays more for each start than for the first."""
    waits = waits_of(again.asked.policy, again.asked.lines, again.terrain.ordered_on)
    return tuple(waits_minor(waits, starts[0], each) for each in starts)


def _dates(
    order: Coming, rooms: Rooms, starts: Sequence[Start], waits: Sequence[int]
) -> list[tuple[int, int]]:
    """Number of the date in `rooms` and the wait, of all dates on offer, the first one first."""
    if not starts:
        return []
    day = starts[0].work_on + timedelta(days=order.days_later)
    first = bisect_left(rooms.dates, day)
    dates = zip(range(first, len(rooms.dates)), waits, strict=False)
    found = [(n, wait) for n, wait in dates if rooms.places[n] >= 1]
    waiting = can_wait(order.again.terrain, order.again.asked.lines)
    return found if waiting else found[:1]


def _offer(dates: Mapping[str, Sequence[tuple[int, int]]]) -> Offer:
    """The dates on offer as arrays."""
    most = max(map(len, dates.values()), default=0)
    full = [[*own, *([own[-1]] * (most - len(own)))] for own in dates.values()]
    table = np.array(full, np.int64).reshape(len(full), most, 2)
    return Offer((*dates,), table[:, :, 0].copy(), table[:, :, 1].copy())
