"""A past for prices to be learned from, made through the API."""

from itertools import count
from typing import Any
from uuid import uuid4

from services.database import Database
from services.prices.records import Version
from services.prices.refresh import refresh
from services.settings import Settings
from tests.services.caller import Caller
from tests.services.fulfillment.rejection_calls import reject
from tests.services.fulfillment.work_calls import done, work_id

orders = count(1)


async def sold(caller: Caller, node_id: str, sku: str, units: int) -> None:
    """Let a till say that it sold so many just now."""
    await moved(caller, node_id, sku, "sale", units)


async def moved(caller: Caller, node_id: str, sku: str, kind: str, units: int) -> None:
    """Record one movement of just now."""
    answer = await caller.post(
        "/v1/stock/movements",
        {
            "movements": [
                {
                    "movement_id": str(uuid4()),
                    "node_id": node_id,
                    "sku": sku,
                    "kind": kind,
                    "quantity": units,
                }
            ]
        },
        role="planner",
    )
    assert answer.status_code == 201, answer.text


async def asked(
    caller: Caller, body: dict[str, Any], *, refused: bool, reason: str = "other"
) -> str:
    """Give a node an order that it takes on or refuses; return the work."""
    work = await work_id(caller, body | {"order_id": f"past-{next(orders)}"})
    if refused:
        await reject(caller, work, reason)
    else:
        await done(caller, work, "accept")
    return work


async def learn(caller: Caller, database: Database, settings: Settings) -> Version:
    """Learn prices now, and let the application take them over."""
    version = await refresh(settings, database)
    await caller.catch_up()
    return version
