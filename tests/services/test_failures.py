"""When a statement fails or a connection breaks, only what it was about suffers, and nobody lies."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from threading import Event
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from inventory.reserve import Demand, Take, reserve
from services.database import Database
from services.ids import numbered
from services.orders.decide import LIGHT_LINES_MAX
from services.settings import Settings
from tests.services.caller import Caller, basket, problem_type
from tests.services.place import NEW_YORK
from tests.services.test_allocations import assert_audit_is_silent, available

PATIENCE_MS = "60000"
QUEUED = 9
POLLS = 1_000
POLL_S = 0.01
FAREWELL_S = 0.5
"""Time for the driver to read that the server has hung up."""

BUSY = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = 'nom' AND pid <> pg_backend_pid() AND {what}"
)
WAITING = BUSY.format(what="wait_event_type = 'Lock'")
IN_TRANSACTION = BUSY.format(what="(xact_start IS NOT NULL OR backend_xid IS NOT NULL)")


@pytest.fixture
def settings(database_url: str) -> Settings:
    """Return settings under which a test may hold a lock as long as it takes."""
    return Settings.from_environment(
        {
            "DATABASE_URL": database_url,
            "NOM_LOCK_TIMEOUT_MS": PATIENCE_MS,
            "NOM_STATEMENT_TIMEOUT_MS": PATIENCE_MS,
            "NOM_DEADLINE_MS": PATIENCE_MS,
        }
    )


@asynccontextmanager
async def stock_locked(database: Database, sku: str) -> AsyncIterator[asyncpg.Connection]:
    """Hold the locks of a sku's stock records, as a slow count would."""
    async with database.transaction() as connection:
        await connection.execute("SELECT 1 FROM stock WHERE sku = $1 FOR UPDATE", sku)
        yield connection


async def backends(database: Database, query: str, at_least: int) -> list[int]:
    """Return the service's server processes of which `query` is true, once there are enough."""
    for _ in range(POLLS):
        async with database.connect() as connection:
            found = [row["pid"] for row in await connection.fetch(query)]
        if len(found) >= at_least:
            return found
        await asyncio.sleep(POLL_S)
    raise AssertionError(f"{len(found)} of {at_least} backends: {query}")


async def until_queued(caller: Caller, number: int) -> None:
    """Wait until so many orders stand in the queue."""
    for _ in range(POLLS):
        if len(caller.runtime.allocator.queue.waiting) == number:
            return
        await asyncio.sleep(POLL_S)
    raise AssertionError(f"{len(caller.runtime.allocator.queue.waiting)} of {number} orders wait")


def send(caller: Caller, order_id: str, *lines: tuple[str, int]) -> asyncio.Task[httpx.Response]:
    """Send an order in the background, under its own id as key."""
    return asyncio.create_task(
        caller.post("/v1/allocations", basket(order_id, *lines), key=order_id)
    )


async def occupy_lanes(caller: Caller, database: Database) -> list[asyncio.Task[httpx.Response]]:
    """Send one order for each lane, and wait until all of them wait for the locked stock."""
    lanes = caller.runtime.settings.lanes
    sent = []
    for number in range(lanes):
        sent.append(send(caller, f"first-{number}", ("MUG", 1)))
        await backends(database, WAITING, number + 1)
    return sent


