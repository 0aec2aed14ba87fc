"""Loads the demonstration network the way anybody's network is loaded: master data, then a file."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

import asyncpg
import pyarrow as pa
import pyarrow.parquet as pq

from inventory.items import put_items
from inventory.nodes import missing_nodes, put_nodes
from services.database import Database
from services.demo import records
from services.demo.goods import OpeningStock
from services.demo.network import DemoNetwork
from services.feeds.imports import Order, import_file
from services.feeds.rows import KINDS
from services.planning import records as planning
from services.settings import Settings

T = TypeVar("T")

SOURCE = "demonstration"
CHUNK_ROWS = 5_000
"""Rows of master data written by one statement."""

Watch = Callable[[str, float], None]
"""Is told the step and how much of it is done, from 0 to 1."""


class LoadError(RuntimeError):
    """The network could not be loaded; the message says why."""


async def load(url: str, settings: Settings, network: DemoNetwork, watch: Watch) -> bool:
    """Load the network into the migrated database at `url` unless its nodes are there.

    Returns whether it was loaded now. The stock goes in as a Parquet file through the same import
    that `nom import` runs. Raises `LoadError` when rows are refused, else what the database raises.
    """
    database = Database(url, settings, connections_max=1)
    try:
        async with database.connect() as connection:
            if not await missing_nodes(connection, [node.node_id for node in network.nodes]):
                return False
            await put_master_data(connection, network, watch)
    finally:
        await database.close()
    connection = await asyncpg.connect(url)
    try:
        await records.unlimited(connection)
        await import_stock(connection, network.stock, settings, watch)
        await records.settle(connection)
    finally:
        await connection.close()
    return True


async def read_stock(url: str) -> OpeningStock:
    """Return what is free to sell in a network that was loaded before; its later opening stock."""
    connection = await asyncpg.connect(url)
    try:
        await records.unlimited(connection)
        rows = await records.read_free(connection)
    finally:
        await connection.close()
    return OpeningStock(
        skus=[row["sku"] for row in rows],
        node_ids=[row["node_id"] for row in rows],
        quantities=[row["quantity"] for row in rows],
    )


async def put_master_data(
    connection: asyncpg.Connection, network: DemoNetwork, watch: Watch
) -> None:
    """Write calendars, zones, tariffs, nodes, items and lanes."""
    async with connection.transaction():
        await planning.put_calendars(connection, network.calendars)
        await planning.put_zones(connection, network.zones)
        await planning.put_tariffs(connection, network.tariffs)
        await put_nodes(connection, network.nodes)
        await planning.bump_version(connection)
    for done, items in chunks(network.items):
        await put_items(connection, items)
        watch("items", done)
    for done, lanes in chunks(network.lanes):
        await planning.put_lanes(connection, lanes)
        watch("lanes", done)


def chunks(rows: Sequence[T]) -> Iterator[tuple[float, list[T]]]:
    """Yield rows in chunks, each with the share that is done once it is written."""
    remaining = iter(rows)
    done = 0
    while chunk := list(islice(remaining, CHUNK_ROWS)):
        done += len(chunk)
        yield done / len(rows), chunk


async def import_stock(
    connection: asyncpg.Connection, stock: OpeningStock, settings: Settings, watch: Watch
) -> None:
    """Import the opening stock from a file; raises `LoadError` when a row is rejected."""
    with tempfile.TemporaryDirectory(prefix="nom-demo-") as folder:
        path = Path(folder) / "stock.parquet"
        columns = {"sku": stock.skus, "node_id": stock.node_ids, "on_hand": stock.quantities}
        pq.write_table(pa.table(columns), path)
        outcome = await import_file(
            connection,
            Order(
                kind=KINDS["stock"],
                path=path,
                form="parquet",
                source=SOURCE,
                rejects=path.with_suffix(".rejects"),
                chunk_rows=settings.import_chunk_rows,
                chunk_ms=settings.import_chunk_ms,
                lock_timeout_ms=settings.lock_timeout_ms,
            ),
            lambda phase, share: watch(f"stock, {phase}", share),
        )
    if outcome.rejected:
        raise LoadError(f"{outcome.rejected:,} of {outcome.rows:,} rows of stock were rejected")
