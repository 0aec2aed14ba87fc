"""The exceptions queue: what is in it, what people do about it, and what it does by itself."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import msgspec
import pytest

from inventory.supply import Supply, put_supply
from services.database import Database
from services.fulfillment.exceptions import About, open_exception, resolve_cause
from services.http.paging import cursor_at
from services.settings import Settings
from tests.services.caller import Caller, basket, problem_type
from tests.services.fulfillment.rejection_calls import (
    decide,
    hurry,
    moved_to,
    queue,
    reject,
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
    stock_of,
    work_id,
)
from tests.services.place import SUPPLY_ON, stock


async def without_place(caller: Caller, order_id: str) -> tuple[str, str]:
    """Have a sofa rejected that nobody else has; return the work and its exception."""
    work = await work_id(caller, shipped(order_id, ("SOFA", 1)))
    answer = await reject(caller, work, "not_found")
    return work, answer["units"][0]["exception_id"]


async def test_units_without_a_place_get_one_when_something_comes_in(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """Nobody should have to look every hour whether the sofa has come."""
    _, exception_id = await without_place(caller, "o-1")
    await sweep(database, settings)
    assert [each["exception_id"] for each in await queue(caller)] == [exception_id]
    await stock(database, {("SOFA", "WH-WEST"): 1})
    await hurry(database)
    await sweep(database, settings)
    found = (await caller.get(f"/v1/exceptions/{exception_id}", role="operator")).json()
    assert (found["state"], found["resolution"]) == ("resolved", "placed")
    assert await stock_of(database, "SOFA", "WH-WEST") == (1, 1)
    # It comes from across the country and is late: that is said, too.
    assert [each["kind"] for each in await queue(caller)] == ["late"]
    await assert_all_agrees(database)


async def test_who_was_promised_first_is_served_first(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """What comes in goes by the date promised, not by who was looked at first."""
    await stock(database, {("SOFA", "WH-EAST"): 2})
    await caller.catch_up()
    works = [await work_id(caller, shipped(f"o-{n}", ("SOFA", 1))) for n in (1, 2)]
    for work in works:
        await reject(caller, work, "not_found")
    async with database.connect() as connection:
        await connection.execute(
            "UPDATE exception SET promise_on = promise_on - 1 WHERE order_id = 'o-2'"
        )
    await stock(database, {("SOFA", "WH-WEST"): 1})
    await hurry(database)
    await sweep(database, settings)
    waiting = [each["order_id"] for each in await queue(caller, kind="unroutable")]
    assert waiting == ["o-1"]
    await assert_all_agrees(database)


async def test_a_person_may_try_again_now(caller: Caller, database: Database) -> None:
    """Whoever sees the truck in the yard need not wait for the next look."""
    _, exception_id = await without_place(caller, "o-1")
    tried = await decide(caller, exception_id, "retry")
    assert (tried.json()["state"], tried.json()["tries"]) == ("open", 1)
    await stock(database, {("SOFA", "ST-EAST"): 1})
    tried = await decide(caller, exception_id, "retry")
    assert (tried.json()["state"], tried.json()["resolution"]) == ("resolved", "placed")
    again = await decide(caller, exception_id, "retry")
    assert (again.status_code, problem_type(again)) == (409, "illegal-state")
    await assert_all_agrees(database)


async def test_a_person_may_not_promise_what_is_not_there(
    caller: Caller, database: Database
) -> None:
    """An override overrides rules, not stock."""
    _, exception_id = await without_place(caller, "o-1")
    place = {"action": "place", "node_id": "WH-WEST"}
    no = await decide(caller, exception_id, "override", place)
    assert (no.status_code, problem_type(no)) == (409, "insufficient-stock")
    assert no.json()["available"] == 0
    # The node that failed may be named all the same, once a person has found the goods there.
    await stock(database, {("SOFA", "WH-EAST"): 1})
    yes = await decide(caller, exception_id, "override", place | {"node_id": "WH-EAST"})
    assert yes.json()["state"] == "resolved"
    await assert_all_agrees(database)


async def test_two_people_place_the_units_once(caller: Caller, database: Database) -> None:
    """Two planners read the same queue."""
    _, exception_id = await without_place(caller, "o-1")
    await stock(database, {("SOFA", "WH-WEST"): 5})
    answers = await asyncio.gather(
        *(
            decide(caller, exception_id, "override", {"action": "place", "node_id": "WH-WEST"})
            for _ in range(3)
        )
    )
    assert sorted(each.status_code for each in answers) == [200, 409, 409]
    assert await stock_of(database, "SOFA", "WH-WEST") == (5, 1)
    await assert_all_agrees(database)


async def test_units_that_are_cancelled_are_told_with_what_is_not_to_be_captured(
    caller: Caller, database: Database
) -> None:
    """Whoever holds the payment has to let go of this part of it."""
    body = await confirmed(caller, shipped("o-1", ("SOFA", 1)))
    work = body["fulfillment_orders"][0]["fulfillment_order_id"]
    answer = await reject(caller, work, "not_found")
    exception_id = answer["units"][0]["exception_id"]
    no = await decide(caller, exception_id, "dismiss", {"note": "bored"})
    assert (no.status_code, problem_type(no)) == (409, "illegal-state")
    ended = await decide(caller, exception_id, "override", {"action": "cancel"})
    assert (ended.json()["state"], ended.json()["resolution"]) == ("resolved", "cancelled")
    told = dict(await events_of(database, "o-1"))["order.units_cancelled"]
    assert told["amounts_minor"] == {"void": 1_250}
    allocation = await caller.get(f"/v1/allocations/{body['allocation_id']}")
    assert allocation.json()["status"] == "cancelled"
    await assert_all_agrees(database)


async def test_cancelling_the_order_ends_what_waits_for_a_decision(
    caller: Caller, database: Database
) -> None:
    """A queue full of orders that nobody wants is a queue nobody reads."""
    body = await confirmed(caller, shipped("o-1", ("SOFA", 1), ("MUG", 1)))
    for work in body["fulfillment_orders"]:
        found = await look(caller, work["fulfillment_order_id"])
        if "SOFA" in {line["sku"] for line in found["lines"]}:
            sofa = next(line for line in found["lines"] if line["sku"] == "SOFA")
            await done(
                caller,
                work["fulfillment_order_id"],
                "reject",
                {
                    "reason": "not_found",
                    "lines": [{"line_id": sofa["line_id"], "quantity": 1}],
                },
            )
    assert len(await queue(caller)) == 1
    ended = await caller.post(f"/v1/allocations/{body['allocation_id']}/cancel")
    assert ended.status_code == 200, ended.text
    assert await queue(caller) == []
    assert "order.units_cancelled" in await kinds_of(database, "o-1")
    await assert_all_agrees(database)


async def test_a_count_below_what_is_promised_moves_the_weakest_promise(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """Unconfirmed first, then whoever was promised the latest date, then the newest."""
    await stock(database, {("MUG", "WH-EAST"): 3})
    await caller.catch_up()
    first = await work_id(caller, shipped("o-1", ("MUG", 1)))
    second = await work_id(caller, shipped("o-2", ("MUG", 1)))
    held = (await caller.post("/v1/allocations", shipped("o-3", ("MUG", 1)))).json()
    await stock(database, {("MUG", "WH-EAST"): 1})
    await sweep(database, settings)
    allocation = await caller.get(f"/v1/allocations/{held['allocation_id']}")
    assert allocation.json()["status"] == "expired"
    assert allocation.json()["expires_at"] < held["expires_at"], "it ended before its time"
    assert (await look(caller, first))["state"] == "open"
    assert (await look(caller, second))["state"] == "cancelled" or (await look(caller, second))[
        "state"
    ] == "incomplete"
    assert await stock_of(database, "MUG", "WH-EAST") == (1, 1)
    assert await stock_of(database, "MUG", STORE) == (5, 1)
    await assert_all_agrees(database)


async def test_a_shortage_nobody_can_fill_is_queued_once_and_ends_with_the_shortage(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """The goods may turn up again; until then a person should know."""
    work = await work_id(caller, shipped("o-1", ("SOFA", 1)))
    await stock(database, {("SOFA", "WH-EAST"): 0})
    await sweep(database, settings)
    await hurry(database)
    await sweep(database, settings)
    (waiting,) = await queue(caller)
    assert (waiting["kind"], waiting["fulfillment_order_id"]) == ("short", work)
    assert (await look(caller, work))["state"] == "open"
    await stock(database, {("SOFA", "WH-EAST"): 1})
    await hurry(database)
    await sweep(database, settings)
    assert await queue(caller) == []
    await assert_all_agrees(database)


async def test_supply_that_slips_moves_or_tells_the_new_date(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """A date that is no longer true must not stand in the customer's mail for longer than needed."""
    order = basket("o-1", ("SOFA", 2), policy={"backorder": True})
    body = await confirmed(caller, order)
    works = [await look(caller, w["fulfillment_order_id"]) for w in body["fulfillment_orders"]]
    (late,) = [work for work in works if work["waits_for_supply"]]
    async with database.transaction() as connection:
        await put_supply(
            connection,
            [
                Supply(
                    sku="SOFA",
                    supply_id="PO-1",
                    node_id="WH-WEST",
                    expected_on=SUPPLY_ON + timedelta(days=20),
                    quantity=4,
                )
            ],
        )
    await sweep(database, settings)
    (waiting,) = await queue(caller)
    assert waiting["kind"] == "late"
    told = await look(caller, late["fulfillment_order_id"])
    assert told["promise"]["latest"] > late["promise"]["latest"]
    assert "fulfillment_order.delayed" in await kinds_of(database, "o-1")
    # Goods that come in elsewhere in time keep the promise that was given first.
    await assert_all_agrees(database)


