"""Exchanges: nobody gives a mug away before the lamp is in hand."""

from typing import Any

from services.database import Database
from tests.services.caller import Caller, basket, problem_type
from tests.services.returns.sales import assert_all_agrees, events, live, returned, sent
from tests.services.returns.test_returns import RETURNS, back, taken
from tests.services.test_stock import record


def wish(order_id: str = "o-1-x", sku: str = "LAMP", quantity: int = 1) -> dict[str, Any]:
    """Return what the customer wants instead."""
    return basket(order_id, (sku, quantity), policy={"ship_complete": True})


async def test_a_return_and_its_exchange_are_one_call(caller: Caller, database: Database) -> None:
    """Held first, then taken back, and either side shows the other."""
    await sent(caller, "o-1", ("MUG", 1))
    done = await taken(caller, back("o-1", ("1", 1), exchange=wish()))
    assert done["state"] == "received"
    link = done["exchange"]
    assert link["order_id"] == "o-1-x"
    allocation = (await caller.get(f"/v1/allocations/{link['allocation_id']}")).json()
    assert (allocation["status"], allocation["exchange_for"]) == ("held", done["return_id"])
    assert await live(database, link["allocation_id"]) == {("LAMP", "WH-EAST"): 1}
    assert (await record(caller))["on_hand"] == 6
    old = [kind for kind, _ in await events(database, "o-1")]
    new = [kind for kind, _ in await events(database, "o-1-x")]
    assert old[-3:] == ["return.announced", "return.received", "return.exchanged"]
    assert new == ["allocation.held", "allocation.exchanged"]
    confirmed = await caller.post(f"/v1/allocations/{link['allocation_id']}/confirm")
    assert confirmed.json()["exchange_for"] == done["return_id"]
    await assert_all_agrees(database)


async def test_without_what_is_wanted_there_is_no_return(
    caller: Caller, database: Database
) -> None:
    """The customer keeps the mug when there is no lamp."""
    await sent(caller, "o-1", ("MUG", 1))
    body = back("o-1", ("1", 1), exchange=wish(quantity=999))
    refused = await caller.post(RETURNS, body, role="store")
    assert (refused.status_code, problem_type(refused)) == (409, "insufficient-stock")
    assert await returned(database, "o-1") == {"MUG": 0}
    assert (await caller.get(RETURNS, params={"order_id": "o-1"})).json()["returns"] == []
    await assert_all_agrees(database)


async def test_without_a_return_nothing_is_held_for_it(caller: Caller, database: Database) -> None:
    """More would come back than was sold; the lamp is free again at once."""
    await sent(caller, "o-1", ("MUG", 1))
    refused = await caller.post(
        RETURNS, back("o-1", ("1", 2), exchange=wish()), role="store", key="one"
    )
    assert (refused.status_code, problem_type(refused)) == (409, "over-return")
    assert (await record(caller, "LAMP", "WH-EAST"))["reserved"] == 0
    again = await caller.post(
        RETURNS, back("o-1", ("1", 2), exchange=wish()), role="store", key="one"
    )
    assert problem_type(again) == "over-return"
    await assert_all_agrees(database)


async def test_an_announced_return_is_exchanged_before_it_arrives(
    caller: Caller, database: Database
) -> None:
    """The new one travels while the old one comes back."""
    await sent(caller, "o-1", ("MUG", 1))
    announced = await caller.post(RETURNS, back("o-1", ("1", 1), received=False, node_id=None))
    path = f"{RETURNS}/{announced.json()['return_id']}"
    refused = await caller.post(f"{path}/exchange", wish(quantity=999))
    assert problem_type(refused) == "insufficient-stock"
    assert (await caller.get(path)).json()["exchange"] is None
    for _ in range(2):
        done = await caller.post(f"{path}/exchange", wish(), key="again")
        assert (done.status_code, done.json()["state"]) == (200, "announced"), done.text
    assert done.json()["exchange"]["order_id"] == "o-1-x"
    second = await caller.post(f"{path}/exchange", wish("o-1-y"))
    assert (second.status_code, problem_type(second)) == (409, "illegal-state")
    assert (await record(caller, "LAMP", "WH-EAST"))["reserved"] == 1
    received = await caller.post(f"{path}/receive", {"node_id": "ST-EAST"}, role="store")
    assert received.json()["exchange"]["order_id"] == "o-1-x"
    await assert_all_agrees(database)


async def test_a_return_that_does_not_exist_holds_nothing(caller: Caller) -> None:
    """A mistyped id must not reserve a lamp."""
    missing = f"{RETURNS}/00000000-0000-7000-8000-000000000000/exchange"
    refused = await caller.post(missing, wish())
    assert refused.status_code == 404
    assert (await record(caller, "LAMP", "WH-EAST"))["reserved"] == 0
