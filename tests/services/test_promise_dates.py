"""How long a promise holds and what it becomes later, read off clocks minute by minute."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.plan import Cost, Fulfillment, Promise
from routing.problem import Calendar, Lane, Node
from services.orders.answers import FulfillmentAnswer, fulfillment_answer
from services.orders.promise import LATER_DATES, dated, last_cut_off, later_dates
from services.orders.request import QuoteRequest, RequestLine, verify_date
from services.planning.network import Network, build
from services.planning.records import LaneGroup, NetworkRows, NodeRow, Zone
from services.problems import Refused
from tests.routing import slow_dates, small
from tests.routing.clocks import CALENDARS, CUT_OFFS, INSTANTS, ZONES

SECOND = timedelta(seconds=1)
ZONES_DRAWN = st.sampled_from(ZONES)
METHODS = st.sampled_from(("ship", "pickup"))


def network(node: Node, works: Calendar, lane: Lane, time_zone: str) -> Network:
    """Return a network of one node and one lane to one zone."""
    zone = Zone(
        zone_id="Z",
        country="US",
        postal_prefixes=("1",),
        latitude=0,
        longitude=0,
        time_zone=time_zone,
    )
    return build(
        NetworkRows(
            version=1,
            nodes=(NodeRow(node=node, latitude=0, longitude=0, enabled=True, limited=False),),
            lanes=(LaneGroup(lane=lane, zone_ids=("Z",)),),
            calendars=(works,),
            tariffs=(small.NEAR,),
            zones=(zone,),
        )
    )


def work(work_on: date, ship_by: datetime, service: str | None = "standard") -> Fulfillment:
    """Return what the node was to do on a date."""
    return Fulfillment(
        node_id="n",
        method="ship" if service else "pickup",
        service=service,
        work_on=work_on,
        ship_by=ship_by,
        promise=Promise(earliest=work_on, latest=work_on),
        lines=(),
        weight_grams=500,
        cost=Cost(),
    )


def answered(fulfillment: Fulfillment) -> FulfillmentAnswer:
    """Return it as an allocation keeps it."""
    return fulfillment_answer(fulfillment, "USD")


@settings(max_examples=150, deadline=None, derandomize=True)
@given(ZONES_DRAWN, INSTANTS, CUT_OFFS, CALENDARS, st.integers(0, 2), st.integers(0, 5))
def test_a_promise_holds_to_the_second_at_which_its_date_can_no_longer_be_made(
    zone: str, now: datetime, cut_off: time, calendar: Calendar, handling_days: int, ahead: int
) -> None:
    """Confirmed in time the parcel leaves as shown; a second later it would leave later.

    Also for work of a later date than the first, as of goods that are still to come. Whoever asks
    later, and still in time, is told the same, so that one who has asked may remember it.
    """
    node = small.node(
        "n", time_zone=zone, cut_off=cut_off, handling_days=handling_days, calendar_id="drawn"
    )
    there_on = now.date() + timedelta(days=ahead)
    start_on = slow_dates.start(node, calendar, now, there_on)
    work_on, ship_by = slow_dates.dispatch(node, calendar, start_on)

    asked = work(work_on, ship_by), network(node, calendar, small.lane("n"), zone)
    until = last_cut_off(*asked, now)
    assert last_cut_off(*asked, now + (until - now) / 2) == until
    assert last_cut_off(*asked, until) == until

    in_time = slow_dates.start(node, calendar, until)
    too_late = slow_dates.start(node, calendar, until + SECOND)
    assert until >= now
    assert slow_dates.dispatch(node, calendar, in_time)[0] <= work_on
    assert slow_dates.dispatch(node, calendar, too_late)[0] > work_on


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.tuples(ZONES_DRAWN, ZONES_DRAWN),
    st.tuples(INSTANTS, st.integers(0, 4 * 24 * 60)),
    CUT_OFFS,
    CALENDARS,
    METHODS,
)
def test_what_is_confirmed_late_gets_the_dates_of_an_order_placed_then(
    zones: tuple[str, str],
    instants: tuple[datetime, int],
    cut_off: time,
    calendar: Calendar,
    method: Literal["ship", "pickup"],
) -> None:
    """Paid three days later, over a holiday and a change of clocks, it is promised anew."""
    (zone, destination), (now, minutes) = zones, instants
    node = small.node("n", time_zone=zone, cut_off=cut_off, calendar_id="drawn")
    lane = small.lane("n", days=2, calendar_id="drawn")
    place = network(node, calendar, lane, destination)
    first = slow_dates.start(node, calendar, now)
    before = work(first, now, "standard" if method == "ship" else None)
    later = now + timedelta(minutes=minutes)

    dates = later_dates(answered(before), "Z", place, later)
    after = dated(answered(before), dates[0], "Z", place)

    work_on, ship_by = slow_dates.dispatch(node, calendar, slow_dates.start(node, calendar, later))
    assert list(dates) == slow_dates.worked_days(calendar, work_on, LATER_DATES, zone)
    assert (after.work_on, after.ship_by) == (work_on, ship_by)
    promised = work_on, work_on
    if method == "ship":
        promised = slow_dates.delivery(lane, calendar, ship_by, destination)
    assert (after.promise.earliest, after.promise.latest) == promised


def test_the_last_day_of_a_seasonal_node_ends_at_its_cut_off() -> None:
    """A Christmas market that closes for good was promised from until then, and not an error."""
    last = date(2026, 12, 23)
    closed = tuple(last + timedelta(days=ahead) for ahead in range(1, 400))
    market = Calendar(calendar_id="market", weekdays=(1, 2, 3, 4, 5, 6, 7), holidays=closed)
    node = small.node("n", calendar_id="market")
    place = network(node, market, small.lane("n"), "UTC")
    noon = datetime(2026, 12, 23, 12, tzinfo=UTC)
    promised = work(last, noon)

    assert last_cut_off(promised, place, noon) == datetime(2026, 12, 23, 14, tzinfo=UTC)
    assert later_dates(answered(promised), "Z", place, noon + timedelta(days=1)) == ()


def test_work_whose_lane_or_node_has_gone_has_no_later_dates() -> None:
    """It keeps the dates that were promised, and the capacity that was taken for them."""
    node = small.node("n")
    place = network(node, small.ALWAYS, small.lane("n"), "UTC")
    then = small.NOW + timedelta(days=3)
    shipped, collected = work(small.TODAY, small.NOW), work(small.TODAY, small.NOW, None)
    other = msgspec.structs.replace(shipped, service="express")
    elsewhere = msgspec.structs.replace(shipped, node_id="gone")

    assert later_dates(answered(other), "Z", place, then) == ()
    assert later_dates(answered(elsewhere), "Z", place, then) == ()
    assert later_dates(answered(shipped), "Z", place, then)[0] == then.date()
    assert later_dates(answered(collected), None, place, then)[0] == then.date()


@settings(max_examples=150, deadline=None, derandomize=True)
@given(ZONES_DRAWN, ZONES_DRAWN, INSTANTS, st.integers(-2, 2), METHODS)
def test_a_wish_is_in_the_past_where_the_customer_is_and_nowhere_else(
    zone: str, destination: str, now: datetime, ahead: int, method: Literal["ship", "pickup"]
) -> None:
    """At noon UTC it is tomorrow on Kiritimati and still yesterday evening on Pago Pago."""
    node = small.node("n", time_zone=zone)
    place = network(node, small.ALWAYS, small.lane("n"), destination)
    where = zone if method == "pickup" else destination
    wished = now.date() + timedelta(days=ahead)
    line = RequestLine(
        line_id="1",
        sku="apple",
        quantity=1,
        method=method,
        pickup_node="n" if method == "pickup" else None,
        requested_by=wished,
    )
    request = QuoteRequest(lines=(line,))
    today = slow_dates.today(where, now)

    if wished < today:
        with pytest.raises(Refused, match=f"today is {today}"):
            verify_date(request.lines[0], place, place.zones["Z"], now)
    else:
        verify_date(request.lines[0], place, place.zones["Z"], now)
