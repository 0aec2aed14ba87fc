"""A node's list of work, whose it is, and what waits for supply."""

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from services.database import Database
from tests.services.caller import Caller, problem_type
from tests.services.fulfillment.work_calls import (
    STORE,
    assert_all_agrees,
    confirmed,
    done,
    look,
    pickup,
    shipped,
    step,
    stock_of,
    work_id,
)
from tests.services.place import SUPPLY_ON


async def listed(caller: Caller, node_id: str, role: str = "operator", **query: Any) -> list[str]:
    """Return the orders of a node's work, page by page."""
    found: list[str] = []
    while True:
        answer = await caller.get(f"/v1/nodes/{node_id}/work", role=role, params=query)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += [each["order_id"] for each in page["fulfillment_orders"]]
        if page["next_cursor"] is None:
            return found
        query["cursor"] = page["next_cursor"]


async def ship_by(database: Database, order_id: str, hours: int) -> None:
    """Set when an order's work has to leave."""
    async with database.transaction() as connection:
        await connection.execute(
            "UPDATE fulfillment_order SET ship_by = now() + $2 * interval '1 hour'"
            " WHERE order_id = $1",
            order_id,
            hours,
        )


async def test_work_is_listed_by_its_deadline_and_page_by_page(
    caller: Caller, database: Database
) -> None:
    """What has to leave first stands first, however many there are, and nothing twice."""
    hours = {"o-1": 5, "o-2": 1, "o-3": 3, "o-4": 3, "o-5": 2}
    for order_id, due in hours.items():
        await confirmed(caller, shipped(order_id, ("MUG", 1)))
        await ship_by(database, order_id, due)
    async with database.transaction() as connection:
        await connection.execute(
            "UPDATE fulfillment_order SET ship_by = date_trunc('day', now()) + interval '1 day' WHERE order_id IN ('o-3', 'o-4')"
        )
    every = await listed(caller, "WH-EAST")
    assert sorted(every) == sorted(hours)
    for limit in (1, 2, 5):
        assert await listed(caller, "WH-EAST", limit=limit) == every
    assert await listed(caller, "WH-WEST") == []


async def test_work_is_filtered_by_state_and_method(caller: Caller, database: Database) -> None:
    """Pickers want what is open; the counter wants what is to be collected."""
    await work_id(caller, pickup("o-1", ("MUG", 1)))
    begun = await work_id(caller, pickup("o-2", ("MUG", 1)))
    await done(caller, begun, "pick", role="store")
    assert await listed(caller, STORE, "store", state="open") == ["o-1"]
    assert await listed(caller, STORE, "store", state="in_progress") == ["o-2"]
    assert await listed(caller, STORE, "store", state="packed") == []
    assert len(await listed(caller, STORE, "store", method="pickup")) == 2
    assert await listed(caller, STORE, "store", method="ship") == []
    odd = await caller.get(f"/v1/nodes/{STORE}/work", role="store", params={"state": "closed"})
    assert problem_type(odd) == "invalid-parameter"
    for cursor in ("x", "W10", "WyJhIiwiYiJd"):
        answer = await caller.get(
            f"/v1/nodes/{STORE}/work", role="store", params={"cursor": cursor}
        )
        assert problem_type(answer) == "invalid-parameter"


async def test_work_that_has_left_is_off_the_list(caller: Caller) -> None:
    """A list that only grows is not read."""
    work = await work_id(caller, shipped("o-1", ("MUG", 1)))
    await done(caller, work, "pick")
    assert await listed(caller, "WH-EAST") == ["o-1"]
    await done(caller, work, "ship")
    assert await listed(caller, "WH-EAST") == []


async def test_somebody_elses_work_looks_like_work_that_does_not_exist(
    caller: Caller, database: Database
) -> None:
    """Neither a store nor a partner can find out who else has orders."""
    work = await work_id(caller, shipped("o-1", ("MUG", 1)))
    nowhere = str(uuid4())
    for role in ("store", "partner"):
        for call in ("accept", "pick", "pack", "ready", "no-show", "ship", "deliver"):
            real = await step(caller, work, call, role=role)
            none = await step(caller, nowhere, call, role=role)
            assert (real.status_code, none.status_code) == (404, 404)
            assert real.json()["detail"].replace(work, nowhere) == none.json()["detail"]
        path = "/v1/fulfillment-orders/"
        assert (await caller.get(path + work, role=role)).status_code == 404
        for node_id in ("WH-EAST", "nowhere"):
            answer = await caller.get(f"/v1/nodes/{node_id}/work", role=role)
            assert answer.status_code == 404
    assert (await look(caller, work))["version"] == 0


async def test_a_partner_does_the_work_of_its_own_nodes(caller: Caller, database: Database) -> None:
    """And is not told what the customer pays for it."""
    async with database.transaction() as connection:
        await connection.execute(
            "UPDATE node SET partner_id = 'carrier', kind = 'partner' WHERE node_id = 'WH-EAST'"
        )
    work = await work_id(caller, shipped("o-1", ("MUG", 1)))
    assert await listed(caller, "WH-EAST", "partner") == ["o-1"]
    for call in ("accept", "pick", "pack", "ship"):
        found = await done(caller, work, call, role="partner")
    assert found["state"] == "shipped"
    assert found["lines"][0]["unit_price_minor"] is None
    assert (await look(caller, work))["lines"][0]["unit_price_minor"] == 1_250


