"""Whatever is asked in whatever order, the records agree after each call and nothing fails."""

import random
from collections import Counter
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.database import Database
from services.fulfillment.tables import LIVE_STATES
from tests.services.caller import Caller
from tests.services.fulfillment.work_calls import (
    STORE,
    assert_all_agrees,
    confirmed,
    look,
    pickup,
    shipped,
    step,
)

STEPS = 80
KINDS = (0, 1, 2, 3, 2, 0)
"""Which of the bodies below each order is: together they leave no lamp."""
CALLS = (
    *("accept", "pick", "pick", "pick", "pack", "ready", "hand-over", "no-show"),
    *("ship", "ship", "deliver", "accept-cancellation", "reject-cancellation"),
)


class Walk:
    """A few orders, and random calls about them."""

    def __init__(self, caller: Caller, chance: random.Random) -> None:
        """Walk as `chance` says."""
        self.caller = caller
        self.chance = chance
        self.allocations: list[str] = []
        self.works: list[str] = []
        self.parcels = [str(uuid4()) for _ in range(3)]
        self.answers: Counter[tuple[str, int]] = Counter()

    async def order(self, number: int) -> None:
        """Confirm one more order, for parcels from two nodes, the counter, or expected supply."""
        bodies = (
            shipped(f"o-{number}", ("LAMP", 4), ("MUG", 2)),
            shipped(f"o-{number}", ("LAMP", 12)),
            pickup(f"o-{number}", ("MUG", 2)),
            shipped(f"o-{number}", ("SOFA", 2)) | {"policy": {"backorder": True}},
        )
        body = await confirmed(self.caller, bodies[KINDS[number]])
        self.allocations.append(body["allocation_id"])
        self.works += [each["fulfillment_order_id"] for each in body["fulfillment_orders"]]

    async def take_step(self) -> httpx.Response:
        """Make one call, sensible or not."""
        draw = self.chance.random()
        if draw < 0.03:
            path = f"/v1/allocations/{self.chance.choice(self.allocations)}/cancel"
            return await self.caller.post(path)
        if draw < 0.07:
            return await self.receive()
        work, call = self.chance.choice(self.works), self.chance.choice(CALLS)
        if self.chance.random() < 0.6:
            allowed = (await look(self.caller, work))["allowed"]
            call = self.chance.choice([each for each in CALLS if each in allowed] or [call])
        return await step(self.caller, work, call, await self.body_of(work, call))

    async def receive(self) -> httpx.Response:
        """Let an expected sofa come in."""
        receipt = {"movement_id": str(uuid4()), "sku": "SOFA", "supply_id": "PO-1", "quantity": 1}
        return await self.caller.post(
            "/v1/supply/receipts", {"receipts": [receipt]}, role="planner"
        )

    async def body_of(self, work: str, call: str) -> dict[str, Any] | None:
        """Return a body for a call, with lines now and then."""
        if call not in {"pick", "ship", "hand-over", "deliver", "reject-cancellation"}:
            return None
        body: dict[str, Any] = {}
        if call in {"pick", "ship", "hand-over"} and self.chance.random() < 0.6:
            units = self.chance.randint(1, 3)
            body["lines"] = [{"line_id": self.chance.choice("112"), "quantity": units}]
        if call == "ship" and self.chance.random() < 0.3:
            body["shipment_id"] = self.chance.choice(self.parcels)
        if call == "hand-over":
            code = (await look(self.caller, work, "checkout"))["pickup_code"]
            body["code"] = code if code and self.chance.random() < 0.8 else "WRONG1"
        return body


@pytest.mark.parametrize("seed", range(3))
async def test_any_walk_through_the_calls_leaves_records_that_agree(
    caller: Caller, database: Database, seed: int
) -> None:
    """People press buttons in orders that no table foresees, and stock must survive them."""
    walk = Walk(caller, random.Random(seed))
    for number in range(len(KINDS)):
        await walk.order(number)
    for _ in range(STEPS):
        answer = await walk.take_step()
        assert answer.status_code in {200, 201, 409, 422}, answer.text
        walk.answers[answer.request.url.path.rpartition("/")[2], answer.status_code] += 1
        await assert_all_agrees(database)
    async with database.connect() as connection:
        below = await connection.fetchval("SELECT count(*) FROM stock WHERE on_hand < 0")
        assert below == 0
    works = [await look(caller, work) for work in walk.works]
    assert any(each["state"] not in LIVE_STATES for each in works)
    assert sum(count for (_, status), count in walk.answers.items() if status == 200) > STEPS / 5
    assert {each["node_id"] for each in works} >= {"WH-EAST", "WH-WEST", STORE}
