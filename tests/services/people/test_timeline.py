"""What happened to an order or a customer, in one read, for those whom it concerns."""

from typing import Any
from uuid import uuid4

import pytest

from services.database import Database
from services.events.sequencer import number_events
from services.http.paging import cursor_at
from tests.services.caller import Caller, basket, problem_type
from tests.services.people.test_contacts import allocated, contact, put


async def entries(caller: Caller, path: str, role: str = "checkout") -> list[dict[str, Any]]:
    """Return a timeline, read in pages of two."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await caller.get(path, role=role, params={"limit": 2, **cursor})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["entries"]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


async def test_an_order_tells_its_story_in_words_and_data(caller: Caller) -> None:
    """The call center reads it to the customer; a program reads the rest."""
    await put(caller, "web-1", contact())
    allocation_id = await allocated(caller, "web-1")
    await caller.post(f"/v1/allocations/{allocation_id}/cancel")
    told = await entries(caller, "/v1/orders/web-1/timeline")
    kinds = [each["kind"] for each in told]
    assert kinds[:3] == ["order.contact_changed", "allocation.held", "allocation.confirmed"]
    assert "allocation.cancelled" in kinds
    assert told[1]["says"] == "Stock was held for the order."
    assert told[1]["payload"] == {"allocation_id": allocation_id, "complete": True}
    assert told[1]["actor"].startswith("checkout:")
    assert "Ada" not in str(told)


async def test_a_customer_has_one_story_over_all_channels(caller: Caller) -> None:
    """Bought on the web, and once more at the till."""
    await put(caller, "web-1", contact())
    await allocated(caller, "web-1")
    held = await caller.post("/v1/allocations", basket("till-1", ("MUG", 1)), role="store")
    assert held.status_code == 201
    await put(caller, "till-1", contact(), role="store")
    await put(caller, "web-9", contact(customer_id="c-2"))
    told = await entries(caller, "/v1/customers/c-1/timeline")
    assert {each["order_id"] for each in told} == {"web-1", "till-1"}
    store = await entries(caller, "/v1/customers/c-1/timeline", role="store")
    assert {each["order_id"] for each in store} == {"till-1"}


async def test_somebody_elses_story_looks_like_one_that_does_not_exist(
    caller: Caller, database: Database
) -> None:
    """Or order numbers could be tried until one answers differently."""
    await put(caller, "web-1", contact())
    await allocated(caller, "web-1")
    for role in ("store", "partner"):
        other = await caller.get("/v1/orders/web-1/timeline", role=role)
        missing = await caller.get("/v1/orders/web-2/timeline", role=role)
        assert (other.status_code, missing.status_code) == (404, 404)
        assert other.text.replace("web-1", "web-2") == missing.text
    other = await caller.get("/v1/customers/c-1/timeline", role="store")
    missing = await caller.get("/v1/customers/c-2/timeline", role="store")
    assert other.status_code == 404
    assert other.text.replace("c-1", "c-2") == missing.text


async def test_a_sku_that_is_called_like_an_order_is_not_part_of_its_story(
    caller: Caller, database: Database
) -> None:
    """Subjects of different kinds share one column."""
    await allocated(caller, "MUG")
    async with database.transaction() as connection:
        await connection.execute(
            "INSERT INTO event (event_id, kind, subject, actor, payload) VALUES"
            " (gen_random_uuid(), 'stock.shortage', 'MUG', 'test',"
            ' \'{"sku": "MUG", "node_id": "WH-EAST", "shortage": 1}\')'
        )
    told = await entries(caller, "/v1/orders/MUG/timeline")
    assert "stock.shortage" not in {each["kind"] for each in told}


@pytest.mark.parametrize(
    "begin", [(str(10**19), "2026-01-01T00:00:00+00:00"), ("1", "0001-01-01T00:00:00+14:00")]
)
async def test_a_cursor_beyond_all_numbers_and_dates_is_refused(
    caller: Caller, begin: tuple[str, str]
) -> None:
    """It is none of ours, and no failure of the service."""
    await allocated(caller, "web-1")
    cursor = cursor_at((*begin, str(uuid4())))
    answer = await caller.get("/v1/orders/web-1/timeline", params={"cursor": cursor})
    assert (answer.status_code, problem_type(answer)) == (400, "invalid-parameter")


async def test_a_partner_is_told_nothing_that_is_only_the_companys(
    caller: Caller, database: Database
) -> None:
    """What its messages leave out, amounts and who did it, it must not read up elsewhere."""
    async with database.transaction() as connection:
        await connection.execute("UPDATE node SET partner_id = 'carrier' WHERE node_id = 'WH-EAST'")
    caller.runtime.keyring.seen.clear()
    await caller.catch_up()
    order = basket("web-1", ("MUG", 1))
    order["lines"][0]["unit_price_minor"] = 1_234
    held = (await caller.post("/v1/allocations", order)).json()
    path = f"/v1/allocations/{held['allocation_id']}"
    work = (await caller.post(f"{path}/confirm")).json()["fulfillment_orders"][0]
    step = f"/v1/fulfillment-orders/{work['fulfillment_order_id']}"
    for call, body in (("pick", {}), ("pack", None), ("ship", {})):
        done = await caller.post(f"{step}/{call}", body, role="operator")
        assert done.status_code == 200, done.text
    seen = (await caller.get(step, role="partner")).json()
    assert (seen["cost"], seen["lines"][0]["unit_price_minor"]) == (None, None)
    assert (await caller.get(step, role="operator")).json()["cost"] is not None
    await number_events(database)
    log = (await caller.get("/v1/events", role="partner")).json()["events"]
    story = await entries(caller, "/v1/orders/web-1/timeline", role="partner")
    for told in (log, story):
        assert "shipment.created" in {each["kind"] for each in told}
        assert {each["actor"] for each in told} == {"checkout", "operator"}
        assert all(
            {"allocation_id", "amounts_minor", "replaces"}.isdisjoint(each["payload"])
            for each in told
        )
        assert "1234" not in str(told)
    assert "1234" in str(await entries(caller, "/v1/orders/web-1/timeline"))
