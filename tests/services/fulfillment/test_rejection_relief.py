"""Promises whose goods are missing or late, though no node has said no."""

from datetime import timedelta
from typing import Any

from inventory.supply import Supply, put_supply
from services.database import Database
from services.events.sequencer import number_events
from services.settings import Settings
from tests.services.caller import Caller, basket, problem_type
from tests.services.fulfillment.rejection_calls import decide, hurry, queue, reject, sweep
from tests.services.fulfillment.work_calls import (
    STORE,
    assert_all_agrees,
    confirmed,
    events_of,
    kinds_of,
    look,
    shipped,
    stock_of,
    work_id,
)
from tests.services.place import SUPPLY_ON, stock


async def put_off(database: Database, days: int, *, quantity: int = 4) -> None:
    """Have the sofas come later, or fewer of them."""
    async with database.transaction() as connection:
        await put_supply(
            connection,
            [
                Supply(
                    sku="SOFA",
                    supply_id="PO-1",
                    node_id="WH-WEST",
                    expected_on=SUPPLY_ON + timedelta(days=days),
                    quantity=quantity,
                )
            ],
        )


async def backordered(caller: Caller, order_id: str, units: int) -> dict[str, Any]:
    """Order sofas that are not all there; return the work that waits for supply."""
    order = basket(order_id, ("SOFA", units), policy={"backorder": True})
    body = await confirmed(caller, order)
    works = [
        await look(caller, each["fulfillment_order_id"]) for each in body["fulfillment_orders"]
    ]
    (waiting,) = [work for work in works if work["waits_for_supply"]]
    return waiting


