"""Which nodes hold what of a basket, and where they may bring it, in machine code."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from routing.beyond import Beyond
from routing.compiled import compiled
from routing.grid import Ints
from routing.terrain import PICKUP, SEND, SHIP, Rows

Units = NDArray[np.int32]

QUANTITY, GRAMS, SKU, NEEDS, SHIPS, PICKUP_ROW, SENT_ROW, REQUESTED_ON, WIDTH = range(9)
"""Columns of what is known of a line; `NEEDS` are abilities as bits, dates are ordinals. The rows are
those where it is collected, or sent to be collected. Their number comes last."""

DELAY, LATENESS, ORDERED_ON, NODES_MAX = range(4)


class Cells(NamedTuple):
    """A basket: P cells of stock, sku after sku, and I lines in order of their ids."""

    rows: Units
    """`[P]`: row in the terrain, -1 for nodes it does not know; in few bytes, as there are many."""
    units: Ints
    """`[P]`"""
    counts: Ints
    """`[S]`: cells of each sku."""
    lines: Ints
    """`[I, WIDTH]`: see the columns above."""
    waits: Ints
    """`[4]`: price of a line's day, of its late day, the date of the order, and the most nodes that
    may share a line, 0 for any number."""
    beyond: Beyond
    """Prices of the cells and of the terrain's rows."""
    table: Units
    """`[S, R + 1]`: units by row, at most all that is ordered, see `basket.tabled`."""


class Tables(NamedTuple):
    """Units and prices of N rows and I lines."""

    ship: Ints
    """`[N, I]`: units that may be shipped to the destination."""
    pickup: Ints
    """`[N, I]`: units that may be collected at the row."""
    sent: Ints
    """`[N, I]`: units that may be sent to where they are collected; `[0, I]` where none may."""
    beyond_minor: Ints
    """`[N, I]`: worth and risk of a unit; `[0, I]` where the cells have none."""


@compiled
def ends_of(cells: Cells) -> Ints:
    """Where lanes may lead that the order can use: -1, the destination, and rows to collect at."""
    ends = np.empty(len(cells.lines) + 1, np.int64)
    count = 0
    if cells.lines[:, SHIPS].any():
        ends[0], count = -1, 1
    for i in range(len(cells.lines)):
        row = cells.lines[i, SENT_ROW]
        if row >= 0 and not (ends[:count] == row).any():
            ends[count] = row
            count += 1
    return ends[:count].copy()


@compiled
def cells_of(counts: Ints, sku: int) -> tuple[int, int]:
    """Where the cells of a sku begin and end."""
    first = 0
    for before in range(sku):
        first += counts[before]
    return first, first + counts[sku]


@compiled
def held_by(rows: Rows, cells: Cells, near: Ints) -> Tables:
    """What some rows, ascending, can give of an order."""
    count, width = len(near), len(cells.lines)
    ship = np.zeros((count, width), np.int64)
    pickup = np.zeros((count, width), np.int64)
    sent = np.zeros((count if (cells.lines[:, SENT_ROW] >= 0).any() else 0, width), np.int64)
    for i in range(width):
        line = cells.lines[i]
        to_ship, to_collect = line[NEEDS] | SHIP, line[NEEDS] | PICKUP
        has = cells.table[line[SKU]]
        for n in range(count):
            row = near[n]
            units = min(np.int64(has[row]), line[QUANTITY])
            able, lane = rows.abilities[row], rows.lane_starts[row]
            # Lanes to the destination are the first of a row.
            delivers = lane < rows.lane_starts[row + 1] and rows.lane_to[lane] < 0
            if line[SHIPS] and delivers and able & to_ship == to_ship:
                ship[n, i] = units
            if row == line[PICKUP_ROW] and able & to_collect == to_collect:
                pickup[n, i] = units
            if len(sent) and units and _sends(rows, row, line):
                sent[n, i] = units
    return Tables(ship, pickup, sent, _beyond_of(cells, near, len(rows.abilities)))


@compiled
def _beyond_of(cells: Cells, near: Ints, nodes: int) -> Ints:
    """`[N, I]`: worth and risk of a unit at some rows; `[0, I]` where the cells have none."""
    priced, width = len(cells.beyond.worth) > 0, len(cells.lines)
    found = np.zeros((len(near) if priced else 0, width), np.int64)
    if not priced:
        return found
    place = np.full(nodes, -1, np.int64)
    for n in range(len(near)):
        place[near[n]] = n
    for i in range(width):
        first, last = cells_of(cells.counts, cells.lines[i, SKU])
        for cell in range(first, last):
            row = cells.rows[cell]
            if row >= 0 and place[row] >= 0 and cells.units[cell] > 0:
                found[place[row], i] = cells.beyond.worth[cell] + cells.beyond.risk[cell]
    return found


@compiled
def _sends(rows: Rows, row: int, line: Ints) -> bool:
    """Whether what a row has of a line may be sent to where that is collected."""
    end, to_collect, to_send = line[SENT_ROW], line[NEEDS] | PICKUP, line[NEEDS] | SEND
    if end < 0 or row == end or rows.abilities[row] & to_send != to_send:
        return False
    for lane in range(rows.lane_starts[row], rows.lane_starts[row + 1]):
        if rows.lane_to[lane] == end and rows.lane_abilities[lane] & to_collect == to_collect:
            return True
    return False
