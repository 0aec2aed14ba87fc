"""The capacity that a day's orders shared, and what places of it may cost an order in hindsight.

The optimizer is asked of an order with its nodes' first dates alone, so what it is charged for a
node has to be no more than any date there would cost: the price of the date, and how much longer an
order waits at least for one. The proof is in README.md, "Hindsight".
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import NamedTuple

import msgspec

from routing import cost
from routing.bundles import bundles, needs_of
from routing.dates import First
from routing.later import starts
from routing.problem import CapacityUnit
from routing.record import Asked
from routing.terrain import Terrain

__all__ = ["Place", "Room", "Toll", "rooms_of", "toll"]

Place = tuple[str, date]
"""Node id and work date."""


class Room(NamedTuple):
    """What a node can do on a date."""

    unit: CapacityUnit
    remaining: int


def rooms_of(orders: Sequence[Asked], left: Mapping[Place, Room]) -> dict[Place, Room]:
    """The places that orders could use up, of those `left` to them, and at least what they used."""
    used: dict[Place, tuple[int, int]] = {}
    for order in orders:
        for place, (count, units) in order.work.items():
            before = used.get(place, (0, 0))
            used[place] = before[0] + count, before[1] + units
    most_units = sum(_pieces(order) for order in orders)
    found = {}
    for place, room in left.items():
        taken = used.get(place, (0, 0))[room.unit == "units"]
        remaining = max(room.remaining, taken)
        # An order may open a few slots at a node, each of at least a unit.
        if remaining < most_units:
            found[place] = Room(room.unit, remaining)
    return found


def _pieces(asked: Asked) -> int:
    return sum(needs_of(asked.lines).values())


class Toll(msgspec.Struct, frozen=True):
    """What an order pays at most for a node's capacity, and for which date."""

    place: Place | None
    """The date that is cheapest, its wait included; none where no date on offer has any room."""
    order_minor: int = 0
    """For each fulfillment."""
    unit_minor: int = 0
    """For each unit."""
    first: bool = True
    """Whether that is the node's first date, and nothing is charged for waiting."""


def toll(
    order: tuple[Terrain, Asked],
    row: int,
    rooms: Mapping[Place, Room],
    price_of: Mapping[Place, int],
) -> Toll | None:
    """The toll of a node, none where its first date is not short of room.

    `price_of` are the prices of a fulfillment or a unit, as rooms count.
    """
    terrain, asked = order
    start, node = terrain.dispatches[row], terrain.destination.nodes[row]
    place = (node.node_id, start.work_on) if start else None
    if start is None or place is None or place not in rooms:
        return None
    room = rooms[place]
    if not _on_one_date(terrain, asked, row):
        return Toll(place)
    if room.remaining and not price_of.get(place, 0):
        return Toll(place)
    pieces = _pieces(asked)
    best: tuple[int, bool, Place] | None = None
    for n, day in enumerate(starts(terrain, row)):
        at = node.node_id, day.work_on
        there = rooms.get(at)
        if there is not None and not there.remaining:
            continue
        price = price_of.get(at, 0) if there and there.unit == room.unit else 0
        wait = _wait_minor(terrain, asked, row, (start, day)) if n else 0
        found = price + (wait if room.unit == "orders" else wait // pieces), n > 0, at
        best = found if best is None else min(best, found)
        if there is None:
            # Later dates cost no less.
            break
    if best is None:
        return Toll(None, first=False)
    minor, waits, at = best
    if room.unit == "orders":
        return Toll(at, order_minor=minor, first=not waits)
    return Toll(at, unit_minor=minor, first=not waits)


def _on_one_date(terrain: Terrain, asked: Asked, row: int) -> bool:
    """Whether a node starts all work of an order on its first date, if it has room."""
    node_id = terrain.destination.nodes[row].node_id
    expects = asked.policy.backorder and any(place[0] == node_id for place in asked.supply)
    return not (expects or terrain.timed)


def _wait_minor(
    terrain: Terrain,
    asked: Asked,
    row: int,
    starts: tuple[First, First],
) -> int:
    """How much dearer waiting is, at least, with a fulfillment that starts later.

    Only where every line is of one unit: else the line may wait for another fulfillment anyway.
    """
    lines = bundles(asked.lines)
    if any(line.quantity > 1 for line in lines):
        return 0
    first, later = starts
    pairs = [(first.work_on, later.work_on)]
    spans = terrain.rows.lane_starts
    for lane in terrain.lanes[spans[row] : spans[row + 1]]:
        before = terrain.dates.delivery(lane, first.ship_by)
        after = terrain.dates.delivery(lane, later.ship_by)
        if before and after:
            pairs.append((before.latest, after.latest))
    policy, ordered_on = asked.policy, terrain.ordered_on
    return min(
        cost.waiting_minor(policy, line, after, ordered_on)
        - cost.waiting_minor(policy, line, before, ordered_on)
        for line in lines
        for before, after in pairs
    )
