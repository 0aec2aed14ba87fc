"""Of thousands of nodes only a few are looked at closely, and no plan gets dearer by that."""

import random
from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from routing.basket import Basket, seen
from routing.candidates import candidates
from routing.check import check
from routing.gather import Gathered, gather
from routing.leaning import leaned
from routing.partition import partition
from routing.plan_basket import plan_basket
from routing.problem import Policy, Problem
from routing.search import search
from routing.solve import deadline_of, solve_instance
from routing.terrain import Terrain
from tests.routing.baskets import on_terrain
from tests.routing.random_problems import any_problem, random_problem
from tests.routing.test_partition import uncoupled
from tests.routing.thousands import basket, crowded, terrain

replace = msgspec.structs.replace
PATIENT_MS = 60_000
HURRIED = Policy(delay_minor=15, lateness_minor=50)


@pytest.mark.parametrize("make", [random_problem, any_problem])
@pytest.mark.parametrize("start", range(50_000, 50_100, 25))
def test_plans_in_a_crowd_are_as_cheap_as_over_all_of_its_nodes(
    start: int, make: Callable[[int], Problem]
) -> None:
    """Nodes alike but for stock are those left out most; the reference leaves out none."""
    for seed in range(start, start + 25):
        problem = crowded(make(seed), random.Random(seed), 4)
        at, asked = on_terrain(problem, random.Random(seed))

        plan = plan_basket(at, asked, PATIENT_MS).plan

        every = solve_instance(candidates(problem, prune=False), deadline_of(problem)).plan
        assert check(problem, plan) == [], seed
        assert (plan.status, every.status) == ("optimal", "optimal"), seed
        assert plan.objective_minor == every.objective_minor == plan.bound_minor, seed


@pytest.mark.parametrize(("copies", "problems"), [(4, 200), (700, 16)])
def test_the_first_look_leaves_what_comparing_all_pairs_leaves(copies: int, problems: int) -> None:
    """Pieces of code with one meaning: a node left out by one alone would be a mistake."""
    fewer = 0
    for seed in range(60_000, 60_000 + problems):
        drawn = crowded(uncoupled(random_problem(seed)), random.Random(seed), copies)
        # Carriers' own times put the slots of a node into another order.
        problem = replace(drawn, lanes=tuple(replace(lane, cut_off=None) for lane in drawn.lanes))
        at, asked = on_terrain(problem)
        at = leaned(at, asked.policy)

        found = near(at, gathered(at, asked, pruned=True))

        slots = candidates(problem).slots
        assert found == list(dict.fromkeys(slot.node.node_id for slot in slots)), seed
        fewer += len(found) < len(near(at, gathered(at, asked, pruned=False)))
    assert fewer > problems / 2


@pytest.mark.parametrize("seed", range(12))
def test_the_cheapest_plan_over_thousands_of_nodes_is_found(seed: int) -> None:
    """What is left out is proven needless: the optimum over all nodes is the optimum."""
    at = terrain(seed, nodes=5_000, kinds=(1, 7, 2_000)[seed % 3])
    for lines in (1, 2):
        policy = (Policy(), HURRIED)[seed % 2]
        asked = basket(100 * seed + lines, at, lines, priced=seed % 4 > 1, policy=policy)

        plan = plan_basket(at, asked, PATIENT_MS).plan

        assert plan.status == "optimal"
        assert plan.objective_minor == plan.bound_minor == least_minor(at, asked)


@pytest.mark.parametrize("lines", [1, 2, 3, 4])
def test_few_of_five_thousand_nodes_are_looked_at_closely(lines: int) -> None:
    """A decision among thousands is to take about as long as one among hundreds."""
    at = terrain(1, nodes=5_000, kinds=7)
    asked = basket(lines, at, lines, priced=False, policy=Policy())

    assert len(near(at, gathered(at, asked, pruned=True))) < 100


def test_kinds_are_told_apart_by_whatever_an_order_could_pay_for() -> None:
    """Were two nodes of one kind not alike, one of them could be left out wrongly."""
    at = terrain(2, nodes=300, kinds=5)
    rows = at.rows

    for row in range(300):
        assert about(at, row) == about(at, int(rows.kind_rows[rows.kind[row]]))
    assert len({about(at, row) for row in range(300)}) == len(rows.kind_rows) < 300


def about(at: Terrain, row: int) -> tuple[object, ...]:
    """All that an order sees of a node but its stock."""
    rows = at.rows
    lanes = slice(rows.lane_starts[row], rows.lane_starts[row + 1])
    ways = rows.lane_to, rows.lane_tariff, rows.lane_latest, rows.lane_opening, rows.lane_rate
    own = rows.order_minor, rows.unit_minor, rows.abilities
    return *(int(column[row]) for column in own), *(tuple(each[lanes].tolist()) for each in ways)


def gathered(at: Terrain, asked: Basket, *, pruned: bool) -> Gathered:
    """The slots of an order."""
    return gather(at, seen(at, asked), asked.lines, asked.policy, pruned=pruned)


def near(at: Terrain, found: Gathered) -> list[str]:
    """The nodes of slots, in order."""
    return [at.destination.nodes[row].node_id for row in np.unique(found.slots.rows).tolist()]


def least_minor(at: Terrain, asked: Basket) -> int:
    """The least objective over all nodes, by the steps that prove it without leaving any out."""
    every = gathered(at, asked, pruned=False)
    parted = partition(every.grid)
    if parted is not None:
        return parted.objective_minor
    found = search(every.grid, float("inf"))
    assert found.bound_minor == found.objective_minor
    return found.objective_minor
