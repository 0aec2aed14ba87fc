"""The search on arrays finds what the exact model finds, and its bounds never hide a plan."""

import math
import time

import msgspec
import numpy as np
import pytest

from routing.assemble import objective_minor
from routing.bonds import bonds_of
from routing.candidates import candidates
from routing.check import check
from routing.deadlines import SHORT_S, hopeful_until
from routing.facts import MISSING, facts, objective_of
from routing.greedy import Draft, coupled, index, quick
from routing.grid import assignment, grid, taken
from routing.instance import Assignment, Instance, restrict, within_limits
from routing.model import improve
from routing.problem import Policy
from routing.rules import by_rule
from routing.search import Found, search
from routing.sharing import GAP_WIDE
from routing.solve import solve_instance
from tests.routing.random_problems import random_problem
from tests.routing.sparse_network import Network

SHARDS = 4
SOLVER_MS = 60_000


def optimum(instance: Instance) -> int:
    """The least objective by the exact model alone: no bound, no incumbent, no pruned slot."""
    answer = improve(instance, None, SOLVER_MS)
    assert answer.units is not None
    assert answer.bound_minor == objective_minor(instance, answer.units)
    return answer.bound_minor


def instances(shard: int) -> list[Instance]:
    """Small problems with every constraint, and sparse ones with several parcels."""
    network = Network(7, stores=30, warehouses=3)
    policy = Policy(delay_minor=20)
    sparse = [network.problem(seed, 3 + seed % 12, policy) for seed in range(shard, 48, SHARDS)]
    odd = [random_problem(seed) for seed in range(9_000 + shard, 9_300, SHARDS)]
    return [candidates(problem, prune=False) for problem in (*odd, *sparse)]


def at_once(instance: Instance) -> Found:
    """What a search that has hardly any time tells."""
    return search(grid(instance), time.perf_counter() + 0.0002)


@pytest.mark.parametrize("shard", range(SHARDS))
def test_the_search_finds_and_proves_what_the_exact_model_finds(shard: int) -> None:
    """Where limits couple slots, what it proves is still no more than the truth."""
    alone = 0
    for number, instance in enumerate(instances(shard)):
        least = optimum(instance)

        found = search(grid(instance), math.inf)

        assert found.bound_minor <= least, number
        if not coupled(instance):
            alone += 1
            assert found.objective_minor == least == found.bound_minor, number
            assert objective_minor(instance, assignment(found.units)) == least, number
    assert alone > 20


@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_search_out_of_time_has_a_plan_a_true_bound_and_every_slot_of_a_cheaper_one(
    shard: int,
) -> None:
    """What is not proven must be among the slots it leaves, down to the very optimum."""
    for number, instance in enumerate(instances(shard)):
        if coupled(instance) or not instance.slots:
            continue
        least = optimum(instance)

        found = at_once(instance)

        assert objective_minor(instance, assignment(found.units)) == found.objective_minor
        assert found.bound_minor <= least <= found.objective_minor, number
        if least < found.objective_minor:
            assert optimum(restrict(instance, found.slots)) == least, number


def test_a_search_gives_up_only_where_its_gap_is_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it leaves is told as truly as where the time is over."""
    monkeypatch.setattr("routing.search.hopeful_until", lambda _: 0.0)
    network = Network(3)
    proven = given_up = 0
    for seed in range(12):
        known = grid(candidates(network.problem(seed, 8 + 2 * seed, Policy(delay_minor=5))))
        found = search(known, math.inf)
        if found.bound_minor == found.objective_minor:
            proven += 1
            continue
        given_up += 1
        assert found.bound_minor <= (1 - GAP_WIDE) * found.objective_minor + 1
        monkeypatch.undo()
        least = search(known, math.inf).objective_minor
        monkeypatch.setattr("routing.search.hopeful_until", lambda _: 0.0)
        assert found.bound_minor <= least <= found.objective_minor
    assert min(proven, given_up) > 2


def test_a_search_is_given_up_only_where_there_is_little_time() -> None:
    """Half of a short time is for those that are likely to be proven."""
    now = time.perf_counter()
    assert now < hopeful_until(now + SHORT_S) < now + SHORT_S
    assert hopeful_until(now + 2 * SHORT_S + 1) == hopeful_until(math.inf) == math.inf


def test_no_plan_that_opens_a_slot_costs_less_than_is_said_of_the_slot() -> None:
    """The exact model is asked for the best plan that uses the slot."""
    compared = 0
    for instance in (each for shard in range(SHARDS) for each in instances(shard)[::7]):
        known = grid(instance)
        # With a plan to begin with slots are told apart, as plans of few are not looked at first.
        found = search(known, math.inf, search(known, math.inf).units)
        dear = [k for k, minor in enumerate(found.least_minor) if minor > found.bound_minor]
        for k in dear[:: max(1, len(dear) // 2)]:
            compared += 1
            using = improve(instance, None, SOLVER_MS, using=(k,))
            assert using.units is None or using.bound_minor >= found.least_minor[k]
    assert compared > 50


def test_long_baskets_cost_what_the_exact_model_says() -> None:
    """Several heavy parcels, on a network of the real size; the model is told the answer less one."""
    network = Network(3)
    for seed in range(6):
        instance = candidates(network.problem(seed, 12 + 4 * seed, Policy(delay_minor=5)))

        found = search(grid(instance), math.inf)

        assert found.bound_minor == found.objective_minor
        cheaper = improve(instance, found.objective_minor, SOLVER_MS)
        assert cheaper.outcome == "none_better", seed


def test_a_start_stands_unless_there_is_a_cheaper_plan() -> None:
    """Replaying a decision must give its own plan back, whatever other optima there are."""
    for seed in range(9_600, 9_700):
        instance = candidates(random_problem(seed), prune=False)
        known = grid(instance)
        if coupled(instance) or not instance.slots:
            continue
        first = search(known, math.inf)

        again = search(known, math.inf, first.units)

        assert not again.improved
        assert np.array_equal(again.units, first.units)


def test_coupled_slots_are_solved_within_their_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the search where there are many, else by the exact model."""
    compared, proven = 0, 0
    for seed in range(9_700, 9_900):
        problem = random_problem(seed)
        instance = candidates(problem, prune=False)
        if coupled(instance):
            compared += 1
            least = optimum(instance)
            plan = solve_instance(instance, time.perf_counter() + 60).plan
            assert plan.objective_minor == plan.bound_minor == least, seed
            with monkeypatch.context() as patched:
                patched.setattr("routing.solve.COUPLED_PAIRS_MIN", 0)
                plan = solve_instance(instance, time.perf_counter() + 1).plan
            assert check(problem, plan) == [], seed
            assert plan.objective_minor >= least >= plan.bound_minor, seed
            proven += plan.objective_minor == plan.bound_minor
    assert proven > compared * 0.9 > 50