async def test_work_that_is_not_submitted_moves_and_waits_for_its_release(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """A release window would be worth nothing if a shortage opened it."""
    work = await work_id(caller, shipped("o-1", ("MUG", 2)))
    async with database.connect() as connection:
        await connection.execute(
            "UPDATE fulfillment_order SET request_state = 'unsubmitted', submitted_at = NULL,"
            " release_at = now() + interval '1 hour'"
        )
    await stock(database, {("MUG", "WH-EAST"): 0})
    await sweep(database, settings)
    assert (await look(caller, work))["state"] == "cancelled"
    (made,) = [p for k, p in await events_of(database, "o-1") if k == "fulfillment_order.moved"]
    new = await look(caller, made["fulfillment_order_id"])
    assert (new["node_id"], new["state"], new["request_state"]) == (STORE, "open", "unsubmitted")
    await assert_all_agrees(database)


async def test_supply_that_slips_is_replaced_where_the_promise_can_be_kept(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """A sofa that stands in the next warehouse is better than a better excuse."""
    waiting = await backordered(caller, "o-1", 2)
    await stock(database, {("SOFA", "ST-WEST"): 3})
    await put_off(database, 20)
    await sweep(database, settings)
    assert (await look(caller, waiting["fulfillment_order_id"]))["state"] == "incomplete"
    assert await stock_of(database, "SOFA", "ST-WEST") == (3, 1)
    assert await queue(caller) == []
    await assert_all_agrees(database)


async def test_supply_that_slips_twice_is_compared_with_what_was_promised_first(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """Ten days late twice is twenty days late to the customer."""
    waiting = await backordered(caller, "o-1", 2)
    for days in (20, 40):
        await put_off(database, days)
        await sweep(database, settings)
    (late,) = await queue(caller)
    now = await look(caller, waiting["fulfillment_order_id"])
    assert late["details"] == {
        "promised_on": waiting["promise"]["latest"],
        "expected_on": now["promise"]["latest"],
    }
    assert (await kinds_of(database, "o-1")).count("fulfillment_order.delayed") == 2
    await assert_all_agrees(database)


async def test_late_supply_at_a_node_that_is_switched_off_is_queued_once(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """No date can be told from there, and nobody may be left waiting in silence."""
    await backordered(caller, "o-1", 2)
    off = await caller.put("/v1/nodes/WH-WEST/enabled", {"enabled": False}, role="operator")
    assert off.status_code == 200
    await put_off(database, 20)
    await sweep(database, settings)
    await sweep(database, settings)
    (late,) = await queue(caller)
    assert late["kind"] == "late"
    assert late["details"] == {"supply_on": str(SUPPLY_ON + timedelta(days=20))}
    await assert_all_agrees(database)


async def test_supply_that_brings_less_than_was_promised_goes_to_the_earlier_promise(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """Who was promised first keeps it; the other one is looked after."""
    await stock(database, {("SOFA", "WH-EAST"): 0})
    await caller.catch_up()
    first = await backordered(caller, "o-1", 1)
    second = await backordered(caller, "o-2", 1)
    await put_off(database, 0, quantity=1)
    await sweep(database, settings)
    (short,) = await queue(caller)
    assert (short["kind"], short["order_id"]) == ("short", "o-2")
    assert short["details"]["supply_id"] == "PO-1"
    assert (await look(caller, first["fulfillment_order_id"]))["waits_for_supply"]
    await stock(database, {("SOFA", "ST-WEST"): 1})
    await hurry(database)
    await sweep(database, settings)
    assert await queue(caller) == []
    assert (await look(caller, second["fulfillment_order_id"]))["state"] == "incomplete"
    assert await stock_of(database, "SOFA", "ST-WEST") == (1, 1)
    await assert_all_agrees(database)


async def test_what_a_person_takes_out_of_the_queue_stays_out(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """The shortage is still there; but somebody has looked at it and knows better."""
    await work_id(caller, shipped("o-1", ("SOFA", 1)))
    await stock(database, {("SOFA", "WH-EAST"): 0})
    await sweep(database, settings)
    (short,) = await queue(caller)
    note = {"note": "it stands in the window"}
    gone = await decide(caller, short["exception_id"], "dismiss", note)
    assert (gone.json()["state"], gone.json()["note"]) == ("dismissed", note["note"])
    await sweep(database, settings)
    assert await queue(caller) == []
    assert len(await queue(caller, state="dismissed")) == 1


async def test_units_that_waited_for_supply_are_rejected_with_what_they_waited_for(
    caller: Caller, database: Database
) -> None:
    """A supplier who says no gives the supply back to those who can still have it."""
    waiting = await backordered(caller, "o-1", 2)
    answer = await reject(caller, waiting["fulfillment_order_id"])
    assert [each["became"] for each in answer["units"]] == ["queued"]
    async with database.connect() as connection:
        assert await connection.fetchval("SELECT promised FROM supply") == 0
    await assert_all_agrees(database)


async def test_a_checkout_learns_at_once_that_the_goods_of_its_hold_are_not_there(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """It can offer something else before the customer has paid, and not only when it confirms."""
    held = (await caller.post("/v1/allocations", shipped("o-1", ("SOFA", 1)))).json()
    await stock(database, {("SOFA", "WH-EAST"): 0})
    await sweep(database, settings)
    await number_events(database)
    (told,) = [
        each
        for each in (await caller.get("/v1/events")).json()["events"]
        if each["kind"] == "allocation.expired"
    ]
    lacking = {"reason": "shortage", "sku": "SOFA", "node_id": "WH-EAST"}
    assert told["payload"] == {"allocation_id": held["allocation_id"], **lacking}
    path = f"/v1/allocations/{held['allocation_id']}"
    ended = (await caller.get(path)).json()
    assert ended["status"] == "expired"
    assert ended["expires_at"] < held["expires_at"], "it has ended before its time"
    refused = await caller.post(f"{path}/confirm")
    assert problem_type(refused) == "hold-expired"
    assert f"The hold ended at {ended['expires_at'][:19]}Z" in refused.json()["detail"]
    await stock(database, {("SOFA", "WH-EAST"): 1})
    retaken = await caller.post(f"{path}/confirm")
    assert (retaken.status_code, retaken.json()["retaken"]) == (200, True)
    await assert_all_agrees(database)


async def test_a_store_learns_that_what_it_holds_for_a_customer_is_not_there(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """The customer can be told before coming; and it is told where the units were held."""
    body = {"node_id": STORE, "sku": "MUG", "quantity": 2}
    held = (await caller.post("/v1/reservations", body, role="store")).json()
    await stock(database, {("MUG", STORE): 1})
    await sweep(database, settings)
    (payload,) = [
        payload
        for kind, payload in await events_of(database, held["reservation_id"])
        if kind == "reservation.expired"
    ]
    assert payload == {"sku": "MUG", "node_id": STORE, "quantity": 2, "reason": "shortage"}
    await assert_all_agrees(database)
