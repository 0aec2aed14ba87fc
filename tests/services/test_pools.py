"""Pools at the checkout: the batch's one call honors them, and every worker's view knows them."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator

import asyncpg
import msgspec
import pytest

from inventory.audit import audit
from inventory.audit.views import compare_views
from inventory.pools import Grant, Shift, put_quotas, reallocate
from services.database import Database
from services.ids import new_id
from services.orders.commit import commit
from services.orders.holding import Commitment
from services.orders.records import HOLD_ORDERS
from services.planning.stock_view import StockFollower
from services.settings import Settings
from tests.inventory.world import assert_silent, keep, quota, stock_up
from tests.services.caller import Caller, basket, problem_type
from tests.services.test_commit import counted, order, outcomes

MUG = ("MUG", "EAST")
LANES = 32


def asked(channel: str, *lines: tuple[str, str, int]) -> Commitment:
    """Return the commitment of a channel's order."""
    return msgspec.structs.replace(order(str(new_id()), *lines), channel=channel)


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """Yield a connection to look with; ten mugs are in the east, four of them kept for the web."""
    async with database.connect() as connection:
        await stock_up(connection, {MUG: 10, ("LAMP", "EAST"): 5})
        await keep(connection, "online", ["web"], {MUG: 4})
        yield connection


async def test_a_batch_of_several_channels_that_fits_is_still_one_round_trip(
    database: Database, connection: asyncpg.Connection
) -> None:
    """Pools are looked at under the locks that the call takes anyway."""
    batch = [asked("till", (*MUG, 5)), asked("web", (*MUG, 2), (*MUG, 3), ("LAMP", "EAST", 1))]
    done, sent = await counted(database, batch)
    assert (outcomes(done), sent) == (["held", "held"], [HOLD_ORDERS])
    assert await quota(connection, *MUG, "online") == (4, 4, 0)
    rows = await connection.fetch(
        "SELECT line_id, pool_id, pool_units FROM reservation WHERE holder_id = $1"
        " ORDER BY reservation_id",
        batch[1].allocation_id,
    )
    assert [tuple(row) for row in rows] == [
        ("0", "online", 2),
        ("1", "online", 2),
        ("2", None, None),
    ]
    await assert_silent(connection)


async def test_what_does_not_fit_in_a_batch_is_found_order_by_order(
    database: Database, connection: asyncpg.Connection
) -> None:
    """Six mugs are common: the till's seven are lost, and what comes after them fits."""
    batch = [asked("till", (*MUG, 7)), asked("web", (*MUG, 5)), asked("till", (*MUG, 5))]
    done = await commit(database, batch, Settings())
    assert outcomes(done) == ["lost", "held", "held"]
    assert await quota(connection, *MUG, "online") == (4, 4, 0)
    await assert_silent(connection)


async def test_a_channel_may_use_its_right_where_stock_is_too_little_for_all(
    database: Database, connection: asyncpg.Connection
) -> None:
    """In one call as well: rights beyond the stock are no reason to look again."""
    await keep(connection, "market", ["market"], {MUG: 20})
    done, sent = await counted(database, [asked("market", (*MUG, 6)), asked("web", (*MUG, 4))])
    assert (outcomes(done), sent) == (["held", "held"], [HOLD_ORDERS])
    await assert_silent(connection)


