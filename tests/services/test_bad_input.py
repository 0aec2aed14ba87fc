"""Bad input gets its own problem type and a sentence that helps; nothing is lost or half done."""

from typing import Any

import pytest

from services.database import Database
from services.orders.request import LINES_MAX, QUANTITY_MAX
from services.problems import KINDS
from tests.services.caller import Caller, basket, problem_type

MEGABYTE = 1_000_000
ORDER = basket("o-1", ("MUG", 1))


def with_line(**changes: object) -> dict[str, Any]:
    """Return an order whose only line is changed."""
    return ORDER | {"lines": [ORDER["lines"][0] | changes]}


def with_destination(**changes: object) -> dict[str, Any]:
    """Return an order to another place."""
    return ORDER | {"destination": {"country": "US", **changes}}


BAD_ORDERS: dict[str, tuple[dict[str, Any], int, str]] = {
    "unknown sku": (with_line(sku="NO-SUCH"), 422, "unknown-sku"),
    "quantity zero": (with_line(quantity=0), 422, "quantity-not-positive"),
    "quantity negative": (with_line(quantity=-3), 422, "quantity-not-positive"),
    "quantity fractional": (with_line(quantity=1.5), 422, "quantity-not-whole"),
    "quantity enormous": (with_line(quantity=QUANTITY_MAX + 1), 422, "quantity-too-large"),
    "quantity beyond 64 bits": (with_line(quantity=10**30), 422, "quantity-too-large"),
    "90 tons of sofas": (with_line(sku="SOFA", quantity=3_000), 422, "quantity-too-large"),
    "quantity in words": (with_line(quantity="two"), 422, "invalid-field"),
    "duplicate line ids": (ORDER | {"lines": ORDER["lines"] * 2}, 422, "duplicate-line"),
    "unknown field": (ORDER | {"lines_": []}, 422, "unknown-field"),
    "unknown field in a line": (with_line(colour="red"), 422, "unknown-field"),
    "no lines": (ORDER | {"lines": []}, 422, "invalid-field"),
    "1,001 lines": (
        basket("o-1", *((("MUG", 1),) * 1_001)),
        422,
        "too-many-lines",
    ),
    "one line too many": (basket("o-1", *((("MUG", 1),) * (LINES_MAX + 1))), 422, "too-many-lines"),
    "unknown pickup node": (
        with_line(method="pickup", pickup_node="NO-SUCH"),
        422,
        "unknown-node",
    ),
    "pickup without a node": (with_line(method="pickup"), 422, "invalid-field"),
    "unknown method": (with_line(method="teleport"), 422, "invalid-field"),
    "past date": (with_line(requested_by="2001-01-01"), 422, "date-in-past"),
    "no date": (with_line(requested_by="2027-02-30"), 422, "invalid-field"),
    "latitude beyond the pole": (
        with_destination(latitude=91, longitude=0),
        422,
        "impossible-coordinates",
    ),
    "longitude beyond the globe": (
        with_destination(latitude=0, longitude=-181),
        422,
        "impossible-coordinates",
    ),
    "destination in no zone": (with_destination(postal_code="50000"), 422, "unknown-destination"),
    "country unknown": (
        ORDER | {"destination": {"country": "ZZ", "postal_code": "1"}},
        422,
        "unknown-destination",
    ),
    "no destination": (ORDER | {"destination": None}, 422, "unknown-destination"),
    "unknown strategy": (ORDER | {"policy": {"strategy": "random"}}, 422, "unknown-strategy"),
    "hold for a year": (ORDER | {"hold_for": "P365D"}, 422, "hold-too-long"),
    "hold for no time": (ORDER | {"hold_for": "PT0S"}, 422, "invalid-field"),
    "hold in words": (ORDER | {"hold_for": "a while"}, 422, "invalid-field"),
    "NUL in an id": (ORDER | {"order_id": "a\x00b"}, 422, "invalid-field"),
    "empty id": (ORDER | {"order_id": ""}, 422, "invalid-field"),
    "missing order id": ({k: v for k, v in ORDER.items() if k != "order_id"}, 422, "invalid-field"),
}


async def changed_rows(database: Database) -> tuple[int, ...]:
    """Return how much there is of everything an allocation writes."""
    async with database.connect() as connection:
        row = await connection.fetchrow(
            "SELECT (SELECT count(*) FROM allocation), (SELECT count(*) FROM reservation),"
            " (SELECT sum(reserved) FROM stock), (SELECT count(*) FROM decision),"
            " (SELECT count(*) FROM idempotency), (SELECT count(*) FROM event)"
        )
    return tuple(row or ())


@pytest.mark.parametrize("name", BAD_ORDERS)
async def test_a_bad_order_is_refused_by_name_and_changes_nothing(
    caller: Caller, database: Database, name: str
) -> None:
    """A caller who reads only the answer knows what to mend."""
    body, status, kind = BAD_ORDERS[name]
    before = await changed_rows(database)
    response = await caller.post("/v1/allocations", body)
    assert (response.status_code, problem_type(response)) == (status, kind), response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert problem["title"] == KINDS[kind].title
    assert problem["detail"].endswith((".", ".'")), problem["detail"]
    assert await changed_rows(database) == before


