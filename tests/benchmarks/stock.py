"""How fast the stock record is: the guarded step, snapshots, the audit.

Run as `python -m tests.benchmarks.stock`. Figures depend on the machine and on what else it does,
so nothing here passes or fails; a run prints what it measured, on default durability.
"""

import asyncio
import random
import shutil
import tempfile
import time
from collections.abc import Awaitable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import uvloop

from inventory.audit import audit
from inventory.ledger import SnapshotRecord, apply_snapshot
from inventory.reserve import Demand, reserve
from services.database import migrate
from services.embedded import Server
from tests.inventory.world import demand, run, take

SKUS, NODES = 1_000, 100
CHUNK = 2_000
SECONDS = 4.0
HOT = [("sku-0", "node-0")]


async def main(url: str) -> None:
    """Measure on an empty, migrated database."""
    connections = [await asyncpg.connect(url) for _ in range(4)]
    keys = sorted((f"sku-{s}", f"node-{n}") for s in range(SKUS) for n in range(NODES))
    await snapshots(connections[0], keys, "first load", units=1_000_000)
    await snapshots(connections[0], keys, "every figure changed", units=999_000)
    await snapshots(connections[0], keys, "nothing changed", units=999_000)
    await connections[0].execute("VACUUM ANALYZE")
    for name, rows in (("uniform", keys), ("one hot record", HOT)):
        for size in (1, 10, 100):
            for callers in (1, 2, 4):
                await guarded(connections[:callers], rows, name, size)
    start = time.perf_counter()
    found = await audit(connections[0])
    print(f"audit: {time.perf_counter() - start:.2f} s, {len(found)} differences")
    await asyncio.gather(*(connection.close() for connection in connections))


async def snapshots(
    connection: asyncpg.Connection, keys: Sequence[tuple[str, str]], name: str, *, units: int
) -> None:
    """Apply a snapshot of every record, in chunks, each in a transaction of its own."""
    as_of = datetime.now(UTC) - timedelta(seconds=1)
    start = time.perf_counter()
    slowest = 0.0
    for sequence, first in enumerate(range(0, len(keys), CHUNK)):
        chunk = [
            SnapshotRecord(sku=sku, node_id=node_id, on_hand=units, as_of=as_of)
            for sku, node_id in keys[first : first + CHUNK]
        ]
        began = time.perf_counter()
        await run(connection, apply_snapshot, name, sequence, chunk, "benchmark")
        slowest = max(slowest, time.perf_counter() - began)
    elapsed = time.perf_counter() - start
    print(
        f"snapshot, {name}: {len(keys) / elapsed:,.0f} rows/s, slowest chunk {slowest * 1e3:.0f} ms"
    )


async def guarded(
    callers: Sequence[asyncpg.Connection], rows: Sequence[tuple[str, str]], name: str, size: int
) -> None:
    """Reserve batches of one-line orders from several connections for a while."""
    deadline = time.perf_counter() + SECONDS
    times: list[float] = []

    async def shop(connection: asyncpg.Connection, seed: int) -> None:
        chance = random.Random(seed)
        while time.perf_counter() < deadline:
            batch = orders(rows, chance, size)
            began = time.perf_counter()
            refusals = await run(connection, reserve, batch)
            times.append(time.perf_counter() - began)
            if any(refusals):
                raise RuntimeError("the benchmark ran out of stock; raise its units")

    await all_of([shop(caller, seed) for seed, caller in enumerate(callers)])
    times.sort()
    print(
        f"guarded step, {name}, batches of {size}, {len(callers)} callers: "
        f"{len(times) * size / SECONDS:,.0f} lines/s, "
        f"p50 {times[len(times) // 2] * 1e3:.1f} ms, p99 {times[len(times) * 99 // 100] * 1e3:.1f} ms"
    )


def orders(rows: Sequence[tuple[str, str]], chance: random.Random, size: int) -> list[Demand]:
    """Return orders of one line each."""
    return [demand(take(*chance.choice(rows), 1)) for _ in range(size)]


async def all_of(work: Sequence[Awaitable[None]]) -> None:
    """Do everything at once."""
    await asyncio.gather(*work)


if __name__ == "__main__":
    home = Path(tempfile.mkdtemp(prefix="nom-benchmark-"))
    try:
        with Server(home) as server:
            with ThreadPoolExecutor(1) as thread:
                thread.submit(migrate, server.url).result()
            uvloop.run(main(server.url))
    finally:
        shutil.rmtree(home, ignore_errors=True)
