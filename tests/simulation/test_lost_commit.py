"""A connection that dies after its commit, before anybody was told: the key knows what happened.

PostgreSQL has a moment in which a transaction is on disk and its client still waits: while a
standby should confirm it. A standby that does not exist makes that moment as long as a test needs.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import httpx

from services.database import Database
from tests.services.caller import basket
from tests.simulation.served import Served
from tests.simulation.test_races import assert_audit_is_silent, left, offer

PATIENCE_S = 60
POLLS = 1_000
POLL_S = 0.02
WAITING = (
    "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'nom'"
)


@asynccontextmanager
async def without_standby(service: Served) -> AsyncIterator[asyncpg.Connection]:
    """Have every commit wait for a standby that does not exist; yield a connection that does not."""
    connection = await asyncpg.connect(service.database_url)
    try:
        await connection.execute("SET synchronous_commit = 'local'")
        await connection.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        await connection.execute("SELECT pg_reload_conf()")
        await until_commits_wait(service)
        yield connection
    finally:
        await connection.execute("ALTER SYSTEM RESET synchronous_standby_names")
        await connection.execute("SELECT pg_reload_conf()")
        await connection.close()


async def until_commits_wait(service: Served) -> None:
    """Return when the server has taken the new setting in: some of its processes do so later."""
    connection = await asyncpg.connect(service.database_url)
    try:
        for _ in range(POLLS):
            await connection.execute(
                "SELECT pg_logical_emit_message(true, 'test', '')", timeout=POLL_S
            )
    except TimeoutError:
        return
    finally:
        connection.terminate()
    raise AssertionError("no commit waits for the standby")


async def test_a_commit_whose_connection_died_is_looked_up_and_told(
    service: Served, database: Database
) -> None:
    """The stock is held on disk; a 503 would be true as well, but the order is there to be told."""
    await offer(database, {("COMMIT", "WH-EAST"): 5})
    order = basket("committed", ("COMMIT", 2))
    headers = service.headers("checkout", "committed")
    async with httpx.AsyncClient(base_url=service.address, timeout=PATIENCE_S) as client:
        # A worker's first order to a place keeps the facts of it, in a commit of its own.
        before = basket("before", ("COMMIT", 1))
        await client.post("/v1/allocations", json=before, headers=service.headers("checkout", "-"))
        async with without_standby(service) as connection:
            sent = asyncio.create_task(client.post("/v1/allocations", json=order, headers=headers))
            pid = await waiting_for_order(connection)
            await connection.execute("SELECT pg_terminate_backend($1)", pid)
            first = await sent
        assert first.status_code == 201, first.text
        again = await client.post("/v1/allocations", json=order, headers=headers)
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert await left(database, "COMMIT") == 2
    await assert_audit_is_silent(database)


async def waiting_for_order(connection: asyncpg.Connection) -> int:
    """Return the server process that holds the order on disk and waits to say so."""
    for _ in range(POLLS):
        if await connection.fetchval(
            "SELECT count(*) FROM allocation WHERE order_id = 'committed'"
        ):
            raise AssertionError("the order is visible, so its commit does not wait")
        for row in await connection.fetch(WAITING):
            holds: bool = await connection.fetchval(
                "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE pid = $1 AND locktype = 'advisory')",
                row["pid"],
            )
            if holds:
                pid: int = row["pid"]
                return pid
        await asyncio.sleep(POLL_S)
    raise AssertionError("no commit waits for the standby")
