"""Transfers as stores ask for them: who may, what everybody sees, and what it does to promises."""

from typing import Any

import pytest

from inventory.buffers import Buffer, put_buffers
from services import keys
from services.database import Database
from tests.services.caller import Caller, problem_type
from tests.services.test_allocations import assert_audit_is_silent, available
from tests.services.test_stock import record


@pytest.fixture
async def west(caller: Caller, database: Database) -> Caller:
    """Return the store ST-WEST."""
    key = await keys.create(database, "store", ("ST-WEST",), None)
    return Caller(caller.client, {"store": key}, caller.runtime)


def mugs(quantity: int = 2, **changes: object) -> dict[str, Any]:
    """Return a transfer of mugs from ST-WEST to ST-EAST."""
    given: dict[str, Any] = {
        "from_node_id": "ST-WEST",
        "to_node_id": "ST-EAST",
        "lines": [{"sku": "MUG", "quantity": quantity}],
    }
    return given | changes


async def asked(caller: Caller, **changes: Any) -> str:
    """Open a transfer and return where it is found."""
    response = await caller.post("/v1/transfers", mugs(**changes), role="store")
    assert response.status_code == 201, response.text
    return f"/v1/transfers/{response.json()['transfer_id']}"


async def test_a_store_gets_goods_from_another_in_two_legs(
    caller: Caller, west: Caller, database: Database
) -> None:
    """Asked for here, sent there, in transit between, and then here."""
    path = await asked(caller)
    assert await available(database, "MUG", "ST-WEST") == 3
    listed = (await west.get("/v1/nodes/ST-WEST/transfers", role="store")).json()
    assert [each["state"] for each in listed["transfers"]] == ["open"]
    sent = await west.post(f"{path}/ship", {}, role="store")
    assert (sent.status_code, sent.json()["state"]) == (200, "shipped"), sent.text
    assert sent.json()["lines"][0]["in_transit"] == 2
    supply = (await caller.get("/v1/supply", role="store", params={"sku": "MUG"})).json()["supply"]
    assert [(each["kind"], each["node_id"], each["quantity"]) for each in supply] == [
        ("transfer", "ST-EAST", 2)
    ]
    part = {"lines": [{"sku": "MUG", "quantity": 1}]}
    assert (await caller.post(f"{path}/receive", part, role="store")).json()["state"] == "shipped"
    done = await caller.post(f"{path}/receive", {}, role="store")
    assert (done.status_code, done.json()["state"]) == (200, "received"), done.text
    assert (await record(caller))["on_hand"] == 7
    await assert_audit_is_silent(database)
    async with database.connect() as connection:
        kinds = await connection.fetch(
            "SELECT kind, payload ->> 'node_id' FROM event ORDER BY ordinal"
        )
    assert [tuple(row) for row in kinds] == [
        ("transfer.opened", "ST-WEST"),
        ("transfer.shipped", "ST-EAST"),
        ("transfer.received", "ST-EAST"),
        ("transfer.received", "ST-EAST"),
    ]


async def test_each_end_does_its_own_part(caller: Caller, west: Caller) -> None:
    """Nobody ships for another store, or says that another store has got something."""
    path = await asked(caller)
    refused = await caller.post(f"{path}/ship", {}, role="store")
    assert (refused.status_code, problem_type(refused)) == (403, "forbidden")
    assert (await west.post(f"{path}/ship", {}, role="store")).status_code == 200
    refused = await west.post(f"{path}/receive", {}, role="store")
    assert (refused.status_code, problem_type(refused)) == (403, "forbidden")
    assert (await caller.post(f"{path}/receive", {}, role="store")).status_code == 200


async def test_a_transfer_between_others_looks_like_none(
    caller: Caller, west: Caller, database: Database
) -> None:
    """What belongs to somebody else looks exactly like what does not exist."""
    given = mugs() | {"from_node_id": "WH-EAST", "to_node_id": "WH-WEST"}
    opened = await west.post("/v1/transfers", given, role="store")
    assert (opened.status_code, problem_type(opened)) == (404, "not-found")
    made = await caller.post("/v1/transfers", given, role="planner")
    assert made.status_code == 201
    path = f"/v1/transfers/{made.json()['transfer_id']}"
    assert (await west.get(path, role="store")).status_code == 404
    for call in ("/ship", "/receive"):
        assert (await west.post(path + call, {}, role="store")).status_code == 404
    assert (await west.post(f"{path}/cancel", role="store")).status_code == 404
    nodes = await west.get("/v1/nodes/WH-EAST/transfers", role="store")
    assert nodes.status_code == 404


async def test_the_giving_nodes_buffer_counts_for_others_and_not_for_itself(
    caller: Caller, west: Caller, database: Database
) -> None:
    """A store may empty its own shelf; nobody else may."""
    async with database.transaction() as connection:
        await put_buffers(
            connection, [Buffer(sku="MUG", node_id="ST-WEST", channel="*", quantity=4)]
        )
    refused = await caller.post("/v1/transfers", mugs(2), role="store")
    assert (refused.status_code, problem_type(refused)) == (409, "insufficient-stock")
    assert refused.json()["available"] == 1
    assert (await west.post("/v1/transfers", mugs(2), role="store")).status_code == 201


async def test_a_cancelled_transfer_gives_its_goods_back_and_a_shipped_one_is_not_cancelled(
    caller: Caller, west: Caller, database: Database
) -> None:
    """What is on the road cannot be called back by a click."""
    path = await asked(caller)
    for _ in range(2):
        ended = await caller.post(f"{path}/cancel", role="store")
        assert (ended.status_code, ended.json()["state"]) == (200, "cancelled")
    assert await available(database, "MUG", "ST-WEST") == 5
    path = await asked(caller)
    assert (await west.post(f"{path}/ship", {}, role="store")).status_code == 200
    refused = await caller.post(f"{path}/cancel", role="store")
    assert (refused.status_code, problem_type(refused)) == (409, "illegal-state")
    assert refused.json()["allowed"] == ["receive"]
    await assert_audit_is_silent(database)


async def test_more_than_is_in_transit_is_refused_with_the_figures(
    caller: Caller, west: Caller
) -> None:
    """The clerk needs to see which of the two figures is wrong."""
    path = await asked(caller)
    short = {"lines": [{"sku": "MUG", "quantity": 1}]}
    assert (await west.post(f"{path}/ship", short, role="store")).status_code == 200
    more = {"lines": [{"sku": "MUG", "quantity": 2}]}
    refused = await caller.post(f"{path}/receive", more, role="store")
    assert (refused.status_code, problem_type(refused)) == (409, "illegal-state")
    assert "1 units of MUG are in transit" in refused.json()["detail"]


async def test_what_cannot_be_moved_is_refused(caller: Caller) -> None:
    """Unknown goods, unknown places, and a van that goes in a circle."""
    for changes, kind in (
        ({"lines": [{"sku": "NONE", "quantity": 1}]}, "unknown-sku"),
        ({"from_node_id": "NONE"}, "unknown-node"),
        ({"from_node_id": "ST-EAST"}, "invalid-field"),
        ({"expected_on": "2020-01-01"}, "invalid-field"),
    ):
        refused = await caller.post("/v1/transfers", mugs() | changes, role="store")
        assert problem_type(refused) == kind, refused.text
