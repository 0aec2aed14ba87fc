"""Orders go elsewhere for what was learned: last units, refusals, nodes with much to do."""

import re
import zlib
from datetime import date
from typing import Any

import msgspec

from routing.explain import replay
from routing.record import digest_of, expand
from services.database import Database
from services.prices import records
from services.settings import Settings
from tests.services.caller import Caller, basket
from tests.services.place import stock
from tests.services.prices.history import asked, learn, sold

PROTECTED = {"policy": {"strategy": "protect-stores"}}
LEAN = {"weight_grams": 400, "unit_margin_minor": 4_000}


async def store_is_nearest(caller: Caller, database: Database) -> None:
    """Leave MUG at the store of the east, where a parcel is cheap, and in the west."""
    await stock(database, {("MUG", "WH-EAST"): 0, ("MUG", "ST-EAST"): 1, ("MUG", "ST-WEST"): 0})
    put = await caller.put("/v1/items/MUG", LEAN)
    assert put.status_code == 200, put.text
    await caller.catch_up()


async def quoted(caller: Caller, *lines: tuple[str, int], **changes: Any) -> dict[str, Any]:
    """Return the quote of a basket to New York."""
    body = basket("x", *lines, **changes)
    del body["order_id"]
    answer = await caller.post("/v1/quotes", body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def nodes(caller: Caller, *lines: tuple[str, int], **changes: Any) -> list[str]:
    """Return the nodes that would fulfill a basket."""
    return [each["node"] for each in (await quoted(caller, *lines, **changes))["fulfillments"]]


async def decided(caller: Caller, order_id: str, **changes: Any) -> tuple[dict[str, Any], bytes]:
    """Allocate one MUG; return its decision as it is told and as it is kept."""
    held = await caller.post("/v1/allocations", basket(order_id, ("MUG", 1), **changes))
    assert held.status_code == 201, held.text
    allocation_id = held.json()["allocation_id"]
    path = f"/v1/allocations/{allocation_id}/decision"
    told = await caller.get(path)
    assert told.status_code == 200, told.text
    await caller.catch_up()
    async with caller.runtime.database.connect() as connection:
        record = await connection.fetchval(
            "SELECT record FROM decision WHERE allocation_id = $1", allocation_id
        )
    return told.json() | {"path": path}, record


async def test_the_last_unit_of_a_store_is_kept_for_its_walk_ins(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """It is worth 40.00 to one of them, and the parcel from afar costs 7.00 more."""
    await store_is_nearest(caller, database)
    await stock(database, {("MUG", "ST-EAST"): 31})
    await sold(caller, "ST-EAST", "MUG", 30)
    await learn(caller, database, settings)
    assert await nodes(caller, ("MUG", 1)) == ["ST-EAST"]
    assert await nodes(caller, ("MUG", 1), **PROTECTED) == ["WH-WEST"]


async def test_what_a_store_has_plenty_of_is_not_protected(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """Protection is a price of the unit that would be missed, not of stores."""
    await store_is_nearest(caller, database)
    await stock(database, {("MUG", "ST-EAST"): 1_030})
    await sold(caller, "ST-EAST", "MUG", 30)
    await learn(caller, database, settings)
    assert await nodes(caller, ("MUG", 1), **PROTECTED) == ["ST-EAST"]
    await stock(database, {("MUG", "ST-EAST"): 1})
    await caller.catch_up()
    assert await nodes(caller, ("MUG", 1), **PROTECTED) == ["WH-WEST"]


async def test_a_unit_that_nobody_else_has_is_given(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """A price never makes leaving the customer without look cheap."""
    await stock(
        database,
        {("MUG", node): 0 for node in ("WH-EAST", "WH-WEST", "ST-WEST")} | {("MUG", "ST-EAST"): 31},
    )
    await caller.put("/v1/items/MUG", LEAN | {"unit_margin_minor": 900_000_000})
    await sold(caller, "ST-EAST", "MUG", 30)
    await learn(caller, database, settings)
    assert await nodes(caller, ("MUG", 1), **PROTECTED) == ["ST-EAST"]


async def test_the_decision_names_what_the_units_are_worth_and_by_which_prices(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """Who asks why a dearer parcel was sent learns that the last unit was worth more there."""
    await store_is_nearest(caller, database)
    await stock(database, {("MUG", "ST-EAST"): 31})
    await sold(caller, "ST-EAST", "MUG", 30)
    version = (await learn(caller, database, settings)).version
    told, _ = await decided(caller, "protected", **PROTECTED)
    assert told["policy"]["strategy"] == "protect-stores@0"
    assert told["policy"]["prices"] == version
    assert [each["node_id"] for each in told["plan"]["fulfillments"]] == ["WH-WEST"]
    why = (await caller.get(told["path"], params={"node": "ST-EAST"})).json()["why_not"]
    assert re.search(
        r"would have been [\d.]+ .*less, but its units may be worth [\d.]+ .*more", why
    )


async def test_who_refuses_often_is_asked_less(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """A shop that says no sends the customer's order around the country first."""
    await stock(database, {("MUG", "WH-EAST"): 0, ("MUG", "ST-EAST"): 60})
    await caller.catch_up()
    assert await nodes(caller, ("MUG", 1), **PROTECTED) == ["ST-EAST"]
    for _ in range(12):
        await asked(caller, basket("", ("MUG", 1)), refused=True)
        await asked(caller, basket("", ("LAMP", 1)), refused=False)
    async with database.transaction() as connection:
        await connection.execute("DELETE FROM buffer")
    await learn(caller, database, settings)
    dear = {"rejection_minor": 2_000}
    added = await caller.post("/v1/strategies/sure/versions", {"strategy": dear}, role="planner")
    path = f"/v1/strategies/sure/versions/{added.json()['version']}/activate"
    assert (await caller.post(path, role="planner")).status_code == 200
    await caller.catch_up()
    assert await nodes(caller, ("MUG", 1)) == ["ST-EAST"]
    assert await nodes(caller, ("MUG", 1), policy={"strategy": "sure"}) == ["WH-WEST"]


async def test_a_node_with_all_that_it_planned_costs_more(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """Beyond the plan the work is done in overtime; beyond the maximum it is refused."""
    await caller.put(
        "/v1/nodes/WH-EAST/capacity",
        {"default": {"unit": "orders", "planned": 1, "maximum": 50}},
    )
    await caller.catch_up()
    dear = {"overload_minor": 500, "delay_minor": 2_000}
    added = await caller.post("/v1/strategies/calm/versions", {"strategy": dear}, role="planner")
    path = f"/v1/strategies/calm/versions/{added.json()['version']}/activate"
    assert (await caller.post(path, role="planner")).status_code == 200
    await caller.catch_up()
    calm = {"policy": {"strategy": "calm"}}
    assert await nodes(caller, ("MUG", 1), **calm) == ["WH-EAST"]
    await decided(caller, "first")
    assert await nodes(caller, ("MUG", 1)) == ["WH-EAST"]
    assert await nodes(caller, ("MUG", 1), **calm) == ["ST-EAST"]
    shown = (await caller.get("/v1/prices", role="planner", params={"strategy": "calm"})).json()
    assert {(each["node_id"], each["over"]) for each in shown["surcharges"]} == {("WH-EAST", True)}
    assert shown["surcharges"][0]["surcharge_minor"] == 500


async def test_a_nodes_own_price_of_overload_counts_in_every_strategy(caller: Caller) -> None:
    """The planner knows what overtime costs at that node."""
    node = (await caller.get("/v1/nodes/WH-EAST", role="planner")).json()
    put = await caller.put("/v1/nodes/WH-EAST", node | {"overload_minor": 500})
    assert put.status_code == 200, put.text
    await caller.put(
        "/v1/nodes/WH-EAST/capacity",
        {"default": {"unit": "orders", "planned": 1, "maximum": 50}},
    )
    await caller.catch_up()
    assert await nodes(caller, ("MUG", 1)) == ["WH-EAST"]
    await decided(caller, "first")
    fastest = {"policy": {"strategy": "fastest"}}
    assert await nodes(caller, ("MUG", 1), **fastest) == ["ST-EAST"]


async def test_an_order_that_can_wait_leaves_a_dear_date_to_others(
    caller: Caller, database: Database
) -> None:
    """Overtime is 5.00, a day of waiting 0.05, and there are hands tomorrow: the record says both."""
    node = (await caller.get("/v1/nodes/WH-EAST", role="planner")).json()
    await caller.put("/v1/nodes/WH-EAST", node | {"overload_minor": 500})
    limits = {"default": {"unit": "orders", "planned": 1, "maximum": 50}}
    await caller.put("/v1/nodes/WH-EAST/capacity", limits)
    await caller.catch_up()
    at_once, _ = await decided(caller, "at-once")
    told, record = await decided(caller, "later")
    (first,), (later,) = at_once["plan"]["fulfillments"], told["plan"]["fulfillments"]
    assert (first["node_id"], later["node_id"]) == ("WH-EAST", "WH-EAST")
    assert later["work_on"] > first["work_on"]
    assert told["plan"]["prices"]["surcharge_minor"] == 0
    said = " ".join(told["sentences"])
    assert "keeps 49 places on " in said
    assert "for orders that cannot wait" in said
    async with database.connect() as connection:
        facts = await connection.fetchval(
            "SELECT body FROM terrain WHERE digest = $1", digest_of(record)
        )
    again = expand(record, zlib.decompress(facts))
    assert again.plan.objective_minor == told["plan"]["objective_minor"]
    assert replay(again) == again.plan


async def test_a_place_that_others_will_want_is_left_to_them(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """What was learned of that date counts for a strategy that weighs orders to come, and no other."""
    limits = {"default": {"unit": "orders", "maximum": 50}}
    await caller.put("/v1/nodes/WH-EAST/capacity", limits)
    await caller.catch_up()
    first, _ = await decided(caller, "first", **PROTECTED)
    work_on = date.fromisoformat(first["plan"]["fulfillments"][0]["work_on"])
    version = await learn(caller, database, settings)
    busy = records.Pace("WH-EAST", 100_000.0, 100_000.0, {work_on: 90})
    async with database.transaction() as connection:
        await records.replace_pace(connection, [busy], version.published_at)
        later = msgspec.structs.replace(version, version=version.version + 1)
        await records.publish(connection, later)
    await caller.catch_up()
    shown = (await caller.get("/v1/prices", role="planner")).json()["surcharges"]
    at = next(each for each in shown if each["work_on"] == str(work_on))
    assert (at["node_id"], at["place_minor"], at["surcharge_minor"]) == ("WH-EAST", 90, 90)
    told, _ = await decided(caller, "second", **PROTECTED)
    assert told["plan"]["fulfillments"][0]["work_on"] > str(work_on)
    assert any("keeps 49 places on " in each for each in told["sentences"])
    wanted = {
        "lines": [{"line_id": "1", "sku": "MUG", "quantity": 1, "requested_by": str(work_on)}]
    }
    hurried, _ = await decided(caller, "third", **PROTECTED | wanted)
    assert hurried["plan"]["fulfillments"][0]["work_on"] == str(work_on)
    assert any(
        " at WH-EAST weighs 0.90 USD, as places are scarce." in each
        for each in hurried["sentences"]
    )
    plain, _ = await decided(caller, "fourth")
    assert plain["plan"]["fulfillments"][0]["work_on"] == str(work_on)


async def test_with_nothing_in_force_decisions_are_the_same_to_the_byte(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """Nobody pays for what they do not use, neither in plans nor in bytes."""
    await store_is_nearest(caller, database)
    await stock(database, {("MUG", "ST-EAST"): 40})
    before, plain = await decided(caller, "order-1")
    await sold(caller, "ST-EAST", "MUG", 30)
    await learn(caller, database, settings)
    after, learned = await decided(caller, "order-2")
    told, priced = await decided(caller, "order-3", **PROTECTED)
    assert len(learned) == len(plain)
    assert after["policy"] == before["policy"]
    assert after["policy"]["prices"] == 0
    assert after["plan"]["prices"]["worth_minor"] == 0
    assert told["policy"]["prices"] == 1
    assert len(priced) > len(plain)


async def test_prices_that_are_too_old_count_as_none(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """A job that has died must not steer orders by last season's walk-ins for months."""
    await store_is_nearest(caller, database)
    await stock(database, {("MUG", "ST-EAST"): 31})
    await sold(caller, "ST-EAST", "MUG", 30)
    await learn(caller, database, settings)
    async with database.transaction() as connection:
        await connection.execute("UPDATE price_version SET valid_until_at = now()")
    await caller.runtime.prices.load()
    for _ in range(3):
        assert await nodes(caller, ("MUG", 1), **PROTECTED) == ["ST-EAST"]
    assert caller.runtime.prices.told_stale == 1
    shown = (await caller.get("/v1/prices", role="planner")).json()
    assert shown["stale"] is True


async def test_a_planner_sees_what_is_in_force_and_where_it_comes_from(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """Before a strategy is trusted with a season, somebody looks at what it believes."""
    empty = (await caller.get("/v1/prices", role="planner", params={"sku": "MUG"})).json()
    assert (empty["in_force"], empty["stale"]) == (None, False)
    await caller.put("/v1/items/MUG", LEAN)
    await stock(database, {("MUG", "ST-EAST"): 32})
    await sold(caller, "ST-EAST", "MUG", 30)
    await asked(caller, basket("", ("MUG", 1)), refused=True)
    version = await learn(caller, database, settings)
    shown = (await caller.get("/v1/prices", role="planner", params={"sku": "MUG"})).json()
    assert shown["strategy"] == "protect-stores@0"
    assert shown["in_force"] == msgspec.to_builtins(version)
    by_node = {each["node_id"]: each for each in shown["units"]}
    assert by_node["ST-EAST"]["worth_minor"] > 3_000 > by_node["ST-WEST"]["worth_minor"]
    assert by_node["WH-WEST"]["worth_minor"] == 0
    assert all(0 < each["refusal_chance"] < 1 for each in by_node.values())
    unknown = await caller.get("/v1/prices", role="planner", params={"strategy": "luckiest"})
    assert unknown.status_code == 422


async def test_more_stock_at_a_store_never_makes_an_order_dearer(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """Worth falls with every unit more, so the objective does."""
    await store_is_nearest(caller, database)
    await stock(database, {("MUG", "ST-EAST"): 40})
    await sold(caller, "ST-EAST", "MUG", 30)
    await learn(caller, database, settings)
    objectives = []
    for units in (1, 2, 5, 10, 20, 40):
        await stock(database, {("MUG", "ST-EAST"): units})
        await caller.catch_up()
        found = await quoted(caller, ("MUG", 1), **PROTECTED)
        objectives.append(found["solver"]["bound_minor"])
    assert objectives == sorted(objectives, reverse=True)
    assert objectives[0] > objectives[-1]
