"""Bugs seen in other order systems, each named after what its test prevents."""

from datetime import timedelta

import msgspec
import pytest

from routing.check import check
from routing.plan import Plan
from routing.problem import Capacity, CapacityUnit, Policy, Problem, Supply
from routing.solve import solve
from tests.routing import small

replace = msgspec.structs.replace


def solved(problem: Problem) -> Plan:
    """The plan, which the judge accepts and the solver has proven."""
    plan = solve(problem)
    assert check(problem, plan) == []
    assert plan.status == "optimal"
    return plan


def units(plan: Plan, node_id: str) -> int:
    """Units a node fulfills."""
    return sum(part.quantity for f in plan.fulfillments if f.node_id == node_id for part in f.lines)


def short(plan: Plan) -> int:
    """Units that are short."""
    return sum(shortfall.quantity for shortfall in plan.shortfalls)


def test_two_lines_of_one_sku_do_not_each_count_the_same_units() -> None:
    """Each fits alone, together they do not: the sum per sku and node is what counts."""
    problem = small.problem(
        (small.line("a", "apple", 2), small.line("b", "apple", 2)),
        (small.node("one"),),
        (small.stock("one", "apple", 3),),
    )

    plan = solved(problem)

    assert units(plan, "one") == 3
    assert short(plan) == 1


def test_stock_over_all_nodes_is_not_taken_from_one() -> None:
    """Four units in two places are two parcels, not four units in the nearer place."""
    problem = small.problem(
        (small.line("a", "apple", 4),),
        (small.node("one"), small.node("two")),
        (small.stock("one", "apple", 2), small.stock("two", "apple", 2)),
    )

    plan = solved(problem)

    assert (units(plan, "one"), units(plan, "two")) == (2, 2)
    assert short(plan) == 0


def test_the_second_node_is_asked_for_the_remainder_only() -> None:
    """A splitter that compares with the full quantity over-allocates."""
    problem = small.problem(
        (small.line("a", "apple", 5),),
        (small.node("one"), small.node("two"), small.node("three")),
        tuple(small.stock(name, "apple", n) for name, n in (("one", 3), ("two", 4), ("three", 1))),
    )

    plan = solved(problem)

    assert units(plan, "one") + units(plan, "two") + units(plan, "three") == 5
    assert len(plan.fulfillments) == 2


def test_nodes_with_equal_stock_are_all_counted() -> None:
    """Adding up distinct quantities loses every second node."""
    nodes = tuple(small.node(f"n{n}") for n in range(4))
    problem = small.problem(
        (small.line("a", "apple", 4),),
        nodes,
        tuple(small.stock(n.node_id, "apple", 1) for n in nodes),
    )

    assert short(solved(problem)) == 0


@pytest.mark.parametrize("unit", ["orders", "units"])
@pytest.mark.parametrize(("remaining", "today"), [(0, False), (1, True), (2, True)])
def test_the_last_place_of_a_capacity_is_used_and_no_more(
    unit: CapacityUnit, remaining: int, today: bool
) -> None:
    """Off by one in either direction wastes a place or promises one too many."""
    limit = Capacity(work_on=small.TODAY, remaining=remaining, unit=unit)
    problem = small.problem(
        (small.line("a", "apple", 1),),
        (small.node("one", capacity=(limit,)),),
        (small.stock("one", "apple", 9),),
    )

    work_on = solved(problem).fulfillments[0].work_on

    assert work_on == (small.TODAY if today else small.TODAY + timedelta(days=1))


def test_units_beyond_a_days_capacity_leave_the_next_day() -> None:
    """Three units of which one fits today are one parcel tomorrow, or two: whichever is cheaper."""
    limit = Capacity(work_on=small.TODAY, remaining=1, unit="units")
    problem = small.problem(
        (small.line("a", "apple", 3),),
        (small.node("one", capacity=(limit,)),),
        (small.stock("one", "apple", 3),),
    )

    plan = solved(problem)

    assert [f.work_on for f in plan.fulfillments] == [small.TODAY + timedelta(days=1)]


