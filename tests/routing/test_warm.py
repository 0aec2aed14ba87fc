"""A process that has warmed up compiles nothing when orders come."""

import importlib
import pkgutil
import random
import subprocess
import sys

from numba.core.dispatcher import Dispatcher

import routing
from routing.plan_basket import plan_basket
from routing.problem import Policy, Problem
from routing.warm import warm
from tests.routing.baskets import on_terrain
from tests.routing.random_problems import any_problem, goal_problem, random_problem
from tests.routing.small import replace
from tests.routing.sparse_network import Network


def ready() -> dict[str, int]:
    """How many kinds of arguments each compiled function has been made for so far."""
    found = {}
    for module in pkgutil.iter_modules(routing.__path__):
        for name, value in vars(importlib.import_module(f"routing.{module.name}")).items():
            if isinstance(value, Dispatcher):
                found[f"{module.name}.{name}"] = len(value.signatures)
    return found


def limited(problem: Problem, seed: int) -> Problem:
    """A problem with few shipments and few nodes for each line."""
    chance = random.Random(seed)
    policy = replace(
        problem.policy,
        shipments_max=chance.choice((1, 2, 3)),
        nodes_per_line_max=chance.choice((None, 1, 2)),
    )
    return replace(problem, policy=policy)


def made_later() -> list[str]:
    """What orders of all kinds compile or load in a process that has warmed up."""
    warm()
    before = ready()
    if sum(before.values()) < 6:
        raise RuntimeError("warming up compiles nothing, so nothing can be said of it")
    network = Network(1, stores=60, warehouses=3)
    problems = [random_problem(seed) for seed in range(60)]
    problems += [any_problem(seed) for seed in range(60)]
    problems += [goal_problem(seed) for seed in range(30)]
    problems += [limited(each, seed) for seed, each in enumerate(problems)]
    problems += [network.problem(lines, lines, Policy()) for lines in (1, 4, 8, 14)]
    for number, problem in enumerate(problems):
        terrain, basket = on_terrain(problem, random.Random(number))
        plan_basket(terrain, basket, 1_000)
    after = ready()
    return [name for name in after if after[name] != before[name]]


def test_orders_after_warming_up_compile_nothing() -> None:
    """The first order of a process must not wait seconds for machine code.

    In a process of its own: in this one other tests may have compiled what warming up forgets.
    """
    code = "from tests.routing.test_warm import made_later; print(*made_later(), sep='\\n')"

    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert told.stdout.split() == []
