"""When a node should do an order's work, where its dates have prices: not always as soon as it can.

An order that can wait leaves a scarce date to those that cannot. The optimizer is asked of one date
for each node, so that date is chosen before: the one for which the price of a place and what the
order waits more, taken as a whole and by the carrier for whom that is most, come to least.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from functools import cache

from routing import cost
from routing.dates import Start
from routing.later import starts
from routing.problem import Lane, Line, Policy
from routing.terrain import Terrain

__all__ = ["Start", "Waits", "can_wait", "starts_of", "waits_minor", "waits_of"]

Waits = Callable[[date], int]
"""What an order pays for waiting where all of it is promised for a date, minor units."""


def starts_of(terrain: Terrain, row: int) -> tuple[Start, ...]:
    """The dates that a node offers, the first one first, as far as all its services go then."""
    lanes = terrain.lanes[terrain.rows.lane_starts[row] : terrain.rows.lane_starts[row + 1]]
    node, first = terrain.destination.nodes[row], terrain.dispatches[row]
    ways = ((e.calendar_id, e.transit_days_min, e.transit_days_max, e.to_node) for e in lanes)
    key = node.time_zone, node.calendar_id, node.cut_off, node.handling_days, first, *ways
    known = terrain.dates.starts.get(key)
    if known is None:
        known = terrain.dates.starts[key] = _starts_of(terrain, row, lanes)
    return known


def _starts_of(terrain: Terrain, row: int, lanes: Sequence[Lane]) -> tuple[Start, ...]:
    """The same, worked out anew."""
    found = []
    for day in starts(terrain, row):
        promised = [terrain.dates.delivery(lane, day.ship_by) for lane in lanes]
        latest = tuple(each.latest for each in promised if each is not None)
        if len(latest) < len(lanes):
            break
        found.append(Start(day.work_on, (*latest, day.work_on)))
    return tuple(found)


def can_wait(terrain: Terrain, lines: Iterable[Line]) -> bool:
    """Whether the work of an order may be put off: nothing was promised of it before.

    Services that a carrier collects at times of its own do not move to another date together.
    """
    return not terrain.timed and all(line.promised_by is None for line in lines)


def waits_of(policy: Policy, lines: Iterable[Line], ordered_on: date) -> Waits:
    """What the lines of an order pay for waiting, by the date for which all are promised."""
    asked = (*lines,)

    @cache
    def minor(promised: date) -> int:
        late = sum(cost.lateness_minor(policy, line, promised) for line in asked)
        return late + len(asked) * cost.delay_minor(policy, promised, ordered_on)

    return minor


def waits_minor(waits: Waits, first: Start, later: Start) -> int:
    """What an order pays for a node's later start, at most: by the service that gets dearest."""
    return max(
        waits(after) - waits(before)
        for before, after in zip(first.latest, later.latest, strict=True)
    )
