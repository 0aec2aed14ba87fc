"""From a problem to its plan: prune, incumbent, proof where it is trivial, else CP-SAT."""

import time

import msgspec

from routing.assemble import assemble, objective_minor
from routing.bound import Bound, bound, relaxation
from routing.branch import branch, covers_all
from routing.candidates import candidates
from routing.greedy import polished, quick
from routing.grid import assignment, grid
from routing.instance import Assignment, Instance, restrict, within_limits
from routing.model import improve
from routing.partition import partition
from routing.plan import Plan
from routing.problem import Problem
from routing.validate import validate, validate_order

__all__ = ["Solution", "deadline_of", "parts_of", "solve", "solve_instance", "validate"]


PAIR_MS = 0.06
"""To build and presolve the exact model, for each line that a slot could take."""


class Solution(msgspec.Struct, frozen=True):
    """A plan, the assignment it stands for and what prices proved on the way."""

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
    parted = parts_of(instance)
    if parted is None:
        return solve_instance(instance, deadline).plan
    units, objective, found_by = parted
    return assemble(instance, units, bound_minor=objective, found_by=found_by)


def parts_of(instance: Instance) -> tuple[Assignment, int, str] | None:
    """A short order's cheapest plan, its objective and the step, where no limit speaks against it.

    Without the limits there are only more plans, so no plan is cheaper.
    """
    parted = partition(grid(instance))
    if parted is None:
        return None
    units = assignment(parted.units)
    if not within_limits(instance, units):
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
    best = quick(instance) if start is None else start
    objective = objective_minor(instance, best)
    priced = bound(instance, best, objective, deadline)
    slots = priced.slots_below(objective)
    found_by = "greedy"
    if priced.bound_minor < objective and slots:
        best, slots, priced = _searched(instance, best, priced, deadline)
        found_by = "search" if objective_minor(instance, best) < objective else found_by
        objective = objective_minor(instance, best)
    if priced.bound_minor >= objective or not slots:
        plan = assemble(instance, best, bound_minor=objective, found_by=found_by)
        return Solution(plan, best, priced)
    left_ms = (deadline - time.perf_counter()) * 1000
    if left_ms < _model_ms(instance, slots):
        plan = assemble(instance, best, bound_minor=priced.bound_minor, found_by=found_by)
        return Solution(plan, best, priced)
    answer = improve(restrict(instance, slots), objective, left_ms)
    if answer.units is not None:
        best = {slots[number]: taken for number, taken in answer.units.items()}
        found_by = "cp-sat"
    lowest = max(priced.bound_minor, answer.bound_minor)
    plan = assemble(instance, best, bound_minor=lowest, found_by=found_by, unproven="feasible")
    return Solution(plan, best, priced)


def _model_ms(instance: Instance, slots: tuple[int, ...]) -> float:
    """How long it takes until the exact model first looks at its limit of time, or longer."""
    return 1 + PAIR_MS * sum(1 for k in slots for most in instance.units_max[k] if most)


def _searched(
    instance: Instance, best: Assignment, priced: Bound, deadline: float
) -> tuple[Assignment, tuple[int, ...], Bound]:
    """A better plan, the slots that one cheaper still can open, and what is proven.

    A plan with a slot that was priced out costs at least the objective it was priced against.
    """
    ceiling = objective_minor(instance, best)
    slots = priced.slots_below(ceiling)
    relaxed = relaxation(instance)
    if not covers_all(relaxed, ceiling):
        return polished(instance, best), slots, priced
    found = branch(instance, relaxed, (best, slots, priced.prices), deadline)
    proven = max(priced.bound_minor, min(found.bound_minor, found.objective_minor))
    return found.units, found.slots, msgspec.structs.replace(priced, bound_minor=proven)
