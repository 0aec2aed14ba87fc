"""Goals in the exact model: what each measures, what missing it costs, and its limit."""

from collections.abc import Mapping, Sequence

import msgspec
from ortools.sat.python import cp_model

from routing.goals import BY_LAST, BY_PARCEL, BY_WAIT, by_last, by_slot, by_split, by_unit, by_wait
from routing.instance import Instance
from routing.problem import Goal

__all__ = ["Choices", "goal_terms"]

Term = tuple[cp_model.IntVar, int]

PRODUCT_MAX = 2**58
"""What missing a goal may come to in the model; a plan that misses one by more is never cheapest."""


class Choices(msgspec.Struct, frozen=True):
    """The variables of the model that goals count."""

    opened: Sequence[cp_model.IntVar]
    units: Mapping[tuple[int, int], cp_model.IntVar]
    paid: Sequence[Term]
    """How often each price of parcels is paid, of all slots."""
    anything: cp_model.IntVar


def goal_terms(model: cp_model.CpModel, instance: Instance, v: Choices) -> list[Term]:
    """Constrain a model by the limits of goals; the terms of its objective for missing targets."""
    found: list[Term] = []
    for goal in instance.policy.goals:
        count = _count(model, instance, goal, v)
        if goal.limit is not None:
            # (13) No plan measures more than the limit.
            model.add(count <= goal.limit)
        if goal.minor:
            most = PRODUCT_MAX // goal.minor
            beyond = model.new_int_var(0, most, "")
            model.add(beyond >= count - goal.target)
            if goal.per == 1:
                found.append((beyond, goal.minor))
            else:
                price = model.new_int_var(0, most * goal.minor // goal.per, "")
                # The least whole number that is no less is minor * beyond / per rounded down.
                model.add(goal.per * price >= goal.minor * beyond - (goal.per - 1))
                found.append((price, 1))
    return found


def _count(
    model: cp_model.CpModel, instance: Instance, goal: Goal, v: Choices
) -> cp_model.LinearExpr:
    """What a goal measures; at least that for waiting and last slots, which want to be less."""
    split = by_split(instance, goal)
    terms: list[Term] = [(v.anything, -split)]
    terms += [
        (opened, split + by_slot(goal, slot))
        for opened, slot in zip(v.opened, instance.slots, strict=True)
    ]
    terms += [
        (x, by_unit(goal, instance.slots[k], instance.lines[i])) for (k, i), x in v.units.items()
    ]
    if goal.measure in BY_PARCEL:
        terms += v.paid
    if goal.measure in BY_WAIT:
        terms += [(wait, 1) for wait in _waits(model, instance, goal, v)]
    if goal.measure in BY_LAST:
        days = [by_last(instance, goal, slot) for slot in instance.slots]
        last = model.new_int_var(0, max(days, default=0), "")
        for opened, each in zip(v.opened, days, strict=True):
            model.add(last >= each * opened)
        terms.append((last, 1))
    terms = [(variable, count) for variable, count in terms if count]
    expression: cp_model.LinearExpr = cp_model.LinearExpr.weighted_sum(
        [variable for variable, _ in terms], [count for _, count in terms]
    )
    return expression


def _waits(
    model: cp_model.CpModel, instance: Instance, goal: Goal, v: Choices
) -> list[cp_model.IntVar]:
    """By line, no less than it counts for the last slot that gives a unit of it."""
    waits = []
    for i, bundle in enumerate(instance.lines):
        counts = {
            k: by_wait(instance, goal, instance.slots[k], bundle) for k, j in v.units if j == i
        }
        waits.append(model.new_int_var(0, max(counts.values(), default=0), ""))
        for k, count in counts.items():
            if count:
                gives = model.new_bool_var("")
                model.add(v.units[k, i] <= instance.units_max[k][i] * gives)
                model.add(waits[i] >= count * gives)
    return waits
