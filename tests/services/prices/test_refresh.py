"""The job learns from what happened, keeps what it learned, and says what is in force."""

from datetime import timedelta

import msgspec
import pytest

from services.database import Database
from services.prices import records
from services.prices.few import find_priced
from services.prices.refresh import refresh, refresh_due
from services.prices.refusals import ALL_DAY
from services.settings import Settings
from tests.services.caller import Caller, basket
from tests.services.place import stock
from tests.services.prices.history import asked, learn, sold


async def test_what_tills_sold_becomes_demand_of_the_stores_that_stock_it(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """Warehouses have no walk-ins, and what a store does not stock nobody can want there."""
    await stock(database, {("MUG", "ST-EAST"): 40, ("LAMP", "ST-WEST"): 1})
    await sold(caller, "ST-EAST", "MUG", 30)
    version = await learn(caller, database, settings)
    assert (version.version, version.sold_units) == (1, 30)
    async with database.connect() as connection:
        found = await find_priced(connection, ["LAMP", "MUG"])
    east, west = found["MUG"][1]
    assert (east.node_id, west.node_id) == ("ST-EAST", "ST-WEST")
    assert east.per_day > 5 * west.per_day > 0
    assert (east.days, west.days) == (7.0, 7.0)
    assert {each.node_id for each in found["LAMP"][1]} <= {"ST-WEST"}


async def test_what_a_tills_snapshot_misses_was_sold(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """Many tills send what lies there, and leave it to others to see what went."""
    await stock(database, {("MUG", "ST-EAST"): 2})
    version = await learn(caller, database, settings)
    assert version.sold_units == 3


async def test_nothing_before_the_window_counts(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """Last year's fashion is not this year's."""
    await stock(database, {("MUG", "ST-EAST"): 40})
    short = msgspec.structs.replace(settings, prices_window_days=7)
    await sold(caller, "ST-EAST", "MUG", 1)
    assert (await learn(caller, database, short)).sold_units == 1
    async with database.transaction() as connection:
        await connection.execute(
            "UPDATE movement SET happened_at = now() - interval '8 days' WHERE kind = 'sale'"
        )
    assert (await learn(caller, database, short)).sold_units == 0


async def test_an_expected_delivery_is_how_far_demand_is_looked_ahead(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """What is sold after it is sold from it."""
    await stock(database, {("MUG", "ST-EAST"): 40})
    await sold(caller, "ST-EAST", "MUG", 9)
    async with database.connect() as connection:
        today = await connection.fetchval("SELECT current_date")
    row = {
        "sku": "MUG",
        "supply_id": "PO-9",
        "node_id": "ST-EAST",
        "kind": "purchase_order",
        "expected_on": (today + timedelta(days=3)).isoformat(),
        "quantity": 5,
    }
    put = await caller.post("/v1/supply", {"supply": [row]}, role="planner")
    assert put.status_code in (200, 201), put.text
    await learn(caller, database, settings)
    async with database.connect() as connection:
        _, found = (await find_priced(connection, ["MUG"]))["MUG"]
    assert {each.node_id: each.days for each in found}["ST-EAST"] == 3.0


async def test_what_nodes_answer_becomes_their_chance_of_a_refusal(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """By node, by category and by the part of the node's day; work nobody answered says nothing."""
    await asked(caller, basket("", ("LAMP", 1)), refused=True)
    await asked(caller, basket("", ("MUG", 1)), refused=False)
    held = await caller.post("/v1/allocations", basket("open", ("MUG", 1)))
    await caller.post(f"/v1/allocations/{held.json()['allocation_id']}/confirm")
    version = await learn(caller, database, settings)
    async with database.connect() as connection:
        found = {
            (each.node_id, each.category, each.day_part): each
            for each in await records.read_refusals(connection)
        }
    assert version.asked_lines == sum(
        round(each.asked) for key, each in found.items() if key[2] != ALL_DAY
    )
    overall = found["*", "*", ALL_DAY]
    assert overall.refused == pytest.approx(1, abs=0.01)
    refusing = [key for key, each in found.items() if each.refused > 0.5 and key[2] != ALL_DAY]
    assert len(refusing) == 1


async def test_a_suspicion_of_fraud_is_not_held_against_a_node(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """It says something of the order; the node did well to look."""
    await asked(caller, basket("", ("MUG", 1)), refused=True, reason="fraud_suspected")
    await learn(caller, database, settings)
    async with database.connect() as connection:
        found = await records.read_refusals(connection)
    assert [each.refused for each in found] == [0.0] * len(found) != []


async def test_prices_are_learned_when_they_are_due(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """Any number of workers look; the age of what is in force decides."""
    assert await refresh_due(msgspec.structs.replace(settings, prices_refresh_s=0), database) == 0
    assert await refresh_due(settings, database) == 1
    assert await refresh_due(settings, database) == 0
    async with database.transaction() as connection:
        await connection.execute("UPDATE price_version SET published_at = now() - interval '2 h'")
    assert await refresh_due(settings, database) == 1
    await caller.catch_up()
    assert caller.runtime.prices.book is not None
    assert caller.runtime.prices.book.version.version == 2


async def test_what_is_not_wanted_any_more_is_forgotten(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """A run replaces everything, also of skus of which nothing is left to say."""
    await stock(database, {("MUG", "ST-EAST"): 40})
    await sold(caller, "ST-EAST", "MUG", 30)
    assert (await learn(caller, database, settings)).walk_in_records > 0
    async with database.transaction() as connection:
        await connection.execute("DELETE FROM movement")
    assert (await refresh(settings, database)).walk_in_records == 0
    async with database.connect() as connection:
        found = await find_priced(connection, ["LAMP", "MUG"])
        assert await connection.fetchval("SELECT count(DISTINCT version) FROM price_page") == 1
    assert [learned for _, learned in found.values()] == [[], []]
