"""Dates around midnight, cut-offs, holidays and clock changes, against a slow obvious reading."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing import promise
from routing.problem import Calendar
from tests.routing import slow_dates, small
from tests.routing.clocks import CALENDARS, CUT_OFFS, INSTANTS, ZONES


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

    assert start == slow_dates.start(node, calendar, now)
    assert (work_on, ship_by) == slow_dates.dispatch(node, calendar, start)
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

    assert (promised.earliest, promised.latest) == slow_dates.delivery(
        lane, calendar, ship_by, zone
    )


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
        promise.worked_date(never, date(2026, 5, 12), time_zone="UTC")


def test_a_date_that_clocks_skip_is_worked_by_nobody() -> None:
    """Samoa went from Thursday 29 to Saturday 31 December 2011; nothing could arrive on Friday."""
    apia = small.node("a", time_zone="Pacific/Apia", cut_off=time(14))
    evening = datetime(2011, 12, 30, 4, tzinfo=UTC)
    lane = small.lane("a", days=1)
    thursday, saturday = date(2011, 12, 29), date(2011, 12, 31)

    start = promise.start_date(apia, small.ALWAYS, evening)
    sent = datetime(2011, 12, 29, 22, tzinfo=UTC)

    assert promise.local_date(evening, "Pacific/Apia") == thursday
    assert start == saturday
    assert promise.dispatch_instant(apia, start) == datetime(2011, 12, 31, 0, tzinfo=UTC)
    assert promise.delivery_promise(lane, {}, sent, "Pacific/Apia").latest == saturday


def test_no_clock_goes_back_to_a_date_that_was_over() -> None:
    """A start date never gets earlier because local dates do not, in any zone until 2037.

    Clocks set back at midnight show the old date for another hour, but none shows the new one
    first; where clocks of the past did, ordering later could have started sooner.
    """
    for name in sorted(available_timezones()):
        zone = ZoneInfo(name)
        for before, after in clock_changes(zone, 2026, 2037):
            assert before.astimezone(zone).date() <= after.astimezone(zone).date(), (name, after)


def clock_changes(
    zone: ZoneInfo, first_year: int, last_year: int
) -> Iterator[tuple[datetime, datetime]]:
    """The last second before each change of a zone's offset, and the second of the change.

    Changes that undo each other within eight days are not found.
    """
    before = datetime(first_year, 1, 1, tzinfo=UTC)
    while before.year <= last_year:
        after = before + timedelta(days=8)
        following = after
        if before.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset():
            old = before.astimezone(zone).utcoffset()
            while after - before > timedelta(seconds=1):
                middle = before + (after - before) // 2
                middle = middle.replace(microsecond=0)
                if middle.astimezone(zone).utcoffset() == old:
                    before = middle
                else:
                    after = middle
            yield before, after
        before = following


def test_the_clocks_of_all_zones_are_read_once() -> None:
    """`ZoneInfo` reads the ninth zone in use from its file each time it is asked for."""
    zones = sorted(available_timezones())
    read = [promise.clocks(zone) for zone in zones]
    promise.clocks.cache_clear()
    again = [promise.clocks(zone) for zone in zones]
    assert all(promise.clocks(zone) is each for zone, each in zip(zones, again, strict=True))
    assert [each.key for each in read] == zones
