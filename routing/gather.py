"""From a basket's stock to the grid of its slots, in machine code, when nothing couples slots.

This is the way of the ordinary order: no supply in play, every sku on one line, and capacities that
are looked at only where a plan uses them. `candidates.py` says the same for every other order; a
test holds the two to the same slots.
"""

from typing import NamedTuple

import msgspec
import numpy as np

from routing.basket import Seen
from routing.beyond import Beyond
from routing.compiled import compiled
from routing.dominance import WORD, Rivals, needless
from routing.grid import Grid, Ints
from routing.problem import Line, Policy
from routing.survey import Bools
from routing.terrain import (
    PICKUP,
    SHIP,
    UNKNOWN_ABILITY,
    Rows,
    Stairs,
    Terrain,
    rows_of,
    stairs_of,
)

QUANTITY, GRAMS, SKU, NEEDS, SHIPS, PICKUP_ROW, REQUESTED_ON, WIDTH = range(8)
"""Columns of what is known of a line; `NEEDS` are abilities as bits, dates are ordinals. Their
number comes last."""

DELAY, LATENESS, ORDERED_ON = range(3)


class Cells(NamedTuple):
    """A basket: P cells of stock, sku after sku, and I lines in order of their ids."""

    rows: Ints
    """`[P]`: row in the terrain, -1 for nodes it does not know."""
    units: Ints
    """`[P]`"""
    counts: Ints
    """`[S]`: cells of each sku."""
    lines: Ints
    """`[I, 7]`: see the columns above."""
    waits: Ints
    """`[3]`: price of a line's day, of its late day, and the date of the order."""
    beyond: Beyond
    """Prices of the cells and of the terrain's rows."""


class Slots(NamedTuple):
    """The slots of a basket, K of them in order of node, method and service."""

    rows: Ints
    """`[K]`: the node's row in the terrain."""
    lanes: Ints
    """`[K]`: the lane, -1 for a pickup."""
    units_max: Ints
    time_minor: Ints
    slot_minor: Ints
    unit_minor: Ints
    nodes: Ints
    step_starts: Ints
    step_grams: Ints
    step_minor: Ints


class Gathered(msgspec.Struct, frozen=True, eq=False):
    """The grid of a basket and what its slots are."""

    grid: Grid
    slots: Slots
    cells: Cells
    lines: tuple[Line, ...]
    """In order of their ids, as the columns of the grid."""


def gather(
    terrain: Terrain,
    there: Seen,
    lines: tuple[Line, ...],
    policy: Policy,
    *,
    pruned: bool = True,
) -> Gathered:
    """The slots that a basket's plan can use, of which no two have limits in common.

    Each sku is on one line and there is no supply; capacities are not looked at. Without pruning
    nodes stay that others make needless: at other prices of stock they may be wanted.
    """
    lines = by_id(lines)
    index = {sku: s for s, sku in enumerate(there.skus)}
    table = np.array([columns(terrain, line, index[line.sku]) for line in lines], np.int64)
    waits = policy.delay_minor, policy.lateness_minor, terrain.ordered_on.toordinal()
    weight = sum(line.quantity * line.weight_grams for line in lines)
    dates = np.array(waits, np.int64)
    cells = Cells(there.rows, there.units, there.counts, table, dates, there.beyond)
    slots = _unpacked(terrain.packed, cells, terrain.staircases(weight), int(pruned))
    grid = Grid(
        units_max=slots.units_max,
        quantities=table[:, QUANTITY].copy(),
        weights_grams=table[:, GRAMS].copy(),
        time_minor=slots.time_minor,
        slot_minor=slots.slot_minor,
        unit_minor=slots.unit_minor,
        nodes=slots.nodes,
        step_starts=slots.step_starts,
        step_grams=slots.step_grams,
        step_minor=slots.step_minor,
        split_minor=policy.split_minor,
        shortage_minor=policy.shortage_minor,
        complete=policy.ship_complete,
    )
    return Gathered(grid, slots, cells, lines)


