"""Who moves orders is killed with -9 in the middle of it: every order is in one place, and whole."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from services.database import Database
from services.fulfillment.rearranging import Rearranging
from services.fulfillment.sweeps import Resourcing
from services.settings import Settings
from tests.services.caller import Caller
from tests.services.fulfillment.rearranging.waiting_work import EMPTY, WINDOW_S, place_of, west
from tests.services.fulfillment.work_calls import (
    assert_all_agrees,
    confirmed,
    kinds_of,
    shipped,
    stock_of,
)
from tests.services.place import stock

PAIRS = 4
ORDERS = [f"o-{side}-{number}" for number in range(PAIRS) for side in ("east", "west")]
PAUSE_S = 0.02
WAIT_S = 300
"""The process compiles nothing that is kept, but a busy machine is slow to start one."""
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'rearrangement'::regclass"
OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = $1"


@contextmanager
def mover(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a process that moves orders, which is dead afterwards."""
    environ = os.environ | {
        "DATABASE_URL": str(settings.database_url),
        "NOM_RELEASE_WINDOW_S": str(WINDOW_S),
    }
    command = [sys.executable, "-m", "tests.services.fulfillment.rearranging.mover"]
    process = subprocess.Popen(command, env=environ)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@asynccontextmanager
async def nobody_writes_moves(database: Database) -> AsyncIterator[None]:
    """Keep whoever moves orders waiting at the end of a move, when all else of it is done."""
    async with database.transaction() as connection:
        await connection.execute("LOCK TABLE rearrangement IN EXCLUSIVE MODE")
        yield


async def counted(database: Database, query: str, *arguments: str) -> int:
    """Return what a query counts."""
    async with database.connect() as connection:
        found: int = await connection.fetchval(query, *arguments)
    return found


async def until(database: Database, query: str, least: int) -> None:
    """Wait until a query counts so many."""
    async with asyncio.timeout(WAIT_S):
        while await counted(database, query) < least:
            await asyncio.sleep(PAUSE_S)


async def until_it_is_forgotten(database: Database) -> None:
    """Wait until the server has noticed that the killed process is gone."""
    async with asyncio.timeout(WAIT_S):
        while await counted(database, OTHERS, "idle in transaction"):
            await asyncio.sleep(PAUSE_S)


async def crossed(caller: Caller, database: Database) -> None:
    """Let orders of each side hold what is near the other: none can move before another has."""
    for number in range(PAIRS):
        await stock(database, EMPTY | {("MUG", "WH-WEST"): number + 1, ("MUG", "WH-EAST"): number})
        await caller.catch_up()
        await confirmed(caller, shipped(f"o-east-{number}", ("MUG", 1)))
        await stock(database, {("MUG", "WH-EAST"): number + 1})
        await caller.catch_up()
        await confirmed(caller, west(f"o-west-{number}", ("MUG", 1)))
    assert await moved(caller, database) == set()


async def moved(caller: Caller, database: Database) -> set[str]:
    """Return the orders that are near their customers; each is in one place."""
    found = set()
    for order_id in ORDERS:
        (place,) = await place_of(caller, database, order_id)
        if place == ("WH-EAST" if "east" in order_id else "WH-WEST"):
            found.add(order_id)
    return found


async def assert_whole(caller: Caller, database: Database) -> set[str]:
    """See that what has moved was told, recorded and counted, and that nothing else was."""
    gone = await moved(caller, database)
    for order_id in ORDERS:
        kinds = await kinds_of(database, order_id)
        assert kinds.count("fulfillment_order.rearranged") == (order_id in gone), order_id
    assert await counted(database, "SELECT count(*) FROM rearrangement") == len(gone)
    assert await stock_of(database, "MUG", "WH-EAST") == (PAIRS, PAIRS)
    assert await stock_of(database, "MUG", "WH-WEST") == (PAIRS, PAIRS)
    await assert_all_agrees(database)
    return gone


async def test_a_mover_killed_in_the_middle_of_a_move_has_moved_nothing(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """Stock has changed hands, work was ended and made, and only the commit was missing."""
    await crossed(caller, database)
    with mover(settings) as process:
        async with nobody_writes_moves(database):
            await until(database, WAITING, 1)
            process.send_signal(signal.SIGKILL)
            process.wait()
        await until_it_is_forgotten(database)
    assert await assert_whole(caller, database) == set()
    job = Rearranging(settings, Resourcing(settings))
    assert await job.run(database) == len(ORDERS)
    assert await assert_whole(caller, database) == set(ORDERS)


async def test_a_mover_killed_again_and_again_leaves_every_order_in_one_place(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """Pairs change places one after another; those done stay done, and the rest go on later."""
    await crossed(caller, database)
    before = 0
    for _ in range(2):
        with mover(settings) as process:
            await until(database, "SELECT count(*) FROM rearrangement", before + 1)
            process.send_signal(signal.SIGKILL)
            process.wait()
        await until_it_is_forgotten(database)
        before = len(await assert_whole(caller, database))
        if before == len(ORDERS):
            break
    assert before
    await Rearranging(settings, Resourcing(settings)).run(database)
    assert await assert_whole(caller, database) == set(ORDERS)
