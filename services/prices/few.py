"""Learned prices of a few stock records, read when they are needed: for work that finds a new node."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import asyncpg
import numpy as np

from routing.prices import rationing_minor
from services.planning.playbook import Weights
from services.prices import records
from services.prices.book import Item, chances_of, grouped
from services.prices.pricing import value_minor
from services.prices.records import WalkInRow
from services.prices.refusals import Refusal


class Record(NamedTuple):
    """A stock record that units may come from."""

    node_id: str
    sku: str
    time_zone: str
    units: int
    """On the shelf and not promised; what is kept back from orders counts."""


async def few_prices(
    connection: asyncpg.Connection,
    found: Sequence[Record],
    wanted: Mapping[str, int],
    weights: Weights,
    now: datetime,
) -> dict[tuple[str, str], tuple[int, int]]:
    """Return worth and risk of a unit by (node, sku), minor units; `wanted` are units by sku.

    The same as `Pricing` says of an order with these lines, but that the worth of items without a
    margin is not known here: what they were sold for is not asked. Empty where no prices are in
    force.
    """
    version = await records.find_version(connection)
    if version is None or now > version.valid_until_at:
        return {}
    rows = {row.sku: row for row in await records.find_walk_ins(connection, sorted(wanted))}
    categories = sorted({row.category for row in rows.values()})
    node_ids = sorted({each.node_id for each in found})
    refusals = await records.find_refusals(connection, node_ids, categories)
    prices = {}
    for sku, row in rows.items():
        own = [each for each in found if each.sku == sku]
        worth = worths(own, row, wanted[sku], weights)
        risk = risks(own, row.category, refusals, weights, now)
        for each, one, other in zip(own, worth, risk, strict=True):
            prices[each.node_id, sku] = one, other
    return prices


def worths(found: Sequence[Record], row: WalkInRow, wanted: int, weights: Weights) -> list[int]:
    """Return what a unit of each record may be worth to walk-ins, when so many are wanted."""
    value = round(value_minor(Item(row.category, row.unit_margin_minor), 0, weights))
    per_day = dict(zip(row.node_ids, row.per_day, strict=True))
    days = dict(zip(row.node_ids, row.days, strict=True))
    means = np.array([per_day.get(e.node_id, 0.0) * days.get(e.node_id, 0.0) for e in found])
    units = np.array([each.units for each in found], np.int64)
    taken = np.minimum(units, wanted)
    worth = np.zeros(len(found), np.int64)
    # Nobody misses what is not there, and how many are taken is the same for all of one call.
    for count in set(taken[taken > 0].tolist()):
        some = (taken == count) & (means > 0)
        worth[some] = rationing_minor(means[some], units[some], value, count)
    return [int(each) for each in worth]


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
