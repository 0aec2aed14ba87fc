"""The few of thousands of nodes that can be in a cheapest plan, by a first look at all of them.

The test is that of `dominance.py`, and so is its outcome: a node need not ship where another one
holds all of every line it has any of, and sends it for no more by any of its services, lateness
counted. Here a node costs a few nanoseconds, because nodes of one kind (see `kinds.py`) are compared
once, and because what a node has of an order is two numbers: a bit for each line.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from routing.compiled import compiled
from routing.dominance import DOMINATORS_MAX
from routing.facts import Bools, Bytes
from routing.grid import Ints
from routing.holding import (
    GRAMS,
    NEEDS,
    NODES_MAX,
    PICKUP_ROW,
    QUANTITY,
    SKU,
    Cells,
    Units,
    cells_of,
)
from routing.outright import (
    FAR,
    LAST,
    Ways,
    able_to,
    day_minor_max,
    doing,
    outright,
    received,
    slopes_minor,
    ways_to,
    worthwhile,
)
from routing.terrain import PICKUP, Rows, Stairs

__all__ = ["shortlisted"]

NOT_COMPARED = -2
FILLED_MINOR = 2**56
"""What a line held in full weighs beside prices where nodes are ranked."""


Bits = NDArray[np.int32]


class Marks(NamedTuple):
    """What rows can give of an order, by the ends (see `ends_of`) that they can bring it to."""

    holds: Bits
    """`[E, R]`: the lines of which the row may bring some units, as bits."""
    fills: Bits
    """`[E, R]`: those it may bring in full."""
    filled: Bytes
    """`[E, R]`: how many; none any more once the row is compared with the others."""
    touched: Ints
    """`[E, R]`: the rows that hold anything, in the order in which they are met."""
    counts: Ints
    """`[E]`: how many these are."""
    beyond_minor: Ints
    """`[R, I]`: worth and risk of a unit; `[0, 0]` where the cells have none."""


@compiled
def shortlisted(
    rows: Rows, cells: Cells, stairs: Stairs, ends: Ints, pruned: int
) -> tuple[Ints, Bools]:
    """The rows, ascending, that slots are made of, and `[N, E]` which ends their shipments serve.

    No plan over all rows is cheaper than one over these; `pruned` of 0 leaves every row that can
    give anything. Quantities of the lines are all that is ordered of their skus.
    """
    whole_minor = _whole_minor(rows, cells, stairs, ends)
    marks = _marked(rows, cells, stairs, (ends, whole_minor), pruned)
    collected = _collected(rows.abilities, cells.lines, cells.counts, (cells.rows, cells.units))
    if cells.waits[NODES_MAX]:
        _couple(cells, marks, ends, collected)
    for end in range(len(ends) if pruned else 0):
        if marks.counts[end] > 1:
            _prune(rows, cells, stairs, marks, (end, ends[end], whole_minor[end]))
    brings = np.zeros((len(ends) + 1, len(rows.abilities)), np.bool_)
    some = brings[len(ends)]
    for i in range(len(collected)):
        if collected[i]:
            some[cells.lines[i, PICKUP_ROW]] = True
    for end in range(len(ends)):
        for row in marks.touched[end, : marks.counts[end]]:
            brings[end, row] = some[row] = True
    near = _ascending(some)
    serves = np.empty((len(near), len(ends)), np.bool_)
    for end in range(len(ends)):
        for n in range(len(near)):
            serves[n, end] = brings[end, near[n]]
    return near, serves


@compiled
def _ascending(some: Bools) -> Ints:
    """The rows that are marked."""
    found = np.empty(len(some), np.int64)
    count = 0
    for row in range(len(some)):
        # Without a branch, which would be guessed wrong too often.
        found[count] = row
        count += some[row]
    return found[:count].copy()


@compiled
def _whole_minor(rows: Rows, cells: Cells, stairs: Stairs, ends: Ints) -> Ints:
    """`[E, kinds]`: the least price of the whole order as one parcel; `FAR` where no lane leads."""
    weight = (cells.lines[:, QUANTITY] * cells.lines[:, GRAMS]).sum()
    price = np.empty(len(stairs.starts) - 2, np.int64)
    for tariff in range(len(price)):
        step = stairs.starts[tariff]
        while stairs.grams[step] < weight:
            step += 1
        price[tariff] = stairs.minor[step]
    found = np.full((len(ends), len(rows.kind_rows)), FAR, np.int64)
    for end in range(len(ends)):
        for kind in range(len(rows.kind_rows)):
            row = rows.kind_rows[kind]
            for lane in range(rows.lane_starts[row], rows.lane_starts[row + 1]):
                if rows.lane_to[lane] == ends[end]:
                    minor = price[rows.lane_tariff[lane]] + rows.lane_opening[lane]
                    found[end, kind] = min(found[end, kind], minor + rows.order_minor[row])
    return found


@compiled
def _marked(
    rows: Rows, cells: Cells, stairs: Stairs, asked_ends: tuple[Ints, Ints], pruned: int
) -> Marks:
    """What rows can give; `asked_ends` come with the least prices of the whole order by kind."""
    ends, whole_minor = asked_ends
    size, priced = (len(ends), len(rows.abilities)), len(cells.beyond.worth) > 0
    holds, fills = np.zeros(size, np.int32), np.zeros(size, np.int32)
    # One place more than rows: `_mark` writes before it knows whether a row is new.
    filled, touched = np.zeros(size, np.int8), np.empty((len(ends), size[1] + 1), np.int64)
    counts = np.zeros(len(ends), np.int64)
    kinds, known = len(rows.kind_rows), (cells.rows, cells.units)
    comparable = pruned and not priced and len(cells.beyond.surcharges) == 0
    for end in range(len(ends)):
        m, gone = -1, np.zeros(kinds, np.bool_)
        if comparable and worthwhile(len(cells.rows), kinds):
            m, gone = outright(rows, cells, stairs, ends[end], whole_minor[end])
        if m >= 0:
            touched[end, 0], counts[end] = m, 1
        does, receives = doing(rows, whole_minor[end]), received(rows, ends[end])
        own = holds[end], fills[end], filled[end], touched[end]
        for i in range(len(cells.lines)):
            able = able_to(does, cells.lines[i], ends[end], receives)
            if m >= 0:
                if able[rows.kind[m]]:
                    holds[end, m] |= 1 << i
                    fills[end, m] |= 1 << i
                    filled[end, m] += 1
                able &= ~gone
            if able.any():
                bits = 1 << min(i, LAST), int(i < LAST)
                first, last = cells_of(cells.counts, cells.lines[i, SKU])
                own_cells = cells.rows[first:last], cells.units[first:last]
                asked = int(counts[end]), int(ends[end]), int(cells.lines[i, QUANTITY])
                counts[end] = _mark(own, own_cells, (rows.kind, able), bits, asked)
    prices = cells.beyond.worth, cells.beyond.risk
    beyond_minor = _beyond_minor(cells.lines, cells.counts, known, prices, size[1])
    return Marks(holds, fills, filled, touched, counts, beyond_minor)


@compiled
def _beyond_minor(
    lines: Ints, counts: Ints, known: tuple[Units, Ints], prices: tuple[Ints, Ints], nodes: int
) -> Ints:
    """`[R, I]`: worth and risk of a unit; `[0, 0]` where the cells have none.

    `known` are the rows and the units of the cells, `prices` their worth and their risk.
    """
    cell_rows, units = known
    worth, risk = prices
    if len(worth) == 0:
        return np.empty((0, 0), np.int64)
    found = np.empty((nodes, len(lines)), np.int64)
    for i in range(len(lines)):
        first, last = cells_of(counts, lines[i, SKU])
        for cell in range(first, last):
            if cell_rows[cell] >= 0 and units[cell] > 0:
                found[cell_rows[cell], i] = worth[cell] + risk[cell]
    return found


@compiled
def _mark(
    marks: tuple[Bits, Bits, Bytes, Ints],
    cells: tuple[Units, Ints],
    kinds: tuple[Ints, Bools],
    bits: tuple[int, int],
    asked: tuple[int, int, int],
) -> int:
    """Note the cells of one line; how many rows are touched then.

    A function of few arrays: in the midst of all of them a cell takes three times as long.
    """
    holds, fills, filled, touched = marks
    cell_rows, units = cells
    kind, able = kinds
    bit, counted = bits
    count, to, quantity = asked
    for cell in range(len(cell_rows)):
        row = cell_rows[cell]
        if row < 0 or units[cell] < 1 or row == to or not able[kind[row]]:
            continue
        full = counted if units[cell] >= quantity else 0
        touched[count] = row
        count += 1 if holds[row] == 0 else 0
        holds[row] |= bit
        fills[row] |= bit * full
        filled[row] += full
    return count


@compiled
def _collected(abilities: Ints, lines: Ints, counts: Ints, known: tuple[Units, Ints]) -> Bools:
    """`[I]`: whether the node where a line may be collected has any of it.

    `known` are the rows and the units of the cells.
    """
    cell_rows, units = known
    found = np.zeros(len(lines), np.bool_)
    for i in range(len(lines)):
        row, to_collect = lines[i, PICKUP_ROW], lines[i, NEEDS] | PICKUP
        if row < 0 or abilities[row] & to_collect != to_collect:
            continue
        first, last = cells_of(counts, lines[i, SKU])
        for cell in range(first, last):
            found[i] |= cell_rows[cell] == row and units[cell] > 0
    return found


@compiled
def _couple(cells: Cells, marks: Marks, ends: Ints, collected: Bools) -> None:
    """Let rows stay that a line shared by few nodes could leave in several ways."""
    stays, shipped = 1 << LAST, len(ends) > 0 and ends[0] < 0
    for i in range(len(collected) if shipped else 0):
        row = cells.lines[i, PICKUP_ROW]
        if collected[i] and marks.holds[0, row] >> min(i, LAST) & 1:
            marks.holds[0, row] |= stays
    for end in range(1, len(ends) if shipped else 0):
        for row in marks.touched[end, : marks.counts[end]]:
            if marks.holds[0, row] & marks.holds[end, row]:
                marks.holds[0, row] |= stays
                marks.holds[end, row] |= stays


@compiled
def _prune(
    rows: Rows, cells: Cells, stairs: Stairs, marks: Marks, asked: tuple[int, int, Ints]
) -> None:
    """Leave only those rows touched that no other one replaces in what is brought to an end.

    `asked` are the place of the end, the end, and by kind the least price of the whole order.
    """
    end, to, whole_minor = asked
    left = marks.counts[end]
    alive, filled, surcharges = marks.touched[end], marks.filled[end], cells.beyond.surcharges
    ways, slopes = ways_to(rows, to), slopes_minor(cells.lines, cells.waits)
    if not slopes.any():
        slopes = slopes[:0]
    brought, compared = (marks.holds[end], marks.fills[end]), (rows.kind, ways, stairs.savings)
    prices = rows.order_minor, rows.unit_minor, surcharges, marks.beyond_minor
    for _ in range(DOMINATORS_MAX):
        m = _strongest(rows.kind, surcharges, (filled, whole_minor), alive[:left])
        if m < 0 or left < 2:
            break
        filled[m] = 0
        left = _replaced(alive[:left], brought, compared, prices, slopes, m)
    marks.counts[end] = left


@compiled
def _strongest(kind: Ints, surcharges: Ints, ranks: tuple[Bytes, Ints], alive: Ints) -> int:
    """The row to try next: most lines held in full, then cheapest, then in order; -1 for none."""
    filled, whole_minor = ranks
    best, most = -1, -FILLED_MINOR
    for row in alive:
        rank = int(filled[row]) * FILLED_MINOR - whole_minor[kind[row]]
        if len(surcharges):
            rank -= surcharges[row]
        # A branch that is seldom taken, so that it is seldom guessed wrong.
        if rank > most or (rank == most and row < best):
            best, most = row, rank
    return best if best >= 0 and filled[best] else -1


@compiled
def _replaced(
    alive: Ints,
    brought: tuple[Bits, Bits],
    compared: tuple[Ints, Ways, Ints],
    prices: tuple[Ints, Ints, Ints, Ints],
    slopes: Ints,
    m: int,
) -> int:
    """Move the rows that row `m` does not replace to the front; how many they are.

    `brought` is what rows hold and fill, `compared` kinds, their ways and what tariffs save, `prices`
    are those of a fulfillment, of a unit, surcharges, and what units cost beyond money. A function of
    few arrays, as all of them handed on take longer than most comparisons.
    """
    holds, fills = brought
    kinds, ways, savings = compared
    order_minor, unit_minor, surcharges, beyond_minor = prices
    lacks, priced = ~fills[m], len(beyond_minor) > 0
    days = np.full(len(ways.starts) - 1, NOT_COMPARED, np.int64)
    kept = 0
    for place in range(len(alive)):
        row = alive[place]
        alive[kept] = row
        kept += 1
        if holds[row] & lacks or row == m:
            continue
        kind = kinds[row]
        bonus = surcharges[row] - surcharges[m] if len(surcharges) else 0
        day_minor = days[kind]
        if bonus or day_minor == NOT_COMPARED:
            more_minor = bonus + order_minor[row] - order_minor[m]
            day_minor = day_minor_max(ways, savings, (kinds[m], kind), more_minor)
            if not bonus:
                days[kind] = day_minor
        cheap = priced or unit_minor[m] <= unit_minor[row]
        if cheap and (day_minor == FAR or _slope_minor(slopes, holds[row]) <= day_minor):
            kept -= 0 if priced and _dearer(unit_minor, beyond_minor, holds[row], (m, row)) else 1
    return kept


@compiled
def _slope_minor(slopes: Ints, holds: int) -> int:
    """Most that one day later can cost over some lines, given as bits; none is beyond the last."""
    found = 0
    for i in range(min(LAST, len(slopes))):
        if holds >> i & 1:
            found += slopes[i]
    return found


@compiled
def _dearer(unit_minor: Ints, beyond_minor: Ints, holds: int, pair: tuple[int, int]) -> bool:
    """Whether a unit of the lines that row `n` holds, given as bits, costs more at `m`."""
    m, n = pair
    less = unit_minor[n] - unit_minor[m]
    for i in range(min(LAST, beyond_minor.shape[1])):
        if holds >> i & 1 and less + beyond_minor[n, i] < beyond_minor[m, i]:
            return True
    return False
