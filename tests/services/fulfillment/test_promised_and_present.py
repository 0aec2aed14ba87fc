"""An allocation is read as it was promised and as it is by now, by whoever takes part."""

from typing import Any

from services.database import Database
from tests.services.caller import Caller
from tests.services.fulfillment.rejection_calls import reject
from tests.services.fulfillment.work_calls import confirmed, look, shipped
from tests.services.place import stock

ONE_MUG = {("MUG", node_id): 0 for node_id in ("WH-WEST", "ST-EAST", "ST-WEST")} | {
    ("MUG", "WH-EAST"): 1
}


async def read(caller: Caller, allocation_id: str, role: str = "checkout") -> dict[str, Any]:
    """Return an allocation as a role reads it."""
    answer = await caller.get(f"/v1/allocations/{allocation_id}", role=role)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_work_that_has_moved_is_shown_beside_what_was_promised(
    caller: Caller, database: Database
) -> None:
    """Who answers the customer's call has to know both dates, and where the parcel really is."""
    held = await caller.post("/v1/allocations", shipped("o-1", ("LAMP", 1)))
    allocation_id = held.json()["allocation_id"]
    assert (await read(caller, allocation_id))["fulfillment_orders"] == []
    confirm = await caller.post(f"/v1/allocations/{allocation_id}/confirm")
    before = await read(caller, allocation_id)
    assert before == confirm.json()
    (work,) = before["fulfillment_orders"]
    assert work["promise"] == before["fulfillments"][0]["promise"]
    await reject(caller, work["fulfillment_order_id"])
    after = await read(caller, allocation_id)
    assert after["fulfillments"] == before["fulfillments"]
    old, new = after["fulfillment_orders"]
    assert (old["node_id"], new["node_id"]) == ("WH-EAST", "WH-WEST")
    assert (old["state"], new["state"]) == ("incomplete", "open")
    assert new["promise"] == (await look(caller, new["fulfillment_order_id"]))["promise"]
    assert new["promise"]["latest"] > work["promise"]["latest"]


async def test_a_store_reads_an_order_once_its_work_has_come_to_it(
    caller: Caller, database: Database
) -> None:
    """It packs the parcel; before that the order is nobody's business there."""
    await stock(database, ONE_MUG)
    await caller.catch_up()
    made = await confirmed(caller, shipped("o-1", ("MUG", 1)))
    path = f"/v1/allocations/{made['allocation_id']}"
    for each in (path, f"{path}/decision", "/v1/orders/o-1"):
        assert (await caller.get(each, role="store")).status_code == 404, each
    await stock(database, {("MUG", "ST-EAST"): 5})
    await reject(caller, made["fulfillment_orders"][0]["fulfillment_order_id"])
    found = await read(caller, made["allocation_id"], "store")
    assert [each["node_id"] for each in found["fulfillment_orders"]] == ["WH-EAST", "ST-EAST"]
    for each in (f"{path}/decision", "/v1/orders/o-1"):
        assert (await caller.get(each, role="store")).status_code == 200, each
