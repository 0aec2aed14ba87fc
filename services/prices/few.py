"""Learned prices of a few stock records, read when they are needed: for work that finds a new node."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import asyncpg
import numpy as np

from inventory.slices import Ints
from routing.prices import poisson_tail
from services.planning.playbook import Weights
from services.prices import records
from services.prices.book import Floats, chances_of, grouped
from services.prices.pages import Item, priced_in, read_page
from services.prices.pricing import worth_of
from services.prices.records import Priced, Version
from services.prices.refusals import Refusal
from services.prices.terms import Cells, opportunity_terms, value_minor, wanted_terms


class Record(NamedTuple):
    """A stock record that units may come from."""

    node_id: str
    sku: str
    time_zone: str
    units: int
    """On the shelf and not promised; what is kept back from orders counts."""
    store: bool
    """Whether people walk in."""


async def few_prices(
    connection: asyncpg.Connection,
    found: Sequence[Record],
    wanted: Mapping[str, int],
    weights: Weights,
    now: datetime,
) -> dict[tuple[str, str], tuple[int, int]]:
    """Return worth and risk of a unit by (node, sku), minor units; `wanted` are units by sku.

    The same as `Pricing` says of an order with these lines, but that runs of sizes are left out, and
    that items without a margin or a price of their own are worth nothing: what they were sold for is
    not asked. Empty where no prices are in force.
    """
    version = await records.find_version(connection)
    if version is None or now > version.valid_until_at:
        return {}
    rows = await find_priced(connection, sorted(wanted))
    categories = sorted({item.category for item, _ in rows.values()})
    node_ids = sorted({each.node_id for each in found})
    refusals = await records.find_refusals(connection, node_ids, categories)
    prices = {}
    for sku, (item, learned) in rows.items():
        own = [each for each in found if each.sku == sku]
        worth = worths(own, (item, learned, wanted[sku]), weights, version, now)
        risk = risks(own, item.category, refusals, weights, now)
        for each, one, other in zip(own, worth, risk, strict=True):
            prices[each.node_id, sku] = one, other
    return prices


async def find_priced(
    connection: asyncpg.Connection, skus: Sequence[str]
) -> dict[str, tuple[Item, list[Priced]]]:
    """Return what is in force of these skus and their records."""
    found: dict[str, tuple[Item, list[Priced]]] = {}
    for body in await records.find_pages(connection, skus):
        found |= priced_in(read_page(body), skus)
    return found


def worths(
    found: Sequence[Record],
    asked: tuple[Item, Sequence[Priced], int],
    weights: Weights,
    version: Version,
    now: datetime,
    unit_price_minor: int = 0,
) -> list[int]:
    """Return what a unit of each record may be worth; asked are the item, what is learned, units.

    `unit_price_minor` is what it is sold for, 0 where nobody said.
    """
    item, learned, wanted = asked
    by_node = {each.node_id: each for each in learned}
    known = [by_node.get(each.node_id, Priced(each.node_id, 0.0, 0.0, 0)) for each in found]
    units = np.array([each.units for each in found], np.int64)
    taken = np.clip(units, 0, wanted)
    per_day = np.array([each.per_day for each in known])
    means = per_day * np.array([each.days for each in known])
    orders = np.array([each.orders_minor for each in known], float)
    cells = Cells(
        chances=np.where(taken > 0, wanted_chances(means, units, taken), 0.0),
        orders_minor=np.where(taken > 0, orders, 0.0),
        per_day=np.where(taken > 0, per_day, 0.0),
        units=units,
        taken=taken,
        stores=np.array([int(each.store) for each in found], np.int64),
    )
    values = np.full(len(found), value_minor(item, unit_price_minor, weights))
    terms = wanted_terms(cells.chances, values, cells.orders_minor, weights, version)
    if weights.looks_at_shelves:
        terms |= opportunity_terms(cells, item, unit_price_minor, weights, now.date())
    worth = worth_of(terms, weights).minor
    return worth.tolist() if worth.size else [0] * len(found)


def wanted_chances(means: Floats, units: Ints, taken: Ints) -> Floats:
    """Return the mean chance that walk-ins want the units taken, as `rationing_minor` has it."""
    chances = np.zeros(len(units))
    # How many are taken is the same for most of one call.
    for count in set(taken[taken > 0].tolist()):
        some = (taken == count) & (means > 0)
        each = [poisson_tail(means[some], units[some] - k) for k in range(count)]
        chances[some] = np.mean(each, axis=0)
    return chances


def risks(
    found: Sequence[Record],
    category: str,
    refusals: Sequence[Refusal],
    weights: Weights,
    now: datetime,
) -> list[int]:
    """Return the expected cost of each record's node refusing a unit of a category."""
    by_category, of_nodes = grouped(refusals)
    nodes = [(each.node_id, each.time_zone) for each in found]
    chances = chances_of(of_nodes, by_category.get(category, ()), nodes, now)
    return [round(chance * weights.rejection_minor) for chance in chances.tolist()]
