"""What few kinds of orders cost at least, and at which prices: a linear program of whole orders.

The orders expected until the next replenishment are taken as a fluid: so many of each kind, each
fulfilled in whole ways (a node or several for the whole basket), as the stock and the capacity
allow. The dual prices of that linear program are what a unit is worth to those who come later
(Acimovic and Graves, M&SOM 17, 2015; whole orders instead of single items as in Amil, Makhdoumi and
Wei, Management Science 2025, since a basket's items share a parcel). Ways are found as they are
needed: whoever asks proposes the cheapest way of each kind at given prices, which is one decision
of the optimizer.

For minimal cost

    minimize  sum cost_w x_w
    subject to  sum of x_w over ways of kind k = demand_k          (every kind is served)
                sum of uses_wr x_w <= supply_r                     (stock and capacity)

any prices p >= 0 give the bound  sum_k demand_k min_w (cost_w + p uses_w) - sum_r p_r supply_r.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from ortools.linear_solver.python import model_builder_helper as lp

from routing.prices import Floats

__all__ = ["Duals", "Way", "whole_order_duals"]

ROUNDS_MAX = 40
GAP = 1e-3
"""Share of the bound within which prices are good enough: forecasts are not better than that."""
SMOOTHING = 0.4
"""How much of the best prices known stays in those that are tried; damps their jumping about."""


class Way(NamedTuple):
    """One way to fulfill a whole order of a kind."""

    kind: int
    cost_minor: int
    uses: tuple[tuple[int, int], ...]
    """Resource and units of it; each resource once."""


class Duals(NamedTuple):
    """Prices per unit of each resource, and how well they are known."""

    prices_minor: Floats
    """`[R]`: 0 or more."""
    cost_minor: float
    """The least found for all demand."""
    bound_minor: float
    """No ways cost less. All demand in these prices."""
    rounds: int
    ways: tuple[Way, ...]
    """Those that were looked at, to begin the next time with."""

    @property
    def gap(self) -> float:
        """How far cost and bound are apart, as a share of the bound."""
        return (self.cost_minor - self.bound_minor) / max(1.0, abs(self.bound_minor))


def whole_order_duals(
    supply: Floats,
    demand: Floats,
    ways: Sequence[Way],
    propose: Callable[[Floats], Sequence[Way]],
    rounds_max: int = ROUNDS_MAX,
    gap: float = GAP,
) -> Duals:
    """Prices of R resources for K kinds of orders of which `demand[k]` are expected.

    `ways` are some to begin with, at least one of each kind that uses no resource that can run out
    (a shortfall has its price), so that there is always a solution. `propose(prices)` gives the
    cheapest way of each kind, all K of them, at prices per unit of each resource; rounds end when
    no way improves on what is known or cost and bound are within `gap`, or after `rounds_max`. Prices of the best bound are returned. Raises
    `ValueError` where a kind has no way without resources.
    """
    known = dict.fromkeys(ways)
    if {way.kind for way in known if not way.uses} != set(range(len(demand))):
        raise ValueError(f"each of {len(demand)} kinds needs a first way that uses no resource")
    best, bound, cost, rounds = np.zeros(len(supply)), -np.inf, np.inf, 0
    while rounds < rounds_max:
        rounds += 1
        cost, prices = _master(supply, demand, list(known))
        damped = prices if rounds == 1 else (1 - SMOOTHING) * prices + SMOOTHING * best
        # Where damped prices lead to nothing new, the program's own do, or it is solved.
        for tried in (damped, prices):
            fresh = propose(tried)
            reached = _bound(supply, demand, fresh, tried)
            if reached > bound:
                bound, best = reached, tried
            if any(way not in known for way in fresh):
                break
        else:
            break
        if cost - bound <= gap * max(1.0, abs(bound)):
            break
        known |= dict.fromkeys(fresh)
    return Duals(best, cost, bound, rounds, tuple(known))


def _bound(supply: Floats, demand: Floats, cheapest: Sequence[Way], prices: Floats) -> float:
    """What all demand costs at least, by the cheapest way of each kind at these prices."""
    least = np.full(len(demand), np.inf)
    for way in cheapest:
        paid = way.cost_minor + sum(float(prices[r]) * units for r, units in way.uses)
        least[way.kind] = min(float(least[way.kind]), paid)
    return float(demand @ least - supply @ prices)


def _master(supply: Floats, demand: Floats, ways: Sequence[Way]) -> tuple[float, Floats]:
    """The cost of the best mixture of known ways, and the prices of resources in it."""
    model = lp.ModelBuilderHelper()
    model.add_var_array([len(ways)], 0.0, math.inf, False, "")  # noqa: FBT003 - not integer
    model.set_objective_coefficients([*range(len(ways))], [float(way.cost_minor) for way in ways])
    rows: dict[int, int] = {}
    for each in demand:
        _limit(model, float(each), float(each))
    for number, way in enumerate(ways):
        model.add_term_to_constraint(way.kind, number, 1.0)
        for r, units in way.uses:
            if r not in rows:
                rows[r] = _limit(model, -math.inf, float(supply[r]))
            model.add_term_to_constraint(rows[r], number, float(units))
    solver = lp.ModelSolverHelper("glop")
    solver.solve(model)
    if solver.status() != lp.SolveStatus.OPTIMAL:
        raise RuntimeError(f"no prices for {len(demand)} kinds, {len(ways)} ways: not solved")
    paid = solver.dual_values()
    prices = np.zeros(len(supply))
    prices[[*rows]] = np.maximum(0.0, -paid[[*rows.values()]])
    return float(solver.objective_value()), prices


def _limit(model: lp.ModelBuilderHelper, low: float, high: float) -> int:
    """A new row of the program."""
    row = model.add_linear_constraint()
    model.set_constraint_lower_bound(row, low)
    model.set_constraint_upper_bound(row, high)
    return row
