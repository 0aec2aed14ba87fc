"""Prices of stock and capacity by steps: what is taken too often gets dearer, what is left cheaper.

Stock and capacity are given prices, and each order and each walk-in then chooses for itself:

    sum over orders of the cheapest plan in money and prices
    + sum over walk-ins of min(price of the unit, what it costs to lose them)
    - sum of price x stock - sum of price x capacity

is at most the cost of any plans that keep to stock and capacity, whatever the prices, in whatever
order things happen (Lagrangian relaxation): a lower bound, and the prices of the best one are what a
unit more would save, about. Whoever asks says what orders choose at some prices. The choices of all
steps, averaged with falling weights, come near to a solution of the linear program over whole plans
(the volume algorithm, Barahona and Anbil, Mathematical Programming 87, 2000), so there is an estimate
from above, too, and the distance tells whether prices have settled.

Few steps make better prices of what will come than many: these move from nothing to what is clearly
scarce, those on to the accidents of the orders that they are found by.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from routing.prices import Floats

__all__ = ["Chosen", "Prices", "Shared", "Stepped", "Stepping", "reach_minor", "stepwise"]

REACH = 0.25
"""Share of what an order costs by which a price moves when it first moves."""

AVERAGED = 0.1
"""Weight of the newest choices in the average, at least."""
CLOSER = 3.0
"""In the last third steps are so much shorter and begin at the best prices found."""
SENT_MINOR = 1_000
"""What a fulfillment beyond capacity is taken to cost in the estimate from above."""


class Shared(NamedTuple):
    """What everybody shares; C cells and P places to work, each in any number of dimensions."""

    stock: Floats
    """`[C]`: units of each cell."""
    room: Floats
    """`[P]`: fulfillments that each place can make; infinite where there is no limit."""
    walk_ins: Floats
    """`[C]`: units that walk-ins want."""
    value_minor: Floats
    """What one of them costs who finds none; of each cell, or so that it broadcasts."""
    shortage_minor: float
    """What a unit costs at most that an order goes without: no unit is worth more."""


class Prices(NamedTuple):
    """Of one unit and of one fulfillment, minor units."""

    stock: Floats
    room: Floats


class Chosen(NamedTuple):
    """What all orders choose at some prices."""

    priced_minor: float
    """What it costs in money and prices, shortfalls included."""
    money_minor: float
    """The same without prices."""
    stock: Floats
    """`[C]`: units taken."""
    room: Floats
    """`[P]`: fulfillments made."""


class Stepping(NamedTuple):
    """How prices move."""

    steps_max: int
    reach_minor: float
    """By how much a price moves when it first moves; later ones are shorter, each divided by the root
    of the sum of squares of all slopes of its own (Duchi, Hazan and Singer, Journal of Machine
    Learning Research 12, 2011). See `reach_minor`."""
    whole: bool = False
    """Whether orders are asked at whole prices only."""


class Stepped(NamedTuple):
    """Where prices came to."""

    prices: Prices
    """Those of the best bound."""
    bound_minor: float
    """Whoever decides and whatever they know, it costs as much; infinitely low before any proposal."""
    estimate_minor: float
    """Cost of the averaged choices, with what they take too much at its full value; infinite before
    the first step."""
    steps: int

    @property
    def gap(self) -> float:
        """Distance between the bound and the estimate, as a share of the bound."""
        return (self.estimate_minor - self.bound_minor) / max(1.0, self.bound_minor)


class _Found(NamedTuple):
    """What orders and walk-ins choose, and the bound that follows; fields as of `Chosen`."""

    bound_minor: float
    money_minor: float
    stock: Floats
    room: Floats


def stepwise(
    propose: Callable[[Prices], Chosen | None],
    shared: Shared,
    stepping: Stepping,
    first: Prices | None = None,
) -> Stepped:
    """Prices after some steps from `first` on, else from nothing.

    `propose(prices)` says what all orders choose together; None when there is no time left, and then
    the best prices until now are returned; those to begin with where nothing was proposed at all.
    """
    prices = best = _asked(first or _first(shared), stepping)
    found = _chosen(propose, shared, prices)
    if found is None:
        return Stepped(prices, -np.inf, np.inf, 0)
    mean, bound, estimate, done = found, found.bound_minor, np.inf, 0
    past = [np.full(np.shape(each), 1e-9) for each in prices]
    for step in range(stepping.steps_max):
        if step == stepping.steps_max * 2 // 3:
            prices, past = best, [each * CLOSER**2 for each in past]
            found = _chosen(propose, shared, best)
            if found is None:
                break
        over = found.stock - shared.stock, _over(shared.room, found.room)
        prices = _moved(prices, over, past, shared, stepping.reach_minor)
        asked = _asked(prices, stepping)
        found = _chosen(propose, shared, asked)
        if found is None:
            break
        done = step + 1
        mean = _averaged(mean, found, step)
        estimate = min(estimate, _estimate(shared, mean))
        if found.bound_minor > bound:
            bound, best = found.bound_minor, asked
    return Stepped(best, bound, estimate, done)


def reach_minor(costs_minor: Sequence[int]) -> float:
    """How far a first step should go where orders cost so much money, at least 1.

    Prices are of the size of what the next best parcel costs more. By the median, and 1 where there
    are no orders.
    """
    return max(1.0, REACH * float(np.median(costs_minor))) if costs_minor else 1.0


def _first(shared: Shared) -> Prices:
    """A unit that walk-ins want at least as many of as there are is worth what they lose."""
    wanted = shared.walk_ins >= np.maximum(shared.stock, 1)
    return Prices(np.where(wanted, shared.value_minor, 0.0), np.zeros(shared.room.shape))


def _asked(prices: Prices, stepping: Stepping) -> Prices:
    """The prices at which orders are asked."""
    return Prices(np.rint(prices.stock), np.rint(prices.room)) if stepping.whole else prices


def _over(room: Floats, sent: Floats) -> Floats:
    """Fulfillments beyond what places can make, below 0 what they still could; 0 without limit."""
    return np.where(np.isfinite(room), sent - np.where(np.isfinite(room), room, 0.0), 0.0)


def _moved(
    prices: Prices,
    over: tuple[Floats, Floats],
    past: list[Floats],
    shared: Shared,
    reach: float,
) -> Prices:
    """Prices after a step along what is taken too much; `past` sums its squares."""
    made = []
    for price, slope, squares in zip(prices, over, past, strict=True):
        up = np.where((slope < 0) & (price <= 0), 0, slope)
        np.add(squares, up**2, out=squares)
        made.append(np.maximum(0, price + reach * up / np.sqrt(squares)))
    # At the value of a walk-in the bound has a kink, where many prices belong.
    value, most = shared.value_minor, np.maximum(shared.value_minor, shared.shortage_minor)
    crossed = (made[0] - value) * (prices.stock - value) < 0
    return Prices(np.where(crossed, value, np.minimum(made[0], most)), made[1])


def _chosen(
    propose: Callable[[Prices], Chosen | None], shared: Shared, prices: Prices
) -> _Found | None:
    """What all choose, and the bound that follows."""
    orders = propose(prices)
    if orders is None:
        return None
    worth, value, walk_ins = prices.stock, shared.value_minor, shared.walk_ins
    # At the very price of losing them walk-ins are indifferent and take what orders leave.
    served = np.where(worth < value, walk_ins, 0.0)
    left = np.clip(shared.stock - orders.stock, 0, walk_ins)
    served = np.where(worth == value, left, served)
    walked = np.minimum(value, worth) * walk_ins
    scarce = np.where(prices.room > 0, shared.room, 0)
    dual = float((worth * shared.stock).sum() + (prices.room * scarce).sum())
    return _Found(
        orders.priced_minor + float(walked.sum()) - dual,
        orders.money_minor + float((value * (walk_ins - served)).sum()),
        orders.stock + served,
        orders.room,
    )


def _averaged(mean: _Found, found: _Found, step: int) -> _Found:
    """The average of all choices, the newest counting most; the first are soon forgotten."""
    new = max(AVERAGED, 1 / (step + 1))
    keep = 1 - new
    return _Found(
        found.bound_minor,
        keep * mean.money_minor + new * found.money_minor,
        keep * mean.stock + new * found.stock,
        keep * mean.room + new * found.room,
    )


def _estimate(shared: Shared, mean: _Found) -> float:
    """What the averaged choices cost with what they take too much: walk-ins are refused first."""
    over, sent = (mean.stock - shared.stock).clip(0), _over(shared.room, mean.room).clip(0)
    refused = np.minimum(over, shared.walk_ins)
    short = float((over - refused).sum()) * shared.shortage_minor
    lost = float((refused * shared.value_minor).sum())
    return mean.money_minor + lost + short + float(sent.sum()) * SENT_MINOR
