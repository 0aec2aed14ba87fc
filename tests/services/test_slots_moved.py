"""An order with a slot finds another node or is changed: the slot is kept, or openly given up."""

from typing import Any

import msgspec

from inventory.nodes import put_nodes
from services.database import Database
from services.planning.records import bump_version
from tests.services.caller import Caller, problem_type
from tests.services.fulfillment.rejection_calls import fates, reject
from tests.services.fulfillment.work_calls import assert_all_agrees, confirmed, shipped, work_id
from tests.services.place import LOS_ANGELES, node
from tests.services.slot_calls import delivery, in_days, offer, order, places
from tests.services.test_stale_feeds import HOUR_S, aged, caught_up
from tests.services.test_strategies import activated


def chosen(days: int, slot_id: str = "evening") -> list[dict[str, Any]]:
    """Return a slot so many days from today as calls name it."""
    return [{"slot_id": slot_id, "on": in_days(days).isoformat()}]


async def kept(caller: Caller, allocation_id: str) -> list[bool]:
    """Return of each slot of an order whether it is kept."""
    answer = await caller.get(f"/v1/allocations/{allocation_id}")
    return [each["kept"] for each in answer.json()["slots"]]


async def test_a_slot_is_kept_by_another_node_that_is_there_in_time(
    caller: Caller, database: Database
) -> None:
    """The lamp comes from across the country, and still before the door opens."""
    await offer(caller, delivery())
    made = await confirmed(caller, shipped("o-1", ("LAMP", 1)) | {"slots": chosen(8)})
    work = made["fulfillment_orders"][0]["fulfillment_order_id"]
    assert fates(await reject(caller, work)) == [("1", 1, "WH-WEST")]
    assert await kept(caller, made["allocation_id"]) == [True]
    assert await places(caller, 8) == 1
    await assert_all_agrees(database)


async def test_a_slot_that_no_other_node_can_keep_is_given_up_and_told(
    caller: Caller, database: Database
) -> None:
    """Better a lamp three days later than none; the van does not wait for it."""
    await offer(caller, delivery())
    made = await confirmed(caller, shipped("o-1", ("LAMP", 1)) | {"slots": chosen(3)})
    work = made["fulfillment_orders"][0]["fulfillment_order_id"]
    assert fates(await reject(caller, work)) == [("1", 1, "WH-WEST")]
    assert await kept(caller, made["allocation_id"]) == [False]
    assert await places(caller, 3) == 2
    async with database.connect() as connection:
        payload = await connection.fetchval(
            "SELECT payload FROM event WHERE kind = 'allocation.slot_missed'"
        )
    assert msgspec.json.decode(payload)["on"] == in_days(3).isoformat()
    await assert_all_agrees(database)


async def test_a_changed_order_moves_to_another_slot_or_stays_as_it_is(
    caller: Caller, database: Database
) -> None:
    """One place is taken and one is free again, or nothing happens at all."""
    await offer(
        caller, delivery(), delivery("noon", places=1, **{"from": "11:00:00", "until": "13:00:00"})
    )
    made = await confirmed(caller, shipped("o-1", ("MUG", 1)) | {"slots": chosen(3)})
    quote = await caller.post("/v1/orders/o-1/amend", {"slots": chosen(4, "noon")})
    assert quote.status_code == 200, quote.text
    applying = f"/v1/orders/o-1/amend/{quote.json()['amendment_id']}/apply"
    assert (await caller.post("/v1/allocations", order("o-2", 4, "noon"))).status_code == 201
    full = await caller.post(applying)
    assert (full.status_code, problem_type(full)) == (409, "slot-full"), full.text
    assert [await places(caller, 3), await places(caller, 4, "noon")] == [1, 0]
    await offer(caller, delivery("noon", places=2, **{"from": "11:00:00", "until": "13:00:00"}))
    moved = await caller.post(applying)
    assert moved.status_code == 200, moved.text
    assert [each["slot_id"] for each in moved.json()["slots"]] == ["noon"]
    assert [await places(caller, 3), await places(caller, 4, "noon")] == [2, 0]
    assert await kept(caller, made["allocation_id"]) == [True]
    none = await caller.post("/v1/orders/o-1/amend", {"slots": []})
    await caller.post(f"/v1/orders/o-1/amend/{none.json()['amendment_id']}/apply")
    assert await places(caller, 4, "noon") == 1
    await assert_all_agrees(database)


async def test_a_change_that_a_slot_forbids_is_refused_with_what_helps(caller: Caller) -> None:
    """Nobody moves across the country and keeps the evening van."""
    await offer(caller, delivery())
    await confirmed(caller, shipped("o-1", ("MUG", 1)) | {"slots": chosen(3)})
    far = await caller.post("/v1/orders/o-1/amend", {"destination": LOS_ANGELES})
    assert (far.status_code, problem_type(far)) == (409, "slot-impossible"), far.text
    more = await caller.post("/v1/orders/o-1/amend", {"lines": [{"line_id": "1", "quantity": 3}]})
    assert more.status_code == 200, more.text
    free = await caller.post("/v1/orders/o-1/amend", {"destination": LOS_ANGELES, "slots": []})
    assert free.status_code == 200, free.text


async def test_units_find_no_other_place_at_a_node_whose_feed_has_stopped(
    caller: Caller, database: Database
) -> None:
    """The strategy that left such nodes out of the first decision does so in the next one."""
    await activated(caller, "cheapest", {"feed_age_max_s": 2 * HOUR_S})
    work = await work_id(caller, shipped("o-1", ("MUG", 1)))
    await aged(database, "ST-EAST", hours=3)
    await caught_up(caller)
    assert fates(await reject(caller, work)) == [("1", 1, "WH-WEST")]


async def test_units_go_around_a_node_that_has_more_to_do_than_it_planned(
    caller: Caller, database: Database
) -> None:
    """What one more fulfillment costs there counts for whoever is asked second, too."""
    work = await work_id(caller, shipped("o-1", ("MUG", 1)))
    busy = msgspec.structs.replace(
        node("ST-EAST"),
        capacity_unit="orders",
        capacity_planned=0,
        capacity_maximum=100,
        overload_minor=1_000_000,
    )
    async with database.transaction() as connection:
        await put_nodes(connection, [busy])
        await bump_version(connection)
    await caller.catch_up()
    answer = await reject(caller, work)
    assert fates(answer) == [("1", 1, "WH-WEST")]
