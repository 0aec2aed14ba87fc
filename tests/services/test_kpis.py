"""Key figures are sums of what is recorded, each by the formula beside it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.services.caller import Caller, basket, problem_type

PICKUP = {"line_id": "2", "sku": "MUG", "quantity": 2, "method": "pickup", "pickup_node": "ST-EAST"}


async def figures(caller: Caller, **asked: object) -> dict[str, Any]:
    """Return the figures of today and the days around it."""
    today = datetime.now(UTC).date()
    period = {"since": today - timedelta(days=1), "until": today + timedelta(days=2)}
    answer = await caller.get("/v1/kpis", role="planner", params=period | asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def confirmed(caller: Caller, order_id: str, **changes: object) -> list[dict[str, Any]]:
    """Allocate and confirm an order; return its work."""
    held = await caller.post("/v1/allocations", basket(order_id, ("MUG", 3), **changes))
    assert held.status_code == 201, held.text
    allocation_id = held.json()["allocation_id"]
    firm = await caller.post(f"/v1/allocations/{allocation_id}/confirm")
    assert firm.status_code == 200, firm.text
    order = (await caller.get(f"/v1/orders/{order_id}")).json()
    work: list[dict[str, Any]] = order["fulfillment_orders"]
    return work


async def step(caller: Caller, work: dict[str, Any], name: str, body: object = None) -> None:
    """Take one step of work as the operator."""
    path = f"/v1/fulfillment-orders/{work['fulfillment_order_id']}/{name}"
    done = await caller.post(path, body, role="operator")
    assert done.status_code == 200, done.text


async def test_nothing_is_no_ratio(caller: Caller) -> None:
    """A division by zero is not a fill rate of zero, which would ring somebody's telephone."""
    found = await figures(caller)
    assert found["orders"]["orders"] == 0
    assert found["orders"]["fill_rate"] is None
    assert found["work"] == []


async def test_a_day_is_counted_by_its_formulas(caller: Caller) -> None:
    """Two orders: one in two parts of which the parcel left, one short and cancelled."""
    line = {"line_id": "1", "sku": "LAMP", "quantity": 1}
    work = await confirmed(caller, "order-1", lines=[line, PICKUP])
    parcel = next(each for each in work if each["method"] == "ship")
    collect = next(each for each in work if each["method"] == "pickup")
    await step(caller, parcel, "pick", {})
    await step(caller, parcel, "pack")
    await step(caller, parcel, "ship", {"carrier": "Parcel Co", "tracking": "1Z"})
    await step(caller, collect, "pick", {})
    await step(caller, collect, "ready")
    short = {"line_id": "1", "sku": "SOFA", "quantity": 2}
    await confirmed(caller, "order-2", lines=[short])
    order = (await caller.get("/v1/orders/order-2")).json()
    cancelled = await caller.post(
        f"/v1/allocations/{order['allocations'][0]['allocation_id']}/cancel"
    )
    assert cancelled.status_code == 200, cancelled.text

    found = await figures(caller)
    orders, (work_all,) = found["orders"], found["work"]
    assert (orders["orders"], orders["units"]) == (2, 5)
    assert orders["fill_rate"] == 0.8
    assert orders["split_rate"] == 1.0
    assert orders["cancel_rate"] == 0.5
    assert work_all["fulfillment_orders"] == 3
    assert (work_all["units_shipped"], work_all["units_collected"]) == (1, 0)
    assert work_all["on_time_rate"] == 1.0
    assert work_all["delivered_on_time_rate"] is None
    assert work_all["time_to_ready_p50_s"] >= 0
    assert found["orders_in_jeopardy"] == 0

    by_node = (await figures(caller, by_node="true"))["work"]
    assert [each["node_id"] for each in by_node] == ["ST-EAST", "WH-EAST"]
    assert sum(each["units"] for each in by_node) == work_all["units"]
    assert (await figures(caller, channel="app"))["orders"]["orders"] == 0


async def test_a_period_has_to_be_one(caller: Caller) -> None:
    """A year of sums would be asked for by mistake, on the day of the sale."""
    for since, until in (("2026-05-02", "2026-05-02"), ("2026-01-01", "2026-05-02")):
        refused = await caller.get(
            "/v1/kpis", role="planner", params={"since": since, "until": until}
        )
        assert (refused.status_code, problem_type(refused)) == (400, "invalid-parameter")
