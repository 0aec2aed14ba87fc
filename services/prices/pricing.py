"""What the units of an order are worth where they stand, and what risk there is in asking for them."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np

from inventory.slices import Ints
from inventory.view import StockView
from services.planning.network import Network
from services.planning.playbook import Weights
from services.prices.book import SALES, Book, Floats, Item, chances_of, worth_of

NO_PRICES: Ints = np.zeros(0, np.int64)
UNKNOWN = Item("", None)
CATEGORIES_MAX = 512
"""Categories whose chances are kept ready; beyond it all are worked out again as needed."""


class Asked(NamedTuple):
    """The skus of an order and the records that hold them; P records, sku after sku."""

    skus: Sequence[str]
    units: Sequence[int]
    """By sku: units asked over all lines."""
    unit_prices_minor: Sequence[int]
    """By sku: what a unit is sold for, 0 where nobody said."""
    counts: Ints
    """By sku: how many of the records are its own."""
    numbers: Ints
    """`[P]`: nodes by the view's numbers, rising within a sku."""


class Pricing:
    """Prices the units of orders for one worker."""

    def __init__(self, view: StockView) -> None:
        """Prepare; nothing is kept ready yet."""
        self.view = view
        self.made_of: tuple[Book, Network] | None = None
        """What the chances are made of; they hold for these, and for an hour and so many nodes."""
        self.made_at: tuple[datetime, int] | None = None
        self.chances: dict[str, Floats] = {}
        """By category, then by node number: how likely a node refuses now."""

    def worth(self, book: Book, asked: Asked, weights: Weights) -> Ints:
        """Return for each record what one of its units may be worth to walk-ins, minor units.

        Formula: value x (mean over the units taken of P(demand until the next delivery >= units on
        the shelf then)), as in `routing.prices.rationing_minor`. Empty where it is nothing at all.
        """
        if not weights.worth_percent:
            return NO_PRICES
        values = np.array(
            [
                value_minor(book.items.get(sku, UNKNOWN), price, weights)
                for sku, price in zip(asked.skus, asked.unit_prices_minor, strict=True)
            ],
            float,
        )
        if not values.any():
            return NO_PRICES
        slots = np.array([self.view.slots.get(sku, -1) for sku in asked.skus], np.int64)
        arrays = self.view.slices.arrays
        found: Ints = worth_of(
            (arrays.bounds, arrays.cells),
            (book.starts, book.nodes, book.means),
            (slots, np.array(asked.units, np.int64)),
            values,
            (asked.counts, asked.numbers),
            SALES,
        )
        return found if found.any() else NO_PRICES

    def risk(
        self, book: Book, asked: Asked, weights: Weights, network: Network, now: datetime
    ) -> Ints:
        """Return for each record the expected cost of its node refusing a unit, minor units.

        Formula: P(the node refuses) x what it costs to place a unit elsewhere. Empty where it is
        nothing at all.
        """
        if not weights.rejection_minor or not book.nodes_chances:
            return NO_PRICES
        self.keep_for(book, network, now)
        ends = np.cumsum(asked.counts).tolist()
        parts = []
        for sku, end, count in zip(asked.skus, ends, asked.counts.tolist(), strict=True):
            chances = self.of_category(book, book.items.get(sku, UNKNOWN).category, network, now)
            parts.append(chances[asked.numbers[end - count : end]])
        found: Ints = np.rint(np.concatenate(parts) * weights.rejection_minor).astype(np.int64)
        return found if found.any() else NO_PRICES

    def keep_for(self, book: Book, network: Network, now: datetime) -> None:
        """Forget the chances kept ready where they are of another book, network or hour."""
        hour = now.replace(minute=0, second=0, microsecond=0)
        made_at = hour, len(self.view.node_ids)
        if (
            self.made_of is None
            or self.made_of[0] is not book
            or self.made_of[1] is not network
            or self.made_at != made_at
            or len(self.chances) > CATEGORIES_MAX
        ):
            self.chances.clear()
            self.made_of, self.made_at = (book, network), made_at

    def of_category(self, book: Book, category: str, network: Network, now: datetime) -> Floats:
        """Return how likely each node refuses an item of a category now, by number."""
        found = self.chances.get(category)
        if found is None:
            own = book.chances.get(category, ())
            nodes = zoned(self.view.node_ids, network)
            found = chances_of(book.nodes_chances, own, nodes, now)
            self.chances[category] = found
        return found


def zoned(node_ids: Sequence[str], network: Network) -> list[tuple[str, str]]:
    """Return nodes with their time zones; those switched off do not matter."""
    return [
        (node_id, network.nodes[node_id].time_zone if node_id in network.nodes else "UTC")
        for node_id in node_ids
    ]


def value_minor(item: Item, unit_price_minor: int, weights: Weights) -> float:
    """Return what is lost when a walk-in finds none of an item, as much as it counts.

    That is its margin, or a share of the price the order pays where the item does not say.
    """
    margin: float = (
        item.unit_margin_minor
        if item.unit_margin_minor is not None
        else unit_price_minor * weights.walk_in_share_percent / 100
    )
    return min(margin * weights.worth_percent / 100, weights.worth_max_minor)


def asked_of(
    lines: Sequence[tuple[str, int, int]], skus: Sequence[str], counts: Ints, numbers: Ints
) -> Asked:
    """Return what an order asks, from its lines as sku, units and unit price."""
    units: dict[str, int] = {}
    prices: dict[str, int] = {}
    for sku, quantity, unit_price_minor in lines:
        units[sku] = units.get(sku, 0) + quantity
        prices[sku] = max(prices.get(sku, 0), unit_price_minor)
    return Asked(skus, [units[sku] for sku in skus], [prices[sku] for sku in skus], counts, numbers)