def test_a_pickup_and_a_shipment_of_a_day_share_its_capacity() -> None:
    """Two kinds of work at one counter are still two fulfillments."""
    limit = Capacity(work_on=small.TODAY, remaining=1)
    lines = (
        small.line("a", "apple"),
        small.line("b", "bread", methods=("pickup",), pickup_node="one"),
    )
    problem = small.problem(
        lines,
        (small.node("one", capacity=(limit,)),),
        (small.stock("one", "apple", 1), small.stock("one", "bread", 1)),
    )

    plan = solved(problem)

    assert {f.work_on for f in plan.fulfillments} == {
        small.TODAY,
        small.TODAY + timedelta(days=1),
    }


def test_pickup_is_never_offered_where_the_goods_are_not() -> None:
    """A shop that must be supplied first cannot hand anything over today."""
    line = small.line("a", "apple", methods=("pickup",), pickup_node="shop")
    problem = small.problem(
        (line,), (small.node("shop"), small.node("hub")), (small.stock("hub", "apple", 9),)
    )

    plan = solved(problem)

    assert plan.fulfillments == ()
    assert short(plan) == 1


def test_a_third_node_is_not_used_without_need() -> None:
    """Nor is shipping charged twice where one parcel does."""
    problem = small.problem(
        (small.line("a", "apple"), small.line("b", "bread")),
        tuple(small.node(name) for name in ("one", "two", "three")),
        (
            small.stock("one", "apple", 1),
            small.stock("two", "bread", 1),
            small.stock("three", "apple", 1),
            small.stock("three", "bread", 1),
        ),
    )

    plan = solved(problem)

    assert [f.node_id for f in plan.fulfillments] == ["three"]
    assert plan.cost.parcels_minor == 500


def test_negative_stock_gives_nothing_and_takes_nothing_away() -> None:
    """A correction below what is reserved must not lower what other nodes can give."""
    problem = small.problem(
        (small.line("a", "apple", 2),),
        (small.node("one"), small.node("two")),
        (small.stock("one", "apple", -4), small.stock("two", "apple", 2)),
    )

    assert short(solved(problem)) == 0


def supplied(days: int, on_hand: int, delay_minor: int) -> Problem:
    """Two lines: one on hand, one expected in some days at the same node."""
    expected = Supply(supply_id="po", available_on=small.TODAY + timedelta(days=days), quantity=1)
    return small.problem(
        (small.line("a", "apple"), small.line("b", "bread")),
        (small.node("one"),),
        (
            small.stock("one", "apple", on_hand),
            replace(small.stock("one", "bread", 0), supply=(expected,)),
        ),
        policy=Policy(backorder=True, delay_minor=delay_minor, time_limit_ms=5_000),
    )


def test_one_parcel_later_or_two_sooner_falls_out_of_the_prices() -> None:
    """Waiting two days saves a parcel of 850; at 5 a day that pays, at 1,000 a day it does not."""
    patient, hurried = solved(supplied(2, 1, 5)), solved(supplied(2, 1, 1_000))

    assert len(patient.fulfillments) == 1
    assert patient.fulfillments[0].work_on == small.TODAY + timedelta(days=2)
    assert len(hurried.fulfillments) == 2
    assert {part.source for part in patient.fulfillments[0].lines} == {"on_hand", "supply"}


def test_expected_units_are_promised_once_and_only_when_asked() -> None:
    """Supply is not stock: without backorders it is not there, with them it is there once."""
    problem = supplied(1, 1, 5)
    greedy_lines = (*problem.lines, small.line("c", "bread"))
    with_backorders = solved(replace(problem, lines=greedy_lines))
    without = solved(replace(problem, policy=replace(problem.policy, backorder=False)))

    assert short(with_backorders) == 1
    assert short(without) == 1
    assert all(part.source == "on_hand" for f in without.fulfillments for part in f.lines)


def test_an_order_that_must_be_complete_takes_nothing_where_a_unit_is_missing() -> None:
    """Half an order that nobody asked for would still be picked and paid."""
    problem = small.problem(
        (small.line("a", "apple", 2), small.line("b", "bread")),
        (small.node("one"),),
        (small.stock("one", "apple", 2),),
        policy=Policy(ship_complete=True),
    )

    plan = solved(problem)

    assert plan.fulfillments == ()
    assert short(plan) == 3