@pytest.mark.parametrize("role", ["checkout", "planner"])
async def test_only_nodes_and_operators_take_steps(caller: Caller, role: str) -> None:
    """A checkout that could ship could charge for what is still on the shelf."""
    work = await work_id(caller, shipped("o-1", ("MUG", 1)))
    for call in ("accept", "pick", "ship"):
        assert (await step(caller, work, call, role=role)).status_code == 403
    assert (await look(caller, work, role))["version"] == 0


async def backorder(caller: Caller) -> dict[str, Any]:
    """Confirm an order of two sofas: one is in the east, one is expected in the west."""
    body = shipped("o-1", ("SOFA", 2)) | {"policy": {"backorder": True}}
    return await confirmed(caller, body)


async def receive(caller: Caller, quantity: int) -> httpx.Response:
    """Let expected sofas come in at the west."""
    receipt = {
        "receipts": [
            {
                "movement_id": str(uuid4()),
                "sku": "SOFA",
                "supply_id": "PO-1",
                "quantity": quantity,
            }
        ]
    }
    return await caller.post("/v1/supply/receipts", receipt, role="planner")


async def test_what_waits_for_supply_cannot_be_picked_before_it_is_received(
    caller: Caller, database: Database
) -> None:
    """A pick of goods that are on a ship would be a promise broken at the packing table."""
    body = await backorder(caller)
    works = {each["node_id"]: each["fulfillment_order_id"] for each in body["fulfillment_orders"]}
    waiting = await look(caller, works["WH-WEST"])
    assert waiting["waits_for_supply"]
    assert waiting["lines"][0]["waits_for"] == [
        {"supply_id": "PO-1", "quantity": 1, "expected_on": SUPPLY_ON.isoformat()}
    ]
    refused = await step(caller, works["WH-WEST"], "pick")
    assert (refused.status_code, problem_type(refused)) == (409, "waiting-for-supply")
    assert refused.json()["expected"] == waiting["lines"][0]["waits_for"]
    assert SUPPLY_ON.isoformat() in refused.json()["detail"]
    listed_answer = await caller.get("/v1/nodes/WH-WEST/work", role="operator")
    assert listed_answer.json()["fulfillment_orders"][0]["waits_for_supply"]
    answer = await receive(caller, 1)
    assert answer.status_code < 300, answer.text
    found = await look(caller, works["WH-WEST"])
    assert not found["waits_for_supply"]
    await done(caller, works["WH-WEST"], "pick")
    assert (await done(caller, works["WH-WEST"], "ship"))["state"] == "shipped"
    assert await stock_of(database, "SOFA", "WH-WEST") == (0, 0)
    # The unit that was on hand elsewhere is untouched by all of it.
    assert await stock_of(database, "SOFA", "WH-EAST") == (1, 1)
    await assert_all_agrees(database)


async def test_what_has_come_in_can_be_picked_before_the_rest(
    caller: Caller, database: Database
) -> None:
    """Three of four sofas are here: their customer can have three."""
    body = shipped("o-1", ("SOFA", 5)) | {"policy": {"backorder": True}}
    allocation = await confirmed(caller, body)
    works = {
        each["node_id"]: each["fulfillment_order_id"] for each in allocation["fulfillment_orders"]
    }
    assert (await receive(caller, 3)).status_code < 300
    refused = await step(caller, works["WH-WEST"], "pick")
    assert (problem_type(refused), refused.json()["available"]) == ("waiting-for-supply", 3)
    three = {"lines": [{"line_id": "1", "quantity": 3}]}
    await done(caller, works["WH-WEST"], "pick", three)
    again = {"lines": [{"line_id": "1", "quantity": 1}]}
    later = await step(caller, works["WH-WEST"], "pick", again)
    assert (problem_type(later), later.json()["available"]) == ("waiting-for-supply", 0)
    sent = await done(caller, works["WH-WEST"], "ship")
    assert sent["state"] == "in_progress"
    assert sent["lines"][0]["waits_for"][0]["quantity"] == 1
    assert problem_type(await step(caller, works["WH-WEST"], "pick", again)) == "waiting-for-supply"
    await assert_all_agrees(database)
    answer = await caller.post(f"/v1/allocations/{allocation['allocation_id']}/cancel")
    assert answer.json()["status"] == "confirmed"
    async with database.connect() as connection:
        promised = await connection.fetchval("SELECT promised FROM supply WHERE supply_id = 'PO-1'")
        live = await connection.fetchval(
            "SELECT count(*) FROM reservation WHERE holder_id = $1 AND resolved_at IS NULL",
            UUID(allocation["allocation_id"]),
        )
    assert (promised, live) == (0, 0)
    await assert_all_agrees(database)
