"""The exact model, CP-SAT, in the order of README.md: variables, constraints (1) to (10), objective.

Goals, with (13), are in goals_model.py.
"""

import math
import time
from bisect import bisect_left
from itertools import pairwise
from typing import Literal

import msgspec
from ortools.sat.python import cp_model

from routing.goals_model import Choices, goal_terms
from routing.instance import Assignment, Instance, node_numbers

STEPS_MAX = 48
"""Price steps of one slot modeled one by one; beyond, for heavy orders, its parcels are counted."""


class Answer(msgspec.Struct, frozen=True):
    """What the solver found below the given objective and what it proved."""

    outcome: Literal["improved", "none_better", "stopped"]
    units: Assignment | None
    bound_minor: int
    """No assignment of the instance has a smaller objective."""


class _Parcels(msgspec.Struct, frozen=True):
    """How a slot pays for its load."""

    steps: bool
    """Whether the rows are price steps, of which one is paid, or parcels, each many times."""
    rows: list[tuple[int, int, cp_model.IntVar]]
    """(weight, price, how often)."""


class _Variables(msgspec.Struct, frozen=True):
    opened: list[cp_model.IntVar]
    parcels: list[_Parcels]
    units: dict[tuple[int, int], cp_model.IntVar]
    short: list[cp_model.IntVar]
    waits: list[list[tuple[int, int, cp_model.IntVar]]]
    """Per line: (time price from here on, increment, whether a unit waits that long)."""
    anything: cp_model.IntVar


def improve(
    instance: Instance,
    below_minor: int | None,
    limit_ms: float,
    using: tuple[int, ...] = (),
) -> Answer:
    """Look for the cheapest assignment with an objective less than `below_minor`, if given.

    With `using`, only among those that take units from one of these slots. One worker and a fixed
    seed, so that only the time limit can make two runs differ. Releases the interpreter lock while
    solving. The incumbent is not given as a hint: it is excluded, and measured to mislead.
    """
    started = time.perf_counter()
    model = cp_model.CpModel()
    variables = _variables(model, instance)
    _constrain(model, instance, variables)
    if using:
        model.add(sum(x for (k, _), x in variables.units.items() if k in using) >= 1)
    objective = _objective(model, instance, variables)
    if below_minor is not None:
        model.add(objective <= below_minor - 1)
    model.minimize(objective)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = instance.policy.seed
    solver.parameters.search_branching = type(solver.parameters).LP_SEARCH
    solver.parameters.linearization_level = 2
    # Cuts and further presolve rounds cost more than they save on models this small: 77 ms to 35 ms
    # on average over residual problems of 5 to 16 lines.
    solver.parameters.cut_level = 0
    solver.parameters.max_presolve_iterations = 1
    left_s = limit_ms / 1000 - (time.perf_counter() - started)
    solver.parameters.max_time_in_seconds = max(0.001, left_s)
    status = solver.solve(model)
    if status == cp_model.INFEASIBLE:
        return Answer("none_better", None, below_minor or 0)
    bound = max(0, math.ceil(solver.best_objective_bound - 1e-6))
    if status in {cp_model.OPTIMAL, cp_model.FEASIBLE}:
        units = _units(solver, variables)
        found = round(solver.objective_value)
        return Answer("improved", units, found if status == cp_model.OPTIMAL else bound)
    return Answer("stopped", None, bound)


def _variables(model: cp_model.CpModel, instance: Instance) -> _Variables:
    """Slots opened, their price steps, units by (slot, line), units short, lines that wait."""
    units = {
        (k, i): model.new_int_var(0, most, "")
        for k, row in enumerate(instance.units_max)
        for i, most in enumerate(row)
        if most
    }
    return _Variables(
        opened=[model.new_bool_var("") for _ in instance.slots],
        parcels=[_parcels(model, instance, k) for k in range(len(instance.slots))],
        units=units,
        short=[model.new_int_var(0, line.quantity, "") for line in instance.lines],
        waits=[_waits(model, instance, i) for i in range(len(instance.lines))],
        anything=model.new_bool_var(""),
    )


