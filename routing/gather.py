"""From a basket's stock to the grid of its slots, in machine code, when nothing couples slots.

This is the way of the ordinary order: no supply in play, every sku on one line, and capacities that
are looked at only where a plan uses them. `candidates.py` says the same for every other order; a
test holds the two to the same slots.
"""

from typing import NamedTuple

import msgspec
import numpy as np

from routing.basket import Seen
from routing.compiled import compiled
from routing.dominance import WORD, Rivals, needless
from routing.filters import RATE
from routing.grid import Grid, Ints
from routing.holding import (
    DELAY,
    GRAMS,
    LATENESS,
    ORDERED_ON,
    QUANTITY,
    REQUESTED_ON,
    SENT_ROW,
    SKU,
    Cells,
    ends_of,
    held_by,
    in_several_ways,
)
from routing.problem import Line, Policy
from routing.survey import Bools
from routing.terrain import (
    UNKNOWN_ABILITY,
    Rows,
    Stairs,
    Terrain,
    rows_of,
    stairs_of,
)


class Slots(NamedTuple):
    """The slots of a basket, K of them in order of node, method, pickup node and service."""

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
    nodes_max = policy.nodes_per_line_max or 0
    waits = policy.delay_minor, policy.lateness_minor, terrain.ordered_on.toordinal(), nodes_max
    weight = sum(line.quantity * line.priced_grams for line in lines)
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
        shortage_minor=np.full(len(lines), policy.shortage_minor),
        complete=policy.ship_complete,
        nodes_max=nodes_max,
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
    place = terrain.row_of.get(line.pickup_node or "", -1)
    row = place if "pickup" in line.methods else -1
    sent = place if "ship_to_store" in line.methods else -1
    requested_on = line.requested_by.toordinal() if line.requested_by else 0
    ships = int("ship" in line.methods)
    return line.quantity, line.priced_grams, sku, needs, ships, row, sent, requested_on


@compiled
def _unpacked(rows: Ints, cells: Cells, stairs: Ints, pruned: int) -> Slots:
    return offered(rows_of(rows), cells, stairs_of(stairs), pruned)


@compiled
def offered(rows: Rows, cells: Cells, stairs: Stairs, pruned: int) -> Slots:
    """The slots that a basket's plan can use; `pruned` of 0 leaves those of needless nodes."""
    ship, pickup, sent, holding = held_by(rows, cells)
    weight = (cells.lines[:, QUANTITY] * cells.lines[:, GRAMS]).sum()
    ends = ends_of(cells)
    serves = np.zeros((len(holding), len(ends)), np.bool_)
    several = in_several_ways(cells, (ship, pickup, sent), holding)
    for end in range(len(ends)):
        given = ship if ends[end] < 0 else sent
        rivals = _rivals(rows, cells, stairs, (given, several, holding), (ends[end], weight))
        by = np.full(len(holding), -1, np.int64)
        if pruned:
            by, _ = needless(rivals, stairs.savings)
        for n in range(len(holding)):
            for word in range(rivals.holds.shape[1]):
                serves[n, end] |= by[n] < 0 and rivals.holds[n, word] != 0
    slots = _offered(rows, stairs, (ends, serves), pickup, holding)
    return _priced(rows, cells, stairs, slots, (ship, pickup, sent), weight)


