"""From a confirm to a delivered parcel: what each step does, and what it refuses."""

from uuid import uuid4

import httpx

from services.database import Database
from services.orders.lifecycle import expire_due
from tests.services.caller import Caller, problem_type
from tests.services.fulfillment.work_calls import (
    assert_all_agrees,
    confirmed,
    counters,
    done,
    events_of,
    kinds_of,
    look,
    shipped,
    step,
    stock_of,
    work_id,
)
from tests.services.test_expiry import let_time_pass


async def test_a_confirm_gives_its_nodes_their_work_once(
    caller: Caller, database: Database
) -> None:
    """A checkout that confirms twice, as they do, must not have goods picked twice."""
    first = await confirmed(caller, shipped("o-1", ("MUG", 2)))
    (work,) = first["fulfillment_orders"]
    assert (work["node_id"], work["state"], work["request_state"]) == (
        "WH-EAST",
        "open",
        "submitted",
    )
    again = await caller.post(f"/v1/allocations/{first['allocation_id']}/confirm")
    assert again.json() == first
    kinds = await kinds_of(database, "o-1")
    assert kinds.count("fulfillment_order.created") == 1
    assert kinds[-2:] == ["fulfillment_order.created", "fulfillment_order.submitted"]
    await assert_all_agrees(database)


async def test_work_carries_what_its_node_needs_to_know(caller: Caller) -> None:
    """A node that has to ask back has a customer who waits."""
    body = await confirmed(caller, shipped("o-1", ("MUG", 2), ("LAMP", 1)))
    (plan,) = body["fulfillments"]
    found = await look(caller, body["fulfillment_orders"][0]["fulfillment_order_id"])
    same = ("method", "service", "work_on", "ship_by", "promise", "weight_grams", "cost")
    assert {name: found[name] for name in same} == {name: plan[name] for name in same}
    assert [(line["line_id"], line["sku"], line["quantity"]) for line in found["lines"]] == [
        ("1", "MUG", 2),
        ("2", "LAMP", 1),
    ]
    assert found["lines"][0]["unit_price_minor"] == 1_250
    assert found["allowed"] == ["accept", "reject", "pick", "short-pick"]
    assert not found["waits_for_supply"]


async def test_a_confirm_after_expiry_gives_its_nodes_their_work_too(
    caller: Caller, database: Database
) -> None:
    """The payment came late, but it came: the goods have to be sent all the same."""
    held = (await caller.post("/v1/allocations", shipped("o-1", ("MUG", 1)))).json()
    await let_time_pass(database, held["allocation_id"])
    assert await expire_due(database) == 1
    answer = (await caller.post(f"/v1/allocations/{held['allocation_id']}/confirm")).json()
    assert answer["retaken"]
    assert [each["state"] for each in answer["fulfillment_orders"]] == ["open"]
    await assert_all_agrees(database)


async def test_a_parcel_goes_its_way(caller: Caller, database: Database) -> None:
    """Stock goes down when the parcel leaves, not when somebody packs it."""
    work = await work_id(caller, shipped("o-1", ("MUG", 2)))
    accepted = await done(caller, work, "accept")
    assert accepted["request_state"] == "accepted"
    assert accepted["answered_at"] is not None
    picked = await done(caller, work, "pick")
    assert (picked["state"], counters(picked)) == ("in_progress", {"picked": 2})
    assert (await done(caller, work, "pack"))["state"] == "packed"
    assert await stock_of(database, "MUG", "WH-EAST") == (100, 2)
    sent = await done(caller, work, "ship", {"carrier": "Acme", "tracking": "A-1"})
    assert (sent["state"], counters(sent)) == ("shipped", {"picked": 2, "shipped": 2})
    assert await stock_of(database, "MUG", "WH-EAST") == (98, 0)
    (parcel,) = sent["shipments"]
    assert (parcel["carrier"], parcel["tracking"]) == ("Acme", "A-1")
    assert parcel["lines"] == [{"part": 0, "line_id": "1", "sku": "MUG", "quantity": 2}]
    assert sent["allowed"] == ["deliver"]
    arrived = await done(caller, work, "deliver")
    assert (arrived["state"], arrived["request_state"]) == ("closed", "closed")
    assert arrived["allowed"] == []
    assert arrived["shipments"][0]["delivered_at"] is not None
    stamps = ("submitted_at", "answered_at", "started_at", "packed_at", "ended_at")
    assert sorted(arrived[name] for name in stamps) == [arrived[name] for name in stamps]
    assert (await kinds_of(database, "o-1"))[-7:] == [
        "fulfillment_order.submitted",
        "fulfillment_order.accepted",
        "fulfillment_order.picked",
        "fulfillment_order.packed",
        "shipment.created",
        "shipment.delivered",
        "fulfillment_order.delivered",
    ]
    await assert_all_agrees(database)


