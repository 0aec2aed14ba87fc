"""Which goal stood in the way of a cheaper plan, and by how much: worked out by solving again.

A goal is told only if the order, solved again with one figure of it looser by so much, gets a plan
that costs less than the one that was made, and by one less provably none.
"""

import time
from functools import partial
from typing import Literal

import msgspec

from routing.candidates import candidates
from routing.goals import penalty_minor, value
from routing.placed import assignment_of
from routing.plan import Plan
from routing.problem import Goal, Measure, Problem
from routing.whatif import TIME_LIMIT_MS, Asker, Undecided

__all__ = ["GoalChange", "GoalChanges", "Loosened", "goal_changes", "with_goal"]

replace = msgspec.structs.replace
Loosened = Literal["target", "limit"]


class GoalChange(msgspec.Struct, frozen=True, kw_only=True):
    """The least loosening of one figure of a goal that makes a cheaper plan."""

    goal: int
    """Its place among the goals of the strategy, from 0."""
    measure: Measure
    what: Loosened
    was: int
    more: int
    """Added to what it was; with one less no plan is cheaper."""
    objective_minor: int
    """Of the best plan with the goal so loosened."""


class GoalChanges(msgspec.Struct, frozen=True, kw_only=True):
    """All that could be found out of the goals of an order."""

    found: tuple[GoalChange, ...]
    proven: bool
    """Whether what is not found is known not to exist; false where the time ran out."""


def goal_changes(problem: Problem, plan: Plan) -> GoalChanges:
    """How much looser each goal alone would have had to be for a cheaper plan than was made.

    Asked are limits, and the targets of goals that the plan does not pay for, up to their limits: a
    plan that misses a target would cost less with a looser one anyway. All within `TIME_LIMIT_MS`.
    Of a plan that is not proven nothing can be said, as cheaper ones may exist anyway.
    """
    goals = problem.policy.goals
    if plan.status != "optimal":
        return GoalChanges(found=(), proven=not goals)
    asker = Asker(problem, plan, time.perf_counter() + TIME_LIMIT_MS / 1000)
    found: list[GoalChange] = []
    proven = True
    for number, goal in enumerate(goals):
        try:
            found += [
                change
                for what in _asked(problem, plan, goal)
                if (change := _change(asker, number, what)) is not None
            ]
        except Undecided:
            proven = False
    return GoalChanges(found=tuple(found), proven=proven)


def with_goal(problem: Problem, number: int, what: Loosened, more: int) -> Problem:
    """The problem with one figure of a goal looser by so much."""
    goal = problem.policy.goals[number]
    was = goal.target if what == "target" else goal.limit
    return _with(problem, number, replace(goal, **{what: (was or 0) + more}))


def _with(problem: Problem, number: int, goal: Goal) -> Problem:
    goals = list(problem.policy.goals)
    goals[number] = goal
    return replace(problem, policy=replace(problem.policy, goals=tuple(goals)))


def _asked(problem: Problem, plan: Plan, goal: Goal) -> tuple[Loosened, ...]:
    limits: tuple[Loosened, ...] = () if goal.limit is None else ("limit",)
    if goal.minor and not penalty_minor(goal, _came_to(problem, goal, plan)):
        return ("target", *limits)
    return limits


def _change(asker: Asker, number: int, what: Loosened) -> GoalChange | None:
    goal = asker.problem.policy.goals[number]
    was = goal.target if what == "target" else goal.limit or 0
    # As loose as can be; the plan that wins then tells how loose is enough.
    freed = replace(goal, limit=None) if what == "limit" else replace(goal, minor=0)
    free = asker.cheaper(_with(asker.problem, number, freed))
    if free is None:
        return None
    most = _came_to(asker.problem, goal, free) - was
    found = asker.least(most, partial(with_goal, asker.problem, number, what))
    if found is None:
        raise Undecided
    return GoalChange(
        goal=number,
        measure=goal.measure,
        what=what,
        was=was,
        more=found[0],
        objective_minor=found[1],
    )


def _came_to(problem: Problem, goal: Goal, plan: Plan) -> int:
    """What a plan of an order comes to in what a goal measures."""
    instance = candidates(problem, prune=False)
    return value(instance, goal, assignment_of(instance, plan))
