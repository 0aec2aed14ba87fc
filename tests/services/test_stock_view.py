"""A worker's view of stock, and the availability that is answered from it."""

import asyncio
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import msgspec
import pytest

from inventory.buffers import Buffer
from inventory.items import Item
from inventory.ledger import SnapshotRecord, apply_snapshot
from inventory.nodes import put_nodes
from inventory.supply import Supply, put_supply
from services.database import Database
from services.planning import masterdata, records
from services.planning.availability import Query, availability
from services.planning.availability_view import Shelf
from services.planning.stock_view import STALE_S, StockFollower
from services.planning.written import SOONEST
from services.problems import Refused
from services.retention import CHANGES_KEPT, forget_changes
from tests.services.caller import Caller, basket
from tests.services.place import PLACES, SUPPLY_ON, furnish, lanes, node, stock

SKUS = ("MUG", "LAMP", "SOFA", "RUG", 'é"sku')


async def told(shelf: Shelf, query: Query) -> dict[str, Any]:
    """Return what the shelf tells from its view."""
    answer: dict[str, Any] = json.loads(await shelf.look(query))
    return answer


async def read(shelf: Shelf, query: Query) -> dict[str, Any]:
    """Return what the rows say."""
    found = await availability(shelf.database, shelf.network.current, query)
    answer: dict[str, Any] = json.loads(msgspec.json.encode(found))
    return answer


def by_node(answer: dict[str, Any]) -> object:
    """Return an answer without its age, columns by the ids of their nodes and without order."""
    columns = None
    if answer["columns"] is not None:
        names = answer["columns"]["node_ids"]
        columns = [
            (each["sku"], sorted(zip((names[at] for at in each["nodes"]), *figures, strict=True)))
            for each in answer["columns"]["skus"]
            for figures in [[each[name] for name in sorted(each.keys() - {"sku", "nodes"})]]
        ]
    matrix = answer["matrix"]
    if matrix is not None:
        matrix = sorted(matrix, key=lambda cell: (cell["sku"], cell["node_id"]))
    return answer | {"age_ms": 0, "columns": columns, "matrix": matrix}


async def test_the_view_answers_as_the_rows_do(shelf: Shelf, database: Database) -> None:
    """Two ways to one answer must not differ in a date, a total or the order of nodes."""
    chance = random.Random(3)
    await furnish_more(database, chance)
    await shelf.network.refresh()
    await shelf.stock.poll()
    network = shelf.network.current
    for number in range(60):
        zone = chance.choice([None, *network.zones.values()])
        query = Query(
            skus=chance.sample(SKUS, chance.randint(1, len(SKUS))),
            channel=chance.choice(["web", "till"]),
            node_ids=chance.choice([None, ["WH-EAST", "ST-0", "ST-7"]]),
            zone=zone,
            place=chance.choice([(48.1, 11.6), PLACES["EAST"]]) if zone else None,
            on=chance.choice([None, SUPPLY_ON]),
            matrix=number % 2 == 0,
            columns=number % 3 == 0,
        )
        seen, rows = by_node(await told(shelf, query)), by_node(await read(shelf, query))
        assert seen == rows, query


async def furnish_more(database: Database, chance: random.Random) -> None:
    """Add stores, items that need something, buffers of every kind, more supply, a closed node."""
    await add_stores(database)
    await masterdata.put_items(
        database,
        [
            Item(sku="RUG", weight_grams=900, requires=("fragile",)),
            Item(sku='é"sku', weight_grams=900, requires=("unheard of",)),
        ],
    )
    await stock(
        database,
        {(sku, f"ST-{n}"): chance.randint(0, 4) for sku in SKUS for n in range(30) if n % 4},
    )
    await masterdata.put_buffers(
        database,
        [
            Buffer(quantity=1),
            Buffer(channel="till", quantity=0),
            Buffer(sku="MUG", quantity=2),
            Buffer(sku="MUG", node_id="ST-7", channel="web", quantity=0),
            Buffer(node_id="ST-9", quantity=3),
        ],
        [],
    )
    async with database.transaction() as connection:
        supply = Supply(
            sku="RUG", supply_id="PO-2", node_id="ST-2", expected_on=SUPPLY_ON, quantity=9
        )
        await put_supply(connection, [supply])
    await masterdata.switch_node(database, "ST-11", enabled=False)


