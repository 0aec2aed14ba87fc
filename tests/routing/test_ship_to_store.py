"""Goods that a store lacks are sent there, and the customer collects them when they are ready."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing import promise
from routing.check import check
from routing.explain import explain, replay, why_not
from routing.plan import Plan, Promise
from routing.problem import Calendar, Capacity, Policy, Problem, ProblemError
from routing.solve import solve, validate
from tests.routing import slow_dates, small
from tests.routing.baskets import decided

replace = small.replace
BOTH = ("pickup", "ship_to_store")
SENDS = ("ship", "ship_to_store")
TUESDAY = small.TODAY


def case(**changes: object) -> Problem:
    """A lamp to be collected at the shop, which has none; the warehouse takes a day to bring it."""
    given = small.problem(
        (
            small.line("a", "lamp", methods=BOTH, pickup_node="shop"),
            small.line("b", "mug", methods=BOTH, pickup_node="shop"),
        ),
        (
            small.node("depot", "warehouse", capabilities=SENDS),
            small.node("shop", handling_days=1),
        ),
        (small.stock("depot", "lamp", 4), small.stock("shop", "mug", 1)),
        lanes=(small.lane("depot", to_node="shop"), small.lane("depot", service="post", days=0)),
        policy=Policy(shipments_max=1, time_limit_ms=5_000),
    )
    return replace(given, **changes)


def test_what_the_store_lacks_is_sent_there_and_the_rest_is_collected_from_its_shelf() -> None:
    """One trip to the shop for both: the mug from its shelf, the lamp from the warehouse."""
    problem = case()
    validate(problem)

    plan = solve(problem)

    assert check(problem, plan) == []
    sent, shelf = plan.fulfillments
    assert (sent.node_id, sent.method, sent.pickup_node) == ("depot", "ship_to_store", "shop")
    assert (sent.service, sent.weight_grams, sent.cost.parcels_minor) == ("standard", 500, 500)
    assert (shelf.node_id, shelf.method, shelf.pickup_node) == ("shop", "pickup", "shop")
    # It leaves on Tuesday and arrives on Wednesday, before or after the shop's cut-off: the shop
    # starts on Wednesday or Thursday, and takes one more day.
    assert sent.promise == Promise(earliest=date(2026, 5, 14), latest=date(2026, 5, 15))
    assert shelf.promise.latest == date(2026, 5, 13)


def test_a_record_of_what_is_sent_to_a_store_is_read_and_replayed() -> None:
    """The shop asks why the lamp comes from so far away, and what that cost."""
    decision = decided(case())

    assert replay(decision) == decision.plan
    told = " ".join(explain(decision)["sentences"])
    assert "depot sends 1 lamp to shop by standard, leaving on Tuesday 12 May 2026" in told
    assert "and ready there between Thursday 14 May and Friday 15 May 2026" in told
    assert why_not(decision, "shop").startswith("shop is in the plan.")


def test_without_a_way_to_the_store_the_line_is_short() -> None:
    """A lane to the customer's door does not end in a shop, and neither does one to another shop."""
    problem = case()
    shop, depot = problem.nodes[1], problem.nodes[0]
    elsewhere = replace(shop, node_id="elsewhere")
    for other in (
        case(lanes=problem.lanes[1:]),
        case(
            lanes=(small.lane("depot", to_node="elsewhere"),),
            nodes=(depot, shop, elsewhere),
        ),
        case(nodes=(replace(depot, capabilities=("ship",)), shop)),
        case(nodes=(depot, replace(shop, capabilities=("ship",)))),
        case(lines=tuple(replace(line, methods=("pickup",)) for line in problem.lines)),
        case(lines=tuple(replace(line, requires=("cold",)) for line in problem.lines)),
        case(policy=Policy(shipments_max=0)),
    ):
        plan = solve(other)
        assert check(other, plan) == []
        assert "a" in {short.line_id for short in plan.shortfalls}


def test_what_an_item_requires_is_required_at_both_ends() -> None:
    """Who may not store dangerous goods may not be sent any either."""
    problem = case()
    lines = tuple(replace(line, requires=("hazmat",)) for line in problem.lines)
    depot, shop = problem.nodes
    able = (replace(depot, capabilities=(*SENDS, "hazmat")), shop)

    assert len(solve(case(lines=lines, nodes=able)).shortfalls) == 2

    both = (able[0], replace(shop, capabilities=(*shop.capabilities, "hazmat")))
    assert solve(case(lines=lines, nodes=both)).shortfalls == ()


