"""The way of an order through the API, as the tests of work take it."""

import json
from typing import Any

import httpx

from inventory.audit import audit as audit_stock
from services.database import Database
from services.fulfillment.audit import audit as audit_work
from tests.services.caller import Caller, basket

STORE = "ST-EAST"


def pickup(order_id: str, *lines: tuple[str, int]) -> dict[str, Any]:
    """Return a basket that is collected at the store, at 12.50 a unit."""
    return {
        "order_id": order_id,
        "lines": [
            {
                "line_id": str(number),
                "sku": sku,
                "quantity": quantity,
                "method": "pickup",
                "pickup_node": STORE,
                "unit_price_minor": 1_250,
            }
            for number, (sku, quantity) in enumerate(lines, 1)
        ],
    }


def shipped(order_id: str, *lines: tuple[str, int]) -> dict[str, Any]:
    """Return a basket that is shipped, at 12.50 a unit."""
    body = basket(order_id, *lines)
    for line in body["lines"]:
        line["unit_price_minor"] = 1_250
    return body


async def confirmed(caller: Caller, body: dict[str, Any]) -> dict[str, Any]:
    """Allocate and confirm a basket; return what the confirm answers."""
    held = await caller.post("/v1/allocations", body)
    assert held.status_code == 201, held.text
    answer = await caller.post(f"/v1/allocations/{held.json()['allocation_id']}/confirm")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def work_id(caller: Caller, body: dict[str, Any]) -> str:
    """Allocate and confirm a basket of one node; return its fulfillment order."""
    (work,) = (await confirmed(caller, body))["fulfillment_orders"]
    found: str = work["fulfillment_order_id"]
    return found


async def step(
    caller: Caller, fulfillment_order_id: str, call: str, body: object = None, **how: Any
) -> httpx.Response:
    """Take a step as the operator, who may act for every node, unless another role is named."""
    needs_body = {"pick", "ship", "hand-over", "deliver", "reject-cancellation"}
    return await caller.post(
        f"/v1/fulfillment-orders/{fulfillment_order_id}/{call}",
        {} if body is None and call in needs_body else body,
        **{"role": "operator", **how},
    )


async def done(
    caller: Caller, fulfillment_order_id: str, call: str, body: object = None, **how: Any
) -> dict[str, Any]:
    """Take a step that succeeds; return how the work stands then."""
    answer = await step(caller, fulfillment_order_id, call, body, **how)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def look(caller: Caller, fulfillment_order_id: str, role: str = "operator") -> dict[str, Any]:
    """Return a fulfillment order as it stands."""
    answer = await caller.get(f"/v1/fulfillment-orders/{fulfillment_order_id}", role=role)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def counters(work: dict[str, Any], part: int = 0) -> dict[str, int]:
    """Return what became of one line's units, without what is zero."""
    names = ("picked", "shipped", "collected", "rejected", "cancelled", "returned")
    line = work["lines"][part]
    return {name: line[name] for name in names if line[name]}


async def stock_of(database: Database, sku: str, node_id: str) -> tuple[int, int]:
    """Return what is on hand and what of it is reserved."""
    async with database.connect() as connection:
        row = await connection.fetchrow(
            "SELECT on_hand, reserved FROM stock WHERE (sku, node_id) = ($1, $2)", sku, node_id
        )
    assert row is not None
    return row["on_hand"], row["reserved"]


async def events_of(database: Database, subject: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the kinds and payloads of the events of an order, the first first."""
    async with database.connect() as connection:
        rows = await connection.fetch(
            "SELECT kind, payload FROM event WHERE subject = $1 ORDER BY ordinal",
            subject,
        )
    return [(row["kind"], json.loads(row["payload"])) for row in rows]


async def kinds_of(database: Database, subject: str) -> list[str]:
    """Return the kinds of the events of an order, the first first."""
    return [kind for kind, _ in await events_of(database, subject)]


async def assert_all_agrees(database: Database) -> None:
    """Fail when stock, reservations, capacity and work disagree."""
    async with database.connect() as connection:
        assert await audit_stock(connection) == []
        assert await audit_work(connection) == []
