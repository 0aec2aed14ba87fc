"""Whoever works on an order sees the slot in which its customer expects it."""

from typing import Any

from services.database import Database
from tests.services.caller import Caller
from tests.services.fulfillment.rejection_calls import reject
from tests.services.fulfillment.work_calls import (
    STORE,
    assert_all_agrees,
    confirmed,
    look,
    pickup,
    shipped,
    work_id,
)
from tests.services.slot_calls import collection, delivery, in_days, offer


def chosen(days: int, slot_id: str) -> list[dict[str, Any]]:
    """Return a slot so many days from today as calls name it."""
    return [{"slot_id": slot_id, "on": in_days(days).isoformat()}]


def evening(days: int, slot_id: str = "evening") -> dict[str, Any]:
    """Return a slot of the evening as work tells it."""
    on = in_days(days).isoformat()
    return {"slot_id": slot_id, "on": on, "from": "17:00:00", "until": "20:00:00"}


async def slots_listed(caller: Caller, node_id: str, role: str = "operator") -> dict[str, Any]:
    """Return the slots of a node's work by order."""
    answer = await caller.get(f"/v1/nodes/{node_id}/work", role=role)
    assert answer.status_code == 200, answer.text
    return {each["order_id"]: each["slot"] for each in answer.json()["fulfillment_orders"]}


async def test_a_nodes_work_says_in_which_slot_it_is_expected(
    caller: Caller, database: Database
) -> None:
    """Who packs for the evening van packs first what comes in it."""
    await offer(caller, delivery())
    await confirmed(caller, shipped("o-1", ("MUG", 1)) | {"slots": chosen(3, "evening")})
    await confirmed(caller, shipped("o-2", ("MUG", 1)))
    assert await slots_listed(caller, "WH-EAST") == {"o-1": evening(3), "o-2": None}
    await assert_all_agrees(database)


async def test_a_store_sees_when_a_customer_comes_to_collect(caller: Caller) -> None:
    """The slot is shown to the store's own key, in its list and of the work itself."""
    await offer(caller, collection())
    work = await work_id(caller, pickup("o-1", ("MUG", 1)) | {"slots": chosen(4, "counter")})
    assert await slots_listed(caller, STORE, "store") == {"o-1": evening(4, "counter")}
    assert (await look(caller, work, "store"))["slot"] == evening(4, "counter")


async def test_work_of_an_order_says_the_slot_of_its_own_way(caller: Caller) -> None:
    """What is collected is not expected in the slot of the van, nor the parcel at the counter."""
    await offer(caller, delivery(), collection())
    body = shipped("o-1", ("MUG", 1))
    body["lines"].append(pickup("-", ("MUG", 1))["lines"][0] | {"line_id": "2"})
    await confirmed(caller, body | {"slots": chosen(3, "evening") + chosen(4, "counter")})
    found = [
        each
        for node_id in ("WH-EAST", STORE)
        for each in (await slots_listed(caller, node_id)).values()
    ]
    assert sorted(each["slot_id"] for each in found if each) == ["counter", "evening"]


async def test_the_window_stays_what_the_customer_was_told(caller: Caller) -> None:
    """A planner who moves the evening to the night moves no customer who has chosen it."""
    await offer(caller, delivery())
    work = await work_id(caller, shipped("o-1", ("MUG", 1)) | {"slots": chosen(3, "evening")})
    await offer(caller, delivery(**{"from": "21:00:00", "until": "22:00:00"}))
    assert (await look(caller, work))["slot"] == evening(3)


async def test_work_that_cannot_keep_its_slot_does_not_name_it(caller: Caller) -> None:
    """Nobody waits for a van that will be too late, so nobody hurries for it either."""
    await offer(caller, delivery())
    work = await work_id(caller, shipped("o-1", ("LAMP", 1)) | {"slots": chosen(3, "evening")})
    await reject(caller, work)
    assert await slots_listed(caller, "WH-WEST") == {"o-1": None}


async def test_changing_the_slot_changes_it_for_the_node(caller: Caller) -> None:
    """The node has nothing else to do for it."""
    await offer(caller, delivery(), delivery("noon", **{"from": "11:00:00", "until": "13:00:00"}))
    work = await work_id(caller, shipped("o-1", ("MUG", 1)) | {"slots": chosen(3, "evening")})
    quote = await caller.post("/v1/orders/o-1/amend", {"slots": chosen(4, "noon")})
    applied = await caller.post(f"/v1/orders/o-1/amend/{quote.json()['amendment_id']}/apply")
    assert applied.status_code == 200, applied.text
    noon = evening(4, "noon") | {"from": "11:00:00", "until": "13:00:00"}
    assert (await look(caller, work))["slot"] == noon
