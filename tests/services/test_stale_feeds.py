"""A node whose stock feed has stopped takes no orders, or costs more, as its strategy says."""

from datetime import timedelta
from typing import Any

from inventory.ledger import DeltaRecord, SnapshotRecord, apply_deltas, apply_snapshot
from inventory.node_feeds import read_feeds
from services import records as shared_records
from services.database import Database
from services.planning.feed_ages import FeedAges, FeedRule
from tests.services.caller import Caller, basket
from tests.services.test_strategies import activated

NEAR, FAR = "WH-EAST", "WH-WEST"
HOUR_S = 3_600


async def told(
    database: Database, node_id: str, *, hours_ago: float, units: int = 100, sequence: int = 100
) -> None:
    """Let a feed say what a node has of mugs, as of some hours ago."""
    async with database.transaction() as connection:
        now = await shared_records.database_now(connection)
        seen = SnapshotRecord(
            sku="MUG", node_id=node_id, on_hand=units, as_of=now - timedelta(hours=hours_ago)
        )
        await apply_snapshot(connection, f"till of {node_id}", sequence, [seen], "feed")


async def aged(database: Database, node_id: str, *, hours: float) -> None:
    """Let the last word of a node's feed be some hours old."""
    async with database.transaction() as connection:
        await connection.execute(
            "INSERT INTO node_feed (node_id, source, seen_at) VALUES ($1, 'till', now() - $2::interval)"
            " ON CONFLICT (node_id) DO UPDATE"
            " SET seen_at = excluded.seen_at, noted_at = now()",
            node_id,
            timedelta(hours=hours),
        )


async def caught_up(caller: Caller) -> None:
    """Let the worker see what feeds have told by now."""
    caller.runtime.stock.feeds_at = 0.0
    await caller.catch_up()


async def planned(caller: Caller, order_id: str, *lines: tuple[str, int]) -> dict[str, Any]:
    """Allocate an order to New York; return where it comes from, and its decision record."""
    held = await caller.post("/v1/allocations", basket(order_id, *(lines or (("MUG", 2),))))
    assert held.status_code == 201, held.text
    answer = held.json()
    decision = await caller.get(f"/v1/allocations/{answer['allocation_id']}/decision")
    found: dict[str, Any] = decision.json()
    found["nodes"] = [each["node"] for each in answer["fulfillments"]]
    return found


async def shipped(caller: Caller) -> tuple[int, int]:
    """Return how many mugs may be shipped to New York, and from how many nodes."""
    body = {"skus": ["MUG"], "destination": {"country": "US", "postal_code": "10001"}}
    answer = (await caller.post("/v1/availability", body)).json()
    total = answer["skus"][0]["ship"]
    return total["available"], total["nodes"]


async def test_a_node_whose_feed_is_too_old_is_left_out_and_the_record_says_why(
    caller: Caller, database: Database
) -> None:
    """Its stock is what it was hours ago; the customer would be told of a parcel that never comes."""
    await activated(caller, "cheapest", {"feed_age_max_s": 2 * HOUR_S})
    await aged(database, NEAR, hours=1)
    await caught_up(caller)
    assert (await planned(caller, "order-1"))["nodes"][0] in {NEAR, "ST-EAST"}
    for node_id in (NEAR, "ST-EAST"):
        await aged(database, node_id, hours=3)
    await caught_up(caller)
    found = await planned(caller, "order-2")
    assert found["nodes"][0] in {FAR, "ST-WEST"}
    (verdict,) = [each for each in found["ruled_out"] if each["reason"] == "stale"]
    assert verdict["node_ids"] == ["ST-EAST", NEAR]
    assert all(abs(age - 3 * HOUR_S) < 60 for age in verdict["age_s"])
    assert not any(NEAR in each["node_ids"] for each in found["ruled_out"] if each != verdict)


async def test_a_message_brings_a_node_back(caller: Caller, database: Database) -> None:
    """A delta of nothing is enough: it says that the feed is alive."""
    await activated(caller, "cheapest", {"feed_age_max_s": HOUR_S})
    for node_id in (NEAR, "ST-EAST"):
        await aged(database, node_id, hours=2)
    await caught_up(caller)
    assert await shipped(caller) == (105, 2)
    async with database.transaction() as connection:
        alive = DeltaRecord(sku="MUG", node_id=NEAR, delta=0)
        await apply_deltas(connection, "till", 1, [alive], "feed")
    await caught_up(caller)
    assert await shipped(caller) == (205, 3)
    assert (await planned(caller, "order-1"))["nodes"] == [NEAR]


async def test_a_stale_node_may_cost_more_instead(caller: Caller, database: Database) -> None:
    """With a price it is still the answer where nobody else has the goods."""
    await activated(caller, "cheapest", {"feed_age_max_s": HOUR_S, "stale_feed_minor": 5_000})
    for node_id in (NEAR, "ST-EAST"):
        await aged(database, node_id, hours=30)
    await caught_up(caller)
    assert await shipped(caller) == (210, 4)
    found = await planned(caller, "order-1")
    assert found["nodes"][0] in {FAR, "ST-WEST"}
    assert set(found["stale_feeds"]) == {NEAR, "ST-EAST"}
    sofa = await planned(caller, "order-2", ("SOFA", 1))
    assert sofa["nodes"] == [NEAR]
    assert sofa["plan"]["prices"]["surcharge_minor"] == 5_000
    assert sofa["stale_feeds"][NEAR] >= 30 * HOUR_S


async def test_a_strategy_that_says_nothing_of_feeds_uses_every_node(
    caller: Caller, database: Database
) -> None:
    """And a node that no feed ever told of has no age."""
    await aged(database, NEAR, hours=1_000)
    await caught_up(caller)
    assert await shipped(caller) == (210, 4)
    await activated(caller, "cheapest", {"feed_age_max_s": HOUR_S})
    assert await shipped(caller) == (110, 3)


async def test_a_snapshot_is_as_old_as_what_it_saw_and_an_older_one_changes_nothing(
    database: Database, caller: Caller
) -> None:
    """A file that lay about for six hours is six hours old when it comes."""
    async with database.transaction() as connection:
        await connection.execute("DELETE FROM node_feed")
    await told(database, NEAR, hours_ago=6, sequence=1)
    await told(database, NEAR, hours_ago=2, sequence=2)
    await told(database, NEAR, hours_ago=5, sequence=3)
    async with database.connect() as connection:
        (feed,) = await read_feeds(connection, node_ids=[NEAR])
        now = await shared_records.database_now(connection)
    assert timedelta(hours=2) <= now - feed.seen_at < timedelta(hours=2, minutes=1)


async def test_ages_cross_the_limit_by_the_clock_alone(database: Database, caller: Caller) -> None:
    """Nothing comes when a feed stops: the age has to be found by looking at the clock."""
    await aged(database, NEAR, hours=0)
    ages, view = FeedAges(), caller.runtime.stock.view
    async with database.connect() as connection:
        await ages.read(connection)
        now = await shared_records.database_now(connection)
    rule, later = FeedRule(600, None), now + timedelta(seconds=700)
    # The opening stock of the tests came by a feed as well, a moment ago.
    assert ages.stale(rule, now, view) is None
    found = ages.stale(rule, later, view)
    assert found is not None
    assert abs(found.ages_s[NEAR] - 700) < 60
    assert ages.stale(None, later, view) is None
