"""One of everything that has an id: the caller's own, somebody else's, and one that is missing."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import httpx

from services import keys
from services.database import Database
from tests.services.caller import Caller, basket
from tests.services.people.test_contacts import contact
from tests.services.place import LOS_ANGELES, stock

Ids = Mapping[str, str]


def good(answer: httpx.Response) -> dict[str, Any]:
    """Return the body of an answer that must be good."""
    assert answer.status_code < 300, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def confirmed(caller: Caller, order_id: str, **changes: Any) -> dict[str, str]:
    """Make an order of two mugs that is somebody's; return the ids of what it comes to."""
    held = good(await caller.post("/v1/allocations", basket(order_id, ("MUG", 2), **changes)))
    path = f"/v1/allocations/{held['allocation_id']}/confirm"
    work = good(await caller.post(path))["fulfillment_orders"]
    postal_code = (changes.get("destination") or {}).get("postal_code", "10001")
    whom = contact(postal_code=postal_code)
    good(await caller.put(f"/v1/orders/{order_id}/contact", whom, role="checkout"))
    body = {"lines": [{"line_id": "1", "quantity": 1}]}
    amendment = good(await caller.post(f"/v1/orders/{order_id}/amend", body))
    return {
        "order_id": order_id,
        "allocation_id": held["allocation_id"],
        "fulfillment_order_id": work[0]["fulfillment_order_id"],
        "amendment_id": amendment["amendment_id"],
    }


async def of_node(caller: Caller, role: str, node_id: str, other: str) -> dict[str, str]:
    """Make what a store has: units held, a count, something expected, a transfer."""
    units = {"node_id": node_id, "sku": "MUG", "quantity": 1}
    held = good(await caller.post("/v1/reservations", units, role=role))
    counted = good(await caller.post(f"/v1/nodes/{node_id}/counts", {"skus": ["LAMP"]}, role=role))
    supply_id = f"PO-{node_id}"
    supply = {**units, "supply_id": supply_id, "expected_on": "2099-01-01"}
    supply["expected_on"] = await soon(caller)
    good(await caller.post("/v1/supply", {"supply": [supply]}, role=role))
    moving = {
        "from_node_id": node_id,
        "to_node_id": other,
        "lines": [{"sku": "MUG", "quantity": 1}],
    }
    transfer = good(await caller.post("/v1/transfers", moving, role=role))
    return {
        "node_id": node_id,
        "from_node_id": node_id,
        "reservation_id": held["reservation_id"],
        "count_id": counted["count_id"],
        "supply_id": supply_id,
        "transfer_id": transfer["transfer_id"],
    }


async def soon(caller: Caller) -> str:
    """Return a date on which something may be expected."""
    seen = good(await caller.get("/v1/supply", role="planner", params={"sku": "SOFA"}))
    found: str = seen["supply"][0]["expected_on"]
    return found


async def ship(caller: Caller, order: Ids) -> None:
    """Send an order of one node on its way."""
    path = f"/v1/fulfillment-orders/{order['fulfillment_order_id']}"
    good(await caller.post(f"{path}/pick", {}, role="operator"))
    good(await caller.post(f"{path}/pack", role="operator"))
    good(await caller.post(f"{path}/ship", {"carrier": "x", "tracking": "1"}, role="operator"))


async def returned(caller: Caller, order: Ids, node_id: str) -> str:
    """Have one unit of an order come back to a node; return the return's id."""
    body = {
        "order_id": order["order_id"],
        "node_id": node_id,
        "lines": [{"line_id": "1", "quantity": 1, "reason": "other"}],
    }
    found: str = good(await caller.post("/v1/returns", body))["return_id"]
    return found


async def own_order(caller: Caller, role: str, order_id: str) -> dict[str, str]:
    """Make an order in which a store or a partner takes part; return the ids of what it comes to."""
    if role == "partner":
        return await confirmed(caller, order_id, destination=LOS_ANGELES)
    line = {"line_id": "1", "sku": "MUG", "quantity": 2, "method": "pickup"}
    return await confirmed(
        caller, order_id, lines=[{**line, "pickup_node": "ST-EAST"}], destination=None
    )


async def build(caller: Caller, database: Database) -> tuple[dict[str, dict[str, str]], Ids, Ids]:
    """Return the ids that a store and a partner own, those of others, and those of nothing."""
    async with database.transaction() as connection:
        await connection.execute("UPDATE node SET partner_id = 'carrier' WHERE node_id = 'WH-WEST'")
    plenty = {("MUG", node_id): 1_000 for node_id in ("WH-EAST", "WH-WEST", "ST-EAST", "ST-WEST")}
    await stock(database, plenty)
    caller.keys["west"] = await keys.create(database, "store", ("ST-WEST",), None)
    caller.keys["rival"] = await keys.create(database, "partner", (), "rival")
    caller.runtime.keyring.seen.clear()
    await caller.catch_up()
    hook = {"url": "https://hooks.example.com/nom", "kinds": ["*"]}
    own = {
        "store": await own_order(caller, "store", "o-mine")
        | await of_node(caller, "store", "ST-EAST", "WH-EAST")
        | {"customer_id": "c-1"},
        "partner": await own_order(caller, "partner", "o-ours") | {"node_id": "WH-WEST"},
    }
    own["partner"]["endpoint_id"] = good(
        await caller.post("/v1/webhook-endpoints", hook, role="partner")
    )["endpoint"]["endpoint_id"]
    others = await confirmed(caller, "o-else") | await of_node(caller, "west", "ST-WEST", "WH-WEST")
    others["customer_id"] = "c-else"
    good(
        await caller.put(
            "/v1/orders/o-else/contact", contact(customer_id="c-else"), role="checkout"
        )
    )
    others["endpoint_id"] = good(await caller.post("/v1/webhook-endpoints", hook, role="rival"))[
        "endpoint"
    ]["endpoint_id"]
    extra = await confirmed(caller, "o-back")
    await ship(caller, extra)
    others["return_id"] = await returned(caller, extra, "ST-WEST")
    own["store"]["return_id"] = await returned(caller, extra, "ST-EAST")
    missing = {name: unlike(value) for name, value in others.items()}
    return {role: dict(ids) for role, ids in own.items()}, others, missing


def unlike(value: str) -> str:
    """Return an id of the same form and length that nothing has."""
    return str(uuid4()) if len(value) == 36 else value[::-1]
