"""From a basket's stock to the grid of its slots, in machine code, when nothing couples slots.

This is the way of the ordinary order: no supply in play, every sku on one line, and capacities that
are looked at only where a plan uses them. `candidates.py` says the same for every other order; a
test holds the two to the same slots.
"""

from typing import NamedTuple

import msgspec
import numpy as np

from routing.basket import Seen, tabled
from routing.compiled import compiled
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
    Cells,
    Tables,
    ends_of,
    held_by,
)
from routing.problem import Line, Policy
from routing.shortlist import shortlisted
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
    units = tabled(there.counts, there.rows, there.units, len(terrain.row_of))
    rows = there.rows.astype(np.int32)
    cells = Cells(rows, there.units, there.counts, table, dates, there.beyond, units)
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
    ends = ends_of(cells)
    near, serves = shortlisted(rows, cells, stairs, ends, pruned)
    held = held_by(rows, cells, near)
    places, lanes = _offered(rows, stairs, (ends, serves), held.pickup, near)
    return _priced(rows, cells, stairs, held, (near, places, lanes))


@compiled
def _offered(
    rows: Rows, stairs: Stairs, pruned: tuple[Ints, Bools], pickup: Ints, near: Ints
) -> tuple[Ints, Ints]:
    """The place of the row and the lane of each slot: a pickup first, then services worth a look.

    `pruned` are the ends that the order can use, and which of them each near row serves.
    """
    ends, serves = pruned
    most = len(near)
    for row in near:
        most += rows.lane_starts[row + 1] - rows.lane_starts[row]
    slot_places, slot_lanes = np.empty(most, np.int64), np.empty(most, np.int64)
    count = 0
    for n in range(len(near)):
        row = near[n]
        if pickup[n].any():
            slot_places[count], slot_lanes[count] = n, -1
            count += 1
        first, last = rows.lane_starts[row], rows.lane_starts[row + 1]
        kept = np.zeros(last - first, np.bool_)
        for end in range(len(ends)):
            if serves[n, end]:
                kept |= rows.lane_to[first:last] == ends[end]
        for lane in range(first, last):
            if not kept[lane - first]:
                continue
            if last - first > 1 and _beaten(rows, stairs, kept, first, lane):
                kept[lane - first] = False
            else:
                slot_places[count], slot_lanes[count] = n, lane
                count += 1
    return slot_places[:count].copy(), slot_lanes[:count].copy()


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
    held: Tables,
    slots: tuple[Ints, Ints, Ints],
) -> Slots:
    """The arrays of the grid; of a staircase only the steps that the order can reach.

    `slots` are the near rows, and of each slot the place of its row among them and its lane.
    """
    near, places, slot_lanes = slots
    slot_rows = np.empty(len(places), np.int64)
    for k in range(len(places)):
        slot_rows[k] = near[places[k]]
    weight = (cells.lines[:, QUANTITY] * cells.lines[:, GRAMS]).sum()
    count, width = len(slot_rows), len(cells.lines)
    units_max = np.empty((count, width), np.int64)
    latest = np.empty(count, np.int64)
    starts, tariffs = np.zeros(count + 1, np.int64), np.empty(count, np.int64)
    for k in range(count):
        row, lane = slot_rows[k], slot_lanes[k]
        collected = lane < 0
        tariffs[k] = len(stairs.starts) - 2 if collected else rows.lane_tariff[lane]
        latest[k] = rows.ready[row] if collected else rows.lane_latest[lane]
        steps = 1
        while stairs.grams[stairs.starts[tariffs[k]] + steps - 1] < weight:
            steps += 1
        starts[k + 1] = starts[k] + steps
        end = -1 if collected else rows.lane_to[lane]
        for i in range(width):
            if end >= 0:
                units_max[k, i] = held.sent[places[k], i] if cells.lines[i, SENT_ROW] == end else 0
            else:
                given = held.pickup if collected else held.ship
                units_max[k, i] = given[places[k], i]
    grams, minor = np.empty(starts[count], np.int64), np.empty(starts[count], np.int64)
    for k in range(count):
        first = stairs.starts[tariffs[k]]
        for step in range(starts[k + 1] - starts[k]):
            grams[starts[k] + step] = stairs.grams[first + step]
            minor[starts[k] + step] = stairs.minor[first + step]
    nodes = np.zeros(count, np.int64)
    for k in range(1, count):
        nodes[k] = nodes[k - 1] + (slot_rows[k] != slot_rows[k - 1])
    opening_minor = _opening_minor(rows, cells.beyond.surcharges, slot_rows, slot_lanes)
    unit_minor = _unit_minor(rows, cells.lines, held.beyond_minor, slots)
    time_minor = _time_minor(cells.lines, cells.waits, latest)
    parts = units_max, time_minor, opening_minor, unit_minor, nodes, starts, grams, minor
    return Slots(slot_rows, slot_lanes, *parts)


@compiled
def _unit_minor(
    rows: Rows, lines: Ints, beyond_minor: Ints, slots: tuple[Ints, Ints, Ints]
) -> Ints:
    """`[K, I]`: price of a unit: handling at both ends, emissions, what its node adds beyond money."""
    near, places, slot_lanes = slots
    handling = rows.unit_minor
    found = np.empty((len(places), len(lines)), np.int64)
    for k in range(len(places)):
        lane = slot_lanes[k]
        rate = 0 if lane < 0 else rows.lane_rate[lane]
        each = handling[near[places[k]]] + received(rows, handling, lane)
        for i in range(len(lines)):
            found[k, i] = each
            if rate:
                found[k, i] += lines[i, GRAMS] * rate // RATE
            if len(beyond_minor):
                found[k, i] += beyond_minor[places[k], i]
    return found


@compiled
def _opening_minor(rows: Rows, surcharges: Ints, slot_rows: Ints, slot_lanes: Ints) -> Ints:
    """`[K]`: price of a fulfillment at both ends, its soft rules and its emissions, parcels aside."""
    found = np.empty(len(slot_rows), np.int64)
    for k in range(len(found)):
        row, lane = slot_rows[k], slot_lanes[k]
        found[k] = rows.order_minor[row]
        found[k] += rows.pickup_opening[row] if lane < 0 else rows.lane_opening[lane]
        found[k] += received(rows, rows.order_minor, lane)
        if len(surcharges):
            found[k] += surcharges[row]
    return found


@compiled
def received(rows: Rows, minor: Ints, lane: int) -> int:
    """What the row at the end of a lane charges by its prices `[R]`; nothing at the destination."""
    end = -1 if lane < 0 else rows.lane_to[lane]
    return 0 if end < 0 else int(minor[end])


@compiled
def _time_minor(lines: Ints, waits: Ints, latest: Ints) -> Ints:
    """`[K, I]`: delay and lateness of each line where it is promised for `latest` `[K]`."""
    found = np.empty((len(latest), len(lines)), np.int64)
    for k in range(len(latest)):
        delay_minor = max(0, latest[k] - waits[ORDERED_ON]) * waits[DELAY]
        for i in range(len(lines)):
            requested_on = lines[i, REQUESTED_ON]
            late = max(0, latest[k] - requested_on) if requested_on else 0
            found[k, i] = delay_minor + late * waits[LATENESS]
    return found
