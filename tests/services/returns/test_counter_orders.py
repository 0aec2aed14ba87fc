"""What is held at a counter becomes an order, and is nobody else's for a moment in between."""

import asyncio
from typing import Any

from services.database import Database
from tests.services.caller import Caller, basket, problem_type
from tests.services.place import LOS_ANGELES
from tests.services.returns.sales import assert_all_agrees, events, live, ship
from tests.services.test_allocations import available
from tests.services.test_counter import counter
from tests.services.test_stock import record


async def reserved(caller: Caller, **changes: object) -> str:
    """Hold mugs at a counter and return where the reservation is."""
    held = await caller.post("/v1/reservations", counter(**changes), role="store")  # type: ignore[arg-type]
    assert held.status_code == 201, held.text
    return f"/v1/reservations/{held.json()['reservation_id']}"


async def ordered(caller: Caller, path: str, **body: object) -> dict[str, Any]:
    """Turn a reservation into order o-1."""
    done = await caller.post(f"{path}/order", {"order_id": "o-1"} | body, role="store")
    assert done.status_code == 201, done.text
    found: dict[str, Any] = done.json()
    return found


async def test_the_customer_takes_it_along(caller: Caller, database: Database) -> None:
    """Paid and in the bag: one call, and it has left stock as an order that can come back."""
    path = await reserved(caller, quantity=2)
    done = await ordered(caller, path, take_along=True, unit_price_minor=900)
    assert done["status"] == "confirmed"
    assert [each["state"] for each in done["fulfillment_orders"]] == ["closed"]
    assert (await record(caller))["on_hand"] == 3
    told = (await caller.get(path, role="store")).json()
    assert (told["order_id"], told["allocation_id"]) == ("o-1", done["allocation_id"])
    kinds = [kind for kind, _ in await events(database, "o-1")]
    assert kinds[0] == "allocation.held"
    assert "fulfillment_order.handed_over" in kinds
    await assert_all_agrees(database)


async def test_a_sale_is_saved_and_shipped_from_elsewhere(
    caller: Caller, database: Database
) -> None:
    """Sold here, sent from there to the customer's home, with a date and a price."""
    path = await reserved(caller, quantity=2, from_node_id="ST-WEST", delivery="ship")
    done = await ordered(caller, path, destination=LOS_ANGELES, confirm=True)
    (each,) = done["fulfillments"]
    assert (each["node"], each["method"], each["service"]) == ("ST-WEST", "ship", "ground")
    assert done["cost"]["total"]["amount_minor"] > 0
    assert await live(database, done["allocation_id"]) == {("MUG", "ST-WEST"): 2}
    await ship(caller, done["fulfillment_orders"][0]["fulfillment_order_id"])
    assert (await record(caller, "MUG", "ST-WEST"))["on_hand"] == 3
    await assert_all_agrees(database)


async def test_units_on_their_way_do_not_become_an_order_yet(
    caller: Caller, database: Database
) -> None:
    """The customer cannot take along what is on the van."""
    path = await reserved(caller, from_node_id="ST-WEST", delivery="transfer", hold_for="P5D")
    transfer = f"/v1/transfers/{(await caller.get(path, role='store')).json()['transfer_id']}"
    assert (await caller.post(f"{transfer}/ship", {}, role="planner")).status_code == 200
    early = await caller.post(f"{path}/order", {"order_id": "o-1"}, role="store")
    assert (early.status_code, problem_type(early)) == (409, "illegal-state")
    assert (await caller.post(f"{transfer}/receive", {}, role="store")).status_code == 200
    done = await ordered(caller, path, take_along=True)
    assert done["fulfillments"][0]["node"] == "ST-EAST"
    assert (await record(caller))["on_hand"] == 5
    await assert_all_agrees(database)


async def test_the_last_unit_is_never_free_in_between(caller: Caller, database: Database) -> None:
    """Everybody wants the last five while the clerk turns them into an order."""
    path = await reserved(caller, quantity=5)
    web = basket("w-1", ("MUG", 1), policy={"ship_complete": True})
    web["lines"][0] |= {"method": "pickup", "pickup_node": "ST-EAST"}
    answers = await asyncio.gather(
        caller.post(f"{path}/order", {"order_id": "o-1"}, role="store"),
        *(caller.post("/v1/allocations", web | {"order_id": f"w-{n}"}) for n in range(6)),
        *(caller.post("/v1/reservations", counter(), role="store") for _ in range(6)),
    )
    assert [answer.status_code for answer in answers] == [201, *[409] * 12]
    assert await available(database, "MUG", "ST-EAST") == 0
    await assert_all_agrees(database)


async def test_a_reservation_becomes_one_order(caller: Caller, database: Database) -> None:
    """Two clerks press the button; the customer gets one."""
    path = await reserved(caller)
    answers = await asyncio.gather(
        *(
            caller.post(f"{path}/order", {"order_id": f"o-{number}"}, role="store")
            for number in range(4)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert await available(database, "MUG", "ST-EAST") == 4
    await assert_all_agrees(database)


async def test_what_cannot_be_is_refused_and_the_reservation_stays(
    caller: Caller, database: Database
) -> None:
    """A warehouse has no counter, an order has one basket, and a hold that ended is no hold."""
    path = await reserved(caller, from_node_id="WH-WEST")
    refused = await caller.post(f"{path}/order", {"order_id": "o-1"}, role="store")
    assert (refused.status_code, problem_type(refused)) == (409, "illegal-state")
    assert (await caller.post("/v1/allocations", basket("o-9", ("LAMP", 1)))).status_code == 201
    here = await reserved(caller)
    taken = await caller.post(f"{here}/order", {"order_id": "o-9"}, role="store")
    assert problem_type(taken) == "order-already-allocated"
    assert (await caller.get(here, role="store")).json()["status"] == "held"
    await caller.post(f"{here}/release", role="store")
    ended = await caller.post(f"{here}/order", {"order_id": "o-2"}, role="store")
    assert problem_type(ended) == "illegal-state"
    await assert_all_agrees(database)


async def test_a_colleague_who_comes_too_late_is_told_of_the_order(caller: Caller) -> None:
    """Two tills, one customer: "released" alone would send somebody looking for the units."""
    path = await reserved(caller)
    await ordered(caller, path)
    second = await caller.post(f"{path}/order", {"order_id": "o-2"}, role="store")
    assert problem_type(second) == "illegal-state"
    assert second.json()["detail"] == "The reservation has become order o-1 already."
    longer = await caller.post(f"{path}/extend", {"hold_for": "P1D"}, role="store")
    assert "has become order o-1" in longer.json()["detail"]


async def test_why_an_order_of_a_counter_has_no_decision_record_is_said(caller: Caller) -> None:
    """The answer names where the record would be, so asking there must not be a mistake."""
    done = await ordered(caller, await reserved(caller))
    told = await caller.get(done["decision"], role="operator", params={"node": "WH-EAST"})
    assert (told.status_code, told.json()["recorded"]) == (200, False)
    (said,) = told.json()["sentences"]
    assert said == (
        "Order o-1 was made at a counter of units that were held at ST-EAST already, so there was "
        "nothing to choose, and there is no decision record of it."
    )
    assert told.json()["why_not"] == "So nothing is known of WH-EAST in it."