BAD_BODIES: dict[str, tuple[bytes, str, int, str]] = {
    "broken JSON": (b'{"order_id": ', "application/json", 400, "malformed-json"),
    "not JSON": (b"order_id=1", "application/json", 400, "malformed-json"),
    "empty": (b"", "application/json", 400, "malformed-json"),
    "an array": (b"[]", "application/json", 422, "invalid-field"),
    "bad UTF-8": (b'{"order_id": "\xff"}', "application/json", 400, "malformed-json"),
    "5 MB": (
        b'{"order_id":"' + b"x" * 5 * MEGABYTE + b'"}',
        "application/json",
        413,
        "body-too-large",
    ),
    "deeply nested": (b'{"lines":' + b"[" * 100_000, "application/json", 400, "malformed-json"),
}


@pytest.mark.parametrize("name", BAD_BODIES)
async def test_a_body_that_cannot_be_read_is_refused_by_name(
    caller: Caller, database: Database, name: str
) -> None:
    """Whatever bytes arrive, the answer is a problem document and never a 500."""
    body, media_type, status, kind = BAD_BODIES[name]
    before = await changed_rows(database)
    response = await caller.client.post(
        "/v1/allocations",
        content=body,
        headers=caller.headers("checkout") | {"Content-Type": media_type},
    )
    assert (response.status_code, problem_type(response)) == (status, kind), response.text
    assert await changed_rows(database) == before


BAD_KEYS: dict[str, tuple[dict[str, str], int, str]] = {
    "no key": ({}, 401, "unauthenticated"),
    "wrong key": ({"Authorization": "Bearer nom_checkout_guess"}, 401, "unauthenticated"),
    "wrong scheme": ({"Authorization": "Basic bm9tOm5vbQ=="}, 401, "unauthenticated"),
}


@pytest.mark.parametrize("name", BAD_KEYS)
async def test_a_call_without_a_live_key_is_refused_before_its_body_is_read(
    caller: Caller, name: str
) -> None:
    """A stranger learns nothing, not even whether the body would have been right."""
    headers, status, kind = BAD_KEYS[name]
    response = await caller.client.post(
        "/v1/allocations", content=b"{", headers=headers | {"Idempotency-Key": "k"}
    )
    assert (response.status_code, problem_type(response)) == (status, kind)
    assert response.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("role", ["partner", "planner", "operator"])
async def test_another_roles_call_is_refused(caller: Caller, role: str) -> None:
    """A key leaks less the less it may do."""
    response = await caller.post("/v1/allocations", ORDER, role=role)
    assert (response.status_code, problem_type(response)) == (403, "forbidden")


async def test_a_write_without_an_idempotency_key_is_refused(caller: Caller) -> None:
    """Without it a repeated request would be a second order."""
    headers = caller.headers("checkout")
    del headers["Idempotency-Key"]
    response = await caller.client.post("/v1/allocations", json=ORDER, headers=headers)
    assert (response.status_code, problem_type(response)) == (400, "idempotency-key-missing")


async def test_another_body_under_the_same_idempotency_key_is_refused(
    caller: Caller, database: Database
) -> None:
    """A key names one request; a second one under it is a defect of the caller."""
    first = await caller.post("/v1/allocations", ORDER, key="same")
    before = await changed_rows(database)
    second = await caller.post("/v1/allocations", basket("o-1", ("MUG", 2)), key="same")
    assert first.status_code == 201
    assert (second.status_code, problem_type(second)) == (409, "idempotency-key-reused")
    assert await changed_rows(database) == before


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/allocations/not-an-id", "/"])
async def test_an_address_with_nothing_behind_it_is_a_problem_document(
    caller: Caller, path: str
) -> None:
    """Also what the framework refuses by itself speaks the API's language."""
    response = await caller.get(path)
    assert (response.status_code, problem_type(response)) == (404, "not-found")


async def test_a_method_an_address_does_not_take_is_a_problem_document(caller: Caller) -> None:
    """So does a wrong method."""
    response = await caller.client.delete("/v1/allocations", headers=caller.headers("checkout"))
    assert (response.status_code, problem_type(response)) == (405, "method-not-allowed")


async def test_the_api_document_is_open_to_anyone(caller: Caller) -> None:
    """It says how to call and nothing about the data; whoever has no key yet reads it first."""
    for path in ("/docs", "/docs/openapi.json", "/docs/assets/stylesheets/swagger-ui.css"):
        response = await caller.client.get(path, follow_redirects=True)
        assert response.status_code == 200, path


async def test_a_value_outside_a_list_is_told_the_list(caller: Caller) -> None:
    """Whoever reads the refusal need not look the values up."""
    of_a_line = await caller.post("/v1/allocations", with_line(method="teleport"))
    of_a_parameter = await caller.get("/v1/exceptions?state=lost", role="planner")

    assert of_a_line.json()["detail"] == (
        "lines[0].method: Invalid enum value 'teleport'. Send one of: any, pickup, ship."
    )
    assert of_a_parameter.json()["detail"] == (
        "state: Invalid enum value 'lost'. Send one of: dismissed, open, resolved."
    )