async def add_stores(database: Database) -> None:
    """Add thirty stores that can do different things, some of them without lanes."""
    alike = {f"ST-{number}": "ST-WEST" if number % 2 else "ST-EAST" for number in range(30)}
    stores = [
        msgspec.structs.replace(
            node(model),
            node_id=node_id,
            latitude=20.0 + number,
            capabilities=("ship", "pickup", "fragile")[number % 3 :],
        )
        for number, (node_id, model) in enumerate(alike.items())
    ]
    reached = [each for each in alike.items() if not each[0].endswith("5")]
    async with database.transaction() as connection:
        await put_nodes(connection, stores)
        await records.put_lanes(
            connection,
            [
                msgspec.structs.replace(lane, node_id=node_id)
                for lane in lanes()
                for node_id, model in reached
                if lane.node_id == model
            ],
        )


async def test_what_changed_elsewhere_shows_after_the_next_look(
    shelf: Shelf, database: Database
) -> None:
    """Until then the answer is as old as it says."""
    query = Query(skus=["MUG"], channel="web")
    await stock(database, {("MUG", "WH-EAST"): 60})
    old = await told(shelf, query)
    assert old["skus"][0]["ship"]["available"] == 210
    await shelf.stock.poll()
    assert (await told(shelf, query))["skus"][0]["ship"]["available"] == 170


async def test_a_stale_view_is_not_relied_on(shelf: Shelf, database: Database) -> None:
    """An outage of the feed must not turn into hours of promises on old figures."""
    query = Query(skus=["MUG"], channel="web")
    await stock(database, {("MUG", "WH-EAST"): 60})
    shelf.stock.view.seen_at = monotonic() - STALE_S - 1
    assert shelf.stock.is_stale
    answer = await told(shelf, query)
    assert (answer["age_ms"], answer["skus"][0]["ship"]["available"]) == (0, 170)


async def test_a_worker_with_a_stale_view_is_not_ready(caller: Caller) -> None:
    """A balancer sends its orders to a worker that plans on what is there now."""
    ready = await caller.get("/health/ready")
    await caller.runtime.stock.close()
    caller.runtime.stock.view.seen_at = monotonic() - STALE_S - 1
    stale = await caller.get("/health/ready")
    assert (ready.status_code, stale.status_code) == (200, 503)
    assert stale.json()["reason"] == "The stock cannot be read."


async def test_polls_go_on_after_one_that_failed(database: Database) -> None:
    """An outage of a second must not leave a worker on old figures for good."""
    await furnish(database)
    follower = StockFollower(database, poll_ms=1)
    await follower.open()
    cursor, follower.cursor = follower.cursor, None
    await until(lambda: follower.polling.failing)
    follower.cursor = cursor
    await stock(database, {("MUG", "WH-EAST"): 60})
    await until(lambda: 60 in held(follower) and not follower.polling.failing)
    await follower.close()


async def test_a_worker_reads_what_others_wrote_and_not_what_it_wrote_itself(
    caller: Caller, database: Database
) -> None:
    """Its own orders are most of what changes, and their rows came back with the commit."""
    stock_of = caller.runtime.stock
    await stock_of.close()
    assert (await caller.post("/v1/allocations", basket("own", ("MUG", 2)))).status_code == 201
    assert len(stock_of.written) == 1
    before = stock_of.view.slices.arrays.versions.sum()
    async with database.connect() as connection, connection.transaction():
        # A row as nobody writes one: if the worker read it again, it would show.
        await connection.execute("UPDATE stock SET version = version + 100")
    await stock_of.poll()
    assert stock_of.written == set()
    assert stock_of.view.slices.arrays.versions.sum() == before
    await stock(database, {("MUG", "WH-EAST"): 60})
    await stock_of.poll()
    assert 58 in held(stock_of)


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so; a test that waits in vain is ended by its timeout."""
    while not is_so():
        await asyncio.sleep(0.001)


def held(follower: StockFollower) -> list[int]:
    """Return the mugs that a follower's view offers, by node."""
    units: list[int] = follower.view.held("MUG", "web")[1].tolist()
    return units


