"""A window looks at how old a node's feed is, as the first decision and the next one do."""

from services.database import Database
from services.fulfillment.rearranging import Rearranging
from tests.services.caller import Caller
from tests.services.fulfillment.rearranging.waiting_work import EMPTY, far_away, place_of
from tests.services.fulfillment.work_calls import assert_all_agrees, confirmed, shipped
from tests.services.place import stock
from tests.services.test_stale_feeds import HOUR_S, aged, caught_up
from tests.services.test_strategies import activated


async def test_nothing_moves_to_a_node_that_is_left_out_for_its_feed(
    caller: Caller, database: Database, job: Rearranging
) -> None:
    """A sure mug far away is better than one nearby that a till last saw three hours ago."""
    await activated(caller, "cheapest", {"feed_age_max_s": 2 * HOUR_S})
    await far_away(caller, database)
    await stock(database, {("MUG", "WH-EAST"): 3})
    await aged(database, "WH-EAST", hours=3)
    assert await job.run(database) == 0
    assert await place_of(caller, database, "o-1") == ["WH-WEST"]
    await aged(database, "WH-EAST", hours=1)
    assert await job.run(database) == 1
    assert await place_of(caller, database, "o-1") == ["WH-EAST"]
    await assert_all_agrees(database)


async def test_work_at_a_node_whose_feed_has_stopped_may_stay_or_go(
    caller: Caller, database: Database, job: Rearranging
) -> None:
    """What was promised from it was true when it was promised; nobody pays to be rid of it."""
    await activated(caller, "cheapest", {"feed_age_max_s": 2 * HOUR_S})
    await stock(database, EMPTY | {("MUG", "WH-EAST"): 1})
    await confirmed(caller, shipped("o-1", ("MUG", 1)))
    await stock(database, {("MUG", "WH-WEST"): 1})
    await aged(database, "WH-EAST", hours=3)
    assert await job.run(database) == 0
    assert await place_of(caller, database, "o-1") == ["WH-EAST"]


async def test_a_stale_feed_costs_a_move_what_it_costs_an_order(
    caller: Caller, database: Database, job: Rearranging
) -> None:
    """With a small price it goes where it is cheaper, with a large one it leaves again."""
    await activated(caller, "cheapest", {"feed_age_max_s": HOUR_S, "stale_feed_minor": 5_000})
    await far_away(caller, database)
    await stock(database, {("MUG", "WH-EAST"): 3})
    await aged(database, "WH-EAST", hours=3)
    assert await job.run(database) == 0
    await activated(caller, "cheapest", {"feed_age_max_s": HOUR_S, "stale_feed_minor": 1})
    await caught_up(caller)
    assert await job.run(database) == 1
    assert await place_of(caller, database, "o-1") == ["WH-EAST"]
    await assert_all_agrees(database)


async def test_the_decision_of_a_move_lists_the_feeds_that_were_too_old(
    caller: Caller, database: Database, job: Rearranging
) -> None:
    """The store nearby had one, on a word of three hours ago; the record says so."""
    await activated(caller, "cheapest", {"feed_age_max_s": 2 * HOUR_S})
    await stock(database, EMPTY | {("MUG", "WH-WEST"): 1})
    held = await confirmed(caller, shipped("o-1", ("MUG", 1)))
    await stock(database, {("MUG", "WH-EAST"): 3, ("MUG", "ST-EAST"): 3})
    await aged(database, "ST-EAST", hours=3)
    assert await job.run(database) == 1
    told = (await caller.get(f"/v1/allocations/{held['allocation_id']}/decision")).json()
    (move,) = told["moves"]
    assert [each["node_id"] for each in move["plan"]["fulfillments"]] == ["WH-EAST"]
    (out,) = [each for each in move["ruled_out"] if each["reason"] == "stale"]
    assert out["node_ids"] == ["ST-EAST"]
    assert set(move["stale_feeds"]) == {"ST-EAST"}
