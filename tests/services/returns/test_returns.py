"""Goods come back anywhere, re-enter where they stand, and never more than went out."""

import asyncio
from typing import Any

from services import keys
from services.database import Database
from tests.services.caller import Caller, basket, problem_type
from tests.services.returns.sales import (
    PRICE_MINOR,
    assert_all_agrees,
    confirmed,
    events,
    returned,
    sent,
)
from tests.services.test_stock import record

RETURNS = "/v1/returns"


def back(order_id: str, *lines: tuple[str, int], **changes: object) -> dict[str, Any]:
    """Return a return of (line_id, quantity), at the counter of ST-EAST, to be restocked."""
    disposition = changes.pop("disposition", "restock")
    given: dict[str, Any] = {
        "order_id": order_id,
        "node_id": "ST-EAST",
        "received": True,
        "lines": [
            {
                "line_id": line_id,
                "quantity": quantity,
                "reason": "too big",
                "disposition": disposition,
            }
            for line_id, quantity in lines
        ],
    }
    return given | changes


async def taken(caller: Caller, body: dict[str, Any]) -> dict[str, Any]:
    """Add a return as the store."""
    response = await caller.post(RETURNS, body, role="store")
    assert response.status_code == 201, response.text
    found: dict[str, Any] = response.json()
    return found


async def test_goods_bought_anywhere_come_back_at_the_counter(
    caller: Caller, database: Database
) -> None:
    """Sent by a warehouse, brought back to a shop: it is the shop's stock, and somebody pays."""
    await sent(caller, "o-1", ("MUG", 3))
    done = await taken(caller, back("o-1", ("1", 2)))
    assert (done["state"], done["node_id"]) == ("received", "ST-EAST")
    assert done["refund"] == {"amount_minor": 2 * PRICE_MINOR, "currency": "USD"}
    assert (done["lines"][0]["restocked"], done["lines"][0]["pending"]) == (2, 0)
    assert done["ended_at"] is not None
    assert (await record(caller))["on_hand"] == 7
    assert await returned(database, "o-1") == {"MUG": 2}
    kinds = await events(database, "o-1")
    kind, payload = kinds[-1]
    assert [each for each, _ in kinds[-2:]] == ["return.announced", "return.received"]
    assert (kind, payload["amounts_minor"]) == ("return.received", {"refund": 2 * PRICE_MINOR})
    await assert_all_agrees(database)


async def test_a_return_is_announced_and_received_somewhere_else(
    caller: Caller, database: Database
) -> None:
    """The customer gets a reference, and walks into whatever store is on the way."""
    await sent(caller, "o-1", ("MUG", 3), ("LAMP", 1))
    body = back("o-1", ("1", 2), ("2", 1), received=False, node_id=None, disposition="inspect")
    announced = await caller.post(RETURNS, body)
    assert announced.status_code == 201, announced.text
    path = f"{RETURNS}/{announced.json()['return_id']}"
    assert announced.json()["reference"].startswith("R-")
    assert (await record(caller))["on_hand"] == 5
    part = {"node_id": "ST-EAST", "lines": [{"number": 1, "quantity": 1}]}
    done = await caller.post(f"{path}/receive", part, role="store")
    assert (done.status_code, done.json()["state"]) == (200, "received"), done.text
    found = await record(caller)
    assert (found["on_hand"], found["unavailable"]) == (6, 1)
    assert await returned(database, "o-1") == {"MUG": 1, "LAMP": 0}
    again = await caller.post(f"{path}/receive", part, role="store")
    assert problem_type(again) == "illegal-state"
    listed = (await caller.get(RETURNS, params={"order_id": "o-1"})).json()["returns"]
    assert [each["return_id"] for each in listed] == [announced.json()["return_id"]]
    await assert_all_agrees(database)


