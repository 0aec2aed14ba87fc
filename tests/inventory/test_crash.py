"""PostgreSQL dies in the middle of it all: what was acknowledged is there, nothing half of it."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest

from inventory.dispatch import Consumption, consume
from inventory.pools import Grant, Shift, add_quotas, reallocate
from inventory.resolve import confirm, release
from services.database import migrate
from services.embedded import Server
from tests.inventory.world import (
    add_nodes,
    assert_silent,
    demand,
    hold,
    keep,
    run,
    stock_up,
    take,
    work,
)

CALLERS = 8
SKUS = [f"sku-{number}" for number in range(20)]
POOLS = {"web": "pool-web", "app": "pool-app"}
"""By channel."""
POOLED, GIVEN = 10_000, 2_000
"""Units of each sku in all, and of them those that each pool begins with."""
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
    after = await killed(server, callers, shoppers)
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


async def killed(
    server: Server, callers: list[asyncpg.Connection], busy: list[asyncio.Task[None]]
) -> asyncpg.Connection:
    """Kill the server while callers are busy, start it anew, and return a connection to it."""
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGKILL)
    ended = await asyncio.gather(*busy, return_exceptions=True)
    assert all(isinstance(error, Exception) for error in ended)
    for caller in callers:
        caller.terminate()
    await asyncio.to_thread(server.process.wait)
    assert await asyncio.to_thread(server.keep_running)
    return await asyncpg.connect(server.url)


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


class Told(msgspec.Struct):
    """What was asked of pools and what was acknowledged, by sku."""

    sold: Counter[str] = msgspec.field(default_factory=Counter)
    gone: Counter[str] = msgspec.field(default_factory=Counter)
    """Units dispatched."""
    given: Counter[str] = msgspec.field(default_factory=Counter)
    """Units that pools were given from the common stock."""
    under_way: list[Counter[str]] = msgspec.field(default_factory=list)
    """By caller: the units that it has asked for and does not know of, whatever it asked."""


async def test_after_kill_9_of_postgresql_pools_have_what_their_orders_and_grants_say(
    server: Server,
) -> None:
    """Orders take from pools, goods leave, and a planner gives and shifts quotas meanwhile.

    What was acknowledged counts, what was under way counts wholly or not at all, and what pools have
    used and given away is what the orders say: the audit compares them.
    """
    told = Told(under_way=[Counter() for _ in range(CALLERS)])
    callers = [await asyncpg.connect(server.url) for _ in range(CALLERS)]
    await stock_up(callers[0], {(sku, "store"): POOLED for sku in SKUS})
    for channel, pool_id in POOLS.items():
        await keep(callers[0], pool_id, [channel], {(sku, "store"): GIVEN for sku in SKUS})
    busy = [
        asyncio.create_task(plan(caller, told) if number < 2 else sell(caller, number, told))
        for number, caller in enumerate(callers)
    ]
    while told.gone.total() < ACKNOWLEDGED_MIN // 4:
        await asyncio.sleep(0.01)
    after = await killed(server, callers, busy)
    await assert_silent(after)
    rows = await after.fetch(
        "SELECT sku, sum(quantity)::int AS quantity, sum(used)::int AS used,"
        " sum(consumed)::int AS consumed FROM quota GROUP BY sku"
    )
    lost = sum(told.under_way, Counter[str]())
    for row in rows:
        sku = row["sku"]
        granted = row["quantity"] - len(POOLS) * GIVEN
        assert told.given[sku] <= granted <= told.given[sku] + lost[sku]
        assert told.gone[sku] <= row["consumed"] <= told.gone[sku] + lost[sku]
        sold = row["used"] + row["consumed"]
        assert told.sold[sku] <= sold <= told.sold[sku] + lost[sku]
    await after.close()


async def sell(connection: asyncpg.Connection, number: int, told: Told) -> None:
    """Sell to a channel with a pool, and let every second order leave, writing down what was."""
    channel = [*POOLS][number % len(POOLS)]
    mine = told.under_way[number]
    while True:
        number += 1
        sku = SKUS[number % len(SKUS)]
        line = take(sku, "store", 2)
        order = demand(line, channel=channel)
        mine[sku] += 2
        assert await hold(connection, order) == [None]
        await run(connection, confirm, [order.holder_id])
        told.sold[sku] += 2
        if number % 2:
            leaves = Consumption(
                movement_id=uuid4(), line_id=line.line_id, sku=sku, node_id="store", quantity=2
            )
            await run(connection, consume, order.holder_id, [leaves], actor="test")
            told.gone[sku] += 2
        mine.clear()


async def plan(connection: asyncpg.Connection, told: Told) -> None:
    """Give pools more of a sku, and shift some from one to the other, again and again."""
    web, app = POOLS.values()
    mine, number = Counter[str](), 0
    told.under_way.append(mine)
    while True:
        sku = SKUS[number % len(SKUS)]
        number += 1
        mine[sku] += 3
        grant = Grant(sku=sku, node_id="store", pool_id=web, quantity=3)
        await run(connection, add_quotas, [grant])
        told.given[sku] += 3
        mine.clear()
        shift = Shift(sku=sku, node_id="store", from_pool_id=web, to_pool_id=app, quantity=2)
        await run(connection, reallocate, [shift])