async def test_32_lanes_of_two_channels_sell_the_last_units_exactly(
    database_url: str, connection: asyncpg.Connection
) -> None:
    """The hot step itself, in batches of several channels, while a planner moves the quota.

    What is lost is tried again, as a worker does, until nobody can have anything.
    """
    database = Database(database_url, Settings(), connections_max=LANES)
    sold: Counter[str] = Counter()

    async def lane(seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(6):
            batch = [
                asked(dice.choice(["web", "till"]), (*MUG, 1)) for _ in range(dice.randint(1, 4))
            ]
            done = await commit(database, batch, Settings())
            sold.update(
                each.channel
                for each, how in zip(batch, done.settled, strict=True)
                if how.outcome == "held"
            )

    async def plan() -> None:
        give = Shift(sku=MUG[0], node_id=MUG[1], from_pool_id=None, to_pool_id="online", quantity=1)
        for _ in range(5):
            async with database.transaction() as other:
                await reallocate(other, [give])

    await stock_up(connection, {MUG: 40})
    async with connection.transaction():
        await put_quotas(
            connection, [Grant(sku=MUG[0], node_id=MUG[1], pool_id="online", quantity=20)]
        )
    await asyncio.gather(*(lane(seed) for seed in range(LANES)), plan())
    while outcomes(await commit(database, [asked("web", (*MUG, 1))], Settings())) == ["held"]:
        sold["web"] += 1
    assert sold.total() == 50
    assert sold["till"] <= 30
    row = await connection.fetchrow("SELECT on_hand, reserved FROM stock WHERE sku = 'MUG'")
    assert row is not None
    assert tuple(row) == (50, 50)
    await assert_silent(connection)
    await database.close()


async def test_a_view_learns_of_pools_quotas_and_what_orders_take_of_them(
    database: Database, connection: asyncpg.Connection
) -> None:
    """What a worker decides by must be what the channel may have, whoever changed it."""
    follower = StockFollower(database, 50)
    await follower.load()
    view = follower.view

    def shown(channel: str) -> int:
        """Return what the view has for a channel, by either way of asking."""
        units = view.held("MUG", channel)[1].sum()
        assert view.held_of(["MUG"], channel)[2].sum() == units
        return int(units)

    assert (shown("web"), shown("till")) == (10, 6)
    batch = [asked("web", (*MUG, 3))]
    done = await commit(database, batch, Settings())
    follower.wrote(done.stock, done.writer)
    # Until the feed tells of the quota the till is shown too little, never too much.
    assert (shown("web"), shown("till")) == (7, 3)
    await follower.poll()
    assert (shown("web"), shown("till")) == (7, 6)
    await keep(connection, "market", ["market"], {MUG: 9})
    await keep(connection, "online", ["web", "till"], {MUG: 4})
    await follower.poll()
    assert (shown("web"), shown("till"), shown("market"), shown("call")) == (1, 1, 7, 0)
    fresh = StockFollower(database, 50)
    await fresh.load()
    assert compare_views(view, fresh.view) == []


async def test_audits_agree_after_orders_of_pools(
    database: Database, connection: asyncpg.Connection
) -> None:
    """The audit reads what was written by the hot step as by any other."""
    await commit(database, [asked("web", (*MUG, 3)), asked("till", (*MUG, 1))], Settings())
    assert await audit(connection) == []


# Over HTTP, on the small network: 210 mugs, 100 of them in the east's warehouse


ONLINE = {"name": "Online", "channels": ["web", "app"]}
LAMPS = {"sku": "LAMP", "node_id": "WH-EAST"}


async def shown(caller: Caller, channel: str) -> int:
    """Return how many lamps may be shipped to New York for a channel."""
    body = {
        "skus": ["LAMP"],
        "channel": channel,
        "destination": {"country": "US", "postal_code": "10001"},
    }
    units: int = (await caller.post("/v1/availability", body)).json()["skus"][0]["ship"][
        "available"
    ]
    return units


async def test_a_planner_keeps_units_for_a_channel_and_others_are_sold_the_rest(
    caller: Caller,
) -> None:
    """From the call that allocates them to the order that is refused: all by the same figures."""
    assert (await caller.put("/v1/pools/online", ONLINE)).json()["channels"] == ["app", "web"]
    kept = {"quotas": [LAMPS | {"quantity": 9}, LAMPS | {"node_id": "WH-WEST", "quantity": 10}]}
    put = await caller.put("/v1/pools/online/quotas", kept)
    assert [(each["node_id"], each["left"]) for each in put.json()["quotas"]] == [
        ("WH-EAST", 9),
        ("WH-WEST", 10),
    ]
    await caller.catch_up()
    assert (await shown(caller, "web"), await shown(caller, "market")) == (20, 1)
    no = await caller.post("/v1/allocations", basket("m-1", ("LAMP", 2), channel="market"))
    assert (no.status_code, no.json()["shortfalls"]) == (201, [{"line_id": "1", "quantity": 1}])
    yes = await caller.post("/v1/allocations", basket("w-1", ("LAMP", 12), channel="web"))
    assert (yes.status_code, yes.json()["status"]) == (201, "held")
    page = await caller.get("/v1/pools/online/quotas", role="store", params={"sku": "LAMP"})
    assert sum(each["used"] for each in page.json()["quotas"]) == 12
    assert sum(each["backed"] for each in page.json()["quotas"]) == 7


async def test_what_is_reckoned_from_is_shown_with_what_it_comes_to(caller: Caller) -> None:
    """A store that wonders why it may not sell what it sees on the shelf finds the reason."""
    await caller.put("/v1/pools/online", ONLINE)
    await caller.put("/v1/pools/online/quotas", {"quotas": [LAMPS | {"quantity": 30}]})
    await caller.catch_up()
    question = {"skus": ["LAMP", "MUG"], "channel": "market", "matrix": True}
    answer = (await caller.post("/v1/availability", question)).json()
    cells = {(each["sku"], each["node_id"]): each for each in answer["matrix"]}
    found = cells["LAMP", "WH-EAST"]
    assert (found["on_hand"], found["protected"], found["available"]) == (10, 10, 0)
    assert cells["MUG", "WH-EAST"]["protected"] == 0
    params = LAMPS | {"channel": "market"}
    (record,) = (await caller.get("/v1/stock", role="planner", params=params)).json()["stock"]
    assert (record["protected"], record["available"]) == (10, 0)


async def test_shares_are_added_moved_and_taken_back_once(caller: Caller) -> None:
    """Allocate, reallocate, query; the same key twice has one effect."""
    await caller.put("/v1/pools/online", ONLINE)
    await caller.put("/v1/pools/market", {"channels": ["market"]})
    for _ in range(2):
        more = await caller.post(
            "/v1/pools/online/quotas",
            {"quotas": [LAMPS | {"quantity": 6}]},
            role="planner",
            key="more",
        )
        assert [each["quantity"] for each in more.json()["quotas"]] == [6]
    moves = {"to_pool_id": "market", "quotas": [LAMPS | {"quantity": 4}]}
    moved = await caller.post("/v1/pools/online/moves", moves, role="planner")
    assert {each["pool_id"]: each["left"] for each in moved.json()["quotas"]} == {
        "online": 2,
        "market": 4,
    }
    again = await caller.post("/v1/pools/online/moves", moves, role="planner")
    assert (again.status_code, problem_type(again), again.json()["left"]) == (409, "quota-used", 2)
    back = {"to_pool_id": None, "quotas": [LAMPS | {"quantity": 4}]}
    assert (await caller.post("/v1/pools/market/moves", back, role="planner")).status_code == 200
    page = (await caller.get("/v1/pools/market/quotas", role="planner")).json()
    assert [each["quantity"] for each in page["quotas"]] == [0]


async def test_what_planners_get_wrong_is_refused_and_changes_nothing(caller: Caller) -> None:
    """A channel of two pools, goods nobody knows, less than orders have, a key of the wrong role."""
    await caller.put("/v1/pools/online", ONLINE)
    refusals = [
        (await caller.put("/v1/pools/market", {"channels": ["web"]}), "channel-in-pool"),
        (await caller.put("/v1/pools/twice", {"channels": ["a", "a"]}), "duplicate-entry"),
        (
            await caller.put("/v1/pools/none/quotas", {"quotas": [LAMPS | {"quantity": 1}]}),
            "not-found",
        ),
        (
            await caller.put(
                "/v1/pools/online/quotas", {"quotas": [{**LAMPS, "sku": "PEN", "quantity": 1}]}
            ),
            "unknown-sku",
        ),
        (
            await caller.put(
                "/v1/pools/online/quotas", {"quotas": [{**LAMPS, "node_id": "X", "quantity": 1}]}
            ),
            "unknown-node",
        ),
        (await caller.put("/v1/pools/online/quotas", {"quotas": []}), "invalid-field"),
        (await caller.put("/v1/pools/online", ONLINE, role="store"), "forbidden"),
        (await caller.get("/v1/pools/none", role="planner"), "not-found"),
    ]
    assert [problem_type(answer) for answer, _ in refusals] == [kind for _, kind in refusals]
    assert (await caller.get("/v1/pools", role="operator")).json()["pools"][0][
        "pool_id"
    ] == "online"
    await caller.put("/v1/pools/online/quotas", {"quotas": [LAMPS | {"quantity": 5}]})
    await caller.catch_up()
    await caller.post("/v1/allocations", basket("w-1", ("LAMP", 3), channel="web"))
    less = await caller.put("/v1/pools/online/quotas", {"quotas": [LAMPS | {"quantity": 2}]})
    assert (problem_type(less), less.json()["left"]) == ("quota-used", 2)


async def test_a_channel_that_joins_a_pool_takes_from_it_and_one_that_leaves_does_not(
    caller: Caller,
) -> None:
    """Whom a pool is for is policy, and changes without a word about its quotas."""
    await caller.put("/v1/pools/online", ONLINE)
    await caller.put("/v1/pools/online/quotas", {"quotas": [LAMPS | {"quantity": 10}]})
    await caller.catch_up()
    before = [await shown(caller, channel) for channel in ("web", "app", "market")]
    await caller.put("/v1/pools/online", {"channels": ["app", "market"]})
    await caller.catch_up()
    after = [await shown(caller, channel) for channel in ("web", "app", "market")]
    assert (before, after) == ([20, 20, 10], [10, 20, 20])
