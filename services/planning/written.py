"""Answers about availability as bytes of JSON, written straight from the arrays of the view.

A question about twenty skus looks at thousands of records and names two hundred nodes; as objects
that would cost milliseconds. What is the same for every sku at a node, its id, dates and distance,
comes as text that was prepared once; only numbers are turned into digits here.
"""

from collections.abc import Iterable
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from inventory.buffers import PRECEDENCE
from inventory.slices import Ints, Numbers, atomic

BEST_MAX = 10
"""Nodes that are named for each sku."""
STANDING, ABILITIES, SOONEST, NAME_RANK, HEAD_FROM, HEAD_TO, TAIL_FROM, TAIL_TO = range(8)
"""Columns of a place, the row of a node number."""
PLACE_COLUMNS = 8
OPEN, SHIPS, COLLECTS = 1, 2, 4
"""Standing of a node: takes new work, ships to the destination, hands over to customers."""
SLOT, NEEDS, KEPT_FROM, KEPT_STEP, TEXT_FROM, TEXT_TO = range(6)
"""Columns of a sku that is asked for. Buffers begin at `KEPT_FROM`, one for each record where
`KEPT_STEP` is 1 and one for all where it is 0."""
SKU_COLUMNS = 6
NO_DISTANCE = -1
NUMBER_BYTES = 20
ENTRY_BYTES = 160
"""Longest entry of a node, or head of a sku, without the texts in it."""

TEN = np.uint64(10)

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


class Stock(NamedTuple):
    """The arrays of the view."""

    bounds: Ints
    cells: Numbers


class Asked(NamedTuple):
    """The skus asked for."""

    skus: Ints
    kept: Ints
    """Buffers of the records of all skus."""
    rules: Ints
    """Which rule set each, as a position in `RULES`; the last is none."""
    texts: Bytes
    rule_names: Bytes
    """`RULES` and `RULE_STARTS`, which compiled code may not know by itself: what it was compiled
    with stays in its cache when they change elsewhere."""
    rule_starts: Ints


class Places(NamedTuple):
    """The nodes by number."""

    table: Ints
    tenths_km: Ints
    """Distances to the destination; `NO_DISTANCE` without one."""
    texts: Bytes


class Out(NamedTuple):
    """Where the answer is written."""

    bytes: Bytes
    ends: Ints
    """Where the part of each sku ends."""

    @property
    def end(self) -> int:
        """Where the last one ends."""
        return int(self.ends[-1]) if len(self.ends) else 0


def literal(text: str) -> Bytes:
    """Return a text as the bytes that compiled code copies."""
    return np.frombuffer(text.encode(), np.uint8)


def joined(parts: Iterable[bytes]) -> tuple[Bytes, Ints]:
    """Return texts end to end, and where each begins; one more entry says where all end."""
    listed = list(parts)
    starts = np.array([0, *accumulate(map(len, listed))], np.int64)
    return np.frombuffer(b"".join(listed), np.uint8), starts


RULES, RULE_STARTS = joined([*(f'"{name}"'.encode() for name, _ in PRECEDENCE), b"null"])
NO_RULE = len(PRECEDENCE)

SKU = literal('{"sku":')
SHIP = literal(',"ship":{"available":')
PICKUP = literal('},"pickup":{"available":')
ATP = literal(',"atp":')
NODES = literal(',"nodes":')
BEST = literal('},"best":[')
ENTRY = literal('{"node_id":')
AVAILABLE = literal(',"available":')
DISTANCE = literal(',"distance_km":')
NULL = literal("null")
LIST_END = literal("]}")
CELL_NODE = literal(',"node_id":')
ON_HAND = literal(',"on_hand":')
RESERVED = literal(',"reserved":')
UNAVAILABLE = literal(',"unavailable":')
BUFFER = literal(',"buffer":')
BUFFER_RULE = literal(',"buffer_rule":')
PROTECTED = literal(',"protected":0')
COMMA, POINT, ZERO, CLOSE, MINUS, OPEN_LIST, CLOSE_LIST = (ord(each) for each in ",.0}-[]")


@atomic
def put(out: Any, at: int, texts: Any, start: int, end: int) -> int:
    """Copy `texts[start:end]` and return where it ends."""
    # Unsigned, or every byte would be looked at for an index counted from the end.
    to, begin = np.uint64(at), np.uint64(start)
    for k in range(np.uint64(end - start)):
        out[to + k] = texts[begin + k]
    return at + end - start


@atomic
def put_number(out: Any, at: int, value: int) -> int:
    """Write a whole number and return where it ends."""
    if value < 0:
        out[at] = MINUS
        at += 1
        value = -value
    end = at + 1
    # Unsigned division by ten is a multiplication.
    rest = np.uint64(value) // TEN
    while rest > 0:
        end += 1
        rest //= TEN
    rest = np.uint64(value)
    for k in range(end - 1, at - 1, -1):
        out[k] = np.uint64(ZERO) + rest % TEN
        rest //= TEN
    return end


