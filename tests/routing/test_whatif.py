"""What would have made a node win is true to the minor unit and to the unit: solved again."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import get_args

import msgspec
import pytest

from routing.assemble import objective_minor
from routing.bundles import needs_of
from routing.candidates import candidates
from routing.explain import Decision, explain, what_if
from routing.model import improve
from routing.plan import Plan
from routing.problem import Capacity, Component, Policy, Problem
from routing.solve import solve
from routing.voice import Voice, between, on
from routing.whatif import (
    Change,
    What,
    changes,
    with_capacity,
    with_handling,
    with_parcels,
    with_price,
    with_stock,
)
from tests.routing import small
from tests.routing.baskets import decided
from tests.routing.random_problems import any_problem, goal_problem, random_problem
from tests.routing.sparse_network import Network

TINY = 1


def changed(problem: Problem, change: Change, fewer: int = 0, sku: str = "") -> Problem:
    """The problem with a change, or with a little less of it."""
    if change.what == "handling":
        return with_handling(problem, change.node_id, change.less_minor - fewer)
    if change.what == "parcels":
        return with_parcels(problem, change.node_id, change.less_minor - fewer)
    if change.what == "capacity" and change.work_on is not None:
        return with_capacity(problem, change.node_id, change.work_on, change.places - fewer)
    if change.what in ("worth", "risk", "surcharge"):
        return with_price(problem, change.node_id, change.what, change.less_minor - fewer)
    units = {name: count - fewer * (name == sku) for name, count in change.units}
    return with_stock(problem, change.node_id, units.items())


def assert_just_enough(problem: Problem, plan: Plan, change: Change) -> None:
    """With the change there is a cheaper plan, which uses the node; with a little less, none is."""
    best = solve(changed(problem, change))
    assert best.objective_minor == change.objective_minor < plan.objective_minor
    # A node may also be used to receive what another sends.
    used = {name for f in best.fulfillments for name in (f.node_id, f.pickup_node)}
    assert change.node_id in used
    for sku in [name for name, _ in change.units] or [""]:
        almost = solve(changed(problem, change, TINY, sku))
        assert almost.status == "optimal"
        assert almost.objective_minor == plan.objective_minor


def asked(problem: Problem) -> Problem:
    """The problem with all the time it may need."""
    return small.replace(problem, policy=small.replace(problem.policy, time_limit_ms=10_000))


@pytest.mark.parametrize(
    ("make", "seeds", "told_of"),
    [
        (random_problem, range(100), {*get_args(What)} - {"capacity"}),
        # With kits, lines that go together and few nodes for a line; then with goals as well.
        (any_problem, range(500, 560), {"handling", "parcels", "stock"}),
        (goal_problem, range(600, 660), {"handling", "parcels", "stock"}),
    ],
)
def test_a_change_is_just_enough_on_random_problems(
    make: Callable[[int], Problem], seeds: range, told_of: set[str]
) -> None:
    """A manager who lowers a price by what was said must win the next such order."""
    seen: set[str] = set()
    for seed in seeds:
        problem = asked(make(seed))
        plan = solve(problem)
        for node in problem.nodes:
            told = changes(problem, plan, node.node_id)
            assert told.proven, (seed, node.node_id)
            for change in told.found:
                assert_just_enough(problem, plan, change)
                seen.add(change.what)
    assert seen >= told_of


def test_places_are_just_enough_on_random_problems_with_full_nodes() -> None:
    """One place more on that date and the node is in a cheaper plan; one fewer and it is not."""
    seen = 0
    for seed in range(40):
        problem = asked(random_problem(seed))
        first = problem.now.date() - timedelta(days=1)
        rows = tuple(
            Capacity(work_on=first + timedelta(days=days), remaining=0) for days in range(4)
        )
        nodes = tuple(
            small.replace(node, capacity=rows) if number % 2 else node
            for number, node in enumerate(problem.nodes)
        )
        problem = small.replace(problem, nodes=nodes)
        plan = solve(problem)
        for node in problem.nodes:
            for change in changes(problem, plan, node.node_id).found:
                if change.what == "capacity":
                    assert_just_enough(problem, plan, change)
                    seen += 1
    assert seen > 0


def test_what_is_not_found_does_not_exist() -> None:
    """Not even free of handling and parcels, and with all of the goods, would the node be chosen.

    Found by the exact model with the node made obligatory, instead of by the search.
    """
    for seed in range(200, 230):
        problem = asked((random_problem, any_problem, goal_problem)[seed % 3](seed))
        plan, skus = solve(problem), needs_of(problem.lines)
        for node in problem.nodes:
            told = changes(problem, plan, node.node_id)
            found = {change.what for change in told.found}
            if node.node_id in {f.node_id for f in plan.fulfillments}:
                continue
            free = {
                "handling": with_handling(problem, node.node_id, node.handling_order_minor),
                "parcels": with_parcels(problem, node.node_id, 10_000),
                "worth": with_price(problem, node.node_id, "worth", 10**9),
                "risk": with_price(problem, node.node_id, "risk", 10**9),
                "surcharge": with_price(problem, node.node_id, "surcharge", 10**9),
                "stock": with_stock(problem, node.node_id, [(sku, 100) for sku in skus]),
            }
            for what, freed in free.items():
                least = least_using(freed, node.node_id)
                wins = least is not None and least < plan.objective_minor
                assert (what in found) == wins, (seed, node.node_id, what)
            roomy = [
                least_using(with_capacity(problem, node.node_id, row.work_on, 100), node.node_id)
                for row in node.capacity
            ]
            wins = any(least is not None and least < plan.objective_minor for least in roomy)
            assert ("capacity" in found) == wins, (seed, node.node_id)


def least_using(problem: Problem, node_id: str) -> int | None:
    """The optimum among plans that use the node, by the exact model."""
    instance = candidates(problem, prune=False)
    slots = tuple(k for k, slot in enumerate(instance.slots) if slot.node.node_id == node_id)
    answer = improve(instance, None, 10_000, slots) if slots else None
    if answer is None or answer.units is None:
        return None
    return objective_minor(instance, answer.units)


def test_a_change_counts_the_nodes_that_nobody_looked_at_closely() -> None:
    """Made cheaper, a node can bring in another that was priced out; the record keeps them all."""
    network = Network(5, stores=40, warehouses=3)
    told = 0
    for seed in range(4):
        problem = network.problem(seed, 5, Policy(time_limit_ms=10_000))
        decision = decided(problem)
        for every in what_if(decision):
            for change in every.found:
                assert_just_enough(decision.whole, decision.plan, change)
                told += 1
    assert told >= 4


def two_stores() -> Decision:
    """A decision for a mug and a lamp: Mill Lane has both, High Street is dearer by 40 cents."""
    mill, high = small.node("mill"), small.node("high", handling_order_minor=139)
    problem = small.problem(
        (small.line("1", "mug", 2), small.line("2", "lamp")),
        (mill, high),
        (
            small.stock("mill", "mug", 2),
            small.stock("mill", "lamp", 1),
            small.stock("high", "mug", 2),
            small.stock("high", "lamp", 1),
        ),
    )
    return decided(problem)


VOICE = Voice(
    currency="EUR",
    nodes={"mill": "Mill Lane", "high": "High Street", "far": "Far End"},
    items={"mug": "Mug", "lamp": "Lamp"},
)


def test_a_store_manager_reads_how_much_cheaper_the_store_would_have_had_to_be() -> None:
    """With names, an amount in the currency and a date in words."""
    said = explain(two_stores(), voice=VOICE)["sentences"]

    assert said[0] == (
        "Mill Lane ships 2 Mug and 1 Lamp by standard, leaving on Tuesday 12 May 2026 and arriving"
        " on Wednesday 13 May 2026, for 9.30 EUR."
    )
    assert "High Street would have been chosen at 0.40 EUR less handling for an order." in said
    assert "High Street would have been chosen at 0.40 EUR less for each of its parcels." in said
    assert "Without Mill Lane the next best rule would use High Street, at 0.39 EUR more." in said


def test_a_store_that_lacks_a_unit_is_told_which() -> None:
    """One more lamp in High Street, which is cheaper, and one parcel would have done."""
    mill, high = small.node("mill"), small.node("high", handling_order_minor=60)
    problem = small.problem(
        (small.line("1", "mug", 2), small.line("2", "lamp")),
        (mill, high),
        (
            small.stock("mill", "mug", 2),
            small.stock("mill", "lamp", 1),
            small.stock("high", "mug", 2),
        ),
    )
    told = explain(decided(problem), node_id="high", voice=VOICE)

    assert (
        "High Street would have been chosen with 1 Lamp more, which would have saved 0.40 EUR."
        in (told["sentences"])
    )
    stock = next(each for each in told["what_if"][0]["found"] if each["what"] == "stock")
    assert stock["units"] == (("lamp", 1),)


def test_a_store_that_lacks_parts_of_a_kit_is_told_which() -> None:
    """A set is a mug and two lids: High Street is cheaper, has one set, and two are wanted."""
    parts = Component("mug", 1), Component("lid", 2)
    mill, high = small.node("mill"), small.node("high", handling_order_minor=60)
    problem = small.problem(
        (small.line("1", "set", 2, components=parts),),
        (mill, high),
        (
            small.stock("mill", "mug", 2),
            small.stock("mill", "lid", 4),
            small.stock("high", "mug", 1),
            small.stock("high", "lid", 3),
        ),
    )
    told = explain(decided(problem), node_id="high", voice=VOICE)

    assert (
        "High Street would have been chosen with 1 lid and 1 Mug more, which would have saved"
        " 0.40 EUR." in told["sentences"]
    )


def test_a_node_of_the_plan_is_told_what_would_have_spared_a_parcel() -> None:
    """The plan is split because Mill Lane has one mug too few."""
    problem = small.problem(
        (small.line("1", "mug", 2), small.line("2", "lamp")),
        (small.node("mill"), small.node("high")),
        (
            small.stock("mill", "mug", 1),
            small.stock("mill", "lamp", 1),
            small.stock("high", "mug", 1),
        ),
    )
    told = explain(decided(problem), node_id="mill", voice=VOICE)

    assert "1 Mug more at Mill Lane would have saved 5.50 EUR." in told["sentences"]


def test_a_store_that_is_full_is_told_how_many_more_places_and_when() -> None:
    """High Street is cheaper, and its one place on Tuesday was taken."""
    tuesday = date(2026, 5, 12)
    full = (Capacity(work_on=tuesday, remaining=0),)
    high = small.node("high", handling_order_minor=0, capacity=full)
    problem = small.problem(
        (small.line("1", "mug", 2),),
        (small.node("mill"), high),
        (small.stock("mill", "mug", 2), small.stock("high", "mug", 2)),
    )
    problem = small.replace(problem, policy=small.replace(problem.policy, delay_minor=10_000))
    told = explain(decided(problem), node_id="high", voice=VOICE)

    assert [
        each
        for each in told["sentences"]
        if each.startswith("High Street would have been chosen with 1 more place on Tuesday 12 May")
    ]
    (found,) = [each for each in told["what_if"][0]["found"] if each["what"] == "capacity"]
    assert (found["places"], found["work_on"]) == (1, "2026-05-12")


def test_nothing_is_said_where_nothing_would_have_helped_or_nothing_is_proven() -> None:
    """A store without a carrier to the customer needs no cheaper handling."""
    problem = small.problem(
        (small.line("1", "mug"),),
        (small.node("mill"), small.node("far", capabilities=("pickup",))),
        (small.stock("mill", "mug", 1), small.stock("far", "mug", 1)),
    )
    decision = decided(problem)
    told = explain(decision, node_id="far", voice=VOICE)
    assert told["sentences"][-1] == (
        "Neither lower prices of Far End nor what it lacked would have made a cheaper plan."
    )

    hasty = msgspec.structs.replace(decision.plan, status="feasible", bound_minor=0)
    assert not changes(problem, hasty, "far").proven


def test_amounts_and_dates_are_said_as_people_say_them() -> None:
    """Yen have no decimals, dinars three; two dates of one year name it once."""
    assert Voice(currency="JPY").money(1_240) == "1240 JPY"
    assert Voice(currency="KWD").money(1_240) == "1.240 KWD"
    assert Voice().money(1_240) == "12.40"
    assert on(date(2026, 12, 24)) == "Thursday 24 December 2026"
    assert between(date(2026, 12, 24), date(2026, 12, 28)) == (
        "between Thursday 24 December and Monday 28 December 2026"
    )
    assert between(date(2026, 12, 31), date(2027, 1, 2)) == (
        "between Thursday 31 December 2026 and Saturday 2 January 2027"
    )
    many = [(f"sku-{n}", n + 1) for n in range(6)]
    assert Voice().units(many) == "1 sku-0, 2 sku-1, 3 sku-2 and 3 more items"
