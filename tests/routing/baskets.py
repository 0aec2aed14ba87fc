"""A problem asked the other way: a prepared destination and a basket on it."""

import random

import numpy as np

from routing.basket import Basket, held
from routing.destination import body, destination
from routing.explain import Decision
from routing.plan_basket import plan_basket
from routing.problem import Problem
from routing.record import expand
from routing.terrain import Terrain, prepare


def on_terrain(problem: Problem, chance: random.Random | None = None) -> tuple[Terrain, Basket]:
    """The terrain of a problem's network and its basket; `chance` numbers the nodes at random."""
    numbers = [*range(len(problem.nodes) + 3)]
    if chance is not None:
        chance.shuffle(numbers)
    numbering = {node.node_id: numbers[n] for n, node in enumerate(problem.nodes)}
    served = destination(
        problem.nodes,
        problem.lanes,
        problem.calendars,
        problem.tariffs,
        problem.destination_time_zone,
    )
    return prepare(served, numbering, problem.now), basket(problem, numbering)


def decided(problem: Problem) -> Decision:
    """The decision for a problem, as it is read back from its record."""
    terrain, asked = on_terrain(problem)
    return expand(
        plan_basket(terrain, asked, problem.policy.time_limit_ms).record, body(terrain.destination)
    )


def basket(problem: Problem, numbering: dict[str, int]) -> Basket:
    """The order of a problem with its stock by node number."""
    cells: dict[str, list[tuple[int, ...]]] = {}
    for each in problem.stock:
        if each.node_id in numbering:
            cell = numbering[each.node_id], each.available, each.worth_minor, each.risk_minor
            cells.setdefault(each.sku, []).append(cell)
    columns = {sku: np.array(rows, np.int64).T for sku, rows in cells.items()}
    priced = any(rows[2:].any() for rows in columns.values())
    return Basket(
        now=problem.now,
        lines=problem.lines,
        policy=problem.policy,
        held=held(
            problem.lines,
            {sku: (rows[0].astype(np.int32), rows[1].copy()) for sku, rows in columns.items()},
            {sku: (rows[2], rows[3]) for sku, rows in columns.items()} if priced else None,
        ),
        supply={(each.node_id, each.sku): each.supply for each in problem.stock if each.supply},
        capacity={node.node_id: node.capacity for node in problem.nodes if node.capacity},
        surcharges={
            node.node_id: node.surcharge_minor for node in problem.nodes if node.surcharge_minor
        },
    )
