"""The bill of a plan: what each of its fulfillments takes and costs, as one array of figures.

Machine code writes it, and a plan of values is made from it without another look at the slots.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from routing import filters
from routing.compiled import compiled
from routing.filters import RATE
from routing.gather import Gathered, Slots, received
from routing.grid import Ints
from routing.holding import GRAMS, LATENESS, QUANTITY, REQUESTED_ON, SKU, Cells
from routing.plan import (
    Broken,
    Cost,
    Fulfillment,
    FulfillmentLine,
    Plan,
    Prices,
    Shortfall,
    Status,
)
from routing.problem import Line, Policy, method_of
from routing.promise import pickup_promise
from routing.terrain import Rows, Terrain

OBJECTIVE, PARCELS, HANDLING, SPLIT, LATE, DELAY, SHORT, WORTH, RISK, SURCHARGE, LEANING, HEAD = (
    range(12)
)
"""Columns of a bill's head, money and then prices beyond it, last emissions and soft rules together;
the parts of its fulfillments follow."""
ROW, LANE, SENDING, WORK, LOAD, UNITS = range(6)
"""Columns of a part: row, lane or -1 for a pickup, price of parcels and of handling, priced
weight, and then the units of each line."""


class Proof(NamedTuple):
    """How well a plan is proven."""

    bound_minor: int
    found_by: str
    unproven: Status = "greedy"
    """The status of the plan where the bound does not meet the objective."""


def parts(figures: Sequence[int], lines: int) -> list[Sequence[int]]:
    """The parts of a bill of so many lines, in the order of slots."""
    return [figures[n : n + UNITS + lines] for n in range(HEAD, len(figures), UNITS + lines)]


def plan_of(
    terrain: Terrain,
    policy: Policy,
    lines: tuple[Line, ...],
    figures: Sequence[int],
    proof: Proof,
) -> Plan:
    """The plan that a bill stands for; `lines` are in order of their ids.

    All units are on hand: a bill is of an order without supply in play.
    """
    short = [line.quantity for line in lines]
    made = []
    for part in parts(figures, len(lines)):
        for i, units in enumerate(part[UNITS:]):
            short[i] -= units
        made.append(_fulfillment(terrain, lines, part))
    objective, parcels, handling, split, late, delay, missing, *beyond = figures[:HEAD]
    broken = _broken(terrain, policy, parts(figures, len(lines))) if figures[LEANING] else ()
    return Plan(
        fulfillments=tuple(made),
        shortfalls=tuple(
            [
                Shortfall(line_id=line.line_id, quantity=units)
                for line, units in zip(lines, short, strict=True)
                if units
            ]
        ),
        cost=Cost(
            parcels_minor=parcels,
            handling_minor=handling,
            split_minor=split,
            lateness_minor=late,
            total_minor=parcels + handling + split + late,
        ),
        prices=Prices(
            delay_minor=delay,
            shortage_minor=missing,
            worth_minor=beyond[0],
            risk_minor=beyond[1],
            surcharge_minor=beyond[2],
            emissions_minor=beyond[3] - sum(rule.price_minor for rule in broken),
            soft_minor=sum(rule.price_minor for rule in broken),
        ),
        broken=broken,
        objective_minor=objective,
        bound_minor=min(proof.bound_minor, objective),
        status="optimal" if proof.bound_minor >= objective else proof.unproven,
        found_by=proof.found_by,
    )


def _broken(terrain: Terrain, policy: Policy, made: Sequence[Sequence[int]]) -> tuple[Broken, ...]:
    """The soft rules that the parts of a bill break."""
    found = []
    for part in made:
        node = terrain.destination.nodes[part[ROW]]
        lane = None if part[LANE] < 0 else terrain.lanes[part[LANE]]
        rules = filters.broken(policy, node, lane)
        found += [Broken(soft.rule, node.node_id, soft.minor) for soft in rules]
    return tuple(found)


def _fulfillment(terrain: Terrain, lines: tuple[Line, ...], part: Sequence[int]) -> Fulfillment:
    row, lane = part[ROW], part[LANE]
    first = terrain.dispatches[row] if lane < 0 else terrain.departures[lane]
    if first is None:
        raise ValueError(f"row {row} never works and has no slot")
    today = terrain.todays[row]
    sent = None if lane < 0 else terrain.lanes[lane]
    node_id = terrain.destination.nodes[row].node_id
    return Fulfillment(
        node_id=node_id,
        method=method_of(sent),
        service=None if sent is None else sent.service,
        pickup_node=node_id if sent is None else sent.to_node,
        work_on=first.work_on,
        ship_by=first.ship_by,
        promise=pickup_promise(first.work_on) if sent is None else terrain.promises[lane],
        lines=tuple(
            [
                FulfillmentLine(
                    line_id=line.line_id,
                    sku=line.sku,
                    quantity=units,
                    source="on_hand",
                    supply_id=None,
                    available_on=today,
                )
                for line, units in zip(lines, part[UNITS:], strict=True)
                if units
            ]
        ),
        weight_grams=sum(
            units * line.weight_grams for line, units in zip(lines, part[UNITS:], strict=True)
        ),
        cost=Cost(
            parcels_minor=part[SENDING],
            handling_minor=part[WORK],
            total_minor=part[SENDING] + part[WORK],
        ),
    )


def billed(terrain: Terrain, gathered: Gathered, units: Ints) -> list[int]:
    """The bill of units `[K, I]` of what was gathered."""
    grid = gathered.grid
    prices = grid.split_minor, grid.shortage_minor
    found = bill(terrain.rows, gathered.cells, gathered.slots, units, prices)
    figures: list[int] = found.tolist()
    return figures


@compiled
def bill(rows: Rows, cells: Cells, slots: Slots, units: Ints, prices: tuple[int, Ints]) -> Ints:
    """The bill of units `[K, I]`; `prices` are those of a split and of a unit short by line."""
    split_minor, shortage_minor = prices
    count, width = units.shape
    figures = np.zeros(HEAD + count * (UNITS + width), np.int64)
    promised, waits = np.zeros(width, np.int64), np.zeros(width, np.int64)
    at, opened = HEAD, 0
    for k in range(count):
        taken = units[k].sum()
        if not taken:
            continue
        row, lane, grams = slots.rows[k], slots.lanes[k], 0
        latest = rows.lane_latest[lane] if lane >= 0 else rows.ready[row]
        for i in range(width):
            if units[k, i]:
                grams += units[k, i] * cells.lines[i, GRAMS]
                waits[i] = max(waits[i], slots.time_minor[k, i])
                promised[i] = max(promised[i], latest)
            figures[at + UNITS + i] = units[k, i]
        step = slots.step_starts[k]
        while slots.step_grams[step] < grams:
            step += 1
        figures[at + ROW], figures[at + LANE], figures[at + LOAD] = row, lane, grams
        figures[at + SENDING] = slots.step_minor[step]
        figures[at + WORK] = _handling(rows, (row, lane), taken)
        _beyond(figures, cells, row, units[k])
        figures[LEANING] += _leaning(rows, cells, (row, lane), units[k])
        figures[PARCELS] += figures[at + SENDING]
        figures[HANDLING] += figures[at + WORK]
        opened += 1
        at += UNITS + width
    figures[SPLIT] = split_minor * max(0, opened - 1)
    for i in range(width):
        requested_on = cells.lines[i, REQUESTED_ON]
        if requested_on and promised[i] > requested_on:
            figures[LATE] += cells.waits[LATENESS] * (promised[i] - requested_on)
    short = cells.lines[:, QUANTITY] - units.sum(axis=0)
    figures[DELAY], figures[SHORT] = waits.sum() - figures[LATE], (short * shortage_minor).sum()
    figures[OBJECTIVE] = figures[PARCELS:HEAD].sum()
    return figures[:at].copy()


@compiled
def _handling(rows: Rows, slot: tuple[int, int], units: int) -> int:
    """Handling of so many units of a slot, at its row and at the one that receives them."""
    row, lane = slot
    opening = rows.order_minor[row] + received(rows, rows.order_minor, lane)
    each = rows.unit_minor[row] + received(rows, rows.unit_minor, lane)
    return int(opening + each * units)


@compiled
def _leaning(rows: Rows, cells: Cells, slot: tuple[int, int], units: Ints) -> int:
    """What the soft rules that a slot breaks and its emissions cost."""
    row, lane = slot
    if lane < 0:
        return int(rows.pickup_opening[row])
    found = rows.lane_opening[lane]
    for i in range(len(units)):
        found += units[i] * (cells.lines[i, GRAMS] * rows.lane_rate[lane] // RATE)
    return int(found)


@compiled
def _beyond(figures: Ints, cells: Cells, row: int, units: Ints) -> None:
    """Add what units `[I]` of a row cost beyond money to a bill's head."""
    if len(cells.beyond.surcharges):
        figures[SURCHARGE] += cells.beyond.surcharges[row]
    for i in range(len(units) if len(cells.beyond.worth) else 0):
        if units[i]:
            cell = cells.counts[: cells.lines[i, SKU]].sum()
            while cells.rows[cell] != row:
                cell += 1
            figures[WORTH] += units[i] * cells.beyond.worth[cell]
            figures[RISK] += units[i] * cells.beyond.risk[cell]
