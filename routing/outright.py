"""A node that can bring all that is asked, found before any other stock is looked at.

Most orders have one among the first nodes of the cheapest kind, and it makes whole kinds of nodes
needless whatever they hold (see Dominance in README.md).
"""

from typing import NamedTuple

import numpy as np

from routing.compiled import compiled
from routing.grid import Ints
from routing.holding import (
    DELAY,
    LATENESS,
    NEEDS,
    NODES_MAX,
    QUANTITY,
    REQUESTED_ON,
    SENT_ROW,
    SHIPS,
    SKU,
    Cells,
)
from routing.survey import Bools
from routing.terrain import PICKUP, SEND, SHIP, Rows, Stairs

__all__ = [
    "FAR",
    "LAST",
    "Ways",
    "able_to",
    "day_minor_max",
    "doing",
    "outright",
    "received",
    "slopes_minor",
    "ways_to",
    "worthwhile",
]

LAST = 30
"""The bit of all lines from this one on. No node fills it, so who holds any of them stays."""

FAR = 2**61

PROBES_MAX = 96
"""Rows of the cheapest kinds that are looked up before every cell of stock is gone through."""

CELLS_MIN, CELLS_PER_KIND_MIN = 1_000, 16
"""Cells of stock, in all and for each kind of node, from which that is worth it."""


class Ways(NamedTuple):
    """The lanes of kinds of nodes to one end, in few arrays: each takes time where it is handed on."""

    starts: Ints
    """`[kinds + 1]`"""
    lanes: Ints
    """`[lanes, 4]`: tariff, latest promise, price of a parcel beyond money, rate of emissions."""


@compiled
def worthwhile(cells: int, kinds: int) -> bool:
    """Whether so many cells of stock are enough to look for such a row, given so many kinds."""
    return cells >= max(CELLS_MIN, CELLS_PER_KIND_MIN * kinds)


@compiled
def outright(
    rows: Rows, cells: Cells, stairs: Stairs, to: int, whole_minor: Ints
) -> tuple[int, Bools]:
    """The strongest row that can bring all that is asked of an end, and the kinds it replaces.

    Most orders have one among the first nodes of the cheapest kind. Then nothing has to be noted of
    rows of the kinds that it replaces, whatever they hold. It is -1 where it is not to be found by
    looking at a few rows; no order needs it.
    """
    gone = np.zeros(len(rows.kind_rows), np.bool_)
    can, wanted = whole_minor < FAR, np.empty(len(cells.lines), np.int64)
    count, slope, slopes = 0, 0, slopes_minor(cells.lines, cells.waits)
    does, receives = doing(rows, whole_minor), received(rows, to)
    for i in range(len(cells.lines)):
        able = able_to(does, cells.lines[i], to, receives)
        if able.any():
            wanted[count] = i
            count += 1
            can &= able
            slope += slopes[i]
    wanted = wanted[:count]
    if not _searchable(rows, cells, wanted):
        return -1, gone
    m = _fullest(rows, cells, wanted, to, np.where(can, whole_minor, FAR))
    if m < 0:
        return -1, gone
    ways = ways_to(rows, to)
    for kind in range(len(gone)):
        row = rows.kind_rows[kind]
        if whole_minor[kind] < FAR and rows.unit_minor[m] <= rows.unit_minor[row]:
            more_minor = rows.order_minor[row] - rows.order_minor[m]
            pair = rows.kind[m], kind
            gone[kind] = slope <= day_minor_max(ways, stairs.savings, pair, more_minor)
    return m, gone


@compiled
def _searchable(rows: Rows, cells: Cells, wanted: Ints) -> bool:
    """Whether such a row makes others needless: not where few nodes may share a line."""
    if cells.waits[NODES_MAX] or len(cells.lines) > LAST or len(rows.kind_starts) == 0:
        return False
    return len(wanted) > 0


@compiled
def _fullest(rows: Rows, cells: Cells, wanted: Ints, to: int, whole_minor: Ints) -> int:
    """The row that can bring all of some lines at the least price, the first of equals; or -1."""
    left, floor = PROBES_MAX, -1
    while left >= 0:
        least, best = FAR, -1
        for minor in whole_minor:
            if minor > floor:
                least = min(least, minor)
        if least == FAR:
            return -1
        for kind in range(len(whole_minor)):
            if whole_minor[kind] == least:
                best, left = _first_full(rows, cells, wanted, to, (kind, best, left))
        if best >= 0 and left >= 0:
            return best
        floor = least
    return -1


