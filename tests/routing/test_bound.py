"""Bounds by prices and the search under them never hide a cheaper plan."""

import math

import pytest

from routing.assemble import objective_minor
from routing.bound import bound, opened_bound, relaxation
from routing.branch import branch, covers_all
from routing.candidates import candidates
from routing.greedy import quick
from routing.instance import Instance, restrict
from routing.model import improve
from routing.problem import Policy
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
    sparse = [network.problem(seed, 3 + seed % 8, policy) for seed in range(shard, 60, SHARDS)]
    odd = [random_problem(seed) for seed in range(9_000 + shard, 9_300, SHARDS)]
    return [candidates(problem, prune=False) for problem in (*odd, *sparse)]


@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_bound_by_prices_is_below_the_optimum_of_the_exact_model(shard: int) -> None:
    """For the whole instance and, a sample of slots, for plans that open the slot."""
    for number, instance in enumerate(instances(shard)):
        best = quick(instance)
        least = optimum(instance)

        found = bound(instance, best, objective_minor(instance, best))

        assert found.bound_minor <= least, number
        dear = [k for k, minor in enumerate(found.least_minor) if minor > least]
        for k in dear[:: max(1, len(dear) // 2)]:
            using = improve(instance, None, SOLVER_MS, using=(k,))
            assert using.units is None or using.bound_minor >= found.least_minor[k], (number, k)


@pytest.mark.parametrize("shard", range(SHARDS))
def test_the_search_leaves_out_no_slot_of_a_cheaper_plan(shard: int) -> None:
    """What it has not proven is among the slots it leaves, down to the very optimum."""
    searched = 0
    for number, instance in enumerate(instances(shard)):
        relaxed, start = relaxation(instance), quick(instance)
        objective = objective_minor(instance, start)
        if not covers_all(relaxed, objective):
            continue
        searched += 1
        priced = bound(instance, start, objective)
        slots = priced.slots_below(objective)

        found = branch(instance, relaxed, (start, slots, priced.prices), math.inf)

        least = optimum(instance)
        assert objective_minor(instance, found.units) == found.objective_minor
        assert min(found.bound_minor, found.objective_minor) <= least, number
        if least < found.objective_minor:
            assert optimum(restrict(instance, found.slots)) == least, number
    assert searched > 20


def test_opening_exactly_some_slots_costs_at_least_what_their_price_steps_say() -> None:
    """Compared with the exact model over the same slots, when it opens them all."""
    compared = 0
    for seed in range(9_300, 9_900):
        instance = candidates(random_problem(seed), prune=False)
        for size in (1, 2, 3):
            few = restrict(instance, tuple(range(min(size, len(instance.slots)))))
            relaxed, answer = relaxation(few), improve(few, None, SOLVER_MS)
            units = answer.units or {}
            taken = [sum(t.get(i, 0) for t in units.values()) for i in range(len(few.lines))]
            if len(units) < len(few.slots) or taken != relaxed.wanted.tolist():
                continue
            compared += 1
            assert opened_bound(relaxed, math.inf) <= answer.bound_minor + 1e-6, seed
    assert compared > 150
