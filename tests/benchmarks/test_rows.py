"""What the rows stand on: the baseline never oversells, bare commits write what they read."""

import random
from xml.etree import ElementTree as ET

import msgspec
import pytest
from litestar.testing import AsyncTestClient

from inventory.audit import audit
from services.database import Database
from services.settings import Settings
from tests.benchmarks import bare, naive, optimizer, picture, shop, wire
from tests.benchmarks.figures import Spread
from tests.benchmarks.generator import MARK
from tests.benchmarks.naive import create_app
from tests.services.caller import Caller, basket

KEY = "secret"
ORDER = "order-1"


@pytest.fixture
async def filled(database: Database, settings: Settings) -> str:
    """Return the URL of a database with the network, a few skus of it in stock, and naive tables."""
    network = shop.build(1)
    small = msgspec.structs.replace(
        network, stock=network.stock[:60], items=network.items[:20], wide=[]
    )
    url = str(settings.database_url)
    await shop.load(url, small)
    async with database.connect() as connection:
        for statement in naive.FILL:
            await connection.execute(statement)
    return url


def body(order_id: str, sku: str, quantity: int) -> bytes:
    """Return the body of an order of one line."""
    basket = shop.Basket(zone=3, lines=[(sku, quantity)])
    return (
        wire.allocations([basket], KEY)[0]
        .partition(b"\r\n\r\n")[2]
        .replace(MARK, order_id.encode())
    )


async def test_the_naive_baseline_sells_what_there_is_and_no_more(
    filled: str, database: Database
) -> None:
    """A baseline that oversells would be compared with something it does not do."""
    sku = shop.sku_of(0)
    async with database.connect() as connection:
        await connection.execute("UPDATE naive.stock SET on_hand = 2 WHERE sku = $1", sku)
        left = await connection.fetchval("SELECT count(*) * 2 FROM naive.stock WHERE sku = $1", sku)
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    async with AsyncTestClient(create_app(filled, KEY)) as client:
        statuses = []
        for number in range(left // 2 + 2):
            answer = await client.post(
                "/v1/allocations", content=body(f"o{number}", sku, 2), headers=headers
            )
            statuses.append(answer.status_code)
        stranger = await client.post("/v1/allocations", content=body("o", sku, 1))
    assert statuses == [201] * (left // 2) + [409, 409]
    assert stranger.status_code == 401


async def test_a_bare_commit_writes_what_the_service_wrote_under_new_names(
    caller: Caller, database: Database
) -> None:
    """It stands for all that an order writes, and must leave counters that reservations sum to."""
    answer = await caller.post("/v1/allocations", basket(ORDER, ("MUG", 2), ("LAMP", 1)))
    assert answer.status_code == 201, answer.text
    stock = [("MUG", "WH-EAST"), ("MUG", "WH-WEST"), ("LAMP", "WH-EAST"), ("LAMP", "WH-WEST")]
    writes = await bare.capture(database.url, ORDER)
    work = bare.bare_work(writes, stock)
    before = await rows_of(database, writes)

    async with database.connect() as connection:
        for seed in range(3):
            await work(connection, random.Random(seed))

    added = {rows.table: len(rows.values) for rows in writes.added}
    assert {"allocation", "reservation", "idempotency"} <= added.keys()
    assert len(writes.cells) == 2
    after = await rows_of(database, writes)
    assert {table: after[table] - before[table] for table in added} == {
        table: 3 * count for table, count in added.items()
    }
    async with database.connect() as connection:
        assert await audit(connection) == []


async def rows_of(database: Database, writes: bare.Writes) -> dict[str, int]:
    """Return how many rows each table has that an order writes to."""
    async with database.connect() as connection:
        return {
            rows.table: await connection.fetchval(f"SELECT count(*) FROM {rows.table}")  # noqa: S608
            for rows in writes.added
        }


async def test_an_order_that_is_not_there_cannot_be_captured(database: Database) -> None:
    """Writing nothing would be the fastest commit of all."""
    with pytest.raises(LookupError, match="no allocation of order"):
        await bare.capture(database.url, ORDER)


def test_the_optimizer_is_timed_and_agrees_with_cp_sat() -> None:
    """A comparison that compares nothing would always agree."""
    told = optimizer.measure(optimizer.Ask(seed=3, orders=1, compared=4))
    assert {"10x1_ms", "5000x10_ms", "everywhere_5000x1_ms"} <= told.timed.keys()
    assert told.growth > 0 < told.growth_everywhere
    assert (told.compared, told.wrong) == (4, [])


def test_random_orders_are_the_same_for_a_seed() -> None:
    """Two runs are compared only if they were asked the same."""
    at = optimizer.place(10, 1)
    orders = [optimizer.problem(at, 3, random.Random(5)) for _ in range(2)]
    assert orders[0] == orders[1]
    assert shop.baskets(50, 1) == shop.baskets(50, 1)


def test_every_basket_fits_the_shop() -> None:
    """An order of an unknown sku, or of one sku twice, would be refused and measure nothing."""
    skus = {sku for sku, _ in shop.build(1).stock}
    for each in shop.baskets(500, 1):
        ordered = [sku for sku, _ in each.lines]
        assert set(ordered) <= skus
        assert len(set(ordered)) == len(ordered) <= shop.LINES_MAX


def test_the_picture_shows_what_was_measured() -> None:
    """Rows that a run left out leave no gap, and a run without any still has a picture."""
    found = {
        "echo": {"per_s": flat(9_000)},
        "uniform": {"per_s": flat(4_000)},
        "open_50": {"rate": flat(2_000), "p50_ms": flat(2), "p99_ms": flat(20)},
    }
    drawn = picture.draw(found)
    assert ET.fromstring(drawn).tag.endswith("svg")  # noqa: S314 - made here
    assert ">9,000<" in drawn
    assert ">naive baseline<" not in drawn
    assert "polyline" in drawn
    assert "polyline" not in picture.draw({})


def flat(value: float) -> Spread:
    """Return the spread of a figure that never varied."""
    return Spread(value, value, value, 3)
