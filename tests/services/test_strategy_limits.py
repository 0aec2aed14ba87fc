"""What a strategy leaves out or dislikes, carriers' own times and volume, from the calls to the plan."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from services.orders.translate import dimensional_grams
from tests.services.caller import Caller, basket, problem_type
from tests.services.place import TIME_ZONES
from tests.services.test_strategies import activated, drafted


async def grouped(caller: Caller, node_id: str, *groups: str) -> None:
    """Put a node into groups."""
    node = (await caller.get(f"/v1/nodes/{node_id}", role="planner")).json()
    changed = await caller.put(f"/v1/nodes/{node_id}", node | {"groups": groups})
    assert changed.status_code == 200, changed.text
    assert changed.json()["groups"] == list(groups)
    await caller.catch_up()


async def quoted(caller: Caller, *lines: tuple[str, int], **changes: Any) -> dict[str, Any]:
    """Return a plan for a basket."""
    asked = {key: value for key, value in basket("", *lines).items() if key != "order_id"}
    answer = await caller.post("/v1/quotes", asked | changes)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def nodes(plan: dict[str, Any]) -> list[str]:
    """Return the nodes of a plan."""
    return [each["node"] for each in plan["fulfillments"]]


async def test_a_strategy_keeps_groups_and_distant_nodes_out(caller: Caller) -> None:
    """From the field in the master data to the reason in the decision record."""
    await grouped(caller, "WH-EAST", "bulk", "automated")
    assert nodes(await quoted(caller, ("MUG", 1))) == ["WH-EAST"]
    await activated(caller, "cheapest", {"groups_never": ["bulk"]})
    held = (await caller.post("/v1/allocations", basket("o-1", ("MUG", 1)))).json()
    assert nodes(held) == ["ST-EAST"]
    path = f"/v1/allocations/{held['allocation_id']}/decision"
    told = (await caller.get(path, params={"node": "WH-EAST"})).json()
    assert "belongs to no group of nodes that the strategy wants" in told["why_not"]
    await activated(caller, "cheapest", {"groups_never": ["bulk"], "radius_km": 500})
    assert nodes(await quoted(caller, ("LAMP", 1))) == []
    await activated(caller, "cheapest", {"groups_never": ["bulk"]})
    assert nodes(await quoted(caller, ("LAMP", 1))) == ["WH-WEST"]


async def test_a_rule_that_was_broken_is_told_with_its_price(caller: Caller) -> None:
    """It steers, and nobody is charged for it."""
    await grouped(caller, "WH-EAST", "bulk")
    soft = {"rule": "groups_never", "names": ["bulk"], "minor": 40}
    cost = (await quoted(caller, ("MUG", 1)))["cost"]
    await activated(caller, "cheapest", {"soft": [soft]})
    plan = await quoted(caller, ("MUG", 1))
    price = {"amount_minor": 40, "currency": "USD"}
    none = {"measured": None, "target": None}
    assert plan["broken"] == [{"rule": "groups_never", "node": "WH-EAST", "price": price, **none}]
    assert plan["cost"] == cost
    await activated(caller, "cheapest", {"soft": [soft | {"minor": 400}]})
    plan = await quoted(caller, ("MUG", 1))
    assert (nodes(plan), plan["broken"]) == (["ST-EAST"], [])


async def test_goals_steer_and_are_told(caller: Caller) -> None:
    """A second parcel is worth its price up to a point; a limit leaves units short instead."""
    two = [("LAMP", 11)]
    assert len(nodes(await quoted(caller, *two))) == 2
    goal = {"measure": "shipments", "target": 1, "minor": 700}
    await activated(caller, "cheapest", {"goals": [goal]})
    held = (await caller.post("/v1/allocations", basket("o-1", *two))).json()
    assert [(each["rule"], each["measured"], each["target"]) for each in held["broken"]] == [
        ("shipments", 2, 1)
    ]
    assert held["broken"][0]["price"]["amount_minor"] == 700
    path = f"/v1/allocations/{held['allocation_id']}/decision"
    told = (await caller.get(path)).json()["sentences"]
    assert "It comes to 2 parcels, with a goal of 1 parcel, which counts 7.00 USD." in told
    await activated(caller, "cheapest", {"goals": [goal | {"limit": 1}]})
    plan = await quoted(caller, *two)
    assert (len(nodes(plan)), len(plan["shortfalls"]), plan["broken"]) == (1, 1, [])


async def test_goals_that_contradict_themselves_are_refused(caller: Caller) -> None:
    """A planner hears what is wrong before an order does."""
    goals = [
        {"measure": "co2_grams", "target": 900, "limit": 500, "minor": 5},
        {"measure": "fulfillments", "target": 2},
        {"measure": "group_units", "minor": 1},
    ]
    number = await drafted(caller, "green", {"goals": goals})
    path = f"/v1/strategies/green/versions/{number}/faults"
    verdict = (await caller.get(path, role="planner")).json()
    assert verdict["valid"] is False
    assert [fault.partition(":")[0] for fault in verdict["faults"]] == [
        "Goal 1",
        "Goal 3",
        "Goal 2",
    ]
    assert "has a limit of 500 below its target 900" in verdict["faults"][0]
    dear = {"goals": [{"measure": "shipments", "minor": 2_000_000}]}
    number = await drafted(caller, "green", dear)
    path = f"/v1/strategies/green/versions/{number}/faults"
    verdict = (await caller.get(path, role="planner")).json()
    assert "goals missed 2000000" in verdict["faults"][0]


async def test_an_order_of_little_value_is_not_split(caller: Caller) -> None:
    """No warehouse has eleven lamps; cheap ones come in one parcel, as far as they go."""
    await activated(caller, "cheapest", {"split_value_min_minor": 10_000})
    for price, parcels in ((300, 1), (1_000, 2), (None, 2)):
        asked = basket("", ("LAMP", 11))
        if price is not None:
            asked["lines"][0]["unit_price_minor"] = price
        plan = await quoted(caller, lines=asked["lines"])
        assert len(plan["fulfillments"]) == parcels, price
        assert len(plan["shortfalls"]) == 2 - parcels


async def test_a_same_day_service_is_a_lane_with_a_time_of_its_own(caller: Caller) -> None:
    """Ordered before the courier comes, delivered today; after that, tomorrow."""
    zone = ZoneInfo(TIME_ZONES["EAST"])
    now = datetime.now(UTC).astimezone(zone)
    lane = {
        "zone_id": "EAST",
        "node_id": "WH-EAST",
        "service": "courier",
        "tariff_id": "near",
        "transit_days_min": 0,
        "transit_days_max": 0,
        "co2_grams": 900,
        "co2_grams_per_kg": 50,
    }
    early, late = ((now + timedelta(minutes=m)).time().replace(microsecond=0) for m in (-5, 5))
    for at, days in ((late, 0), (early, 1)):
        put = await caller.put("/v1/lanes", {"lanes": [lane | {"cut_off": at.isoformat()}]})
        assert put.status_code == 200, put.text
        await caller.catch_up()
        await activated(caller, "cheapest", {"services": ["courier"]})
        (sent,) = (await quoted(caller, ("MUG", 1)))["fulfillments"]
        assert sent["service"] == "courier"
        on = (now + timedelta(days=days)).date().isoformat()
        assert (sent["promise"]["latest"], sent["work_on"]) == (on, on)
        due = datetime.fromisoformat(sent["ship_by"]).astimezone(zone)
        assert due.time() == at
    listed = (await caller.get("/v1/lanes", role="planner", params={"zone_id": "EAST"})).json()
    (courier,) = [each for each in listed["lanes"] if each["service"] == "courier"]
    assert (courier["co2_grams"], courier["co2_grams_per_kg"]) == (900, 50)


async def test_emissions_are_priced_where_the_strategy_says_so(caller: Caller) -> None:
    """The price is in the objective and in no bill."""
    listed = (await caller.get("/v1/lanes", role="planner")).json()["lanes"]
    near = [each for each in listed if each["zone_id"] == "EAST" and "EAST" in each["node_id"]]
    dirty = [each | {"co2_grams": 1_000, "co2_grams_per_kg": 1_000} for each in near]
    assert (await caller.put("/v1/lanes", {"lanes": dirty})).status_code == 200
    await caller.catch_up()
    before = await quoted(caller, ("MUG", 1))
    await activated(caller, "cheapest", {"co2_minor_per_kg": 100})
    after = await quoted(caller, ("MUG", 1))
    # A kilogram for the parcel, 400 g for the mug.
    assert after["solver"]["objective_minor"] == before["solver"]["objective_minor"] + 140
    assert after["cost"] == before["cost"]


def test_volume_counts_as_weight_by_the_divisor_of_the_carrier() -> None:
    """A carton of 60 by 40 by 40 cm counts for 19.2 kg at 5000, and without a divisor for nothing."""
    assert dimensional_grams(600 * 400 * 400, 5_000) == 19_200
    assert dimensional_grams(600 * 400 * 400 + 1, 5_000) == 19_201
    assert dimensional_grams(600 * 400 * 400, 0) == 0


async def test_a_bulky_item_is_priced_by_its_volume(caller: Caller) -> None:
    """The view of the stock knows sizes, so no order reads them."""
    item = {"weight_grams": 500, "length_mm": 600, "width_mm": 400, "height_mm": 400}
    assert (await caller.put("/v1/items/MUG", item)).status_code == 200
    await caller.catch_up()
    decider = caller.runtime.allocator.decider
    facts = decider.view.item("MUG")
    assert facts is not None
    assert facts.volume_mm3 == 96_000_000
    decider.settings = msgspec.structs.replace(decider.settings, dimensional_divisor=5_000)
    (sent,) = (await quoted(caller, ("MUG", 1)))["fulfillments"]
    assert sent["cost"]["parcels"]["amount_minor"] == 1_500
    assert sent["weight_grams"] == 500


async def test_a_strategy_with_a_wrong_rule_is_refused(caller: Caller) -> None:
    """A price below zero would pay for breaking it."""
    for soft in ({"rule": "groups_never", "minor": -1}, {"rule": "phase_of_moon", "minor": 1}):
        refused = await caller.post(
            "/v1/strategies/odd/versions", {"strategy": {"soft": [soft]}}, role="planner"
        )
        assert refused.status_code in (400, 422), refused.text
        assert problem_type(refused) in ("invalid-field", "invalid-body", "unknown-field")
