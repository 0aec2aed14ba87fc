"""A planner drafts a strategy, tries it, puts it in force and takes it back; orders follow."""

import asyncio
from typing import Any

from tests.services.caller import Caller, basket, problem_type

SLOW = {"delay_minor": 0, "split_minor": 0}


async def drafted(caller: Caller, name: str, body: dict[str, Any]) -> int:
    """Add a version of a strategy; return its number."""
    added = await caller.post(f"/v1/strategies/{name}/versions", {"strategy": body}, role="planner")
    assert added.status_code == 201, added.text
    assert added.json()["state"] == "draft"
    number: int = added.json()["version"]
    return number


async def activated(caller: Caller, name: str, body: dict[str, Any]) -> int:
    """Put a new version of a strategy in force."""
    number = await drafted(caller, name, body)
    done = await caller.post(f"/v1/strategies/{name}/versions/{number}/activate", role="planner")
    assert done.status_code == 200, done.text
    await caller.catch_up()
    return number


async def ruled(caller: Caller, *rules: dict[str, Any]) -> None:
    """Put rules in force."""
    added = await caller.post("/v1/strategy-rules/versions", {"rules": rules}, role="planner")
    number = added.json()["version"]
    done = await caller.post(f"/v1/strategy-rules/versions/{number}/activate", role="planner")
    assert done.status_code == 200, done.text
    await caller.catch_up()


async def in_force(caller: Caller) -> dict[str, tuple[int, str]]:
    """Return number and author of the version in force of every strategy."""
    listed = (await caller.get("/v1/strategies", role="planner")).json()["versions"]
    return {each["name"]: (each["version"], each["actor"].partition(":")[0]) for each in listed}


async def followed(caller: Caller, order_id: str, **changes: object) -> str:
    """Return the strategy, with its version, that an order's decision record names."""
    held = await caller.post("/v1/allocations", basket(order_id, ("MUG", 1), **changes))
    assert held.status_code == 201, held.text
    decision = await caller.get(f"/v1/allocations/{held.json()['allocation_id']}/decision")
    name: str = decision.json()["policy"]["strategy"]
    return name


async def test_four_strategies_are_there_before_anyone_writes_one(caller: Caller) -> None:
    """A new installation routes sensibly, and its planner sees by what."""
    assert await in_force(caller) == {
        "": (0, "nom"),
        "cheapest": (0, "nom"),
        "fastest": (0, "nom"),
        "fewest_parcels": (0, "nom"),
        "protect-stores": (0, "nom"),
    }
    assert await followed(caller, "order-1") == "cheapest@0"


async def test_nothing_follows_a_draft(caller: Caller) -> None:
    """A planner may put a version down half finished."""
    assert await drafted(caller, "cheapest", SLOW) == 1
    await caller.catch_up()
    assert await followed(caller, "order-1") == "cheapest@0"


async def test_an_active_version_is_followed_and_named_in_the_decision(caller: Caller) -> None:
    """Who asks in a year why an order went this way learns by which prices."""
    await activated(caller, "cheapest", SLOW)
    assert await followed(caller, "order-1") == "cheapest@1"
    assert (await in_force(caller))["cheapest"] == (1, "planner")


async def test_rolling_back_ends_at_what_is_built_in(caller: Caller) -> None:
    """Undo has to work twice in a row, at night, without knowing any numbers."""
    await activated(caller, "cheapest", SLOW)
    await activated(caller, "cheapest", SLOW | {"split_minor": 5})
    versions = []
    for _ in range(2):
        back = await caller.post("/v1/strategies/cheapest/roll-back", role="planner")
        assert back.status_code == 200, back.text
        versions.append(back.json()["version"])
    assert versions == [1, 0]
    await caller.catch_up()
    assert await followed(caller, "order-1") == "cheapest@0"
    refused = await caller.post("/v1/strategies/cheapest/roll-back", role="planner")
    assert (refused.status_code, problem_type(refused)) == (409, "illegal-state")


async def test_a_retired_version_can_be_put_in_force_again(caller: Caller) -> None:
    """Last year's peak strategy is this year's."""
    await activated(caller, "cheapest", SLOW)
    await activated(caller, "cheapest", SLOW | {"split_minor": 5})
    again = await caller.post("/v1/strategies/cheapest/versions/1/activate", role="planner")
    assert again.json()["state"] == "active"
    history = (await caller.get("/v1/strategies/cheapest/versions", role="planner")).json()
    states = [(each["version"], each["state"]) for each in history["versions"]]
    assert states == [(2, "retired"), (1, "active"), (0, "retired")]


