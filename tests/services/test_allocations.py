"""A basket becomes a plan with held stock, and what can happen to it then."""

import asyncio
from collections.abc import Sequence
from datetime import date, timedelta
from threading import current_thread
from typing import Any

import msgspec
import pytest

from inventory.audit import audit
from inventory.items import Item, put_items
from routing.plan import Plan
from routing.problem import Problem
from routing.solve import solve
from services.database import Database
from services.orders.decide import LIGHT_LINES_MAX, SHORT_MS, Decision
from services.orders.planned import Decided
from services.orders.queue import Order
from tests.services.caller import Caller, basket, problem_type
from tests.services.place import SUPPLY_ON, stock

DECIDING_S = 0.2
"""How long a lane is made to decide."""


async def available(database: Database, sku: str, node_id: str) -> int:
    """Return what is neither reserved nor unavailable."""
    async with database.connect() as connection:
        units: int = await connection.fetchval(
            "SELECT on_hand - reserved - unavailable FROM stock WHERE sku = $1 AND node_id = $2",
            sku,
            node_id,
        )
    return units


async def assert_audit_is_silent(database: Database) -> None:
    """Fail when the counters, movements and reservations disagree."""
    async with database.connect() as connection:
        assert await audit(connection) == []


async def test_the_cheapest_node_is_chosen_and_its_stock_is_held(
    caller: Caller, database: Database
) -> None:
    """The first thing a checkout asks for: a plan, a date, a price and held stock in one answer."""
    response = await caller.post("/v1/allocations", basket("o-1", ("MUG", 2)))
    assert response.status_code == 201, response.text
    body = response.json()
    assert body["status"] == "held"
    assert body["solver"]["status"] == "optimal"
    assert [each["node"] for each in body["fulfillments"]] == ["WH-EAST"]
    # One near parcel up to 5 kg, one order and two units handled.
    assert body["cost"]["total"] == {"amount_minor": 500 + 100 + 2 * 10, "currency": "USD"}
    assert await available(database, "MUG", "WH-EAST") == 98
    await assert_audit_is_silent(database)


async def test_a_mixed_basket_ships_collects_and_waits_for_supply(
    caller: Caller, database: Database
) -> None:
    """One line shipped, one picked up, one from expected supply: one call answers for all three."""
    order = basket("o-1", ("LAMP", 1), ("MUG", 1), ("SOFA", 3), policy={"backorder": True})
    # Wanted soon, or waiting for the sofas in one parcel would be cheaper.
    order["lines"][0] |= {"requested_by": str(SUPPLY_ON - timedelta(days=7))}
    order["lines"][1] |= {"method": "pickup", "pickup_node": "ST-EAST"}
    response = await caller.post("/v1/allocations", order)
    assert response.status_code == 201, response.text
    by_line: dict[str, list[tuple[str, str, str, int]]] = {}
    for each in response.json()["fulfillments"]:
        for line in each["lines"]:
            taken = (each["method"], each["node"], line["from"], line["quantity"])
            by_line.setdefault(line["line_id"], []).append(taken)
    assert by_line["1"] == [("ship", "WH-EAST", "on_hand", 1)]
    assert by_line["2"] == [("pickup", "ST-EAST", "on_hand", 1)]
    assert sum(quantity for *_, quantity in by_line["3"]) == 3
    assert ("ship", "WH-WEST", "supply", 2) in by_line["3"] or by_line["3"] == [
        ("ship", "WH-WEST", "supply", 3)
    ]
    for each in response.json()["fulfillments"]:
        if any(line["from"] == "supply" for line in each["lines"]):
            assert date.fromisoformat(each["promise"]["earliest"]) > SUPPLY_ON
    await assert_audit_is_silent(database)


async def test_what_the_network_lacks_is_named_as_a_shortfall(
    caller: Caller, database: Database
) -> None:
    """Part of an order is better than nothing, unless the customer says otherwise."""
    response = await caller.post("/v1/allocations", basket("o-1", ("LAMP", 25)))
    assert response.status_code == 201
    assert response.json()["status"] == "partial"
    assert response.json()["shortfalls"] == [{"line_id": "1", "quantity": 5}]
    assert await available(database, "LAMP", "WH-WEST") == 0


