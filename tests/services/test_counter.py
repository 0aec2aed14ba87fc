"""Reservations at the counter: a person stands there, and the web must not sell under their nose."""

import asyncio
from uuid import UUID

from inventory.buffers import Buffer, put_buffers
from services import keys
from services.database import Database
from services.orders.counter import expire_due
from tests.services.caller import Caller, basket, problem_type
from tests.services.test_allocations import assert_audit_is_silent, available


def counter(sku: str = "MUG", quantity: int = 1, **changes: object) -> dict[str, object]:
    """Return a reservation at ST-EAST."""
    return {"node_id": "ST-EAST", "sku": sku, "quantity": quantity} | changes


async def test_units_are_held_shown_and_given_back(caller: Caller, database: Database) -> None:
    """The customer thinks about it, and then does not want it."""
    held = await caller.post("/v1/reservations", counter(quantity=2), role="store")
    assert held.status_code == 201, held.text
    path = f"/v1/reservations/{held.json()['reservation_id']}"
    assert await available(database, "MUG", "ST-EAST") == 3
    assert (await caller.get(path, role="store")).json()["status"] == "held"
    for _ in range(2):
        released = await caller.post(f"{path}/release", role="store")
        assert (released.status_code, released.json()["status"]) == (200, "released")
    assert await available(database, "MUG", "ST-EAST") == 5
    await assert_audit_is_silent(database)


async def test_the_counter_may_take_what_a_buffer_keeps_from_the_web(
    caller: Caller, database: Database
) -> None:
    """A buffer guards the shelf for walk-ins, and this is one."""
    async with database.transaction() as connection:
        await put_buffers(
            connection, [Buffer(sku="MUG", node_id="ST-EAST", channel="*", quantity=5)]
        )
    await caller.catch_up()
    web = basket("o-1", ("MUG", 1))
    web["lines"][0] |= {"method": "pickup", "pickup_node": "ST-EAST"}
    assert problem_type(await caller.post("/v1/allocations", web)) == "insufficient-stock"
    held = await caller.post("/v1/reservations", counter(quantity=5), role="store")
    assert held.status_code == 201


