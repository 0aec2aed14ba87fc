"""One plan for every order at the least cost in all: first by turns, then proven by CP-SAT."""

from collections.abc import Sequence
from typing import NamedTuple

from ortools.sat.python import cp_model

from routing.grid import Ints
from routing.window_ground import Column

__all__ = ["Choice", "by_turns", "chosen", "take"]

Offered = Sequence[Sequence[tuple[int, Column]]]
"""By order: what each of its plans is charged, and the plan; the present one comes first."""
TURNS_MAX = 5
"""Most times that every order takes its turn."""


class Choice(NamedTuple):
    """A plan for every order."""

    picked: tuple[int, ...]
    """`[O]`: which of its plans."""
    bound: float
    """No other choice of these plans is charged less."""


def by_turns(offered: Offered, have: tuple[Ints, Ints], moves_max: int | None) -> list[int]:
    """From the present plans on, each order in turn takes what fits and saves most."""
    left = have[0].copy(), have[1].copy()
    for own in offered:
        take(left, own[0][1], 1)
    picked, moved = [0] * len(offered), 0
    for _ in range(TURNS_MAX):
        changed = False
        for order, own in enumerate(offered):
            now = picked[order]
            if not now and moves_max is not None and moved >= moves_max:
                continue
            take(left, own[now][1], -1)
            for n, (minor, each) in enumerate(own):
                if minor < own[picked[order]][0] and _fits(left, each):
                    picked[order] = n
            take(left, own[picked[order]][1], 1)
            moved += bool(picked[order]) - bool(now)
            changed = changed or picked[order] != now
        if not changed:
            break
    return picked


def take(left: tuple[Ints, Ints], column: Column, times: int) -> None:
    """Take what a plan needs, so many times, from what is left of cells and of capacities."""
    for have, taken in zip(left, (column.cells, column.rooms), strict=True):
        for place, units in taken:
            have[place] -= units * times


def _fits(left: tuple[Ints, Ints], column: Column) -> bool:
    return all(
        have[place] >= units
        for have, taken in zip(left, (column.cells, column.rooms), strict=True)
        for place, units in taken
    )


def chosen(
    offered: Offered,
    have: tuple[Ints, Ints],
    hint: Sequence[int],
    *,
    moves_max: int | None,
    limit_s: float,
    seed: int,
) -> Choice:
    """Pick one plan for each order by CP-SAT with one worker, beginning from a possible choice.

    What it picks depends on the plans and the seed alone unless `limit_s` ends it.
    """
    model = cp_model.CpModel()
    variables = [[model.new_bool_var("") for _ in own] for own in offered]
    terms: list[tuple[cp_model.IntVar, int]] = []
    for bits, own in zip(variables, offered, strict=True):
        model.add_exactly_one(bits)
        terms += [(bit, minor) for bit, (minor, _) in zip(bits, own, strict=True)]
    for there, users in zip(have, _users(offered, variables), strict=True):
        for place, those in sorted(users.items()):
            if sum(units for _, units in those) > there[place]:
                model.add(_sum(those) <= int(there[place]))
    if moves_max is not None:
        model.add(sum(bit for bits in variables for bit in bits[1:]) <= moves_max)
    model.minimize(_sum(terms))
    for bits, first in zip(variables, hint, strict=True):
        for n, bit in enumerate(bits):
            model.add_hint(bit, n == first)
    return _solved(model, variables, hint, limit_s, seed)


def _users(
    offered: Offered, variables: Sequence[Sequence[cp_model.IntVar]]
) -> tuple[dict[int, list[tuple[cp_model.IntVar, int]]], ...]:
    """By cell, and by capacity: the plans that take of it, and how much."""
    found: tuple[dict[int, list[tuple[cp_model.IntVar, int]]], ...] = ({}, {})
    for bits, own in zip(variables, offered, strict=True):
        for bit, (_, column) in zip(bits, own, strict=True):
            for users, places in zip(found, (column.cells, column.rooms), strict=True):
                for place, units in places:
                    users.setdefault(place, []).append((bit, units))
    return found


def _solved(
    model: cp_model.CpModel,
    variables: Sequence[Sequence[cp_model.IntVar]],
    hint: Sequence[int],
    limit_s: float,
    seed: int,
) -> Choice:
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = seed
    solver.parameters.search_branching = type(solver.parameters).LP_SEARCH
    solver.parameters.linearization_level = 2
    solver.parameters.max_time_in_seconds = limit_s
    status = solver.solve(model)
    if status not in {cp_model.OPTIMAL, cp_model.FEASIBLE}:
        return Choice(tuple(hint), solver.best_objective_bound)
    picked = [
        next(n for n, bit in enumerate(bits) if solver.boolean_value(bit)) for bits in variables
    ]
    return Choice(tuple(picked), solver.best_objective_bound)


def _sum(terms: Sequence[tuple[cp_model.IntVar, int]]) -> cp_model.LinearExpr:
    found: cp_model.LinearExpr = cp_model.LinearExpr.weighted_sum(
        [variable for variable, _ in terms], [weight for _, weight in terms]
    )
    return found