async def test_a_shipment_tells_what_to_capture(caller: Caller, database: Database) -> None:
    """Money is taken for what has left, at the moment it leaves, and no earlier."""
    work = await work_id(caller, shipped("o-1", ("MUG", 3)))
    await done(caller, work, "pick")
    await done(caller, work, "ship", {"lines": [{"line_id": "1", "quantity": 2}]})
    await done(caller, work, "ship")
    told = [payload for kind, payload in await events_of(database, "o-1") if "shipment" in kind]
    assert [each["amounts_minor"] for each in told] == [
        {"capture": 2_500, "void": 0},
        {"capture": 1_250, "void": 0},
    ]
    assert told[0]["lines"] == [
        {"line_id": "1", "part": 0, "sku": "MUG", "quantity": 2, "amount_minor": 2_500}
    ]


async def test_an_order_without_prices_is_shipped_without_amounts(
    caller: Caller, database: Database
) -> None:
    """Who does not tell prices captures by quantity; a zero would be a lie."""
    body = shipped("o-1", ("MUG", 1))
    del body["lines"][0]["unit_price_minor"]
    work = await work_id(caller, body)
    await done(caller, work, "pick")
    await done(caller, work, "ship")
    _, payload = (await events_of(database, "o-1"))[-1]
    assert payload["lines"][0]["amount_minor"] is None


async def test_the_first_pick_accepts_the_work(caller: Caller, database: Database) -> None:
    """Nobody in a store presses two buttons where one will do."""
    work = await work_id(caller, shipped("o-1", ("MUG", 1)))
    assert (await done(caller, work, "pick"))["request_state"] == "accepted"
    assert (await kinds_of(database, "o-1"))[-2:] == [
        "fulfillment_order.accepted",
        "fulfillment_order.picked",
    ]


async def test_lines_are_picked_one_by_one_and_never_more_than_there_are(
    caller: Caller, database: Database
) -> None:
    """Two scans too many are a mistake of the hand, and the tablet must say so with numbers."""
    work = await work_id(caller, shipped("o-1", ("MUG", 3), ("LAMP", 1)))
    one = {"lines": [{"line_id": "1", "quantity": 2}]}
    assert counters(await done(caller, work, "pick", one)) == {"picked": 2}
    refused = await step(caller, work, "pick", one)
    assert (refused.status_code, problem_type(refused)) == (409, "too-many-units")
    assert (refused.json()["left"], refused.json()["line_id"]) == (1, "1")
    rest = await done(caller, work, "pick")
    assert [counters(rest, part) for part in (0, 1)] == [{"picked": 3}, {"picked": 1}]
    over = await step(caller, work, "pick")
    assert problem_type(over) == "too-many-units"
    await assert_all_agrees(database)


async def test_lines_that_are_not_there_are_refused_by_name(caller: Caller) -> None:
    """A wrong scan names what is wrong, and changes nothing."""
    work = await work_id(caller, shipped("o-1", ("MUG", 3)))
    cases = [
        ([{"line_id": "9", "quantity": 1}], 422, "invalid-field"),
        ([{"line_id": "1", "part": 4, "quantity": 1}], 422, "invalid-field"),
        ([{"line_id": "1", "quantity": 1}] * 2, 422, "duplicate-entry"),
        ([{"line_id": "1", "quantity": 0}], 422, "quantity-not-positive"),
        ([{"line_id": "1", "quantity": 1.5}], 422, "quantity-not-whole"),
        ([{"line_id": "1", "quantity": 1, "shelf": "A"}], 422, "unknown-field"),
    ]
    for lines, status, kind in cases:
        answer = await step(caller, work, "pick", {"lines": lines})
        assert (answer.status_code, problem_type(answer)) == (status, kind), answer.text
    assert (await look(caller, work))["version"] == 0


async def test_packing_waits_for_what_is_not_picked(caller: Caller) -> None:
    """A parcel closed without the third cup is a complaint."""
    work = await work_id(caller, shipped("o-1", ("MUG", 3)))
    await done(caller, work, "pick", {"lines": [{"line_id": "1", "quantity": 2}]})
    refused = await step(caller, work, "pack")
    assert problem_type(refused) == "illegal-state"
    assert refused.json()["missing"] == [{"line_id": "1", "part": 0, "quantity": 1}]


