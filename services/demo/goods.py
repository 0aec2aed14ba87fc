"""What the nodes of the demonstration network hold: items with weights, and opening stock."""

from collections import defaultdict
from statistics import median_low
from typing import Any

import msgspec
import numpy as np

from inventory.items import Item
from inventory.nodes import Node
from services.demo.grocer import Integers, Product, Sales, Year
from services.demo.sizes import weight_grams

DAYS_OF_SALES = 365
CASE_GRAMS_MIN = 5_000
"""Produce is sold by the piece or pound; a heavier label is that of the case it came in."""


class OpeningStock(msgspec.Struct, frozen=True, kw_only=True):
    """Stock on the first day, as columns of equal length, in order of sku and node."""

    skus: list[str]
    node_ids: list[str]
    quantities: list[int]


def goods(products: list[Product]) -> list[Item]:
    """Return the items; where a size tells no weight, the median of the category's that do.

    A category without any takes the median of its department, a department without any that of all.
    """
    weights = [printed_weight_grams(product) for product in products]
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for product, weight in zip(products, weights, strict=True):
        for key in group_keys(product):
            if weight is not None:
                groups[key].append(weight)
    medians = {key: median_low(group) for key, group in groups.items()}
    return [
        Item(
            sku=str(product.product_id),
            name=item_name(product),
            category=product.category,
            weight_grams=weight
            or next(medians[key] for key in group_keys(product) if key in medians),
        )
        for product, weight in zip(products, weights, strict=True)
    ]


def printed_weight_grams(product: Product) -> int | None:
    """Return what a product's package size says it weighs."""
    if product.department == "PRODUCE":
        return weight_grams(product.size, grams_max=CASE_GRAMS_MIN)
    return weight_grams(product.size)


def group_keys(product: Product) -> tuple[tuple[str, ...], ...]:
    """Return the groups a product is in, the narrowest first; the last has all products."""
    return (product.department, product.category), (product.department,), ()


def item_name(product: Product) -> str:
    """Return a name a person can read, such as `Spices & Seasonings, 2.5 OZ`."""
    kind = product.kind.title() or product.category.title() or "Unknown product"
    return f"{kind}, {' '.join(product.size.split())}" if product.size else kind


def opening_stock(
    year: Year, warehouses: list[Node], choices: dict[str, Any], seed: int
) -> OpeningStock:
    """Return what each node holds on the first day.

    A store holds what it sold itself, for `stock_days` at the pace of its own year, at least one.
    A warehouse holds a seeded draw of the skus, each as deep as its share of what all stores sold.
    """
    store_skus, store_numbers, sold = sold_by_store(year.sales)
    period = choices["stock_days"] / DAYS_OF_SALES
    depth = np.maximum(1, np.rint(sold * period)).astype(np.int64)
    skus, nodes, quantities = [store_skus], [store_numbers], [depth]
    all_skus, inverse = np.unique(store_skus, return_inverse=True)
    everywhere = np.bincount(inverse, weights=sold) * period
    share = choices["warehouse_share_of_skus"]
    carriers = len(warehouses) * share
    deep = np.maximum(choices["warehouse_units_min"], np.ceil(everywhere / carriers))
    for number in range(len(warehouses)):
        chance = np.random.default_rng([seed, 2, number])
        carried = chance.permutation(len(all_skus))[: int(len(all_skus) * share)]
        skus.append(all_skus[carried])
        # Warehouses are numbered below every store, to be told apart once all are in one column.
        nodes.append(np.full(len(carried), -1 - number))
        quantities.append(deep[carried].astype(np.int64))
    return stock_columns(
        np.concatenate(skus), np.concatenate(nodes), np.concatenate(quantities), warehouses
    )


def sold_by_store(sales: Sales) -> tuple[Integers, Integers, Integers]:
    """Return product, store and units sold in the year, for each pair that was sold at all."""
    order = np.lexsort((sales.store_ids, sales.product_ids))
    items, stores = sales.product_ids[order], sales.store_ids[order]
    starts = np.flatnonzero(np.r_[True, (items[1:] != items[:-1]) | (stores[1:] != stores[:-1])])
    return items[starts], stores[starts], np.add.reduceat(sales.quantities[order], starts)


def stock_columns(
    skus: Integers, nodes: Integers, quantities: Integers, warehouses: list[Node]
) -> OpeningStock:
    """Return stock with its ids as the API knows them, in order of sku and node."""
    names = {number: f"store-{number}" for number in np.unique(nodes).tolist()}
    names |= {-1 - number: each.node_id for number, each in enumerate(warehouses)}
    rows = sorted(
        (str(sku), names[node], quantity)
        for sku, node, quantity in zip(
            skus.tolist(), nodes.tolist(), quantities.tolist(), strict=True
        )
    )
    return OpeningStock(
        skus=[row[0] for row in rows],
        node_ids=[row[1] for row in rows],
        quantities=[row[2] for row in rows],
    )
