"""When work goes to its nodes: at once, after a window, or not while a hold is on."""

import asyncio
from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from services.database import Database
from services.fulfillment import records
from services.fulfillment.create import submit, submit_due
from services.settings import Settings
from tests.services.caller import Caller, problem_type
from tests.services.fulfillment.work_calls import (
    STORE,
    assert_all_agrees,
    confirmed,
    kinds_of,
    look,
    pickup,
    shipped,
    step,
    stock_of,
)

WINDOW_S = 3_600


@pytest.fixture
def settings(database_url: str) -> Settings:
    """Return the settings of a service that waits an hour, and then gives nodes ten minutes."""
    return Settings.from_environment(
        {
            "DATABASE_URL": database_url,
            "NOM_RELEASE_WINDOW_S": str(WINDOW_S),
            "NOM_ANSWER_LIMIT_S": "600",
        }
    )


async def let_the_window_pass(database: Database) -> None:
    """Move the release of all work to now, as the database's clock would."""
    async with database.transaction() as connection:
        await connection.execute("UPDATE fulfillment_order SET release_at = now()")


async def held(caller: Caller, order_id: str, reason: str = "fraud") -> str:
    """Place a hold; return its id."""
    answer = await caller.post(f"/v1/orders/{order_id}/holds", {"reason": reason, "note": "?"})
    assert answer.status_code == 201, answer.text
    found: str = answer.json()["hold_id"]
    return found


async def lifted(caller: Caller, order_id: str, hold_id: str) -> None:
    """Lift a hold."""
    answer = await caller.post(f"/v1/orders/{order_id}/holds/{hold_id}/lift")
    assert answer.status_code == 200, answer.text
    assert answer.json()["lifted_at"] is not None


async def test_work_waits_for_its_window_and_is_then_submitted(
    caller: Caller, database: Database
) -> None:
    """For an hour the plan may still be bettered; after it the node has ten minutes to answer."""
    body = await confirmed(caller, shipped("o-1", ("MUG", 1)))
    work = body["fulfillment_orders"][0]["fulfillment_order_id"]
    early = await look(caller, work)
    assert (early["request_state"], early["allowed"]) == ("unsubmitted", [])
    waits = datetime.fromisoformat(early["release_at"]) - datetime.now().astimezone()
    assert timedelta(seconds=WINDOW_S - 60) < waits <= timedelta(seconds=WINDOW_S)
    assert problem_type(await step(caller, work, "pick")) == "illegal-state"
    assert await submit_due(600, database) == 0
    await let_the_window_pass(database)
    assert await submit_due(600, database) == 1
    assert await submit_due(600, database) == 0
    late = await look(caller, work)
    assert late["request_state"] == "submitted"
    limit = datetime.fromisoformat(late["answer_by"]) - datetime.fromisoformat(late["submitted_at"])
    assert limit == timedelta(seconds=600)
    assert (await kinds_of(database, "o-1"))[-1] == "fulfillment_order.submitted"


async def test_work_that_waits_is_not_on_the_list_of_its_node(
    caller: Caller, database: Database
) -> None:
    """A shop that sees it would pick it."""
    await confirmed(caller, pickup("o-1", ("MUG", 1)))
    path = f"/v1/nodes/{STORE}/work"
    assert (await caller.get(path, role="store")).json()["fulfillment_orders"] == []
    await let_the_window_pass(database)
    await submit_due(0, database)
    assert len((await caller.get(path, role="store")).json()["fulfillment_orders"]) == 1


async def test_a_hold_keeps_work_back_and_not_the_stock(caller: Caller, database: Database) -> None:
    """The goods of an order under suspicion are neither sent nor sold to somebody else."""
    body = await confirmed(caller, shipped("o-1", ("MUG", 1)))
    work = body["fulfillment_orders"][0]["fulfillment_order_id"]
    hold = await held(caller, "o-1")
    await let_the_window_pass(database)
    assert await submit_due(0, database) == 0
    assert await stock_of(database, "MUG", "WH-EAST") == (100, 1)
    await lifted(caller, "o-1", hold)
    assert (await look(caller, work))["request_state"] == "submitted"
    assert (await kinds_of(database, "o-1"))[-3:] == [
        "order.hold_placed",
        "order.hold_lifted",
        "fulfillment_order.submitted",
    ]
    await assert_all_agrees(database)


async def test_a_hold_placed_before_the_confirm_counts(caller: Caller, database: Database) -> None:
    """The risk service answers faster than the payment."""
    allocation = (await caller.post("/v1/allocations", shipped("o-1", ("MUG", 1)))).json()
    hold = await held(caller, "o-1", "payment")
    await caller.post(f"/v1/allocations/{allocation['allocation_id']}/confirm")
    await let_the_window_pass(database)
    assert await submit_due(0, database) == 0
    await lifted(caller, "o-1", hold)
    assert await submit_due(0, database) == 0
    assert (await kinds_of(database, "o-1"))[-1] == "fulfillment_order.submitted"


async def test_work_waits_for_the_last_of_several_holds(caller: Caller, database: Database) -> None:
    """The address is corrected; the payment is still missing."""
    await confirmed(caller, shipped("o-1", ("MUG", 1)))
    first, second = await held(caller, "o-1", "address"), await held(caller, "o-1", "payment")
    await let_the_window_pass(database)
    await lifted(caller, "o-1", first)
    assert await submit_due(0, database) == 0
    await lifted(caller, "o-1", second)
    await lifted(caller, "o-1", second)
    kinds = await kinds_of(database, "o-1")
    assert kinds.count("order.hold_lifted") == 2
    assert kinds.count("fulfillment_order.submitted") == 1


