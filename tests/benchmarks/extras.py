"""What takes longer than a cell, or a service of its own: measured once, after the rounds.

Each extra gets the systems as the rounds left them, and what saturated the service, and returns
rows of figures for the report.
"""

import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import msgspec
import numpy as np

from inventory.items import Item, put_items
from tests.benchmarks import bare, shop, wire
from tests.benchmarks.cells import OPEN_CONNECTIONS_MAX, Bench, Cell, MeasuredError
from tests.benchmarks.rows import BARE_CONNECTIONS, OVERLOAD, Figures, Traffic, overloaded
from tests.benchmarks.syncs import Syncs
from tests.benchmarks.systems import SERVE, Endpoint, memory_bytes, service

Rows = dict[str, Figures]

REPEATS = 3
LEFT_OUT = ("decision", "event", "idempotency", "change")
"""Tables whose share in the price of a commit is measured."""
OVERLOAD_S, HALF_S = 60.0, 20.0
"""A minute beyond saturation, and as much of half load as a 99th percentile needs."""
IMPORT_ROWS = 1_000_000
IMPORT_CELL_S = 5.0
IMPORT_S_MAX = 600
IMPORT_SHARE = 0.5
SOAK_CELL_S = 30.0
SOAK_SHARE = 0.5
SOAK_SKU = shop.HOT_SKUS - 1
CHUNK = 5_000


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What the rounds found out, and what is asked of an extra."""

    saturation: float
    """Allocations a second."""
    connections: int
    """With so many callers."""
    echo_per_s: float
    minutes: float
    """Of a soak."""


Extra = Callable[[Bench, Traffic, Found], Rows]


def records(bench: Bench, traffic: Traffic, found: Found) -> Rows:
    """Measure what decision records cost: the service beside one that writes none, in turn."""
    stand = bench.stand
    settings = {"NOM_DECISION_RECORDS": "false"}
    cells: dict[str, list[Cell]] = {"with": [], "without": []}

    def allocate(system: Endpoint) -> Cell:
        return bench.closed(system, traffic.allocations, found.connections, units=traffic.units)

    with service(stand.folder, stand.database_url, stand.workers, settings) as without:
        allocate(without)
        for _ in range(REPEATS):
            cells["with"].append(allocate(stand.ours))
            cells["without"].append(allocate(without))
    per_s = {name: [cell.answers.per_s for cell in each] for name, each in cells.items()}
    shares = [a / b for a, b in zip(per_s["with"], per_s["without"], strict=True)]
    return {
        "decision records, a second": {
            "with": float(np.median(per_s["with"])),
            "without": float(np.median(per_s["without"])),
            "with/without": float(np.median(shares)),
        }
    }


def writes(bench: Bench, traffic: Traffic, _found: Found) -> Rows:
    """Measure bare commits without the rows of one table after the other."""
    url, connections = bench.stand.bare_url, BARE_CONNECTIONS
    stock = shop.build(bench.seed).stock
    tables = [rows.table for rows in traffic.writes.added]
    works = {"all": bare.bare_work(traffic.writes, stock)}
    for table in LEFT_OUT:
        if table in tables:
            works[f"no {table}"] = bare.bare_work(bare.without(traffic.writes, table), stock)
    per_s: dict[str, list[float]] = {name: [] for name in works}
    for repeat in range(REPEATS):
        for name, work in works.items():
            figures = bare.measure(url, work, connections, bench.seconds, repeat)
            per_s[name].append(figures["per_s"])
    told = {name: float(np.median(each)) for name, each in per_s.items()}
    return {"bare commits a second": told}


def minute(bench: Bench, traffic: Traffic, found: Found) -> Rows:
    """Measure a minute of more than the service can do, and its memory before and after."""
    rate = found.saturation * OVERLOAD
    half = bench.open(
        bench.stand.ours,
        traffic.allocations,
        found.saturation / 2,
        units=traffic.units,
        seconds=HALF_S,
    )
    before = memory_bytes(bench.stand.ours.processes)
    cell = bench.open(
        bench.stand.ours,
        traffic.allocations,
        rate,
        units=traffic.units,
        seconds=OVERLOAD_S,
        ready=OPEN_CONNECTIONS_MAX,
    )
    figures = overloaded(cell, memory_bytes(bench.stand.ours.processes) - before)
    return {
        "a minute at 1.25": {
            **chosen(figures),
            "accepted/saturation": figures["per_s"] / found.saturation,
            "p99/p99 at half": figures["p99_ms"] / half.answers.p99_ms,
            "memory_grown_mb": figures["memory_grown_mb"],
        }
    }


def big_import(bench: Bench, traffic: Traffic, found: Found) -> Rows:
    """Measure allocations at half load while a million rows of stock are imported.

    And as long without: the longest of a minute is longer than that of a second, whatever else runs.
    """
    rate = found.saturation * IMPORT_SHARE

    def half() -> Cell:
        return bench.open(
            bench.stand.ours, traffic.allocations, rate, units=traffic.units, seconds=IMPORT_CELL_S
        )

    half()
    with tempfile.TemporaryDirectory(prefix="nom-bench-") as folder:
        path = Path(folder) / "stock.csv"
        asyncio.run(prepare_import(bench, path))
        started = time.perf_counter()
        with importing(bench.stand.database_url, path) as process:
            cells = list(cells_while(process, half))
        seconds = time.perf_counter() - started
    return {
        "half load, nothing else": summed_up([half() for _ in cells]),
        "half load, during an import": {
            **summed_up(cells),
            "rows": float(IMPORT_ROWS),
            "rows_per_s": IMPORT_ROWS / seconds,
        },
    }


def summed_up(cells: list[Cell]) -> Figures:
    """The typical and the longest waits of cells that followed each other."""
    return {
        "p50_ms": float(np.median([cell.answers.p50_ms for cell in cells])),
        "p99_ms": float(np.median([cell.answers.p99_ms for cell in cells])),
        "longest_ms": max(cell.answers.longest_ms for cell in cells),
    }


async def prepare_import(bench: Bench, path: Path) -> None:
    """Write a file of a million rows, those that are sold among them, and the items it needs."""
    sold = shop.build(bench.seed)
    count = (IMPORT_ROWS - len(sold.stock)) // len(sold.nodes) + 1
    skus = [f"more-{number:06}" for number in range(count)]
    connection = await asyncpg.connect(bench.stand.database_url)
    for start in range(0, count, CHUNK):
        chunk = skus[start : start + CHUNK]
        await put_items(connection, [Item(sku=sku, weight_grams=500) for sku in chunk])
    await connection.close()
    cells = [*sold.stock, *((sku, each.node_id) for sku in skus for each in sold.nodes)]
    rows = cells[:IMPORT_ROWS]
    random.Random(bench.seed).shuffle(rows)
    shop.write_stock(path, rows, shop.UNITS + 1)


@contextmanager
def importing(url: str, path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Yield `nom import` of a stock file, under way; raises `MeasuredError` when it fails."""
    with path.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, "import", "stock", str(path)],
            env={**os.environ, "DATABASE_URL": url},
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
    if process.returncode != 0:
        said = path.with_suffix(".log").read_text()[-1_000:]
        raise MeasuredError(f"the import ended with {process.returncode}: {said}")


