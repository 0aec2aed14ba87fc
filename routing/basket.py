"""One order on a prepared destination: what is asked, what was seen, and the problem it makes."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from routing.beyond import NOTHING, Beyond
from routing.bundles import needs_of
from routing.compiled import compiled
from routing.destination import Destination
from routing.grid import Ints
from routing.problem import (
    PRICE_MINOR_MAX,
    Capacity,
    Line,
    Node,
    Policy,
    Problem,
    ProblemError,
    Stock,
    Supply,
)
from routing.terrain import Terrain, rows_of

Numbers = NDArray[np.int32] | NDArray[np.int64]
Bytes = NDArray[np.uint8]
Units = NDArray[np.int32]


class Held(NamedTuple):
    """What nodes can give of some skus now: P cells of a node and its units, sku after sku."""

    skus: tuple[str, ...]
    """Each once, in order of name."""
    counts: Ints
    """`[S]`: cells of each."""
    numbers: Ints
    """`[P]`: nodes by the terrain's numbers, each at most once for a sku."""
    units: Ints
    """`[P]`: may be 0 or less."""
    worth: Ints = NOTHING.worth
    """`[P]`: what a unit may be worth at the node otherwise; or empty for nothing anywhere."""
    risk: Ints = NOTHING.risk
    """`[P]`: expected cost of the node refusing a unit; or empty."""


def cells_of(held: Held, sku: str) -> tuple[Ints, Ints]:
    """Return the nodes of one of the skus, by number, and their units."""
    place = held.skus.index(sku)
    end = int(held.counts[: place + 1].sum())
    cells = slice(end - int(held.counts[place]), end)
    return held.numbers[cells], held.units[cells]


class Found(NamedTuple):
    """Stock of a basket by rows of a terrain."""

    rows: Units
    """`[P]`: the row of each cell, -1 where the terrain does not have its node."""
    table: Units
    """`[S, R + 1]`: see `tabled`."""


