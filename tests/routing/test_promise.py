"""Dates around midnight, cut-offs, holidays and clock changes, against a slow obvious reading."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing import promise
from routing.problem import Calendar
from tests.routing import slow_dates, small

ZONES = (
    "Europe/Warsaw",
    "America/New_York",
    "America/Havana",
    "Australia/Lord_Howe",
    "Asia/Tokyo",
    "Pacific/Auckland",
    "UTC",
)
CHANGES = (
    datetime(2026, 3, 8, 7, 0, tzinfo=UTC),
    datetime(2026, 3, 29, 1, 0, tzinfo=UTC),
    datetime(2026, 4, 4, 15, 0, tzinfo=UTC),
    datetime(2026, 10, 25, 1, 0, tzinfo=UTC),
    datetime(2026, 11, 1, 5, 30, tzinfo=UTC),
    datetime(2026, 12, 31, 23, 59, tzinfo=UTC),
)
INSTANTS = st.builds(
    lambda near, minutes: near + timedelta(minutes=minutes),
    st.sampled_from(CHANGES),
    st.integers(-1_500, 1_500),
)
CUT_OFFS = st.builds(time, st.sampled_from((0, 1, 2, 3, 14, 23)), st.sampled_from((0, 15, 30, 59)))
CALENDARS = st.builds(
    lambda weekdays, near, offsets: Calendar(
        calendar_id="drawn",
        weekdays=tuple(sorted(weekdays)),
        holidays=tuple(near.date() + timedelta(days=ahead) for ahead in offsets),
    ),
    st.sets(st.integers(1, 7), min_size=1),
    st.sampled_from(CHANGES),
    st.sets(st.integers(-2, 6), max_size=4),
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.sampled_from(ZONES), INSTANTS, CUT_OFFS, CALENDARS, st.integers(0, 3))
def test_start_dispatch_and_ship_by_agree_with_a_walk_minute_by_minute(
    zone: str, now: datetime, cut_off: time, calendar: Calendar, handling_days: int
) -> None:
    """Wall clocks that skip or repeat an hour are where date arithmetic goes wrong."""
    node = small.node("n", time_zone=zone, cut_off=cut_off, handling_days=handling_days)

    start = promise.start_date(node, calendar, now)
    work_on = promise.dispatch_date(node, calendar, start)
    ship_by = promise.dispatch_instant(node, work_on)

    days = slow_dates.worked_days(calendar, slow_dates.first_day(zone, cut_off, now), 60)
    assert start == days[0]
    assert work_on == days[handling_days]
    assert ship_by == slow_dates.cut_off_instant(zone, work_on, cut_off)
    assert ship_by >= now


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.sampled_from(ZONES), INSTANTS, CALENDARS, st.integers(0, 5), st.integers(0, 4))
def test_delivery_counts_the_carriers_dates_in_the_destinations_zone(
    zone: str, ship_by: datetime, calendar: Calendar, days_min: int, further: int
) -> None:
    """A parcel that leaves late in the evening is already a day further in another zone."""
    lane = small.lane("n", transit_days_min=days_min, transit_days_max=days_min + further)
    lane = small.replace(lane, calendar_id="drawn")

    promised = promise.delivery_promise(lane, {"drawn": calendar}, ship_by, zone)

    moves = slow_dates.worked_days(calendar, promise.local_date(ship_by, zone), 60)
    assert promised.earliest == moves[days_min]
    assert promised.latest == moves[days_min + further]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from(ZONES), INSTANTS, CUT_OFFS, CALENDARS, st.integers(0, 600))
def test_ordering_later_never_starts_sooner(
    zone: str, now: datetime, cut_off: time, calendar: Calendar, minutes: int
) -> None:
    """Pruning and later slots rely on dates that only grow."""
    node = small.node("n", time_zone=zone, cut_off=cut_off)

    first = promise.start_date(node, calendar, now)

    assert promise.start_date(node, calendar, now + timedelta(minutes=minutes)) >= first


def test_an_order_at_the_cut_off_counts_today_and_a_second_later_tomorrow() -> None:
    """The cut-off itself is in time."""
    node = small.node("n", cut_off=time(14))
    at = datetime(2026, 5, 12, 14, 0, tzinfo=UTC)

    assert promise.start_date(node, small.ALWAYS, at) == date(2026, 5, 12)
    assert promise.start_date(node, small.ALWAYS, at + timedelta(seconds=1)) == date(2026, 5, 13)


def test_the_nodes_date_counts_not_that_of_the_server() -> None:
    """At 23:30 UTC it is tomorrow morning in Tokyo and this afternoon in Los Angeles."""
    now = datetime(2026, 5, 12, 23, 30, tzinfo=UTC)
    tokyo = small.node("t", time_zone="Asia/Tokyo")
    angeles = small.node("l", time_zone="America/Los_Angeles", cut_off=time(17))

    assert promise.start_date(tokyo, small.ALWAYS, now) == date(2026, 5, 13)
    assert promise.start_date(angeles, small.ALWAYS, now) == date(2026, 5, 12)


def test_a_cut_off_the_clock_skips_or_repeats_is_read_in_the_orders_favor() -> None:
    """02:30 does not exist on 29 March 2026 in Warsaw and comes twice on 25 October."""
    node = small.node("n", time_zone="Europe/Warsaw", cut_off=time(2, 30))

    skipped = promise.dispatch_instant(node, date(2026, 3, 29))
    repeated = promise.dispatch_instant(node, date(2026, 10, 25))

    assert skipped == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert repeated == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


def test_handling_days_skip_weekends_and_holidays() -> None:
    """Friday afternoon plus one handling day, with Monday a holiday, is Wednesday."""
    calendar = Calendar(calendar_id="week", weekdays=(1, 2, 3, 4, 5), holidays=(date(2026, 5, 18),))
    node = small.node("n", handling_days=1)
    friday = datetime(2026, 5, 15, 16, 0, tzinfo=UTC)

    start = promise.start_date(node, calendar, friday)

    assert start == date(2026, 5, 19)
    assert promise.dispatch_date(node, calendar, start) == date(2026, 5, 20)


def test_a_calendar_without_worked_dates_says_so_after_a_year() -> None:
    """The loop is bounded, and its error names the calendar."""
    never = Calendar(calendar_id="never", weekdays=())

    with pytest.raises(promise.NeverError, match=r"never .* 366 days"):
        promise.worked_date(never, date(2026, 5, 12))
