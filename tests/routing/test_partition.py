"""The exact shortcut costs what CP-SAT finds, on the slots that the long way finds too."""

import random
from collections import Counter

import msgspec
import numpy as np
import pytest

from routing.assemble import objective_minor
from routing.basket import seen
from routing.candidates import candidates
from routing.check import check
from routing.gather import gather
from routing.grid import assignment, grid
from routing.leaning import leaned
from routing.model import improve
from routing.partition import partition
from routing.plan_basket import plan_basket
from routing.problem import Policy, Problem
from tests.routing.baskets import on_terrain
from tests.routing.random_problems import random_problem
from tests.routing.sparse_network import Network

replace = msgspec.structs.replace
SHARDS = 8
ORDERS = 2_400


def uncoupled(problem: Problem) -> Problem:
    """The problem with every sku on one line, no capacities, no most shipments, no supply."""
    lines = tuple(replace(line, sku=f"sku-{i}") for i, line in enumerate(problem.lines))
    chance = random.Random(len(problem.stock))
    stock = tuple(
        replace(held, sku=line.sku, available=chance.choice((0, 1, 1, 2, 3)), supply=())
        for line, old in zip(lines, problem.lines, strict=True)
        for held in problem.stock
        if held.sku == old.sku
    )
    return replace(
        problem,
        lines=lines,
        stock=stock,
        nodes=tuple(replace(node, capacity=()) for node in problem.nodes),
        policy=replace(
            problem.policy,
            backorder=False,
            shipments_max=None,
            nodes_per_line_max=chance.choice((None, None, 1, 2)),
        ),
    )


@pytest.mark.parametrize("shard", range(SHARDS))
def test_plans_cost_what_the_exact_model_finds_over_all_nodes(shard: int) -> None:
    """CP-SAT is the reference: no pruning, no bounds, no incumbent, 2,400 orders."""
    steps: Counter[str] = Counter()
    for seed in range(20_000 + shard, 20_000 + ORDERS, SHARDS):
        problem = uncoupled(random_problem(seed, lines_max=4, nodes_max=6))
        terrain, basket = on_terrain(problem, random.Random(seed))
        instance = candidates(problem, prune=False)

        planned = plan_basket(terrain, basket, 10_000)
        answer = improve(instance, None, 20_000)

        assert planned.plan.status == "optimal", seed
        expected = objective_minor(instance, answer.units or {})
        assert planned.plan.objective_minor == expected, seed
        steps[planned.plan.found_by] += 1
    assert steps["partition"] > ORDERS / SHARDS / 2, steps


def test_plans_of_a_sparse_network_cost_what_the_exact_model_finds() -> None:
    """Dozens of stores with a unit or two each, as in a grocer's real network."""
    network = Network(7, stores=60, warehouses=4)
    for seed in range(40):
        problem = network.problem(seed, 1 + seed % 5, Policy(time_limit_ms=20_000))
        terrain, basket = on_terrain(problem, random.Random(seed))
        instance = candidates(problem)

        plan = plan_basket(terrain, basket, 20_000).plan

        answer = improve(instance, None, 20_000)
        assert plan.objective_minor == objective_minor(instance, answer.units or {}), seed


@pytest.mark.parametrize("nodes_max", [1, 2])
def test_lines_on_few_nodes_cost_what_the_exact_model_finds(nodes_max: int) -> None:
    """A customer who orders four of a thing may not want them from four stores."""
    network = Network(7, stores=60, warehouses=0)
    bound = 0
    for seed in range(25):
        policy = Policy(nodes_per_line_max=nodes_max, time_limit_ms=20_000)
        problem = network.problem(seed, 2 + seed % 7, policy)
        terrain, basket = on_terrain(problem, random.Random(seed))
        instance = candidates(problem)

        plan = plan_basket(terrain, basket, 20_000).plan

        answer = improve(instance, None, 20_000)
        assert check(problem, plan) == [], seed
        assert plan.objective_minor == objective_minor(instance, answer.units or {}), seed
        free = replace(basket, policy=Policy(time_limit_ms=20_000))
        bound += plan_basket(terrain, free, 20_000).plan.objective_minor < plan.objective_minor
    assert bound > 5 or nodes_max > 1


def test_a_basket_has_the_slots_of_its_problem() -> None:
    """The quick way to slots and the long one are two pieces of code with one meaning."""
    network = Network(3, stores=80, warehouses=4)
    problems = [uncoupled(random_problem(seed)) for seed in range(300)]
    problems += [network.problem(seed, 5, Policy()) for seed in range(10)]
    for number, drawn in enumerate(problems):
        # Carriers' own times put the slots of a node into another order, which only settles ties.
        problem = replace(drawn, lanes=tuple(replace(lane, cut_off=None) for lane in drawn.lanes))
        terrain, basket = on_terrain(problem, random.Random(number))
        terrain = leaned(terrain, basket.policy)

        terrain = leaned(terrain, basket.policy)
        gathered = gather(terrain, seen(terrain, basket), basket.lines, basket.policy)

        instance = candidates(problem)
        expected = grid(instance)
        rows, lanes = gathered.slots.rows.tolist(), gathered.slots.lanes.tolist()
        assert [
            (terrain.destination.nodes[row].node_id, terrain.lanes[lane].service)
            if lane >= 0
            else (terrain.destination.nodes[row].node_id, None)
            for row, lane in zip(rows, lanes, strict=True)
        ] == [(slot.node.node_id, slot.service) for slot in instance.slots], number
        for field in ("units_max", "quantities", "weights_grams", "time_minor", "nodes"):
            assert np.array_equal(getattr(gathered.grid, field), getattr(expected, field)), field
        for field in ("slot_minor", "unit_minor"):
            assert np.array_equal(getattr(gathered.grid, field), getattr(expected, field)), field


def test_parts_that_collide_are_untangled() -> None:
    """The cheapest slot has one unit of each line; parts alone would take it twice."""
    collided = 0
    for seed in range(600):
        instance = candidates(uncoupled(random_problem(seed, lines_max=3, nodes_max=5)))
        parted = partition(grid(instance))

        assert parted is not None
        units = assignment(parted.units)
        assert objective_minor(instance, units) == parted.objective_minor
        for limit in instance.unit_limits:
            assert sum(units.get(k, {}).get(i, 0) for k, i, _ in limit.terms) <= limit.units_max
            collided += 1
    assert collided > 60


def test_a_long_order_is_left_to_the_search() -> None:
    """Twenty lines have more states than there is time for."""
    instance = candidates(Network(2, stores=40).problem(1, 20, Policy()))

    assert partition(grid(instance)) is None
