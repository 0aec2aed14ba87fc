"""A hold that nobody confirms gives its stock back; one that somebody pays for does not."""

import asyncio
from uuid import UUID

import asyncpg
import pytest

from inventory import resolve
from services.database import Database
from services.orders import lifecycle, records
from services.orders.lifecycle import expire_due
from tests.services.caller import Caller, basket, problem_type
from tests.services.test_allocations import assert_audit_is_silent, available


async def let_time_pass(database: Database, allocation_id: str) -> None:
    """Move the end of a hold into the past, as the database's clock would."""
    async with database.transaction() as connection:
        for statement in (
            "UPDATE allocation SET expires_at = now() - interval '1 second' WHERE allocation_id = $1",
            "UPDATE reservation SET expires_at = now() - interval '1 second' WHERE holder_id = $1",
        ):
            await connection.execute(statement, UUID(allocation_id))


async def test_an_expired_hold_is_swept_and_its_stock_is_sellable(
    caller: Caller, database: Database
) -> None:
    """A basket that was left does not keep the last unit from the next customer."""
    sofa = basket("o-1", ("SOFA", 1))
    held = (await caller.post("/v1/allocations", sofa)).json()
    refused = await caller.post("/v1/allocations", basket("o-2", ("SOFA", 1)))
    assert problem_type(refused) == "insufficient-stock"
    await let_time_pass(database, held["allocation_id"])
    assert await expire_due(database) == 1
    assert await expire_due(database) == 0
    assert (await caller.get(f"/v1/allocations/{held['allocation_id']}")).json()[
        "status"
    ] == "expired"
    sold = await caller.post("/v1/allocations", basket("o-3", ("SOFA", 1)))
    assert sold.status_code == 201
    await assert_audit_is_silent(database)


