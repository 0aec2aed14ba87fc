"""How fast a stock file is imported, and how long a checkout waits for it meanwhile.

    python -m tests.benchmarks.import_wait --rows 1000000 --way 2000 --way 5000 --way whole

Makes a throw-away PostgreSQL with fsync on, loads a network, and imports a file of new rows and then
one in which every count has changed, for each way of applying them. During the second, a checkout
in a process of its own reserves one unit of a random row of the file, over and over, and gives it
back; its longest wait is printed. The machine should have nothing else to do.

A way is a number of rows in a transaction, kept whatever time it takes; `fitted`, as shipped: 2,000
rows, fewer where they take more than 25 ms; `whole`: everything in one transaction; or `bare`:
2,000 rows, set by one statement that knows nothing of what moved since, of waiting promises or of
older counts. The last is no importer, but the limit of what a faster ledger could win.
"""

import asyncio
import multiprocessing
import random
import resource
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from time import perf_counter
from unittest.mock import patch
from uuid import uuid4

import asyncpg
import click
import msgspec

from inventory.items import Item, put_items
from inventory.nodes import Node, put_nodes
from inventory.records import ensure_stock
from inventory.reserve import Demand, Take, reserve
from inventory.resolve import release
from services.database import migrate
from services.embedded import Server
from services.feeds import apply
from services.feeds.apply import Chunks, Effect
from services.feeds.imports import Order, import_file
from services.feeds.rows import KINDS, StockRow

SKUS_PER_NODE = 10_000
LOCK_TIMEOUT_MS = 250
"""What a checkout is allowed to wait for a row; beyond it its reservation fails and is counted."""


BARE = """
    WITH locked AS (
        SELECT s.sku, s.node_id, g.on_hand AS counted, g.on_hand - s.on_hand AS moved
        FROM unnest($1::text[], $2::text[], $3::bigint[]) AS g (sku, node_id, on_hand)
        JOIN stock s USING (sku, node_id) ORDER BY s.sku, s.node_id FOR UPDATE OF s
    ), changed AS (
        UPDATE stock s
        SET on_hand = l.counted, as_of = $4,
            shortage = greatest(s.reserved + s.unavailable - l.counted, 0)
        FROM locked l WHERE (s.sku, s.node_id) = (l.sku, l.node_id)
    )
    INSERT INTO movement (sku, movement_id, node_id, kind, quantity, happened_at, actor)
    SELECT sku, gen_random_uuid(), node_id,
           CASE WHEN moved > 0 THEN 'count_gain' ELSE 'count_loss' END, abs(moved), $4, 'benchmark'
    FROM locked WHERE moved <> 0
"""


class Waits(msgspec.Struct):
    """How long reservations took, in milliseconds, and how many gave up."""

    count: int
    median: float
    p99: float
    longest: float
    given_up: int


class Way(msgspec.Struct, frozen=True):
    """One way of applying the rows of a file."""

    name: str
    chunk_rows: int = 2_000
    chunk_ms: int = 1_000_000
    whole: bool = False
    bare: bool = False


WAYS = {
    "fitted": Way("fitted", chunk_ms=25),
    "whole": Way("whole", whole=True),
    "bare": Way("bare", bare=True),
}
HEAD = "       way   new rows/s  changed rows/s    waits  median ms  p99 ms  longest ms  given up"


