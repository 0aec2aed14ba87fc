"""From a problem to its plan: prune, incumbent, proof where it is trivial, else CP-SAT."""

import time

from routing.assemble import assemble, objective_minor
from routing.candidates import candidates
from routing.greedy import greedy
from routing.instance import Assignment, Instance
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
    bound = 0
    if bound >= objective:
        return _plan(instance, best, objective, "bound")
    left_ms = instance.policy.time_limit_ms - (time.perf_counter() - started) * 1000
    if left_ms < 1:
        return _plan(instance, best, bound, "greedy", "greedy")
    answer = improve(instance, best, objective, left_ms)
    bound = max(bound, answer.bound_minor)
    if answer.units is not None:
        best = answer.units
    found_by = "greedy" if answer.units is None else "cp-sat"
    return _plan(instance, best, bound, found_by)


def _plan(
    instance: Instance,
    units: Assignment,
    bound: int,
    found_by: str,
    unproven: Status = "feasible",
) -> Plan:
    objective = objective_minor(instance, units)
    status: Status = "optimal" if bound >= objective else unproven
    return assemble(
        instance,
        units,
        bound_minor=min(bound, objective),
        found_by=found_by,
        status=status,
    )
