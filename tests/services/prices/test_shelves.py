"""What a merchant loses by where a unit is taken: markdowns, shelves run low, runs of sizes broken.

MUG is at both stores, five at each, and a parcel from the west costs 7.00 more.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.database import Database
from services.settings import Settings
from tests.services.caller import Caller, basket
from tests.services.place import stock
from tests.services.prices.history import learn, sold
from tests.services.prices.test_priced_orders import nodes

MUG: dict[str, Any] = {"weight_grams": 400}


async def put(caller: Caller, sku: str, **changes: Any) -> None:
    """Replace an item."""
    answer = await caller.put(f"/v1/items/{sku}", MUG | changes)
    assert answer.status_code == 200, answer.text


async def strategy(caller: Caller, **weights: int) -> dict[str, Any]:
    """Put a strategy with these prices in force; return what an order names it by."""
    path = "/v1/strategies/shelves/versions"
    added = await caller.post(path, {"strategy": weights}, role="planner")
    path = f"{path}/{added.json()['version']}/activate"
    assert (await caller.post(path, role="planner")).status_code == 200
    await caller.catch_up()
    return {"policy": {"strategy": "shelves"}}


async def only_stores(database: Database, east: int = 5, west: int = 5) -> None:
    """Have mugs at the stores alone."""
    units = {"WH-EAST": 0, "WH-WEST": 0, "ST-EAST": east, "ST-WEST": west}
    await stock(database, {("MUG", node_id): on_hand for node_id, on_hand in units.items()})


def in_days(days: int) -> str:
    """Return a date from today, UTC."""
    return (datetime.now(UTC).date() + timedelta(days=days)).isoformat()


async def test_what_will_be_marked_down_is_sold_first(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """Walk-ins of the east take all of theirs by then; those of the west will be left."""
    await only_stores(database, east=35)
    await sold(caller, "ST-EAST", "MUG", 30)
    await put(
        caller,
        "MUG",
        unit_price_minor=9_000,
        markdown_on=in_days(14),
        markdown_price_minor=3_000,
    )
    await learn(caller, database, settings)
    sells_first = await strategy(caller, markdown_percent=100)
    assert await nodes(caller, ("MUG", 1)) == ["ST-EAST"]
    assert await nodes(caller, ("MUG", 1), **sells_first) == ["ST-WEST"]


async def test_a_markdown_that_is_past_or_far_away_is_nothing_to_hurry_for(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """What costs less already has lost it everywhere."""
    await only_stores(database, east=35)
    await sold(caller, "ST-EAST", "MUG", 30)
    for days in (-1, 300):
        await put(
            caller,
            "MUG",
            unit_price_minor=9_000,
            markdown_on=in_days(days),
            markdown_price_minor=0,
        )
        await learn(caller, database, settings)
        sells_first = await strategy(caller, markdown_percent=100)
        assert await nodes(caller, ("MUG", 1), **sells_first) == ["ST-EAST"]


async def test_a_store_with_few_weeks_of_supply_is_spared(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """The east has sold thirty and has five: two days of them."""
    await only_stores(database, east=35)
    await sold(caller, "ST-EAST", "MUG", 30)
    await learn(caller, database, settings)
    sparing = await strategy(caller, stockout_minor=2_000, stockout_weeks=4)
    assert await nodes(caller, ("MUG", 1)) == ["ST-EAST"]
    assert await nodes(caller, ("MUG", 1), **sparing) == ["ST-WEST"]
    await stock(database, {("MUG", "ST-EAST"): 500})
    await caller.catch_up()
    assert await nodes(caller, ("MUG", 1), **sparing) == ["ST-EAST"]


async def sizes(caller: Caller, database: Database, west: int) -> None:
    """Make MUG the last of its size in both stores; LAMP is its other size, `west` of it there."""
    await only_stores(database, east=1, west=1)
    lamps = {("LAMP", "ST-EAST"): 4, ("LAMP", "ST-WEST"): west}
    await stock(database, lamps)
    for sku, size in (("MUG", "S"), ("LAMP", "M")):
        await put(caller, sku, style="vessel", size=size)


async def test_the_last_of_a_size_is_taken_where_the_run_is_broken_already(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """Nobody buys from a rail on which the common sizes are missing."""
    await sizes(caller, database, west=0)
    await learn(caller, database, settings)
    keeping = await strategy(caller, broken_run_minor=2_000)
    assert await nodes(caller, ("MUG", 1)) == ["ST-EAST"]
    assert await nodes(caller, ("MUG", 1), **keeping) == ["ST-WEST"]


async def test_where_all_runs_are_whole_the_nearest_is_taken(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """One of them has to break."""
    await sizes(caller, database, west=4)
    await learn(caller, database, settings)
    keeping = await strategy(caller, broken_run_minor=2_000)
    assert await nodes(caller, ("MUG", 1), **keeping) == ["ST-EAST"]


async def test_the_decision_tells_what_the_worth_was_made_of(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """A store manager who wonders why he was spared, or was not, reads it in money and words."""
    await sizes(caller, database, west=0)
    await learn(caller, database, settings)
    keeping = await strategy(caller, broken_run_minor=2_000)
    held = await caller.post("/v1/allocations", basket("kept", ("MUG", 1), **keeping))
    path = f"/v1/allocations/{held.json()['allocation_id']}/decision"
    told = (await caller.get(path, params={"node": "ST-EAST"})).json()
    assert told["worth_of"] == {}
    assert "20.00 USD as the last of a size" in told["why_not"]
    shown = (
        await caller.get("/v1/prices", role="planner", params={"sku": "MUG", "strategy": "shelves"})
    ).json()
    assert {each["node_id"]: each["worth_of"] for each in shown["units"]}["ST-EAST"] == {
        "sizes": 2_000
    }


@pytest.mark.parametrize(
    "wrong", [{"markdown_on": "2026-01-31"}, {"markdown_price_minor": 100}, {"size": ""}]
)
async def test_an_item_whose_markdown_is_half_told_is_refused(
    caller: Caller, wrong: dict[str, Any]
) -> None:
    """A date without a price would be taken for the end of its life, or for nothing."""
    answer = await caller.put("/v1/items/MUG", MUG | wrong)
    assert answer.status_code == 422, answer.text


async def test_an_item_tells_back_its_markdown_and_its_size(caller: Caller) -> None:
    """What a planner put in is what he reads."""
    told = {
        "unit_price_minor": 9_000,
        "markdown_on": "2026-01-31",
        "markdown_price_minor": 0,
        "style": "vessel",
        "size": "XL",
    }
    await put(caller, "MUG", **told)
    found = (await caller.get("/v1/items/MUG")).json()
    assert {name: found[name] for name in told} == told
