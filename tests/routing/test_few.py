"""Plans of few slots are proven only where nothing beats them, by another way to the same answer."""

import math
import random
from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from routing.candidates import candidates
from routing.facts import MISSING, facts, objective_of
from routing.few import least_beyond_few
from routing.grid import Grid, Ints, grid
from routing.problem import Policy
from routing.rules import quickest
from routing.search import search
from routing.sharing import Best
from tests.routing.random_problems import any_problem, random_problem
from tests.routing.sparse_network import Network
from tests.routing.thousands import crowded

replace = msgspec.structs.replace
SPLITS_MINOR = (0, 50, 250, 900)


def grids(start: int, count: int) -> Iterator[Grid]:
    """Small problems with every price in play, crowds of them, and baskets over a sparse network.

    Without those of which nothing is sent, as not all is there: no step looks at them.
    """
    network = Network(7, stores=30, warehouses=3)
    for seed in range(start, start + count):
        made = [random_problem(seed), crowded(any_problem(seed), random.Random(seed), 3)]
        policy = Policy(delay_minor=20 * (seed % 3), split_minor=SPLITS_MINOR[seed % 4])
        made.append(network.problem(seed, 3 + seed % 10, policy))
        for problem in made:
            instance = candidates(problem, prune=False)
            if instance.slots and not instance.policy.goals:
                known = grid(instance)
                if not (known.complete and facts(known, 0).prices[MISSING]):
                    yield known


def begun(known: Grid) -> tuple[Ints, int]:
    """The plan that rules find and its objective."""
    units, objective = quickest(facts(known, 0), known.complete)
    return units, int(objective)


@pytest.mark.parametrize("start", range(70_000, 70_200, 50))
def test_what_is_proven_by_looking_at_few_slots_is_what_the_search_by_prices_proves(
    start: int,
) -> None:
    """The search that is given a plan never looks at few slots, so the two share no shortcut."""
    proven = compared = 0
    for number, known in enumerate(grids(start, 50)):
        units, objective = begun(known)
        read = facts(known, objective)
        best = Best(units.copy(), np.array([objective]), np.array([math.inf]))

        beyond = least_beyond_few(read, best)
        ended = beyond > best.objective[0] - 1

        least = search(known, math.inf, units)
        assert least.bound_minor == least.objective_minor, number
        assert beyond < best.objective[0] or best.objective[0] == least.objective_minor, number
        assert beyond < least.objective_minor + 1e-3 or best.objective[0] == least.objective_minor
        assert objective_of(read, best.units) == best.objective[0] >= least.objective_minor, number
        assert not ended or best.objective[0] == least.objective_minor, number
        assert search(known, math.inf).objective_minor == least.objective_minor, number
        proven += ended
        compared += 1
    assert compared > proven > compared / 4


def test_more_units_than_bits_are_told_apart_by_line() -> None:
    """Where a bit for each unit does not fit, one for each line must not count a part as all."""
    network, proven = Network(7, stores=30, warehouses=3), 0
    for seed in range(70_500, 70_540):
        small = network.problem(seed, 3 + seed % 4, Policy(split_minor=SPLITS_MINOR[seed % 4]))
        many = replace(
            small,
            lines=tuple(replace(line, quantity=40, weight_grams=50) for line in small.lines),
            stock=tuple(replace(cell, available=20 * cell.available) for cell in small.stock),
        )
        known = grid(candidates(many, prune=False))
        units, objective = begun(known)
        best = Best(units.copy(), np.array([objective]), np.array([math.inf]))

        ended = least_beyond_few(facts(known, objective), best) > best.objective[0] - 1

        least = search(known, math.inf, units)
        assert not ended or best.objective[0] == least.bound_minor, seed
        proven += ended
    assert proven


def test_a_plan_that_leaves_units_out_for_their_price_is_left_to_the_search() -> None:
    """Bounds on parcels that carry everything say nothing of it."""
    known = next(grids(70_600, 1))
    cheap = replace(known, complete=False, shortage_minor=np.ones_like(known.shortage_minor))
    units, objective = begun(cheap)
    best = Best(units.copy(), np.array([objective + 1]), np.array([math.inf]))

    assert least_beyond_few(facts(cheap, objective + 1), best) < 0
