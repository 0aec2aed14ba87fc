"""Commits without a service: what PostgreSQL and the driver make possible for one order at a time.

The *bare commit* repeats the writes of a real allocation. What the service wrote for one order is
read back, row by row, and written again under new names by one statement: same rows, same driver,
nothing else, whatever tables the service comes to write. The *guarded* step reserves the lines of
one order in one transaction, as the service's commit does for a whole batch.
"""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import perf_counter, process_time
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
import numpy as np
import uvloop

from inventory.reserve import reserve
from tests.benchmarks.figures import percentiles_ms
from tests.inventory.world import demand, run, take

TABLES = """
    SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    ORDER BY c.relname
"""
COLUMNS = """
    SELECT quote_ident(a.attname) AS attname, format_type(a.atttypid, a.atttypmod) AS kind,
           coalesce(a.attnum = ANY(i.indkey), false) AS is_key
    FROM pg_attribute a
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
    WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped
      AND a.attgenerated = '' AND a.attidentity = ''
      AND coalesce(pg_get_expr(d.adbin, d.adrelid), '') NOT LIKE '%xact_id%'
    ORDER BY a.attnum
"""
COUNTERS = frozenset({"stock", "supply", "capacity"})
"""Tables whose rows an order changes; of all others it adds rows."""
COUNTED = ("text", "text", "bigint")
"""Kinds of what a counter is raised by: sku, node, quantity."""
WARM_SHARE = 0.1

Cell = tuple[str, str]
Work = Callable[[asyncpg.Connection, random.Random], Awaitable[object]]


class Column(msgspec.Struct, frozen=True):
    """One column that an order's rows fill."""

    name: str
    kind: str
    is_key: bool


class Rows(msgspec.Struct, frozen=True):
    """What one order adds to a table."""

    table: str
    columns: tuple[Column, ...]
    values: tuple[tuple[Any, ...], ...]


