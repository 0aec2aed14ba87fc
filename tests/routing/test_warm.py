"""A process that has warmed up compiles nothing when orders come."""

import importlib
import pkgutil
import random

from numba.core.dispatcher import Dispatcher

import routing
from routing.plan_basket import plan_basket
from routing.problem import Policy
from routing.warm import warm
from tests.routing.baskets import on_terrain
from tests.routing.random_problems import random_problem
from tests.routing.sparse_network import Network


def ready() -> dict[str, int]:
    """How many kinds of arguments each compiled function has been made for so far."""
    found = {}
    for module in pkgutil.iter_modules(routing.__path__):
        for name, value in vars(importlib.import_module(f"routing.{module.name}")).items():
            if isinstance(value, Dispatcher):
                found[f"{module.name}.{name}"] = len(value.signatures)
    return found


def test_orders_after_warming_up_compile_nothing() -> None:
    """The first order of a process must not wait seconds for machine code."""
    warm()
    before = ready()
    network = Network(1, stores=60, warehouses=3)
    problems = [random_problem(seed) for seed in range(60)]
    problems += [network.problem(lines, lines, Policy()) for lines in (1, 4, 8, 14)]

    for number, problem in enumerate(problems):
        terrain, basket = on_terrain(problem, random.Random(number))
        plan_basket(terrain, basket, 1_000)

    assert ready() == before
    assert sum(before.values()) > 5
