"""Learned prices in memory: what walk-ins want by stock record, and how likely nodes refuse.

A book is made once for a version of the prices and never changes. Beside each stock record it keeps
eight bytes, the number of its node and the units that walk-ins are expected to want there; what the
last units are worth is worked out for each order from the stock of that moment.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from math import log
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
from numpy.typing import NDArray

from inventory.slices import Ints, Numbers, Slices, atomic
from inventory.tables import ANY
from inventory.view import StockView
from routing.prices import RATE_MIN, tail_table
from services.prices.records import Pace, Version, WalkInRow
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


def sales_table() -> Sales:
    """Return the table that worths are looked up in.

    The mean of the lesser of demand and units u is the sum over k = 1 … u of P(demand >= k). So a
    difference of two entries is the sum of the chances that the units between them are wanted.
    """
    made = tail_table(RATE_MAX, UNITS_MAX)
    sums = np.cumsum(made.chances, axis=1) - made.chances[:, :1]
    return Sales(sums, log(made.class_ratio), RATE_MIN, RATE_MAX)


SALES = sales_table()


@atomic
def worth_of(stock: Any, wanted: Any, asked: Any, values: Any, held: Any, sales: Any) -> Any:
    """Return for each cell what one of the units asked may be worth to walk-ins there, minor units.

    `stock` are bounds and cells of the view, `wanted` starts, nodes and means of the book, `asked`
    slots and units by sku, `values` by sku what a walk-in is worth, `held` counts and node numbers.
    A record's units are those on the shelf that are not promised: what is kept back from orders is
    there for walk-ins, too.
    """
    bounds, cells = stock
    starts, nodes, means = wanted
    slots, units = asked
    counts, numbers = held
    table, log_ratio, rate_min, rate_max = sales
    classes, most = table.shape[0], table.shape[1] - 1
    worth = np.zeros(numbers.size, np.int64)
    end = 0
    for s in range(counts.size):
        first, end = end, end + counts[s]
        slot = slots[s]
        if slot < 0 or slot + 1 >= starts.size or values[s] <= 0:
            continue
        at, own = starts[slot], bounds[slot, 0]
        last, own_last = starts[slot + 1], bounds[slot, 0] + bounds[slot, 1]
        for p in range(first, end):
            while at < last and nodes[at] < numbers[p]:
                at += 1
            if at == last:
                break
            while own < own_last and cells[own, 0] < numbers[p]:
                own += 1
            if nodes[at] != numbers[p] or own == own_last or cells[own, 0] != numbers[p]:
                continue
            free = np.int64(cells[own, 1]) - cells[own, 2] - cells[own, 3] - cells[own, 4]
            taken = min(units[s], free)
            mean = np.float64(means[at])
            if taken <= 0 or mean < rate_min:
                continue
            scale = max(mean / rate_max, 1.0)
            number = int(np.rint(np.log(mean / scale / rate_min) / log_ratio)) + 1
            row = min(number, classes - 1)
            if scale > 1.0:
                # So many that one more or less makes no difference: the chance of the middle one.
                middle = max(int(np.ceil((free - taken / 2) / scale)), 1)
                chance = table[row, middle] - table[row, middle - 1] if middle <= most else 0.0
            else:
                chance = (table[row, min(free, most)] - table[row, min(free - taken, most)]) / taken
            worth[p] = np.int64(np.rint(values[s] * min(chance, 1.0)))
    return worth


class Item(msgspec.Struct, frozen=True):
    """What prices need to know of an item."""

    category: str
    unit_margin_minor: int | None


class Book(msgspec.Struct, frozen=True, eq=False):
    """The prices of one version, by the numbers of a stock view."""

    version: Version
    starts: Ints
    """`[S + 1]`: where the records of each slot begin."""
    nodes: Numbers
    """`[R]`: rising within a slot."""
    means: Means
    """`[R]`: units wanted until the next delivery."""
    items: Mapping[str, Item]
    chances: Mapping[str, Sequence[Refusal]]
    """Chances of a refusal by category, those for all the day first."""
    nodes_chances: Mapping[str, float]
    """By node, whatever the category; of all nodes under `ANY`."""
    paces: Mapping[str, Pace]

    @property
    def records(self) -> int:
        """How many stock records have a demand."""
        return len(self.nodes)


class Parts:
    """What was read of a book so far, by the numbers of a view."""

    def __init__(self, view: StockView) -> None:
        """Start empty."""
        self.view = view
        self.slots: list[int] = []
        self.counts: list[int] = []
        self.numbers: list[int] = []
        self.means: list[Means] = []
        self.items: dict[str, Item] = {}
        self.shared: dict[Item, Item] = {}

    def add(self, rows: Sequence[WalkInRow]) -> None:
        """Add items; what walk-ins want of those that the view does not know is left out."""
        for row in rows:
            item = Item(row.category, row.unit_margin_minor)
            self.items[row.sku] = self.shared.setdefault(item, item)
            slot = self.view.slots.get(row.sku)
            if slot is not None and row.node_ids:
                self.slots.append(slot)
                self.counts.append(len(row.node_ids))
                self.numbers += [self.view.number(node_id) for node_id in row.node_ids]
                self.means.append(
                    np.array(row.per_day, np.float32) * np.array(row.days, np.float32)
                )


def wanted_by_slot(parts: Parts) -> tuple[Ints, Numbers, Means]:
    """Return records sku after sku in order of slot and node: starts, nodes and means."""
    slots = parts.slots
    slot_of = np.repeat(np.array(slots, np.int64), np.array(parts.counts, np.int64))
    nodes = np.array(parts.numbers, np.int32)
    wanted = np.concatenate([np.zeros(0, np.float32), *parts.means])
    order = np.lexsort((nodes, slot_of))
    starts = np.zeros(max(slots, default=-1) + 2, np.int64)
    starts[1:] = np.cumsum(np.bincount(slot_of, minlength=starts.size - 1))
    return starts, nodes[order], wanted[order]


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
        parts = {zone: day_part(now.astimezone(ZoneInfo(zone)).hour) for _, zone in set(nodes)}
        for each in own:
            number = place.get(each.node_id)
            if number is not None and each.day_part in (ALL_DAY, parts[nodes[number][1]]):
                chances[number] = each.chance
    return chances


def warm() -> None:
    """Have the compiled function ready, so that no order waits for the compiler."""
    arrays = Slices().arrays
    none = np.zeros(0, np.int64)
    worth_of(
        (arrays.bounds, arrays.cells),
        (np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32)),
        (none, none),
        np.zeros(0),
        (none, none),
        SALES,
    )