def _parcels(model: cp_model.CpModel, instance: Instance, k: int) -> _Parcels:
    """The price steps that the heaviest load of slot `k` can reach, or its parcels if too many."""
    steps = instance.slots[k].steps
    heaviest = sum(
        most * line.priced_grams
        for most, line in zip(instance.units_max[k], instance.lines, strict=True)
    )
    reached = bisect_left(steps.weights_grams, heaviest) + 1
    if reached <= STEPS_MAX:
        pairs = zip(steps.weights_grams[:reached], steps.prices_minor[:reached], strict=True)
        return _Parcels(
            steps=True, rows=[(weight, price, model.new_bool_var("")) for weight, price in pairs]
        )
    return _Parcels(
        steps=False,
        rows=[
            (weight, price, model.new_int_var(0, heaviest // weight + 1, ""))
            for weight, price in steps.parcels
        ],
    )


def _waits(
    model: cp_model.CpModel, instance: Instance, i: int
) -> list[tuple[int, int, cp_model.IntVar]]:
    prices = sorted(
        {
            instance.time_minor[k][i]
            for k in range(len(instance.slots))
            if instance.units_max[k][i] and instance.time_minor[k][i] > 0
        }
    )
    before = [0, *prices]
    return [
        (price, price - less, model.new_bool_var(""))
        for price, less in zip(prices, before, strict=False)
    ]


def _constrain(model: cp_model.CpModel, instance: Instance, v: _Variables) -> None:
    by_line, by_slot = _grouped(instance, v)
    for i, line in enumerate(instance.lines):
        # (1) Every unit of a line is taken by a slot or short.
        model.add(sum(by_line[i]) + v.short[i] == line.quantity)
    for (k, i), x in v.units.items():
        # (2) Only an opened slot takes units.
        model.add(x <= instance.units_max[k][i] * v.opened[k])
    for k, parcels in enumerate(v.parcels):
        # (3) An opened slot pays one price step, or parcels, that its load weighs no more than.
        count = sum(times for _, _, times in parcels.rows)
        model.add(count == v.opened[k] if parcels.steps else count >= v.opened[k])
        if len(parcels.rows) > 1:
            load = sum(instance.lines[i].priced_grams * x for i, x in by_slot[k])
            model.add(load <= sum(weight * times for weight, _, times in parcels.rows))
    for limit in instance.unit_limits:
        # (4) Stock by date and (5) capacity in units.
        used = sum(count * v.units[k, i] for k, i, count in limit.terms)
        model.add(used <= limit.units_max)
    for most in instance.open_limits:
        # (6) Capacity in orders and (7) the most shipments.
        model.add(sum(v.opened[k] for k in most.slots) <= most.slots_max)
    if instance.policy.ship_complete:
        # (8) Every unit or nothing.
        for i, line in enumerate(instance.lines):
            model.add(v.short[i] == line.quantity * (1 - v.anything))
    # The first fulfillment carries no split price, so `anything` wants to be true.
    model.add(sum(v.opened) >= v.anything)
    _constrain_waits(model, instance, v)
    if instance.policy.nodes_per_line_max is not None:
        _constrain_nodes(model, instance, v, instance.policy.nodes_per_line_max)


def _grouped(
    instance: Instance, v: _Variables
) -> tuple[list[list[cp_model.IntVar]], list[list[tuple[int, cp_model.IntVar]]]]:
    """The units of each line, and (line, units) of each slot."""
    by_line: list[list[cp_model.IntVar]] = [[] for _ in instance.lines]
    by_slot: list[list[tuple[int, cp_model.IntVar]]] = [[] for _ in instance.slots]
    for (k, i), x in v.units.items():
        by_line[i].append(x)
        by_slot[k].append((i, x))
    return by_line, by_slot


def _constrain_waits(model: cp_model.CpModel, instance: Instance, v: _Variables) -> None:
    for i, waits in enumerate(v.waits):
        for (_, _, sooner), (_, _, later) in pairwise(waits):
            model.add_implication(later, sooner)
        by_price = {price: wait for price, _, wait in waits}
        for k, times in enumerate(instance.time_minor):
            # (9) A line waits as long as the last slot that takes a unit of it.
            if (k, i) in v.units and times[i] > 0:
                model.add(v.units[k, i] <= instance.units_max[k][i] * by_price[times[i]])


def _constrain_nodes(
    model: cp_model.CpModel, instance: Instance, v: _Variables, nodes_max: int
) -> None:
    nodes = node_numbers(instance.slots)
    for i in range(len(instance.lines)):
        gives: dict[int, cp_model.IntVar] = {}
        for k, j in v.units:
            if j == i:
                there = gives.setdefault(nodes[k], model.new_bool_var(""))
                # (10) A line is shared by so many nodes at most.
                model.add(v.units[k, i] <= instance.units_max[k][i] * there)
        if len(gives) > nodes_max:
            model.add(sum(gives.values()) <= nodes_max)


def _objective(model: cp_model.CpModel, instance: Instance, v: _Variables) -> cp_model.LinearExpr:
    """Parcels, fulfillments, units, split, lateness and delay, shortage, goals missed."""
    policy = instance.policy
    paid = [(times, price) for parcels in v.parcels for _, price, times in parcels.rows]
    terms: list[tuple[cp_model.IntVar, int]] = [(v.anything, -policy.split_minor), *paid]
    for k, opening in enumerate(instance.opening_minor):
        terms.append((v.opened[k], policy.split_minor + opening))
    terms += [(x, instance.unit_minor[k][i]) for (k, i), x in v.units.items()]
    terms += [(wait, increment) for waits in v.waits for _, increment, wait in waits]
    terms += [
        (short, policy.shortage_minor * bundle.short)
        for short, bundle in zip(v.short, instance.lines, strict=True)
    ]
    terms += goal_terms(model, instance, Choices(v.opened, v.units, paid, v.anything))
    expression: cp_model.LinearExpr = cp_model.LinearExpr.weighted_sum(
        [variable for variable, _ in terms], [price for _, price in terms]
    )
    return expression


def _units(solver: cp_model.CpSolver, v: _Variables) -> Assignment:
    units: Assignment = {}
    for (k, i), x in sorted(v.units.items(), key=lambda item: item[0]):
        quantity = solver.value(x)
        if quantity:
            units.setdefault(k, {})[i] = quantity
    return units