@compiled
def _first_full(
    rows: Rows, cells: Cells, wanted: Ints, to: int, asked: tuple[int, int, int]
) -> tuple[int, int]:
    """The first row of a kind that can bring all of some lines, and how many may be looked up then.

    `asked` are the kind, the best row of other kinds or -1, beyond which none is looked up, and how
    many may be; fewer than none are left where that was too few to tell.
    """
    kind, best, left = asked
    for row in rows.rows_by_kind[rows.kind_starts[kind] : rows.kind_starts[kind + 1]]:
        if left < 0 or 0 <= best < row:
            break
        left -= 1
        if row != to and _fills(cells, wanted, row):
            best = row
    return best, left


@compiled
def _fills(cells: Cells, wanted: Ints, row: int) -> bool:
    """Whether a row holds all of some lines."""
    full = True
    for i in wanted:
        full &= cells.table[cells.lines[i, SKU], row] >= cells.lines[i, QUANTITY]
    return bool(full)


@compiled
def doing(rows: Rows, whole_minor: Ints) -> Ints:
    """By kind: what its rows can do, as bits; nothing where no lane leads to the end."""
    found = np.zeros(len(rows.kind_rows), np.int64)
    for kind in range(len(found)):
        if whole_minor[kind] < FAR:
            found[kind] = rows.abilities[rows.kind_rows[kind]]
    return found


@compiled
def received(rows: Rows, to: int) -> int:
    """Bits of what can be done where lanes to an end lead; all of them at the destination."""
    for lane in range(len(rows.lane_to) if to >= 0 else 0):
        if rows.lane_to[lane] == to:
            return int(rows.lane_abilities[lane])
    return -1


@compiled
def able_to(does: Ints, line: Ints, to: int, receives: int) -> Bools:
    """By kind: whether its rows could bring units of a line to an end.

    `does` and `receives` are the bits of what can be done by kind and at the end.
    """
    found = np.zeros(len(does), np.bool_)
    asked = line[SHIPS] > 0 if to < 0 else line[SENT_ROW] == to
    to_collect, needs = line[NEEDS] | PICKUP, line[NEEDS] | (SHIP if to < 0 else SEND)
    if asked and receives & to_collect == to_collect:
        for kind in range(len(found)):
            found[kind] = does[kind] & needs == needs
    return found


@compiled
def ways_to(rows: Rows, to: int) -> Ways:
    """The lanes of each kind to an end."""
    starts = np.zeros(len(rows.kind_rows) + 1, np.int64)
    most = 0
    for row in rows.kind_rows:
        most += rows.lane_starts[row + 1] - rows.lane_starts[row]
    lanes = np.empty((most, 4), np.int64)
    count = 0
    for kind in range(len(rows.kind_rows)):
        row = rows.kind_rows[kind]
        for lane in range(rows.lane_starts[row], rows.lane_starts[row + 1]):
            if rows.lane_to[lane] == to:
                lanes[count, 0], lanes[count, 1] = rows.lane_tariff[lane], rows.lane_latest[lane]
                lanes[count, 2], lanes[count, 3] = rows.lane_opening[lane], rows.lane_rate[lane]
                count += 1
        starts[kind + 1] = count
    return Ways(starts, lanes)


@compiled
def day_minor_max(ways: Ways, savings: Ints, pair: tuple[int, int], more_minor: int) -> int:
    """The most a day may cost if shipments of kind `n` moved to `m` never cost more; -1: they do.

    `FAR` where no shipment gets later. `more_minor` is what a fulfillment costs more at `n`.
    """
    m, n = pair
    least = FAR
    for one in range(ways.starts[n], ways.starts[n + 1]):
        best = -1
        for other in range(ways.starts[m], ways.starts[m + 1]):
            if ways.lanes[other, 3] <= ways.lanes[one, 3]:
                saved = more_minor + savings[ways.lanes[one, 0], ways.lanes[other, 0]]
                saved += ways.lanes[one, 2] - ways.lanes[other, 2]
                later = ways.lanes[other, 1] - ways.lanes[one, 1]
                if saved >= 0:
                    best = max(best, saved // later if later > 0 else FAR)
        least = min(least, best)
    return int(least)


@compiled
def slopes_minor(lines: Ints, waits: Ints) -> Ints:
    """`[I]`: most that one day later can cost for each line."""
    found = np.empty(len(lines), np.int64)
    for i in range(len(lines)):
        found[i] = waits[DELAY] + (waits[LATENESS] if lines[i, REQUESTED_ON] else 0)
    return found