def test_a_store_that_is_full_can_be_sent_goods() -> None:
    """Its capacity is what it picks; a parcel that arrives waits behind the counter."""
    full = tuple(
        Capacity(work_on=TUESDAY + timedelta(days=ahead), remaining=0) for ahead in range(40)
    )
    problem = case()
    shop = replace(problem.nodes[1], capacity=full)
    problem = case(nodes=(problem.nodes[0], shop))

    decision = decided(problem)

    assert [f.method for f in decision.plan.fulfillments] == ["ship_to_store"]
    assert decision.plan == solve(problem)


def shipped(plan: Plan, **changes: object) -> Plan:
    """The plan with what is sent to the shop changed."""
    return replace(
        plan,
        fulfillments=(replace(plan.fulfillments[0], **changes), *plan.fulfillments[1:]),
    )


DAY = timedelta(days=1)
MUTATIONS: dict[str, tuple[str, Callable[[Plan], Plan]]] = {
    "collected nowhere": ("shape", lambda p: shipped(p, pickup_node=None)),
    "collected where no lane leads": ("shape", lambda p: shipped(p, pickup_node="depot")),
    "brought to the door": ("shape", lambda p: shipped(p, method="ship")),
    "picked up where it is": ("shape", lambda p: shipped(p, method="pickup", service=None)),
    "by the service to the door": ("shape", lambda p: shipped(p, service="post")),
    "ready the moment it arrives": (
        "promise",
        lambda p: shipped(p, promise=Promise(earliest=TUESDAY + DAY, latest=TUESDAY + DAY)),
    ),
    "ready as if it came before the cut-off": (
        "promise",
        lambda p: shipped(p, promise=Promise(earliest=TUESDAY + 2 * DAY, latest=TUESDAY + 2 * DAY)),
    ),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_the_judge_finds_what_is_wrong_with_goods_sent_to_a_store(name: str) -> None:
    """A judge that accepts any of these would accept it from a broken optimizer, too."""
    rule, change = MUTATIONS[name]
    problem = case()

    assert rule in {each.rule for each in check(problem, change(solve(problem)))}


def test_the_judge_knows_what_the_problem_allows() -> None:
    """The same plan is wrong for an order or a network that does not allow it."""
    problem = case()
    plan = solve(problem)
    depot, shop = problem.nodes
    lines = problem.lines
    for rule, other in (
        ("method", case(lines=(replace(lines[0], methods=("pickup",)), lines[1]))),
        ("pickup", case(lines=(replace(lines[0], pickup_node="depot"), lines[1]))),
        ("capability", case(nodes=(replace(depot, capabilities=("ship",)), shop))),
        ("capability", case(nodes=(depot, replace(shop, capabilities=("ship",))))),
        ("shipments_max", case(policy=Policy(shipments_max=0))),
        ("promise", case(nodes=(depot, replace(shop, handling_days=2)))),
    ):
        assert rule in {each.rule for each in check(other, plan)}, rule


def test_a_lane_that_leads_nowhere_or_back_is_refused() -> None:
    """With what to change."""
    for end, message in (("lost", "leads to node lost"), ("depot", "leads to its own node")):
        with pytest.raises(ProblemError, match=message):
            validate(case(lanes=(small.lane("depot", to_node=end),)))
    with pytest.raises(ProblemError, match="names no pickup_node"):
        validate(case(lines=(small.line("a", "lamp", methods=("ship_to_store",)),)))


ZONES = ("Europe/Warsaw", "America/New_York", "Asia/Tokyo", "Pacific/Auckland", "UTC")
WEEKDAYS = st.lists(st.integers(1, 7), min_size=1, max_size=7, unique=True).map(tuple)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.sampled_from(ZONES),
    st.integers(0, 500_000),
    WEEKDAYS,
    WEEKDAYS,
    st.integers(0, 3),
    st.integers(0, 3),
)
def test_goods_are_ready_after_the_stores_own_days_whenever_they_arrive(
    zone: str, minute: int, carried: tuple[int, ...], worked: tuple[int, ...], days: int, more: int
) -> None:
    """Early if the parcel comes before the cut-off, late if after: no date that cannot be kept."""
    ship_by = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
    holidays = (date(2026, 3, 30), date(2026, 10, 26))
    carrier = Calendar(calendar_id="carrier", weekdays=carried, holidays=holidays)
    open_on = Calendar(calendar_id="shop", weekdays=worked, holidays=holidays)
    shop = small.node("shop", time_zone=zone, cut_off=time(17), handling_days=more)
    lane = small.lane("depot", days=days, calendar_id="carrier", to_node="shop")

    arrival = promise.delivery_promise(lane, {"carrier": carrier}, ship_by, zone)
    found = promise.collection_promise(shop, open_on, arrival)

    there = slow_dates.worked_days(carrier, promise.local_date(ship_by, zone), 5, zone)[days]
    assert found.earliest == slow_dates.worked_days(open_on, there, 5, zone)[more]
    assert found.latest == slow_dates.worked_days(open_on, there + DAY, 5, zone)[more]
