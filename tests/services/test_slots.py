"""Slots are offered only where a plan keeps them, and given to one customer a place."""

import asyncio
from collections import Counter
from uuid import UUID

import msgspec

from services.database import Database
from services.orders.lifecycle import expire_due
from tests.services.caller import Caller, basket, problem_type
from tests.services.slot_calls import collection, delivery, in_days, offer, order, places
from tests.services.test_allocations import assert_audit_is_silent
from tests.services.test_promises import let_cut_off_pass


async def test_a_product_page_shows_the_slots_of_the_item(caller: Caller) -> None:
    """Parcels come within two days here, so the first slot is the day after tomorrow."""
    await offer(caller, delivery())
    response = await caller.get(
        "/v1/promises", params={"sku": "MUG", "country": "US", "postal_code": "10001"}
    )
    assert response.status_code == 200, response.text
    first, *rest = response.json()["slots"]
    assert first == {
        "slot_id": "evening",
        "on": in_days(2).isoformat(),
        "from": "17:00:00",
        "until": "20:00:00",
        "service": "ground",
        "pickup_node": None,
        "places_left": 2,
        "price": {"amount_minor": 299, "currency": "USD"},
        "extra": {"amount_minor": 0, "currency": "USD"},
    }
    assert [each["on"] for each in rest] == [in_days(n).isoformat() for n in range(3, 15)]


async def test_what_comes_from_far_away_is_offered_later_slots(caller: Caller) -> None:
    """Five days across the country, so no slot of the first four is shown or can be had."""
    await offer(caller, delivery(days_ahead=6))
    response = await caller.post(
        "/v1/promises", {"lines": order("-", 2, sku="SOFA")["lines"], "destination": WEST}
    )
    assert response.json()["slots"] == []
    await offer(caller, delivery(zone_ids=["WEST"], days_ahead=6))
    response = await caller.post(
        "/v1/promises", {"lines": order("-", 2, sku="SOFA")["lines"], "destination": WEST}
    )
    assert [each["on"] for each in response.json()["slots"]] == [
        in_days(5).isoformat(),
        in_days(6).isoformat(),
    ]
    early = await caller.post(
        "/v1/allocations", order("o-1", 4, sku="SOFA") | {"destination": WEST}
    )
    assert (early.status_code, problem_type(early)) == (409, "slot-impossible"), early.text


WEST = {"country": "US", "postal_code": "90001"}


async def test_an_order_takes_its_place_with_its_stock_and_gives_both_back(
    caller: Caller, database: Database
) -> None:
    """A basket that is left must not keep a van from anybody."""
    await offer(caller, delivery())
    held = await caller.post("/v1/allocations", order("o-1", 2))
    assert held.status_code == 201, held.text
    assert held.json()["slots"] == [
        {
            "slot_id": "evening",
            "on": in_days(2).isoformat(),
            "from": "17:00:00",
            "until": "20:00:00",
            "price": {"amount_minor": 299, "currency": "USD"},
            "kept": True,
        }
    ]
    assert await places(caller, 2) == 1
    await assert_audit_is_silent(database)
    name = held.json()["allocation_id"]
    decision = (await caller.get(f"/v1/allocations/{name}/decision")).json()
    assert "(evening, 17:00 to 20:00)" in decision["sentences"][-1]
    assert decision["policy"]["services"] == ["ground"]
    assert (await caller.post(f"/v1/allocations/{name}/confirm")).status_code == 200
    assert await places(caller, 2) == 1
    assert (await caller.post(f"/v1/allocations/{name}/cancel")).status_code == 200
    assert await places(caller, 2) == 2
    await assert_audit_is_silent(database)


async def test_two_hundred_callers_get_the_last_place_once(
    caller: Caller, database: Database
) -> None:
    """The place is taken under the same guard as stock; everybody else is told that it is full."""
    await offer(caller, delivery(places=1))
    answers = await asyncio.gather(
        *(caller.post("/v1/allocations", order(f"o-{n}", 3)) for n in range(200))
    )
    found = Counter(
        each.status_code if each.status_code == 201 else problem_type(each) for each in answers
    )
    assert found[201] == 1, found
    assert found["slot-full"] + found["too-many-requests"] == 199, found
    assert found["slot-full"] > 100, found
    assert await places(caller, 3) == 0
    async with database.connect() as connection:
        reserved = await connection.fetchval("SELECT sum(reserved) FROM stock")
    assert reserved == 1
    await assert_audit_is_silent(database)


async def test_an_order_without_a_slot_is_held_beside_full_slots(caller: Caller) -> None:
    """Slots bind those who choose one, and nobody else."""
    await offer(caller, delivery(places=1))
    assert (await caller.post("/v1/allocations", order("o-1", 2))).status_code == 201
    full = await caller.post("/v1/allocations", order("o-2", 2))
    assert (full.status_code, problem_type(full)) == (409, "slot-full")
    plain = await caller.post("/v1/allocations", basket("o-3", ("MUG", 1)))
    assert plain.status_code == 201
    assert "slots" not in plain.json()


async def test_a_slot_that_is_not_for_the_order_is_refused_by_name(caller: Caller) -> None:
    """Each with what is wrong: no such slot, another place, a date too far, one in the past."""
    await offer(caller, delivery(), collection(), delivery("sundays", weekdays=[7], places=1))
    other = next(n for n in range(2, 9) if in_days(n).isoweekday() != 7)
    cases = (
        (order("o", 2, "midnight"), "unknown-slot"),
        (order("o", 2) | {"destination": WEST}, "slot-unsuitable"),
        (order("o", 2, "counter"), "slot-unsuitable"),
        (order("o", other, "sundays"), "slot-unsuitable"),
        (order("o", 40), "slot-unsuitable"),
        (order("o", -1), "date-in-past"),
        (order("o", 2) | {"slots": 2 * order("o", 2)["slots"]}, "slot-unsuitable"),
    )
    for body, kind in cases:
        response = await caller.post("/v1/allocations", body)
        assert (response.status_code, problem_type(response)) == (422, kind), response.text