async def test_an_order_whose_statement_fails_harms_no_other_in_its_batch(
    caller: Caller, database: Database
) -> None:
    """The batch is halved until the culprit stands alone; the other eight never notice."""
    async with stock_locked(database, "MUG") as connection:
        first = await occupy_lanes(caller, database)
        queued = [send(caller, f"o-{number}", ("MUG", 1)) for number in range(QUEUED)]
        await until_queued(caller, QUEUED)
        culprit = list(caller.runtime.allocator.queue.waiting)[QUEUED // 2]
        # The rarest of accidents, made certain: its reservation's id exists already.
        taken = await reserve(connection, [others_demand(numbered(culprit.allocation_id, 0))])
        assert taken == [None]
    answers = {task: await task for task in [*first, *queued]}
    failed = [answer for answer in answers.values() if answer.status_code != 201]
    assert [(each.status_code, problem_type(each)) for each in failed] == [(500, "internal-error")]
    assert await available(database, "MUG", "WH-EAST") == 100 - (len(answers) - 1) - 1
    again = await caller.post(
        "/v1/allocations", basket(culprit.request.order_id, ("MUG", 1)), key="another"
    )
    assert again.status_code == 201
    await assert_audit_is_silent(database)


def others_demand(reservation_id: UUID) -> Demand:
    """Return a demand of somebody else for a mug, with a reservation of this id."""
    now = datetime.now(UTC)
    return Demand(
        holder_kind="staff",
        holder_id=uuid4(),
        actor="test",
        expires_at=now + timedelta(hours=1),
        takes=(
            Take(
                reservation_id=reservation_id,
                line_id="1",
                sku="MUG",
                node_id="WH-EAST",
                quantity=1,
                promise_on=now.date(),
            ),
        ),
    )


async def test_an_order_for_stock_that_vanished_is_decided_again_and_harms_no_other(
    caller: Caller, database: Database
) -> None:
    """Between the plan and its commit the stock was lost: the plan is made anew elsewhere."""
    async with stock_locked(database, "MUG") as connection:
        first = await occupy_lanes(caller, database)
        lamp = send(caller, "lamp", ("LAMP", 1))
        await until_queued(caller, 1)
        await connection.execute(
            "UPDATE stock SET unavailable = on_hand, version = version + 1"
            " WHERE sku = 'MUG' AND node_id = 'WH-EAST'"
        )
    answers = [await task for task in [*first, lamp]]
    assert [answer.status_code for answer in answers] == [201, 201, 201]
    for answer in answers[:-1]:
        assert {each["node"] for each in answer.json()["fulfillments"]} == {"ST-EAST"}


async def test_a_connection_lost_in_a_batch_is_answered_503_and_its_key_tells_the_truth(
    caller: Caller, database: Database
) -> None:
    """Nobody knows what a dead connection has done, least of all the one who was waiting for it."""
    async with stock_locked(database, "MUG") as connection:
        first = await occupy_lanes(caller, database)
        for pid in await backends(database, WAITING, 2):
            await connection.execute("SELECT pg_terminate_backend($1)", pid)
        answers = [await task for task in first]
    for answer in answers:
        assert (answer.status_code, problem_type(answer)) == (503, "unavailable"), answer.text
        assert answer.headers["retry-after"] == "1"
    assert await available(database, "MUG", "WH-EAST") == 100
    for number in range(2):
        for _ in range(2):
            again = await send(caller, f"first-{number}", ("MUG", 1))
            assert again.status_code == 201
    assert await available(database, "MUG", "WH-EAST") == 98
    await assert_audit_is_silent(database)


async def test_a_connection_lost_in_a_confirm_is_answered_503_and_its_key_tells_the_truth(
    caller: Caller, database: Database
) -> None:
    """The same for the calls that are not batched."""
    held = (await caller.post("/v1/allocations", basket("o-1", ("MUG", 1)))).json()
    path = f"/v1/allocations/{held['allocation_id']}/confirm"
    async with database.transaction() as connection:
        await connection.execute("SELECT 1 FROM allocation FOR UPDATE")
        confirm = asyncio.create_task(caller.post(path, key="k"))
        for pid in await backends(database, WAITING, 1):
            await connection.execute("SELECT pg_terminate_backend($1)", pid)
        lost = await confirm
    assert (lost.status_code, problem_type(lost)) == (503, "unavailable"), lost.text
    assert (await caller.get(held["decision"][: -len("/decision")])).json()["status"] == "held"
    again = await caller.post(path, key="k")
    assert (again.status_code, again.json()["status"]) == (200, "confirmed")


async def test_a_pool_of_connections_that_all_broke_while_idle_fails_no_request(
    caller: Caller, database: Database
) -> None:
    """A database that was restarted at night must not cost the first customers of the morning."""
    for number in range(5):
        await asyncio.gather(
            *(caller.get(f"/v1/items/{sku}") for sku in ("MUG", "LAMP", "SOFA")),
            caller.post("/v1/allocations", basket(f"o-{number}", ("MUG", 1))),
        )
    async with database.connect() as connection:
        ended = await connection.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            " AND datname = current_database() AND application_name = 'nom'"
        )
        assert len(ended) >= 2
        while await connection.fetch(
            "SELECT 1 FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            " AND datname = current_database() AND application_name = 'nom'"
        ):
            await asyncio.sleep(POLL_S)
    # A request in the very moment of the restart is answered 503; a little later none is.
    await asyncio.sleep(FAREWELL_S)
    answers = await asyncio.gather(
        *(caller.get(f"/v1/items/{sku}") for sku in ("MUG", "LAMP", "SOFA")),
        caller.post("/v1/allocations", basket("last", ("MUG", 1))),
    )
    assert [answer.status_code for answer in answers] == [200, 200, 200, 201]


async def test_no_transaction_is_open_while_plans_are_made(
    caller: Caller, database: Database
) -> None:
    """A lock held while the optimizer thinks would make every other order wait for it."""
    threads = caller.runtime.allocator.decider.threads
    go_on = Event()
    for _ in range(caller.runtime.settings.solver_threads):
        # As long as these run, every plan is under way and none is ready.
        threads.submit(go_on.wait)
    # Long enough to be decided in a thread.
    lines = [("MUG", 1)] * (LIGHT_LINES_MAX + 1)
    try:
        held = send(caller, "o-1", *lines)
        quote = asyncio.create_task(
            caller.post(
                "/v1/quotes",
                {"lines": basket("", *lines)["lines"], "destination": NEW_YORK},
            )
        )
        for _ in range(POLLS):
            if threads._work_queue.qsize() >= 2:
                break
            await asyncio.sleep(POLL_S)
        assert threads._work_queue.qsize() >= 2
        async with database.connect() as connection:
            assert await connection.fetch(IN_TRANSACTION) == []
    finally:
        go_on.set()
    assert (await held).status_code == 201
    assert (await quote).status_code == 200