async def test_one_sweep_ends_every_hold_that_is_due(
    caller: Caller, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are: after an outage they come all at once, a few to a transaction."""
    monkeypatch.setattr(lifecycle, "SWEEP_LIMIT", 2)
    for number in range(5):
        answer = await caller.post("/v1/allocations", basket(f"o-{number}", ("LAMP", 1)))
        await let_time_pass(database, answer.json()["allocation_id"])
    assert await expire_due(database) == 5
    assert await expire_due(database) == 0
    await assert_audit_is_silent(database)


async def test_sweeps_read_no_table_from_end_to_end(caller: Caller, database: Database) -> None:
    """They run five times a second beside everything else, and get their plans while it is empty."""
    held = (await caller.post("/v1/allocations", basket("o-1", ("SOFA", 1)))).json()
    await let_time_pass(database, held["allocation_id"])
    ended = []
    async with database.transaction() as connection:
        before = await scans(connection)
        for _ in range(7):
            due = await records.lock_expired(connection, 10)
            if due:
                why = {"reason": "time"}
                await lifecycle.give_back(connection, due, "expired", "system:expiry", why)
            due += await resolve.expire_due(connection, holder_kind="staff", limit=10)
            ended += due
        assert await scans(connection) == before
    assert [str(each) for each in ended] == [held["allocation_id"]]


async def scans(connection: asyncpg.Connection) -> dict[str, int]:
    """Return how often this transaction has read allocations and reservations from end to end."""
    rows = await connection.fetch(
        "SELECT relname, seq_scan FROM pg_stat_xact_user_tables"
        " WHERE relname IN ('allocation', 'reservation')"
    )
    return {row["relname"]: row["seq_scan"] for row in rows}


async def test_a_hold_past_its_time_can_be_confirmed_until_it_is_swept(
    caller: Caller, database: Database
) -> None:
    """State decides, not clocks: the customer paid in the last second."""
    held = (await caller.post("/v1/allocations", basket("o-1", ("SOFA", 1)))).json()
    await let_time_pass(database, held["allocation_id"])
    confirmed = await caller.post(f"/v1/allocations/{held['allocation_id']}/confirm")
    assert confirmed.status_code == 200
    assert not confirmed.json()["retaken"]
    assert await expire_due(database) == 0


async def test_a_confirm_after_expiry_takes_the_same_stock_again(
    caller: Caller, database: Database
) -> None:
    """The payment came late, but nobody else wanted the goods."""
    held = (await caller.post("/v1/allocations", basket("o-1", ("SOFA", 1)))).json()
    await let_time_pass(database, held["allocation_id"])
    await expire_due(database)
    confirmed = await caller.post(f"/v1/allocations/{held['allocation_id']}/confirm")
    assert confirmed.status_code == 200, confirmed.text
    assert confirmed.json()["retaken"]
    assert confirmed.json()["status"] == "confirmed"
    assert await available(database, "SOFA", "WH-EAST") == 0
    await assert_audit_is_silent(database)


async def test_a_confirm_after_expiry_fails_cleanly_when_the_stock_is_gone(
    caller: Caller, database: Database
) -> None:
    """The payment came late and the last sofa is sold: the answer says so, nothing changes."""
    held = (await caller.post("/v1/allocations", basket("o-1", ("SOFA", 1)))).json()
    await let_time_pass(database, held["allocation_id"])
    await expire_due(database)
    await caller.post("/v1/allocations", basket("o-2", ("SOFA", 1)))
    refused = await caller.post(f"/v1/allocations/{held['allocation_id']}/confirm")
    assert (refused.status_code, problem_type(refused)) == (409, "hold-expired")
    assert (await caller.get(f"/v1/allocations/{held['allocation_id']}")).json()[
        "status"
    ] == "expired"
    await assert_audit_is_silent(database)


async def test_a_confirm_after_expiry_respects_that_the_order_was_allocated_anew(
    caller: Caller, database: Database
) -> None:
    """Otherwise one order would hold stock twice."""
    held = (await caller.post("/v1/allocations", basket("o-1", ("MUG", 1)))).json()
    await let_time_pass(database, held["allocation_id"])
    await expire_due(database)
    anew = (await caller.post("/v1/allocations", basket("o-1", ("MUG", 2)))).json()
    refused = await caller.post(f"/v1/allocations/{held['allocation_id']}/confirm")
    assert problem_type(refused) == "order-already-allocated"
    assert refused.json()["allocation_id"] == anew["allocation_id"]


async def test_a_late_confirm_and_a_new_allocation_of_the_order_race_and_one_wins(
    caller: Caller, database: Database
) -> None:
    """The customer pays in one tab and starts over in another: one live allocation, no failure."""
    for number in range(15):
        order_id = f"o-{number}"
        held = (await caller.post("/v1/allocations", basket(order_id, ("MUG", 1)))).json()
        await let_time_pass(database, held["allocation_id"])
        await expire_due(database)
        confirmed, anew = await asyncio.gather(
            caller.post(f"/v1/allocations/{held['allocation_id']}/confirm"),
            caller.post("/v1/allocations", basket(order_id, ("MUG", 2))),
        )
        won = {confirmed.status_code, anew.status_code}
        assert won in ({200, 409}, {409, 201}), (confirmed.text, anew.text)
    await assert_audit_is_silent(database)


async def test_an_extension_postpones_the_end_and_never_shortens_it(
    caller: Caller,
) -> None:
    """The customer is still typing the card number."""
    order = basket("o-1", ("MUG", 1), hold_for="PT5M")
    held = (await caller.post("/v1/allocations", order)).json()
    path = f"/v1/allocations/{held['allocation_id']}/extend"
    longer = await caller.post(path, {"hold_for": "PT15M"})
    assert longer.json()["expires_at"] > held["expires_at"]
    shorter = await caller.post(path, {"hold_for": "PT1M"})
    assert shorter.json()["expires_at"] == longer.json()["expires_at"]
    too_long = await caller.post(path, {"hold_for": "PT3H"})
    assert (too_long.status_code, problem_type(too_long)) == (422, "hold-too-long")


async def test_sweeper_and_confirm_race_and_one_of_them_wins(
    caller: Caller, database: Database
) -> None:
    """Whoever locks the allocation first decides; the other finds it decided."""
    won = {"confirm": 0, "sweep": 0}
    for number in range(60):
        order = basket(f"o-{number}", ("MUG", 1))
        held = (await caller.post("/v1/allocations", order)).json()
        await let_time_pass(database, held["allocation_id"])
        answer, swept = await asyncio.gather(
            caller.post(f"/v1/allocations/{held['allocation_id']}/confirm"),
            expire_due(database),
        )
        assert answer.status_code == 200, answer.text
        # A confirm that lost finds the hold expired and takes the stock again.
        assert answer.json()["retaken"] == (swept == 1)
        won["sweep" if swept else "confirm"] += 1
        await caller.post(f"/v1/allocations/{held['allocation_id']}/cancel")
    assert sum(won.values()) == 60
    assert await available(database, "MUG", "WH-EAST") == 100
    await assert_audit_is_silent(database)