@atomic
def put_all(out: Any, at: int, text: Any) -> int:
    """Copy a whole text and return where it ends."""
    return put(out, at, text, 0, text.size)


@atomic
def free_at(stock: Any, asked: Any, sku: int, k: int) -> int:
    """Return the units of the k-th record of a sku that are available."""
    at = stock.bounds[asked.skus[sku, SLOT], 0] + k
    cells = stock.cells
    free = np.int64(cells[at, 1]) - cells[at, 2] - cells[at, 3] - cells[at, 4]
    kept = asked.kept[asked.skus[sku, KEPT_FROM] + k * asked.skus[sku, KEPT_STEP]]
    return max(free - kept, 0)  # type: ignore[no-any-return]


@atomic
def is_before(places: Any, units: Any, one: int, other: int) -> bool:
    """Tell whether a node comes first: soonest, then nearest, then most units, then by id."""
    table = places.table
    if table[one, SOONEST] != table[other, SOONEST]:
        return table[one, SOONEST] < table[other, SOONEST]  # type: ignore[no-any-return]
    if places.tenths_km[one] != places.tenths_km[other]:
        return places.tenths_km[one] < places.tenths_km[other]  # type: ignore[no-any-return]
    if units[one] != units[other]:
        return units[one] > units[other]  # type: ignore[no-any-return]
    return table[one, NAME_RANK] < table[other, NAME_RANK]  # type: ignore[no-any-return]


