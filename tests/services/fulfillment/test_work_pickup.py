"""The customer collects: the code, a part of the goods, all of them, or nobody comes."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from services.database import Database
from services.fulfillment.departures import CODE_LENGTH, LETTERS, same_code
from tests.services.caller import Caller, problem_type
from tests.services.fulfillment.work_calls import (
    STORE,
    assert_all_agrees,
    counters,
    done,
    events_of,
    kinds_of,
    look,
    pickup,
    shipped,
    step,
    stock_of,
    work_id,
)


async def ready(caller: Caller, body: dict[str, Any]) -> tuple[str, str]:
    """Bring an order to the counter; return its work and the customer's code."""
    work = await work_id(caller, body)
    await done(caller, work, "pick", role="store")
    await done(caller, work, "ready", role="store")
    code: str = (await look(caller, work, "checkout"))["pickup_code"]
    return work, code


async def test_a_customer_collects_with_the_code(caller: Caller, database: Database) -> None:
    """Stock leaves with the customer, not when the bag is put under the counter."""
    work, code = await ready(caller, pickup("o-1", ("MUG", 2)))
    assert await stock_of(database, "MUG", STORE) == (5, 2)
    given = await done(caller, work, "hand-over", {"code": code}, role="store")
    assert (given["state"], given["request_state"]) == ("closed", "closed")
    assert counters(given) == {"picked": 2, "collected": 2}
    assert await stock_of(database, "MUG", STORE) == (3, 0)
    _, payload = (await events_of(database, "o-1"))[-1]
    assert payload["amounts_minor"] == {"capture": 2_500, "void": 0}
    await assert_all_agrees(database)


async def test_the_code_is_told_to_the_checkout_and_not_to_the_store(
    caller: Caller, database: Database
) -> None:
    """Whoever stands at the counter proves who they are; the till must not prompt them."""
    work, code = await ready(caller, pickup("o-1", ("MUG", 1)))
    assert len(code) == CODE_LENGTH
    assert set(code) <= set(LETTERS)
    assert not set(LETTERS) & set("0O1IL")
    assert (await look(caller, work, "store"))["pickup_code"] is None
    listed = (await caller.get(f"/v1/nodes/{STORE}/work", role="store")).json()
    assert listed["fulfillment_orders"][0]["pickup_code"] is None
    told = await events_of(database, "o-1")
    assert code not in str(told)


def test_a_code_is_the_same_however_it_is_written() -> None:
    """Customers read it out in groups, and tills send what they hear."""
    assert same_code("ab2-c3d", "AB2C3D")
    assert same_code(" AB2 C3D ", "AB2C3D")
    assert not same_code("AB2C3E", "AB2C3D")
    assert not same_code("", "AB2C3D")
    assert same_code("Ä", "AB2C3D") is False


async def test_wrong_codes_are_counted_and_end(caller: Caller, database: Database) -> None:
    """A code that may be tried for ever is no code; the right one comes too late as well."""
    work, code = await ready(caller, pickup("o-1", ("MUG", 1)))
    for left in (4, 3, 2, 1, 0):
        refused = await step(caller, work, "hand-over", {"code": "WRONG1"}, role="store")
        assert (refused.status_code, problem_type(refused)) == (409, "wrong-pickup-code")
        assert refused.json()["tries_left"] == left
    late = await step(caller, work, "hand-over", {"code": code}, role="store")
    assert problem_type(late) == "wrong-pickup-code"
    before = await look(caller, work, "checkout")
    again = await done(caller, work, "ready", role="store")
    assert again["collect_by"] == before["collect_by"]
    assert again["ready_at"] == before["ready_at"]
    new = (await look(caller, work, "checkout"))["pickup_code"]
    assert new != code
    assert (await done(caller, work, "hand-over", {"code": new}, role="store"))["state"] == "closed"
    assert (await kinds_of(database, "o-1")).count("fulfillment_order.ready") == 2
    await assert_all_agrees(database)


async def test_a_wrong_code_sent_twice_is_one_try(caller: Caller) -> None:
    """The till repeats what it got no answer to; that is not the customer's second mistake."""
    work, _ = await ready(caller, pickup("o-1", ("MUG", 1)))
    wrong = {"code": "WRONG1"}
    first = await step(caller, work, "hand-over", wrong, role="store", key="k")
    again = await step(caller, work, "hand-over", wrong, role="store", key="k")
    assert again.json() == first.json()
    other = await step(caller, work, "hand-over", wrong, role="store")
    assert other.json()["tries_left"] == 3


