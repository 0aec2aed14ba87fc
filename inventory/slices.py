"""The counters of all stock records as arrays: 28 bytes a record, a slice for each sku.

A sku has a slot, and its records stand side by side, sorted by node number. A slice that is full
moves to the end with half as much room again, so what lies unused stays within a small multiple of
what is used, and loading anew sets everything close together.

The compiled functions keep the interpreter's lock, so each of them is one step to other threads: a
solver that reads while the event loop applies changes sees a slice before a change or after it.
"""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

NODE, ON_HAND, RESERVED, UNAVAILABLE, PENDING = range(5)
"""Columns of a cell. Pending are units of plans that are neither committed nor given up yet."""
START, LENGTH, ROOM, STAMP = range(4)
"""Columns of a slot's bounds. A stamp changes whenever anything about its sku does, so that whoever
keeps what follows from it sees at a glance that it is out of date."""
UNITS_MAX = 2**31 - 1
"""Largest counter kept; a larger one counts as this, so that too little is offered, not too much.
Compiled functions have the figure itself."""

Ints = NDArray[np.int64]
Numbers = NDArray[np.int32]

P = ParamSpec("P")
R = TypeVar("R")


def atomic(function: Callable[P, R]) -> Callable[P, R]:
    """Return `function` compiled, to run in one step as far as other threads are concerned."""
    result: Callable[P, R] = numba.njit(cache=True)(function)
    return result


@atomic
def find(cells: Any, start: int, end: int, node: int) -> int:
    """Return the place of a node's cell between `start` and `end`, or where it would stand."""
    while start < end:
        middle = (start + end) // 2
        if cells[middle, 0] < node:
            start = middle + 1
        else:
            end = middle
    return start


@atomic
def put_rows(bounds: Any, cells: Any, versions: Any, state: Any, slots: Any, rows: Any) -> None:
    """Put rows (node, on hand, reserved, unavailable, version) into the slices of their slots.

    A row older than its cell is ignored. `state` is the row to begin with and how much of the
    arrays is used; afterwards the first row that is not in, because the arrays are full.
    """
    used = state[1]
    for i in range(state[0], slots.size):
        slot = slots[i]
        start, length = bounds[slot, 0], bounds[slot, 1]
        at = find(cells, start, start + length, rows[i, 0])
        if at == start + length or cells[at, 0] != rows[i, 0]:
            if length == bounds[slot, 2]:
                room = length + length // 2 + 2
                if used + room > versions.size:
                    state[0], state[1] = i, used
                    return
                for k in range(length):
                    cells[used + k] = cells[start + k]
                    versions[used + k] = versions[start + k]
                    cells[start + k, 4] = 0
                at += used - start
                start = used
                bounds[slot, 0], bounds[slot, 2] = used, room
                used += room
            for k in range(start + length, at, -1):
                cells[k] = cells[k - 1]
                versions[k] = versions[k - 1]
            cells[at, 0], cells[at, 4] = rows[i, 0], 0
            versions[at] = rows[i, 4]
            bounds[slot, 1] = length + 1
            bounds[slot, 3] += 1
        if rows[i, 4] >= versions[at]:
            for column in range(1, 4):
                value = max(min(rows[i, column], 2147483647), -2147483648)
                # What this process wrote itself comes again with the next poll, and changes nothing.
                if cells[at, column] != value:
                    cells[at, column] = value
                    bounds[slot, 3] += 1
            versions[at] = rows[i, 4]
    state[0], state[1] = slots.size, used


@atomic
def add_pending(bounds: Any, cells: Any, takes: Any, sign: int) -> None:
    """Add `sign` times the units of takes (slot, node, units) to what is pending at their cells."""
    for i in range(takes.shape[0]):
        start = bounds[takes[i, 0], 0]
        end = start + bounds[takes[i, 0], 1]
        at = find(cells, start, end, takes[i, 1])
        if at < end and cells[at, 0] == takes[i, 1]:
            cells[at, 4] = max(cells[at, 4] + sign * takes[i, 2], 0)
            bounds[takes[i, 0], 3] += 1


