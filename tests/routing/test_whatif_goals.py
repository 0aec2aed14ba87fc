"""How much looser a goal would have had to be for a cheaper plan is true to the unit: solved again."""

from typing import get_args

import msgspec

from routing.check import check
from routing.explain import explain
from routing.plan import Plan
from routing.problem import Goal, Policy, Problem
from routing.solve import solve
from routing.voice import Voice
from routing.whatif_goals import Loosened, goal_changes, with_goal
from tests.routing import small
from tests.routing.baskets import decided
from tests.routing.random_problems import goal_problem

replace = msgspec.structs.replace
SEEDS = range(1_000, 1_120)


def asked(seed: int) -> tuple[Problem, Plan]:
    """A random problem with goals that has all the time it may need, and its plan."""
    problem = goal_problem(seed)
    problem = replace(problem, policy=replace(problem.policy, time_limit_ms=10_000))
    return problem, solve(problem)


def test_a_looser_goal_is_just_enough() -> None:
    """Loosened by what was said the order costs as much as was said; by one less, as before."""
    seen: set[str] = set()
    for seed in SEEDS:
        problem, plan = asked(seed)
        told = goal_changes(problem, plan)
        assert told.proven, seed
        for change in told.found:
            eased = with_goal(problem, change.goal, change.what, change.more)
            best = solve(eased)
            assert check(eased, best) == [], seed
            assert best.objective_minor == change.objective_minor < plan.objective_minor, seed
            almost = solve(with_goal(problem, change.goal, change.what, change.more - 1))
            assert almost.status == "optimal", seed
            assert almost.objective_minor == plan.objective_minor, seed
            seen.add(change.what)
    assert seen == {*get_args(Loosened)}


def test_a_goal_of_which_nothing_is_told_stood_in_nobodys_way() -> None:
    """Without its limit, and without its price where none was paid, there is no cheaper plan."""
    silent = 0
    for seed in SEEDS:
        problem, plan = asked(seed)
        found = {(each.goal, each.what) for each in goal_changes(problem, plan).found}
        goals = problem.policy.goals
        for number, goal in enumerate(goals):
            freed: dict[str, Goal] = {"limit": replace(goal, limit=None)}
            if all(each.rule != goal.measure for each in plan.broken):
                freed["target"] = replace(goal, minor=0)
            for what, loose in freed.items():
                eased = (*goals[:number], loose, *goals[number + 1 :])
                best = solve(replace(problem, policy=replace(problem.policy, goals=eased)))
                wins = best.objective_minor < plan.objective_minor
                assert ((number, what) in found) == wins, (seed, number, what)
                silent += not wins
    assert silent > 0


def test_a_planner_reads_which_goal_made_an_order_dearer() -> None:
    """Two near stores send a unit each; one parcel from afar would be cheaper, but comes later."""
    lines = (small.line("a", "mug"), small.line("b", "lamp"))
    stocks = (
        small.stock("far", "mug", 1),
        small.stock("far", "lamp", 1),
        small.stock("north", "mug", 1),
        small.stock("south", "lamp", 1),
    )
    nodes = tuple(small.node(name) for name in ("far", "north", "south"))
    lanes = (small.lane("far", days=3), small.lane("north"), small.lane("south"))
    goals = (Goal(measure="delivery_days", target=1, limit=2, minor=5),)
    problem = small.problem(lines, nodes, stocks, lanes=lanes, policy=Policy(goals=goals))

    told = explain(decided(problem), voice=Voice(currency="EUR"))

    assert told["sentences"][-1] == (
        "With a limit of 3 days until the last delivery instead of 2 days until the last delivery,"
        " another plan would have come to 8.20 EUR less."
    )
    (change,) = told["what_if_goals"]["found"]
    assert (change["measure"], change["what"], change["was"], change["more"]) == (
        "delivery_days",
        "limit",
        2,
        1,
    )


def test_nothing_is_said_of_goals_where_the_plan_is_not_proven() -> None:
    """Cheaper plans may exist anyway, whatever the goals are."""
    for seed in SEEDS:
        problem, plan = asked(seed)
        hasty = replace(plan, status="feasible", bound_minor=0)
        told = goal_changes(problem, hasty)
        assert (told.found, told.proven) == ((), False), seed
