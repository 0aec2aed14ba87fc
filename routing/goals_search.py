"""The cheapest plan with goals: prices on what they measure first, then the exact model.

At any prices on the measures the order is an ordinary one, which the search solves. Its optimum less
what a plan at the targets would pay is a bound; its plan is one to compare. The prices move until
the two meet, or until there is little left for the exact model.
"""

import math
import time
from typing import Literal

import msgspec
import numpy as np

from routing.assemble import objective_minor
from routing.bound import Bound
from routing.deadlines import model_limit_ms, search_until
from routing.goals import (
    BY_LAST,
    Rate,
    last_minor,
    value,
    weighed,
    within_goals,
    without_forbidden,
)
from routing.greedy import quick
from routing.grid import assignment, grid, taken
from routing.instance import Assignment, Instance, restrict, within_limits
from routing.model import improve
from routing.problem import Goal
from routing.search import bounded, search

__all__ = ["Pursued", "pursued"]

ROUNDS_MAX = 12
"""Prices tried on the measures."""

ROUND_SHARE = 0.25
"""Of the time left, for each of them."""

STEEPER = 8
"""A price that does not keep a measure within its limit is multiplied by this."""

RATE_MAX = 10**10
"""Largest price tried on a measure, times `per`."""


class Pursued(msgspec.Struct, frozen=True):
    """The plan found and what is proven of it."""

    units: Assignment
    priced: Bound
    found_by: str
    unproven: Literal["greedy", "feasible"]


class _Knob(msgspec.Struct):
    """A price on a goal's measure and between which prices the best one is."""

    goal: Goal
    free: int
    """What a plan may come to for nothing: the target, or the limit."""
    most: int | None
    """The price of missing the target; none for a limit, which has any."""
    minor: int = 0
    low: int = 0
    high: int | None = None

    def turn(self, came_to: int) -> bool:
        """Move the price after a plan that came to so much; whether it moved."""
        before = self.minor
        if came_to > self.free:
            self.low = self.minor
            top = self.most if self.high is None else self.high
            if top is None:
                self.minor = min(RATE_MAX, max(STEEPER * self.minor, self.goal.per))
            else:
                self.minor = top if self.high is None else (self.low + top + 1) // 2
        elif came_to < self.free and self.minor:
            self.high = self.minor
            self.minor = (self.low + self.minor) // 2
        return self.minor != before


class _Round(msgspec.Struct, frozen=True):
    """Prices that were tried and the bound that they gave."""

    bound_minor: int
    rates: tuple[Rate, ...]


def pursued(instance: Instance, deadline: float, start: Assignment | None) -> Pursued:
    """The cheapest plan of an instance with goals, found and proven as far as `deadline` allows.

    A `start` that is optimal is the answer, whatever other optima there are.
    """
    hunt = _Hunt(instance, start)
    hunt.by_prices(search_until(deadline))
    objective = hunt.objective_minor
    best_round = max(hunt.rounds, key=lambda each: each.bound_minor)
    bound = max(0, best_round.bound_minor)
    if bound >= objective:
        nothing_less = (objective,) * len(instance.slots)
        least = nothing_less if start is None else _least(hunt, best_round)
        return Pursued(hunt.units, Bound(objective, least), hunt.found_by, "feasible")
    priced = Bound(bound, _least(hunt, best_round))
    slots = priced.slots_below(objective)
    if not slots:
        return Pursued(hunt.units, Bound(objective, priced.least_minor), hunt.found_by, "feasible")
    rows = np.array([instance.units_max[k] for k in slots], np.int64)
    limit_ms = model_limit_ms(rows, deadline)
    if limit_ms <= 0:
        return Pursued(hunt.units, priced, hunt.found_by, "greedy")
    answer = improve(restrict(instance, slots), objective, limit_ms)
    lowest = Bound(max(bound, answer.bound_minor), priced.least_minor)
    if answer.units is None:
        return Pursued(hunt.units, lowest, hunt.found_by, "feasible")
    units = {slots[number]: row for number, row in answer.units.items()}
    return Pursued(units, lowest, "cp-sat", "feasible")


class _Hunt:
    """The best plan so far, and the rounds of prices."""

    def __init__(self, instance: Instance, start: Assignment | None) -> None:
        """Begin with a plan, or with what rules find."""
        self.instance = instance
        self.open = without_forbidden(instance)
        self.units = quick(instance) if start is None else start
        self.objective_minor = objective_minor(instance, self.units)
        self.found_by = "greedy"
        self.rounds: list[_Round] = []

    def by_prices(self, until: float) -> None:
        """Try prices on the measures until bound and plan meet, or they no longer move."""
        goals = [goal for goal in self.instance.policy.goals if goal.measure not in BY_LAST]
        knobs = [_Knob(goal, goal.target, goal.minor) for goal in goals if goal.minor]
        knobs += [_Knob(goal, goal.limit, None) for goal in goals if goal.limit is not None]
        for _ in range(ROUNDS_MAX):
            now = time.perf_counter()
            share = until if math.isinf(until) else now + ROUND_SHARE * (until - now)
            rates = tuple(Rate(knob.goal, knob.free, knob.minor) for knob in knobs)
            units = self._at(rates, share)
            met = self.rounds[-1].bound_minor >= self.objective_minor
            values = [value(self.instance, knob.goal, units) for knob in knobs]
            moved = [knob.turn(came) for knob, came in zip(knobs, values, strict=True)]
            if met or not any(moved) or time.perf_counter() > until:
                return

    def _at(self, rates: tuple[Rate, ...], until: float) -> Assignment:
        """The cheapest plan at prices on the measures; kept if it is the best so far."""
        found = search(grid(weighed(self.open, rates)), until)
        offset = sum(rate.offset_minor for rate in rates)
        self.rounds.append(_Round(found.bound_minor - offset, rates))
        units = assignment(found.units)
        if within_limits(self.instance, units) and within_goals(self.instance, units):
            objective = objective_minor(self.instance, units)
            if objective < self.objective_minor:
                self.units, self.objective_minor, self.found_by = units, objective, "search"
        return units


def _least(hunt: _Hunt, tried: _Round) -> tuple[int, ...]:
    """By slot: no plan that opens it has a smaller objective, by the prices of a round."""
    offset = sum(rate.offset_minor for rate in tried.rates)
    known = grid(weighed(hunt.open, tried.rates))
    least = bounded(known, taken(hunt.units, *known.units_max.shape), hunt.objective_minor + offset)
    return tuple(
        max(0, minor - offset + last_minor(hunt.instance, k))
        # What a limit keeps shut is in no plan at all.
        if any(hunt.open.units_max[k])
        else hunt.objective_minor
        for k, minor in enumerate(least)
    )
