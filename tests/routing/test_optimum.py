"""Plans of random problems are optimal, feasible, and as good as they claim."""

from collections.abc import Callable

import pytest

from routing.check import check
from routing.problem import Problem
from routing.solve import solve, validate
from tests.routing.exhaustive import cheapest
from tests.routing.random_problems import (
    any_problem,
    goal_problem,
    promised_problem,
    random_problem,
)

PROBLEMS = 2_000
FEWER = 600
SHARDS = 20


@pytest.mark.parametrize(
    ("make", "problems"),
    [
        (random_problem, PROBLEMS),
        (any_problem, PROBLEMS),
        (goal_problem, FEWER),
        (promised_problem, FEWER),
    ],
)
@pytest.mark.parametrize("shard", range(SHARDS))
def test_the_plan_costs_what_exhaustive_search_finds_at_best(
    make: Callable[[int], Problem], problems: int, shard: int
) -> None:
    """The judge confirms that the plan costs what it says; the search, that nothing costs less."""
    for seed in range(shard, problems, SHARDS):
        problem = make(seed)
        validate(problem)

        plan = solve(problem)

        assert check(problem, plan) == [], seed
        assert plan.status == "optimal", seed
        assert cheapest(problem, plan.objective_minor) == plan.objective_minor, seed


def test_a_start_later_than_needed_is_never_cheaper() -> None:
    """The exhaustive search leaves out later starts without a reason; here it tries them all."""
    for seed in range(2_000, 2_080):
        problem = random_problem(seed, lines_max=2, nodes_max=4)

        plan = solve(problem)

        assert cheapest(problem, plan.objective_minor, every_date=True) == plan.objective_minor