def cells_while(process: subprocess.Popen[bytes], cell: Callable[[], Cell]) -> Iterator[Cell]:
    """Yield cells until a process ends; raises `MeasuredError` when that takes too long."""
    started = time.monotonic()
    while process.poll() is None:
        if time.monotonic() - started > IMPORT_S_MAX:
            raise MeasuredError(f"the import was not done within {IMPORT_S_MAX} s")
        yield cell()


def soak(bench: Bench, _traffic: Traffic, found: Found) -> Rows:
    """Measure one hot row for a long time, at half of what the service can do.

    From when the first holds expire, as many are swept as are made.
    """
    stand = bench.stand
    asyncio.run(shop.put_hot_stock(stand.database_url, SOAK_SKU, shop.UNITS))
    basket = shop.Basket(zone=0, lines=[(shop.hot_sku(SOAK_SKU), 1)])
    requests = wire.allocations([basket], stand.key)
    count = max(4, round(found.minutes * 60 / SOAK_CELL_S))
    cells: list[Figures] = []
    with Syncs(stand.folder) as syncs:
        for _ in range(count):
            cell = bench.open(
                stand.ours, requests, found.saturation * SOAK_SHARE, units=[1], seconds=SOAK_CELL_S
            )
            more = {
                "memory_mb": memory_bytes(stand.ours.processes) / 1e6,
                "sync_p99_ms": syncs.p99_ms(),
            }
            # Only its figures stay: a hundred cells of answers would be the largest thing in memory.
            cells.append({**chosen(cell.figures()), **more})
    quarter = max(1, count // 4)
    first, last = typical(cells[:quarter]), typical(cells[-quarter:])
    return {
        "soak, first quarter": first,
        "soak, third quarter": typical(cells[-2 * quarter : -quarter]),
        "soak, last quarter": {**last, "minutes": count * SOAK_CELL_S / 60},
        "soak, last/first": {
            name: last[name] / first[name]
            for name in ("p50_ms", "p99_ms", "sync_p99_ms", "server_us", "memory_mb")
        },
    }


def real_baskets(bench: Bench, _traffic: Traffic, found: Found) -> Rows:
    """Measure real baskets on the demonstration's network, loaded the first time."""
    # Imported here, since its data are an extra that the other rows do not need.
    from tests.benchmarks import baskets  # noqa: PLC0415

    return baskets.measure(bench, found.echo_per_s)


def lengths(_bench: Bench, _traffic: Traffic, _found: Found) -> Rows:
    """Measure the optimizer alone on real baskets, by length."""
    # Imported here for the same reason.
    from tests.benchmarks import routing  # noqa: PLC0415

    measured = routing.rows(routing.BASKETS)
    return {f"optimizer, {name}": shown(each) for name, each in measured.items()}


def shown(figures: Figures) -> Figures:
    """Return the figures that are asked for of the optimizer on real baskets."""
    return {
        name: figures[name]
        for name in (
            "proven in 5 ms",
            "proven in 50 ms",
            "gap of the open at 50 ms",
            "loss at 5 ms",
            "loss at 50 ms",
            "longest late at 50 ms",
            "CPU mean ms",
        )
    }


def typical(cells: list[Figures]) -> Figures:
    """Return the medians of several cells."""
    return {name: float(np.median([each[name] for each in cells])) for name in cells[0]}


def chosen(figures: Figures) -> Figures:
    """Return the figures that tell how an open loop went."""
    return {
        name: figures[name]
        for name in ("per_s", "p50_ms", "p99_ms", "longest_ms", "refused", "server_us")
    }


EXTRAS: dict[str, Extra] = {
    "records": records,
    "writes": writes,
    "minute": minute,
    "import": big_import,
    "baskets": real_baskets,
    "lengths": lengths,
    "soak": soak,
}
USUAL = ("records", "writes")
"""Extras of every run that is not quick."""
