"""Planners write the network; every worker plans with it soon after, and nothing unsound gets in."""

import asyncio
from typing import Any

from services.database import Database
from services.planning.network import NetworkCache
from tests.services.caller import Caller, basket, problem_type

NODE = {
    "kind": "store",
    "country": "US",
    "latitude": 40.75,
    "longitude": -73.99,
    "time_zone": "America/New_York",
    "capabilities": ["ship", "pickup"],
}
ITEM = {"weight_grams": 500}
LISTS = (
    "/v1/nodes",
    "/v1/items",
    "/v1/buffers",
    "/v1/zones",
    "/v1/lanes",
    "/v1/tariffs",
    "/v1/calendars",
)
REFUSED_NODES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"time_zone": "Mars/Olympus"}, "invalid-field"),
    ({"latitude": 91}, "impossible-coordinates"),
    ({"calendar_id": "never-heard"}, "unknown-reference"),
    ({"capacity_maximum": 5}, "invalid-field"),
    ({"capacity_unit": "orders", "capacity_maximum": 5, "capacity_planned": 6}, "invalid-field"),
    ({"node_id": "OTHER"}, "invalid-field"),
    ({"name": "a\u0000b"}, "invalid-field"),
    ({"colour": "red"}, "unknown-field"),
    ({"kind": "kiosk"}, "invalid-field"),
    ({"cut_off": "25:00:00"}, "invalid-field"),
    ({"handling_unit_minor": 2**70}, "invalid-field"),
)
REFUSED_BODIES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/v1/zones", {"zones": [{}, {}]}),
    ("/v1/lanes", {"lanes": []}),
    ("/v1/tariffs", {"tariffs": [{"tariff_id": "t", "brackets": []}]}),
    ("/v1/calendars", {"calendars": [{"calendar_id": "c", "weekdays": [8]}]}),
    ("/v1/calendars", {"calendars": [{"calendar_id": "c", "weekdays": []}]}),
    ("/v1/buffers", {"buffers": [{"sku": "MUG", "quantity": -1}]}),
    ("/v1/items/PEN", {"weight_grams": -1}),
    ("/v1/items/PEN", {"weight_grams": 1.5}),
    ("/v1/items/PEN", {}),
)


def lane(**changes: object) -> dict[str, Any]:
    """Return one lane's body with changes."""
    given = {
        "zone_id": "EAST",
        "node_id": "WH-EAST",
        "service": "express",
        "tariff_id": "near",
        "transit_days_min": 1,
        "transit_days_max": 1,
    }
    return {"lanes": [given | changes]}


async def test_a_node_is_written_read_and_listed(caller: Caller) -> None:
    """What a planner sends is what everyone reads, defaults filled in."""
    put = await caller.put("/v1/nodes/ST-NEW", NODE)
    assert put.status_code == 200, put.text
    assert put.json()["calendar_id"] == "daily"
    assert put.json()["cut_off"] == "16:00:00"
    assert put.json()["enabled"] is True
    assert (await caller.get("/v1/nodes/ST-NEW", role="store")).json() == put.json()
    listed = (await caller.get("/v1/nodes", role="operator")).json()
    assert [node["node_id"] for node in listed["nodes"]] == [
        "ST-EAST",
        "ST-NEW",
        "ST-WEST",
        "WH-EAST",
        "WH-WEST",
    ]


async def test_what_is_read_of_a_node_can_be_written_back(caller: Caller) -> None:
    """A planner reads, changes one field and sends the whole back; that must not be refused."""
    read = (await caller.get("/v1/nodes/WH-EAST", role="planner")).json()
    put = await caller.put("/v1/nodes/WH-EAST", read | {"handling_days": 3})
    assert put.status_code == 200, put.text
    assert put.json() == read | {"handling_days": 3}


async def test_writing_a_node_again_leaves_its_switch_as_it_is(caller: Caller) -> None:
    """Loading master data at night must not open a node that someone closed in the evening."""
    await caller.put("/v1/nodes/ST-EAST/enabled", {"enabled": False}, role="operator")
    again = await caller.put("/v1/nodes/ST-EAST", NODE)
    assert again.json()["enabled"] is False


