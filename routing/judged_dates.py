"""Dates as the judge works them out, one day and one offset after another."""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from routing.problem import Calendar, Node

DAYS_MAX = 400
"""Days looked at, a year and some."""


def works(calendar: Calendar | None, day: date, zone: str) -> bool:
    """Whether a date is worked, which is one that the zone's clocks show."""
    worked = calendar is None or (
        day.isoweekday() in calendar.weekdays and day not in calendar.holidays
    )
    return worked and _shown(day, zone)


@lru_cache(maxsize=100_000)
def _shown(day: date, zone: str) -> bool:
    """Whether clocks show the date at any of some hours that no date can fall between."""
    noon = datetime.combine(day, datetime.min.time(), UTC) + timedelta(hours=12)
    instants = (noon + timedelta(hours=hours) for hours in range(-26, 27, 4))
    return any(at.astimezone(ZoneInfo(zone)).date() == day for at in instants)


def worked_dates(calendar: Calendar | None, first: date, zone: str) -> list[date]:
    """The dates worked from `first` on."""
    days = (first + timedelta(days=ahead) for ahead in range(DAYS_MAX))
    return [day for day in days if works(calendar, day, zone)]


def cut_off(node: Node, day: date, at: time | None = None) -> datetime:
    """The last instant at which the node's clock shows the cut-off, or `at`, on `day`.

    Tries every offset in force around the day; where the clock skips the cut-off, the offset from
    before the skip tells when it would have been.
    """
    zone = ZoneInfo(node.time_zone)
    wall = datetime.combine(day, at or node.cut_off)
    noon = datetime.combine(day, datetime.min.time(), UTC)
    offsets = [
        (noon + timedelta(hours=hours)).astimezone(zone).utcoffset() or timedelta()
        for hours in range(-36, 60, 6)
    ]
    instants = [(wall - offset).replace(tzinfo=UTC) for offset in dict.fromkeys(offsets)]
    shown = [at for at in instants if at.astimezone(zone).replace(tzinfo=None) == wall]
    return max(shown or instants)