async def test_a_customer_may_take_a_part_and_come_again(
    caller: Caller, database: Database
) -> None:
    """One cup fits the bag today; the others wait until the time limit."""
    work, code = await ready(caller, pickup("o-1", ("MUG", 3)))
    some = {"code": code, "lines": [{"line_id": "1", "quantity": 1}]}
    first = await done(caller, work, "hand-over", some, role="store")
    assert (first["state"], counters(first)) == ("ready_for_pickup", {"picked": 3, "collected": 1})
    too_many = {"code": code, "lines": [{"line_id": "1", "quantity": 3}]}
    refused = await step(caller, work, "hand-over", too_many, role="store")
    assert (problem_type(refused), refused.json()["left"]) == ("too-many-units", 2)
    await assert_all_agrees(database)
    rest = await done(caller, work, "hand-over", {"code": code}, role="store")
    assert rest["state"] == "closed"
    assert await stock_of(database, "MUG", STORE) == (2, 0)
    await assert_all_agrees(database)


async def test_what_nobody_collects_is_for_sale_again(caller: Caller, database: Database) -> None:
    """The shelf must not stay reserved for somebody who has bought elsewhere."""
    work, _ = await ready(caller, pickup("o-1", ("MUG", 2)))
    gone = await done(caller, work, "no-show", role="store")
    assert (gone["state"], gone["request_state"]) == ("cancelled", "closed")
    assert counters(gone) == {"cancelled": 2}
    assert await stock_of(database, "MUG", STORE) == (5, 0)
    told = dict(await events_of(database, "o-1"))
    assert told["fulfillment_order.no_show"]["amounts_minor"] == {"void": 2_500}
    assert "allocation.cancelled" in told
    sold = await caller.post("/v1/allocations", pickup("o-2", ("MUG", 5)))
    assert sold.json()["status"] == "held"
    await assert_all_agrees(database)


async def test_what_was_left_of_a_collection_goes_back_and_the_rest_stays_sold(
    caller: Caller, database: Database
) -> None:
    """The customer took one of three and never came again: one sale, two cups for others."""
    work, code = await ready(caller, pickup("o-1", ("MUG", 3)))
    some = {"code": code, "lines": [{"line_id": "1", "quantity": 1}]}
    await done(caller, work, "hand-over", some, role="store")
    gone = await done(caller, work, "no-show", role="store")
    assert (gone["state"], gone["request_state"]) == ("closed", "closed")
    assert counters(gone) == {"picked": 1, "collected": 1, "cancelled": 2}
    assert await stock_of(database, "MUG", STORE) == (4, 0)
    path = f"/v1/allocations/{gone['allocation_id']}"
    assert (await caller.get(path)).json()["status"] == "confirmed"
    await assert_all_agrees(database)


async def test_ready_waits_for_what_is_not_picked_and_sets_a_time_limit(caller: Caller) -> None:
    """A customer who is called in for half an order is called in twice."""
    work = await work_id(caller, pickup("o-1", ("MUG", 2)))
    one = {"lines": [{"line_id": "1", "quantity": 1}]}
    await done(caller, work, "pick", one, role="store")
    refused = await step(caller, work, "ready", role="store")
    assert refused.json()["missing"] == [{"line_id": "1", "part": 0, "quantity": 1}]
    await done(caller, work, "pick", role="store")
    await done(caller, work, "pack", role="store")
    found = await done(caller, work, "ready", role="store")
    waits = datetime.fromisoformat(found["collect_by"]) - datetime.fromisoformat(found["ready_at"])
    assert waits == timedelta(days=7)


@pytest.mark.parametrize("call", ["ready", "hand-over", "no-show"])
async def test_what_is_shipped_is_not_collected(caller: Caller, call: str) -> None:
    """A parcel for a customer far away has no counter."""
    work = await work_id(caller, shipped("o-1", ("MUG", 1)))
    await done(caller, work, "pick")
    body = {"code": "ABC234"} if call == "hand-over" else None
    refused = await step(caller, work, call, body)
    assert problem_type(refused) == "illegal-state"
    assert "ship" in refused.json()["allowed"]


async def test_what_is_collected_is_not_shipped(caller: Caller) -> None:
    """The other way round."""
    work = await work_id(caller, pickup("o-1", ("MUG", 1)))
    await done(caller, work, "pick", role="store")
    refused = await step(caller, work, "ship", role="store")
    assert "ready" in refused.json()["allowed"]


async def test_goods_are_brought_to_the_curb_where_a_node_does_that(caller: Caller) -> None:
    """The customer waits in the car, and staff have to know that before they do."""
    body = pickup("o-1", ("MUG", 1))
    body["lines"][0]["curbside"] = True
    refused = await caller.post("/v1/allocations", body)
    assert (refused.status_code, problem_type(refused)) == (422, "invalid-field")
    node = (await caller.get(f"/v1/nodes/{STORE}", role="planner")).json()
    node["capabilities"] = ["ship", "pickup", "curbside"]
    assert (await caller.put(f"/v1/nodes/{STORE}", node)).status_code == 200
    await caller.catch_up()
    assert (await look(caller, await work_id(caller, body), "store"))["curbside"] is True
    assert (await look(caller, await work_id(caller, pickup("o-2", ("MUG", 1))), "store"))[
        "curbside"
    ] is False