async def test_lines_that_go_together_come_in_one_parcel_in_full_or_are_short(
    caller: Caller, database: Database
) -> None:
    """A bed without its mattress is no use; more lamps than one node has leave none."""
    order = basket("o-1", ("LAMP", 10), ("MUG", 1), ("MUG", 2))
    order["lines"][0] |= {"together": "set"}
    order["lines"][1] |= {"together": "set"}
    held = (await caller.post("/v1/allocations", order)).json()
    assert held["shortfalls"] == []
    assert [len(each["lines"]) for each in held["fulfillments"]] == [3]
    assert await available(database, "LAMP", held["fulfillments"][0]["node"]) == 0

    order = basket("o-2", ("LAMP", 11), ("MUG", 1), ("MUG", 2))
    order["lines"][0] |= {"together": "set"}
    order["lines"][1] |= {"together": "set"}
    partial = (await caller.post("/v1/allocations", order)).json()
    assert partial["shortfalls"] == [
        {"line_id": "1", "quantity": 11},
        {"line_id": "2", "quantity": 1},
    ]
    assert [line["line_id"] for each in partial["fulfillments"] for line in each["lines"]] == ["3"]
    await assert_audit_is_silent(database)


async def test_a_kit_holds_its_components_at_one_node_and_is_short_in_kits(
    caller: Caller, database: Database
) -> None:
    """A kit has no stock of its own; what is reserved, picked and sent are its components."""
    parts = [{"sku": "LAMP", "quantity": 1}, {"sku": "MUG", "quantity": 2}]
    kit = {"weight_grams": 2_800, "components": parts}
    assert (await caller.put("/v1/items/SET", kit)).status_code == 200
    assert (await caller.get("/v1/items/SET")).json()["components"] == parts

    held = (await caller.post("/v1/allocations", basket("o-1", ("SET", 12), ("LAMP", 9)))).json()

    assert held["status"] == "partial"
    short = {each["line_id"]: each["quantity"] for each in held["shortfalls"]}
    assert sum(short.values()) == 1
    units: dict[str, int] = {"LAMP": 0, "MUG": 0}
    for each in held["fulfillments"]:
        kits = {line["sku"]: line["quantity"] for line in each["lines"] if line["line_id"] == "1"}
        assert kits.get("MUG", 0) == 2 * kits.get("LAMP", 0)
        for line in each["lines"]:
            units[line["sku"]] += line["quantity"]
    assert units["LAMP"] == 20
    assert await available(database, "LAMP", "WH-EAST") == 0
    assert await available(database, "LAMP", "WH-WEST") == 0
    path = f"/v1/allocations/{held['allocation_id']}"
    assert (await caller.post(f"{path}/confirm")).status_code == 200
    assert (await caller.post(f"{path}/cancel")).status_code == 200
    assert await available(database, "LAMP", "WH-EAST") == 10
    await assert_audit_is_silent(database)


async def test_kits_of_kits_and_of_nothing_are_refused(caller: Caller) -> None:
    """What a kit is made up of has to be something that lies on a shelf."""
    parts = [{"sku": "LAMP", "quantity": 1}]
    assert (
        await caller.put("/v1/items/SET", {"weight_grams": 1, "components": parts})
    ).status_code == 200
    for sku, components, kind in (
        ("BOX", [{"sku": "SET", "quantity": 1}], "invalid-field"),
        ("BOX", [{"sku": "BOX", "quantity": 1}], "unknown-sku"),
        ("SET", [{"sku": "SET", "quantity": 1}], "invalid-field"),
        ("LAMP", [{"sku": "MUG", "quantity": 1}], "invalid-field"),
        ("BOX", [{"sku": "NOTHING", "quantity": 1}], "unknown-sku"),
        ("BOX", [*parts, *parts], "duplicate-entry"),
        ("BOX", [{"sku": "LAMP", "quantity": 0}], "quantity-not-positive"),
    ):
        response = await caller.put(
            f"/v1/items/{sku}", {"weight_grams": 1, "components": components}
        )
        assert problem_type(response) == kind, (sku, components, response.text)