async def test_a_strategy_that_would_refuse_fillable_orders_is_not_put_in_force(
    caller: Caller,
) -> None:
    """A missing zero in the price of a shortfall would empty the shop window overnight."""
    number = await drafted(caller, "cheapest", {"shortage_minor": 10})
    verdict = await caller.get(f"/v1/strategies/cheapest/versions/{number}/faults", role="planner")
    assert verdict.json()["valid"] is False
    assert "shortage_minor 10 must exceed" in verdict.json()["faults"][0]
    refused = await caller.post(
        f"/v1/strategies/cheapest/versions/{number}/activate", role="planner"
    )
    assert (refused.status_code, problem_type(refused)) == (422, "invalid-strategy")
    assert (await in_force(caller))["cheapest"] == (0, "nom")


async def test_a_shortfall_outweighs_handling_at_both_ends_where_goods_are_sent_to_stores(
    caller: Caller,
) -> None:
    """Once a warehouse sends to stores, the dearest unit is handled there and at the dearest store."""
    number = await drafted(caller, "cheapest", {"shortage_minor": 10})
    path = f"/v1/strategies/cheapest/versions/{number}/faults"
    before = await caller.get(path, role="planner")
    node = (await caller.get("/v1/nodes/WH-EAST", role="planner")).json()
    node["capabilities"] = ["ship", "ship_to_store"]
    await caller.put("/v1/nodes/WH-EAST", node)

    after = await caller.get(path, role="planner")

    assert ", handling 210, " in before.json()["faults"][0]
    assert ", handling 420, " in after.json()["faults"][0]


async def test_a_price_of_old_feeds_without_an_age_is_a_fault(caller: Caller) -> None:
    """It would never be asked for, and the planner would believe it was."""
    number = await drafted(caller, "cheapest", {"stale_feed_minor": 500})
    verdict = await caller.get(f"/v1/strategies/cheapest/versions/{number}/faults", role="planner")
    assert [each.split()[0] for each in verdict.json()["faults"]] == ["stale_feed_minor"]


async def test_rules_choose_by_channel_destination_and_tag(caller: Caller) -> None:
    """One network serves a marketplace, a shop and its best customers by different prices."""
    await activated(caller, "vip", {"delay_minor": 500})
    await ruled(
        caller,
        {"strategy": "vip", "tags": ["vip"]},
        {"strategy": "fewest_parcels", "channels": ["marketplace"], "countries": ["US"]},
        {"strategy": "fastest", "zones": ["EAST"], "channels": ["app"]},
    )
    assert await followed(caller, "order-1", tags=["vip"], channel="marketplace") == "vip@1"
    assert await followed(caller, "order-2", channel="marketplace") == "fewest_parcels@0"
    assert await followed(caller, "order-3", channel="app") == "fastest@0"
    assert await followed(caller, "order-4", channel="web") == "cheapest@0"
    named = await followed(caller, "order-5", tags=["vip"], policy={"strategy": "fastest"})
    assert named == "fastest@0"


async def test_rules_that_lead_nowhere_are_not_put_in_force(caller: Caller) -> None:
    """A typing error in a name must show before Monday's orders do."""
    rules = [{"strategy": "cheapest"}, {"strategy": "fastst", "zones": ["ATLANTIS"]}]
    added = await caller.post("/v1/strategy-rules/versions", {"rules": rules}, role="planner")
    refused = await caller.post(
        f"/v1/strategy-rules/versions/{added.json()['version']}/activate", role="planner"
    )
    assert problem_type(refused) == "invalid-strategy"
    assert [fault.split()[0] for fault in refused.json()["faults"]] == ["Rule", "There", "Rule"]


async def test_two_planners_at_once_leave_one_version_in_force(caller: Caller) -> None:
    """Whoever comes second replaces the first, and nobody gets an error of the database."""
    numbers = [await drafted(caller, "cheapest", SLOW) for _ in range(6)]
    answers = await asyncio.gather(
        *(
            caller.post(f"/v1/strategies/cheapest/versions/{number}/activate", role="planner")
            for number in numbers
        )
    )
    assert [answer.status_code for answer in answers] == [200] * 6
    history = (await caller.get("/v1/strategies/cheapest/versions", role="planner")).json()
    states = [each["state"] for each in history["versions"]]
    assert states.count("active") == 1


async def test_an_unknown_strategy_is_refused_with_those_there_are(caller: Caller) -> None:
    """The answer says what to send instead."""
    refused = await caller.post(
        "/v1/quotes",
        {
            "lines": [{"line_id": "1", "sku": "MUG", "quantity": 1}],
            "destination": {"country": "US", "postal_code": "10001"},
            "policy": {"strategy": "luckiest"},
        },
    )
    assert (refused.status_code, problem_type(refused)) == (422, "unknown-strategy")
    assert "cheapest, fastest, fewest_parcels" in refused.json()["detail"]
    nobody = await caller.get("/v1/strategies/luckiest/versions", role="planner")
    assert nobody.status_code == 404
