"""A node that can bring all that is asked, found before any other stock is looked at.

Most orders have one among the first nodes of the cheapest kind, and it makes whole kinds of nodes
needless whatever they hold (see Dominance in README.md).
"""

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
    Cells,
    cells_of,
)
from routing.survey import Bools
from routing.terrain import PICKUP, SEND, SHIP, Rows, Stairs

__all__ = ["FAR", "LAST", "able_to", "day_minor_max", "outright", "slope_minor"]

LAST = 30
"""The bit of all lines from this one on. No node fills it, so who holds any of them stays."""

FAR = 2**61

PROBES_MAX = 96
"""Rows of the cheapest kinds that are looked up before every cell of stock is gone through."""

CELLS_MIN, CELLS_PER_KIND_MIN = 1_000, 16
"""Cells of stock, in all and for each kind of node, from which that is worth it."""


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
    if len(cells.rows) < max(CELLS_MIN, CELLS_PER_KIND_MIN * len(gone)):
        return -1, gone
    can, wanted = whole_minor < FAR, np.empty(len(cells.lines), np.int64)
    count, slope = 0, 0
    for i in range(len(cells.lines)):
        able = able_to(rows, cells.lines[i], to, whole_minor)
        if able.any():
            wanted[count] = i
            count += 1
            can &= able
            slope += slope_minor(cells, i)
    wanted = wanted[:count]
    if not _searchable(rows, cells, wanted):
        return -1, gone
    m = _fullest(rows, cells, wanted, to, np.where(can, whole_minor, FAR))
    for kind in range(len(gone) if m >= 0 else 0):
        row = rows.kind_rows[kind]
        if whole_minor[kind] < FAR and rows.unit_minor[m] <= rows.unit_minor[row]:
            gone[kind] = slope <= day_minor_max(rows, stairs, to, (m, row), 0)
    return m, gone


@compiled
def _searchable(rows: Rows, cells: Cells, wanted: Ints) -> bool:
    """Whether the cells of some lines can be searched in, as they are in order of row.

    Where few nodes may share a line, rows may have to stay although they are replaced.
    """
    if cells.waits[NODES_MAX] or len(cells.lines) > LAST or len(rows.kind_starts) == 0:
        return False
    if len(wanted) == 0:
        return False
    for i in wanted:
        first, last = cells_of(cells, i)
        if not _in_order(cells.rows[first:last]):
            return False
    return True


@compiled
def _in_order(rows: Ints) -> bool:
    """Whether the known rows of cells ascend."""
    before, ascend = -1, True
    for row in rows:
        ascend &= row > before or row < 0
        before = max(before, row)
    return ascend


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
    """Whether a row holds all of some lines, whose cells are in order of row."""
    for i in wanted:
        low, high = cells_of(cells, i)
        while low < high:
            middle = (low + high) // 2
            known = middle
            while known < high and cells.rows[known] < 0:
                known += 1
            if known < high and cells.rows[known] < row:
                low = known + 1
            else:
                high = middle
        while low < len(cells.rows) and cells.rows[low] < 0:
            low += 1
        if low >= cells_of(cells, i)[1] or cells.rows[low] != row:
            return False
        if cells.units[low] < cells.lines[i, QUANTITY]:
            return False
    return True


@compiled
def able_to(rows: Rows, line: Ints, to: int, whole_minor: Ints) -> Bools:
    """By kind: whether its rows could bring units of a line to an end."""
    found = np.zeros(len(rows.kind_rows), np.bool_)
    asked = line[SHIPS] > 0 if to < 0 else line[SENT_ROW] == to
    to_collect, needs = line[NEEDS] | PICKUP, line[NEEDS] | (SHIP if to < 0 else SEND)
    if asked and _received(rows, to) & to_collect == to_collect:
        for kind in range(len(found)):
            able = rows.abilities[rows.kind_rows[kind]]
            found[kind] = whole_minor[kind] < FAR and able & needs == needs
    return found


@compiled
def _received(rows: Rows, to: int) -> int:
    """Bits of what can be done where lanes to an end lead; all of them at the destination."""
    for lane in range(len(rows.lane_to) if to >= 0 else 0):
        if rows.lane_to[lane] == to:
            return int(rows.lane_abilities[lane])
    return -1


@compiled
def day_minor_max(rows: Rows, stairs: Stairs, to: int, pair: tuple[int, int], bonus: int) -> int:
    """The most a day may cost if moving shipments of `n` to `m` is never to cost more; -1: it does.

    `FAR` where no shipment gets later. `bonus` is what a fulfillment costs more at `n` for its
    surcharge.
    """
    m, n = pair
    least = FAR
    bonus += rows.order_minor[n] - rows.order_minor[m]
    for one in range(rows.lane_starts[n], rows.lane_starts[n + 1]):
        if rows.lane_to[one] != to:
            continue
        best = -1
        for other in range(rows.lane_starts[m], rows.lane_starts[m + 1]):
            if rows.lane_to[other] == to and rows.lane_rate[other] <= rows.lane_rate[one]:
                saved = stairs.savings[rows.lane_tariff[one], rows.lane_tariff[other]]
                saved += bonus + rows.lane_opening[one] - rows.lane_opening[other]
                later = rows.lane_latest[other] - rows.lane_latest[one]
                if saved >= 0:
                    best = max(best, saved // later if later > 0 else FAR)
        least = min(least, best)
    return int(least)


@compiled
def slope_minor(cells: Cells, i: int) -> int:
    """Most that one day later can cost for a line."""
    late = cells.waits[LATENESS] if cells.lines[i, REQUESTED_ON] else 0
    return int(cells.waits[DELAY] + late)
