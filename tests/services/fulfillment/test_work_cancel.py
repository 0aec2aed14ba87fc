"""Calling off: what ends at once, what is asked for, what stays."""

from typing import Any

import pytest

from inventory.nodes import Node, put_nodes
from services.database import Database
from services.planning import records as planning_records
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
    shipped,
    step,
    stock_of,
)
from tests.services.place import node


async def called_off(caller: Caller, allocation: dict[str, Any]) -> dict[str, Any]:
    """Cancel an allocation."""
    answer = await caller.post(f"/v1/allocations/{allocation['allocation_id']}/cancel")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def work_of(allocation: dict[str, Any], number: int = 0) -> str:
    """Return the id of one of its fulfillment orders."""
    found: str = allocation["fulfillment_orders"][number]["fulfillment_order_id"]
    return found


async def other_company(database: Database, caller: Caller, node_id: str) -> None:
    """Make a node one of a partner's."""
    given = node(node_id)
    fields = {name: getattr(given, name) for name in Node.__struct_fields__}
    async with database.transaction() as connection:
        await put_nodes(connection, [Node(**fields | {"kind": "partner", "partner_id": "carrier"})])
        await planning_records.bump_version(connection)
    await caller.catch_up()


@pytest.mark.parametrize("how_far", [(), ("accept",), ("pick",)])
async def test_what_is_not_packed_ends_at_once(
    caller: Caller, database: Database, how_far: tuple[str, ...]
) -> None:
    """Until the parcel is closed, our own people just put it back."""
    allocation = await confirmed(caller, shipped("o-1", ("MUG", 2)))
    for call in how_far:
        await done(caller, work_of(allocation), call)
    answer = await called_off(caller, allocation)
    assert answer["status"] == "cancelled"
    assert [each["outcome"] for each in answer["fulfillment_orders"]] == ["cancelled"]
    found = await look(caller, work_of(allocation))
    assert (found["state"], found["request_state"]) == ("cancelled", "closed")
    assert counters(found) == {"cancelled": 2}
    assert await stock_of(database, "MUG", "WH-EAST") == (100, 0)
    told = await events_of(database, "o-1")
    assert [kind for kind, _ in told[-2:]] == [
        "fulfillment_order.cancelled",
        "allocation.cancelled",
    ]
    assert told[-2][1]["amounts_minor"] == {"void": 2_500}
    assert (await called_off(caller, allocation))["fulfillment_orders"][0]["outcome"] == "cancelled"
    assert len(await events_of(database, "o-1")) == len(told)
    await assert_all_agrees(database)


async def test_what_is_packed_is_asked_for_and_ends_when_its_node_agrees(
    caller: Caller, database: Database
) -> None:
    """The parcel may be on the truck already: only its node can know."""
    allocation = await confirmed(caller, shipped("o-1", ("MUG", 2)))
    work = work_of(allocation)
    await done(caller, work, "pick")
    await done(caller, work, "pack")
    answer = await called_off(caller, allocation)
    assert answer["status"] == "confirmed"
    assert answer["fulfillment_orders"][0]["outcome"] == "cancellation_requested"
    assert await stock_of(database, "MUG", "WH-EAST") == (100, 2)
    found = await look(caller, work)
    assert found["allowed"] == ["ship", "accept-cancellation", "reject-cancellation"]
    # Asking again does not ask the node again.
    version = found["version"]
    assert (await called_off(caller, allocation))["status"] == "confirmed"
    assert (await look(caller, work))["version"] == version
    agreed = await done(caller, work, "accept-cancellation")
    assert (agreed["state"], agreed["request_state"]) == ("cancelled", "cancellation_accepted")
    assert await stock_of(database, "MUG", "WH-EAST") == (100, 0)
    path = f"/v1/allocations/{allocation['allocation_id']}"
    assert (await caller.get(path)).json()["status"] == "cancelled"
    await assert_all_agrees(database)


