"""Dates: when a node starts, dispatches and delivers, each rule in one place.

Every loop over dates is bounded by `DAYS_MAX`; a calendar that works no date in that span raises
`NeverError`, which candidates turn into the verdict `closed`.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from routing.plan import Promise
from routing.problem import Calendar, Lane, Node

DAYS_MAX = 366
"""How far ahead, in days, any rule looks for a worked date."""

_DAY = timedelta(days=1)
_NOON = time(12)


class NeverError(ValueError):
    """No worked date within `DAYS_MAX` days: the node or carrier cannot be promised from."""


@lru_cache(maxsize=1024)
def clocks(time_zone: str) -> ZoneInfo:
    """The clocks of a time zone, read once: `ZoneInfo` by itself remembers the last eight only."""
    return ZoneInfo(time_zone)


def local_date(instant: datetime, time_zone: str) -> date:
    """The date clocks in `time_zone` show at `instant`."""
    return instant.astimezone(clocks(time_zone)).date()


def works_on(calendar: Calendar | None, day: date) -> bool:
    """Whether `calendar` works on `day`; without a calendar every date is worked."""
    if calendar is None:
        return True
    return day.isoweekday() in calendar.weekdays and day not in calendar.holidays


@lru_cache(maxsize=100_000)
def is_shown(day: date, time_zone: str) -> bool:
    """Whether clocks in `time_zone` ever show `day`.

    They skip one when a place moves across the date line, as Samoa did with 30 December 2011.
    Nobody works, delivers or collects on it.
    """
    noon = datetime.combine(day, _NOON, clocks(time_zone)).astimezone(UTC)
    return local_date(noon, time_zone) == day


def worked_date(calendar: Calendar | None, day: date, further: int = 0, *, time_zone: str) -> date:
    """The first worked date on or after `day`, then `further` worked dates later.

    Dates that clocks in `time_zone` skip do not count. Raises `NeverError` when that is more than
    `DAYS_MAX` days away.
    """
    last = day + DAYS_MAX * _DAY
    while True:
        if day > last:
            name = calendar.calendar_id if calendar else "every day"
            message = f"calendar {name} has no such worked date within {DAYS_MAX} days, by {last}"
            raise NeverError(message)
        if works_on(calendar, day) and is_shown(day, time_zone):
            if further == 0:
                return day
            further -= 1
        day += _DAY


def local_instant(day: date, at: time, time_zone: str) -> datetime:
    """The last instant, UTC, at which clocks in `time_zone` show `at` on `day`.

    Where the clock is set back and shows `at` twice, that is the second time; where it is set
    forward over `at`, it is when the clock would have shown it: both are the later of two readings,
    so work accepted by wall clock is never due before it was accepted.
    """
    zone = clocks(time_zone)
    readings = (
        datetime.combine(day, at).replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)
    )
    return max(readings)


def start_date(
    node: Node, calendar: Calendar, now: datetime, collected: time | None = None
) -> date:
    """The work date from which an order placed at `now` counts at `node`.

    It is the local date when its cut-off has not passed, else the next date, moved to the first
    worked date. A carrier that collects before the cut-off, at `collected`, takes what was accepted
    by then. Raises `NeverError`.
    """
    today = local_date(now, node.time_zone)
    in_time = now <= min(
        local_instant(today, at, node.time_zone) for at in (node.cut_off, collected or node.cut_off)
    )
    first = today if in_time else today + _DAY
    return worked_date(calendar, first, time_zone=node.time_zone)


def dispatch_date(node: Node, calendar: Calendar, start_on: date) -> date:
    """The work date on which work started on `start_on` leaves, or is ready for pickup.

    That is `handling_days` worked dates after the start; its capacity is what the work takes.
    Raises `NeverError`.
    """
    return worked_date(calendar, start_on, node.handling_days, time_zone=node.time_zone)


def dispatch_instant(node: Node, work_on: date, collected: time | None = None) -> datetime:
    """`ship_by`: the cut-off of the dispatch date, or when the carrier collects then, UTC."""
    return local_instant(work_on, collected or node.cut_off, node.time_zone)


def pickup_promise(work_on: date) -> Promise:
    """Goods are collected from the dispatch date on, a local date at the pickup node."""
    return Promise(earliest=work_on, latest=work_on)


def delivery_promise(
    lane: Lane, calendars: Mapping[str, Calendar], ship_by: datetime, time_zone: str
) -> Promise:
    """The local dates where a lane ends between which a parcel handed over by `ship_by` arrives.

    The parcel departs on the carrier's first date on or after the date there at `ship_by` and takes `transit_days_min` to `transit_days_max` further dates of the carrier's calendar.
    Raises `NeverError`, and `KeyError` for a calendar that is not in `calendars`.
    """
    calendar = None if lane.calendar_id is None else calendars[lane.calendar_id]
    handed_over = local_date(ship_by, time_zone)
    return Promise(
        earliest=worked_date(calendar, handed_over, lane.transit_days_min, time_zone=time_zone),
        latest=worked_date(calendar, handed_over, lane.transit_days_max, time_zone=time_zone),
    )


def collection_promise(node: Node, calendar: Calendar, arrival: Promise) -> Promise:
    """The local dates at a pickup node between which goods sent there can be collected.

    They are ready `handling_days` worked dates after they start there. At the earliest they start
    on the first worked date on or after the first date of arrival, come before its cut-off; at the
    latest on the first one after the last date of arrival, come after it. Raises `NeverError`.
    """
    return Promise(
        earliest=dispatch_date(node, calendar, arrival.earliest),
        latest=dispatch_date(node, calendar, arrival.latest + _DAY),
    )


def line_days(promised: date, since: date) -> int:
    """Whole days from `since` to `promised`, none when it is not later."""
    return max(0, (promised - since).days)