@compiled
def _rivals(
    rows: Rows,
    cells: Cells,
    stairs: Stairs,
    held: tuple[Ints, Bools, Ints],
    asked: tuple[int, int],
) -> Rivals:
    """What pruning reads of the rows that hold any of the order, and of their lanes to one end.

    `asked` are that end and the weight of the order.
    """
    given, several, holding = held
    end, weight = asked
    count, width = len(holding), len(cells.lines)
    holds = np.zeros((count, (width + WORD - 1) // WORD), np.int64)
    fills = np.zeros_like(holds)
    slope, whole = np.zeros(count, np.int64), np.empty(count, np.int64)
    opening_minor, beyond_minor = _opening_minor(rows, cells), _beyond_minor(rows, cells)
    both = np.zeros(count, np.bool_)
    for n, row in enumerate(holding):
        for i in range(width):
            if given[row, i] and (end < 0 or cells.lines[i, SENT_ROW] == end):
                both[n] = both[n] or several[n, i]
                bit = np.int64(1) << (i % WORD)
                holds[n, i // WORD] |= bit
                if given[row, i] == cells.lines[i, QUANTITY]:
                    fills[n, i // WORD] |= bit
                late = cells.waits[LATENESS] if cells.lines[i, REQUESTED_ON] else 0
                slope[n] += cells.waits[DELAY] + late
    lane_starts, lanes = _leading(rows, holding, end)
    for n in range(count):
        whole[n] = 2**61
        for lane in lanes[lane_starts[n] : lane_starts[n + 1]]:
            price = _price(stairs, rows.lane_tariff[lane], weight) + rows.lane_opening[lane]
            whole[n] = min(whole[n], price + opening_minor[holding[n]])
    return Rivals(
        holds,
        fills,
        lane_starts,
        rows.lane_tariff[lanes],
        rows.lane_latest[lanes],
        rows.lane_opening[lanes],
        rows.lane_rate[lanes],
        whole,
        opening_minor[holding],
        rows.unit_minor[holding],
        beyond_minor[holding] if len(beyond_minor) else beyond_minor,
        slope,
        np.ones(count, np.bool_),
        both,
    )


@compiled
def _leading(rows: Rows, holding: Ints, end: int) -> tuple[Ints, Ints]:
    """Where the lanes of each holding row to one end begin, and those lanes."""
    starts = np.zeros(len(holding) + 1, np.int64)
    lanes = np.empty(len(rows.lane_to), np.int64)
    for n in range(len(holding)):
        starts[n + 1] = starts[n]
        for lane in range(rows.lane_starts[holding[n]], rows.lane_starts[holding[n] + 1]):
            if rows.lane_to[lane] == end:
                lanes[starts[n + 1]] = lane
                starts[n + 1] += 1
    return starts, lanes[: starts[-1]].copy()


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
    rows: Rows, stairs: Stairs, pruned: tuple[Ints, Bools], pickup: Ints, holding: Ints
) -> tuple[Ints, Ints]:
    """The row and the lane of each slot: a pickup first, then the services worth a look.

    `pruned` are the ends that the order can use, and which of them each holding row serves.
    """
    ends, serves = pruned
    most = len(holding) + len(rows.lane_tariff)
    slot_rows, slot_lanes = np.empty(most, np.int64), np.empty(most, np.int64)
    count = 0
    for n in range(len(holding)):
        row = holding[n]
        if pickup[row].any():
            slot_rows[count], slot_lanes[count] = row, -1
            count += 1
        served = 0
        for end in range(len(ends)):
            served += serves[n, end]
        if not served:
            continue
        first, last = rows.lane_starts[row], rows.lane_starts[row + 1]
        kept = np.zeros(last - first, np.bool_)
        for lane in range(first, last):
            for end in range(len(ends)):
                kept[lane - first] |= serves[n, end] and rows.lane_to[lane] == ends[end]
        for lane in range(first, last):
            if not kept[lane - first]:
                continue
            if _beaten(rows, stairs, kept, first, lane):
                kept[lane - first] = False
            else:
                slot_rows[count], slot_lanes[count] = row, lane
                count += 1
    return slot_rows[:count].copy(), slot_lanes[:count].copy()


@compiled
def _beaten(rows: Rows, stairs: Stairs, kept: Bools, first: int, lane: int) -> bool:
    """Whether another service to there, kept so far, is no dearer at any weight and no later."""
    for other in range(first, first + len(kept)):
        if (
            other != lane
            and kept[other - first]
            and rows.lane_to[other] == rows.lane_to[lane]
            and rows.lane_ready[other] == rows.lane_ready[lane]
            and rows.lane_latest[other] <= rows.lane_latest[lane]
            and rows.lane_rate[other] <= rows.lane_rate[lane]
        ):
            saved = stairs.savings[rows.lane_tariff[lane], rows.lane_tariff[other]]
            if saved + rows.lane_opening[lane] >= rows.lane_opening[other]:
                return True
    return False


@compiled
def _priced(
    rows: Rows,
    cells: Cells,
    stairs: Stairs,
    slots: tuple[Ints, Ints],
    held: tuple[Ints, Ints, Ints],
    weight: int,
) -> Slots:
    """The arrays of the grid; of a staircase only the steps that the order can reach."""
    slot_rows, slot_lanes = slots
    ship, pickup, sent = held
    count, width = len(slot_rows), len(cells.lines)
    units_max = np.empty((count, width), np.int64)
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
        end = -1 if collected else rows.lane_to[lane]
        for i in range(width):
            if end >= 0:
                units_max[k, i] = sent[row, i] if cells.lines[i, SENT_ROW] == end else 0
            else:
                units_max[k, i] = pickup[row, i] if collected else ship[row, i]
            time_minor[k, i] = _waiting(cells, i, latest)
    grams, minor = np.empty(starts[count], np.int64), np.empty(starts[count], np.int64)
    for k in range(count):
        first = stairs.starts[tariffs[k]]
        for step in range(starts[k + 1] - starts[k]):
            grams[starts[k] + step] = stairs.grams[first + step]
            minor[starts[k] + step] = stairs.minor[first + step]
    nodes = np.zeros(count, np.int64)
    for k in range(1, count):
        nodes[k] = nodes[k - 1] + (slot_rows[k] != slot_rows[k - 1])
    opening_minor = _opening_minor(rows, cells)[slot_rows] + _disliked(rows, slots)
    unit_minor = _unit_minor(rows, cells, slots)
    parts = units_max, time_minor, opening_minor, unit_minor, nodes, starts, grams, minor
    return Slots(slot_rows, slot_lanes, *parts)


@compiled
def _unit_minor(rows: Rows, cells: Cells, slots: tuple[Ints, Ints]) -> Ints:
    """`[K, I]`: price of a unit: handling, emissions, and what its node adds beyond money."""
    slot_rows, slot_lanes = slots
    found = np.empty((len(slot_rows), len(cells.lines)), np.int64)
    beyond_minor, rates = _beyond_minor(rows, cells), rows.lane_rate
    for k in range(len(slot_rows)):
        row, lane = slot_rows[k], slot_lanes[k]
        rate = 0 if lane < 0 else rates[lane]
        for i in range(len(cells.lines)):
            found[k, i] = rows.unit_minor[row]
            if rate:
                found[k, i] += cells.lines[i, GRAMS] * rate // RATE
            if len(beyond_minor):
                found[k, i] += beyond_minor[row, i]
    return found


@compiled
def _disliked(rows: Rows, slots: tuple[Ints, Ints]) -> Ints:
    """`[K]`: soft rules that slots break and emissions of their parcels."""
    found = rows.pickup_opening[slots[0]]
    for k in range(len(found)):
        if slots[1][k] >= 0:
            found[k] = rows.lane_opening[slots[1][k]]
    return found


@compiled
def _waiting(cells: Cells, i: int, latest: int) -> int:
    """Delay and lateness of a line promised for `latest`."""
    waited = max(0, latest - cells.waits[ORDERED_ON]) * cells.waits[DELAY]
    requested_on = cells.lines[i, REQUESTED_ON]
    if requested_on:
        waited += max(0, latest - requested_on) * cells.waits[LATENESS]
    return int(waited)
