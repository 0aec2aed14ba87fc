"""Deliveries beside what was expected, and what turns up or breaks on the floor."""

from typing import Any

from services.database import Database
from tests.services.caller import Caller, basket, problem_type
from tests.services.place import SUPPLY_ON
from tests.services.test_allocations import assert_audit_is_silent
from tests.services.test_stock import record

RECEIVE = "/v1/supply/PO-1/receive"


async def received(caller: Caller, *lines: dict[str, Any], **body: object) -> dict[str, Any]:
    """Receive lines of PO-1 at WH-WEST, where four sofas are expected."""
    given = {"node_id": "WH-WEST", "lines": list(lines)} | body
    response = await caller.post(RECEIVE, given, role="planner")
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def sofas(quantity: int, **changes: object) -> dict[str, Any]:
    """Return a line of a delivery."""
    return {"sku": "SOFA", "quantity": quantity} | changes


async def test_a_delivery_comes_in_parts(caller: Caller, database: Database) -> None:
    """Each call says what came, what came in all, and what is still to come."""
    first = await received(caller, sofas(3))
    assert first["lines"] == [
        {
            "sku": "SOFA",
            "received": 3,
            "damaged": 0,
            "expected": 4,
            "received_in_all": 3,
            "outstanding": 1,
            "over": 0,
            "missing": 0,
        }
    ]
    second = await received(caller, sofas(1))
    assert (second["lines"][0]["received_in_all"], second["lines"][0]["outstanding"]) == (4, 0)
    assert (await record(caller, "SOFA", "WH-WEST"))["on_hand"] == 4
    await assert_audit_is_silent(database)


async def test_what_waits_is_served_first_and_never_with_damaged_goods(
    caller: Caller, database: Database
) -> None:
    """A backorder gets what is sound, in its turn; what is broken is set aside."""
    order = basket("o-1", ("SOFA", 3), policy={"backorder": True})
    order["destination"] = {"country": "US", "postal_code": "90001"}
    order["lines"][0] |= {"requested_by": str(SUPPLY_ON)}
    held = await caller.post("/v1/allocations", order)
    assert held.status_code == 201, held.text
    waiting = sum(
        line["quantity"]
        for each in held.json()["fulfillments"]
        for line in each["lines"]
        if line["from"] == "supply"
    )
    await received(caller, sofas(waiting, damaged=1))
    found = await record(caller, "SOFA", "WH-WEST")
    assert found["on_hand"] == waiting
    assert (found["reserved"], found["unavailable"]) == (waiting - 1, 1)
    await assert_audit_is_silent(database)


async def test_more_than_expected_is_taken_in_up_to_the_tolerance(
    caller: Caller, database: Database
) -> None:
    """One too many is a mistake in counting more often than a present; somebody has to say so."""
    over = {"node_id": "WH-WEST", "lines": [sofas(5)]}
    refused = await caller.post(RECEIVE, over, role="planner")
    assert (refused.status_code, problem_type(refused)) == (409, "over-receipt")
    assert (refused.json()["expected"], refused.json()["tolerated"]) == (4, 4)
    assert (await record(caller, "SOFA", "WH-WEST"))["on_hand"] == 0
    taken = await received(caller, sofas(5), accept_over=True)
    assert (taken["lines"][0]["over"], taken["lines"][0]["outstanding"]) == (1, 0)
    await assert_audit_is_silent(database)


async def test_a_final_delivery_says_what_will_not_come(caller: Caller, database: Database) -> None:
    """Two of four sofas came and no more will; whoever was promised the rest is short."""
    order = basket("o-1", ("SOFA", 4), policy={"backorder": True})
    order["destination"] = {"country": "US", "postal_code": "90001"}
    assert (await caller.post("/v1/allocations", order)).status_code == 201
    told = await received(caller, sofas(1, final=True))
    assert (told["lines"][0]["missing"], told["lines"][0]["outstanding"]) == (3, 0)
    assert [each["supply_id"] for each in told["supply_shortages"]] == ["PO-1"]
    await assert_audit_is_silent(database)


async def test_goods_nobody_announced_come_in_only_when_somebody_says_so(
    caller: Caller, database: Database
) -> None:
    """A wrong pallet at the dock is noticed before it is stock."""
    lamps: dict[str, Any] = {"sku": "LAMP", "quantity": 3, "damaged": 1}
    refused = await caller.post(
        RECEIVE, {"node_id": "WH-WEST", "lines": [sofas(1), lamps]}, role="planner"
    )
    assert (refused.status_code, problem_type(refused)) == (422, "unknown-reference")
    told = await received(caller, sofas(1), lamps | {"unexpected": True})
    assert (told["lines"][1]["expected"], told["lines"][1]["received_in_all"]) == (0, 3)
    found = await record(caller, "LAMP", "WH-WEST")
    assert (found["on_hand"], found["unavailable"]) == (13, 1)
    await assert_audit_is_silent(database)


async def test_a_delivery_has_one_effect_however_often_it_is_sent(caller: Caller) -> None:
    """The scanner lost its connection and sent the delivery again."""
    given = {"node_id": "WH-WEST", "lines": [sofas(2)]}
    for _ in range(2):
        response = await caller.post(RECEIVE, given, role="planner", key="once")
        assert response.json()["lines"][0]["received_in_all"] == 2


async def test_a_store_receives_at_its_own_nodes_only(caller: Caller) -> None:
    """Another node's delivery looks like none."""
    refused = await caller.post(RECEIVE, {"node_id": "WH-WEST", "lines": [sofas(1)]}, role="store")
    assert refused.status_code == 404
    elsewhere = await caller.post(
        RECEIVE, {"node_id": "ST-EAST", "lines": [sofas(1)]}, role="store"
    )
    assert problem_type(elsewhere) == "unknown-reference"


async def test_a_transfer_under_way_is_received_as_a_transfer_only(caller: Caller) -> None:
    """Received as anything else its units would be there and in transit at once."""
    name = "transfer/0199a3b0-0000-7000-8000-00000000000f"
    announced = {
        "supply": [
            {
                "sku": "MUG",
                "supply_id": name,
                "node_id": "WH-WEST",
                "expected_on": str(SUPPLY_ON),
                "quantity": 4,
            }
        ]
    }
    refused = await caller.post("/v1/supply", announced, role="planner")
    assert problem_type(refused) == "illegal-state"


async def test_what_is_damaged_is_set_aside_and_what_is_found_is_there(
    caller: Caller, database: Database
) -> None:
    """Two calls that anyone behind a counter understands."""
    units = {"sku": "MUG", "quantity": 2, "reason": "dropped"}
    broken = await caller.post("/v1/nodes/ST-EAST/damaged", units, role="store")
    assert broken.status_code == 201, broken.text
    again = await caller.post(
        "/v1/nodes/ST-EAST/found", {"sku": "MUG", "quantity": 1}, role="store"
    )
    assert again.status_code == 201
    found = await record(caller)
    assert (found["on_hand"], found["unavailable"], found["available"]) == (6, 2, 4)
    elsewhere = await caller.post("/v1/nodes/ST-WEST/damaged", units, role="store")
    assert elsewhere.status_code == 404
    await assert_audit_is_silent(database)
