"""Dates the slow way: walk the clock minute by minute and the calendar day by day."""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from routing.problem import Calendar

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@lru_cache(maxsize=100_000)
def cut_off_instant(zone: str, day: date, cut_off: time) -> datetime:
    """The last minute whose wall clock reads the cut-off, found by looking at every minute.

    Where no minute does, the minute at which a clock that had not been set forward would have.
    """
    wanted = datetime.combine(day, cut_off)
    at = datetime.combine(day, time(0), UTC) - timedelta(hours=16)
    last, before = None, None
    for _ in range(56 * 60):
        wall = at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        if wall == wanted:
            last = at
        if wall < wanted:
            before = at, wall
        at += MINUTE
    if last is not None:
        return last
    if before is None:
        raise ValueError(f"{zone} never nears {wanted}")
    return before[0] + (wanted - before[1])


def works(calendar: Calendar | None, day: date) -> bool:
    """Whether the calendar works that day."""
    if calendar is None:
        return True
    return day not in calendar.holidays and day.isoweekday() in calendar.weekdays


def worked_days(calendar: Calendar | None, first: date, count: int) -> list[date]:
    """Up to `count` worked dates from `first` on, in 120 days: enough for a weekly carrier."""
    days = [first + ahead * DAY for ahead in range(120)]
    return [day for day in days if works(calendar, day)][:count]


def first_day(zone: str, cut_off: time, now: datetime) -> date:
    """The local date from which an order placed now counts, worked or not."""
    today = now.astimezone(ZoneInfo(zone)).date()
    return today if now <= cut_off_instant(zone, today, cut_off) else today + DAY
