"""Work that finds a new node is priced as orders are, from rows read at that moment."""

from datetime import timedelta

import pytest

from services import records as shared_records
from services.database import Database
from services.planning.playbook import BUILT_IN, weights_of
from services.prices.few import Record, few_prices
from services.settings import Settings
from tests.services.caller import Caller, basket
from tests.services.place import stock
from tests.services.prices.history import asked, learn, sold


async def test_a_few_records_have_the_prices_that_orders_see(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """Else a unit would be precious to the checkout and cheap to whoever moves it an hour later."""
    await caller.put("/v1/items/MUG", {"weight_grams": 400, "unit_margin_minor": 4_000})
    await stock(database, {("MUG", "ST-EAST"): 32})
    await sold(caller, "ST-EAST", "MUG", 30)
    await asked(caller, basket("", ("MUG", 1)), refused=True)
    await learn(caller, database, settings)
    shown = (await caller.get("/v1/prices", role="planner", params={"sku": "MUG"})).json()["units"]
    network = caller.runtime.network.current
    records = [
        Record(
            each["node_id"],
            "MUG",
            network.nodes[each["node_id"]].time_zone,
            each["available"],
            network.nodes[each["node_id"]].kind == "store",
        )
        for each in shown
    ]
    weights = weights_of(BUILT_IN["protect-stores"])
    assert weights is not None
    async with database.connect() as connection:
        now = await shared_records.database_now(connection)
        found = await few_prices(connection, records, {"MUG": 1}, weights, now)
        late = now + timedelta(seconds=settings.prices_stale_s + 1)
        assert await few_prices(connection, records, {"MUG": 1}, weights, late) == {}
    assert len(shown) >= 3
    for each in shown:
        worth, risk = found[each["node_id"], "MUG"]
        assert worth == pytest.approx(each["worth_minor"], abs=40)
        assert risk == pytest.approx(each["risk_minor"], abs=1)
    assert max(worth for worth, _ in found.values()) > 3_000
    assert all(risk > 0 for _, risk in found.values())


async def test_before_anything_was_learned_nothing_has_a_price(
    caller: Caller, database: Database
) -> None:
    """A new installation moves work as it did before there were prices."""
    weights = weights_of(BUILT_IN["protect-stores"])
    assert weights is not None
    async with database.connect() as connection:
        now = await shared_records.database_now(connection)
        record = Record("ST-EAST", "MUG", "UTC", 1, store=True)
        assert await few_prices(connection, [record], {"MUG": 1}, weights, now) == {}
