"""A basket on a prepared destination gets the plan of the problem it poses, and its record."""

import random
from collections.abc import Callable
from datetime import timedelta
from time import perf_counter

import msgspec
import numpy as np
import pytest

from routing.check import check
from routing.destination import body
from routing.explain import explain, replay, why_not
from routing.plan_basket import plan_basket
from routing.problem import Capacity, Policy, Problem, ProblemError
from routing.record import RecordError, digest_of, expand
from routing.solve import solve
from tests.routing import small
from tests.routing.baskets import on_terrain
from tests.routing.random_problems import any_problem, random_problem
from tests.routing.sparse_network import Network

replace = msgspec.structs.replace


@pytest.mark.parametrize("make", [random_problem, any_problem])
@pytest.mark.parametrize("start", range(7_000, 7_400, 100))
def test_a_basket_gets_the_plan_of_its_problem_however_nodes_are_numbered(
    start: int, make: Callable[[int], Problem]
) -> None:
    """The numbering is the caller's affair; the plan is not."""
    for seed in range(start, start + 100):
        problem = make(seed)
        expected = solve(problem)

        terrain, basket = on_terrain(problem, random.Random(seed))
        planned = plan_basket(terrain, basket, 10_000)

        assert check(problem, planned.plan) == [], seed
        assert planned.plan == expected, seed


@pytest.mark.parametrize("make", [random_problem, any_problem])
def test_a_record_expands_to_the_plan_and_replays_bit_for_bit(
    make: Callable[[int], Problem],
) -> None:
    """What is written at checkout must be enough for an auditor years later."""
    for seed in range(7_400, 7_500):
        problem = make(seed)
        terrain, basket = on_terrain(problem, random.Random(seed))
        planned = plan_basket(terrain, basket, 10_000)

        decision = expand(planned.record, body(terrain.destination))

        assert msgspec.msgpack.encode(decision.plan) == msgspec.msgpack.encode(planned.plan), seed
        assert msgspec.msgpack.encode(replay(decision)) == msgspec.msgpack.encode(planned.plan)
        assert msgspec.json.encode(explain(decision))
        for node in problem.nodes:
            assert why_not(decision, node.node_id).startswith(node.node_id)


def test_a_full_node_starts_later_without_slowing_the_order_down() -> None:
    """At a peak the best stores fill up first, and that is when there is no time for long ways."""
    near, far = small.node("near"), small.node("far", handling_order_minor=900)
    full = tuple(
        Capacity(work_on=small.TODAY + timedelta(days=ahead), remaining=0) for ahead in range(2)
    )
    problem = small.problem(
        (small.line("a", "apple"),),
        (replace(near, capacity=full), far),
        (small.stock("near", "apple", 1), small.stock("far", "apple", 1)),
    )
    terrain, basket = on_terrain(problem)

    planned = plan_basket(terrain, basket, 1_000)

    assert planned.plan.fulfillments[0].node_id == "near"
    assert planned.plan.fulfillments[0].work_on == small.TODAY + timedelta(days=2)
    assert planned.plan.found_by == "partition"
    assert solve(problem) == planned.plan
    assert expand(planned.record, body(terrain.destination)).problem.nodes[1].capacity == full


def test_a_node_that_stays_full_is_said_to_be_full() -> None:
    """The store manager asks why the order went elsewhere."""
    full = tuple(
        Capacity(work_on=small.TODAY + timedelta(days=ahead), remaining=0) for ahead in range(30)
    )
    problem = small.problem(
        (small.line("a", "apple"),),
        (small.node("near", capacity=full), small.node("far", handling_order_minor=900)),
        (small.stock("near", "apple", 1), small.stock("far", "apple", 1)),
    )
    terrain, basket = on_terrain(problem)

    decision = expand(plan_basket(terrain, basket, 1_000).record, body(terrain.destination))

    assert decision.plan.fulfillments[0].node_id == "far"
    assert "has no capacity left" in why_not(decision, "near")