async def test_a_node_may_refuse_to_stop_and_the_work_goes_on(
    caller: Caller, database: Database
) -> None:
    """The refusal ends the matter: the customer gets the parcel and can return it."""
    allocation = await confirmed(caller, shipped("o-1", ("MUG", 2)))
    work = work_of(allocation)
    await done(caller, work, "pick")
    await done(caller, work, "pack")
    await called_off(caller, allocation)
    for call in ("pick", "pack"):
        assert problem_type(await step(caller, work, call)) == "illegal-state"
    kept = await done(caller, work, "reject-cancellation", {"reason": "on the truck"})
    assert (kept["state"], kept["request_state"]) == ("packed", "cancellation_rejected")
    told = dict(await events_of(database, "o-1"))
    assert told["fulfillment_order.cancellation_rejected"]["reason"] == "on the truck"
    again = await caller.post(f"/v1/allocations/{allocation['allocation_id']}/cancel")
    assert (again.status_code, problem_type(again)) == (409, "illegal-state")
    assert (await done(caller, work, "ship"))["state"] == "shipped"
    await assert_all_agrees(database)


async def test_shipping_after_all_says_no_to_the_cancellation(
    caller: Caller, database: Database
) -> None:
    """The driver scanned the parcel before anybody had seen the question."""
    allocation = await confirmed(caller, shipped("o-1", ("MUG", 2)))
    work = work_of(allocation)
    await done(caller, work, "pick")
    await done(caller, work, "pack")
    await called_off(caller, allocation)
    sent = await done(caller, work, "ship")
    assert (sent["state"], sent["request_state"]) == ("shipped", "cancellation_rejected")
    assert (await kinds_of(database, "o-1"))[-2:] == [
        "fulfillment_order.cancellation_rejected",
        "shipment.created",
    ]
    assert problem_type(await step(caller, work, "accept-cancellation")) == "illegal-state"
    assert (await done(caller, work, "deliver"))["request_state"] == "closed"
    await assert_all_agrees(database)


async def test_what_has_left_stays_and_the_rest_ends(caller: Caller, database: Database) -> None:
    """Two of three are under way; the third is called off, and only its money given up."""
    allocation = await confirmed(caller, shipped("o-1", ("MUG", 3)))
    work = work_of(allocation)
    await done(caller, work, "pick", {"lines": [{"line_id": "1", "quantity": 2}]})
    await done(caller, work, "ship")
    answer = await called_off(caller, allocation)
    assert answer["status"] == "confirmed"
    assert answer["fulfillment_orders"][0]["outcome"] == "cancelled"
    found = await look(caller, work)
    assert (found["state"], found["request_state"]) == ("shipped", "accepted")
    assert counters(found) == {"picked": 2, "shipped": 2, "cancelled": 1}
    told = dict(await events_of(database, "o-1"))
    assert told["fulfillment_order.cancelled"]["amounts_minor"] == {"void": 1_250}
    assert await stock_of(database, "MUG", "WH-EAST") == (98, 0)
    assert (await done(caller, work, "deliver"))["state"] == "closed"
    await assert_all_agrees(database)


async def test_nothing_is_left_to_call_off_once_all_has_left(
    caller: Caller, database: Database
) -> None:
    """A success would let the shop refund goods that the customer gets."""
    allocation = await confirmed(caller, shipped("o-1", ("MUG", 1)))
    await done(caller, work_of(allocation), "pick")
    await done(caller, work_of(allocation), "ship")
    answer = await caller.post(f"/v1/allocations/{allocation['allocation_id']}/cancel")
    assert (answer.status_code, problem_type(answer)) == (409, "illegal-state")
    assert "return" in answer.json()["detail"]
    await assert_all_agrees(database)


