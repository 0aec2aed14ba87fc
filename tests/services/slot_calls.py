"""Slots of the small network, and what its tests send about them."""

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.services.caller import Caller, basket
from tests.services.place import TIME_ZONES

EAST = ZoneInfo(TIME_ZONES["EAST"])
WINDOW = {"from": "17:00:00", "until": "20:00:00"}


def in_days(days: int) -> date:
    """Return a date as clocks in the east show it, so many days from today."""
    return datetime.now(EAST).date() + timedelta(days=days)


def delivery(slot_id: str = "evening", **changes: object) -> dict[str, Any]:
    """Return a slot in which `ground` delivers in the east."""
    slot = {
        "slot_id": slot_id,
        "service": "ground",
        "zone_ids": ["EAST"],
        "weekdays": [1, 2, 3, 4, 5, 6, 7],
        "places": 2,
        "price_minor": 299,
        **WINDOW,
    }
    return slot | changes


def collection(slot_id: str = "counter", **changes: object) -> dict[str, Any]:
    """Return a slot in which customers collect at ST-EAST."""
    slot = delivery(slot_id, node_id="ST-EAST", places=1)
    del slot["service"], slot["zone_ids"]
    return slot | changes


async def offer(caller: Caller, *slots: dict[str, Any]) -> None:
    """Send slots and wait until the application knows them."""
    response = await caller.put("/v1/slots", {"slots": slots})
    assert response.status_code == 200, response.text
    await caller.catch_up()


def order(order_id: str, days: int, slot_id: str = "evening", sku: str = "MUG") -> dict[str, Any]:
    """Return an order of one unit that is to come in a slot so many days from today."""
    slot = {"slot_id": slot_id, "on": in_days(days).isoformat()}
    return basket(order_id, (sku, 1), slots=[slot])


async def places(caller: Caller, days: int, slot_id: str = "evening") -> int | None:
    """Return the places that `/v1/promises` says a slot has left; none where it is not offered."""
    await caller.catch_up()
    body = basket("-", ("MUG", 1))
    del body["order_id"]
    response = await caller.post("/v1/promises", body)
    assert response.status_code == 200, response.text
    return next(
        (
            each["places_left"]
            for each in response.json()["slots"]
            if (each["slot_id"], each["on"]) == (slot_id, in_days(days).isoformat())
        ),
        None,
    )
