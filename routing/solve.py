"""From a problem to its plan: prune, incumbent, proof where it is trivial, else CP-SAT."""

import time

from routing.assemble import assemble, objective_minor
from routing.bound import bound
from routing.candidates import candidates
from routing.greedy import greedy
from routing.instance import Assignment, Instance, restrict
from routing.model import improve
from routing.plan import Plan, Status
from routing.problem import Problem
from routing.validate import validate, validate_order

__all__ = ["solve", "solve_instance", "validate"]


def solve(problem: Problem) -> Plan:
    """The cheapest plan for `problem`, proven so when the status is `optimal`.

    Always answers within about `policy.time_limit_ms`; a valid problem never raises. Raises
    `ProblemError` for what `validate` refuses, as far as solving meets it.
    """
    validate_order(problem)
    return solve_instance(candidates(problem).instance)


def solve_instance(instance: Instance) -> Plan:
    """The cheapest plan of an instance, found and proven as far as its time limit allows."""
    started = time.perf_counter()
    best = greedy(instance)
    objective = objective_minor(instance, best)
    proven = bound(instance, best, objective)
    if proven.bound_minor >= objective or not proven.slots:
        return _plan(instance, best, objective, "greedy")
    left_ms = instance.policy.time_limit_ms - (time.perf_counter() - started) * 1000
    if left_ms < 1:
        return _plan(instance, best, proven.bound_minor, "greedy", "greedy")
    residual = restrict(instance, proven.slots)
    hint = {number: best[k] for number, k in enumerate(proven.slots) if k in best}
    answer = improve(residual, hint, objective, left_ms)
    lowest = max(proven.bound_minor, answer.bound_minor)
    if answer.units is None:
        return _plan(instance, best, lowest, "greedy")
    better = {proven.slots[number]: taken for number, taken in answer.units.items()}
    return _plan(instance, better, lowest, "cp-sat")


def _plan(
    instance: Instance,
    units: Assignment,
    lowest: int,
    found_by: str,
    unproven: Status = "feasible",
) -> Plan:
    objective = objective_minor(instance, units)
    status: Status = "optimal" if lowest >= objective else unproven
    return assemble(
        instance,
        units,
        bound_minor=min(lowest, objective),
        found_by=found_by,
        status=status,
    )