async def test_work_that_is_not_answered_is_queued_and_given_away_if_wanted(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """Silence is an answer, too; it only takes longer."""
    first = await work_id(caller, shipped("o-1", ("MUG", 1)))
    async with database.connect() as connection:
        await connection.execute("UPDATE fulfillment_order SET answer_by = now()")
    await sweep(database, settings)
    (waiting,) = await queue(caller)
    assert (waiting["kind"], waiting["fulfillment_order_id"]) == ("partner_silent", first)
    await done(caller, first, "accept")
    await sweep(database, settings)
    assert await queue(caller) == []
    second = await work_id(caller, shipped("o-2", ("MUG", 1)))
    async with database.connect() as connection:
        await connection.execute(
            "UPDATE fulfillment_order SET answer_by = now() WHERE order_id = 'o-2'"
        )
    await sweep(database, msgspec.structs.replace(settings, resource_silent=True))
    assert (await look(caller, second))["request_state"] == "rejected"
    assert await queue(caller) == []
    assert await stock_of(database, "MUG", STORE) == (5, 1)
    await assert_all_agrees(database)


async def test_a_cause_is_in_the_queue_once(caller: Caller, database: Database) -> None:
    """An endpoint that fails a thousand times is one problem."""
    about = About(partner_id="acme", details={"endpoint_id": "e-1"})

    async def open_it() -> object:
        return await database.run(
            lambda connection: open_exception(
                connection, "endpoint_disabled", "e-1", about, actor="test"
            )
        )

    ids = await asyncio.gather(*(open_it() for _ in range(8)))
    assert len(set(ids)) == 1
    (waiting,) = await queue(caller, kind="endpoint_disabled")
    no = await decide(caller, waiting["exception_id"], "retry")
    assert (no.status_code, no.json()["allowed"]) == (409, ["dismiss"])
    assert await database.run(
        lambda connection: resolve_cause(
            connection, "endpoint_disabled", "e-1", "enabled", actor="test"
        )
    )
    assert await queue(caller) == []
    assert await open_it() not in ids


async def test_the_queue_is_read_in_pages_and_by_what_one_looks_for(
    caller: Caller, database: Database
) -> None:
    """A bad day has thousands."""
    for number in range(5):
        about = About(node_id=f"node-{number % 2}")
        async with database.transaction() as connection:
            await open_exception(connection, "feed_stale", f"feed-{number}", about, actor="test")
    page = (await caller.get("/v1/exceptions", role="planner", params={"limit": 3})).json()
    rest = (
        await caller.get(
            "/v1/exceptions",
            role="planner",
            params={"limit": 3, "cursor": page["next_cursor"]},
        )
    ).json()
    assert [len(each["exceptions"]) for each in (page, rest)] == [3, 2]
    assert rest["next_cursor"] is None
    assert len(await queue(caller, node_id="node-1")) == 2
    wrong = await caller.get("/v1/exceptions", role="planner", params={"cursor": "WyJhIiwiYiJd"})
    assert (wrong.status_code, problem_type(wrong)) == (400, "invalid-parameter")
    gone = await caller.get(f"/v1/exceptions/{uuid4()}", role="planner")
    assert gone.status_code == 404


@pytest.mark.parametrize("role", ["checkout", "store", "partner"])
async def test_the_queue_is_for_planners_and_operators(caller: Caller, role: str) -> None:
    """What is wrong with an order is not for everybody who sends some."""
    assert (await caller.get("/v1/exceptions", role=role)).status_code == 403


async def test_a_rejected_reason_that_concerns_a_sku_takes_other_work_along(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """The next picker would walk to the same wrong box."""
    other = await work_id(caller, shipped("o-1", ("MUG", 2)))
    work = await work_id(caller, shipped("o-2", ("MUG", 1)))
    await reject(caller, work, "wrong_item")
    await sweep(database, settings)
    moved = await look(caller, other)
    assert (moved["state"], counters(moved)) == ("incomplete", {"rejected": 2})
    assert await stock_of(database, "MUG", STORE) == (5, 3)
    await assert_all_agrees(database)


async def test_a_pickup_that_is_short_is_not_collected_elsewhere_by_itself(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """The customer may stand in the shop already."""
    work = await work_id(caller, pickup("o-1", ("MUG", 2)))
    await stock(database, {("MUG", STORE): 1})
    await sweep(database, settings)
    (waiting,) = await queue(caller)
    assert (waiting["kind"], waiting["fulfillment_order_id"]) == ("short", work)
    assert [each["method"] for each in waiting["details"]["choices"]] == ["pickup", "ship"]
    answer = await decide(
        caller, waiting["exception_id"], "override", {"action": "place", "method": "ship"}
    )
    assert answer.status_code == 200, answer.text
    found = await look(caller, work)
    assert counters(found) == {"rejected": 1}
    await assert_all_agrees(database)


async def test_an_order_passes_a_limited_number_of_times(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """After some nodes it is a person's turn, however many more there are."""
    work = await work_id(caller, shipped("o-1", ("MUG", 1)))
    async with database.connect() as connection:
        await connection.execute(
            "UPDATE fulfillment_order SET attempt = $1", settings.attempts_per_line_max
        )
    answer = await reject(caller, work)
    assert await moved_to(caller, answer) == []
    (waiting,) = await queue(caller)
    assert (waiting["kind"], waiting["details"]["attempt"]) == (
        "attempts",
        settings.attempts_per_line_max,
    )
    await sweep(database, settings)
    assert len(await queue(caller)) == 1


async def test_a_cursor_before_all_dates_is_refused(caller: Caller) -> None:
    """It is none of ours, and no failure of the service."""
    cursor = cursor_at(("0001-01-01T00:00:00+14:00", str(uuid4())))
    answer = await caller.get("/v1/exceptions", role="planner", params={"cursor": cursor})
    assert (answer.status_code, problem_type(answer)) == (400, "invalid-parameter")