@atomic
def put_entry(out: Any, at: int, places: Any, node: int, units: int) -> int:
    """Write one of the best nodes."""
    row = places.table[node]
    at = put(out, put_all(out, at, ENTRY), places.texts, row[HEAD_FROM], row[HEAD_TO])
    at = put_number(out, put_all(out, at, AVAILABLE), units)
    at = put_number(out, put_all(out, at, ATP), units)
    at = put_all(out, at, DISTANCE)
    tenths = places.tenths_km[node]
    if tenths == NO_DISTANCE:
        at = put_all(out, at, NULL)
    else:
        at = put_number(out, at, tenths // 10)
        out[at] = POINT
        at = put_number(out, at + 1, tenths % 10)
    return put(out, at, places.texts, row[TAIL_FROM], row[TAIL_TO])


@atomic
def put_total(out: Any, at: int, name: Any, units: int, nodes: int) -> int:
    """Write the total of one method, up to its closing brace."""
    at = put_number(out, put_all(out, at, name), units)
    at = put_number(out, put_all(out, at, ATP), units)
    return put_number(out, put_all(out, at, NODES), nodes)


@atomic
def choose(stock: Any, asked: Any, places: Any, sku: int, units: Any, best: Any) -> Any:
    """Fill `best` with the numbers of the best nodes and return totals and how many there are.

    The totals are units and nodes that ship, units and nodes that hand over. `units` gets the
    units of every node in question.
    """
    ship, ship_nodes, pickup, pickup_nodes, found = 0, 0, 0, 0, 0
    start, length = stock.bounds[asked.skus[sku, SLOT], 0], stock.bounds[asked.skus[sku, SLOT], 1]
    needs = asked.skus[sku, NEEDS]
    for k in range(length):
        node = stock.cells[start + k, 0]
        standing = places.table[node, STANDING]
        if standing <= OPEN or places.table[node, ABILITIES] & needs != needs:
            continue
        free = free_at(stock, asked, sku, k)
        if free == 0:
            continue
        units[node] = free
        if standing & SHIPS:
            ship, ship_nodes = ship + free, ship_nodes + 1
        if standing & COLLECTS:
            pickup, pickup_nodes = pickup + free, pickup_nodes + 1
        place = found
        while place > 0 and is_before(places, units, node, best[place - 1]):
            if place < BEST_MAX:
                best[place] = best[place - 1]
            place -= 1
        if place < BEST_MAX:
            best[place] = node
            found = min(found + 1, BEST_MAX)
    return ship, ship_nodes, pickup, pickup_nodes, found


@atomic
def write_skus(stock: Any, asked: Any, places: Any, out: Any) -> None:
    """Write totals and best nodes of each sku, with a comma after each."""
    at = 0
    units = np.empty(places.table.shape[0], np.int64)
    best = np.empty(BEST_MAX, np.int64)
    for sku in range(asked.skus.shape[0]):
        ship, ship_nodes, pickup, pickup_nodes, found = choose(
            stock, asked, places, sku, units, best
        )
        text_from, text_to = asked.skus[sku, TEXT_FROM], asked.skus[sku, TEXT_TO]
        at = put(out.bytes, put_all(out.bytes, at, SKU), asked.texts, text_from, text_to)
        at = put_total(out.bytes, at, SHIP, ship, ship_nodes)
        at = put_total(out.bytes, at, PICKUP, pickup, pickup_nodes)
        at = put_all(out.bytes, at, BEST)
        for k in range(found):
            if k > 0:
                out.bytes[at] = COMMA
                at += 1
            at = put_entry(out.bytes, at, places, best[k], units[best[k]])
        at = put_all(out.bytes, at, LIST_END)
        out.bytes[at] = COMMA
        at += 1
        out.ends[sku] = at


@atomic
def write_cells(stock: Any, asked: Any, places: Any, out: Any) -> None:
    """Write every record of each sku at an open node as an object, with a comma after each."""
    at = 0
    for sku in range(asked.skus.shape[0]):
        slot = asked.skus[sku, SLOT]
        start, length = stock.bounds[slot, 0], stock.bounds[slot, 1]
        kept_from, kept_step = asked.skus[sku, KEPT_FROM], asked.skus[sku, KEPT_STEP]
        for k in range(length):
            cell, row = stock.cells[start + k], places.table[stock.cells[start + k, 0]]
            if row[STANDING] == 0:
                continue
            free = free_at(stock, asked, sku, k)
            kept = kept_from + k * kept_step
            at = put(
                out.bytes,
                put_all(out.bytes, at, SKU),
                asked.texts,
                asked.skus[sku, TEXT_FROM],
                asked.skus[sku, TEXT_TO],
            )
            at = put_all(out.bytes, at, CELL_NODE)
            at = put(out.bytes, at, places.texts, row[HEAD_FROM], row[HEAD_TO])
            at = put_number(out.bytes, put_all(out.bytes, at, ON_HAND), cell[1])
            at = put_number(out.bytes, put_all(out.bytes, at, RESERVED), cell[2] + cell[4])
            at = put_number(out.bytes, put_all(out.bytes, at, UNAVAILABLE), cell[3])
            at = put_number(out.bytes, put_all(out.bytes, at, BUFFER), asked.kept[kept])
            at = put_all(out.bytes, at, BUFFER_RULE)
            starts, rule = asked.rule_starts, asked.rules[kept]
            at = put(out.bytes, at, asked.rule_names, starts[rule], starts[rule + 1])
            # Skus that pools have a right to are left for the rules.
            at = put_all(out.bytes, at, PROTECTED)
            at = put_number(out.bytes, put_all(out.bytes, at, AVAILABLE), free)
            at = put_number(out.bytes, put_all(out.bytes, at, ATP), free)
            out.bytes[at] = CLOSE
            out.bytes[at + 1] = COMMA
            at += 2
        out.ends[sku] = at


@atomic
def put_column(out: Any, at: int, name: Any, values: Any) -> int:
    """Write a list of numbers under its name."""
    at = put_all(out, at, name)
    out[at] = OPEN_LIST
    for k in range(values.size):
        if k > 0:
            at += 1
            out[at] = COMMA
        at = put_number(out, at + 1, values[k]) - 1
    out[at + 1] = CLOSE_LIST
    return at + 2


@atomic
def write_columns(stock: Any, asked: Any, places: Any, out: Any) -> None:
    """Write every record of each sku at an open node as columns, with a comma after each sku.

    A node is the place of its id among the open nodes by number.
    """
    at = 0
    position = np.cumsum(places.table[:, STANDING] > 0) - 1
    for sku in range(asked.skus.shape[0]):
        slot = asked.skus[sku, SLOT]
        start, length = stock.bounds[slot, 0], stock.bounds[slot, 1]
        columns = np.empty((6, length), np.int64)
        count = 0
        for k in range(length):
            cell = stock.cells[start + k]
            if places.table[cell[0], STANDING] > 0:
                kept = asked.skus[sku, KEPT_FROM] + k * asked.skus[sku, KEPT_STEP]
                columns[0, count] = position[cell[0]]
                columns[1, count] = cell[1]
                columns[2, count] = cell[2] + cell[4]
                columns[3, count] = cell[3]
                columns[4, count] = asked.kept[kept]
                columns[5, count] = free_at(stock, asked, sku, k)
                count += 1
        text_from, text_to = asked.skus[sku, TEXT_FROM], asked.skus[sku, TEXT_TO]
        at = put(out.bytes, put_all(out.bytes, at, SKU), asked.texts, text_from, text_to)
        at = put_column(out.bytes, at, NODES, columns[0, :count])
        at = put_column(out.bytes, at, ON_HAND, columns[1, :count])
        at = put_column(out.bytes, at, RESERVED, columns[2, :count])
        at = put_column(out.bytes, at, UNAVAILABLE, columns[3, :count])
        at = put_column(out.bytes, at, BUFFER, columns[4, :count])
        at = put_column(out.bytes, at, AVAILABLE, columns[5, :count])
        at = put_column(out.bytes, at, ATP, columns[5, :count])
        out.bytes[at] = CLOSE
        out.bytes[at + 1] = COMMA
        at += 2
        out.ends[sku] = at