class Basket(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """An order with what nodes can give of it; nodes are named by the terrain's numbers."""

    now: datetime
    """The instant of the order, UTC."""
    lines: tuple[Line, ...]
    policy: Policy
    held: Held
    """Stock of exactly the skus of the lines, of kits those of their components."""
    supply: Mapping[tuple[str, str], tuple[Supply, ...]] = {}
    """By node id and sku; read with backorders only."""
    capacity: Mapping[str, tuple[Capacity, ...]] = {}
    """By node id. Leave out nodes with room for all this order could ask: each is looked through."""
    surcharges: Mapping[str, int] = {}
    """By node id: price of one more fulfillment there. Leave out those without."""
    terms: Mapping[str, Ints] = {}
    """What `held.worth` is made of: by what it is for, `[P]`. Changes no plan; the record tells of
    it."""
    stale: Mapping[str, int] = {}
    """By node id: age in seconds of the feed its stock is known by, where that was too old: the node
    was left out of `held`, or has a surcharge for it. Changes no plan; the record tells of it."""


class Seen(msgspec.Struct, frozen=True, eq=False):
    """What a basket shows of the nodes of a terrain; P cells, sku after sku in order of name."""

    skus: tuple[str, ...]
    needs: tuple[int, ...]
    """By sku: units ordered over all its lines."""
    counts: Ints
    """By sku: how many of the cells are its own."""
    rows: Ints
    """`[P]`: row of the node in the terrain, -1 where it is not there."""
    units: Ints
    """`[P]`: what it can give now, at most all that is ordered; may be 0 or less."""
    supply: tuple[tuple[int, int, tuple[Supply, ...]], ...] = ()
    """Row, sku and what is expected."""
    capacity: tuple[tuple[int, tuple[Capacity, ...]], ...] = ()
    """Row and limits, of the nodes where they were looked at."""
    beyond: Beyond = NOTHING
    """Prices of the cells and of the nodes."""


def held(
    lines: Iterable[Line],
    stock: Mapping[str, tuple[Numbers, Ints]],
    prices: Mapping[str, tuple[Ints, Ints]] | None = None,
) -> Held:
    """The stock of the skus of some lines, given by sku as node numbers and units.

    `prices` are by sku the worth and the risk of a unit at each of these nodes.
    """
    skus = tuple(needs_of(lines))
    found = [stock[sku] for sku in skus if sku in stock]
    priced = [prices[sku] for sku in skus if sku in stock] if prices else []
    return Held(
        skus,
        np.array([len(stock[sku][0]) if sku in stock else 0 for sku in skus], np.int64),
        np.concatenate([_NONE, *(numbers for numbers, _ in found)], dtype=np.int64),
        np.concatenate([_NONE, *(units for _, units in found)]),
        np.concatenate([_NONE, *(worth for worth, _ in priced)]),
        np.concatenate([_NONE, *(risk for _, risk in priced)]),
    )


def seen(terrain: Terrain, basket: Basket) -> Seen:
    """The stock, supply and capacity of a basket by rows of the terrain."""
    wanted = needs_of(basket.lines)
    skus, counts, numbers, units, _, _ = basket.held
    needs = tuple(wanted[sku] for sku in skus)
    rows, most = by_row(terrain.packed, (counts, numbers, units), np.array(needs, np.int64))
    return Seen(
        skus=skus,
        needs=needs,
        counts=counts,
        rows=rows,
        units=most,
        supply=expected(terrain, basket) if basket.policy.backorder else (),
        beyond=prices_of(terrain, basket),
    )


def prices_of(terrain: Terrain, basket: Basket) -> Beyond:
    """What a basket's units and fulfillments cost beyond money.

    Raises `ProblemError` where prices are not those of its cells, are negative or too large.
    """
    worth, risk, count = basket.held.worth, basket.held.risk, len(basket.held.numbers)
    if not (len(worth) or len(risk) or basket.surcharges):
        return NOTHING
    surcharges = np.zeros(len(terrain.row_of) if basket.surcharges else 0, np.int64)
    for node_id, minor in basket.surcharges.items():
        row = terrain.row_of.get(node_id, -1)
        if row >= 0:
            surcharges[row] = minor
    units = []
    for name, prices in (("worth", worth), ("risk", risk)):
        if len(prices) not in {0, count}:
            raise ProblemError(f"{name} is of {len(prices)} cells, the stock of {count}")
        units.append(prices if len(prices) or not (len(worth) or len(risk)) else np.zeros(count))
    found = Beyond(units[0].astype(np.int64), units[1].astype(np.int64), surcharges)
    for name, prices in zip(("worth", "risk", "surcharge"), found, strict=True):
        if len(prices) and not 0 <= prices.min() <= prices.max() <= PRICE_MINOR_MAX:
            span = f"{prices.min()} to {prices.max()}"
            raise ProblemError(f"{name} ranges from {span}; give 0 to {PRICE_MINOR_MAX}")
    return found


@compiled
def by_row(packed: Ints, held: tuple[Ints, Ints, Ints], needs: Ints) -> tuple[Ints, Ints]:
    """The row of each cell, -1 where the terrain does not have its node, and units, at most all."""
    counts, numbers, units = held
    row_of = rows_of(packed).row_of
    rows, most = np.empty(len(numbers), np.int64), np.empty(len(numbers), np.int64)
    cell = 0
    for sku in range(len(counts)):
        for _ in range(counts[sku]):
            number = numbers[cell]
            rows[cell] = row_of[number] if number < len(row_of) else -1
            most[cell] = min(units[cell], needs[sku])
            cell += 1
    return rows, most


@compiled
def rows_and_table(row_of: Ints, held: tuple[Ints, Ints, Ints], needs: Ints, nodes: int) -> Found:
    """The row of each cell as `by_row` tells it, and all units by row, at most those ordered."""
    counts, numbers, units = held
    rows, table = np.empty(len(numbers), np.int32), np.zeros((len(counts), nodes + 1), np.int32)
    first, known, last = 0, np.uint64(len(row_of)), np.uint64(nodes)
    for sku in range(len(counts)):
        own, need = table[sku], needs[sku]
        for cell in range(first, first + counts[sku]):
            number = np.uint64(numbers[cell])
            row = row_of[number] if number < known else np.int64(-1)
            rows[cell] = row
            # What is of no row goes where nobody reads: -1 without a sign is more than any row.
            own[min(np.uint64(row), last)] = max(0, min(units[cell], need))
        first += counts[sku]
    return Found(rows, table)


@compiled
def tabled(counts: Ints, rows: Ints, units: Ints, nodes: int) -> Units:
    """`[S, nodes + 1]`: the units of each sku by row, 0 where it has none; the last is nobody's."""
    table = np.zeros((len(counts), nodes + 1), np.int32)
    first, last = 0, np.uint64(nodes)
    for sku in range(len(counts)):
        for cell in range(first, first + counts[sku]):
            table[sku, min(np.uint64(rows[cell]), last)] = max(0, units[cell])
        first += counts[sku]
    return table


@compiled
def noted(table: Units, needs: Ints) -> Bytes:
    """Stock by row, see `tabled`, as a record keeps it: which have any of each sku, and how many.

    First `[S, nodes / 8]` as bits; then, in order of sku and row, the units of skus of which more
    than one is ordered, each in as many bytes as the largest number ordered takes.
    """
    skus, nodes = len(table), table.shape[1] - 1
    width = 1 if needs.max() < 1 << 8 else 2 if needs.max() < 1 << 16 else 4
    each = (nodes + 7) // 8
    counted = (needs > 1).sum()
    found = np.zeros(skus * each + width * (counted * nodes + 1), np.uint8)
    end = skus * each
    for sku in range(skus):
        _note(found[sku * each : (sku + 1) * each], table[sku, :nodes])
        if needs[sku] > 1:
            end += _note_units(found[end:], table[sku, :nodes], width)
    return found[:end].copy()


@compiled
def _note(bits: Bytes, units: Units) -> None:
    """Note the rows that have any of a sku."""
    whole = len(units) // 8
    for byte in range(whole):
        # In full, so that eight rows are compared at once.
        known = 0
        for bit in range(8):
            known |= (units[np.uint64(8 * byte + bit)] > 0) << bit
        bits[np.uint64(byte)] = known
    for row in range(8 * whole, len(units)):
        bits[whole] |= np.uint8((units[row] > 0) << (row & 7))


@compiled
def _note_units(found: Bytes, units: Units, width: int) -> int:
    """Write the units above 0, one after another; how many bytes that took."""
    end = np.uint64(0)
    if width == 1:
        for row in range(len(units)):
            # Without a branch, which would be guessed wrong too often.
            found[end] = units[np.uint64(row)]
            end += np.uint64(units[np.uint64(row)] > 0)
        return int(end)
    for row in range(len(units)):
        for byte in range(width):
            found[end + np.uint64(byte)] = np.uint8((units[row] >> (8 * byte)) & 255)
        end += np.uint64(width if units[row] > 0 else 0)
    return int(end)


def limited(terrain: Terrain, basket: Basket, there: Seen) -> Seen:
    """What was seen, and what nodes with any of it can still take on each date."""
    rows = {*there.rows.tolist(), *(row for row, _, _ in there.supply)}
    limits = (
        (terrain.row_of.get(node_id, -1), limits) for node_id, limits in basket.capacity.items()
    )
    known = tuple((row, found) for row, found in limits if row >= 0 and row in rows)
    return msgspec.structs.replace(there, capacity=known)


_NONE = np.zeros(0, np.int64)
_FREE = 0, 0


def expected(terrain: Terrain, basket: Basket) -> tuple[tuple[int, int, tuple[Supply, ...]], ...]:
    """What nodes of the terrain expect: row, place of the sku, and supply."""
    index = {sku: s for s, sku in enumerate(basket.held.skus)}
    return tuple(
        (terrain.row_of[node_id], index[sku], coming)
        for (node_id, sku), coming in basket.supply.items()
        if node_id in terrain.row_of and sku in index and coming
    )


def problem_of(
    served: Destination, there: Seen, now: datetime, lines: tuple[Line, ...], policy: Policy
) -> Problem:
    """The problem that a basket poses: the nodes that hold anything of it or where it is sent."""
    nodes = served.nodes
    expected = {(row, s): supply for row, s, supply in there.supply}
    sku_of = np.repeat(np.arange(len(there.skus)), there.counts).tolist()
    cells = _given(there, sku_of, {*expected})
    beyond = _by_cell(there, sku_of)
    names = {nodes[row].node_id for row, _ in cells}
    collecting = {line.pickup_node for line in lines if "ship_to_store" in line.methods}
    limits = dict(there.capacity)
    return Problem(
        now=now,
        destination_time_zone=served.time_zone,
        lines=lines,
        nodes=tuple(
            _as_found(node, row, limits, there.beyond)
            for row, node in enumerate(nodes)
            if node.node_id in names or node.node_id in collecting
        ),
        stock=tuple(
            Stock(
                node_id=nodes[row].node_id,
                sku=there.skus[s],
                available=units,
                supply=expected.get((row, s), ()),
                worth_minor=beyond.get((row, s), _FREE)[0],
                risk_minor=beyond.get((row, s), _FREE)[1],
            )
            for (row, s), units in sorted(cells.items())
        ),
        lanes=tuple(
            lane
            for lane in served.lanes
            if lane.node_id in names and (lane.to_node is None or lane.to_node in collecting)
        ),
        calendars=served.calendars,
        tariffs=served.tariffs,
        policy=policy,
    )


def _given(
    there: Seen, sku_of: list[int], expected: set[tuple[int, int]]
) -> dict[tuple[int, int], int]:
    """Units by row and sku, of the cells that have any or expect some."""
    cells = {
        (row, s): units
        for row, s, units in zip(there.rows.tolist(), sku_of, there.units.tolist(), strict=True)
        if row >= 0 and (units > 0 or (row, s) in expected)
    }
    return cells | dict.fromkeys(expected - cells.keys(), 0)


def _by_cell(there: Seen, sku_of: list[int]) -> dict[tuple[int, int], tuple[int, int]]:
    """Worth and risk by row and sku."""
    worth, risk = there.beyond.worth.tolist(), there.beyond.risk.tolist()
    places = zip(there.rows.tolist(), sku_of, strict=True)
    return dict(zip(places, zip(worth, risk, strict=True), strict=True)) if worth else {}


def _as_found(
    node: Node, row: int, limits: Mapping[int, tuple[Capacity, ...]], beyond: Beyond
) -> Node:
    """A node with its capacities and its surcharge."""
    surcharge = int(beyond.surcharges[row]) if len(beyond.surcharges) else 0
    if not (surcharge or row in limits):
        return node
    return msgspec.structs.replace(node, capacity=limits.get(row, ()), surcharge_minor=surcharge)
