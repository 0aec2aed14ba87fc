"""Dates the slow way: walk the clock minute by minute and the calendar day by day."""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from routing.problem import Calendar, Lane, Node

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
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


@lru_cache(maxsize=100_000)
def is_shown(zone: str, day: date) -> bool:
    """Whether a clock of the zone, looked at every hour of three days, ever shows the date."""
    at = datetime.combine(day, time(0), UTC) - 24 * HOUR
    return any((at + hours * HOUR).astimezone(ZoneInfo(zone)).date() == day for hours in range(72))


def worked_days(calendar: Calendar | None, first: date, count: int, zone: str) -> list[date]:
    """Up to `count` worked dates from `first` on, in 120 days: enough for a weekly carrier."""
    days = [first + ahead * DAY for ahead in range(120)]
    return [day for day in days if works(calendar, day) and is_shown(zone, day)][:count]


def today(zone: str, now: datetime) -> date:
    """The date that clocks of the zone show."""
    return now.astimezone(ZoneInfo(zone)).date()


def first_day(zone: str, cut_off: time, now: datetime) -> date:
    """The local date from which an order placed now counts, worked or not."""
    day = today(zone, now)
    return day if now <= cut_off_instant(zone, day, cut_off) else day + DAY


def start(node: Node, calendar: Calendar, now: datetime, there_on: date = date.min) -> date:
    """The first date on which a node works for an order of now, with goods there on a date."""
    first = max(first_day(node.time_zone, node.cut_off, now), there_on)
    return worked_days(calendar, first, 1, node.time_zone)[0]


def dispatch(node: Node, calendar: Calendar, start_on: date) -> tuple[date, datetime]:
    """The date on which work started then is done, and the instant."""
    days = worked_days(calendar, start_on, node.handling_days + 1, node.time_zone)
    return days[-1], cut_off_instant(node.time_zone, days[-1], node.cut_off)


def delivery(
    lane: Lane, calendar: Calendar | None, ship_by: datetime, zone: str
) -> tuple[date, date]:
    """The first and the last date, where the customer is, on which a parcel arrives."""
    handed_over = today(zone, ship_by)
    moves = worked_days(calendar, handed_over, lane.transit_days_max + 1, zone)
    return moves[lane.transit_days_min], moves[lane.transit_days_max]
