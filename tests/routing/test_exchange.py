"""First plans of long orders are plans at the price they claim, and hurried bounds are bounds."""

import math
import time

import numpy as np

from routing.candidates import candidates
from routing.exchange import exchanged
from routing.facts import MISSING, facts, objective_of
from routing.grid import Grid, grid
from routing.problem import Policy
from routing.rules import quickest
from routing.search import search
from routing.sharing import Best
from tests.routing.random_problems import random_problem
from tests.routing.sparse_network import Network


def grids(first: int, count: int) -> list[Grid]:
    """Small problems of every kind, and baskets of several parcels over a sparse network."""
    network = Network(7, stores=30, warehouses=3)
    policy = Policy(delay_minor=20, split_minor=250)
    made = [random_problem(seed) for seed in range(first, first + count)]
    made += [network.problem(seed, 4 + seed % 14, policy) for seed in range(first, first + count)]
    instances = (candidates(problem, prune=False) for problem in made)
    found = [grid(each) for each in instances if each.slots and not each.policy.goals]
    return [each for each in found if not (each.complete and facts(each, 0).prices[MISSING])]


def test_a_first_plan_costs_what_it_says_and_no_less_than_the_optimum() -> None:
    """A slot that is counted twice would give units that it does not have."""
    better = compared = 0
    for number, known in enumerate(grids(81_000, 60)):
        units, objective = quickest(facts(known, 0), known.complete)
        read = facts(known, int(objective))
        best = Best(units.copy(), np.array([int(objective)]), np.array([math.inf]))

        exchanged(read, best)

        least = search(known, math.inf).objective_minor
        assert objective_of(read, best.units) == best.objective[0] >= least, number
        assert (best.units <= read.units_max).all(), number
        assert (best.units.sum(axis=0) <= read.quantities).all(), number
        better += best.objective[0] < objective
        compared += 1
    assert compared > 60
    assert better > 10


def test_an_order_without_any_time_has_a_bound_of_some_worth() -> None:
    """A bound of nothing would say that a plan may cost twice what it could."""
    gaps = []
    for number, known in enumerate(grids(81_100, 40)):
        found = search(known, time.perf_counter() - 10)

        least = search(known, math.inf).objective_minor
        assert found.bound_minor <= least <= found.objective_minor, number
        gaps.append((found.objective_minor - found.bound_minor) / max(1, found.objective_minor))
    assert np.mean(gaps) < 0.3


def test_an_order_without_any_time_has_a_better_plan_than_that_of_rules() -> None:
    """Under load a decision may begin when its time is over; rules alone would cost a tenth more."""
    better = 0
    for known in grids(81_000, 60):
        _, objective = quickest(facts(known, 0), known.complete)

        found = search(known, time.perf_counter() - 10)

        assert found.objective_minor <= objective
        better += found.objective_minor < objective
    assert better > 10