async def test_goods_are_collected_at_an_appointment(caller: Caller, database: Database) -> None:
    """Not before they are ready, and by as many customers as the counter can serve."""
    await offer(caller, collection())
    line = {
        "line_id": "1",
        "sku": "MUG",
        "quantity": 1,
        "method": "pickup",
        "pickup_node": "ST-EAST",
    }
    shown = (await caller.post("/v1/promises", {"lines": [line]})).json()["slots"]
    assert [shown[0]["on"], shown[0]["pickup_node"]] == [in_days(1).isoformat(), "ST-EAST"]
    slots = [{"slot_id": "counter", "on": in_days(1).isoformat()}]
    body = {"order_id": "o-1", "lines": [line], "slots": slots}
    first = await caller.post("/v1/allocations", body)
    assert first.status_code == 201, first.text
    second = await caller.post("/v1/allocations", body | {"order_id": "o-2"})
    assert problem_type(second) == "slot-full"
    today = [{"slot_id": "counter", "on": in_days(0).isoformat()}]
    early = await caller.post("/v1/allocations", body | {"order_id": "o-3", "slots": today})
    assert problem_type(early) == "slot-impossible"
    await assert_audit_is_silent(database)


async def test_places_follow_the_planner_at_once_and_those_taken_stay(
    caller: Caller, database: Database
) -> None:
    """A van breaks down: fewer places that day, and nobody who has one loses it."""
    await offer(caller, delivery())
    assert (await caller.post("/v1/allocations", order("o-1", 2))).status_code == 201
    broken = {"on": in_days(2).isoformat(), "places": 1}
    await offer(caller, delivery(dates=[broken, {"on": in_days(3).isoformat(), "places": 0}]))
    assert [await places(caller, days) for days in (2, 3, 4)] == [0, None, 2]
    assert problem_type(await caller.post("/v1/allocations", order("o-2", 2))) == "slot-full"
    listed = (await caller.get("/v1/slots", role="planner")).json()["slots"]
    assert [each["dates"][0] for each in listed] == [broken]
    await assert_audit_is_silent(database)


async def test_a_slot_chooses_the_service_and_the_dearer_node_that_is_there_in_time(
    caller: Caller,
) -> None:
    """The cheapest plan comes too late for the slot; the one that keeps it is taken."""
    await offer(caller, delivery(days_ahead=10))
    # Ten lamps are in the east, so the eleventh would come from the west in five days.
    twelve = basket("o-1", ("LAMP", 12)) | {"slots": order("-", 3)["slots"]}
    response = await caller.post("/v1/allocations", twelve)
    assert problem_type(response) == "slot-impossible", response.text
    ten = basket("o-2", ("LAMP", 10)) | {"slots": order("-", 3)["slots"]}
    response = await caller.post("/v1/allocations", ten)
    assert response.status_code == 201, response.text
    assert {each["node"] for each in response.json()["fulfillments"]} == {"WH-EAST"}


async def made_yesterday(database: Database, allocation_id: str) -> None:
    """Rewrite an order with a slot as if it had been made a day earlier, before the cut-off."""
    older = await let_cut_off_pass(database, allocation_id)
    chosen = older.slots
    assert chosen
    async with database.transaction() as connection:
        await connection.execute(
            "UPDATE allocation SET body = $2 WHERE allocation_id = $1",
            UUID(allocation_id),
            msgspec.json.encode(
                msgspec.structs.replace(
                    older,
                    slots=tuple(msgspec.structs.replace(each, on=in_days(1)) for each in chosen),
                )
            ),
        )


async def test_a_late_confirm_says_that_the_slot_is_missed_and_frees_its_place(
    caller: Caller, database: Database
) -> None:
    """Paid a day later the parcel comes a day later; nobody waits at the door for nothing."""
    await offer(caller, delivery())
    held = (await caller.post("/v1/allocations", order("o-1", 2))).json()
    await made_yesterday(database, held["allocation_id"])
    response = await caller.post(f"/v1/allocations/{held['allocation_id']}/confirm")
    assert response.status_code == 200, response.text
    assert [each["kept"] for each in response.json()["slots"]] == [False]
    async with database.connect() as connection:
        assert await connection.fetchval("SELECT sum(used) FROM capacity") == 0
        payload = await connection.fetchval(
            "SELECT payload FROM event WHERE kind = 'allocation.slot_missed'"
        )
    assert msgspec.json.decode(payload)["slot_id"] == "evening"
    await assert_audit_is_silent(database)


async def test_a_hold_that_has_expired_gets_its_place_back_or_is_refused(
    caller: Caller, database: Database
) -> None:
    """The place is somebody else's after expiry, so it is taken again like the stock."""
    await offer(caller, delivery(places=1))
    names = []
    for n in (1, 2):
        held = (await caller.post("/v1/allocations", order(f"o-{n}", 2))).json()
        names.append(held["allocation_id"])
        async with database.transaction() as connection:
            await connection.execute("UPDATE allocation SET expires_at = now() - interval '1 s'")
        await expire_due(database)
        await caller.catch_up()
    first, second = [await caller.post(f"/v1/allocations/{name}/confirm") for name in names]
    assert first.status_code == 200, first.text
    assert first.json()["retaken"]
    assert (second.status_code, problem_type(second)) == (409, "hold-expired"), second.text
    assert "slot evening" in second.json()["detail"]
    await assert_audit_is_silent(database)
