"""PostgreSQL dies in the middle of it all: what was acknowledged is there, nothing half of it."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from inventory.resolve import confirm, release
from services.database import migrate
from services.embedded import Server
from tests.inventory.world import (
    add_nodes,
    assert_silent,
    demand,
    hold,
    run,
    stock_up,
    take,
    work,
)

CALLERS = 8
SKUS = [f"sku-{number}" for number in range(20)]
ACKNOWLEDGED_MIN = 200
"""Confirmed orders after which the server is killed, in the middle of others."""


@pytest.fixture
def server() -> Iterator[Server]:
    """Yield a server with default durability, migrated; the other tests run without fsync."""
    home = Path(tempfile.mkdtemp(prefix="nom-crash-"))
    try:
        with Server(home) as server:
            with ThreadPoolExecutor(1) as thread:
                thread.submit(migrate, server.url).result()
            yield server
    finally:
        shutil.rmtree(home, ignore_errors=True)


async def test_after_kill_9_of_postgresql_what_was_acknowledged_is_there_and_whole(
    server: Server,
) -> None:
    """Every order is in the state last acknowledged or the one then asked for, with all its lines.

    Nothing in between, and the audit is silent.
    """
    asked: dict[UUID, str] = {}
    acknowledged: dict[UUID, str] = {}
    callers = [await asyncpg.connect(server.url) for _ in range(CALLERS)]
    await stock_up(callers[0], {(sku, "store"): 100_000 for sku in SKUS})
    await add_nodes(callers[0], "store", capacity_maximum=1_000_000)
    shoppers = [
        asyncio.create_task(shop(caller, seed, asked, acknowledged))
        for seed, caller in enumerate(callers)
    ]
    while list(acknowledged.values()).count("confirmed") < ACKNOWLEDGED_MIN:
        await asyncio.sleep(0.01)
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGKILL)
    ended = await asyncio.gather(*shoppers, return_exceptions=True)
    assert all(isinstance(error, Exception) for error in ended)
    for caller in callers:
        caller.terminate()
    await asyncio.to_thread(server.process.wait)
    assert await asyncio.to_thread(server.keep_running)

    after = await asyncpg.connect(server.url)
    rows = await after.fetch(
        "SELECT holder_id, array_agg(DISTINCT state) AS states, count(*) AS lines "
        "FROM reservation GROUP BY holder_id"
    )
    found = {row["holder_id"]: (row["states"], row["lines"]) for row in rows}
    assert acknowledged.keys() <= found.keys() <= asked.keys()
    for holder_id, (states, lines) in found.items():
        assert lines == 3
        assert states in ([acknowledged.get(holder_id)], [asked[holder_id]])
    await assert_silent(after)
    await after.close()


async def shop(
    connection: asyncpg.Connection,
    number: int,
    asked: dict[UUID, str],
    acknowledged: dict[UUID, str],
) -> None:
    """Hold orders and confirm or release them, writing down what is asked for and then answered."""
    while True:
        number += 1
        lines = [take(SKUS[(number + line) % len(SKUS)], "store", 1) for line in range(3)]
        order = demand(*lines, capacity=[work("store")])
        asked[order.holder_id] = "held"
        assert await hold(connection, order) == [None]
        acknowledged[order.holder_id] = "held"
        end, state = (release, "released") if number % 3 == 0 else (confirm, "confirmed")
        asked[order.holder_id] = state
        await run(connection, end, [order.holder_id])
        acknowledged[order.holder_id] = state
