"""From a problem to its plan: prune, part or search, else CP-SAT."""

import math
import time

import msgspec
import numpy as np

from routing.assemble import assemble, objective_minor
from routing.bonds import bonds_of
from routing.bound import Bound
from routing.candidates import candidates
from routing.deadlines import model_limit_ms, search_coupled_until, search_until
from routing.goals import missed, within_goals
from routing.goals_search import pursued
from routing.greedy import coupled, quick
from routing.grid import assignment, grid, taken
from routing.instance import Assignment, Instance, restrict, within_limits
from routing.model import improve
from routing.partition import partition
from routing.plan import Plan
from routing.problem import Problem
from routing.search import Found, search
from routing.validate import validate, validate_order

__all__ = [
    "Solution",
    "deadline_of",
    "model_limit_ms",
    "parts_of",
    "search_until",
    "solve",
    "solve_instance",
    "validate",
]


COUPLED_PAIRS_MIN = 150
"""Lines that slots could take, of all together, from which on the search itself keeps limits that
couple them. With fewer it leaves them out, and the exact model mends what breaks them."""


class Solution(msgspec.Struct, frozen=True):
    """A plan, the assignment it stands for and what is proven on the way."""

    plan: Plan
    units: Assignment
    priced: Bound


def solve(problem: Problem) -> Plan:
    """The cheapest plan for `problem`, proven so when the status is `optimal`.

    Always answers within about `policy.time_limit_ms`; a valid problem never raises. Raises
    `ProblemError` for what `validate` refuses, as far as solving meets it.
    """
    deadline = deadline_of(problem)
    validate_order(problem)
    instance = candidates(problem)
    parted = parts_of(instance, deadline)
    if parted is None:
        return solve_instance(instance, deadline).plan
    units, objective, found_by = parted
    return assemble(instance, units, bound_minor=objective, found_by=found_by)


def parts_of(instance: Instance, deadline: float = math.inf) -> tuple[Assignment, int, str] | None:
    """A short order's cheapest plan, its objective and the step, where no limit speaks against it.

    Without the limits and without goals there are only more plans, none dearer, so no plan is cheaper.
    """
    parted = partition(grid(instance), deadline)
    if parted is None:
        return None
    units = assignment(parted.units)
    if not within_limits(instance, units):
        return None
    if instance.policy.goals and (missed(instance, units) or not within_goals(instance, units)):
        return None
    return units, parted.objective_minor, parted.found_by


def deadline_of(problem: Problem) -> float:
    """The reading of `time.perf_counter` at which the problem's time limit is over."""
    return time.perf_counter() + problem.policy.time_limit_ms / 1000


def solve_instance(
    instance: Instance, deadline: float, start: Assignment | None = None
) -> Solution:
    """The cheapest plan of an instance, found and proven as far as `deadline` allows.

    A `start` that is optimal is the answer, whatever other optima there are.
    """
    if instance.policy.goals:
        return _pursued(instance, deadline, start)
    known = grid(instance)
    limited = coupled(instance)
    large = limited and np.count_nonzero(known.units_max) > COUPLED_PAIRS_MIN
    if start is None and limited and not large:
        start = quick(instance)
    begun = None if start is None else taken(start, *known.units_max.shape)
    if large:
        found = search(
            known, search_coupled_until(known.units_max, deadline), begun, bonds_of(instance)
        )
    else:
        found = search(known, search_until(deadline), begun)
    best, objective, found_by = _best(instance, found, start)
    bounds = Bound(min(found.bound_minor, objective), found.least_minor)
    slots = found.slots if objective == found.objective_minor else bounds.slots_below(objective)
    if bounds.bound_minor >= objective or not slots:
        plan = assemble(instance, best, bound_minor=objective, found_by=found_by)
        return Solution(plan, best, bounds)
    limit_ms = model_limit_ms(known.units_max[[*slots]], deadline)
    if limit_ms <= 0:
        plan = assemble(instance, best, bound_minor=bounds.bound_minor, found_by=found_by)
        return Solution(plan, best, bounds)
    answer = improve(restrict(instance, slots), objective, limit_ms)
    if answer.units is not None:
        best = {slots[number]: row for number, row in answer.units.items()}
        found_by = "cp-sat"
    lowest = max(bounds.bound_minor, answer.bound_minor)
    plan = assemble(instance, best, bound_minor=lowest, found_by=found_by, unproven="feasible")
    return Solution(plan, best, bounds)


def _pursued(instance: Instance, deadline: float, start: Assignment | None) -> Solution:
    """The cheapest plan of an instance with goals."""
    found = pursued(instance, deadline, start)
    plan = assemble(
        instance,
        found.units,
        bound_minor=found.priced.bound_minor,
        found_by=found.found_by,
        unproven=found.unproven,
    )
    return Solution(plan, found.units, found.priced)


def _best(
    instance: Instance, found: Found, start: Assignment | None
) -> tuple[Assignment, int, str]:
    """What the search found, where the limits it knows nothing of allow that; else the start."""
    units = assignment(found.units)
    if start is None or within_limits(instance, units):
        return units, found.objective_minor, "search" if found.improved else "greedy"
    return start, objective_minor(instance, start), "greedy"
