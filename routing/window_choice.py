"""One plan for every order at the least cost in all: first by turns, then proven by CP-SAT."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ortools.sat.python import cp_model

from routing.grid import Ints
from routing.window_ground import Column

__all__ = ["Choice", "Limits", "Rest", "by_turns", "chosen", "take"]

Offered = Sequence[Sequence[tuple[int, Column]]]
"""By order: what each of its plans is charged, and the plan; the present one comes first."""
Users = tuple[dict[int, list[tuple[cp_model.IntVar, int]]], ...]
"""By cell, and by capacity: what takes of it, and how much each."""
TURNS_MAX = 5
"""Most times that every order takes its turn."""


class Choice(NamedTuple):
    """A plan for every order."""

    picked: tuple[int, ...]
    """`[O]`: which of its plans."""
    bound: float
    """No other choice of these plans is charged less."""


class Limits(NamedTuple):
    """What a choice has to keep, and how it is looked for."""

    moves_max: int | None
    time_s: float
    seed: int


class Rest(NamedTuple):
    """Plans of an order that are not known one by one: less is taken of what has a price."""

    minor: int
    """What any of them is charged at least, what it takes paid for at the prices asked."""
    lines: tuple[tuple[tuple[int, int], ...], ...]
    """By line: the cells with a price that it could be taken from, and the price."""
    wanted: tuple[int, ...]
    """By line: its units."""
    rooms: tuple[tuple[int, int, int], ...]
    """Capacities with a price that it could take, the most of it, and the price."""


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
    limits: Limits,
    rests: Mapping[int, Rest] | None = None,
) -> Choice:
    """Pick one plan for each order by CP-SAT with one worker, beginning from a possible choice.

    What it picks depends on the plans and the seed alone unless the time ends it. `rests` are of
    orders of which not all plans are offered: what they stand for may be picked too, which only the
    bound is good for.
    """
    model = cp_model.CpModel()
    variables = [[model.new_bool_var("") for _ in own] for own in offered]
    users = _users(offered, variables)
    terms: list[tuple[cp_model.IntVar, int]] = []
    for order, (bits, own) in enumerate(zip(variables, offered, strict=True)):
        terms += [(bit, minor) for bit, (minor, _) in zip(bits, own, strict=True)]
        if rests and order in rests:
            bits.append(model.new_bool_var(""))
            terms += _rested(model, rests[order], bits[-1], users)
        model.add_exactly_one(bits)
    for there, users_of in zip(have, users, strict=True):
        for place, those in sorted(users_of.items()):
            model.add(_sum(those) <= int(there[place]))
    if limits.moves_max is not None:
        model.add(sum(bit for bits in variables for bit in bits[1:]) <= limits.moves_max)
    model.minimize(_sum(terms))
    for bits, first in zip(variables, hint, strict=True):
        for n, bit in enumerate(bits):
            model.add_hint(bit, n == first)
    return _solved(model, variables, hint, limits)


def _rested(
    model: cp_model.CpModel,
    rest: Rest,
    bit: cp_model.IntVar,
    users: Users,
) -> list[tuple[cp_model.IntVar, int]]:
    """What the rest of an order's plans is charged: its least, less the prices of what it takes."""
    terms = [(bit, rest.minor)]
    for cells, wanted in zip(rest.lines, rest.wanted, strict=True):
        taken = []
        for cell, price in cells:
            units = model.new_int_var(0, wanted, "")
            users[0].setdefault(cell, []).append((units, 1))
            terms.append((units, -price))
            taken.append(units)
        model.add(sum(taken) <= wanted * bit)
    for room, most, price in rest.rooms:
        work = model.new_int_var(0, most, "")
        model.add(work <= most * bit)
        users[1].setdefault(room, []).append((work, 1))
        terms.append((work, -price))
    return terms


def _users(offered: Offered, variables: Sequence[Sequence[cp_model.IntVar]]) -> Users:
    """By cell, and by capacity: the plans that take of it, and how much."""
    found: Users = ({}, {})
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
    limits: Limits,
) -> Choice:
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = limits.seed
    solver.parameters.search_branching = type(solver.parameters).LP_SEARCH
    solver.parameters.linearization_level = 2
    solver.parameters.max_time_in_seconds = limits.time_s
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