def test_a_record_of_an_ordinary_order_takes_about_a_kilobyte() -> None:
    """One is written per allocation, and writing is what the database has least of."""
    network = Network(1)
    for seed in range(5):
        terrain, basket = on_terrain(network.problem(seed, 4, Policy()))

        planned = plan_basket(terrain, basket, 250)

        assert len(planned.record) < 1_300


def test_time_counts_from_when_it_is_said_to() -> None:
    """An order that has waited for its turn is planned in what is left, by rules where nothing is."""
    terrain, basket = on_terrain(Network(1).problem(0, 12, Policy()))

    soon = plan_basket(terrain, basket, 60_000).plan
    late = plan_basket(terrain, basket, 60_000, perf_counter() - 60).plan

    assert (soon.status, late.status) == ("optimal", "greedy")
    assert late.bound_minor <= soon.objective_minor <= late.objective_minor


def test_prices_beyond_money_decide_and_are_in_the_record() -> None:
    """A reader of the record must be able to say what the units were worth that day."""
    near, far = small.node("near", handling_order_minor=70, surcharge_minor=20), small.node("far")
    stocks = (
        replace(small.stock("near", "apple", 1), worth_minor=45, risk_minor=5),
        replace(small.stock("far", "apple", 1), worth_minor=1),
    )
    problem = small.problem((small.line("a", "apple"),), (near, far), stocks)
    terrain, basket = on_terrain(problem)

    planned = plan_basket(terrain, basket, 1_000)
    decision = expand(planned.record, body(terrain.destination))

    assert [f.node_id for f in planned.plan.fulfillments] == ["far"]
    assert planned.plan.prices.worth_minor == 1
    assert planned.plan.cost.total_minor == 610
    assert planned.plan.found_by == "partition"
    assert set(decision.problem.stock) == set(stocks)
    assert decision.problem.nodes[1].surcharge_minor == 20
    assert "comes to 6.55, 0.39 more" in why_not(decision, "near")


def test_a_record_does_not_grow_where_there_are_no_prices_beyond_money() -> None:
    """Most orders have none, and a record is written for each."""
    problem = small.problem(
        (small.line("a", "apple"),), (small.node("near"),), (small.stock("near", "apple", 3),)
    )
    priced = replace(problem, stock=(replace(problem.stock[0], worth_minor=3),))

    plain = plan_basket(*on_terrain(problem), 1_000).record
    more = plan_basket(*on_terrain(priced), 1_000).record

    assert len(msgspec.msgpack.decode(more)) == len(msgspec.msgpack.decode(plain)) + 1


@pytest.mark.parametrize("prices", [{"worth": [-1]}, {"risk": [10**13]}, {"worth": [1, 2]}])
def test_prices_that_prove_nothing_are_refused(prices: dict[str, list[int]]) -> None:
    """That another unit never lowers a price is what every bound rests on."""
    problem = small.problem(
        (small.line("a", "apple"),), (small.node("near"),), (small.stock("near", "apple", 3),)
    )
    terrain, basket = on_terrain(problem)
    worth, risk = (np.array(prices.get(name, []), np.int64) for name in ("worth", "risk"))
    held = basket.held._replace(worth=worth, risk=risk)

    with pytest.raises(ProblemError, match=next(iter(prices))):
        plan_basket(terrain, replace(basket, held=held), 1_000)


def test_a_record_is_read_only_with_the_master_data_it_was_made_on() -> None:
    """Explaining a plan by another network would be a lie."""
    terrain, basket = on_terrain(random_problem(1))
    other, _ = on_terrain(random_problem(2))
    record = plan_basket(terrain, basket, 1_000).record

    assert digest_of(record) == terrain.digest
    with pytest.raises(RecordError, match=terrain.digest.hex()):
        expand(record, body(other.destination))


def test_an_order_outside_the_time_of_its_terrain_is_refused() -> None:
    """Its dates would be wrong."""
    terrain, basket = on_terrain(random_problem(1))

    with pytest.raises(ProblemError, match="prepare it anew"):
        plan_basket(terrain, replace(basket, now=terrain.until_at), 1_000)