async def test_a_hold_lifted_in_the_window_leaves_the_window(
    caller: Caller, database: Database
) -> None:
    """Lifting is no reason to hurry."""
    body = await confirmed(caller, shipped("o-1", ("MUG", 1)))
    await lifted(caller, "o-1", await held(caller, "o-1"))
    work = body["fulfillment_orders"][0]["fulfillment_order_id"]
    assert (await look(caller, work))["request_state"] == "unsubmitted"


async def test_a_hold_that_comes_too_late_is_refused_with_what_is_possible(
    caller: Caller, database: Database
) -> None:
    """A hold that says yes and holds nothing would be found out at the customer's door."""
    await confirmed(caller, shipped("o-1", ("MUG", 1)))
    await let_the_window_pass(database)
    await submit_due(0, database)
    refused = await caller.post("/v1/orders/o-1/holds", {"reason": "fraud"})
    assert (refused.status_code, problem_type(refused)) == (409, "illegal-state")
    assert refused.json()["allowed"] == ["cancel"]
    assert "WH-EAST" in refused.json()["detail"]


async def test_a_hold_of_an_order_that_is_over_is_refused(
    caller: Caller, database: Database
) -> None:
    """There is nothing to keep back, unless the order is allocated anew."""
    body = await confirmed(caller, shipped("o-1", ("MUG", 1)))
    await caller.post(f"/v1/allocations/{body['allocation_id']}/cancel")
    refused = await caller.post("/v1/orders/o-1/holds", {"reason": "fraud"})
    assert refused.json()["allowed"] == []
    assert (await caller.post("/v1/allocations", shipped("o-1", ("MUG", 1)))).status_code == 201
    await held(caller, "o-1")


async def test_holds_name_orders_and_reasons_that_exist(caller: Caller) -> None:
    """A typing mistake must not look like protection."""
    assert (await caller.post("/v1/orders/o-9/holds", {"reason": "fraud"})).status_code == 404
    await confirmed(caller, shipped("o-1", ("MUG", 1)))
    odd = await caller.post("/v1/orders/o-1/holds", {"reason": "mood"})
    assert problem_type(odd) == "invalid-field"
    for path in (f"/v1/orders/o-1/holds/{uuid4()}/lift", f"/v1/orders/o-9/holds/{uuid4()}/lift"):
        assert (await caller.post(path)).status_code == 404


async def test_cancelled_work_is_never_submitted(caller: Caller, database: Database) -> None:
    """The window is there so that the customer can still change their mind."""
    body = await confirmed(caller, shipped("o-1", ("MUG", 1)))
    await caller.post(f"/v1/allocations/{body['allocation_id']}/cancel")
    await let_the_window_pass(database)
    assert await submit_due(0, database) == 0
    assert "fulfillment_order.submitted" not in await kinds_of(database, "o-1")
    await assert_all_agrees(database)


async def test_an_order_shows_its_holds_allocations_and_work(caller: Caller) -> None:
    """One read for whoever has the customer on the telephone."""
    body = await confirmed(caller, shipped("o-1", ("LAMP", 12)))
    hold = await held(caller, "o-1")
    for role in ("checkout", "operator", "planner"):
        found = (await caller.get("/v1/orders/o-1", role=role)).json()
        assert [each["hold_id"] for each in found["holds"]] == [hold]
        assert [each["allocation_id"] for each in found["allocations"]] == [body["allocation_id"]]
        works = {each["fulfillment_order_id"] for each in found["fulfillment_orders"]}
        assert works == {each["fulfillment_order_id"] for each in body["fulfillment_orders"]}
    assert (await caller.get("/v1/orders/o-9")).status_code == 404


async def test_a_store_sees_orders_that_concern_it_and_no_others(caller: Caller) -> None:
    """Somebody else's order looks exactly like one that does not exist."""
    await confirmed(caller, shipped("o-1", ("LAMP", 1)))
    await confirmed(caller, pickup("o-2", ("MUG", 1)))
    other = await caller.get("/v1/orders/o-1", role="store")
    nowhere = await caller.get("/v1/orders/o-9", role="store")
    assert other.json()["detail"].replace("o-1", "o-9") == nowhere.json()["detail"]
    assert (await caller.get("/v1/orders/o-2", role="store")).status_code == 200


@pytest.mark.parametrize("attempt", range(5))
async def test_of_a_hold_and_a_submission_one_comes_first(
    caller: Caller, database: Database, attempt: int
) -> None:
    """Either the hold holds or it is refused; a hold on work that is under way is worth nothing."""
    body = await confirmed(caller, shipped("o-1", ("MUG", 1)))
    await let_the_window_pass(database)
    placed, submitted = await asyncio.gather(
        caller.post("/v1/orders/o-1/holds", {"reason": "fraud"}),
        submit_due(0, database),
    )
    work = await look(caller, body["fulfillment_orders"][0]["fulfillment_order_id"])
    if placed.status_code == 201:
        assert work["request_state"] == "unsubmitted"
        assert submitted == 0
    else:
        assert problem_type(placed) == "illegal-state"
        assert work["request_state"] == "submitted"


async def test_a_hold_committed_after_the_sweep_has_looked_is_seen_by_it(
    caller: Caller, database: Database
) -> None:
    """The sweep listed the work before the hold was placed: its second look must find it."""
    await confirmed(caller, shipped("o-1", ("MUG", 1)))
    async with database.connect() as connection:
        due = await records.find_of_order(connection, "o-1")
    await held(caller, "o-1")
    async with database.transaction() as connection:
        assert await submit(connection, due, answer_limit_s=0, actor="test") == []
    assert "fulfillment_order.submitted" not in await kinds_of(database, "o-1")
