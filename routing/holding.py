"""Which nodes hold what of a basket, and where they may bring it, in machine code."""

from typing import NamedTuple

import numpy as np

from routing.beyond import Beyond
from routing.compiled import compiled
from routing.grid import Ints
from routing.survey import Bools
from routing.terrain import PICKUP, SEND, SHIP, Rows

QUANTITY, GRAMS, SKU, NEEDS, SHIPS, PICKUP_ROW, SENT_ROW, REQUESTED_ON, WIDTH = range(9)
"""Columns of what is known of a line; `NEEDS` are abilities as bits, dates are ordinals. The rows are
those where it is collected, or sent to be collected. Their number comes last."""

DELAY, LATENESS, ORDERED_ON, NODES_MAX = range(4)


class Cells(NamedTuple):
    """A basket: P cells of stock, sku after sku, and I lines in order of their ids."""

    rows: Ints
    """`[P]`: row in the terrain, -1 for nodes it does not know."""
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
def held_by(rows: Rows, cells: Cells) -> tuple[Ints, Ints, Ints, Ints]:
    """Units by row and line that may be shipped, collected there, sent to be collected; rows with any.

    Where no line may be sent to be collected, that table has no rows.
    """
    count, width = len(rows.abilities), len(cells.lines)
    starts = np.zeros(len(cells.counts) + 1, np.int64)
    starts[1:] = np.cumsum(cells.counts)
    ship = np.zeros((count, width), np.int64)
    pickup = np.zeros((count, width), np.int64)
    some = np.zeros(count, np.bool_)
    for i in range(width):
        line = cells.lines[i]
        to_ship, to_collect = line[NEEDS] | SHIP, line[NEEDS] | PICKUP
        for cell in range(starts[line[SKU]], starts[line[SKU] + 1]):
            row, units = cells.rows[cell], min(cells.units[cell], line[QUANTITY])
            if row < 0 or units < 1:
                continue
            able, first = rows.abilities[row], rows.lane_starts[row]
            # Lanes to the destination are the first of a row.
            delivers = first < rows.lane_starts[row + 1] and rows.lane_to[first] < 0
            if line[SHIPS] and delivers and able & to_ship == to_ship:
                ship[row, i] = units
                some[row] = True
            if row == line[PICKUP_ROW] and able & to_collect == to_collect:
                pickup[row, i] = units
                some[row] = True
    sent = np.zeros((0, width), np.int64)
    if (cells.lines[:, SENT_ROW] >= 0).any():
        sent = _sent(rows, cells, starts, some)
    return ship, pickup, sent, np.flatnonzero(some)


@compiled
def _sent(rows: Rows, cells: Cells, starts: Ints, some: Bools) -> Ints:
    """Units by row and line that may be sent to be collected; notes the rows that have any."""
    sent = np.zeros((len(rows.abilities), len(cells.lines)), np.int64)
    for i in range(len(cells.lines)):
        line = cells.lines[i]
        end, to_collect, to_send = line[SENT_ROW], line[NEEDS] | PICKUP, line[NEEDS] | SEND
        for cell in range(starts[line[SKU]], starts[line[SKU] + 1]):
            row, units = cells.rows[cell], min(cells.units[cell], line[QUANTITY])
            if end < 0 or row < 0 or units < 1 or row == end:
                continue
            if rows.abilities[row] & to_send != to_send:
                continue
            for lane in range(rows.lane_starts[row], rows.lane_starts[row + 1]):
                able = rows.lane_abilities[lane] & to_collect == to_collect
                if rows.lane_to[lane] == end and able:
                    sent[row, i] = units
                    some[row] = True
    return sent


@compiled
def in_several_ways(cells: Cells, tables: tuple[Ints, Ints, Ints], holding: Ints) -> Bools:
    """`[N, I]`: whether a line that few nodes may share could leave a node in several ways."""
    ship, pickup, sent = tables
    width = len(cells.lines)
    found = np.zeros((len(holding), width), np.bool_)
    for n in range(len(holding) if cells.waits[NODES_MAX] else 0):
        row = holding[n]
        for i in range(width):
            ways = int(ship[row, i] > 0) + int(pickup[row, i] > 0)
            if len(sent):
                ways += int(sent[row, i] > 0)
            found[n, i] = ways > 1
    return found