async def test_lines_that_can_never_go_together_are_refused(caller: Caller) -> None:
    """Silently parting them would break the word given to the customer."""
    order = basket("o-1", ("LAMP", 1), ("MUG", 1))
    order["lines"][0] |= {"together": "set"}
    order["lines"][1] |= {"together": "set", "method": "pickup", "pickup_node": "ST-EAST"}
    response = await caller.post("/v1/allocations", order)
    assert response.status_code == 422
    assert problem_type(response) == "invalid-field"
    assert "Lines 1 and 2 go together as set" in response.json()["detail"]


async def test_an_order_that_must_be_complete_holds_nothing_when_it_cannot_be(
    caller: Caller, database: Database
) -> None:
    """Half an order held for somebody who wants all of it is stock nobody can buy."""
    order = basket("o-1", ("LAMP", 25), ("MUG", 1), policy={"ship_complete": True})
    response = await caller.post("/v1/allocations", order)
    assert response.status_code == 409
    assert problem_type(response) == "insufficient-stock"
    assert await available(database, "LAMP", "WH-EAST") == 10
    assert await available(database, "MUG", "WH-EAST") == 100


async def test_a_confirmed_allocation_keeps_its_stock_and_cancel_gives_it_back(
    caller: Caller, database: Database
) -> None:
    """Paid, then cancelled: the unit is sellable again, once."""
    held = (await caller.post("/v1/allocations", basket("o-1", ("MUG", 1)))).json()
    path = f"/v1/allocations/{held['allocation_id']}"
    confirmed = await caller.post(f"{path}/confirm")
    assert confirmed.status_code == 200
    assert confirmed.json()["status"] == "confirmed"
    assert confirmed.json()["expires_at"] is None
    assert (await caller.post(f"{path}/release")).status_code == 409
    for _ in range(2):
        cancelled = await caller.post(f"{path}/cancel")
        assert cancelled.status_code == 200
        assert cancelled.json()["status"] == "cancelled"
    assert await available(database, "MUG", "WH-EAST") == 100
    assert (await caller.get(path)).json()["status"] == "cancelled"
    await assert_audit_is_silent(database)


async def test_an_order_released_may_be_allocated_anew(caller: Caller, database: Database) -> None:
    """A customer who comes back to the basket is not turned away."""
    held = (await caller.post("/v1/allocations", basket("o-1", ("MUG", 1)))).json()
    assert (await caller.post("/v1/allocations", basket("o-1", ("MUG", 2)))).status_code == 409
    released = await caller.post(f"/v1/allocations/{held['allocation_id']}/release")
    assert released.json()["status"] == "released"
    again = await caller.post("/v1/allocations", basket("o-1", ("MUG", 2)))
    assert again.status_code == 201
    assert await available(database, "MUG", "WH-EAST") == 98


async def test_a_quote_holds_nothing(caller: Caller, database: Database) -> None:
    """A product page may ask as often as it likes."""
    body = basket("o-1", ("MUG", 2))
    del body["order_id"]
    response = await caller.post("/v1/quotes", body)
    assert response.status_code == 200, response.text
    assert response.json()["fulfillments"][0]["node"] == "WH-EAST"
    assert await available(database, "MUG", "WH-EAST") == 100


async def test_a_decision_says_why_this_node_and_not_that_one(caller: Caller) -> None:
    """The question every planner asks, answered from the record and not from memory."""
    held = (await caller.post("/v1/allocations", basket("o-1", ("MUG", 1)))).json()
    response = await caller.get(held["decision"], params={"node": "WH-WEST"})
    assert response.status_code == 200, response.text
    assert "WH-WEST" in response.text
    assert "WH-EAST" in response.text


