"""Limits that couple slots or lines, as arrays: stock that several share, capacities, shipments."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from routing.compiled import compiled
from routing.grid import Grid, Ints
from routing.instance import Instance, OpenLimit, UnitLimit, node_numbers

Bools = NDArray[np.bool_]

__all__ = [
    "Bonds",
    "bonds_of",
    "kept",
    "limits_of",
    "no_bonds",
    "of_nodes",
    "openable",
    "other_nodes",
    "taken_of",
]


class Bonds(NamedTuple):
    """Limits on units, U of them, and on slots opened, V of them."""

    most: Ints
    """`[U]`: the most units."""
    starts: Ints
    """`[K + 1]`: what slot k counts against are the entries from `starts[k]` on,
    line by line."""
    which: Ints
    """`[N]`: the limit that units of a slot and line count against."""
    lines: Ints
    """`[N]`: the line; a pair may be in several entries."""
    counts: Ints
    """`[N]`: what a unit of it counts."""
    open_most: Ints
    """`[V]`: the most slots opened."""
    open_starts: Ints
    """`[V + 1]`: the slots counted are the entries from here on."""
    open_slots: Ints
    nodes: Ints
    """`[K]`: slots of one node, which have the same number; ascending."""
    nodes_max: int
    """The most nodes that may share a line, 0 for any number."""


def no_bonds(slots: int) -> Bonds:
    """No limits on so many slots."""
    none = np.zeros(0, np.int64)
    starts = np.zeros(slots + 1, np.int64)
    return Bonds(none, starts, none, none, none, none, none.copy(), none, none, 0)


def bonds_of(instance: Instance) -> Bonds:
    """The limits of an instance."""
    entries = sorted(
        (k, i, number, count)
        for number, limit in enumerate(instance.unit_limits)
        for k, i, count in limit.terms
    )
    table = np.array(entries, np.int64).reshape(-1, 4)
    slots = np.arange(len(instance.slots) + 1)
    opens = [np.array(most.slots, np.int64) for most in instance.open_limits]
    ends = np.cumsum([0, *(len(each) for each in opens)])
    return Bonds(
        np.array([limit.units_max for limit in instance.unit_limits], np.int64),
        np.searchsorted(table[:, 0], slots).astype(np.int64),
        table[:, 2].copy(),
        table[:, 1].copy(),
        table[:, 3].copy(),
        np.array([most.slots_max for most in instance.open_limits], np.int64),
        ends.astype(np.int64),
        np.concatenate([np.zeros(0, np.int64), *opens]),
        np.array(node_numbers(instance.slots), np.int64),
        instance.policy.nodes_per_line_max or 0,
    )


def limits_of(
    bonds: Bonds, chosen: tuple[int, ...]
) -> tuple[tuple[UnitLimit, ...], tuple[OpenLimit, ...]]:
    """The limits on some slots, which are numbered in their order."""
    terms: dict[int, list[tuple[int, int, int]]] = {}
    for new, k in enumerate(chosen):
        for n in range(bonds.starts[k], bonds.starts[k + 1]):
            term = new, int(bonds.lines[n]), int(bonds.counts[n])
            terms.setdefault(int(bonds.which[n]), []).append(term)
    units = (
        UnitLimit("stock", int(bonds.most[limit]), tuple(terms[limit])) for limit in sorted(terms)
    )
    number = {k: new for new, k in enumerate(chosen)}
    ends = bonds.open_starts.tolist()
    counted = [bonds.open_slots[a:b].tolist() for a, b in pairwise(ends)]
    opens = (
        OpenLimit("shipments", most, tuple(number[k] for k in slots if k in number))
        for most, slots in zip(bonds.open_most.tolist(), counted, strict=True)
    )
    return tuple(units), tuple(opens)


def of_nodes(grid: Grid, ships: Bools, shipments_max: int | None) -> Bonds:
    """The limits on slots that a grid alone implies: the stock of nodes, and the most shipments.

    `ships` `[K]` says which slots send a parcel. All slots of a node draw on the same units.
    """
    most, starts, which, lines = _shared_stock(grid.units_max, grid.quantities, grid.nodes)
    sent = np.flatnonzero(ships)
    limits = np.zeros(0, np.int64) if shipments_max is None else np.array([shipments_max], np.int64)
    ends = np.array([0, *([len(sent)] * len(limits))], np.int64)
    counted = sent[: ends[-1]].astype(np.int64)
    once = np.ones(len(lines), np.int64)
    nodes = grid.nodes if grid.nodes_max else np.zeros(0, np.int64)
    return Bonds(most, starts, which, lines, once, limits, ends, counted, nodes, grid.nodes_max)


@compiled
def _shared_stock(units_max: Ints, quantities: Ints, nodes: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """The fields of `Bonds` about units where slots of a node could take more than it has."""
    slots, lines = units_max.shape
    number = np.full((slots, lines), -1, np.int64)
    most, count = np.empty(slots * lines, np.int64), 0
    first = 0
    for last in range(1, slots + 1):
        if last < slots and nodes[last] == nodes[first]:
            continue
        for i in range(lines):
            has = units_max[first:last, i].max()
            if last > first + 1 and has < quantities[i] and units_max[first:last, i].sum() > has:
                number[first:last, i] = count
                most[count] = has
                count += 1
        first = last
    starts = np.zeros(slots + 1, np.int64)
    for k in range(slots):
        starts[k + 1] = starts[k] + (number[k] >= 0).sum()
    which, entries = np.empty(starts[slots], np.int64), np.empty(starts[slots], np.int64)
    for k in range(slots):
        held = np.flatnonzero(number[k] >= 0)
        which[starts[k] : starts[k + 1]] = number[k][held]
        entries[starts[k] : starts[k + 1]] = held
    return most[:count].copy(), starts, which, entries


@compiled
def kept(bonds: Bonds, slots: Ints, share: Ints) -> bool:
    """Whether units `[m, I]` of some slots keep every limit."""
    if bonds.nodes_max and not _few_nodes(bonds, slots, share):
        return False
    if len(bonds.open_most) and not _few_opened(bonds, slots, share):
        return False
    if len(bonds.most):
        used = np.zeros(len(bonds.most), np.int64)
        for a in range(len(slots)):
            if slots[a] < len(bonds.starts) - 1:
                for n in range(bonds.starts[slots[a]], bonds.starts[slots[a] + 1]):
                    used[bonds.which[n]] += bonds.counts[n] * share[a, bonds.lines[n]]
        return bool((used <= bonds.most).all())
    return True


@compiled
def _few_opened(bonds: Bonds, slots: Ints, share: Ints) -> bool:
    """Whether units `[m, I]` of some slots open no more of them than they may."""
    for limit in range(len(bonds.open_most)):
        opened = 0
        for n in range(bonds.open_starts[limit], bonds.open_starts[limit + 1]):
            for a in range(len(slots)):
                opened += slots[a] == bonds.open_slots[n] and share[a].any()
        if opened > bonds.open_most[limit]:
            return False
    return True


@compiled
def taken_of(bonds: Bonds, k: int, row: Ints, used: Ints) -> None:
    """Lower the units `[I]` that slot `k` takes until no limit is broken, first lines first.

    `used` `[U]` are the units that count against each limit already; those taken are added.
    """
    first, last = bonds.starts[k], bonds.starts[k + 1]
    while first < last:
        i, end = bonds.lines[first], first
        while end < last and bonds.lines[end] == i:
            limit = bonds.which[end]
            row[i] = min(row[i], max(0, bonds.most[limit] - used[limit]) // bonds.counts[end])
            end += 1
        for n in range(first, end):
            used[bonds.which[n]] += bonds.counts[n] * row[i]
        first = end


@compiled
def openable(bonds: Bonds, k: int, closed: Bools) -> bool:
    """Whether no limit keeps slot `k` shut beside those that are not closed."""
    for limit in range(len(bonds.open_most)):
        slots = bonds.open_slots[bonds.open_starts[limit] : bonds.open_starts[limit + 1]]
        if (slots == k).any() and (~closed[slots]).sum() >= bonds.open_most[limit]:
            return False
    return True


@compiled
def _few_nodes(bonds: Bonds, slots: Ints, share: Ints) -> bool:
    """Whether no line of units `[m, I]` of some slots, in order, is shared by too many nodes."""
    for i in range(share.shape[1]):
        found, before = 0, -1
        for a in range(len(slots)):
            if share[a, i] and slots[a] < len(bonds.nodes) and bonds.nodes[slots[a]] != before:
                before = bonds.nodes[slots[a]]
                found += 1
        if found > bonds.nodes_max:
            return False
    return True


@compiled
def other_nodes(bonds: Bonds, taken: Ints, k: int) -> int:
    """How many nodes but that of slot `k` share a line, of which `taken` `[K]` are the units."""
    found, before = 0, -1
    for other in range(len(taken)):
        if taken[other] and bonds.nodes[other] != bonds.nodes[k] and bonds.nodes[other] != before:
            before = bonds.nodes[other]
            found += 1
    return found
