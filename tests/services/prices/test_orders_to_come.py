"""Units that later orders need more are left to them, once that would have paid off.

Two kinds of orders come to New York. One asks for a mug, which the store of the east has, and the
warehouse of the west for 6.00 more. The other asks for a lamp as well, which only the store has: its
mug from the west is a second parcel across the country.
"""

import re
import zlib
from typing import Any

import msgspec

from routing.explain import replay
from routing.record import digest_of, expand
from services.database import Database
from services.prices import records
from services.prices.records import Version
from services.settings import Settings
from tests.services.caller import Caller, basket
from tests.services.place import stock
from tests.services.prices.history import learn, moved
from tests.services.prices.test_priced_orders import PROTECTED, decided, nodes

ALONE = (("MUG", 1),)
BOTH = (("MUG", 1), ("LAMP", 1))


def tried(settings: Settings, **changes: Any) -> Settings:
    """Return settings by which a handful of orders is enough to learn from."""
    few: dict[str, Any] = {
        "prices_replay_periods": 1,
        "prices_replay_orders_min": 1,
    }
    return msgspec.structs.replace(settings, **few | changes)


async def week(caller: Caller, name: str, times: int = 3) -> None:
    """Let the orders of a week come: those that could do with less are first."""
    for kind, lines in (("alone", ALONE), ("both", BOTH)):
        for number in range(times):
            body = basket(f"{name}-{kind}-{number}", *lines)
            held = await caller.post("/v1/allocations", body)
            assert held.status_code == 201, held.text
            path = f"/v1/allocations/{held.json()['allocation_id']}/confirm"
            assert (await caller.post(path)).status_code == 200


async def two_weeks(caller: Caller, database: Database) -> None:
    """Have a past: a week of plenty, one in which the store had three mugs, and three mugs now."""
    east = {("MUG", "WH-EAST"): 0, ("LAMP", "WH-EAST"): 0, ("LAMP", "WH-WEST"): 0}
    await stock(database, east | {("MUG", "ST-EAST"): 30, ("LAMP", "ST-EAST"): 60})
    await caller.catch_up()
    await week(caller, "before")
    await stock(database, {("MUG", "ST-EAST"): 6 + 3})
    async with database.transaction() as connection:
        await connection.execute(
            "UPDATE allocation SET confirmed_at = confirmed_at - interval '8 days'"
        )
        await connection.execute(
            "UPDATE reservation SET created_at = created_at - interval '8 days'"
        )
        await connection.execute("DELETE FROM movement")
    await caller.catch_up()
    await week(caller, "of-late")
    await moved(caller, "ST-EAST", "MUG", "receive", 3)
    await caller.catch_up()


async def test_a_unit_is_left_to_those_who_need_it_more(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """Three more like them are expected, and their second parcel costs twice what this one saves."""
    await two_weeks(caller, database)
    version = await learn(caller, database, tried(settings))
    assert version.order_weight > 0
    assert version.order_price_records == 1
    assert version.priced_orders == 12
    assert await nodes(caller, *ALONE) == ["ST-EAST"]
    assert await nodes(caller, *ALONE, **PROTECTED) == ["WH-WEST"]
    assert await nodes(caller, *BOTH, **PROTECTED) == ["ST-EAST"]


async def test_a_planner_sees_what_units_are_worth_to_orders_to_come(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """Between the 6.00 that an order for a mug saves and what a second parcel costs."""
    await two_weeks(caller, database)
    version = await learn(caller, database, tried(settings))
    shown = (await caller.get("/v1/prices", role="planner", params={"sku": "MUG"})).json()
    assert shown["in_force"]["order_weight"] == version.order_weight
    east = next(each for each in shown["units"] if each["node_id"] == "ST-EAST")
    assert 600 <= east["orders_minor"] <= 1_600
    assert east["worth_of"] == {"orders": round(east["orders_minor"] * version.order_weight)}


async def test_the_decision_says_for_whom_a_unit_was_kept_and_replays(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """The record keeps what was seen, whatever is learned afterwards."""
    await two_weeks(caller, database)
    await learn(caller, database, tried(settings))
    told, record = await decided(caller, "kept", **PROTECTED)
    why = (await caller.get(told["path"], params={"node": "ST-EAST"})).json()["why_not"]
    assert re.search(r"[\d.]+ .*as later orders may want them", why)
    async with database.connect() as connection:
        body = await connection.fetchval(
            "SELECT body FROM terrain WHERE digest = $1", digest_of(record)
        )
    again = expand(record, zlib.decompress(body))
    assert replay(again) == again.plan
    assert again.terms["orders"]["ST-EAST", "MUG"] > 0


async def test_places_are_worth_what_they_are_by_date(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """Three orders that came just now are expected a week from now, at a store that makes two a day."""
    await two_weeks(caller, database)
    limits = {"default": {"unit": "orders", "maximum": 2}}
    await caller.put("/v1/nodes/ST-EAST/capacity", limits)
    await caller.catch_up()
    version = await learn(caller, database, tried(settings))
    async with database.connect() as connection:
        paces = {each.node_id: each for each in await records.read_paces(connection)}
    assert version.order_weight > 0
    assert version.place_prices == len(paces["ST-EAST"].places)
    worth = sorted(paces["ST-EAST"].places.items())
    assert 1 <= len(worth) <= 3
    assert all(minor > 0 for _, minor in worth)
    assert worth[0][1] >= worth[-1][1]
    shown = (await caller.get("/v1/prices", role="planner")).json()["surcharges"]
    assert shown[0]["node_id"] == "ST-EAST"
    assert {each["place_minor"] for each in shown} <= {0, *(minor for _, minor in worth)}


async def test_prices_that_were_never_tried_do_not_count(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """They are for all of the stock: where they are wrong, every order pays."""
    await two_weeks(caller, database)
    version = await learn(caller, database, tried(settings, prices_replay_periods=0))
    assert (version.order_weight, version.walk_in_weight, version.weighed_at) == (0, 1, None)
    assert version.order_price_records == 1
    assert await nodes(caller, *ALONE, **PROTECTED) == ["ST-EAST"]


async def test_weights_are_kept_until_they_are_due_to_be_tried_again(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """Replaying weeks takes longer than learning prices, and says the same an hour later."""
    await two_weeks(caller, database)
    first = await learn(caller, database, tried(settings))
    second = await learn(caller, database, tried(settings))
    assert weights(second) == weights(first)
    third = await learn(caller, database, tried(settings, prices_replay_s=0))
    assert third.weighed_at is not None
    assert first.weighed_at is not None
    assert third.weighed_at > first.weighed_at


async def test_without_recorded_orders_in_the_settings_there_are_no_such_prices(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """A shop whose items hardly ever sell twice saves the work."""
    await two_weeks(caller, database)
    version = await learn(caller, database, tried(settings, prices_orders_max=0))
    assert (version.priced_orders, version.order_price_records) == (0, 0)


def weights(version: Version) -> tuple[object, ...]:
    """Return how much prices count in a version, and since when."""
    return version.walk_in_weight, version.order_weight, version.weighed_at
