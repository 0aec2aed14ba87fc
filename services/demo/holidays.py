"""The days on which carriers and shops in the United States rest, by their rules."""

from collections.abc import Iterable
from datetime import date, timedelta

THURSDAY = 4
MONDAY = 1


def holidays(names: Iterable[str], years: Iterable[int]) -> list[date]:
    """Return the dates of the named holidays in the given years, in order.

    Raises `ValueError` for a name it does not know.
    """
    wanted = tuple(names)
    return sorted(holiday(name, year) for year in years for name in wanted)


def holiday(name: str, year: int) -> date:
    """Return the date of one holiday in one year; raises `ValueError` for an unknown name."""
    match name:
        case "New Year":
            return date(year, 1, 1)
        case "Memorial Day":
            return last_weekday(year, 5, MONDAY)
        case "Independence Day":
            return date(year, 7, 4)
        case "Labor Day":
            return nth_weekday(year, 9, MONDAY, 1)
        case "Thanksgiving":
            return nth_weekday(year, 11, THURSDAY, 4)
        case "Christmas":
            return date(year, 12, 25)
    raise ValueError(f"{name!r} is not a holiday known here; see services/demo/holidays.py")


def nth_weekday(year: int, month: int, weekday: int, nth: int) -> date:
    """Return the `nth` ISO `weekday` of a month, counted from 1."""
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.isoweekday()) % 7 + 7 * (nth - 1))


def last_weekday(year: int, month: int, weekday: int) -> date:
    """Return the last ISO `weekday` of a month of at most 31 days."""
    fifth = nth_weekday(year, month, weekday, 5)
    return fifth if fifth.month == month else fifth - timedelta(days=7)
