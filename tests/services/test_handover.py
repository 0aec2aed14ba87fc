"""A basket begun in one channel and finished in another never lets go of its stock."""

import asyncio
from typing import Any

from services.database import Database
from tests.services.caller import Caller, basket, problem_type
from tests.services.test_allocations import assert_audit_is_silent, available


async def begun(caller: Caller, order_id: str = "o-1") -> str:
    """Hold a basket of the web shop and return where it is."""
    held = await caller.post("/v1/allocations", basket(order_id, ("LAMP", 2)))
    assert held.status_code == 201, held.text
    return f"/v1/allocations/{held.json()['allocation_id']}"


def till(**changes: object) -> dict[str, Any]:
    """Return a hand-over to the till."""
    return {"channel": "till"} | changes


async def test_a_basket_of_the_web_is_finished_at_the_till(
    caller: Caller, database: Database
) -> None:
    """The customer shows the order on the phone and pays here; nobody could buy it meanwhile."""
    path = await begun(caller)
    hidden = await caller.post(f"{path}/transfer", till(), role="store")
    assert (hidden.status_code, problem_type(hidden)) == (404, "not-found")
    taken = await caller.post(f"{path}/transfer", till(order_id="o-1"), role="store")
    assert (taken.status_code, taken.json()["status"]) == (200, "held"), taken.text
    assert await available(database, "LAMP", "WH-EAST") == 8
    done = await caller.post(f"{path}/confirm", role="store")
    assert (done.status_code, done.json()["status"]) == (200, "confirmed")
    async with database.connect() as connection:
        row = await connection.fetchrow("SELECT channel, actor FROM allocation")
        told = await connection.fetch(
            "SELECT kind FROM event WHERE kind LIKE 'allocation.%' ORDER BY ordinal"
        )
    assert row is not None
    assert (row["channel"], row["actor"].partition(":")[0]) == ("till", "store")
    assert [each["kind"] for each in told] == [
        "allocation.held",
        "allocation.transferred",
        "allocation.confirmed",
    ]
    await assert_audit_is_silent(database)


async def test_the_wrong_order_looks_like_no_basket(caller: Caller) -> None:
    """Whoever guesses an id learns nothing from it."""
    path = await begun(caller)
    for role in ("store", "checkout"):
        wrong = await caller.post(f"{path}/transfer", till(order_id="o-2"), role=role)
        assert (wrong.status_code, problem_type(wrong)) == (404, "not-found")
    nobody = "/v1/allocations/00000000-0000-7000-8000-000000000000/transfer"
    assert (await caller.post(nobody, till(order_id="o-1"), role="store")).status_code == 404


async def test_a_call_center_basket_goes_on_under_the_apps_order(
    caller: Caller, database: Database
) -> None:
    """The app numbers its orders itself; the hold moves, and the old number is free again."""
    path = await begun(caller)
    body = {"channel": "app", "order_id": "o-1", "new_order_id": "app-7"}
    taken = await caller.post(f"{path}/transfer", body)
    assert (taken.status_code, taken.json()["order_id"]) == (200, "app-7"), taken.text
    assert (await caller.get(path)).json()["order_id"] == "app-7"
    again = await caller.post("/v1/allocations", basket("app-7", ("LAMP", 1)))
    assert problem_type(again) == "order-already-allocated"
    assert (await caller.post("/v1/allocations", basket("o-1", ("LAMP", 1)))).status_code == 201
    await assert_audit_is_silent(database)


async def test_an_order_that_has_a_basket_takes_no_second_one(caller: Caller) -> None:
    """Two live holds for one order could both be paid."""
    first, _ = await begun(caller), await begun(caller, "o-2")
    body = {"channel": "app", "new_order_id": "o-2"}
    refused = await caller.post(f"{first}/transfer", body)
    assert (refused.status_code, problem_type(refused)) == (409, "order-already-allocated")
    assert (await caller.get(first)).json()["order_id"] == "o-1"


async def test_only_a_hold_changes_hands(caller: Caller) -> None:
    """What is confirmed is an order, and what has ended is nothing."""
    path = await begun(caller)
    await caller.post(f"{path}/confirm")
    refused = await caller.post(f"{path}/transfer", till())
    assert (refused.status_code, problem_type(refused)) == (409, "illegal-state")
    assert "transfer" not in refused.json()["allowed"]


async def test_two_channels_that_reach_for_one_basket_leave_it_whole(
    caller: Caller, database: Database
) -> None:
    """Last one wins, and there is one hold throughout."""
    path = await begun(caller)
    bodies = [{"channel": f"c-{number}", "new_order_id": f"n-{number}"} for number in range(8)]
    answers = await asyncio.gather(*(caller.post(f"{path}/transfer", body) for body in bodies))
    assert {answer.status_code for answer in answers} <= {200, 404}
    assert any(answer.status_code == 200 for answer in answers)
    assert await available(database, "LAMP", "WH-EAST") == 8
    await assert_audit_is_silent(database)