async def test_what_was_inspected_is_sold_again_scrapped_or_sent_back(
    caller: Caller, database: Database
) -> None:
    """Set aside until somebody has looked at it; then each unit goes its own way."""
    await sent(caller, "o-1", ("MUG", 4))
    done = await taken(caller, back("o-1", ("1", 4), disposition="inspect"))
    assert done["lines"][0]["pending"] == 4
    path = f"{RETURNS}/{done['return_id']}/inspect"
    found = await record(caller)
    assert (found["on_hand"], found["unavailable"], found["available"]) == (9, 4, 5)
    first = {"lines": [{"number": 1, "restock": 2}]}
    looked = await caller.post(path, first, role="store")
    assert looked.status_code == 200, looked.text
    assert (looked.json()["lines"][0]["pending"], looked.json()["ended_at"]) == (2, None)
    too_many = await caller.post(path, {"lines": [{"number": 1, "scrap": 3}]}, role="store")
    assert (problem_type(too_many), too_many.json()["left"]) == ("too-many-units", 2)
    rest = await caller.post(
        path, {"lines": [{"number": 1, "scrap": 1, "vendor": 1}]}, role="store"
    )
    line = rest.json()["lines"][0]
    assert (line["restocked"], line["scrapped"], line["to_vendor"]) == (2, 1, 1)
    assert rest.json()["ended_at"] is not None
    found = await record(caller)
    assert (found["on_hand"], found["unavailable"], found["available"]) == (7, 0, 7)
    await assert_all_agrees(database)


async def test_each_line_has_its_disposition(caller: Caller, database: Database) -> None:
    """One mug is fine, one is broken, one goes back to the factory."""
    await sent(caller, "o-1", ("MUG", 3))
    body = back("o-1", ("1", 1), ("1", 1), ("1", 1))
    for line, disposition in zip(body["lines"], ("restock", "scrap", "vendor"), strict=True):
        line["disposition"] = disposition
    done = await taken(caller, body)
    assert [each["pending"] for each in done["lines"]] == [0, 0, 1]
    found = await record(caller)
    assert (found["on_hand"], found["unavailable"]) == (7, 1)
    assert await returned(database, "o-1") == {"MUG": 3}
    await assert_all_agrees(database)


async def test_goods_that_come_back_serve_who_waits_and_only_with_what_is_sound(
    caller: Caller, database: Database
) -> None:
    """A backorder at that node gets the restocked unit before anybody else."""
    await sent(caller, "o-1", ("SOFA", 1))
    order = basket("o-2", ("SOFA", 4), policy={"backorder": True})
    order["destination"] = {"country": "US", "postal_code": "90001"}
    waiting = await caller.post("/v1/allocations", order)
    assert waiting.status_code == 201, waiting.text
    west = await keys.create(database, "store", ("WH-WEST",), None)
    warehouse = Caller(caller.client, {"store": west}, caller.runtime)
    await taken(warehouse, back("o-1", ("1", 1), node_id="WH-WEST"))
    found = await record(caller, "SOFA", "WH-WEST")
    assert (found["on_hand"], found["reserved"]) == (1, 1)
    await assert_all_agrees(database)


async def test_no_more_comes_back_than_went_out(caller: Caller, database: Database) -> None:
    """Neither more than was bought, nor what has not left, nor the same units twice."""
    await sent(caller, "o-1", ("MUG", 2))
    refused = await caller.post(RETURNS, back("o-1", ("1", 3)), role="store")
    assert (refused.status_code, problem_type(refused)) == (409, "over-return")
    assert refused.json()["left"] == 2
    await taken(caller, back("o-1", ("1", 2)))
    refused = await caller.post(RETURNS, back("o-1", ("1", 1)), role="store")
    assert (problem_type(refused), refused.json()["left"]) == ("over-return", 0)
    await confirmed(caller, "o-2", ("MUG", 2))
    refused = await caller.post(RETURNS, back("o-2", ("1", 1)), role="store")
    assert (problem_type(refused), refused.json()["left"]) == ("over-return", 0)
    await assert_all_agrees(database)


async def test_racing_returns_never_bring_back_more_than_was_sold(
    caller: Caller, database: Database
) -> None:
    """The same parcel scanned at twenty tills at once comes back once."""
    await sent(caller, "o-1", ("MUG", 3))
    answers = await asyncio.gather(
        *(caller.post(RETURNS, back("o-1", ("1", 1)), role="store") for _ in range(20))
    )
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 17
    assert await returned(database, "o-1") == {"MUG": 3}
    assert (await record(caller))["on_hand"] == 8
    await assert_all_agrees(database)


