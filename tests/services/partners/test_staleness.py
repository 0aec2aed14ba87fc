"""Suppliers and partners report their own stock and supply, and one that stops is noticed."""

from datetime import timedelta
from functools import partial

import pytest

from services import keys
from services.database import Database
from services.partners.staleness import watch_feeds
from tests.services.caller import Caller, problem_type
from tests.services.place import SUPPLY_ON

NODE = "WH-EAST"


@pytest.fixture
async def partner(caller: Caller, database: Database) -> Caller:
    """Return the caller, with the partner `carrier` working at WH-EAST and a key that knows it."""
    async with database.transaction() as connection:
        await connection.execute("UPDATE node SET partner_id = 'carrier' WHERE node_id = $1", NODE)
    caller.keys = {
        **caller.keys,
        "partner": await keys.create(database, "partner", (), "carrier"),
        "rival": await keys.create(database, "partner", (), "rival"),
    }
    return caller


def snapshot(sequence: int, node_id: str = NODE) -> dict[str, object]:
    """Return a count of seven lamps."""
    record = {"node_id": node_id, "sku": "LAMP", "on_hand": 7}
    return {"source": "wms", "sequence": sequence, "records": [record]}


def supply(supply_id: str, node_id: str = NODE) -> dict[str, object]:
    """Return sofas that are on their way."""
    entry = {
        "sku": "SOFA",
        "supply_id": supply_id,
        "node_id": node_id,
        "expected_on": SUPPLY_ON.isoformat(),
        "quantity": 5,
    }
    return {"supply": [entry]}


async def test_a_partner_reports_stock_and_supply_of_its_own_nodes_and_no_others(
    partner: Caller, database: Database
) -> None:
    """Who could write another's stock could sell it."""
    for path, good, bad in (
        ("/v1/stock/snapshots", snapshot(1), snapshot(2, "WH-WEST")),
        (
            "/v1/stock/deltas",
            {
                "source": "wms",
                "sequence": 1,
                "records": [{"node_id": NODE, "sku": "LAMP", "delta": 1}],
            },
            {
                "source": "wms",
                "sequence": 2,
                "records": [{"node_id": "WH-WEST", "sku": "LAMP", "delta": 1}],
            },
        ),
        ("/v1/supply", supply("PO-9"), supply("PO-8", "WH-WEST")),
    ):
        assert (await partner.post(path, good, role="partner")).status_code == 200
        refused = await partner.post(path, bad, role="partner")
        assert (refused.status_code, problem_type(refused)) == (404, "not-found")
        assert (await partner.post(path, good, role="rival")).status_code == 404
    # PO-1 is expected at WH-WEST: naming it must not bring it here.
    taken = await partner.post("/v1/supply", supply("PO-1"), role="partner")
    assert (taken.status_code, problem_type(taken)) == (404, "not-found")
    async with database.connect() as connection:
        on_hand = await connection.fetchval(
            "SELECT on_hand FROM stock WHERE (sku, node_id) = ('LAMP', $1)", NODE
        )
    assert on_hand == 8


async def test_a_partners_source_is_its_own_whatever_it_is_called(partner: Caller) -> None:
    """Sequences count the messages of a source; two companies may both call theirs `wms`."""
    ours = await partner.post("/v1/stock/snapshots", snapshot(1_000), role="planner")
    theirs = await partner.post("/v1/stock/snapshots", snapshot(1), role="partner")
    assert ours.json()["applied"] == theirs.json()["applied"] == 1


async def test_a_feed_that_stops_coming_is_put_before_a_person_until_it_comes_again(
    partner: Caller, database: Database
) -> None:
    """Its stock is sold on the strength of figures that nobody renews."""
    await partner.post("/v1/stock/snapshots", snapshot(1), role="partner")
    watch = partial(watch_feeds, 4)
    assert await watch(database) == 0
    async with database.transaction() as connection:
        await connection.execute(
            "UPDATE feed_seen SET seen_at = seen_at - $1::interval", timedelta(hours=5)
        )
    assert await watch_feeds(0, database) == 0
    assert await watch(database) == 1
    assert await watch(database) == 0
    assert await kept(database) == [("feed_stale", "carrier/wms/stock", "open")]
    await partner.post("/v1/stock/snapshots", snapshot(2), role="partner")
    assert await kept(database) == [("feed_stale", "carrier/wms/stock", "resolved")]
    metrics = (await partner.get("/metrics", role="operator")).text
    assert 'nom_feed_age_seconds{kind="stock",partner="carrier",source="wms"}' in metrics


async def kept(database: Database) -> list[tuple[str, str, str]]:
    """Return what is in the exceptions queue."""
    async with database.connect() as connection:
        rows = await connection.fetch("SELECT kind, cause, state FROM exception")
    return [tuple(row) for row in rows]
