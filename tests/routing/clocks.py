"""Time zones and instants at which dates go wrong, and nodes and calendars drawn around them."""

from datetime import UTC, date, datetime, time, timedelta

from hypothesis import strategies as st

from routing.problem import Calendar

ZONES = (
    "Europe/Warsaw",
    "America/New_York",
    "America/Havana",
    "America/Santiago",
    "Africa/Casablanca",
    "Antarctica/Troll",
    "Asia/Kathmandu",
    "Asia/Tokyo",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Auckland",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
    "UTC",
)
"""One of each kind: clocks changed by an hour at 1, 2 or 3, at midnight, by half an hour, by two
hours; quarter hours; no changes; 14 hours ahead and 11 behind; a day that was skipped."""

CHANGES = (
    datetime(2026, 3, 8, 7, 0, tzinfo=UTC),
    datetime(2026, 3, 29, 1, 0, tzinfo=UTC),
    datetime(2026, 4, 4, 15, 0, tzinfo=UTC),
    datetime(2026, 4, 5, 3, 0, tzinfo=UTC),
    datetime(2026, 9, 6, 4, 0, tzinfo=UTC),
    datetime(2026, 10, 3, 15, 30, tzinfo=UTC),
    datetime(2026, 10, 25, 1, 0, tzinfo=UTC),
    datetime(2026, 11, 1, 5, 30, tzinfo=UTC),
    datetime(2026, 12, 31, 23, 59, tzinfo=UTC),
    datetime(2011, 12, 30, 10, 0, tzinfo=UTC),
)
"""Clocks go forward and back in the zones above, a year ends, and Samoa skips 30 December 2011."""

INSTANTS = st.builds(
    lambda near, seconds: near + timedelta(seconds=seconds),
    st.sampled_from(CHANGES),
    st.integers(-90_000, 90_000) | st.integers(-1_500, 1_500).map(lambda minutes: 60 * minutes),
)
CUT_OFFS = st.builds(time, st.sampled_from((0, 1, 2, 3, 14, 23)), st.sampled_from((0, 15, 30, 59)))
CALENDARS = st.builds(
    lambda weekdays, near, offsets: calendar(weekdays, near.date(), offsets),
    st.sets(st.integers(1, 7), min_size=1),
    st.sampled_from(CHANGES),
    st.sets(st.integers(-2, 6), max_size=4),
)


def calendar(weekdays: set[int], near: date, offsets: set[int], name: str = "drawn") -> Calendar:
    """A calendar of some weekdays, with holidays so many days from a date."""
    return Calendar(
        calendar_id=name,
        weekdays=tuple(sorted(weekdays)),
        holidays=tuple(near + timedelta(days=ahead) for ahead in sorted(offsets)),
    )
