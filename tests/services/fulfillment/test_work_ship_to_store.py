"""The store lacks what the customer wants to collect there, and a warehouse sends it."""

from datetime import date
from typing import Any

import pytest

from services import keys
from services.database import Database
from tests.services.caller import Caller, problem_type
from tests.services.fulfillment.work_calls import (
    STORE,
    assert_all_agrees,
    confirmed,
    counters,
    done,
    events_of,
    kinds_of,
    look,
    pickup,
    step,
    stock_of,
)

WAREHOUSE = "WH-EAST"
TOLD = [
    "allocation.held",
    "allocation.confirmed",
    "fulfillment_order.created",
    "fulfillment_order.submitted",
    "fulfillment_order.accepted",
    "fulfillment_order.picked",
    "shipment.created",
    "shipment.delivered",
    "fulfillment_order.delivered",
    "fulfillment_order.ready",
    "fulfillment_order.handed_over",
]
"""What everybody learns, the first first."""


@pytest.fixture
async def sender(caller: Caller, database: Database) -> Caller:
    """Return the warehouse in the east, which sends to stores from now on."""
    node = (await caller.get(f"/v1/nodes/{WAREHOUSE}", role="planner")).json()
    node["capabilities"] = ["ship", "ship_to_store"]
    changed = await caller.put(f"/v1/nodes/{WAREHOUSE}", node)
    assert changed.status_code == 200, changed.text
    await caller.catch_up()
    key = await keys.create(database, "store", (WAREHOUSE,), None)
    return Caller(caller.client, {"store": key}, caller.runtime)


async def lamps(caller: Caller, order_id: str = "o-1") -> tuple[dict[str, Any], str]:
    """Confirm lamps, which only warehouses have, for the store; return the answer and the work."""
    answer = await confirmed(caller, pickup(order_id, ("LAMP", 2)))
    (work,) = answer["fulfillment_orders"]
    return answer, work["fulfillment_order_id"]


async def test_a_lamp_is_sent_to_the_store_and_handed_over_there(
    caller: Caller, sender: Caller, database: Database
) -> None:
    """From the basket to the customer's hands, each end saying its own part."""
    answer, work = await lamps(caller)
    (sent,) = answer["fulfillments"]
    assert (sent["node"], sent["method"], sent["pickup_node"]) == (
        WAREHOUSE,
        "ship_to_store",
        STORE,
    )
    assert (sent["service"], sent["cost"]["parcels"]["amount_minor"]) == ("ground", 500)
    assert sent["cost"]["handling"]["amount_minor"] == (100 + 2 * 10) + (200 + 2 * 10)
    assert answer["pickups"] == [{"pickup_node": STORE, "complete": sent["promise"]}]
    assert sent["promise"]["earliest"] < sent["promise"]["latest"]

    assert await listed(sender, WAREHOUSE) == [(work, "open")]
    assert await listed(caller, STORE) == []
    await done(sender, work, "pick", role="store")
    assert await stock_of(database, "LAMP", WAREHOUSE) == (10, 2)
    left = await done(sender, work, "ship", {"carrier": "Van", "tracking": "V-1"}, role="store")
    assert (left["state"], left["allowed"]) == ("shipped", ["ready", "deliver"])
    assert await stock_of(database, "LAMP", WAREHOUSE) == (8, 0)
    assert await listed(sender, WAREHOUSE) == []
    assert await listed(caller, STORE) == [(work, "shipped")]

    there = await done(caller, work, "deliver", role="store")
    assert (there["state"], there["allowed"]) == ("at_store", ["ready", "hand-over"])
    waits = await done(caller, work, "ready", role="store")
    assert waits["collect_by"] is not None
    assert await listed(caller, STORE) == [(work, "at_store")]
    code = (await look(caller, work, "checkout"))["pickup_code"]
    given = await done(caller, work, "hand-over", {"code": code}, role="store")
    assert (given["state"], given["request_state"]) == ("closed", "closed")
    assert counters(given) == {"picked": 2, "shipped": 2}
    assert await listed(caller, STORE) == []
    captured = [payload["amounts_minor"]["capture"] for _, payload in await with_money(database)]
    assert captured == [2_500, 0]
    assert await kinds_of(database, "o-1") == TOLD
    await assert_all_agrees(database)


async def listed(caller: Caller, node_id: str) -> list[tuple[str, str]]:
    """Return the work that a store sees, and how far it is."""
    page = (await caller.get(f"/v1/nodes/{node_id}/work", role="store")).json()
    return [(each["fulfillment_order_id"], each["state"]) for each in page["fulfillment_orders"]]


async def with_money(database: Database) -> list[tuple[str, dict[str, Any]]]:
    """Return the events of the order that say what to capture."""
    return [each for each in await events_of(database, "o-1") if "amounts_minor" in each[1]]