@click.command()
@click.option("--rows", default=1_000_000, show_default=True)
@click.option("--way", "names", multiple=True, default=["fitted"], show_default=True)
def main(rows: int, names: tuple[str, ...]) -> None:
    """Print a table of figures."""
    nodes = max(rows // SKUS_PER_NODE, 1)
    click.echo(HEAD)
    for name in names:
        way = WAYS.get(name) or Way(f"{int(name):,}", chunk_rows=int(name))
        with tempfile.TemporaryDirectory() as folder, Server(Path(folder) / "home") as server:
            migrate(server.url)
            asyncio.run(load_network(server.url, nodes))
            first, second = (write_file(Path(folder), rows, nodes, n) for n in (1_000, 1_001))
            new_s, _ = measure(server.url, first, way, 0)
            changed_s, waits = measure(server.url, second, way, nodes)
            click.echo(
                f"{way.name:>10} {rows / new_s:12,.0f} {rows / changed_s:15,.0f} {waits.count:8,}"
                f" {waits.median:10.2f} {waits.p99:7.1f} {waits.longest:11.1f} {waits.given_up:9,}",
            )
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    click.echo(f"peak memory of the importing process {peak_mb:.0f} MB")


async def load_network(url: str, nodes: int) -> None:
    """Put the nodes and items that the rows refer to."""
    connection = await asyncpg.connect(url)
    await connection.execute("INSERT INTO calendar (calendar_id, weekdays) VALUES ('c', '{1}')")
    await put_nodes(
        connection,
        [
            Node(
                node_id=f"N{number:04}",
                kind="store",
                country="US",
                latitude=0,
                longitude=0,
                time_zone="UTC",
                calendar_id="c",
                cut_off=datetime(2026, 1, 1, 16, tzinfo=UTC).time(),
            )
            for number in range(nodes)
        ],
    )
    await put_items(
        connection, [Item(sku=f"S{number:06}", weight_grams=1) for number in range(SKUS_PER_NODE)]
    )
    await connection.close()


def write_file(folder: Path, rows: int, nodes: int, on_hand: int) -> Path:
    """Write a stock file in no particular order of keys."""
    keys = [(number % SKUS_PER_NODE, number // SKUS_PER_NODE % nodes) for number in range(rows)]
    random.Random(1).shuffle(keys)
    path = folder / f"stock-{on_hand}.csv"
    with path.open("w") as file:
        file.write("sku,node_id,on_hand\n")
        file.writelines(f"S{sku:06},N{node:04},{on_hand}\n" for sku, node in keys)
    return path


def measure(url: str, path: Path, way: Way, watched_nodes: int) -> tuple[float, Waits]:
    """Import a file, watched by a checkout or not; return the seconds it took and the waits."""
    watching: AbstractContextManager[list[float]] = nullcontext([])
    if watched_nodes:
        watching = checkout(url, watched_nodes)
    with watching as waits:
        started = perf_counter()
        asyncio.run(run_import(url, path, way))
        seconds = perf_counter() - started
    return seconds, summarize(waits)


async def run_import(url: str, path: Path, way: Way) -> None:
    """Import the file as the command does, but in the way given."""
    order = Order(
        kind=KINDS["stock"],
        path=path,
        form="csv",
        source=path.name,
        rejects=path.with_suffix(".rejects"),
        chunk_rows=way.chunk_rows,
        chunk_ms=way.chunk_ms,
    )
    apply_by = {"stock": apply_bare} if way.bare else apply.APPLY
    connection = await asyncpg.connect(url)
    with patch.object(apply, "APPLY", apply_by):
        async with AsyncExitStack() as stack:
            if way.whole:
                await stack.enter_async_context(connection.transaction())
            outcome = await import_file(connection, order, lambda _phase, _share: None)
    await connection.close()
    if outcome.rejected:
        raise RuntimeError(f"{outcome.rejected} rows were rejected")


async def apply_bare(
    connection: asyncpg.Connection, chunks: Chunks, _number: int, payloads: Sequence[bytes]
) -> Effect:
    """Set counters and write movements in one statement that knows none of the ledger's rules."""
    rows = apply.decode_all(StockRow, payloads)
    columns = ([row.sku for row in rows], [row.node_id for row in rows])
    await ensure_stock(connection, *columns)
    await connection.execute(BARE, *columns, [row.on_hand for row in rows], chunks.as_of)
    return Effect(len(rows))


@contextmanager
def checkout(url: str, nodes: int) -> Iterator[list[float]]:
    """Reserve and release in a process of its own; the list has the waits when the block ends."""
    context = multiprocessing.get_context("spawn")
    stop, ready = context.Event(), context.Event()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=reserve_until, args=(url, nodes, stop, ready, sender))
    process.start()
    ready.wait()
    waits: list[float] = []
    try:
        yield waits
    finally:
        stop.set()
        waits.extend(receiver.recv())
        process.join()


def reserve_until(url: str, nodes: int, stop: Event, ready: Event, sender: Connection) -> None:
    """Run the checkout until told to stop, then send the seconds each reservation took."""
    waits = asyncio.run(reserve_loop(url, nodes, stop, ready))
    sender.send(waits)


async def reserve_loop(url: str, nodes: int, stop: Event, ready: Event) -> list[float]:
    """Reserve one unit of a random row and give it back; infinity stands for giving up."""
    connection = await asyncpg.connect(url, server_settings={"lock_timeout": str(LOCK_TIMEOUT_MS)})
    chance, waits = random.Random(2), []
    ready.set()
    while not stop.is_set():
        demand = one_unit(
            f"S{chance.randrange(SKUS_PER_NODE):06}", f"N{chance.randrange(nodes):04}"
        )
        started = perf_counter()
        try:
            async with connection.transaction():
                await reserve(connection, [demand])
            waits.append(perf_counter() - started)
        except asyncpg.LockNotAvailableError:
            waits.append(float("inf"))
            continue
        async with connection.transaction():
            await connection.execute("SET LOCAL lock_timeout = 0")
            await release(connection, [demand.holder_id])
        await asyncio.sleep(0.002)
    await connection.close()
    return waits


def one_unit(sku: str, node_id: str) -> Demand:
    """Return the demand for one unit."""
    now = datetime.now(UTC)
    take = Take(
        reservation_id=uuid4(),
        line_id="1",
        sku=sku,
        node_id=node_id,
        quantity=1,
        promise_on=now.date(),
    )
    return Demand(
        holder_kind="allocation",
        holder_id=uuid4(),
        actor="benchmark",
        expires_at=now + timedelta(minutes=15),
        takes=(take,),
    )


def summarize(waits: list[float]) -> Waits:
    """Return the figures of a list of waits in seconds."""
    done = sorted(wait * 1000 for wait in waits if wait != float("inf")) or [0.0]
    return Waits(
        count=len(waits),
        median=done[len(done) // 2],
        p99=done[len(done) * 99 // 100],
        longest=done[-1],
        given_up=len(waits) - len(done) if waits else 0,
    )


if __name__ == "__main__":
    main()
