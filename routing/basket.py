"""One order on a prepared destination: what is asked, what was seen, and the problem it makes."""

from collections.abc import Mapping
from datetime import datetime

import msgspec
import numpy as np
from numpy.typing import NDArray

from routing.grid import Ints
from routing.problem import Capacity, Line, Policy, Problem, Stock, Supply
from routing.terrain import Destination, Terrain

Counts = NDArray[np.int32] | NDArray[np.int64]


class Basket(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """An order with what nodes can give of it; nodes are named by the terrain's numbers."""

    now: datetime
    """The instant of the order, UTC."""
    lines: tuple[Line, ...]
    policy: Policy
    stock: Mapping[str, tuple[Counts, Ints]]
    """By sku: node numbers, each at most once, and the units each can give now."""
    supply: Mapping[tuple[str, str], tuple[Supply, ...]] = {}
    """By node id and sku; read with backorders only."""
    capacity: Mapping[str, tuple[Capacity, ...]] = {}
    """By node id. Leave out nodes with room for all this order could ask: each is looked through."""


class Seen(msgspec.Struct, frozen=True, eq=False):
    """What a basket shows of the nodes of a terrain; P cells, sku after sku in order of name."""

    skus: tuple[str, ...]
    needs: tuple[int, ...]
    """By sku: units ordered over all its lines."""
    counts: tuple[int, ...]
    """By sku: how many of the cells are its own."""
    rows: Ints
    """`[P]`: row of the node in the terrain."""
    units: Ints
    """`[P]`: what it can give now, at most all that is ordered; may be 0 or less."""
    supply: tuple[tuple[int, int, tuple[Supply, ...]], ...] = ()
    """Row, sku and what is expected."""
    capacity: tuple[tuple[int, tuple[Capacity, ...]], ...] = ()
    """Row and limits, of the nodes where they were looked at."""


def seen(terrain: Terrain, basket: Basket) -> Seen:
    """The stock, supply and capacity of a basket by rows of the terrain."""
    wanted: dict[str, int] = {}
    for line in basket.lines:
        wanted[line.sku] = wanted.get(line.sku, 0) + line.quantity
    skus = tuple(sorted(wanted))
    numbers, units, counts = [_NONE], [_NONE], []
    for sku in skus:
        found = basket.stock.get(sku)
        if found is None:
            counts.append(0)
        else:
            numbers.append(found[0])  # type: ignore[arg-type]
            units.append(np.minimum(found[1], wanted[sku]))
            counts.append(len(found[0]))
    row_of = terrain.rows.row_of
    every = np.concatenate(numbers, dtype=np.int64)
    if every.size and int(every.max()) >= row_of.size:
        every = np.minimum(every, row_of.size)
        row_of = np.append(row_of, -1)
    return Seen(
        skus=skus,
        needs=tuple(wanted[sku] for sku in skus),
        counts=tuple(counts),
        rows=row_of[every],
        units=np.concatenate(units),
        supply=_supply(terrain, basket, skus) if basket.policy.backorder else (),
    )


def limited(terrain: Terrain, basket: Basket, there: Seen) -> Seen:
    """What was seen, and what nodes with any of it can still take on each date."""
    rows = {*there.rows.tolist(), *(row for row, _, _ in there.supply)}
    limits = (
        (terrain.row_of.get(node_id, -1), limits) for node_id, limits in basket.capacity.items()
    )
    known = tuple((row, found) for row, found in limits if row >= 0 and row in rows)
    return msgspec.structs.replace(there, capacity=known)


_NONE = np.zeros(0, np.int64)


def _supply(
    terrain: Terrain, basket: Basket, skus: tuple[str, ...]
) -> tuple[tuple[int, int, tuple[Supply, ...]], ...]:
    index = {sku: s for s, sku in enumerate(skus)}
    return tuple(
        (terrain.row_of[node_id], index[sku], expected)
        for (node_id, sku), expected in basket.supply.items()
        if node_id in terrain.row_of and sku in index and expected
    )


def problem_of(
    served: Destination, there: Seen, now: datetime, lines: tuple[Line, ...], policy: Policy
) -> Problem:
    """The problem that a basket poses: the nodes that hold anything of it, in full."""
    nodes = served.nodes
    expected = {(row, s): supply for row, s, supply in there.supply}
    sku_of = np.repeat(np.arange(len(there.skus)), there.counts).tolist()
    cells = {
        (row, s): units
        for row, s, units in zip(there.rows.tolist(), sku_of, there.units.tolist(), strict=True)
        if row >= 0 and (units > 0 or (row, s) in expected)
    }
    cells |= dict.fromkeys(expected.keys() - cells.keys(), 0)
    holding = sorted({row for row, _ in cells})
    names = {nodes[row].node_id for row in holding}
    limits = dict(there.capacity)
    return Problem(
        now=now,
        destination_time_zone=served.time_zone,
        lines=lines,
        nodes=tuple(
            msgspec.structs.replace(nodes[row], capacity=limits[row])
            if row in limits
            else nodes[row]
            for row in holding
        ),
        stock=tuple(
            Stock(
                node_id=nodes[row].node_id,
                sku=there.skus[s],
                available=units,
                supply=expected.get((row, s), ()),
            )
            for (row, s), units in sorted(cells.items())
        ),
        lanes=tuple(lane for lane in served.lanes if lane.node_id in names),
        calendars=served.calendars,
        tariffs=served.tariffs,
        policy=policy,
    )