async def test_an_announced_return_received_twice_at_once_comes_in_once(
    caller: Caller, database: Database
) -> None:
    """Two clerks, one parcel."""
    await sent(caller, "o-1", ("MUG", 2))
    announced = await caller.post(RETURNS, back("o-1", ("1", 2), received=False, node_id=None))
    path = f"{RETURNS}/{announced.json()['return_id']}/receive"
    answers = await asyncio.gather(
        *(caller.post(path, {"node_id": "ST-EAST"}, role="store") for _ in range(6))
    )
    assert sorted(answer.status_code for answer in answers) == [200, *[409] * 5]
    assert (await record(caller))["on_hand"] == 7
    await assert_all_agrees(database)


async def test_what_is_announced_cannot_be_announced_again_but_may_come_at_the_counter(
    caller: Caller, database: Database
) -> None:
    """Two labels for one mug are one too many; a mug on the counter is a fact."""
    await sent(caller, "o-1", ("MUG", 1))
    announce = back("o-1", ("1", 1), received=False, node_id=None)
    first = await caller.post(RETURNS, announce)
    assert first.status_code == 201
    assert problem_type(await caller.post(RETURNS, announce)) == "over-return"
    await taken(caller, back("o-1", ("1", 1)))
    path = f"{RETURNS}/{first.json()['return_id']}"
    late = await caller.post(f"{path}/receive", {"node_id": "ST-EAST"}, role="store")
    assert problem_type(late) == "over-return"
    ended = await caller.post(f"{path}/cancel")
    assert ended.json()["state"] == "cancelled"
    await assert_all_agrees(database)


async def test_the_same_call_again_takes_nothing_back_twice(
    caller: Caller, database: Database
) -> None:
    """The till lost its connection and sent the return again."""
    await sent(caller, "o-1", ("MUG", 2))
    answers = [
        await caller.post(RETURNS, back("o-1", ("1", 1)), role="store", key="once")
        for _ in range(2)
    ]
    assert answers[0].json() == answers[1].json()
    assert await returned(database, "o-1") == {"MUG": 1}


async def test_who_may_say_that_goods_are_there(caller: Caller) -> None:
    """A web shop sees no parcel, and a store none but its own."""
    await sent(caller, "o-1", ("MUG", 2))
    web = await caller.post(RETURNS, back("o-1", ("1", 1)))
    assert (web.status_code, problem_type(web)) == (403, "forbidden")
    elsewhere = await caller.post(RETURNS, back("o-1", ("1", 1), node_id="ST-WEST"), role="store")
    assert elsewhere.status_code == 404
    for order, line, kind in (
        ("none", "1", "not-found"),
        ("o-1", "9", "unknown-reference"),
    ):
        refused = await caller.post(RETURNS, back(order, (line, 1)), role="store")
        assert problem_type(refused) == kind, refused.text
    missing = await caller.get(f"{RETURNS}/00000000-0000-7000-8000-000000000000")
    assert missing.status_code == 404


async def test_a_store_sees_the_returns_that_concern_it(caller: Caller, database: Database) -> None:
    """Who may read any id may try ids; the customer at the counter names the reference."""
    west = await keys.create(database, "store", ("ST-WEST",), None)
    stores = Caller(caller.client, {"store": west}, caller.runtime)
    await sent(caller, "o-1", ("MUG", 2))
    body = back("o-1", ("1", 1), received=False)
    told = (await caller.post(RETURNS, body)).json()
    path, named = f"{RETURNS}/{told['return_id']}", {"reference": told["reference"]}
    of_order = {"order_id": "o-1"}
    expected = await caller.get(path, role="store")
    assert expected.json() == told
    for reference in ({}, {"reference": "R-22222222"}):
        hidden = await stores.get(path, role="store", params=reference)
        assert (hidden.status_code, problem_type(hidden)) == (404, "not-found")
        listed = await stores.get(RETURNS, role="store", params=of_order | reference)
        assert listed.json() == {"returns": []}
    for call, wanted in (("cancel", None), ("exchange", basket("o-1-x", ("LAMP", 1)))):
        hidden = await stores.post(f"{path}/{call}", wanted, role="store")
        assert (hidden.status_code, problem_type(hidden)) == (404, "not-found")
    assert (await stores.get(path, role="store", params=named)).json() == told
    listed = await stores.get(RETURNS, role="store", params=of_order | named)
    assert listed.json() == {"returns": [told]}
    done = await stores.post(f"{path}/receive", {"node_id": "ST-WEST"}, role="store")
    assert done.status_code == 200, done.text
    assert (await stores.get(path, role="store")).json() == done.json()
    assert (await caller.get(path, role="store")).status_code == 404


