"""Orders that are brought so far that something of them can come back or change."""

import json
from typing import Any
from uuid import UUID, uuid4

from inventory.audit import audit
from services.database import Database
from services.fulfillment.audit import audit as audit_work
from services.returns.audit import audit as audit_returns
from tests.services.caller import Caller, basket

PRICE_MINOR = 1_500


async def confirmed(
    caller: Caller, order_id: str, *lines: tuple[str, int], **changes: object
) -> dict[str, Any]:
    """Allocate and confirm an order to New York; return the allocation with its work."""
    order = basket(order_id, *lines, **changes)
    for line in order["lines"]:
        line.setdefault("unit_price_minor", PRICE_MINOR)
    held = await caller.post("/v1/allocations", order)
    assert held.status_code == 201, held.text
    path = f"/v1/allocations/{held.json()['allocation_id']}/confirm"
    done = await caller.post(path)
    assert done.status_code == 200, done.text
    found: dict[str, Any] = done.json()
    return found


async def step(caller: Caller, work_id: str, call: str, body: object = None) -> dict[str, Any]:
    """Take a step of a fulfillment order."""
    path = f"/v1/fulfillment-orders/{work_id}/{call}"
    done = await caller.post(path, body, role="operator")
    assert done.status_code == 200, done.text
    found: dict[str, Any] = done.json()
    return found


async def sent(
    caller: Caller, order_id: str, *lines: tuple[str, int], **changes: object
) -> dict[str, Any]:
    """Bring an order so far that every parcel of it has left."""
    found = await confirmed(caller, order_id, *lines, **changes)
    for each in found["fulfillment_orders"]:
        await ship(caller, each["fulfillment_order_id"])
    return found


async def ship(caller: Caller, work_id: str) -> None:
    """Pick and ship all that is left of a fulfillment order."""
    await step(caller, work_id, "pick", {})
    await step(caller, work_id, "ship", {"shipment_id": str(uuid4())})


async def events(database: Database, subject: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the kinds and payloads of a subject's events, in the order they were written."""
    async with database.connect() as connection:
        rows = await connection.fetch(
            "SELECT kind, payload FROM event WHERE subject = $1 ORDER BY ordinal",
            subject,
        )
    return [(row["kind"], json.loads(row["payload"])) for row in rows]


async def returned(database: Database, order_id: str) -> dict[str, int]:
    """Return the units of each sku of an order that are counted as returned."""
    async with database.connect() as connection:
        rows = await connection.fetch(
            "SELECT sku, sum(returned)::int AS units FROM fulfillment_line WHERE order_id = $1"
            " GROUP BY sku",
            order_id,
        )
    return {row["sku"]: row["units"] for row in rows}


async def live(database: Database, allocation_id: str) -> dict[tuple[str, str], int]:
    """Return the units an allocation holds, by sku and node."""
    async with database.connect() as connection:
        rows = await connection.fetch(
            "SELECT sku, node_id, sum(quantity)::int AS units FROM reservation"
            " WHERE holder_id = $1 AND state IN ('held', 'confirmed') GROUP BY sku, node_id",
            UUID(allocation_id),
        )
    return {(row["sku"], row["node_id"]): row["units"] for row in rows}


async def assert_all_agrees(database: Database) -> None:
    """Fail when stock, work or returns disagree with what they stand for."""
    async with database.connect() as connection:
        found = [
            *await audit(connection),
            *await audit_work(connection),
            *await audit_returns(connection),
        ]
    assert [each.what for each in found] == []