async def test_a_part_can_leave_before_the_rest(caller: Caller, database: Database) -> None:
    """Two parcels of one order: the first does not end the work."""
    work = await work_id(caller, shipped("o-1", ("MUG", 3)))
    await done(caller, work, "pick", {"lines": [{"line_id": "1", "quantity": 2}]})
    first = await done(caller, work, "ship")
    assert (first["state"], counters(first)) == ("in_progress", {"picked": 2, "shipped": 2})
    assert await stock_of(database, "MUG", "WH-EAST") == (98, 1)
    nothing = await step(caller, work, "ship")
    assert problem_type(nothing) == "too-many-units"
    await done(caller, work, "pick")
    too_many = await step(caller, work, "ship", {"lines": [{"line_id": "1", "quantity": 2}]})
    assert too_many.json()["left"] == 1
    second = await done(caller, work, "ship")
    assert (second["state"], len(second["shipments"])) == ("shipped", 2)
    await assert_all_agrees(database)


async def test_a_parcel_told_twice_leaves_once(caller: Caller, database: Database) -> None:
    """Carriers and 3PLs send the same scan again, under new keys; goods leave once."""
    work = await work_id(caller, shipped("o-1", ("MUG", 2)))
    await done(caller, work, "pick")
    parcel = {"shipment_id": str(uuid4()), "tracking": "A-1"}
    first = await done(caller, work, "ship", parcel)
    assert await done(caller, work, "ship", parcel) == first
    assert await stock_of(database, "MUG", "WH-EAST") == (98, 0)
    assert (await kinds_of(database, "o-1")).count("shipment.created") == 1
    await assert_all_agrees(database)


async def test_two_orders_may_name_their_parcels_alike(caller: Caller, database: Database) -> None:
    """A partner that numbers parcels from 1 for each order must not get goods for nothing."""
    parcel = {"shipment_id": str(uuid4())}
    for order_id in ("o-1", "o-2"):
        work = await work_id(caller, shipped(order_id, ("MUG", 1)))
        await done(caller, work, "pick")
        await done(caller, work, "ship", parcel)
    assert await stock_of(database, "MUG", "WH-EAST") == (98, 0)
    await assert_all_agrees(database)


async def test_a_parcel_of_other_work_of_the_order_is_refused(
    caller: Caller, database: Database
) -> None:
    """One parcel has one sender; the second report is a mix-up to be looked at."""
    body = await confirmed(caller, shipped("o-1", ("LAMP", 12)))
    works = [each["fulfillment_order_id"] for each in body["fulfillment_orders"]]
    assert len(works) == 2
    parcel = {"shipment_id": str(uuid4())}
    for work in works:
        await done(caller, work, "pick")
    await done(caller, works[0], "ship", parcel)
    refused = await step(caller, works[1], "ship", parcel)
    assert problem_type(refused) == "duplicate-entry"
    await assert_all_agrees(database)


async def test_each_node_ships_its_own_units_of_a_split_line(
    caller: Caller, database: Database
) -> None:
    """One line from two nodes: what leaves the one must not use up what is kept at the other."""
    body = await confirmed(caller, shipped("o-1", ("LAMP", 12)))
    for each in body["fulfillment_orders"]:
        await done(caller, each["fulfillment_order_id"], "pick")
        await done(caller, each["fulfillment_order_id"], "ship")
        await assert_all_agrees(database)
    left = [(await stock_of(database, "LAMP", node))[0] for node in ("WH-EAST", "WH-WEST")]
    assert sorted(left) == [0, 8]


async def test_goods_that_the_records_do_not_have_cannot_leave(
    caller: Caller, database: Database
) -> None:
    """A count has found the shelf empty; shipping air would make stock negative."""
    work = await work_id(caller, shipped("o-1", ("SOFA", 1)))
    await done(caller, work, "pick")
    lost = {
        "movements": [
            {
                "movement_id": str(uuid4()),
                "node_id": "WH-EAST",
                "sku": "SOFA",
                "kind": "count_loss",
                "quantity": 1,
            }
        ]
    }
    assert (await caller.post("/v1/stock/movements", lost, role="planner")).status_code == 201
    refused = await step(caller, work, "ship")
    assert (refused.status_code, problem_type(refused)) == (409, "negative-stock")
    assert (await look(caller, work))["state"] == "in_progress"
    await assert_all_agrees(database)


