"""What the units of an order are worth where they stand, and what risk there is in asking for them."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np

from inventory.slices import NODE, ON_HAND, PENDING, RESERVED, UNAVAILABLE, Ints
from inventory.view import StockView
from services.planning.network import Network
from services.planning.playbook import Weights
from services.prices.book import Book, Floats, chances_of, sales_table, seen_of
from services.prices.pages import Item
from services.prices.terms import (
    Cells,
    Terms,
    opportunity_terms,
    size_terms,
    value_minor,
    wanted_terms,
)

NO_PRICES: Ints = np.zeros(0, np.int64)
UNKNOWN = Item("", None)
SIZES_MAX = 60
"""Sizes of a style beyond which nobody thinks of them as a run."""
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


class Worth(NamedTuple):
    """What a unit of each record may be worth otherwise; P records, or none where it is nothing."""

    minor: Ints
    """`[P]`"""
    terms: Terms
    """Its parts; together they may come to more than a unit is ever worth."""


NOTHING_ELSE = Worth(NO_PRICES, {})


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
        self.stores: Ints | None = None
        """By node number 1 for stores."""

    def worth(
        self, book: Book, asked: Asked, weights: Weights, network: Network, now: datetime
    ) -> Worth:
        """Return for each record what one of its units may be worth otherwise, minor units.

        That is what walk-ins and orders to come may want it for, what a markdown elsewhere would
        lose, and what it costs where few are left or a run of sizes breaks, see `terms`; each unit
        at most `worth_max_minor`. Nothing at all where all of it is 0.
        """
        if not weights.looks_at_units:
            return NOTHING_ELSE
        slots = np.array([self.view.slots.get(sku, -1) for sku in asked.skus], np.int64)
        arrays = self.view.slices.arrays
        chances, orders, per_day, shelf = seen_of(
            (arrays.bounds, arrays.cells),
            (book.starts, book.nodes, book.per_day, book.days, book.orders_minor),
            (slots, np.array(asked.units, np.int64)),
            (asked.counts, asked.numbers),
            sales_table(),
        )
        items = [book.items.get(sku, UNKNOWN) for sku in asked.skus]
        values = [
            value_minor(item, price, weights)
            for item, price in zip(items, asked.unit_prices_minor, strict=True)
        ]
        by_cell = np.repeat(np.array(values, float), asked.counts)
        terms = wanted_terms(chances, by_cell, orders, weights, book.version)
        if weights.looks_at_shelves:
            self.keep_for(book, network, now)
            stores = self.stores_of(network)[asked.numbers]
            cells = Cells(chances, orders, per_day, shelf[0], shelf[1], stores)
            terms |= self.shelf_terms(book, asked, cells, weights, now)
        return worth_of(terms, weights)

    def shelf_terms(
        self, book: Book, asked: Asked, cells: Cells, weights: Weights, now: datetime
    ) -> Terms:
        """Return the parts of the price that are the merchant's own, sku after sku."""
        count, end = len(asked.numbers), 0
        found: Terms = {}
        columns = asked.skus, asked.unit_prices_minor, asked.counts.tolist()
        for sku, price, own in zip(*columns, strict=True):
            first, end = end, end + own
            item = book.items.get(sku, UNKNOWN)
            part = part_of(cells, first, end)
            terms = opportunity_terms(part, item, price, weights, now.date())
            sizes = len(book.styles.get(item.style or "", ()))
            if weights.broken_run_minor and 1 < sizes <= SIZES_MAX:
                terms |= size_terms(
                    part, self.others(book, item, asked.numbers[first:end]), sizes, weights
                )
            for name, minor in terms.items():
                found.setdefault(name, np.zeros(count, np.int64))[first:end] = minor
        return found

    def others(self, book: Book, item: Item, numbers: Ints) -> Ints:
        """Return how many sizes of an item's style each node has, one of them left out."""
        found = np.zeros(len(numbers), np.int64)
        for sku in book.styles[item.style or ""]:
            cells = self.view.cells(sku)
            free = (
                cells[:, ON_HAND] - cells[:, RESERVED] - cells[:, UNAVAILABLE] - cells[:, PENDING]
            )
            found += np.isin(numbers, cells[free > 0, NODE])
        # The size that is asked for is there, else the order could not take it.
        return np.maximum(found - 1, 0)

    def stores_of(self, network: Network) -> Ints:
        """Return by node number 1 for stores; kept ready as long as chances are."""
        if self.stores is None:
            self.stores = np.array(
                [
                    int(node_id in network.nodes and network.nodes[node_id].kind == "store")
                    for node_id in self.view.node_ids
                ],
                np.int64,
            )
        return self.stores

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
            self.stores = None
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


def part_of(cells: Cells, first: int, end: int) -> Cells:
    """Return the cells from one place up to another."""
    return Cells(
        cells.chances[first:end],
        cells.orders_minor[first:end],
        cells.per_day[first:end],
        cells.units[first:end],
        cells.taken[first:end],
        cells.stores[first:end],
    )


def worth_of(terms: Terms, weights: Weights) -> Worth:
    """Return what units are worth in all, and its parts."""
    if not terms:
        return NOTHING_ELSE
    total: Ints = np.sum([*terms.values()], axis=0)
    return Worth(np.minimum(total, weights.worth_max_minor), terms)


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