def by_id(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    """Lines in order of their ids."""
    return tuple(sorted(lines, key=_line_id)) if len(lines) > 1 else lines


def _line_id(line: Line) -> str:
    return line.line_id


def columns(terrain: Terrain, line: Line, sku: int) -> tuple[int, ...]:
    """What machine code reads of a line whose sku has this place."""
    needs = 0
    for name in line.requires:
        needs |= terrain.abilities.get(name, UNKNOWN_ABILITY)
    row = -1
    if "pickup" in line.methods:
        row = terrain.row_of.get(line.pickup_node or "", -1)
    requested_on = line.requested_by.toordinal() if line.requested_by else 0
    ships = int("ship" in line.methods)
    return line.quantity, line.weight_grams, sku, needs, ships, row, requested_on


@compiled
def _unpacked(rows: Ints, cells: Cells, stairs: Ints, pruned: int) -> Slots:
    return offered(rows_of(rows), cells, stairs_of(stairs), pruned)


@compiled
def offered(rows: Rows, cells: Cells, stairs: Stairs, pruned: int) -> Slots:
    """The slots that a basket's plan can use; `pruned` of 0 leaves those of needless nodes."""
    ship, pickup, holding = _held(rows, cells)
    weight = (cells.lines[:, QUANTITY] * cells.lines[:, GRAMS]).sum()
    rivals = _rivals(rows, cells, stairs, (ship, holding), weight)
    by = np.full(len(holding), -1, np.int64)
    if pruned:
        by, _ = needless(rivals, stairs.savings)
    slot_rows, slot_lanes = _offered(rows, stairs, (by, rivals.holds), pickup, holding)
    return _priced(rows, cells, stairs, (slot_rows, slot_lanes), (ship, pickup, weight))


@compiled
def _held(rows: Rows, cells: Cells) -> tuple[Ints, Ints, Ints]:
    """Units by row and line that may be shipped, those to be collected, and the rows with any."""
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
            able = rows.abilities[row]
            delivers = rows.lane_starts[row] < rows.lane_starts[row + 1]
            if line[SHIPS] and delivers and able & to_ship == to_ship:
                ship[row, i] = units
                some[row] = True
            if row == line[PICKUP_ROW] and able & to_collect == to_collect:
                pickup[row, i] = units
                some[row] = True
    return ship, pickup, np.flatnonzero(some)


@compiled
def _rivals(
    rows: Rows, cells: Cells, stairs: Stairs, held: tuple[Ints, Ints], weight: int
) -> Rivals:
    """What pruning reads of the rows that hold any of the order."""
    ship, holding = held
    count, width = len(holding), len(cells.lines)
    holds = np.zeros((count, (width + WORD - 1) // WORD), np.int64)
    fills = np.zeros_like(holds)
    slope, whole = np.zeros(count, np.int64), np.empty(count, np.int64)
    opening_minor, beyond_minor = _opening_minor(rows, cells), _beyond_minor(rows, cells)
    lane_starts = np.zeros(count + 1, np.int64)
    for n in range(count):
        row = holding[n]
        for i in range(width):
            if ship[row, i]:
                bit = np.int64(1) << (i % WORD)
                holds[n, i // WORD] |= bit
                if ship[row, i] == cells.lines[i, QUANTITY]:
                    fills[n, i // WORD] |= bit
                late = cells.waits[LATENESS] if cells.lines[i, REQUESTED_ON] else 0
                slope[n] += cells.waits[DELAY] + late
        lane_starts[n + 1] = lane_starts[n] + rows.lane_starts[row + 1] - rows.lane_starts[row]
    lanes = np.empty(lane_starts[count], np.int64)
    for n in range(count):
        first, whole[n] = rows.lane_starts[holding[n]], 2**61
        for place in range(lane_starts[n + 1] - lane_starts[n]):
            lanes[lane_starts[n] + place] = first + place
            price = _price(stairs, rows.lane_tariff[first + place], weight)
            whole[n] = min(whole[n], price + opening_minor[holding[n]])
    return Rivals(
        holds,
        fills,
        lane_starts,
        rows.lane_tariff[lanes],
        rows.lane_latest[lanes],
        whole,
        opening_minor[holding],
        rows.unit_minor[holding],
        beyond_minor[holding] if len(beyond_minor) else beyond_minor,
        slope,
        np.ones(count, np.bool_),
    )


@compiled
def _opening_minor(rows: Rows, cells: Cells) -> Ints:
    """`[R]`: price of a fulfillment, parcels aside."""
    if len(cells.beyond.surcharges) == 0:
        return rows.order_minor
    return rows.order_minor + cells.beyond.surcharges


@compiled
def _beyond_minor(rows: Rows, cells: Cells) -> Ints:
    """`[R, I]`: worth and risk of a unit; `[0, 0]` where the cells have none."""
    if len(cells.beyond.worth) == 0:
        return np.zeros((0, 0), np.int64)
    found = np.zeros((len(rows.abilities), len(cells.lines)), np.int64)
    for i in range(len(cells.lines)):
        first = cells.counts[: cells.lines[i, SKU]].sum()
        for cell in range(first, first + cells.counts[cells.lines[i, SKU]]):
            if cells.rows[cell] >= 0 and cells.units[cell] > 0:
                price = cells.beyond.worth[cell] + cells.beyond.risk[cell]
                found[cells.rows[cell], i] = price
    return found


@compiled
def _price(stairs: Stairs, tariff: int, weight: int) -> int:
    step = stairs.starts[tariff]
    while stairs.grams[step] < weight:
        step += 1
    return int(stairs.minor[step])


@compiled
def _offered(
    rows: Rows, stairs: Stairs, pruned: tuple[Ints, Ints], pickup: Ints, holding: Ints
) -> tuple[Ints, Ints]:
    """The row and the lane of each slot: a pickup first, then the services worth a look."""
    by, holds = pruned
    most = len(holding) + len(rows.lane_tariff)
    slot_rows, slot_lanes = np.empty(most, np.int64), np.empty(most, np.int64)
    count = 0
    for n in range(len(holding)):
        row = holding[n]
        if pickup[row].any():
            slot_rows[count], slot_lanes[count] = row, -1
            count += 1
        if by[n] >= 0 or not holds[n].any():
            continue
        first, last = rows.lane_starts[row], rows.lane_starts[row + 1]
        kept = np.ones(last - first, np.bool_)
        for lane in range(first, last):
            if _beaten(rows, stairs, kept, first, lane):
                kept[lane - first] = False
            else:
                slot_rows[count], slot_lanes[count] = row, lane
                count += 1
    return slot_rows[:count].copy(), slot_lanes[:count].copy()


@compiled
def _beaten(rows: Rows, stairs: Stairs, kept: Bools, first: int, lane: int) -> bool:
    """Whether another service kept so far is no dearer at any weight and no later."""
    for other in range(first, first + len(kept)):
        if (
            other != lane
            and kept[other - first]
            and stairs.savings[rows.lane_tariff[lane], rows.lane_tariff[other]] >= 0
            and rows.lane_latest[other] <= rows.lane_latest[lane]
        ):
            return True
    return False


@compiled
def _priced(
    rows: Rows, cells: Cells, stairs: Stairs, slots: tuple[Ints, Ints], held: tuple[Ints, Ints, int]
) -> Slots:
    """The arrays of the grid; of a staircase only the steps that the order can reach."""
    slot_rows, slot_lanes = slots
    ship, pickup, weight = held
    count, width = len(slot_rows), len(cells.lines)
    units_max = np.empty((count, width), np.int64)
    unit_minor, beyond_minor = np.empty((count, width), np.int64), _beyond_minor(rows, cells)
    time_minor = np.empty((count, width), np.int64)
    starts, tariffs = np.zeros(count + 1, np.int64), np.empty(count, np.int64)
    for k in range(count):
        row, lane = slot_rows[k], slot_lanes[k]
        collected = lane < 0
        tariffs[k] = len(stairs.starts) - 2 if collected else rows.lane_tariff[lane]
        latest = rows.ready[row] if collected else rows.lane_latest[lane]
        steps = 1
        while stairs.grams[stairs.starts[tariffs[k]] + steps - 1] < weight:
            steps += 1
        starts[k + 1] = starts[k] + steps
        for i in range(width):
            units_max[k, i] = pickup[row, i] if collected else ship[row, i]
            time_minor[k, i] = _waiting(cells, i, latest)
            unit_minor[k, i] = rows.unit_minor[row]
            if len(beyond_minor):
                unit_minor[k, i] += beyond_minor[row, i]
    grams, minor = np.empty(starts[count], np.int64), np.empty(starts[count], np.int64)
    for k in range(count):
        first = stairs.starts[tariffs[k]]
        for step in range(starts[k + 1] - starts[k]):
            grams[starts[k] + step] = stairs.grams[first + step]
            minor[starts[k] + step] = stairs.minor[first + step]
    nodes = np.zeros(count, np.int64)
    for k in range(1, count):
        nodes[k] = nodes[k - 1] + (slot_rows[k] != slot_rows[k - 1])
    opening_minor = _opening_minor(rows, cells)[slot_rows]
    parts = units_max, time_minor, opening_minor, unit_minor, nodes, starts, grams, minor
    return Slots(slot_rows, slot_lanes, *parts)


@compiled
def _waiting(cells: Cells, i: int, latest: int) -> int:
    """Delay and lateness of a line promised for `latest`."""
    waited = max(0, latest - cells.waits[ORDERED_ON]) * cells.waits[DELAY]
    requested_on = cells.lines[i, REQUESTED_ON]
    if requested_on:
        waited += max(0, latest - requested_on) * cells.waits[LATENESS]
    return int(waited)
