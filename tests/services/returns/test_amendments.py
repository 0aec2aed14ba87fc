"""An order changes after it was confirmed: told first, then made, all of it or nothing."""

import asyncio
from typing import Any
from uuid import uuid4

import msgspec

from inventory.nodes import put_nodes
from services.database import Database
from services.planning.records import bump_version, put_lanes
from tests.services.caller import Caller, problem_type
from tests.services.place import LOS_ANGELES, lanes, node, stock
from tests.services.returns.sales import (
    PRICE_MINOR,
    assert_all_agrees,
    confirmed,
    events,
    live,
    ship,
    step,
)
from tests.services.test_allocations import available
from tests.services.test_strategies import ruled


async def quoted(caller: Caller, **body: object) -> dict[str, Any]:
    """Quote a change of order o-1."""
    answer = await caller.post("/v1/orders/o-1/amend", body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def applied(caller: Caller, quote: dict[str, Any]) -> dict[str, Any]:
    """Apply a quote."""
    path = f"/v1/orders/o-1/amend/{quote['amendment_id']}/apply"
    answer = await caller.post(path)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def less(quantity: int, line_id: str = "1") -> dict[str, Any]:
    """Return how many units of a line are wanted in all."""
    return {"line_id": line_id, "quantity": quantity}


def lamps(quantity: int = 1, **changes: object) -> dict[str, Any]:
    """Return a line to be added."""
    given = {"line_id": "9", "sku": "LAMP", "quantity": quantity, "unit_price_minor": 5_000}
    return given | changes


async def test_less_of_a_line_is_told_and_then_made(caller: Caller, database: Database) -> None:
    """Two of five are not wanted any more: nothing happens until the customer says yes."""
    found = await confirmed(caller, "o-1", ("MUG", 5))
    quote = await quoted(caller, lines=[less(3)])
    assert (quote["state"], quote["complete"]) == ("quoted", True)
    assert quote["void_minor"] == 2 * PRICE_MINOR
    assert await available(database, "MUG", "WH-EAST") == 95
    done = await applied(caller, quote)
    assert done["state"] == "applied"
    assert await live(database, found["allocation_id"]) == {("MUG", "WH-EAST"): 3}
    work = found["fulfillment_orders"][0]["fulfillment_order_id"]
    line = (await caller.get(f"/v1/fulfillment-orders/{work}")).json()["lines"][0]
    assert (line["quantity"], line["cancelled"]) == (5, 2)
    kinds = await events(database, "o-1")
    assert kinds[-1][0] == "order.amended"
    assert kinds[-1][1]["amounts_minor"] == {"add": 0, "void": 2 * PRICE_MINOR}
    await ship(caller, work)
    assert await available(database, "MUG", "WH-EAST") == 97
    await assert_all_agrees(database)


async def test_a_line_can_be_cancelled_as_far_as_nobody_has_picked_it(
    caller: Caller, database: Database
) -> None:
    """Three are in the box already; the answer says so, and two are saved."""
    found = await confirmed(caller, "o-1", ("MUG", 5))
    work = found["fulfillment_orders"][0]["fulfillment_order_id"]
    await step(caller, work, "pick", {"lines": [{"line_id": "1", "quantity": 3}]})
    quote = await quoted(caller, lines=[less(0)])
    assert quote["complete"] is False
    (change,) = quote["changes"]
    assert (change["asked"], change["possible"]) == (5, 2)
    assert "3 are picked" in change["reason"]
    await applied(caller, quote)
    assert await live(database, found["allocation_id"]) == {("MUG", "WH-EAST"): 3}
    await step(caller, work, "ship", {"shipment_id": str(uuid4())})
    await assert_all_agrees(database)


async def test_an_order_of_which_nothing_is_left_has_ended(
    caller: Caller, database: Database
) -> None:
    """Cancelled line by line it is as cancelled as in one call."""
    found = await confirmed(caller, "o-1", ("MUG", 2), ("LAMP", 1))
    await applied(caller, await quoted(caller, lines=[less(0), less(0, "2")]))
    body = (await caller.get(f"/v1/allocations/{found['allocation_id']}")).json()
    assert body["status"] == "cancelled"
    assert await available(database, "MUG", "WH-EAST") == 100
    await assert_all_agrees(database)


async def test_more_and_new_lines_are_supplements_of_the_same_order(
    caller: Caller, database: Database
) -> None:
    """One more mug and a lamp: priced and promised first, then held with all the rest."""
    found = await confirmed(caller, "o-1", ("MUG", 2))
    quote = await quoted(caller, lines=[less(3)], add=[lamps()])
    assert quote["complete"] is True
    assert {each["change"] for each in quote["changes"]} == {"more", "new"}
    assert quote["add_minor"] == PRICE_MINOR + 5_000
    assert quote["cost"]["amount_minor"] > 0
    assert all(each["promise"]["latest"] for each in quote["fulfillments"])
    assert await available(database, "LAMP", "WH-EAST") == 10
    done = await applied(caller, quote)
    assert len(done["fulfillment_orders"]) == len(quote["fulfillments"])
    assert await live(database, found["allocation_id"]) == {
        ("MUG", "WH-EAST"): 3,
        ("LAMP", "WH-EAST"): 1,
    }
    for work in (
        found["fulfillment_orders"][0]["fulfillment_order_id"],
        *done["fulfillment_orders"],
    ):
        await ship(caller, work)
    await assert_all_agrees(database)


async def test_what_is_added_follows_the_strategy_that_decided_the_order(
    caller: Caller, database: Database
) -> None:
    """A customer who paid for speed gets the lamp by air as well; whoever did not does not."""
    air = msgspec.structs.replace(
        lanes()[0], service="air", tariff_id="far", transit_days_min=1, transit_days_max=1
    )
    async with database.transaction() as connection:
        await put_lanes(connection, [air])
        await bump_version(connection)
    await caller.catch_up()
    await ruled(caller, {"strategy": "fastest", "tags": ["rush"]})
    services = []
    wishes: list[dict[str, Any]] = [{}, {"tags": ["rush"]}, {"policy": {"strategy": "fastest"}}]
    for number, wish in enumerate(wishes):
        await confirmed(caller, f"o-{number}", ("MUG", 1), **wish)
        answer = await caller.post(f"/v1/orders/o-{number}/amend", {"add": [lamps()]})
        services.append([each["service"] for each in answer.json()["fulfillments"]])
    assert services == [["ground"], ["air"], ["air"]]


async def test_one_cancel_ends_supplements_too(caller: Caller, database: Database) -> None:
    """That is why they belong to the same allocation."""
    found = await confirmed(caller, "o-1", ("MUG", 2))
    await applied(caller, await quoted(caller, add=[lamps(2)]))
    ended = await caller.post(f"/v1/allocations/{found['allocation_id']}/cancel")
    assert ended.status_code == 200, ended.text
    assert await live(database, found["allocation_id"]) == {}
    assert await available(database, "LAMP", "WH-EAST") == 10
    await assert_all_agrees(database)


async def test_what_the_network_does_not_have_is_said(caller: Caller, database: Database) -> None:
    """Twenty lamps are all there are; the rest is a shortfall, and told as one."""
    await confirmed(caller, "o-1", ("MUG", 1))
    quote = await quoted(caller, add=[lamps(25)])
    assert quote["complete"] is False
    assert quote["shortfalls"] == [{"line_id": "9", "quantity": 5}]
    await applied(caller, quote)
    assert await available(database, "LAMP", "WH-EAST") == 0
    await assert_all_agrees(database)


async def test_a_new_address_plans_anew_what_has_not_been_picked(
    caller: Caller, database: Database
) -> None:
    """The customer has moved west: what is still on the shelf goes from where it is near."""
    found = await confirmed(caller, "o-1", ("MUG", 2), ("LAMP", 1))
    quote = await quoted(caller, destination=LOS_ANGELES)
    assert (quote["zone_id"], quote["complete"], quote["void_minor"]) == ("WEST", True, 0)
    assert {each["node"] for each in quote["fulfillments"]} == {"WH-WEST"}
    await applied(caller, quote)
    assert await live(database, found["allocation_id"]) == {
        ("MUG", "WH-WEST"): 2,
        ("LAMP", "WH-WEST"): 1,
    }
    work = found["fulfillment_orders"][0]["fulfillment_order_id"]
    assert (await caller.get(f"/v1/fulfillment-orders/{work}")).json()["state"] == "cancelled"
    assert await available(database, "MUG", "WH-EAST") == 100
    await assert_all_agrees(database)


async def test_the_last_units_of_a_node_may_go_to_the_new_address_from_there(
    caller: Caller, database: Database
) -> None:
    """They are the order's own; that nobody else has any must not leave it without."""
    found = await confirmed(caller, "o-1", ("SOFA", 1))
    quote = await quoted(caller, destination=LOS_ANGELES)
    assert quote["complete"] is True
    assert [each["node"] for each in quote["fulfillments"]] == ["WH-EAST"]
    await applied(caller, quote)
    assert await live(database, found["allocation_id"]) == {("SOFA", "WH-EAST"): 1}
    await assert_all_agrees(database)


async def test_an_address_in_the_same_zone_moves_nothing(caller: Caller) -> None:
    """The next street is the same parcel; only the label changes."""
    await confirmed(caller, "o-1", ("MUG", 1))
    quote = await quoted(caller, destination={"country": "US", "postal_code": "10002"})
    assert (quote["zone_id"], quote["fulfillments"], quote["moves"]) == (None, [], [])


async def test_a_quote_does_not_outlive_what_it_was_made_from(
    caller: Caller, database: Database
) -> None:
    """The node has begun, or the stock has gone: nothing changes, and one can ask again."""
    found = await confirmed(caller, "o-1", ("MUG", 2))
    shrink, grow = await quoted(caller, lines=[less(1)]), await quoted(caller, add=[lamps()])
    await step(caller, found["fulfillment_orders"][0]["fulfillment_order_id"], "pick", {})
    await stock(database, {("LAMP", "WH-EAST"): 0, ("LAMP", "WH-WEST"): 0})
    for quote in (shrink, grow):
        path = f"/v1/orders/o-1/amend/{quote['amendment_id']}/apply"
        refused = await caller.post(path)
        assert (refused.status_code, problem_type(refused)) == (409, "quote-outdated")
    assert await live(database, found["allocation_id"]) == {("MUG", "WH-EAST"): 2}
    await assert_all_agrees(database)


async def test_a_quote_is_applied_once_and_in_time(caller: Caller, database: Database) -> None:
    """A second yes to the same question is not a second lamp."""
    await confirmed(caller, "o-1", ("MUG", 1))
    quote = await quoted(caller, add=[lamps()])
    await applied(caller, quote)
    path = f"/v1/orders/o-1/amend/{quote['amendment_id']}/apply"
    again = await caller.post(path)
    assert (again.status_code, problem_type(again)) == (409, "illegal-state")
    old = await quoted(caller, lines=[less(0)])
    async with database.transaction() as connection:
        await connection.execute("UPDATE amendment SET valid_until = now() - interval '1 s'")
    late = await caller.post(f"/v1/orders/o-1/amend/{old['amendment_id']}/apply")
    assert problem_type(late) == "quote-outdated"


async def test_what_cannot_be_asked_is_refused(caller: Caller) -> None:
    """Each mistake has its own name."""
    assert (await caller.post("/v1/orders/none/amend", {"lines": [less(0)]})).status_code == 404
    held = await caller.post(
        "/v1/allocations",
        {
            "order_id": "o-2",
            "destination": LOS_ANGELES,
            "lines": [{"line_id": "1", "sku": "MUG", "quantity": 1}],
        },
    )
    assert held.status_code == 201
    only_held = await caller.post("/v1/orders/o-2/amend", {"lines": [less(0)]})
    assert (only_held.status_code, problem_type(only_held)) == (409, "illegal-state")
    await confirmed(caller, "o-1", ("MUG", 1))
    for body, kind in (
        ({}, "invalid-field"),
        ({"lines": [less(0, "7")]}, "unknown-reference"),
        ({"lines": [less(0), less(1)]}, "duplicate-line"),
        ({"add": [lamps(line_id="1")]}, "invalid-field"),
        ({"add": [lamps(sku="NONE")]}, "unknown-sku"),
        ({"destination": {"country": "FR"}}, "unknown-destination"),
    ):
        refused = await caller.post("/v1/orders/o-1/amend", body)
        assert problem_type(refused) == kind, refused.text
    hidden = await caller.post("/v1/orders/o-1/amend", {"lines": [less(0)]}, role="store")
    assert hidden.status_code == 404


async def test_a_change_and_the_picker_who_reach_for_the_same_units_agree(
    caller: Caller, database: Database
) -> None:
    """Either the mug is in the box or it is not wanted any more, and never both."""
    for number in range(3):
        found = await confirmed(caller, f"r-{number}", ("MUG", 2))
        work = found["fulfillment_orders"][0]["fulfillment_order_id"]
        quote = await caller.post(f"/v1/orders/r-{number}/amend", {"lines": [less(0)]})
        path = f"/v1/orders/r-{number}/amend/{quote.json()['amendment_id']}/apply"
        change, pick = await asyncio.gather(
            caller.post(path),
            caller.post(f"/v1/fulfillment-orders/{work}/pick", {}, role="operator"),
        )
        assert sorted((change.status_code, pick.status_code)) == [200, 409]
    await assert_all_agrees(database)


async def test_a_full_node_can_keep_what_it_has_for_another_address(
    caller: Caller, database: Database
) -> None:
    """One order a day is all it can do, and this is that order: only the label changes."""
    full = msgspec.structs.replace(node("WH-EAST"), capacity_unit="orders", capacity_maximum=1)
    async with database.transaction() as connection:
        await put_nodes(connection, [full])
        await bump_version(connection)
    await caller.catch_up()
    found = await confirmed(caller, "o-1", ("SOFA", 1))
    quote = await quoted(caller, destination=LOS_ANGELES)
    assert [each["node"] for each in quote["fulfillments"]] == ["WH-EAST"]
    await applied(caller, quote)
    assert await live(database, found["allocation_id"]) == {("SOFA", "WH-EAST"): 1}
    async with database.connect() as connection:
        used = await connection.fetchval("SELECT sum(used)::int FROM capacity")
    assert used == 1
    await assert_all_agrees(database)


async def test_a_quote_is_for_the_allocation_it_was_made_of(
    caller: Caller, database: Database
) -> None:
    """Cancelled and allocated anew, the order has other work; a cancelled one must hold nothing."""
    before = await confirmed(caller, "o-1", ("MUG", 2))
    more = await quoted(caller, add=[lamps()])
    fewer = await quoted(caller, lines=[less(1)])
    await caller.post(f"/v1/allocations/{before['allocation_id']}/cancel")
    now = await confirmed(caller, "o-1", ("MUG", 2))
    for quote in (more, fewer):
        path = f"/v1/orders/o-1/amend/{quote['amendment_id']}/apply"
        refused = await caller.post(path)
        assert (refused.status_code, problem_type(refused)) == (409, "quote-outdated")
    assert await live(database, before["allocation_id"]) == {}
    assert await live(database, now["allocation_id"]) == {("MUG", "WH-EAST"): 2}
    await assert_all_agrees(database)


async def test_a_change_follows_the_rules_that_the_order_does(
    caller: Caller, database: Database
) -> None:
    """Orders of the app are brought fast whatever that costs; what is added to one is, too."""
    express = [
        msgspec.structs.replace(
            lane, service="express", tariff_id="far", transit_days_min=0, transit_days_max=1
        )
        for lane in lanes()
        if (lane.node_id, lane.zone_id) == ("WH-EAST", "EAST")
    ]
    async with database.transaction() as connection:
        await put_lanes(connection, express)
        await bump_version(connection)
    await caller.catch_up()
    await ruled(caller, {"strategy": "fastest", "channels": ["app"]})
    for channel, service in (("app", "express"), ("web", "ground")):
        order_id = f"o-{channel}"
        found = await confirmed(caller, order_id, ("MUG", 2), channel=channel)
        assert [each["service"] for each in found["fulfillments"]] == [service]
        quote = await caller.post(f"/v1/orders/{order_id}/amend", {"add": [lamps()]})
        assert [each["service"] for each in quote.json()["fulfillments"]] == [service]


async def test_units_that_wait_for_a_place_outlive_the_rest_of_their_order(
    caller: Caller, database: Database
) -> None:
    """Nobody has the sofa at present; that the mug is not wanted any more does not give it up."""
    found = await confirmed(caller, "o-1", ("MUG", 1), ("SOFA", 1))
    work = found["fulfillment_orders"][0]["fulfillment_order_id"]
    body = {"reason": "not_found", "lines": [{"line_id": "2", "quantity": 1}]}
    fate = (await step(caller, work, "reject", body))["units"][0]
    assert fate["became"] == "queued"
    await applied(caller, await quoted(caller, lines=[less(0)]))
    path = f"/v1/allocations/{found['allocation_id']}"
    assert (await caller.get(path)).json()["status"] == "confirmed"
    await stock(database, {("SOFA", "WH-WEST"): 1})
    retry = f"/v1/exceptions/{fate['exception_id']}/retry"
    placed = await caller.post(retry, role="planner")
    assert (placed.json()["state"], placed.json()["resolution"]) == ("resolved", "placed")
    assert await live(database, found["allocation_id"]) == {("SOFA", "WH-WEST"): 1}
    await assert_all_agrees(database)