@atomic
def read_free(bounds: Any, cells: Any, slot: int, kept: Any) -> tuple[Any, Any]:
    """Return the nodes with free units in a slot, and how many each has beyond what is kept back.

    `kept` has one figure for all nodes, or one for each cell of the slot.
    """
    start, length = bounds[slot, 0], bounds[slot, 1]
    nodes = np.empty(length, np.int32)
    units = np.empty(length, np.int64)
    found = 0
    for k in range(length):
        at = start + k
        free = np.int64(cells[at, 1]) - cells[at, 2] - cells[at, 3] - cells[at, 4]
        free -= kept[min(k, kept.size - 1)]
        if free > 0:
            nodes[found] = cells[at, 0]
            units[found] = free
            found += 1
    return nodes[:found], units[:found]


@atomic
def read_free_of(bounds: Any, cells: Any, slots: Any, kept: Any, ends: Any) -> tuple[Any, Any, Any]:
    """Do for several slots what `read_free` does for one, and return how many nodes each has.

    Slots below 0 have none. What is kept back of slot s ends at `ends[s]` in `kept`, where the one
    before ends it begins; nothing is kept back without any ends.
    """
    room = 0
    for slot in slots:
        if slot >= 0:
            room += bounds[slot, 1]
    counts = np.zeros(slots.size, np.int64)
    nodes, units = np.empty(room, np.int64), np.empty(room, np.int64)
    found = first = 0
    for s in range(slots.size):
        own = ends[s] - first if ends.size else 0
        start, length = bounds[slots[s], 0], bounds[slots[s], 1] if slots[s] >= 0 else 0
        for k in range(length):
            at = start + k
            free = np.int64(cells[at, 1]) - cells[at, 2] - cells[at, 3] - cells[at, 4]
            if own:
                free -= kept[first + min(k, own - 1)]
            if free > 0:
                nodes[found], units[found] = cells[at, 0], free
                found += 1
                counts[s] += 1
        first += own
    return counts, nodes[:found], units[:found]


@atomic
def read_cells(bounds: Any, cells: Any, slot: int) -> Any:
    """Return a copy of a slot's cells."""
    start = bounds[slot, 0]
    return cells[start : start + bounds[slot, 1]].copy()


@atomic
def find_changed(bounds: Any, slots: Any, stamps: Any, start: int) -> int:
    """Return the first place from `start` on whose slot has another stamp, or where all end."""
    for place in range(start, slots.size):
        if bounds[slots[place], 3] != stamps[place]:
            return place
    return slots.size  # type: ignore[no-any-return]


class Arrays:
    """One generation of arrays; when they are full a larger generation takes their place.

    Readers take the generation once and then work on it: what is in it stays in step, because
    nobody writes into arrays that have been replaced.
    """

    __slots__ = ("bounds", "cells", "versions")

    def __init__(self, slots: int, records: int) -> None:
        """Make room."""
        self.bounds: Ints = np.zeros((slots, 4), np.int64)
        self.cells: Numbers = np.zeros((records, 5), np.int32)
        self.versions: Ints = np.zeros(records, np.int64)