async def test_the_web_and_the_counter_never_share_the_last_unit(
    caller: Caller, database: Database
) -> None:
    """Both ask at the same moment; one of them is told no."""
    web = basket("o-1", ("MUG", 5))
    web["lines"][0] |= {"method": "pickup", "pickup_node": "ST-EAST"}
    web["policy"] = {"ship_complete": True}
    answers = await asyncio.gather(
        caller.post("/v1/allocations", web),
        caller.post("/v1/reservations", counter(quantity=5), role="store"),
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    assert await available(database, "MUG", "ST-EAST") == 0
    await assert_audit_is_silent(database)


async def test_another_nodes_stock_looks_like_a_node_that_does_not_exist(caller: Caller) -> None:
    """A store key can neither take from other stores nor find out which there are."""
    theirs = await caller.post("/v1/reservations", counter(node_id="ST-WEST"), role="store")
    nobodys = await caller.post("/v1/reservations", counter(node_id="NO-SUCH"), role="store")
    assert (theirs.status_code, problem_type(theirs)) == (404, "not-found")
    assert theirs.json()["detail"].replace("ST-WEST", "NO-SUCH") == nobodys.json()["detail"]


async def test_more_than_there_is_is_refused_with_what_there_is(caller: Caller) -> None:
    """The clerk needs the number, not only a no."""
    refused = await caller.post("/v1/reservations", counter(quantity=6), role="store")
    assert (refused.status_code, problem_type(refused)) == (409, "insufficient-stock")
    assert refused.json()["available"] == 5


async def test_a_hold_at_the_counter_ends_by_itself_and_within_its_limit(
    caller: Caller, database: Database
) -> None:
    """Nobody came back for it; and nobody may hold for ever by extending."""
    held = (await caller.post("/v1/reservations", counter(hold_for="P1D"), role="store")).json()
    path = f"/v1/reservations/{held['reservation_id']}"
    longer = await caller.post(f"{path}/extend", {"hold_for": "P6D"}, role="store")
    assert longer.json()["expires_at"] > held["expires_at"]
    async with database.transaction() as connection:
        await connection.execute(
            "UPDATE reservation SET created_at = created_at - interval '2 days'"
            " WHERE holder_id = $1",
            UUID(held["reservation_id"]),
        )
    too_long = await caller.post(f"{path}/extend", {"hold_for": "P7D"}, role="store")
    assert (too_long.status_code, problem_type(too_long)) == (422, "hold-too-long")
    async with database.transaction() as connection:
        await connection.execute(
            "UPDATE reservation SET expires_at = now() WHERE holder_id = $1",
            UUID(held["reservation_id"]),
        )
    assert await expire_due(database) == 1
    assert await available(database, "MUG", "ST-EAST") == 5
    refused = await caller.post(f"{path}/extend", {"hold_for": "P1D"}, role="store")
    assert problem_type(refused) == "illegal-state"
    await assert_audit_is_silent(database)


async def test_a_store_key_sees_the_orders_of_its_nodes_and_its_own_and_no_others(
    caller: Caller,
) -> None:
    """An order of another store looks exactly like one that does not exist."""
    elsewhere = (await caller.post("/v1/allocations", basket("o-1", ("LAMP", 1)))).json()
    theirs = f"/v1/allocations/{elsewhere['allocation_id']}"
    nobodys = f"/v1/allocations/{UUID(int=0)}"
    for call in ("", "/decision"):
        seen = await caller.get(theirs + call, role="store")
        missing = await caller.get(nobodys + call, role="store")
        assert (seen.status_code, missing.status_code) == (404, 404)
        assert seen.json()["title"] == missing.json()["title"]
    for call in ("/confirm", "/release", "/cancel"):
        refused = await caller.post(theirs + call, role="store")
        assert (refused.status_code, problem_type(refused)) == (404, "not-found")
    assert (await caller.get(theirs)).json()["status"] == "held"

    for lines in ((("LAMP", 1),), (("LAMP", 2),)):
        again = await caller.post("/v1/allocations", basket("o-1", *lines), role="store")
        assert (again.status_code, problem_type(again)) == (409, "order-already-allocated")
        assert elsewhere["allocation_id"] not in again.text

    collected = basket("o-2", ("MUG", 1))
    collected["lines"][0] |= {"method": "pickup", "pickup_node": "ST-EAST"}
    here = (await caller.post("/v1/allocations", collected)).json()
    own = (await caller.post("/v1/allocations", basket("o-3", ("LAMP", 1)), role="store")).json()
    for allocation in (here, own):
        path = f"/v1/allocations/{allocation['allocation_id']}"
        assert (await caller.get(path, role="store")).status_code == 200
        assert (await caller.post(f"{path}/confirm", role="store")).status_code == 200


# --- from any node


async def test_a_sale_is_saved_with_units_of_another_node(
    caller: Caller, database: Database
) -> None:
    """Sold out here; the last ones elsewhere are the customer's before anybody else's."""
    body = counter(quantity=2, from_node_id="ST-WEST", customer="c-17")
    held = await caller.post("/v1/reservations", body, role="store")
    assert held.status_code == 201, held.text
    told = held.json()
    assert (told["node_id"], told["from_node_id"], told["at_node_id"]) == (
        "ST-EAST",
        "ST-WEST",
        "ST-WEST",
    )
    assert (told["customer"], told["delivery"]) == ("c-17", "collect")
    assert await available(database, "MUG", "ST-WEST") == 3
    path = f"/v1/reservations/{told['reservation_id']}"
    assert (await caller.get(path, role="store")).json() == told
    await caller.post(f"{path}/release", role="store")
    assert await available(database, "MUG", "ST-WEST") == 5
    await assert_audit_is_silent(database)


async def test_another_nodes_buffer_counts_and_its_own_does_not(
    caller: Caller, database: Database
) -> None:
    """The other store keeps its last units for the people who stand in it."""
    async with database.transaction() as connection:
        await put_buffers(
            connection, [Buffer(sku="MUG", node_id="ST-WEST", channel="*", quantity=4)]
        )
    refused = await caller.post(
        "/v1/reservations", counter(quantity=2, from_node_id="ST-WEST"), role="store"
    )
    assert (refused.status_code, problem_type(refused)) == (409, "insufficient-stock")
    assert refused.json()["available"] == 1
    west = Caller(
        caller.client,
        {"store": await keys.create(database, "store", ("ST-WEST",), None)},
        caller.runtime,
    )
    own = await west.post("/v1/reservations", counter(quantity=5, node_id="ST-WEST"), role="store")
    assert own.status_code == 201


async def test_units_are_brought_to_the_customer_and_stay_the_customers(
    caller: Caller, database: Database
) -> None:
    """Reserved there, on the van, and then on the shelf here with a name on them."""
    body = counter(quantity=2, from_node_id="ST-WEST", delivery="transfer", hold_for="P5D")
    held = await caller.post("/v1/reservations", body, role="store")
    assert held.status_code == 201, held.text
    transfer = f"/v1/transfers/{held.json()['transfer_id']}"
    path = f"/v1/reservations/{held.json()['reservation_id']}"
    sent = await caller.post(f"{transfer}/ship", {}, role="planner")
    assert sent.status_code == 200, sent.text
    told = (await caller.get(path, role="store")).json()
    assert (told["status"], told["at_node_id"], told["in_transit"]) == ("held", "ST-EAST", 2)
    await caller.post(f"{transfer}/receive", {}, role="store")
    told = (await caller.get(path, role="store")).json()
    assert (told["status"], told["quantity"], told["in_transit"]) == ("held", 2, 0)
    assert await available(database, "MUG", "ST-EAST") == 5
    await assert_audit_is_silent(database)


async def test_giving_a_reservation_back_calls_its_transfer_off(
    caller: Caller, database: Database
) -> None:
    """Nobody packs a box for somebody who has changed their mind."""
    body = counter(from_node_id="ST-WEST", delivery="transfer")
    held = (await caller.post("/v1/reservations", body, role="store")).json()
    path = f"/v1/reservations/{held['reservation_id']}/release"
    assert (await caller.post(path, role="store")).json()["status"] == "released"
    transfer = await caller.get(f"/v1/transfers/{held['transfer_id']}", role="store")
    assert transfer.json()["state"] == "cancelled"
    assert await available(database, "MUG", "ST-WEST") == 5
    await assert_audit_is_silent(database)


async def test_units_come_from_nodes_that_exist_and_work(caller: Caller) -> None:
    """A clerk learns at once which of the names was wrong."""
    typo = await caller.post("/v1/reservations", counter(sku="MUUG"), role="store")
    assert (typo.status_code, problem_type(typo)) == (422, "unknown-sku")
    unknown = await caller.post("/v1/reservations", counter(from_node_id="NO-SUCH"), role="store")
    assert (unknown.status_code, problem_type(unknown)) == (422, "unknown-node")
    here = await caller.post("/v1/reservations", counter(delivery="transfer"), role="store")
    assert problem_type(here) == "invalid-field"
    switched = await caller.put("/v1/nodes/ST-WEST/enabled", {"enabled": False}, role="operator")
    assert switched.is_success, switched.text
    await caller.catch_up()
    off = await caller.post("/v1/reservations", counter(from_node_id="ST-WEST"), role="store")
    assert problem_type(off) == "illegal-state"