async def test_what_was_added_a_moment_ago_is_read_from_its_row(
    shelf: Shelf, database: Database
) -> None:
    """A planner who adds an item and looks at once must not be told that there is none."""
    await masterdata.put_items(database, [Item(sku="NEW", weight_grams=1)])
    assert (await told(shelf, Query(skus=["NEW"], channel="web")))["skus"][0]["best"] == []
    for query, kind in (
        (Query(skus=["MUGG"], channel="web"), "unknown-sku"),
        (Query(skus=["MUG"], channel="web", node_ids=["NOWHERE"]), "unknown-node"),
    ):
        with pytest.raises(Refused) as refused:
            await shelf.look(query)
        assert refused.value.kind == kind


async def test_an_order_that_is_short_reads_its_skus_again(
    shelf: Shelf, database: Database
) -> None:
    """Nobody is told `out of stock` from a value that was overtaken."""
    await stock(database, {("LAMP", "WH-EAST"): 99})
    await shelf.stock.refresh(["LAMP", "unheard of"])
    view = shelf.stock.view
    numbers, units = view.held("LAMP", "web")
    assert dict(zip((view.node_ids[n] for n in numbers), units.tolist(), strict=True)) == {
        "WH-EAST": 99,
        "WH-WEST": 10,
    }


async def test_a_follower_that_fell_behind_loads_anew_and_keeps_what_is_pending(
    shelf: Shelf, database: Database
) -> None:
    """A worker that was suspended for minutes must not go on with a hole in what it knows."""
    taking = shelf.stock.view.take([("MUG", "WH-EAST", 5)])
    await stock(database, {("MUG", "WH-EAST"): 60})
    for _ in range(2):
        async with database.transaction() as connection:
            # As if the changes had been written longer ago than they are kept.
            await connection.execute(
                "UPDATE change_floor SET next_at = next_at - $1::interval", CHANGES_KEPT
            )
        await forget_changes(database)
    async with database.transaction() as connection:
        assert await connection.fetchval("SELECT count(*) FROM change") == 0
    await shelf.stock.poll()
    query = Query(skus=["MUG"], channel="web")
    assert (await told(shelf, query))["skus"][0]["ship"]["available"] == 165
    shelf.stock.view.give_back(taking)
    assert (await told(shelf, query))["skus"][0]["ship"]["available"] == 170


async def test_dates_are_worked_out_again_when_a_cut_off_has_passed(shelf: Shelf) -> None:
    """A page that still promises tomorrow at one past the cut-off makes a late parcel."""
    network, view = shelf.network.current, shelf.stock.view
    zone = network.zones["EAST"]
    now = datetime.now(UTC)
    first = shelf.prospects.find(network, zone, view.node_ids, now)
    assert shelf.prospects.find(network, zone, view.node_ids, now) is first
    later = shelf.prospects.find(network, zone, view.node_ids, first.terrain.until_at)
    assert later is not first
    assert later.table[:, SOONEST].sum() > first.table[:, SOONEST].sum()
    tomorrow = now + timedelta(days=1)
    assert not first.terrain.covers(tomorrow)


async def test_a_load_during_traffic_loses_nothing(shelf: Shelf, database: Database) -> None:
    """What is applied while the tables are read is newer than what is read."""
    loading = shelf.stock.load
    async with database.transaction() as connection:
        now = datetime.now(UTC)
        await apply_snapshot(
            connection,
            "test",
            1,
            [SnapshotRecord(sku="MUG", node_id="WH-EAST", on_hand=7, as_of=now)],
            "test",
        )
        await loading()
    view = shelf.stock.view
    assert view.held("MUG", "web")[1].tolist().count(100) == 2
    await shelf.stock.poll()
    assert view.held("MUG", "web")[1].tolist().count(100) == 1
