"""The cheapest plan of one order, by looking at all of them: independent of the optimizer it judges.

Baskets here are short and want one unit of each sku, so every way to cut one into parcels can be
tried: the cheapest node for each subset of its lines, then the cheapest partition into subsets. The
hindsight bound asks for thousands of such plans at ever new prices, and the past is simulated with
them; a test holds them to the same cost as the optimizer's.
"""

from collections.abc import Callable
from typing import NamedTuple, ParamSpec, TypeVar

import numba
import numpy as np

from routing.cost import parcel_steps
from routing.problem import Bracket
from tests.benchmarks.policies.world import NO_WISH, Floats, Ints, Network

P = ParamSpec("P")
R = TypeVar("R")

SHIFT_MAX = 10
"""Days that a node without room may put a parcel off, as in the optimizer."""


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Return `function` as machine code that is kept between runs."""
    result: Callable[P, R] = numba.njit(cache=True, nogil=True)(function)
    return result


class Table(NamedTuple):
    """A network as machine code reads it."""

    grid: Ints
    """`[G]`: weights up to which every tariff has one price."""
    price: Ints
    """`[T, G]`"""
    tariff: Ints
    days: Ints
    order_minor: Ints
    unit_minor: Ints
    grams: Ints
    split_minor: int
    lateness_minor: int
    shortage_minor: int
    nowhere: int


class Asked(NamedTuple):
    """An online order."""

    skus: Ints
    zone: int
    day: int
    wish: int


class State(NamedTuple):
    """What a decision sees. Arrays of prices have no length 0: nothing is zeros."""

    stock: Ints
    """`[I, N]`: of the lines of the order."""
    room: Ints
    """`[N, D]`: parcels each node can still take on each day; D covers `SHIFT_MAX` after the last."""
    worth: Floats
    """`[I, N]`: price of a unit of the order's lines at each node."""
    surcharge: Floats
    """`[N, D]`: price of a parcel."""


class Made(NamedTuple):
    """A plan: what it costs in prices and in money, and who sends what."""

    priced: float
    nodes: Ints
    """`[I]`: the node that sends each line, -1 where nobody does."""
    days: Ints
    """`[I]`: the day on which it does."""


def table(network: Network, grams_max: int) -> Table:
    """The network of a world in which no basket weighs more than `grams_max`."""
    steps = [
        parcel_steps(tuple(Bracket(weight_grams_max=g, price_minor=p) for g, p in each), grams_max)
        for each in network.tariffs
    ]
    grid = np.array(sorted({g for each in steps for g in each.weights_grams}), np.int64)
    # Staircases all reach the span of the heaviest basket; beyond its end a tariff is not asked.
    price = np.array(
        [
            [each.price_minor(min(g, each.weights_grams[-1])) for g in grid.tolist()]
            for each in steps
        ],
        np.int64,
    )
    return Table(
        grid,
        price,
        network.tariff,
        network.days,
        network.order_minor,
        network.unit_minor,
        network.grams,
        network.split_minor,
        network.lateness_minor,
        network.shortage_minor,
        network.nowhere,
    )


@compiled
def late_minor(table: Table, node: int, asked: Asked, shift: int) -> int:
    """What one line pays for being late when sent so many days after the order's."""
    if asked.wish == NO_WISH:
        return 0
    late: int = max(0, table.days[node, asked.zone] + shift - asked.wish)
    return late * table.lateness_minor


@compiled
def shifts(table: Table, state: State, node: int, asked: Asked, lines: int) -> tuple[int, float]:
    """The best day for a parcel of so many lines, after the order's, and what it costs; -1: none."""
    best, least = -1, np.inf
    for shift in range(SHIFT_MAX + 1):
        day = asked.day + shift
        if day >= state.room.shape[1]:
            break
        if state.room[node, day] < 1:
            continue
        paid = state.surcharge[node, day] + lines * late_minor(table, node, asked, shift)
        if paid < least:
            best, least = shift, paid
        if state.surcharge[node, day] <= 0:
            # Waiting longer is never cheaper than a day that costs nothing.
            break
    return best, least


