"""Whom an order is for: kept in one place, and changed only while that can still help."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from services.database import Database
from services.events.log import read_after
from services.events.sequencer import number_events
from services.fulfillment.records import FulfillmentOrder, Work, insert_works
from services.ids import new_id
from services.people.contacts import Contact, read_contact
from tests.services.caller import Caller, basket, problem_type


def contact(**changes: object) -> dict[str, Any]:
    """Return somebody in New York, with changes."""
    return {
        "customer_id": "c-1",
        "name": "Ada Example",
        "address_lines": ["1 Sample Street", "Floor 3"],
        "city": "New York",
        "postal_code": "10001",
        "country": "US",
        "phone": "+1 555 0100",
    } | changes


async def put(
    caller: Caller, order_id: str, body: object, role: str = "checkout"
) -> httpx.Response:
    """Say whom an order is for."""
    return await caller.put(f"/v1/orders/{order_id}/contact", body, role=role)


async def allocated(caller: Caller, order_id: str, **changes: object) -> str:
    """Allocate and confirm an order of one mug to New York; return the allocation's id."""
    held = await caller.post("/v1/allocations", basket(order_id, ("MUG", 1), **changes))
    assert held.status_code == 201, held.text
    allocation_id: str = held.json()["allocation_id"]
    confirmed = await caller.post(f"/v1/allocations/{allocation_id}/confirm")
    assert confirmed.status_code == 200, confirmed.text
    return allocation_id


def parcel(order_id: str, state: str) -> FulfillmentOrder:
    """Return the work of WH-EAST on a parcel of an order."""
    now = datetime.now(UTC)
    return FulfillmentOrder(
        order_id=order_id,
        fulfillment_order_id=new_id(),
        allocation_id=new_id(),
        node_id="WH-EAST",
        method="ship",
        service="ground",
        state=state,
        work_on=now.date(),
        ship_by=now,
        promise_earliest=now.date(),
        promise_latest=now.date(),
        weight_grams=400,
        cost="{}",
        release_at=now,
        actor="test",
        created_at=now,
        changed_at=now,
    )


async def events(database: Database) -> list[dict[str, object]]:
    """Return the payloads of all changes of contacts."""
    await number_events(database)
    async with database.connect() as connection:
        span = await read_after(connection, 0, ["order.contact_changed"], 100)
    return [each.payload for each in span.events]


async def test_a_contact_is_kept_before_the_order_is_allocated(
    caller: Caller, database: Database
) -> None:
    """A checkout asks for the address first."""
    answer = await put(caller, "web-1", contact())
    assert (answer.status_code, answer.json()["version"]) == (200, 0)
    async with database.connect() as connection:
        kept = await read_contact(connection, "web-1")
        nobody = await read_contact(connection, "web-2")
    assert kept == Contact(**{**contact(), "address_lines": ("1 Sample Street", "Floor 3")})
    assert nobody is None


async def test_the_same_contact_again_changes_nothing(caller: Caller, database: Database) -> None:
    """Whoever got no answer sends it again."""
    await put(caller, "web-1", contact())
    again = await put(caller, "web-1", contact())
    assert again.json() == {"order_id": "web-1", "version": 0, "changed": []}
    other = await put(caller, "web-1", contact(phone=""))
    assert other.json() == {"order_id": "web-1", "version": 1, "changed": ["phone"]}
    told = await events(database)
    assert [each["changed"] for each in told][1:] == [["phone"]]
    assert "Ada" not in str(told)


async def test_an_address_in_the_same_zone_is_taken_after_the_confirm(
    caller: Caller, database: Database
) -> None:
    """The plan ships there just as well."""
    await put(caller, "web-1", contact())
    await allocated(caller, "web-1")
    moved = await put(caller, "web-1", contact(postal_code="12000", city="Albany"))
    assert moved.status_code == 200
    async with database.connect() as connection:
        kept = await read_contact(connection, "web-1")
    assert kept is not None
    assert kept.city == "Albany"


async def test_an_address_in_another_zone_is_refused_with_what_is_possible(
    caller: Caller, database: Database
) -> None:
    """The promise was worked out for another part of the country."""
    await put(caller, "web-1", contact())
    await allocated(caller, "web-1")
    west = await put(caller, "web-1", contact(postal_code="90001", city="Los Angeles"))
    assert (west.status_code, problem_type(west)) == (409, "address-elsewhere")
    assert (west.json()["planned_zone_id"], west.json()["zone_id"]) == ("EAST", "WEST")
    assert west.json()["possible"]
    nowhere = await put(caller, "web-1", contact(postal_code="50000"))
    assert (nowhere.status_code, problem_type(nowhere)) == (422, "unknown-destination")
    async with database.connect() as connection:
        kept = await read_contact(connection, "web-1")
    assert kept is not None
    assert kept.city == "New York"


@pytest.mark.parametrize("state", ["packed", "shipped"])
async def test_a_label_that_is_printed_stays(
    caller: Caller, database: Database, state: str
) -> None:
    """The parcel would go to the old address whatever the record said."""
    await put(caller, "web-1", contact())
    await allocated(caller, "web-1")
    async with database.transaction() as connection:
        await insert_works(connection, [Work(parcel("web-1", state), ())])
    late = await put(caller, "web-1", contact(address_lines=["2 Sample Street"]))
    assert (late.status_code, problem_type(late)) == (409, "address-fixed")
    phone = await put(caller, "web-1", contact(phone="+1 555 0199", customer_id="c-2"))
    assert phone.json()["changed"] == ["customer_id", "phone"]


async def test_a_store_speaks_for_its_own_orders_only(caller: Caller) -> None:
    """Somebody else's order looks like one that does not exist."""
    await allocated(caller, "web-1")
    other = await put(caller, "web-1", contact(), role="store")
    missing = await put(caller, "web-2", contact(), role="store")
    assert (other.status_code, missing.status_code) == (404, 404)
    assert other.text.replace("web-1", "web-2") == missing.text
    line = {"line_id": "1", "sku": "MUG", "quantity": 1, "method": "pickup"}
    await allocated(caller, "web-3", lines=[{**line, "pickup_node": "ST-EAST"}])
    assert (await put(caller, "web-3", contact(), role="store")).status_code == 200


async def test_what_cannot_be_an_address_is_refused(caller: Caller) -> None:
    """A parcel without a street comes back."""
    for bad in (
        contact(address_lines=[]),
        contact(name=""),
        contact(country="USA"),
        contact(name="a\x00b"),
        contact(nick="x"),
    ):
        answer = await put(caller, "web-1", bad)
        assert answer.status_code == 422, answer.text
        assert "Sample Street" not in answer.text
