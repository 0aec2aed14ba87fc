"""Two hands on one order at the same moment, on connections of their own."""

import asyncio
from collections import Counter
from typing import Any
from uuid import UUID

import httpx
import pytest

from services import records as shared_records
from services.database import Database
from services.fulfillment import cancel, departures, records
from services.fulfillment.departures import Departure
from services.fulfillment.steps import Ask
from services.ids import new_id
from services.problems import Refused
from tests.services.caller import Caller, problem_type
from tests.services.fulfillment.work_calls import (
    assert_all_agrees,
    confirmed,
    counters,
    done,
    kinds_of,
    look,
    pickup,
    shipped,
    step,
    stock_of,
    work_id,
)

ROUNDS = 5
ASK = Ask(actor="test")


def kinds(answers: list[httpx.Response]) -> Counter[str]:
    """Count answers by what they are."""
    return Counter("ok" if each.status_code == 200 else problem_type(each) for each in answers)


async def packed(caller: Caller, body: dict[str, Any]) -> tuple[str, str]:
    """Bring an order to a closed parcel; return its allocation and its work."""
    allocation = await confirmed(caller, body)
    work: str = allocation["fulfillment_orders"][0]["fulfillment_order_id"]
    await done(caller, work, "pick")
    await done(caller, work, "pack")
    return allocation["allocation_id"], work


async def test_two_pickers_pick_every_unit_once(caller: Caller, database: Database) -> None:
    """Four hands at one shelf: nine scans for six units, and six of them count."""
    work = await work_id(caller, shipped("o-1", ("MUG", 6)))
    one = {"lines": [{"line_id": "1", "quantity": 1}]}
    answers = await asyncio.gather(*(step(caller, work, "pick", one) for _ in range(9)))
    assert kinds(list(answers)) == {"ok": 6, "too-many-units": 3}
    found = await look(caller, work)
    assert (counters(found), found["version"]) == ({"picked": 6}, 6)
    assert (await kinds_of(database, "o-1")).count("fulfillment_order.accepted") == 1
    await assert_all_agrees(database)


async def test_of_two_who_have_seen_the_same_version_one_is_told(
    caller: Caller, database: Database
) -> None:
    """Both tablets showed two to pick; the second must look again."""
    work = await work_id(caller, shipped("o-1", ("MUG", 6)))
    one = {"lines": [{"line_id": "1", "quantity": 1}]}

    async def pick() -> httpx.Response:
        headers = caller.headers("operator") | {"If-Match": '"0"'}
        path = f"/v1/fulfillment-orders/{work}/pick"
        return await caller.client.post(path, headers=headers, json=one)

    answers = await asyncio.gather(*(pick() for _ in range(4)))
    assert kinds(list(answers)) == {"ok": 1, "version-mismatch": 3}
    assert counters(await look(caller, work)) == {"picked": 1}


async def test_a_parcel_scanned_by_two_leaves_once(caller: Caller, database: Database) -> None:
    """Driver and dock scan the same label; each has a key of their own."""
    _, work = await packed(caller, shipped("o-1", ("MUG", 2)))
    parcel = {"shipment_id": str(new_id())}
    answers = await asyncio.gather(*(step(caller, work, "ship", parcel) for _ in range(4)))
    assert kinds(list(answers)) == {"ok": 4}
    assert len({each.text for each in answers}) == 1
    assert await stock_of(database, "MUG", "WH-EAST") == (98, 0)
    assert (await kinds_of(database, "o-1")).count("shipment.created") == 1
    await assert_all_agrees(database)


async def test_two_parcels_without_names_do_not_carry_the_same_units(
    caller: Caller, database: Database
) -> None:
    """Two people press the button: one parcel leaves, the other hears that nothing is left."""
    _, work = await packed(caller, shipped("o-1", ("MUG", 2)))
    answers = await asyncio.gather(*(step(caller, work, "ship") for _ in range(3)))
    assert kinds(list(answers)) == {"ok": 1, "illegal-state": 2}
    assert await stock_of(database, "MUG", "WH-EAST") == (98, 0)
    await assert_all_agrees(database)


@pytest.mark.parametrize("attempt", range(ROUNDS))
async def test_shipping_races_with_calling_off_and_both_orders_are_right(
    caller: Caller, database: Database, attempt: int
) -> None:
    """The customer changes their mind while the truck is loaded: goods leave or they do not."""
    allocation_id, work = await packed(caller, shipped("o-1", ("MUG", 2)))
    path = f"/v1/allocations/{allocation_id}/cancel"
    sent, called_off = await asyncio.gather(step(caller, work, "ship"), caller.post(path))
    assert sent.status_code == 200
    found = await look(caller, work)
    assert found["state"] == "shipped"
    if called_off.status_code == 200:
        assert found["request_state"] == "cancellation_rejected"
    else:
        assert problem_type(called_off) == "illegal-state"
        assert found["request_state"] == "accepted"
    assert await stock_of(database, "MUG", "WH-EAST") == (98, 0)
    await assert_all_agrees(database)


