"""When a node says no: the goods come from elsewhere, the promise holds, or a person is asked."""

import asyncio

import pytest

from services.database import Database
from services.fulfillment.corrections import end_exclusions
from services.settings import Settings
from tests.services.caller import Caller, problem_type
from tests.services.fulfillment.rejection_calls import (
    decide,
    fates,
    moved_to,
    queue,
    refused,
    reject,
    said,
    short_pick,
    sweep,
)
from tests.services.fulfillment.work_calls import (
    STORE,
    assert_all_agrees,
    confirmed,
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
from tests.services.place import stock


async def test_what_a_node_rejects_is_sent_from_elsewhere_by_the_same_date(
    caller: Caller, database: Database
) -> None:
    """The customer never hears of it: same date, one parcel, from the next best node."""
    work = await work_id(caller, shipped("o-1", ("MUG", 2)))
    before = await look(caller, work)
    answer = await reject(caller, work)
    assert fates(answer) == [("1", 2, "ST-EAST")]
    assert answer["units"][0]["worse"] == []
    assert (answer["fulfillment_order"]["state"], answer["fulfillment_order"]["request_state"]) == (
        "incomplete",
        "rejected",
    )
    assert counters(answer["fulfillment_order"]) == {"rejected": 2}
    (after,) = await moved_to(caller, answer)
    assert after["promise"]["latest"] <= before["promise"]["latest"]
    assert (after["attempt"], after["replaces"], after["request_state"]) == (2, work, "submitted")
    assert after["lines"][0]["unit_price_minor"] == 1_250
    assert await stock_of(database, "MUG", "WH-EAST") == (100, 0)
    assert await stock_of(database, "MUG", "ST-EAST") == (5, 2)
    kinds = await kinds_of(database, "o-1")
    assert sorted(kinds[-4:]) == [
        "fulfillment_order.created",
        "fulfillment_order.moved",
        "fulfillment_order.rejected",
        "fulfillment_order.submitted",
    ]
    assert await queue(caller) == []
    await assert_all_agrees(database)


async def test_a_node_that_rejected_is_never_asked_again_for_that_order(
    caller: Caller, database: Database
) -> None:
    """Bug 18 (hotwax/bopis#251): the loop ends because every node can say no only once."""
    work = await work_id(caller, shipped("o-1", ("MUG", 1)))
    nodes = []
    for _ in range(4):
        nodes.append((await look(caller, work))["node_id"])
        answer = await reject(caller, work)
        if answer["units"][0]["became"] == "queued":
            break
        work = answer["units"][0]["fulfillment_order_id"]
    assert len(set(nodes)) == len(nodes) == 4
    (waiting,) = await queue(caller)
    assert (waiting["kind"], waiting["order_id"]) == ("unroutable", "o-1")
    assert waiting["lines"] == [
        {
            "line_id": "1",
            "sku": "MUG",
            "quantity": 1,
            "unit_price_minor": 1_250,
            "supply_id": None,
        }
    ]
    await assert_all_agrees(database)


async def test_a_promise_that_cannot_be_kept_is_broken_openly(
    caller: Caller, database: Database
) -> None:
    """Late is better than never, but somebody has to tell the customer."""
    work = await work_id(caller, shipped("o-1", ("LAMP", 1)))
    answer = await reject(caller, work)
    (unit,) = answer["units"]
    assert (unit["node_id"], unit["worse"]) == ("WH-WEST", ["late"])
    (late,) = await queue(caller)
    assert (late["kind"], late["exception_id"]) == ("late", unit["exception_id"])
    assert late["details"]["expected_on"] == unit["promise"]["latest"]
    assert late["details"]["promised_on"] < late["details"]["expected_on"]
    accepted = await decide(caller, late["exception_id"], "override", {"action": "accept"})
    assert (accepted.json()["state"], accepted.json()["resolution"]) == ("resolved", "accepted")
    assert await queue(caller) == []
    await assert_all_agrees(database)


async def test_a_short_pick_moves_what_is_missing_and_the_rest_goes_on(
    caller: Caller, database: Database
) -> None:
    """Three of four mugs on the shelf are three that can leave today."""
    work = await work_id(caller, shipped("o-1", ("MUG", 4), ("LAMP", 1)))
    await done(caller, work, "pick", {"lines": [{"line_id": "1", "quantity": 3}]})
    await done(caller, work, "pick", {"lines": [{"line_id": "2", "quantity": 1}]})
    answer = await short_pick(caller, work, "damaged")
    assert fates(answer) == [("1", 1, "ST-EAST")]
    assert answer["units"][0]["worse"] == ["parcels"]
    rest = answer["fulfillment_order"]
    assert (rest["state"], counters(rest)) == ("in_progress", {"picked": 3, "rejected": 1})
    await done(caller, work, "pack")
    sent = await done(caller, work, "ship")
    assert sent["state"] == "shipped"
    # The broken one is still on the shelf, and not for sale.
    async with database.connect() as connection:
        row = await connection.fetchrow(
            "SELECT on_hand, unavailable, reserved FROM stock"
            " WHERE (sku, node_id) = ('MUG', 'WH-EAST')"
        )
    assert row is not None
    assert tuple(row) == (97, 1, 0)
    await assert_all_agrees(database)


async def test_two_rejections_at_once_move_the_units_once(
    caller: Caller, database: Database
) -> None:
    """A tablet's double tap, or two people at one shelf."""
    work = await work_id(caller, shipped("o-1", ("MUG", 2)))
    answers = await asyncio.gather(
        *(step(caller, work, "reject", said("other"), key=f"tap-{n}") for n in range(4))
    )
    assert sorted(each.status_code for each in answers) == [200, 409, 409, 409]
    assert await stock_of(database, "MUG", "ST-EAST") == (5, 2)
    await assert_all_agrees(database)


async def test_the_same_rejection_sent_twice_is_answered_twice_and_done_once(
    caller: Caller, database: Database
) -> None:
    """Bug 9: a repeated callback releases nothing a second time."""
    work = await work_id(caller, shipped("o-1", ("MUG", 2)))
    first = await step(caller, work, "reject", said("other"), key="once")
    again = await step(caller, work, "reject", said("other"), key="once")
    assert first.json() == again.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    await assert_all_agrees(database)


@pytest.mark.parametrize("rival", ["ship", "cancel"])
async def test_a_rejection_that_races_leaves_one_winner(
    caller: Caller, database: Database, rival: str
) -> None:
    """The parcel leaves, or the order is cancelled, while somebody reports that it cannot."""
    for number in range(5):
        body = await confirmed(caller, shipped(f"o-{number}", ("MUG", 2)))
        work = body["fulfillment_orders"][0]["fulfillment_order_id"]
        await done(caller, work, "pick")
        other = (
            step(caller, work, "ship")
            if rival == "ship"
            else caller.post(f"/v1/allocations/{body['allocation_id']}/cancel")
        )
        answers = await asyncio.gather(step(caller, work, "reject", said("other")), other)
        assert all(each.status_code in (200, 409) for each in answers), [a.text for a in answers]
        assert any(each.status_code == 200 for each in answers)
        await assert_all_agrees(database)


async def test_a_count_that_comes_while_units_are_placed_leaves_no_promise_without_goods(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """The solver ran on five mugs, and the count found none."""
    for number in range(5):
        await stock(database, {("MUG", "ST-EAST"): 5})
        work = await work_id(caller, shipped(f"o-{number}", ("MUG", 3)))
        await asyncio.gather(reject(caller, work), stock(database, {("MUG", "ST-EAST"): 0}))
        await sweep(database, settings)
        assert (await stock_of(database, "MUG", "ST-EAST"))[1] == 0
        await assert_all_agrees(database)


async def test_what_a_reason_says_of_the_shelf_is_written_down(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """Not found means that the record is wrong: what is not picked for others is counted off."""
    await stock(database, {("MUG", "WH-EAST"): 10})
    await caller.catch_up()
    picked = await work_id(caller, shipped("o-1", ("MUG", 2)))
    await done(caller, picked, "pick")
    waiting = await work_id(caller, shipped("o-2", ("MUG", 3)))
    work = await work_id(caller, shipped("o-3", ("MUG", 1)))
    await reject(caller, work, "not_found")
    assert (await stock_of(database, "MUG", "WH-EAST"))[0] == 2
    await sweep(database, settings)
    # Whoever waited for the same shelf is served from another; what is picked stays.
    assert (await look(caller, waiting))["state"] == "incomplete"
    assert (await look(caller, picked))["state"] == "in_progress"
    assert await stock_of(database, "MUG", "WH-EAST") == (2, 2)
    async with database.connect() as connection:
        row = await connection.fetchrow(
            "SELECT kind, quantity, reason, reference FROM movement WHERE kind = 'count_loss'"
            " AND reason = 'not_found'"
        )
    assert row is not None
    assert tuple(row) == ("count_loss", 8, "not_found", work)
    await assert_all_agrees(database)


async def test_a_node_that_cannot_find_a_sku_sells_no_more_of_it_for_a_while(
    caller: Caller, database: Database
) -> None:
    """The next customer must not be promised the unit that was not there a minute ago."""
    work = await work_id(caller, shipped("o-1", ("LAMP", 1)))
    await reject(caller, work, "no_capacity")
    await caller.catch_up()
    body = await confirmed(caller, shipped("o-2", ("MUG", 1)))
    assert body["fulfillment_orders"][0]["node_id"] == "ST-EAST"
    async with database.transaction() as connection:
        await connection.execute("UPDATE exclusion SET until_at = now()")
    assert await end_exclusions(database) == 1
    await caller.catch_up()
    body = await confirmed(caller, shipped("o-3", ("MUG", 1)))
    assert body["fulfillment_orders"][0]["node_id"] == "WH-EAST"


async def test_a_rejected_pickup_asks_the_customer_and_tells_the_prices(
    caller: Caller, database: Database
) -> None:
    """Bug 18: a pickup is never sent to another shop in silence."""
    work = await work_id(caller, pickup("o-1", ("MUG", 1)))
    answer = await reject(caller, work, "not_found", role="store")
    assert [each["became"] for each in answer["units"]] == ["queued"]
    (waiting,) = await queue(caller)
    assert (waiting["kind"], waiting["node_id"]) == ("unroutable", STORE)
    choices = waiting["details"]["choices"]
    assert [(each["method"], each["nodes"]) for each in choices] == [
        ("pickup", ["ST-WEST"]),
        ("ship", ["WH-EAST"]),
    ]
    assert all(each["cost"]["amount_minor"] > 0 for each in choices)
    assert choices[0]["distance_km"] > 3_000
    placed = await decide(
        caller,
        waiting["exception_id"],
        "override",
        {"action": "place", "node_id": "WH-EAST", "method": "ship", "note": "asked by phone"},
    )
    assert placed.status_code == 200, placed.text
    assert (placed.json()["state"], placed.json()["resolution"]) == ("resolved", "placed")
    created = [p for k, p in await events_of(database, "o-1") if k == "fulfillment_order.created"]
    assert (created[-1]["node_id"], created[-1]["method"]) == ("WH-EAST", "ship")
    await assert_all_agrees(database)


async def test_what_cannot_be_rejected_is_refused(caller: Caller, database: Database) -> None:
    """A refusal says what was wrong and changes nothing."""
    work = await work_id(caller, shipped("o-1", ("MUG", 2)))
    wrong = await refused(caller, work, said("no_mood"))
    assert (wrong.status_code, problem_type(wrong)) == (422, "unknown-reference")
    wrong = await refused(caller, work, said("other", ("1", 3)))
    assert (wrong.status_code, problem_type(wrong)) == (409, "too-many-units")
    wrong = await refused(caller, work, said("other", ("9", 1)))
    assert (wrong.status_code, problem_type(wrong)) == (422, "invalid-field")
    wrong = await refused(caller, work, said("other"), role="store")
    assert (wrong.status_code, problem_type(wrong)) == (404, "not-found")
    await done(caller, work, "pick")
    await done(caller, work, "ship")
    wrong = await refused(caller, work, said("other"))
    assert (wrong.status_code, problem_type(wrong)) == (409, "illegal-state")
    await assert_all_agrees(database)


async def test_a_reason_that_concerns_the_whole_order_takes_all_of_it(
    caller: Caller, database: Database
) -> None:
    """A store that has closed has closed for every line."""
    work = await work_id(caller, shipped("o-1", ("MUG", 1), ("LAMP", 1)))
    answer = await reject(caller, work, "closed", ("1", 1))
    assert sorted(line for line, *_ in fates(answer)) == ["1", "2"]
    assert {node for *_, node in fates(answer)} <= {"ST-EAST", "WH-WEST"}
    assert answer["fulfillment_order"]["state"] == "incomplete"
    await assert_all_agrees(database)


async def test_a_planner_changes_what_a_reason_leads_to(caller: Caller) -> None:
    """What a lost unit means differs from shop to shop, and is not for a release to decide."""
    found = (await caller.get("/v1/rejection-reasons", role="store")).json()
    assert found["version"] == 0
    names = [each["reason"] for each in found["reasons"]]
    assert {"not_found", "damaged", "other"} <= set(names)
    reasons = [
        {**each, "exclude_for": "PT1H"} if each["reason"] == "not_found" else each
        for each in found["reasons"]
    ]
    put = await caller.put("/v1/rejection-reasons", {"reasons": reasons, "version": 0})
    assert put.status_code == 200, put.text
    assert put.json()["version"] == 1
    stale = await caller.put("/v1/rejection-reasons", {"reasons": reasons, "version": 0})
    assert (stale.status_code, problem_type(stale)) == (412, "version-mismatch")
    bare = await caller.put("/v1/rejection-reasons", {"reasons": reasons[:1]})
    assert (bare.status_code, problem_type(bare)) == (422, "invalid-field")
    twice = await caller.put("/v1/rejection-reasons", {"reasons": [*reasons, reasons[0]]})
    assert (twice.status_code, problem_type(twice)) == (422, "duplicate-entry")


async def test_a_partner_is_told_that_units_are_looked_after_and_not_by_whom(
    caller: Caller, database: Database
) -> None:
    """Which of its competitors sends the goods instead is nobody's business."""
    work = await work_id(caller, shipped("o-1", ("MUG", 1)))
    async with database.connect() as connection:
        await connection.execute("UPDATE node SET partner_id = 'carrier' WHERE node_id = 'WH-EAST'")
    answer = await reject(caller, work, role="partner")
    (unit,) = answer["units"]
    assert (unit["became"], unit["node_id"], unit["fulfillment_order_id"]) == ("moved", None, None)
    assert unit["promise"]["latest"]
    await assert_all_agrees(database)