async def test_neither_end_speaks_for_the_other(caller: Caller, sender: Caller) -> None:
    """A store cannot say that the warehouse has packed, nor the warehouse that a customer came."""
    _, work = await lamps(caller)
    refused = await step(caller, work, "pick", role="store")
    assert (refused.status_code, problem_type(refused)) == (403, "forbidden")
    await done(sender, work, "pick", role="store")
    await done(sender, work, "ship", role="store")
    for call in ("ready", "hand-over"):
        refused = await step(sender, work, call, {"code": "x"}, role="store")
        assert (refused.status_code, problem_type(refused)) == (403, "forbidden")


async def test_goods_that_have_arrived_are_handed_over_whole_and_with_a_code(
    caller: Caller, sender: Caller, database: Database
) -> None:
    """Before `ready` there is no code, so an empty one must not do; what is not wanted comes back."""
    _, work = await lamps(caller)
    await done(sender, work, "pick", role="store")
    await done(sender, work, "ship", role="store")
    await done(caller, work, "deliver", role="store")
    refused = await step(caller, work, "hand-over", {"code": ""}, role="store")
    assert (refused.status_code, problem_type(refused)) == (409, "illegal-state")
    await done(caller, work, "ready", role="store")
    code = (await look(caller, work, "checkout"))["pickup_code"]
    part = {"code": code, "lines": [{"line_id": "1", "quantity": 1}]}
    refused = await step(caller, work, "hand-over", part, role="store")
    assert (refused.status_code, problem_type(refused)) == (422, "invalid-field")
    cancelled = await caller.post(f"/v1/allocations/{await holder(database)}/cancel")
    assert (cancelled.status_code, problem_type(cancelled)) == (409, "illegal-state")
    line = {"line_id": "1", "quantity": 2, "reason": "not collected", "disposition": "restock"}
    brought = {"order_id": "o-1", "node_id": STORE, "received": True, "lines": [line]}
    back = await caller.post("/v1/returns", brought, role="store")
    assert back.status_code == 201, back.text
    assert await stock_of(database, "LAMP", STORE) == (2, 0)
    await assert_all_agrees(database)


async def holder(database: Database) -> str:
    """Return the allocation of the order."""
    async with database.connect() as connection:
        return str(await connection.fetchval("SELECT allocation_id FROM allocation"))


async def test_a_line_may_do_without_what_is_sent(caller: Caller, sender: Caller) -> None:
    """A customer who is in the shop now wants what is there now."""
    body = pickup("o-1", ("LAMP", 1))
    body["lines"][0]["ship_to_store"] = False
    refused = await caller.post("/v1/allocations", body)
    assert (refused.status_code, problem_type(refused)) == (409, "insufficient-stock")
    body["lines"][0] |= {"ship_to_store": True, "pickup_node": None, "method": "any"}
    refused = await caller.post("/v1/allocations", body)
    assert (refused.status_code, problem_type(refused)) == (422, "invalid-field")


async def test_what_lies_on_the_shelf_is_not_sent(caller: Caller, sender: Caller) -> None:
    """Two mugs are there today, the lamp comes later; then all can be collected in one trip."""
    body = pickup("o-1", ("MUG", 2), ("LAMP", 1)) | {"policy": {"strategy": "fastest"}}
    answer = (await caller.post("/v1/allocations", body)).json()
    by_method = {each["method"]: each for each in answer["fulfillments"]}
    assert by_method["pickup"]["node"] == STORE
    assert by_method["pickup"]["pickup_node"] == STORE
    (place,) = answer["pickups"]
    assert place["complete"] == by_method["ship_to_store"]["promise"]
    assert date.fromisoformat(place["complete"]["latest"]) > date.fromisoformat(
        by_method["pickup"]["promise"]["latest"]
    )


async def test_a_warehouse_that_gives_up_passes_the_goods_on_to_another(
    caller: Caller, sender: Caller, database: Database
) -> None:
    """Whoever takes over sends to the same store."""
    node = (await caller.get("/v1/nodes/WH-WEST", role="planner")).json()
    node["capabilities"] = ["ship", "ship_to_store"]
    assert (await caller.put("/v1/nodes/WH-WEST", node)).status_code == 200
    await caller.catch_up()
    answer, work = await lamps(caller)
    body = {"reason": "damaged"}
    rejected = await step(caller, work, "reject", body)
    assert rejected.status_code == 200, rejected.text
    works = (await caller.get(f"/v1/allocations/{answer['allocation_id']}")).json()
    async with database.connect() as connection:
        rows = await connection.fetch(
            "SELECT node_id, method, pickup_node, state FROM fulfillment_order ORDER BY attempt"
        )
    assert [tuple(row) for row in rows] == [
        (WAREHOUSE, "ship_to_store", STORE, "incomplete"),
        ("WH-WEST", "ship_to_store", STORE, "open"),
    ], works
    await assert_all_agrees(database)