async def test_a_list_is_read_page_by_page_without_gap_or_repetition(caller: Caller) -> None:
    """Cursors follow the key, so pages fit together whatever their size."""
    seen: list[str] = []
    params: dict[str, object] = {"limit": 3}
    while True:
        page = (await caller.get("/v1/nodes", params=params)).json()
        seen += [node["node_id"] for node in page["nodes"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert seen == ["ST-EAST", "ST-WEST", "WH-EAST", "WH-WEST"]


async def test_a_parameter_that_cannot_be_used_is_named(caller: Caller) -> None:
    """A made-up cursor or limit is the caller's mistake, never a failure of ours."""
    for path in LISTS:
        for name, value in (
            ("cursor", "bm90IGpzb24"),
            ("cursor", "%00"),
            ("cursor", "WyJhIiwiYiJd"),
            ("limit", 501),
            ("limit", "many"),
        ):
            response = await caller.get(path, role="planner", params={name: value})
            assert response.status_code == 400, f"{path} {name} {value}"
            assert problem_type(response) == "invalid-parameter"
            assert name in response.json()["detail"]


async def test_a_node_that_cannot_be_is_refused_by_name(caller: Caller) -> None:
    """One wrong value in master data would spoil every plan after it."""
    for change, kind in REFUSED_NODES:
        response = await caller.put("/v1/nodes/ST-NEW", NODE | change)
        assert (response.status_code, problem_type(response)) == (422, kind), str(change)
    assert (await caller.get("/v1/nodes/ST-NEW")).status_code == 404


async def test_a_node_that_is_switched_off_takes_no_new_orders(caller: Caller) -> None:
    """The switch is for a flooded warehouse: plans avoid it and return when it is on."""
    await caller.put("/v1/nodes/WH-EAST/enabled", {"enabled": False})
    await until_quoted_from(caller, "ST-EAST")
    await caller.put("/v1/nodes/WH-EAST/enabled", {"enabled": True})
    await until_quoted_from(caller, "WH-EAST")


async def test_every_write_of_the_network_is_seen_by_another_process(
    caller: Caller, database: Database
) -> None:
    """A cache that misses one kind of write would promise yesterday's dates and prices."""
    cache = NetworkCache(database, poll_ms=1_000)
    await cache.load()
    assert not await cache.refresh()
    for path, body in (
        ("/v1/nodes/ST-NEW", NODE),
        ("/v1/nodes/ST-NEW/enabled", {"enabled": False}),
        ("/v1/nodes/ST-NEW/capacity", {"default": {"unit": "orders", "maximum": 9}}),
        ("/v1/lanes", lane()),
        ("/v1/tariffs", {"tariffs": [tariff("t", 1_000)]}),
        ("/v1/calendars", {"calendars": [{"calendar_id": "c", "weekdays": [1]}]}),
        ("/v1/zones", {"zones": [zone("NORTH", "0")]}),
    ):
        response = await caller.put(path, body)
        assert response.status_code == 200, response.text
        assert await cache.refresh(), path
    network = cache.current
    assert network.disabled == {"ST-NEW"}
    assert network.limited == {"ST-NEW"}
    assert {each.service for each in network.lanes["EAST"]["WH-EAST"]} == {"ground", "express"}
    assert network.resolve("US", "01234", None, None) == network.zones["NORTH"]


async def test_the_last_network_stays_while_the_database_is_away(database: Database) -> None:
    """An outage of the database must not turn into an outage of knowledge."""
    cache = NetworkCache(database, poll_ms=1)
    await cache.open()
    known = cache.current
    try:
        async with database.transaction() as connection:
            await connection.execute("ALTER TABLE network_version RENAME TO away")
        await until(lambda: cache.polling.failing)
        assert cache.current is known
        async with database.transaction() as connection:
            await connection.execute("ALTER TABLE away RENAME TO network_version")
            await connection.execute("UPDATE network_version SET version = version + 1")
        await until(lambda: cache.current.version == known.version + 1)
        assert not cache.polling.failing
    finally:
        await cache.close()


async def test_lanes_that_lead_from_or_to_nothing_are_refused(caller: Caller) -> None:
    """A misspelled id would otherwise be a lane that no plan ever uses, in silence."""
    for change, kind in (
        ({"node_id": "WH-EATS"}, "unknown-node"),
        ({"zone_id": "EATS"}, "unknown-reference"),
        ({"tariff_id": "naer"}, "unknown-reference"),
        ({"calendar_id": "dialy"}, "unknown-reference"),
    ):
        response = await caller.put("/v1/lanes", lane(**change))
        assert problem_type(response) == kind
        assert next(iter(change.values())) in response.json()["detail"]
    backwards = await caller.put("/v1/lanes", lane(transit_days_min=2))
    assert problem_type(backwards) == "invalid-field"


async def test_the_network_is_read_back_as_it_was_written(caller: Caller) -> None:
    """Zones, lanes, tariffs and calendars are data a planner must be able to check."""
    await caller.put("/v1/lanes", lane(service="drone"))
    lanes = await caller.get(
        "/v1/lanes", role="planner", params={"zone_id": "EAST", "node_id": "WH-EAST"}
    )
    assert [each["service"] for each in lanes.json()["lanes"]] == ["drone", "ground"]
    brackets = [
        {"weight_grams_max": 9_000, "price_minor": 900},
        {"weight_grams_max": 1_000, "price_minor": 100},
    ]
    await caller.put("/v1/tariffs", {"tariffs": [{"tariff_id": "t", "brackets": brackets}]})
    tariffs = (await caller.get("/v1/tariffs", role="planner")).json()["tariffs"]
    found = next(each for each in tariffs if each["tariff_id"] == "t")
    assert found["brackets"] == brackets[::-1], "brackets rise with weight, as pricing needs them"
    calendars = {"calendar_id": "c", "weekdays": [1, 2], "holidays": ["2030-12-25"]}
    await caller.put("/v1/calendars", {"calendars": [calendars]})
    assert calendars in (await caller.get("/v1/calendars", role="operator")).json()["calendars"]
    zones = (await caller.get("/v1/zones", role="planner")).json()["zones"]
    assert [each["zone_id"] for each in zones] == ["EAST", "WEST"]


async def test_unusable_master_data_is_refused(caller: Caller) -> None:
    """Limits are in the API document and hold."""
    for path, body in REFUSED_BODIES:
        response = await caller.put(path, body)
        assert response.status_code == 422, f"{path} {body}"
        assert problem_type(response) in {"invalid-field", "quantity-not-positive"}
    assert (await caller.get("/v1/items/PEN")).status_code == 404


async def test_one_key_twice_in_a_list_is_refused(caller: Caller) -> None:
    """Which of the two was meant would be a guess."""
    twice = {"lanes": lane()["lanes"] * 2}
    assert problem_type(await caller.put("/v1/lanes", twice)) == "duplicate-entry"


async def test_capacity_has_a_default_and_single_days(caller: Caller) -> None:
    """A node does 10 orders a day, but 3 on the day of the stocktaking."""
    left = (await caller.get("/v1/nodes/ST-EAST/capacity", role="planner")).json()
    assert left["days"] == [], "without a limit no day is listed"
    default = {"unit": "orders", "planned": 8, "maximum": 10}
    put = await caller.put("/v1/nodes/ST-EAST/capacity", {"default": default})
    assert put.json()["default"] == default
    today, tomorrow = (day["work_on"] for day in put.json()["days"][:2])
    day = {"work_on": tomorrow, "unit": "orders", "maximum": 3}
    await caller.put("/v1/nodes/ST-EAST/capacity", {"days": [day]})
    left = (await caller.get("/v1/nodes/ST-EAST/capacity", role="planner")).json()
    remaining = {each["work_on"]: each["remaining"] for each in left["days"]}
    assert (remaining[today], remaining[tomorrow]) == (10, 3)
    assert left["default"] == default, "a single day leaves the default alone"
    await caller.put("/v1/nodes/ST-EAST/capacity", {"default": None})
    left = (await caller.get("/v1/nodes/ST-EAST/capacity", role="planner")).json()
    assert [each["work_on"] for each in left["days"]] == [tomorrow]


async def test_an_item_is_written_read_and_listed(caller: Caller) -> None:
    """Items are what baskets are made of."""
    put = await caller.put("/v1/items/PEN", ITEM | {"name": "Pen", "requires": ["hazmat"]})
    assert put.status_code == 200, put.text
    assert (await caller.get("/v1/items/PEN", role="partner")).json() == put.json()
    listed = (await caller.get("/v1/items")).json()["items"]
    assert [item["sku"] for item in listed] == ["LAMP", "MUG", "PEN", "SOFA"]
    assert problem_type(await caller.get("/v1/items/PENCIL")) == "not-found"


async def test_nothing_is_named_like_the_star_that_means_everything(caller: Caller) -> None:
    """A buffer of sku `*` holds for all skus; an item of that name would be caught by it."""
    assert problem_type(await caller.put("/v1/items/*", ITEM)) == "invalid-parameter"
    assert problem_type(await caller.put("/v1/nodes/*", NODE)) == "invalid-parameter"


async def test_buffers_are_set_listed_and_taken_away(caller: Caller) -> None:
    """A rule without a key matches everything; null ends it."""
    rules = [{"node_id": "ST-EAST", "quantity": 2}, {"sku": "MUG", "quantity": 1}]
    put = await caller.put("/v1/buffers", {"buffers": rules})
    assert put.json() == {"count": 2}
    listed = (await caller.get("/v1/buffers", role="operator")).json()["buffers"]
    assert listed == [
        {"sku": "*", "node_id": "ST-EAST", "channel": "*", "quantity": 2},
        {"sku": "MUG", "node_id": "*", "channel": "*", "quantity": 1},
    ]
    await caller.put("/v1/buffers", {"buffers": [{"sku": "MUG", "quantity": None}]})
    assert len((await caller.get("/v1/buffers", role="store")).json()["buffers"]) == 1
    unknown = await caller.put("/v1/buffers", {"buffers": [{"sku": "MUGG", "quantity": 1}]})
    assert problem_type(unknown) == "unknown-sku"


async def test_only_a_planner_writes_master_data(caller: Caller) -> None:
    """A leaked checkout key must not be able to change prices."""
    for role in ("checkout", "store", "partner", "operator"):
        for path in ("/v1/nodes/ST-NEW", "/v1/items/PEN", "/v1/lanes", "/v1/buffers"):
            response = await caller.put(path, {}, role=role)
            # Whoever may not write learns nothing about what the body should be either.
            assert response.status_code == 403, f"{role} {path}"


def zone(zone_id: str, prefix: str) -> dict[str, Any]:
    """Return one zone's body."""
    return {
        "zone_id": zone_id,
        "country": "US",
        "postal_prefixes": [prefix],
        "latitude": 45,
        "longitude": -90,
        "time_zone": "America/Chicago",
    }


def tariff(tariff_id: str, price: int) -> dict[str, Any]:
    """Return one tariff's body."""
    return {
        "tariff_id": tariff_id,
        "brackets": [{"weight_grams_max": 1_000, "price_minor": price}],
    }


async def until_quoted_from(caller: Caller, node_id: str) -> None:
    """Wait until a mug is quoted from this node; fail after ten seconds."""
    order = basket("unused", ("MUG", 1))
    del order["order_id"]
    async with asyncio.timeout(10):
        while True:
            quote = (await caller.post("/v1/quotes", order)).json()
            if [each["node"] for each in quote["fulfillments"]] == [node_id]:
                return
            await asyncio.sleep(0.05)


async def until(condition: Any, seconds: float = 10) -> None:
    """Wait until a condition holds; fail after `seconds`."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)
