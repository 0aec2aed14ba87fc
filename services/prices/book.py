"""Learned prices in memory: what walk-ins want by stock record, and how likely nodes refuse.

A book is made once for a version of the prices and never changes. Beside each stock record it keeps
sixteen bytes: the number of its node, the units that walk-ins are expected to want there a day, the days
until the next delivery, and what a unit is worth to orders to come. What the last units are worth is
worked out for each order from the stock of that moment.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from math import log
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from inventory.slices import Ints, Numbers, Slices, atomic
from inventory.tables import ANY
from inventory.view import StockView
from routing.prices import RATE_MIN, tail_table
from routing.promise import clocks
from services.prices.pages import Item, Part
from services.prices.records import Pace, Version
from services.prices.refusals import ALL_DAY, Refusal, day_part

RATE_MAX = 100.0
"""Units wanted above which the table is read in proportion: of twice as many wanted, the worth of
twice as many units."""
UNITS_MAX = 200
"""Units up to which the table goes: more are hardly ever wanted where `RATE_MAX` are expected."""

Floats = NDArray[np.float64]
Means = NDArray[np.float32]


class Sales(NamedTuple):
    """What so many units are expected to sell, by class of demand."""

    table: Floats
    """`[C, U + 1]`"""
    log_ratio: float
    """Logarithm of what the demands of two classes that follow each other differ by."""
    rate_min: float
    rate_max: float


@cache
def sales_table() -> Sales:
    """Return the table that worths are looked up in, made once, in half a second.

    The mean of the lesser of demand and units u is the sum over k = 1 … u of P(demand >= k). So a
    difference of two entries is the sum of the chances that the units between them are wanted.
    """
    made = tail_table(RATE_MAX, UNITS_MAX)
    sums = np.cumsum(made.chances, axis=1) - made.chances[:, :1]
    return Sales(sums, log(made.class_ratio), RATE_MIN, RATE_MAX)


@atomic
def span_of(starts: Any, slot: Any) -> Any:
    """Return where the records of a slot begin and end; nothing of skus that are newer."""
    return (starts[slot], starts[slot + 1]) if slot + 1 < starts.size else (0, 0)


@atomic
def chance_of(mean: Any, free: Any, taken: Any, sales: Any) -> Any:
    """Return the mean chance that each of the units taken of those free is wanted."""
    table, log_ratio, rate_min, rate_max = sales
    classes, most = table.shape[0], table.shape[1] - 1
    scale = max(mean / rate_max, 1.0)
    number = int(np.rint(np.log(mean / scale / rate_min) / log_ratio)) + 1
    row = min(number, classes - 1)
    if scale > 1.0:
        # So many that one more or less makes no difference: the chance of the middle one.
        middle = max(int(np.ceil((free - taken / 2) / scale)), 1)
        chance = table[row, middle] - table[row, middle - 1] if middle <= most else 0.0
    else:
        chance = (table[row, min(free, most)] - table[row, min(free - taken, most)]) / taken
    return min(chance, 1.0)


@atomic
def seen_of(stock: Any, wanted: Any, asked: Any, held: Any, sales: Any) -> Any:
    """Return what is known of each cell: chances, prices, units a day, units there and taken.

    Chances are those that walk-ins want one of the units asked, prices what a unit is worth to
    orders to come. `stock` are bounds and cells of the view, `wanted` starts, nodes, units a day,
    days and prices of the book, `asked` slots and units by sku, `held` counts and node numbers. A
    record's units are those on the shelf that are not promised: what is kept back from orders is
    there for walk-ins, too.
    """
    bounds, cells = stock
    starts, nodes, per_day, days, orders = wanted
    slots, units = asked
    counts, numbers = held
    rate_min = sales[2]
    chances, worth = np.zeros(numbers.size), np.zeros(numbers.size)
    rates, shelf = np.zeros(numbers.size), np.zeros((2, numbers.size), np.int64)
    end = 0
    for s in range(counts.size):
        first, end = end, end + counts[s]
        slot = slots[s]
        if slot < 0:
            continue
        own, own_last = bounds[slot, 0], bounds[slot, 0] + bounds[slot, 1]
        at, last = span_of(starts, slot)
        for p in range(first, end):
            while own < own_last and cells[own, 0] < numbers[p]:
                own += 1
            if own == own_last:
                break
            if cells[own, 0] != numbers[p]:
                continue
            free = np.int64(cells[own, 1]) - cells[own, 2] - cells[own, 3] - cells[own, 4]
            taken = min(units[s], free)
            shelf[0, p], shelf[1, p] = free, taken
            while at < last and nodes[at] < numbers[p]:
                at += 1
            if taken <= 0 or at == last or nodes[at] != numbers[p]:
                continue
            rates[p], worth[p] = per_day[at], orders[at]
            mean = np.float64(per_day[at]) * days[at]
            if mean < rate_min:
                continue
            chances[p] = chance_of(mean, free, taken, sales)
    return chances, worth, rates, shelf


class Book(msgspec.Struct, frozen=True, eq=False):
    """The prices of one version, by the numbers of a stock view."""

    version: Version
    starts: Ints
    """`[S + 1]`: where the records of each slot begin."""
    nodes: Numbers
    """`[R]`: rising within a slot."""
    per_day: Means
    """`[R]`: units that walk-ins want."""
    days: Means
    """`[R]`: until the next delivery."""
    orders_minor: Numbers
    """`[R]`: what a unit is worth to orders to come."""
    items: Mapping[str, Item]
    chances: Mapping[str, Sequence[Refusal]]
    """Chances of a refusal by category, those for all the day first."""
    nodes_chances: Mapping[str, float]
    """By node, whatever the category; of all nodes under `ANY`."""
    paces: Mapping[str, Pace]
    styles: Mapping[str, Sequence[str]] = {}
    """The skus of each style, its sizes."""

    @property
    def records(self) -> int:
        """How many stock records have a demand."""
        return len(self.nodes)


class Parts:
    """What was read of a book so far, by the numbers of a view."""

    def __init__(self, view: StockView) -> None:
        """Start empty."""
        self.view = view
        self.slots: list[Ints] = []
        """Of each record, as all that follow."""
        self.nodes: list[Ints] = []
        self.columns: list[tuple[Means, Means, Numbers]] = []
        self.items: dict[str, Item] = {}
        self.shared: dict[Item, Item] = {}

    def add(self, part: Part) -> None:
        """Add a page; what is known of skus that the view does not know is left out."""
        shared = {item: self.shared.setdefault(item, item) for item in set(part.items)}
        self.items.update(
            (sku, shared[item]) for sku, item in zip(part.skus, part.items, strict=True)
        )
        slots = self.view.slots
        own = np.array([slots.get(sku, -1) for sku in part.skus], np.int64)
        numbers = np.array([self.view.number(node_id) for node_id in part.node_ids], np.int64)
        slot_of = np.repeat(own, part.counts)
        known = slot_of >= 0
        self.slots.append(slot_of[known])
        self.nodes.append(numbers[part.nodes[known]])
        self.columns.append((part.per_day[known], part.days[known], part.orders_minor[known]))

    def styles(self) -> dict[str, list[str]]:
        """Return the skus of each style."""
        found: dict[str, list[str]] = {}
        for sku, item in self.items.items():
            if item.style is not None:
                found.setdefault(item.style, []).append(sku)
        return found


def in_order(parts: Parts) -> tuple[Ints, Numbers, Means, Means, Numbers]:
    """Return records in order of slot and node: starts, nodes, units a day, days and prices."""
    slots = np.concatenate([np.zeros(0, np.int64), *parts.slots])
    nodes = np.concatenate([np.zeros(0, np.int64), *parts.nodes])
    # One number for both sorts several times faster than two keys.
    order = np.argsort(slots * (int(nodes.max(initial=0)) + 1) + nodes)
    starts = np.zeros(int(slots.max(initial=-1)) + 2, np.int64)
    starts[1:] = np.cumsum(np.bincount(slots, minlength=starts.size - 1))
    floats, whole = np.zeros(0, np.float32), np.zeros(0, np.int32)
    return (
        starts,
        nodes[order].astype(np.int32),
        np.concatenate([floats, *(each[0] for each in parts.columns)])[order],
        np.concatenate([floats, *(each[1] for each in parts.columns)])[order],
        np.concatenate([whole, *(each[2] for each in parts.columns)])[order],
    )


def grouped(refusals: Sequence[Refusal]) -> tuple[dict[str, list[Refusal]], dict[str, float]]:
    """Return chances by category, those for all the day first, and those of nodes as a whole."""
    by_category: dict[str, list[Refusal]] = {}
    of_nodes: dict[str, float] = {}
    for each in sorted(refusals, key=lambda each: each.day_part):
        if each.category == ANY and each.day_part == ALL_DAY:
            of_nodes[each.node_id] = each.chance
        else:
            by_category.setdefault(each.category, []).append(each)
    return by_category, of_nodes


def chances_of(
    of_nodes: Mapping[str, float],
    own: Sequence[Refusal],
    nodes: Sequence[tuple[str, str]],
    now: datetime,
) -> Floats:
    """Return how likely each of the nodes (id, time zone) refuses an item of a category now.

    `of_nodes` and the category's `own` are what `grouped` returns. The chance is the one for the category at this part of the node's day, or the next one above
    that is known: for the category, of the node, of all nodes.
    """
    usual = of_nodes.get(ANY, 0.0)
    chances = np.array([of_nodes.get(node_id, usual) for node_id, _ in nodes], float)
    if own:
        place = {node_id: number for number, (node_id, _) in enumerate(nodes)}
        parts = {zone: day_part(now.astimezone(clocks(zone)).hour) for _, zone in set(nodes)}
        for each in own:
            number = place.get(each.node_id)
            if number is not None and each.day_part in (ALL_DAY, parts[nodes[number][1]]):
                chances[number] = each.chance
    return chances


def warm() -> None:
    """Have the compiled function ready, so that no order waits for the compiler."""
    arrays = Slices().arrays
    # Of the kind of the real table, which takes its time and is made when there are prices.
    sales = Sales(np.zeros((2, 2)), 1.0, RATE_MIN, RATE_MAX)
    none, floats = np.zeros(0, np.int64), np.zeros(0, np.float32)
    seen_of(
        (arrays.bounds, arrays.cells),
        (np.zeros(1, np.int64), np.zeros(0, np.int32), floats, floats, np.zeros(0, np.int32)),
        (none, none),
        (none, none),
        sales,
    )