@pytest.mark.parametrize("attempt", range(ROUNDS))
async def test_shipping_races_with_the_end_of_work_in_progress(
    caller: Caller, database: Database, attempt: int
) -> None:
    """Not packed yet, so a cancel ends it, or the parcel was faster; never both."""
    allocation = await confirmed(caller, shipped("o-1", ("MUG", 2)))
    work = allocation["fulfillment_orders"][0]["fulfillment_order_id"]
    await done(caller, work, "pick")
    path = f"/v1/allocations/{allocation['allocation_id']}/cancel"
    sent, called_off = await asyncio.gather(step(caller, work, "ship"), caller.post(path))
    assert sorted([sent.status_code, called_off.status_code]) == [200, 409]
    found = await look(caller, work)
    if sent.status_code == 200:
        assert found["state"] == "shipped"
        assert await stock_of(database, "MUG", "WH-EAST") == (98, 0)
    else:
        assert found["state"] == "cancelled"
        assert await stock_of(database, "MUG", "WH-EAST") == (100, 0)
    await assert_all_agrees(database)


@pytest.mark.parametrize("first", ["ship", "cancel"])
async def test_who_waits_for_the_other_finds_what_the_other_has_done(
    caller: Caller, database: Database, first: str
) -> None:
    """Both orders of arrival, forced: the second stands at the lock while the first decides."""
    allocation = await confirmed(caller, shipped("o-1", ("MUG", 2)))
    work = UUID(allocation["fulfillment_orders"][0]["fulfillment_order_id"])
    allocation_id = UUID(allocation["allocation_id"])
    await done(caller, str(work), "pick")

    async def ship(connection: Any) -> object:
        return await departures.ship(connection, work, ASK, Departure(departure_id=new_id()))

    async def call_off(connection: Any) -> object:
        return await cancel.cancel(connection, allocation_id, actor="test")

    order = [ship, call_off] if first == "ship" else [call_off, ship]
    async with database.transaction() as leading:
        await order[0](leading)
        waiting = asyncio.create_task(database.run(order[1]))
        await until_somebody_waits(database)
    with pytest.raises(Refused) as refused:
        await waiting
    assert refused.value.kind == "illegal-state"
    assert await stock_of(database, "MUG", "WH-EAST") == ((98, 0) if first == "ship" else (100, 0))
    await assert_all_agrees(database)


async def until_somebody_waits(database: Database) -> None:
    """Return once a transaction stands at a lock."""
    async with database.connect() as connection:
        while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)


async def test_the_answer_to_a_cancellation_is_given_once(
    caller: Caller, database: Database
) -> None:
    """Yes and no at the same moment: whoever was first is right, and stock follows them."""
    allocation_id, work = await packed(caller, shipped("o-1", ("MUG", 2)))
    await caller.post(f"/v1/allocations/{allocation_id}/cancel")
    yes, no, sent = await asyncio.gather(
        step(caller, work, "accept-cancellation"),
        step(caller, work, "reject-cancellation"),
        step(caller, work, "ship"),
    )
    found = await look(caller, work)
    if yes.status_code == 200:
        assert (no.status_code, sent.status_code, found["state"]) == (409, 409, "cancelled")
        assert await stock_of(database, "MUG", "WH-EAST") == (100, 0)
    else:
        assert (sent.status_code, found["state"]) == (200, "shipped")
        assert await stock_of(database, "MUG", "WH-EAST") == (98, 0)
    await assert_all_agrees(database)


async def test_a_bag_is_handed_over_once(caller: Caller, database: Database) -> None:
    """Two tills, one code, one bag."""
    work = await work_id(caller, pickup("o-1", ("MUG", 2)))
    await done(caller, work, "pick", role="store")
    await done(caller, work, "ready", role="store")
    body = {"code": (await look(caller, work, "checkout"))["pickup_code"]}
    answers = await asyncio.gather(
        *(step(caller, work, "hand-over", body, role="store") for _ in range(3)),
        step(caller, work, "no-show", role="store"),
    )
    assert kinds(list(answers)) == {"ok": 1, "illegal-state": 3}
    on_hand = 5 if answers[3].status_code == 200 else 3
    assert await stock_of(database, "MUG", "ST-EAST") == (on_hand, 0)
    await assert_all_agrees(database)


async def test_two_confirms_at_once_make_the_work_once(caller: Caller, database: Database) -> None:
    """The payment's callback and the customer's browser come in the same second."""
    held = (await caller.post("/v1/allocations", shipped("o-1", ("MUG", 1)))).json()
    path = f"/v1/allocations/{held['allocation_id']}/confirm"
    answers = await asyncio.gather(*(caller.post(path) for _ in range(4)))
    assert len({each.text for each in answers}) == 1
    assert (await kinds_of(database, "o-1")).count("fulfillment_order.created") == 1
    async with database.connect() as connection:
        works = await records.find_of_order(connection, "o-1")
        assert len(works) == 1
        assert works[0].order.submitted_at is not None
        assert works[0].order.submitted_at <= await shared_records.database_now(connection)
    await assert_all_agrees(database)
