"""Limits that couple slots or lines, as arrays: stock that several share, capacities, shipments."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from routing.compiled import compiled
from routing.grid import Grid, Ints
from routing.instance import Instance, OpenLimit, UnitLimit

Bools = NDArray[np.bool_]

__all__ = ["Bonds", "bonds_of", "kept", "limits_of", "no_bonds", "of_nodes", "openable", "taken_of"]


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
    open_most: Ints
    """`[V]`: the most slots opened."""
    open_starts: Ints
    """`[V + 1]`: the slots counted are the entries from here on."""
    open_slots: Ints


def no_bonds(slots: int) -> Bonds:
    """No limits on so many slots."""
    none = np.zeros(0, np.int64)
    return Bonds(none, np.zeros(slots + 1, np.int64), none, none, none, none[:0].copy(), none)


def bonds_of(instance: Instance) -> Bonds:
    """The limits of an instance."""
    entries = sorted(
        (k, i, number) for number, limit in enumerate(instance.unit_limits) for k, i in limit.pairs
    )
    table = np.array(entries, np.int64).reshape(-1, 3)
    slots = np.arange(len(instance.slots) + 1)
    opens = [np.array(most.slots, np.int64) for most in instance.open_limits]
    ends = np.cumsum([0, *(len(each) for each in opens)])
    return Bonds(
        np.array([limit.units_max for limit in instance.unit_limits], np.int64),
        np.searchsorted(table[:, 0], slots).astype(np.int64),
        table[:, 2].copy(),
        table[:, 1].copy(),
        np.array([most.slots_max for most in instance.open_limits], np.int64),
        ends.astype(np.int64),
        np.concatenate([np.zeros(0, np.int64), *opens]),
    )


def limits_of(
    bonds: Bonds, chosen: tuple[int, ...]
) -> tuple[tuple[UnitLimit, ...], tuple[OpenLimit, ...]]:
    """The limits on some slots, which are numbered in their order."""
    pairs: dict[int, list[tuple[int, int]]] = {}
    for new, k in enumerate(chosen):
        for n in range(bonds.starts[k], bonds.starts[k + 1]):
            pairs.setdefault(int(bonds.which[n]), []).append((new, int(bonds.lines[n])))
    units = (
        UnitLimit("stock", int(bonds.most[limit]), tuple(pairs[limit])) for limit in sorted(pairs)
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
    return Bonds(most, starts, which, lines, limits, ends, sent[: ends[-1]].astype(np.int64))


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
    if len(bonds.most):
        used = np.zeros(len(bonds.most), np.int64)
        for a in range(len(slots)):
            if slots[a] < len(bonds.starts) - 1:
                for n in range(bonds.starts[slots[a]], bonds.starts[slots[a] + 1]):
                    used[bonds.which[n]] += share[a, bonds.lines[n]]
        if (used > bonds.most).any():
            return False
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
            row[i] = min(row[i], max(0, bonds.most[limit] - used[limit]))
            end += 1
        for n in range(first, end):
            used[bonds.which[n]] += row[i]
        first = end


@compiled
def openable(bonds: Bonds, k: int, closed: Bools) -> bool:
    """Whether no limit keeps slot `k` shut beside those that are not closed."""
    for limit in range(len(bonds.open_most)):
        slots = bonds.open_slots[bonds.open_starts[limit] : bonds.open_starts[limit + 1]]
        if (slots == k).any() and (~closed[slots]).sum() >= bonds.open_most[limit]:
            return False
    return True