async def test_what_happened_earlier_is_dated_so_and_not_in_the_future(
    caller: Caller, database: Database
) -> None:
    """Scanners upload in the evening what they saw in the morning."""
    work = await work_id(caller, shipped("o-1", ("MUG", 1)))
    await done(caller, work, "pick")
    ahead = await step(caller, work, "ship", {"happened_at": "2199-01-01T00:00:00Z"})
    assert problem_type(ahead) == "invalid-field"
    sent = await done(caller, work, "ship", {"happened_at": "2026-01-05T09:00:00+01:00"})
    assert sent["shipments"][0]["shipped_at"] == "2026-01-05T08:00:00Z"
    async with database.connect() as connection:
        happened = await connection.fetchval(
            "SELECT happened_at FROM movement WHERE kind='dispatch'"
        )
    assert happened.isoformat() == "2026-01-05T08:00:00+00:00"


async def test_steps_out_of_turn_are_refused_with_what_is_possible(caller: Caller) -> None:
    """The refusal is what a tablet draws its buttons from."""
    work = await work_id(caller, shipped("o-1", ("MUG", 1)))
    for call in ("pack", "ship", "deliver", "ready", "no-show", "accept-cancellation"):
        refused = await step(caller, work, call)
        assert (refused.status_code, problem_type(refused)) == (409, "illegal-state"), call
        assert refused.json()["allowed"] == ["accept", "reject", "pick", "short-pick"]
        assert (refused.json()["state"], refused.json()["request_state"]) == ("open", "submitted")


async def test_a_step_decided_from_an_old_version_is_refused(caller: Caller) -> None:
    """The tablet showed three to pick; meanwhile a colleague has picked one."""
    work = await work_id(caller, shipped("o-1", ("MUG", 3)))
    path = f"/v1/fulfillment-orders/{work}"
    seen = (await caller.get(path, role="operator")).headers["ETag"]
    assert seen == '"0"'
    first = await send(caller, f"{path}/pick", {"lines": [{"line_id": "1", "quantity": 1}]}, seen)
    assert (first.status_code, first.headers["ETag"]) == (200, '"1"')
    second = await send(caller, f"{path}/pick", {}, seen)
    assert (second.status_code, problem_type(second)) == (412, "version-mismatch")
    assert second.json()["version"] == 1
    for tag in ('"7", "1"', 'W/"1"', "*"):
        given = await send(
            caller, f"{path}/pick", {"lines": [{"line_id": "9", "quantity": 1}]}, tag
        )
        assert problem_type(given) == "invalid-field", tag
    assert (await send(caller, f"{path}/pick", {}, "never seen")).status_code == 412


async def send(caller: Caller, path: str, body: object, tag: str) -> httpx.Response:
    """Send a step with an `If-Match`."""
    headers = caller.headers("operator") | {"If-Match": tag}
    return await caller.client.post(path, headers=headers, json=body)


async def test_a_repeated_request_has_one_effect_and_the_first_answer(
    caller: Caller, database: Database
) -> None:
    """The tablet lost its connection before it saw the answer, and sends again."""
    work = await work_id(caller, shipped("o-1", ("MUG", 3)))
    one = {"lines": [{"line_id": "1", "quantity": 1}]}
    first = await step(caller, work, "pick", one, key="scan-1")
    again = await step(caller, work, "pick", one, key="scan-1")
    assert again.json() == first.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["ETag"] == first.headers["ETag"]
    assert counters(await look(caller, work)) == {"picked": 1}
    other = await step(caller, work, "pick", {}, key="scan-1")
    assert problem_type(other) == "idempotency-key-reused"
    await done(caller, work, "pick")
    sent = await step(caller, work, "ship", {}, key="ship-1")
    assert (await step(caller, work, "ship", {}, key="ship-1")).json() == sent.json()
    assert await stock_of(database, "MUG", "WH-EAST") == (97, 0)
    await assert_all_agrees(database)


async def test_work_that_does_not_exist_is_not_found(caller: Caller) -> None:
    """Whatever is asked of it."""
    nowhere = str(uuid4())
    for call in ("accept", "pick", "pack", "ship", "deliver", "reject-cancellation"):
        assert (await step(caller, nowhere, call)).status_code == 404
    answer = await caller.get(f"/v1/fulfillment-orders/{nowhere}", role="operator")
    assert (answer.status_code, problem_type(answer)) == (404, "not-found")