def test_a_search_within_limits_has_a_plan_that_keeps_them_and_a_true_bound() -> None:
    """Of most orders the best plan is proven by the search alone."""
    proven, compared = 0, 0
    for seed in range(9_700, 10_300):
        instance = candidates(random_problem(seed), prune=False)
        if not coupled(instance) or instance.policy.goals:
            continue
        least = optimum(instance)

        found = search(grid(instance), time.perf_counter() + 0.05, bonds=bonds_of(instance))

        compared += 1
        proven += found.bound_minor == found.objective_minor
        units = assignment(found.units)
        assert within_limits(instance, units), seed
        assert objective_minor(instance, units) == found.objective_minor, seed
        assert found.bound_minor <= least <= found.objective_minor, seed
    assert proven > compared // 2 > 50


def test_both_ways_to_price_units_agree() -> None:
    """The arrays charge what the plan's components sum up to."""
    for instance in instances(0):
        units = quick(instance)
        known = facts(grid(instance), 0)
        shape = len(instance.slots), len(instance.lines)
        assert objective_of(known, taken(units, *shape)) == objective_minor(instance, units)


def obvious_rule(instance: Instance, *, cheapest: bool) -> Assignment:
    """The rule one slot at a time, as `by_rule` says."""
    draft = Draft(instance, index(instance))
    closed = set(range(len(instance.slots)))
    while any(draft.wanted):
        ranked = []
        for k in closed:
            row = draft.takes(k)
            price, units = draft.price_minor(k, row), sum(row.values())
            shortage = instance.policy.shortage_minor * units
            if units and (instance.policy.ship_complete or price < shortage):
                ranked.append((price / units, -units, k) if cheapest else (-units, price, k))
        if not ranked:
            break
        best = min(ranked)[2]
        draft.open(best, draft.takes(best))
        closed.remove(best)
    return draft.finished()


def test_rules_on_arrays_do_what_rules_on_slots_do() -> None:
    """The first incumbent, ties and all."""
    for shard in range(SHARDS):
        for instance in instances(shard):
            known = facts(grid(instance), 0, bonds_of(instance))
            for cheapest in (True, False):
                complete = instance.policy.ship_complete
                units = by_rule(known, complete, cheapest)
                assert assignment(units) == obvious_rule(instance, cheapest=cheapest)


def test_units_that_no_node_has_cost_what_shortage_costs() -> None:
    """They are no part of the search, and still of the objective."""
    network = Network(7, stores=5, warehouses=1)
    instance = candidates(network.problem(1, 12, Policy()), prune=False)
    known = facts(grid(instance), 0)
    short = sum(line.quantity for line in instance.lines) - int(known.wanted.sum())
    assert short > 0
    assert known.prices[MISSING] == short * instance.policy.shortage_minor
    whole = search(grid(instance), math.inf)
    assert whole.objective_minor == whole.bound_minor > known.prices[MISSING]


def test_all_or_nothing_is_nothing_where_a_unit_is_missing() -> None:
    """And then it is proven at once."""
    network = Network(7, stores=5, warehouses=1)
    policy = msgspec.structs.replace(Policy(), ship_complete=True)
    instance = candidates(network.problem(1, 12, policy), prune=False)
    found = search(grid(instance), math.inf)
    assert not found.units.any()
    assert found.bound_minor == found.objective_minor == instance.units * policy.shortage_minor