@compiled
def cheapest(table: Table, state: State, asked: Asked) -> Made:
    """The plan of least money and prices together."""
    lines = len(asked.skus)
    step, count = _subsets(table, asked)
    full = len(step)
    least, sender = np.full(full, np.inf), np.full(full, -1)
    fixed, units = np.empty(lines + 1), np.zeros(full)
    for node in range(len(table.order_minor)):
        tariff, has = table.tariff[node, asked.zone], held(state.stock, node)
        if tariff < 0 or has == 0:
            continue
        for c in range(1, lines + 1):
            fixed[c] = shifts(table, state, node, asked, c)[1] + table.order_minor[node]
        for i in range(lines):
            for sub in range(1 << i):
                units[sub | 1 << i] = units[sub] + table.unit_minor[node] + state.worth[i, node]
        sub = has
        while sub:
            paid = fixed[count[sub]] + table.price[tariff, step[sub]] + units[sub]
            if paid < least[sub]:
                least[sub], sender[sub] = paid, node
            sub = (sub - 1) & has
    return _parted(table, state, asked, (least, sender, count))


@compiled
def _subsets(table: Table, asked: Asked) -> tuple[Ints, Ints]:
    """The price step and the number of lines of each subset of an order."""
    lines = len(asked.skus)
    step, count = np.zeros(1 << lines, np.int64), np.zeros(1 << lines, np.int64)
    for sub in range(1, 1 << lines):
        grams = 0
        for i in range(lines):
            if sub >> i & 1:
                grams += table.grams[asked.skus[i]]
                count[sub] += 1
        step[sub] = np.searchsorted(table.grid, grams)
    return step, count


@compiled
def held(stock: Ints, node: int) -> int:
    """The lines that a node has, as bits; `stock` is `[I, N]`."""
    has = 0
    for i in range(len(stock)):
        if stock[i, node] > 0:
            has |= 1 << i
    return has


@compiled
def _parted(table: Table, state: State, asked: Asked, parcels: tuple[Floats, Ints, Ints]) -> Made:
    """The cheapest partition into parcels, of which the first pays no split."""
    least, sender, count = parcels
    lines = len(asked.skus)
    full = 1 << lines
    total, taken = np.zeros(full), np.zeros(full, np.int64)
    for mask in range(1, full):
        lowest = mask & -mask
        total[mask] = total[mask ^ lowest] + table.shortage_minor
        sub = mask
        while sub:
            if sub & lowest and least[sub] + table.split_minor + total[mask ^ sub] < total[mask]:
                total[mask] = least[sub] + table.split_minor + total[mask ^ sub]
                taken[mask] = sub
            sub = (sub - 1) & mask
    nodes, days = np.full(lines, -1), np.full(lines, -1)
    mask, opened = full - 1, 0
    while mask:
        sub = taken[mask]
        if sub == 0:
            mask ^= mask & -mask
            continue
        opened += 1
        node = sender[sub]
        shift, _ = shifts(table, state, node, asked, count[sub])
        for i in range(lines):
            if sub >> i & 1:
                nodes[i], days[i] = node, asked.day + shift
        mask ^= sub
    return Made(total[full - 1] - (table.split_minor if opened else 0), nodes, days)


@compiled
def money(table: Table, asked: Asked, nodes: Ints, days: Ints) -> tuple[int, int, int]:
    """What a plan costs without shortage, its parcels, and its late lines.

    Lines of one node and day are one parcel.
    """
    lines = len(asked.skus)
    paid, parcels, late = 0, 0, 0
    done = np.zeros(lines, np.bool_)
    for i in range(lines):
        if nodes[i] < 0 or done[i]:
            continue
        node, grams = nodes[i], 0
        for j in range(i, lines):
            if nodes[j] == node and days[j] == days[i]:
                done[j] = True
                grams += table.grams[asked.skus[j]]
                waits = late_minor(table, node, asked, days[j] - asked.day)
                late += waits > 0
                paid += table.unit_minor[node] + waits
        step = np.searchsorted(table.grid, grams)
        paid += table.order_minor[node] + table.price[table.tariff[node, asked.zone], step]
        parcels += 1
    return paid + table.split_minor * max(0, parcels - 1), parcels, late