@pytest.mark.parametrize(
    ("lines", "budget_ms", "side_by_side"),
    [
        (LIGHT_LINES_MAX, SHORT_MS + 1, 1),
        (LIGHT_LINES_MAX + 1, SHORT_MS, 1),
        (LIGHT_LINES_MAX + 1, SHORT_MS + 1, 2),
    ],
)
async def test_lanes_decide_one_after_the_other_but_for_what_threads_decide(
    caller: Caller,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    lines: int,
    budget_ms: int,
    side_by_side: int,
) -> None:
    """What is decided on the event loop shares it: a second batch would only delay the first."""
    skus = [f"CUP-{number}" for number in range(lines)]
    async with database.transaction() as connection:
        await put_items(connection, [Item(sku=sku, name=sku, weight_grams=300) for sku in skus])
    await stock(database, dict.fromkeys(((sku, "WH-EAST") for sku in skus), 10))
    allocator = caller.runtime.allocator
    settings = msgspec.structs.replace(allocator.settings, decision_ms=budget_ms)
    monkeypatch.setattr(allocator.queue, "settings", settings)
    submit, in_threads = allocator.decider.threads.submit, 0
    decide, under_way, most = allocator.decide, 0, 0

    def counted(*work: Any) -> Any:
        nonlocal in_threads
        in_threads += 1
        return submit(*work)

    async def watched(orders: Sequence[Order]) -> tuple[list[Decided], list[Order]]:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(DECIDING_S)
        try:
            return await decide(orders)
        finally:
            under_way -= 1

    monkeypatch.setattr(allocator.decider.threads, "submit", counted)
    monkeypatch.setattr(allocator, "decide", watched)
    sent = []
    for number in range(3):
        order = basket(f"o-{number}", *[(sku, 1) for sku in skus])
        sent.append(asyncio.create_task(caller.post("/v1/allocations", order)))
        await asyncio.sleep(DECIDING_S / 10)
    assert [(await each).status_code for each in sent] == [201] * 3
    assert most == side_by_side
    assert (in_threads > 0) == (side_by_side > 1)


@pytest.mark.parametrize(
    ("lines", "policy", "in_threads"),
    [
        ((("MUG", 2),), {}, 0),
        ((("MUG", 2),), {"backorder": True}, 0),
        ((("SOFA", 3),), {"backorder": True}, 1),
    ],
)
async def test_an_order_that_has_to_be_posed_as_a_problem_holds_up_nobody(
    caller: Caller,
    monkeypatch: pytest.MonkeyPatch,
    lines: Sequence[tuple[str, int]],
    policy: dict[str, bool],
    in_threads: int,
) -> None:
    """However few lines it has: the exact model may take as long as the decision may."""
    threads: list[str] = []

    def noted(problem: Problem) -> Plan:
        threads.append(current_thread().name)
        return solve(problem)

    monkeypatch.setattr("routing.plan_basket.solve", noted)
    answer = await caller.post("/v1/allocations", basket("o-1", *lines, policy=policy))
    assert answer.status_code == 201, answer.text
    assert [name.partition("_")[0] for name in threads] == ["solver"] * in_threads


async def test_a_short_order_is_decided_again_only_where_stock_came_in_before_it(
    caller: Caller, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same stock makes the same plan; what came in before an order is never told to be gone."""
    allocator = caller.runtime.allocator
    decide, decided = allocator.decider.decide, 0

    async def counted(*asked: Any) -> Decision:
        nonlocal decided
        decided += 1
        return await decide(*asked)

    async def blind() -> None:
        """Look at nothing, so that only what is read for an order itself is seen."""

    monkeypatch.setattr(allocator.decider, "decide", counted)
    monkeypatch.setattr(allocator.stock, "poll", blind)
    partial = await caller.post("/v1/allocations", basket("o-1", ("LAMP", 90)))
    assert (partial.json()["shortfalls"][0]["quantity"], decided) == (70, 1)

    await stock(database, {("LAMP", "WH-EAST"): 99})
    whole = await caller.post("/v1/allocations", basket("o-2", ("LAMP", 80)))
    assert (whole.json()["shortfalls"], decided) == ([], 3)


async def test_what_came_in_while_an_order_was_decided_is_seen(
    caller: Caller, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look after the order came says nothing of a plan that was made before the look."""
    allocator = caller.runtime.allocator
    decide, decided = allocator.decider.decide, 0

    async def overtaken(*asked: Any) -> Decision:
        nonlocal decided
        decided += 1
        found = await decide(*asked)
        if decided == 1:
            await stock(database, {("LAMP", "WH-EAST"): 99})
            await allocator.stock.poll()
        return found

    monkeypatch.setattr(allocator.decider, "decide", overtaken)
    whole = await caller.post("/v1/allocations", basket("o-1", ("LAMP", 90)))
    assert (whole.json()["shortfalls"], decided) == ([], 2)
