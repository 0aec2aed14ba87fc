"""What a day's orders cost at least, had all of them been known before the first was decided.

The orders of a day are decided one after another, each for itself; in hindsight they share the
stock. For prices p >= 0 of a unit at each cell (a sku at a node), any plans that keep within the
stock S cost at least

    L(p) = sum over orders of min over plans (cost + p uses) - p S

since their uses, at p, cost at most p S. Each minimum is one decision of the optimizer with p as the
worth of units, so it is exact, parcels and all. The best p is looked for by subgradient steps
(Held, Wolfe and Crowder, Mathematical Programming 6, 1974): a cell that is wanted more often than it
has units gets dearer, one that is wanted less gets cheaper.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from routing.grid import Ints

__all__ = ["Answer", "Hindsight", "look_back"]

GAP = 1e-3
"""Share of the cost within which plans and bound are taken to meet."""
SETTLED = 1e-4
"""Share of the cost that `SETTLED_ROUNDS` rounds have to gain for the search to go on."""
SETTLED_ROUNDS = 24
PATIENCE = 3
"""Rounds without a better bound after which the next ones aim lower."""
AIM = 0.1
"""Share of the bound by which the first step means to raise it."""


class Answer(NamedTuple):
    """The cheapest plan of one order at some prices, by cells."""

    bound_minor: int
    """No plan of the order costs less, what its units cost at the prices included."""
    cost_minor: int
    """What this plan costs without those prices."""
    cells: Ints
    units: Ints
    """Parallel to `cells`: units that it takes."""
    is_plan: bool = True
    """Whether there is a plan of that cost which takes just these; else it is a bound alone."""


class Hindsight(NamedTuple):
    """What came of looking back."""

    bound_minor: int
    """The orders cost at least as much, whoever decides and whatever they know."""
    best_minor: int
    """The least that plans within the stock are known to cost."""
    rounds: int
    converged: bool
    """Whether plans and bound meet, or further rounds no longer raise the bound."""
    prices_minor: Ints
    """By cell: what a unit more would have saved, about."""

    @property
    def gap_minor(self) -> int:
        """How much of the regret may be the bound's and not the decisions'."""
        return self.best_minor - self.bound_minor


def look_back(
    supply: Ints,
    cost_minor: int,
    answer: Callable[[Ints], Sequence[Answer] | None],
    start: Ints | None = None,
    scale_minor: int | None = None,
    rounds_max: int = 200,
) -> Hindsight:
    """The bound on what orders cost that took from C cells, and how well it is known.

    `supply` are the units of each cell and `cost_minor` what the orders did cost, by plans within
    it. `answer(prices)` decides every order at whole prices `[C]` of a unit; None when there is no
    time left. Prices to `start` with are tried beside none at all; they help where goods are short,
    since nothing else is as dear as a shortfall. What is close enough is measured by `scale_minor`,
    all the cost unless given: shortfalls that nobody could avoid would hide the rest. Raises `ValueError` where not even the first round,
    without prices, was answered.
    """
    prices = np.zeros(len(supply), np.int64)
    exact = np.zeros(len(supply))
    best, bound, found, aim = cost_minor, None, prices, 0.0
    since, history = 0, list[int]()
    scale = max(abs(cost_minor if scale_minor is None else scale_minor), 1)
    while len(history) < rounds_max and not _is_over(best, bound, history, scale):
        answers = answer(prices)
        if answers is None:
            break
        used = _used(answers, len(supply))
        reached = sum(each.bound_minor for each in answers) - int(prices @ supply)
        if (used <= supply).all() and all(each.is_plan for each in answers):
            best = min(best, sum(each.cost_minor for each in answers))
        if bound is None or reached > bound:
            aim = AIM * max(abs(reached), 1) if bound is None else 1.5 * aim
            bound, found, since = reached, prices, 0
        else:
            since += 1
        if since >= PATIENCE:
            # Too far: aim lower, and go on from the best prices known.
            aim, since, exact = aim / 2, 0, found.astype(np.float64)
        history.append(bound)
        rise = min(aim, best - bound) + bound - reached
        exact = _stepped(exact, used - supply, max(rise, 1.0))
        if len(history) == 1 and start is not None and start.any():
            exact = start.astype(np.float64)
        prices = np.rint(exact).astype(np.int64)
    if bound is None:
        raise ValueError("no order was decided; give more time")
    # Plans are known at this cost, so a bound above it could only be a plan's that was cut short.
    bound = min(bound, best)
    return Hindsight(bound, best, len(history), _is_over(best, bound, history, scale), found)


def _used(answers: Sequence[Answer], cells: int) -> Ints:
    used = np.zeros(cells, np.int64)
    for each in answers:
        np.add.at(used, each.cells, each.units)
    return used


def _stepped(prices: np.ndarray, excess: Ints, rise_minor: float) -> np.ndarray:
    """Prices after a step against the excess that would raise the bound by so much, were it straight.

    A cell with units to spare and no price stays as it is.
    """
    direction = np.where((excess < 0) & (prices <= 0), 0, excess).astype(np.float64)
    norm = float(direction @ direction)
    if norm == 0:
        return prices
    return np.maximum(prices + direction * (rise_minor / norm), 0.0)


def _is_over(best: int, bound: int | None, history: Sequence[int], scale: int) -> bool:
    """Whether there is nothing to find any more, or nothing found for long."""
    if bound is None:
        return False
    if best - bound <= GAP * scale:
        return True
    if len(history) <= SETTLED_ROUNDS:
        return False
    return history[-1] - history[-1 - SETTLED_ROUNDS] <= SETTLED * scale