async def test_a_collected_order_comes_back_too(caller: Caller, database: Database) -> None:
    """What was handed over at a counter is with the customer as much as what was sent."""
    order = basket("o-1", ("MUG", 1))
    order["lines"][0] |= {"method": "pickup", "pickup_node": "ST-EAST"}
    found = await confirmed(caller, "o-1", ("MUG", 1), lines=order["lines"])
    work = found["fulfillment_orders"][0]["fulfillment_order_id"]
    await collect(caller, work)
    await taken(caller, back("o-1", ("1", 1)))
    assert await returned(database, "o-1") == {"MUG": 1}
    assert (await record(caller))["on_hand"] == 5
    await assert_all_agrees(database)


async def test_a_part_of_a_kit_is_refunded_at_its_share_of_the_price(
    caller: Caller, database: Database
) -> None:
    """A set of two mugs and a lamp is sold for less than its parts; one mug comes back."""
    parts = [{"sku": "MUG", "quantity": 2}, {"sku": "LAMP", "quantity": 1}]
    await caller.put("/v1/items/SET", {"weight_grams": 900, "components": parts})
    await caller.catch_up()
    shares = [
        {"sku": "MUG", "unit_price_minor": 700},
        {"sku": "LAMP", "unit_price_minor": 2_600},
    ]
    order = basket("o-1", ("SET", 2))
    order["lines"][0] |= {"unit_price_minor": 4_000, "component_prices": shares}

    found = await sent(caller, "o-1", ("SET", 2), lines=order["lines"])

    told = {
        line["sku"]: (line["quantity"], line["unit_price_minor"])
        for each in found["fulfillments"]
        for line in each["lines"]
    }
    assert told == {"MUG": (4, 700), "LAMP": (2, 2_600)}
    body = back("o-1", ("1", 1))
    body["lines"] = [body["lines"][0] | {"sku": "MUG"}]
    done = await taken(caller, body)
    assert done["refund"] == {"amount_minor": 700, "currency": "USD"}
    body["lines"] = [
        body["lines"][0] | {"sku": sku, "quantity": units}
        for sku, units in (("MUG", 3), ("LAMP", 2))
    ]
    rest = await taken(caller, body)
    assert rest["refund"]["amount_minor"] == 2 * 4_000 - 700
    await assert_all_agrees(database)


async def test_prices_that_are_not_those_of_the_kit_are_refused(caller: Caller) -> None:
    """A refund must neither be more than was paid nor forget a part."""
    parts = [{"sku": "MUG", "quantity": 2}, {"sku": "LAMP", "quantity": 1}]
    await caller.put("/v1/items/SET", {"weight_grams": 900, "components": parts})
    await caller.catch_up()
    mug, lamp = ({"sku": sku, "unit_price_minor": 700} for sku in ("MUG", "LAMP"))
    for sku, shares, why in (
        ("SET", [mug, lamp], "come to 2100 and it is sold for 4000"),
        ("SET", [mug], "is made up of MUG, LAMP; name each component once"),
        ("SET", [mug, lamp, lamp], "name each component once"),
        ("MUG", [mug], "is made up of nothing, as it is no kit"),
    ):
        order = basket("o-1", (sku, 1))
        order["lines"][0] |= {"unit_price_minor": 4_000, "component_prices": shares}
        for path in ("/v1/allocations", "/v1/quotes"):
            body = (
                order
                if path == "/v1/allocations"
                else {"lines": order["lines"]} | {"destination": order["destination"]}
            )
            refused = await caller.post(path, body)
            assert problem_type(refused) == "invalid-field", refused.text
            assert why in refused.json()["detail"]


async def collect(caller: Caller, work_id: str) -> None:
    """Pick, make ready and hand over a fulfillment order."""
    path = f"/v1/fulfillment-orders/{work_id}"
    for call, body in (("pick", {}), ("pack", None), ("ready", {})):
        done = await caller.post(f"{path}/{call}", body, role="store")
        assert done.status_code == 200, f"{call}: {done.text}"
    code = (await caller.get(path)).json()["pickup_code"]
    hand_over = {"code": code}
    done = await caller.post(f"{path}/hand-over", hand_over, role="store")
    assert done.status_code == 200, done.text
