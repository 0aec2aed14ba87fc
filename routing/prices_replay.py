"""What past periods would have cost had prices counted for more or for less.

The recorded orders of a period are decided again one after another, on the stock of its beginning,
while walk-ins take what is on the shelf and deliveries come in when they did. A weight of prices is
worth what it saves there: money, lateness and shortfalls of orders, and what lost walk-ins cost.
Who chooses by it must learn the prices from what had happened before the period. Capacity is not
replayed: how far a day was booked then is not known any more.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from routing.decided_again import Again, Cell, decided, taken_of
from routing.grid import Ints
from routing.prices import Floats, TailTable, tail_table
from routing.prices_chosen import blended_minor, chosen_weight

__all__ = ["Believed", "Flows", "Period", "Weighed", "chosen_weights", "replayed_minor"]

WEIGHTS = (0.25, 0.5, 0.75, 1.0, 1.25)
"""Of the chance that a walk-in comes, tried beside 0."""
ORDER_WEIGHTS = (0.25, 0.5, 0.75, 1.0)
"""Of what units are worth to orders to come, tried beside 0."""
ORDER_LIMIT_MS = 20
RATE_MAX, UNITS_MAX = 200.0, 60


class Flows(NamedTuple):
    """Units that came and went by themselves, in order of time."""

    at: Floats
    """`[E]`: seconds from the beginning."""
    cells: Ints
    units: Ints
    """`[E]`: above 0 what came in, below what went."""
    lost_minor: Floats
    """`[E]`: what each unit costs that finds nothing; 0 where nobody goes without."""


class Believed(NamedTuple):
    """What prices were learned before the period; C cells."""

    wanted: Floats
    """`[C]`: units that walk-ins want until the next delivery."""
    value_minor: Ints
    """`[C]`: what is lost when one of them finds none."""
    orders_minor: Ints
    """`[C]`: what a unit is worth to orders to come."""


class Period(NamedTuple):
    """What happened, and what was believed when it began."""

    opening: Ints
    """`[C]`: units free at the beginning."""
    orders: Sequence[tuple[float, Again]]
    """When they came, in seconds from the beginning, rising."""
    flows: Flows
    places: Mapping[Cell, int]
    believed: Believed


class Weighed(NamedTuple):
    """How much prices should count: 0 as if there were none, 1 as they are."""

    walk_in: float
    orders: float
    cost_minor: float
    """Mean cost of a period with these weights."""
    free_minor: float
    """The same without any prices."""


def chosen_weights(periods: Sequence[Period]) -> Weighed:
    """The weights that did best in past periods: first of walk-ins, then of orders beside them.

    A weight is 0 unless it surely saved something, see `prices_chosen.chosen_weight`. Raises
    `ValueError` without periods.
    """
    table = tail_table(RATE_MAX, UNITS_MAX)

    def costs(walk_in: float, orders: float) -> list[float]:
        return [replayed_minor(each, (walk_in, orders), table) for each in periods]

    free = costs(0.0, 0.0)
    tried = {0.0: free, **{weight: costs(weight, 0.0) for weight in WEIGHTS}}
    if not any((each.believed.wanted > 0).any() for each in periods):
        tried = {0.0: free}
    walk_in = chosen_weight(tried)
    beside = {0.0: tried[walk_in]}
    if any((each.believed.orders_minor > 0).any() for each in periods):
        beside |= {weight: costs(walk_in, weight) for weight in ORDER_WEIGHTS}
    orders = chosen_weight(beside)
    return Weighed(walk_in, orders, float(np.mean(beside[orders])), float(np.mean(free)))


def replayed_minor(
    period: Period, weights: tuple[float, float], table: TailTable | None = None
) -> float:
    """What a period costs with prices of these weights, of walk-ins and of orders to come."""
    table = table or tail_table(RATE_MAX, UNITS_MAX)
    believed, flows = period.believed, period.flows
    classes = table.classes(believed.wanted)
    duals = weights[1] * believed.orders_minor.astype(float)
    stock, paid, done = period.opening.copy(), 0.0, 0
    for at, again in period.orders:
        until = int(np.searchsorted(flows.at, at, side="right"))
        paid += _flow(stock, flows, done, until)
        done = until
        cells = again.cells
        chances: Floats = np.minimum(1, weights[0] * table.at(classes[cells], stock[cells]))
        worth = blended_minor(believed.value_minor[cells], chances, duals[cells])
        plan = decided(again, stock[cells], worth, ORDER_LIMIT_MS)
        paid += plan.objective_minor - plan.prices.worth_minor
        for cell, units in taken_of(plan, again.asked, period.places).items():
            stock[cell] -= units
    return paid + _flow(stock, flows, done, len(flows.at))


def _flow(stock: Ints, flows: Flows, first: int, last: int) -> float:
    """Let units come and go, and return what was lost by those who found nothing."""
    lost = 0.0
    for event in range(first, last):
        cell, units = flows.cells[event], int(flows.units[event])
        missing = max(0, -units - max(0, int(stock[cell])))
        stock[cell] += units + missing
        lost += missing * float(flows.lost_minor[event])
    return lost