def build(slots: Numbers, cells: Numbers, versions: Ints) -> Arrays:
    """Return arrays with exactly these records, each (slot, node) once, close together.

    Cells have the columns of a cell without what is pending.
    """
    order = np.lexsort((cells[:, NODE], slots))
    lengths = np.bincount(slots)
    slot_count, count = len(lengths), len(slots)
    arrays = Arrays(slot_count + slot_count // 8 + 256, count + count // 8 + 1024)
    arrays.bounds[:slot_count, START] = np.cumsum(lengths) - lengths
    arrays.bounds[:slot_count, LENGTH] = lengths
    arrays.bounds[:slot_count, ROOM] = lengths
    arrays.cells[:count, :PENDING] = cells[order]
    arrays.versions[:count] = versions[order]
    return arrays


class Slices:
    """The counters by slot and node number."""

    def __init__(self) -> None:
        """Start empty."""
        self.arrays = Arrays(256, 1024)
        self.used = 0

    def make_room(self, slots: int) -> None:
        """Have bounds for at least this many slots."""
        if slots > len(self.arrays.bounds):
            self.grow(2 * slots, len(self.arrays.versions))

    def grow(self, slots: int, records: int) -> None:
        """Replace the arrays by larger ones with the same content."""
        old, new = self.arrays, Arrays(slots, records)
        new.bounds[: len(old.bounds)] = old.bounds
        new.cells[: self.used] = old.cells[: self.used]
        new.versions[: self.used] = old.versions[: self.used]
        self.arrays = new

    def put(self, slots: Ints, rows: Ints) -> None:
        """Put rows (node, on hand, reserved, unavailable, version) in, unless they are older."""
        state = np.array([0, self.used], np.int64)
        while state[0] < len(slots):
            arrays = self.arrays
            put_rows(arrays.bounds, arrays.cells, arrays.versions, state, slots, rows)
            self.used = int(state[1])
            if state[0] < len(slots):
                # The row that did not fit needs at most half as much again as the longest slice.
                spare = 2 * int(arrays.bounds[:, LENGTH].max()) + 1024
                self.grow(len(arrays.bounds), 3 * len(arrays.versions) // 2 + spare)

    def replace(self, arrays: Arrays, used: int) -> None:
        """Hold what `build` has made; what is pending stays."""
        takes = self.pending()
        arrays.bounds[:, STAMP] = self.arrays.bounds[:, STAMP].max() + 1
        self.arrays, self.used = arrays, used
        add_pending(arrays.bounds, arrays.cells, takes, 1)

    def pending(self) -> Ints:
        """Return what is pending as (slot, node, units)."""
        arrays = self.arrays
        places = np.flatnonzero(arrays.cells[: self.used, PENDING])
        # Of slots that start at one place all but the last are empty.
        order = np.argsort(arrays.bounds[:, START], kind="stable")
        filled = order[arrays.bounds[order, LENGTH] > 0]
        slots = filled[np.searchsorted(arrays.bounds[filled, START], places, side="right") - 1]
        own = arrays.cells[places]
        return np.stack((slots, own[:, NODE], own[:, PENDING]), axis=1).astype(np.int64)

    def add_pending(self, takes: Ints, sign: int) -> None:
        """Add `sign` times the units of takes (slot, node, units) to what is pending."""
        add_pending(self.arrays.bounds, self.arrays.cells, takes, sign)

    def touch(self, slot: int) -> None:
        """Give a slot a new stamp: something beside its records has changed."""
        self.arrays.bounds[slot, STAMP] += 1

    def touch_all(self) -> None:
        """Give every slot a new stamp."""
        self.arrays.bounds[:, STAMP] += 1

    def stamps(self, slots: Ints) -> Ints:
        """Return the stamp of each of these slots."""
        found: Ints = self.arrays.bounds[slots, STAMP]
        return found

    def next_changed(self, slots: Ints, stamps: Ints, start: int) -> int:
        """Return the first place from `start` on where something about a slot has changed since.

        That is one without its stamp of then; where there is none, how many slots there are.
        """
        return find_changed(self.arrays.bounds, slots, stamps, start)

    def free(self, slot: int, kept: Ints) -> tuple[Numbers, Ints]:
        """Return the numbers of nodes with free units, rising, and their units beyond `kept`."""
        arrays = self.arrays
        found: tuple[Numbers, Ints] = read_free(arrays.bounds, arrays.cells, slot, kept)
        return found

    def free_of(self, slots: Ints, kept: Ints, ends: Ints) -> tuple[Ints, Ints, Ints]:
        """Return by slot how many nodes have free units, then their numbers and units.

        `kept` has the figures of one slot after another, each up to its end in `ends`.
        """
        arrays = self.arrays
        found: tuple[Ints, Ints, Ints] = read_free_of(
            arrays.bounds, arrays.cells, slots, kept, ends
        )
        return found

    def cells(self, slot: int) -> Numbers:
        """Return a slot's cells: a row for each node, by rising number."""
        arrays = self.arrays
        found: Numbers = read_cells(arrays.bounds, arrays.cells, slot)
        return found

    def length(self, slot: int) -> int:
        """Return how many records a slot has."""
        return int(self.arrays.bounds[slot, LENGTH])

    @property
    def records(self) -> int:
        """How many records there are."""
        return int(self.arrays.bounds[:, LENGTH].sum())

    @property
    def bytes(self) -> int:
        """Bytes that the arrays take."""
        arrays = self.arrays
        return arrays.bounds.nbytes + arrays.cells.nbytes + arrays.versions.nbytes


def compile_all() -> None:
    """Have every compiled function ready, so that no order waits for the compiler.

    Only the first process after an installation compiles; later ones find the machine code.
    """
    slices = Slices()
    slices.make_room(1)
    slices.put(np.zeros(1, np.int64), np.array([[0, 1, 0, 0, 1]], np.int64))
    slices.add_pending(np.array([[0, 0, 1]], np.int64), 1)
    slices.free(0, np.zeros(1, np.int64))
    slices.free_of(*np.zeros((3, 1), np.int64))
    slices.cells(0)
    slices.next_changed(np.zeros(1, np.int64), np.zeros(1, np.int64), 0)