async def test_each_part_of_an_order_has_its_own_end(caller: Caller, database: Database) -> None:
    """One order, three nodes' worth of answers: one shipped, one packed, one not begun."""
    body = shipped("o-1", ("LAMP", 12))
    body["lines"] += pickup("o-1", ("MUG", 2))["lines"]
    body["lines"][1]["line_id"] = "2"
    allocation = await confirmed(caller, body)
    works = {each["node_id"]: each for each in allocation["fulfillment_orders"]}
    assert works.keys() == {"WH-EAST", "WH-WEST", STORE}
    ids = {node_id: each["fulfillment_order_id"] for node_id, each in works.items()}
    for node_id in ("WH-EAST", "WH-WEST"):
        await done(caller, ids[node_id], "pick")
        await done(caller, ids[node_id], "pack")
    await done(caller, ids["WH-EAST"], "ship")
    answer = await called_off(caller, allocation)
    outcomes = {each["node_id"]: each["outcome"] for each in answer["fulfillment_orders"]}
    assert outcomes == {
        "WH-EAST": "kept",
        "WH-WEST": "cancellation_requested",
        STORE: "cancelled",
    }
    assert await stock_of(database, "MUG", STORE) == (5, 0)
    await assert_all_agrees(database)
    await done(caller, ids["WH-WEST"], "accept-cancellation")
    path = f"/v1/allocations/{allocation['allocation_id']}"
    assert (await caller.get(path)).json()["status"] == "confirmed"
    await assert_all_agrees(database)


async def test_another_company_is_asked_once_it_has_accepted(
    caller: Caller, database: Database
) -> None:
    """Until then nobody there has begun; afterwards their people are not ours to stop."""
    await other_company(database, caller, "WH-EAST")
    first = await confirmed(caller, shipped("o-1", ("MUG", 1)))
    assert (await called_off(caller, first))["status"] == "cancelled"
    second = await confirmed(caller, shipped("o-2", ("MUG", 1)))
    await done(caller, work_of(second), "accept")
    answer = await called_off(caller, second)
    assert answer["status"] == "confirmed"
    assert answer["fulfillment_orders"][0]["outcome"] == "cancellation_requested"
    await assert_all_agrees(database)


async def test_goods_that_nobody_collects_may_still_be_called_off(
    caller: Caller, database: Database
) -> None:
    """Asked to put the bag back, the store puts it back: that answers the question, too."""
    allocation = await confirmed(caller, pickup("o-1", ("MUG", 2)))
    work = work_of(allocation)
    await done(caller, work, "pick", role="store")
    await done(caller, work, "ready", role="store")
    assert (await called_off(caller, allocation))["status"] == "confirmed"
    gone = await done(caller, work, "no-show", role="store")
    assert (gone["state"], gone["request_state"]) == ("cancelled", "cancellation_accepted")
    path = f"/v1/allocations/{allocation['allocation_id']}"
    assert (await caller.get(path)).json()["status"] == "cancelled"
    await assert_all_agrees(database)


async def test_capacity_goes_back_where_nothing_was_packed(
    caller: Caller, database: Database
) -> None:
    """The hour that nobody needs is somebody else's; the hour that was worked is gone."""
    async with database.transaction() as connection:
        given = node("WH-EAST")
        fields = {name: getattr(given, name) for name in Node.__struct_fields__}
        await put_nodes(
            connection, [Node(**fields | {"capacity_unit": "orders", "capacity_maximum": 50})]
        )
        await planning_records.bump_version(connection)
    await caller.catch_up()
    body = shipped("o-1", ("LAMP", 12))
    allocation = await confirmed(caller, body)
    works = {
        each["node_id"]: each["fulfillment_order_id"] for each in allocation["fulfillment_orders"]
    }
    assert await used(database, "WH-EAST") == 1
    await done(caller, works["WH-WEST"], "pick")
    await done(caller, works["WH-WEST"], "pack")
    await called_off(caller, allocation)
    assert await used(database, "WH-EAST") == 0
    await assert_all_agrees(database)


async def used(database: Database, node_id: str) -> int:
    """Return how much of a node's capacity is taken."""
    async with database.connect() as connection:
        units: int = await connection.fetchval(
            "SELECT coalesce(sum(used), 0)::int FROM capacity WHERE node_id = $1", node_id
        )
    return units


async def test_a_hold_is_cancelled_as_before(caller: Caller, database: Database) -> None:
    """Without work there is nobody to ask."""
    held = (await caller.post("/v1/allocations", shipped("o-1", ("MUG", 1)))).json()
    answer = await called_off(caller, held)
    assert (answer["status"], answer["fulfillment_orders"]) == ("cancelled", [])
    await assert_all_agrees(database)
