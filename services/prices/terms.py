"""The price of a unit in its parts: who else may want it, and what else the merchant loses by it."""

from datetime import date
from functools import cache
from typing import NamedTuple

import numpy as np

from inventory.slices import Ints
from routing.prices import Floats, TailTable, tail_table
from routing.prices_chosen import blended_minor
from routing.prices_opportunity import broken_run_minor, markdown_minor, stockout_minor
from services.planning.playbook import Weights
from services.prices.pages import Item
from services.prices.records import Version

WALK_IN, ORDERS, MARKDOWN, STOCKOUT, SIZES = "walk_in", "orders", "markdown", "stockout", "sizes"
"""What a part of the price is for."""
MARKDOWN_DAYS_MAX = 91
"""A markdown further away than a season is nothing that orders of today decide."""
RATE_MAX, UNITS_MAX = 200.0, 200

Terms = dict[str, Ints]
"""By what they are for, the parts of the price of a unit of each cell; nothing of those that are 0."""


class Cells(NamedTuple):
    """What is known of the cells of one sku; P of them."""

    chances: Floats
    """`[P]`: that walk-ins want one of the units asked."""
    orders_minor: Floats
    """`[P]`: what a unit is worth to orders to come."""
    per_day: Floats
    """`[P]`: units that walk-ins want."""
    units: Ints
    """`[P]`: on the shelf."""
    taken: Ints
    """`[P]`: of those, what the order would take."""
    stores: Ints
    """`[P]`: 1 where people walk in."""


@cache
def tails() -> TailTable:
    """Return the table of chances that so many units sell, made once, in a quarter of a second."""
    return tail_table(RATE_MAX, UNITS_MAX)


def value_minor(item: Item, unit_price_minor: int, weights: Weights) -> float:
    """Return what is lost when a walk-in finds none of an item, as much as it counts.

    That is its margin, or a share of the price the order pays, else of its own, where the item does
    not say.
    """
    price = unit_price_minor or item.unit_price_minor or 0
    margin: float = (
        item.unit_margin_minor
        if item.unit_margin_minor is not None
        else price * weights.walk_in_share_percent / 100
    )
    return min(margin * weights.worth_percent / 100, weights.worth_max_minor)


def wanted_terms(
    chances: Floats, values: Floats, orders_minor: Floats, weights: Weights, version: Version
) -> Terms:
    """Return what units are worth to walk-ins and to orders to come, as `blended_minor` has it.

    `chances` and `orders_minor` count by what they would have saved of late, see `choosing`.
    """
    likely = np.minimum(1, version.walk_in_weight * chances)
    duals = version.order_weight * weights.order_worth_percent / 100 * orders_minor
    both = blended_minor(values, likely, duals)  # type: ignore[arg-type]
    walk_in: Ints = np.rint(values * likely).astype(np.int64)
    return some({WALK_IN: walk_in, ORDERS: both - walk_in})


def opportunity_terms(
    cells: Cells, item: Item, unit_price_minor: int, weights: Weights, today: date
) -> Terms:
    """Return what taking units of one sku costs by a markdown missed, and by shelves run low."""
    found: Terms = {}
    if weights.markdown_percent and item.markdown_on is not None:
        left = left_chances(cells, (item.markdown_on - today).days)
        loss = (unit_price_minor or item.unit_price_minor or 0) - (item.markdown_price_minor or 0)
        found[MARKDOWN] = markdown_minor(max(0, loss) * weights.markdown_percent / 100, left)
    if weights.stockout_minor:
        found[STOCKOUT] = stockout_minor(
            weights.stockout_minor,
            weights.stockout_weeks,
            cells.units - cells.taken,
            cells.per_day * cells.stores,
        )
    return some(found)


def left_chances(cells: Cells, days: int) -> Floats:
    """Return how likely a store still has the next unit in so many days: P(demand < units there)."""
    if not 0 < days <= MARKDOWN_DAYS_MAX:
        return np.zeros(len(cells.units))
    table = tails()
    sold = table.at(table.classes(cells.per_day * days), cells.units)
    return np.where((cells.units > 0) & (cells.stores > 0), 1 - sold, 0.0)


def size_terms(cells: Cells, others: Ints, sizes: int, weights: Weights) -> Terms:
    """Return what it costs to take the last unit of a size; `others` are the sizes that stay."""
    last = (cells.taken > 0) & (cells.taken >= cells.units) & (cells.stores > 0)
    price = broken_run_minor(weights.broken_run_minor, others, sizes)
    return some({SIZES: np.where(last, price, 0)})


def some(terms: Terms) -> Terms:
    """Return the terms that are anything anywhere."""
    return {name: minor for name, minor in terms.items() if minor.any()}