class Writes(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one order writes."""

    order_id: str
    added: tuple[Rows, ...]
    cells: tuple[Cell, ...]
    """Sku and node of the stock records whose counter it raises."""
    versioned: bool
    """Whether a stock record counts its changes."""


async def capture(url: str, order_id: str) -> Writes:
    """Return what the transaction of an order's allocation wrote.

    Its rows are those that carry the transaction's number. Raises LookupError for an unknown order.
    """
    connection = await asyncpg.connect(url)
    try:
        transaction = await connection.fetchval(
            "SELECT xmin::text FROM allocation WHERE order_id = $1", order_id
        )
        if transaction is None:
            raise LookupError(f"there is no allocation of order {order_id}")
        tables = [row["relname"] for row in await connection.fetch(TABLES)]
        added = [await added_rows(connection, table, transaction) for table in tables]
        # Stock is taken in a block that can be undone, which has a number of its own.
        cells = await connection.fetch(
            "SELECT DISTINCT sku, node_id FROM reservation"
            " WHERE xmin::text = $1 AND supply_id IS NULL",
            transaction,
        )
        columns = await connection.fetch(COLUMNS, "stock")
    finally:
        await connection.close()
    return Writes(
        order_id=order_id,
        added=tuple(rows for rows in added if rows.values),
        cells=tuple((row["sku"], row["node_id"]) for row in cells),
        versioned=any(column["attname"] == "version" for column in columns),
    )


async def added_rows(connection: asyncpg.Connection, table: str, transaction: str) -> Rows:
    """Return the rows that a transaction added to a table."""
    if table in COUNTERS:
        return Rows(table, (), ())
    columns = tuple(Column(*row) for row in await connection.fetch(COLUMNS, table))
    names = ", ".join(column.name for column in columns)
    found = await connection.fetch(
        f"SELECT {names} FROM {table} WHERE xmin::text = $1",  # noqa: S608 - names of our own
        transaction,
    )
    return Rows(table, columns, tuple(tuple(row) for row in found))


def without(writes: Writes, table: str) -> Writes:
    """Return the writes without the rows of one table."""
    kept = tuple(rows for rows in writes.added if rows.table != table)
    return msgspec.structs.replace(writes, added=kept)


def statement(writes: Writes) -> str:
    """Return the one statement that writes an order: stock counters last, everything else before.

    Its parameters are the values of all rows, then skus, nodes and quantities of the counters.
    """
    parts, number = [], 0
    for index, rows in enumerate(writes.added):
        names = ", ".join(column.name for column in rows.columns)
        lines = []
        for _ in rows.values:
            places = [f"${number + at}::{c.kind}" for at, c in enumerate(rows.columns, start=1)]
            number += len(places)
            lines.append(f"({', '.join(places)})")
        insert = f"INSERT INTO {rows.table} ({names}) VALUES {', '.join(lines)}"  # noqa: S608
        parts.append(f"w{index} AS ({insert})")
    version = ", version = version + 1" if writes.versioned else ""
    arrays = ", ".join(f"${number + at}::{kind}[]" for at, kind in enumerate(COUNTED, start=1))
    return (
        f"WITH {', '.join(parts)} UPDATE stock s SET reserved = reserved + d.quantity{version}"  # noqa: S608
        f" FROM unnest({arrays}) AS d (sku, node_id, quantity)"
        " WHERE (s.sku, s.node_id) = (d.sku, d.node_id)"
    )


def renamed(writes: Writes, cells: Sequence[Cell], token: str) -> list[Any]:
    """Return the parameters of an order like the captured one, with names of its own.

    `cells` stand in for the captured stock records, one for each.
    """
    instead: dict[object, object] = {writes.order_id: token}
    place = dict(zip(writes.cells, cells, strict=True))
    units = dict.fromkeys(cells, 0)
    values: list[Any] = []
    for rows in writes.added:
        at = {column.name: number for number, column in enumerate(rows.columns)}
        for row in rows.values:
            made = [fresh(value, c, instead) for value, c in zip(row, rows.columns, strict=True)]
            if "sku" in at and "node_id" in at:
                cell = place.get((row[at["sku"]], row[at["node_id"]]))
                if cell is not None:
                    made[at["sku"]], made[at["node_id"]] = cell
                    units[cell] += row[at["quantity"]] if "quantity" in at else 0
            values += made
    return [*values, [sku for sku, _ in units], [node for _, node in units], [*units.values()]]


def fresh(value: Any, column: Column, instead: dict[object, object]) -> Any:
    """Return the value that takes a captured one's place: other names, all else as it was."""
    if isinstance(value, UUID):
        return instead.setdefault(value, uuid4())
    if isinstance(value, str):
        return instead.get(value, value)
    if isinstance(value, bytes) and column.is_key:
        return instead.setdefault(value, os.urandom(len(value)))
    return value


def bare_work(writes: Writes, stock: Sequence[Cell]) -> Work:
    """Return what writes one order like the captured one to random stock records, and commits."""
    text = statement(writes)

    async def work(connection: asyncpg.Connection, chance: random.Random) -> None:
        cells = chance.sample(stock, len(writes.cells))
        await connection.execute(text, *renamed(writes, cells, f"bare-{uuid4().hex}"))

    return work


def guarded_work(stock: Sequence[Cell]) -> Work:
    """Return what reserves one order of one to four lines in a transaction of its own."""

    async def work(connection: asyncpg.Connection, chance: random.Random) -> None:
        cells = chance.sample(stock, chance.randint(1, 4))
        lines = [take(sku, node_id, chance.choice((1, 1, 2))) for sku, node_id in cells]
        refusals = await run(connection, reserve, [demand(*lines)])
        if refusals[0] is not None:
            raise RuntimeError(f"an order was refused, though there is stock for all: {refusals}")

    return work


async def repeat(
    url: str, work: Work, connections: int, seconds: float, seed: int
) -> Mapping[str, float]:
    """Do `work` over and over on each of several connections; return the figures."""
    opened = [await asyncpg.connect(url) for _ in range(connections)]
    cpu_s, begun = process_time(), perf_counter()
    warm, end = begun + seconds * WARM_SHARE, begun + seconds
    times: list[float] = []
    done = 0

    async def keep_busy(connection: asyncpg.Connection, chance: random.Random) -> None:
        nonlocal done
        while (started := perf_counter()) < end:
            await work(connection, chance)
            done += 1
            if started >= warm:
                times.append(perf_counter() - started)

    await asyncio.gather(
        *(keep_busy(each, random.Random(seed + n)) for n, each in enumerate(opened))
    )
    cpu_s = process_time() - cpu_s
    for each in opened:
        await each.close()
    p50, p90, p99, longest = percentiles_ms(np.array(times))
    return {
        "per_s": len(times) / (end - warm),
        "p50_ms": p50,
        "p90_ms": p90,
        "p99_ms": p99,
        "longest_ms": longest,
        "server_us": cpu_s / max(done, 1) * 1e6,
    }


def measure(
    url: str, work: Work, connections: int, seconds: float, seed: int
) -> Mapping[str, float]:
    """Do `work` as `repeat` does, in a fast event loop of its own."""
    return uvloop.run(repeat(url, work, connections, seconds, seed))
