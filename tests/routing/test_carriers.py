"""Carriers that collect at times of their own, and goods that they price by volume."""

from datetime import date, datetime, time, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from routing import promise
from routing.check import check
from routing.plan import Promise
from routing.problem import Capacity, Policy, Problem
from routing.solve import solve
from tests.routing import slow_dates, small
from tests.routing.baskets import decided

replace = small.replace
DAY = timedelta(days=1)


def case(hour: int, collects: time | None, **changes: object) -> Problem:
    """An order at some hour of Tuesday, from a node that takes orders until 14:00."""
    given = small.problem(
        (small.line("a", "lamp"),),
        (small.node("depot", "warehouse"),),
        (small.stock("depot", "lamp", 4),),
        lanes=(small.lane("depot", days=0, service="same-day", cut_off=collects),),
    )
    return replace(given, now=small.NOW.replace(hour=hour), **changes)


def test_a_courier_that_comes_before_the_cut_off_takes_what_was_ordered_by_then() -> None:
    """Ordered by eleven, delivered today; at noon the courier has gone, though the node still works."""
    early = solve(case(11, time(11))).fulfillments[0]
    late = solve(case(12, time(11))).fulfillments[0]

    assert early.promise == Promise(earliest=small.TODAY, latest=small.TODAY)
    assert early.ship_by == datetime(2026, 5, 12, 11, tzinfo=small.NOW.tzinfo)
    assert late.promise.latest == late.work_on == small.TODAY + DAY
    assert check(case(12, time(11)), solve(case(12, time(11)))) == []


def test_a_carrier_that_comes_late_gives_the_node_more_time_and_the_customer_none() -> None:
    """What is ordered after the cut-off is not worked off today, whenever the van comes."""
    before = solve(case(13, time(18))).fulfillments[0]
    after = solve(case(15, time(18))).fulfillments[0]

    assert (before.work_on, before.ship_by.hour) == (small.TODAY, 18)
    assert after.work_on == small.TODAY + DAY


def test_a_full_node_with_carriers_of_their_own_times_is_planned_right() -> None:
    """Its services start on different dates, so they do not move to a date with room together."""
    full = (Capacity(work_on=small.TODAY, remaining=0),)
    problem = case(12, time(11), nodes=(small.node("depot", capacity=full),))
    problem = replace(problem, lanes=(*problem.lanes, small.lane("depot", days=2)))

    decision = decided(problem)

    assert decision.plan == solve(problem)
    assert check(problem, decision.plan) == []
    assert decision.plan.fulfillments[0].work_on == small.TODAY + DAY


def test_the_judge_knows_when_a_carrier_comes() -> None:
    """A plan for another time is not kept by anybody."""
    plan = solve(case(12, None))

    broken = {each.rule for each in check(case(12, time(11)), plan)}

    assert {"work date", "ship_by"} <= broken


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.sampled_from(("Europe/Warsaw", "America/New_York", "Australia/Lord_Howe", "UTC")),
    st.integers(0, 600_000),
    st.times().map(lambda at: at.replace(second=0, microsecond=0)),
    st.times().map(lambda at: at.replace(second=0, microsecond=0)),
)
def test_a_carriers_time_counts_like_a_second_cut_off(
    zone: str, minute: int, cut_off: time, collects: time
) -> None:
    """Both have to be met, on any date of the year, and the parcel is never due before its order."""
    now = datetime(2026, 1, 1, tzinfo=small.NOW.tzinfo) + timedelta(minutes=minute)
    node = small.node("n", time_zone=zone, cut_off=cut_off)

    start = promise.start_date(node, small.ALWAYS, now, collects)

    first = max(slow_dates.first_day(zone, at, now) for at in (cut_off, collects))
    assert start == first
    assert promise.dispatch_instant(node, start, collects) >= now


def test_a_bulky_unit_is_priced_by_its_volume_and_shown_with_its_weight() -> None:
    """A duvet of 500 g fills a parcel of three kilograms."""
    problem = case(9, None)
    bulky = replace(problem, lines=(replace(problem.lines[0], dimensional_grams=3_000),))
    dense = replace(problem, lines=(replace(problem.lines[0], dimensional_grams=100),))

    for order, parcels in ((bulky, 800), (dense, 500)):
        decision = decided(order)
        sent = decision.plan.fulfillments[0]
        assert decision.plan == solve(order)
        assert check(order, decision.plan) == []
        assert (sent.weight_grams, sent.cost.parcels_minor) == (500, parcels)
    assert "cost" in {each.rule for each in check(bulky, solve(dense))}


def test_emissions_steer_and_cost_no_money() -> None:
    """A plane is a day sooner; with a price of what it emits, the truck is taken."""
    lanes = (
        small.lane("depot", days=1, service="air", co2_grams=500, co2_grams_per_kg=9_000),
        small.lane("depot", days=2, service="truck", co2_grams=500, co2_grams_per_kg=100),
    )
    free = case(9, None, lanes=lanes)
    priced = replace(free, policy=Policy(co2_minor_per_kg=20, time_limit_ms=5_000))

    assert solve(free).fulfillments[0].service == "air"
    plan = solve(priced)
    assert plan.fulfillments[0].service == "truck"
    # 500 g for the parcel and 50 g for half a kilogram, at 20 a kilogram: 10 and 1.
    assert plan.prices.emissions_minor == 11
    assert plan.cost == solve(free).cost
    assert check(priced, plan) == []
    assert decided(priced).plan == plan
    assert "prices" in {each.rule for each in check(priced, solve(free))}
    assert plan.fulfillments[0].promise.latest == date(2026, 5, 14)
