"""Work that is not released yet moves to where it costs less, and no promise gets worse."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import pytest
from click.testing import CliRunner

from inventory.give_back import Exchange, exchange
from inventory.reserve import Demand
from services.cli import main
from services.database import Database
from services.fulfillment import rearranging
from services.fulfillment.moves import Means
from services.fulfillment.rearranging import Rearranging
from services.fulfillment.sweeps import Resourcing
from services.ids import new_id
from services.settings import Settings
from tests.services.caller import Caller, basket
from tests.services.fulfillment.rearranging.waiting_work import (
    EMPTY,
    far_away,
    place_of,
    west,
    works_of,
)
from tests.services.fulfillment.work_calls import (
    assert_all_agrees,
    confirmed,
    events_of,
    kinds_of,
    shipped,
    stock_of,
)
from tests.services.place import stock
from tests.services.prices.history import learn, sold


async def test_work_moves_to_what_has_come_in_nearby(
    caller: Caller, database: Database, job: Rearranging
) -> None:
    """What was dear at checkout is cheap an hour later, and nobody was asked for anything yet."""
    await far_away(caller, database)
    (before,) = await works_of(caller, database, "o-1")
    await stock(database, {("MUG", "WH-EAST"): 3})
    assert await job.run(database) == 1
    (after,) = await works_of(caller, database, "o-1")
    assert (before["node_id"], after["node_id"]) == ("WH-WEST", "WH-EAST")
    assert after["request_state"] == "unsubmitted"
    assert after["release_at"] == before["release_at"]
    assert after["promise"]["latest"] <= before["promise"]["latest"]
    assert await stock_of(database, "MUG", "WH-WEST") == (1, 0)
    assert await stock_of(database, "MUG", "WH-EAST") == (3, 1)
    await assert_all_agrees(database)


async def test_a_move_is_told_with_what_it_saves(
    caller: Caller, database: Database, job: Rearranging
) -> None:
    """Who follows the order learns where it went, and the planner why."""
    await far_away(caller, database)
    await stock(database, {("MUG", "WH-EAST"): 3})
    await job.run(database)
    told = dict((await events_of(database, "o-1"))[-3:])
    assert set(told) == {
        "fulfillment_order.created",
        "fulfillment_order.moved",
        "fulfillment_order.rearranged",
    }
    moved, ended = told["fulfillment_order.moved"], told["fulfillment_order.rearranged"]
    assert moved["worse"] == []
    assert moved["replaces"] == ended["fulfillment_order_id"]
    assert ended["moved_to"] == [moved["fulfillment_order_id"]]
    assert ended["saving_minor"] >= 700


async def test_nothing_moves_twice_or_without_a_gain(
    caller: Caller, database: Database, job: Rearranging
) -> None:
    """Work that is announced here and there by turns would be worse than dear work."""
    await far_away(caller, database)
    assert await job.run(database) == 0
    await stock(database, {("MUG", "WH-EAST"): 3, ("MUG", "ST-EAST"): 3})
    assert await job.run(database) == 1
    kinds = await kinds_of(database, "o-1")
    assert await job.run(database) == 0
    assert await kinds_of(database, "o-1") == kinds


async def test_two_orders_change_places_in_one_step(
    caller: Caller, database: Database, job: Rearranging
) -> None:
    """Each holds the last unit near the other: neither can move before the other has."""
    await far_away(caller, database, "o-east")
    await stock(database, {("MUG", "WH-EAST"): 1})
    await confirmed(caller, west("o-west", ("MUG", 1)))
    assert await place_of(caller, database, "o-east") == ["WH-WEST"]
    assert await place_of(caller, database, "o-west") == ["WH-EAST"]
    assert await job.run(database) == 2
    assert await place_of(caller, database, "o-east") == ["WH-EAST"]
    assert await place_of(caller, database, "o-west") == ["WH-WEST"]
    assert await stock_of(database, "MUG", "WH-EAST") == (1, 1)
    assert await stock_of(database, "MUG", "WH-WEST") == (1, 1)
    await assert_all_agrees(database)


async def test_an_order_decided_by_learned_prices_stays_while_none_are_in_force(
    caller: Caller, database: Database, job: Rearranging
) -> None:
    """Planned without them it would go back to the stores that they protect."""
    await stock(database, EMPTY | {("MUG", "WH-WEST"): 1})
    body = shipped("o-1", ("MUG", 1)) | {"policy": {"strategy": "protect-stores"}}
    await confirmed(caller, body)
    await stock(database, {("MUG", "ST-EAST"): 3})
    assert await job.run(database) == 0
    assert await place_of(caller, database, "o-1") == ["WH-WEST"]


async def test_an_order_decided_by_learned_prices_moves_by_them(
    caller: Caller, database: Database, settings: Settings, job: Rearranging
) -> None:
    """The last unit of a store stays there for who walks in; of many, one may go."""
    item = {"weight_grams": 400, "unit_margin_minor": 4_000}
    await caller.put("/v1/items/MUG", item)
    await stock(database, EMPTY | {("MUG", "ST-EAST"): 31})
    await sold(caller, "ST-EAST", "MUG", 30)
    version = await learn(caller, database, settings)
    await stock(database, {("MUG", "WH-WEST"): 1, ("MUG", "ST-EAST"): 0})
    body = shipped("o-1", ("MUG", 1)) | {"policy": {"strategy": "protect-stores"}}
    held = await confirmed(caller, body)
    assert await place_of(caller, database, "o-1") == ["WH-WEST"]
    await stock(database, {("MUG", "ST-EAST"): 1})
    assert await job.run(database) == 0
    await stock(database, {("MUG", "ST-EAST"): 1_000})
    assert await job.run(database) == 1
    assert await place_of(caller, database, "o-1") == ["ST-EAST"]
    told = (await caller.get(f"/v1/allocations/{held['allocation_id']}/decision")).json()
    assert told["moves"][0]["policy"]["prices"] == version.version
    await assert_all_agrees(database)


async def test_a_kit_moves_as_a_whole(caller: Caller, database: Database, job: Rearranging) -> None:
    """Its parts have their own records and go together; one of them nearby is no reason to move."""
    parts = [{"sku": "MUG", "quantity": 2}, {"sku": "LAMP", "quantity": 1}]
    put = await caller.put("/v1/items/SET", {"weight_grams": 900, "components": parts})
    assert put.status_code < 300, put.text
    lamps = {("LAMP", node_id): 0 for _, node_id in EMPTY}
    await stock(database, EMPTY | lamps | {("MUG", "WH-WEST"): 2, ("LAMP", "WH-WEST"): 1})
    await caller.catch_up()
    held = await confirmed(caller, shipped("o-1", ("SET", 1)))
    await stock(database, {("MUG", "WH-EAST"): 5})
    assert await job.run(database) == 0
    await stock(database, {("LAMP", "WH-EAST"): 5})
    assert await job.run(database) == 1
    (after,) = await works_of(caller, database, "o-1")
    assert after["node_id"] == "WH-EAST"
    assert {line["sku"]: line["quantity"] for line in after["lines"]} == {"MUG": 2, "LAMP": 1}
    told = (await caller.get(f"/v1/allocations/{held['allocation_id']}/decision")).json()
    assert [each["plan"]["fulfillments"][0]["node_id"] for each in told["moves"]] == ["WH-EAST"]
    await assert_all_agrees(database)


@pytest.mark.usefixtures("commands")
async def test_a_move_is_explained_and_replayed(
    caller: Caller, database: Database, job: Rearranging
) -> None:
    """What was seen, the old plan, the new one and what it saved are in the decision record."""
    await far_away(caller, database, "o-east")
    await stock(database, {("MUG", "WH-EAST"): 1})
    held = await confirmed(caller, west("o-west", ("MUG", 1)))
    assert await job.run(database) == 2
    path = f"/v1/allocations/{held['allocation_id']}/decision"
    told = (await caller.get(path)).json()
    (move,) = told["moves"]
    assert [each["node_id"] for each in move["before"]] == ["WH-EAST"]
    assert [each["node_id"] for each in move["plan"]["fulfillments"]] == ["WH-WEST"]
    assert move["plan"]["fulfillments"][0]["lines"][0]["line_id"] == "1"
    assert move["solver"]["status"] == "optimal"
    assert (move["window"]["orders"], move["window"]["moved"]) == (2, 2)
    assert move["saving_minor"] > 0
    ended = dict(await events_of(database, "o-west"))["fulfillment_order.rearranged"]
    assert ended["window_id"] == move["window_id"]
    said = await asyncio.to_thread(CliRunner().invoke, main, ["explain", held["allocation_id"]])
    assert "the order was planned anew together with 1 other order; 2 orders moved" in said.output
    assert "It went from WH-EAST to WH-WEST, which costs " in said.output
    again = await asyncio.to_thread(CliRunner().invoke, main, ["replay", held["allocation_id"]])
    assert again.exit_code == 0, again.output
    assert [line.split(":")[0] for line in again.output.splitlines()] == [
        "The same plan",
        "Move 1",
    ]


async def test_released_work_stays(caller: Caller, database: Database, job: Rearranging) -> None:
    """From its release on a node has begun, and a better place comes too late."""
    await far_away(caller, database)
    await stock(database, {("MUG", "WH-EAST"): 3})
    async with database.transaction() as connection:
        await connection.execute(
            "UPDATE fulfillment_order SET release_at = now() + interval '5 seconds'"
        )
    assert await job.run(database) == 0
    assert await place_of(caller, database, "o-1") == ["WH-WEST"]


async def test_without_a_window_nothing_is_looked_at(
    caller: Caller, database: Database, database_url: str
) -> None:
    """As it is until somebody wants one."""
    await far_away(caller, database)
    await stock(database, {("MUG", "WH-EAST"): 3})
    settings = Settings.from_environment({"DATABASE_URL": database_url})
    assert await Rearranging(settings, Resourcing(settings)).run(database) == 0
    assert await place_of(caller, database, "o-1") == ["WH-WEST"]


async def test_a_parcel_is_saved_and_a_pickup_stays(
    caller: Caller, database: Database, job: Rearranging
) -> None:
    """What the customer collects is nobody's to move; what is sent may become one parcel."""
    await stock(database, EMPTY | {("MUG", "WH-EAST"): 1, ("MUG", "ST-EAST"): 2})
    body = shipped("o-1", ("MUG", 1), ("LAMP", 11))
    body["lines"].append(
        {
            "line_id": "3",
            "sku": "MUG",
            "quantity": 1,
            "method": "pickup",
            "pickup_node": "ST-EAST",
        }
    )
    await confirmed(caller, body)
    before = await works_of(caller, database, "o-1")
    assert sorted(work["method"] for work in before) == ["pickup", "ship", "ship"]
    await stock(database, {("LAMP", "WH-EAST"): 30})
    assert await job.run(database) == 1
    after = await works_of(caller, database, "o-1")
    assert sorted((work["method"], work["node_id"]) for work in after) == [
        ("pickup", "ST-EAST"),
        ("ship", "WH-EAST"),
    ]
    await assert_all_agrees(database)


def once_planned(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], Awaitable[None]]) -> None:
    """Let something happen after each move was planned and before it is made."""
    made = rearranging.make

    async def late(means: Means, shelf: Any, going: Any) -> int:
        await happens()
        return await made(means, shelf, going)

    monkeypatch.setattr(rearranging, "make", late)


async def test_a_move_that_loses_its_race_changes_nothing(
    caller: Caller, database: Database, job: Rearranging, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody buys the unit after it was planned and before it was taken."""
    await far_away(caller, database)
    await stock(database, {("MUG", "WH-EAST"): 1})

    async def buy() -> None:
        await confirmed(caller, shipped("o-2", ("MUG", 1)))

    once_planned(monkeypatch, buy)
    kinds = await kinds_of(database, "o-1")
    assert await job.run(database) == 0
    assert await kinds_of(database, "o-1") == kinds
    assert await place_of(caller, database, "o-1") == ["WH-WEST"]
    assert await place_of(caller, database, "o-2") == ["WH-EAST"]
    await assert_all_agrees(database)


async def test_an_order_cancelled_meanwhile_is_left_alone(
    caller: Caller, database: Database, job: Rearranging, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has nothing left that could move."""
    await far_away(caller, database)
    await stock(database, {("MUG", "WH-EAST"): 1})

    async def cancel() -> None:
        (work,) = await works_of(caller, database, "o-1")
        await caller.post(f"/v1/allocations/{work['allocation_id']}/cancel")

    once_planned(monkeypatch, cancel)
    assert await job.run(database) == 0
    assert await stock_of(database, "MUG", "WH-EAST") == (1, 0)
    await assert_all_agrees(database)


async def test_a_break_in_the_middle_leaves_nothing_half_done(
    caller: Caller, database: Database, job: Rearranging, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Units were taken and freed, then the process was gone before anything was written of it."""
    await far_away(caller, database)
    await stock(database, {("MUG", "WH-EAST"): 1})

    async def gone(*_: Any) -> None:
        raise ConnectionError("gone")

    monkeypatch.setattr(rearranging, "write", gone)
    with pytest.raises(ConnectionError):
        await job.run(database)
    assert await stock_of(database, "MUG", "WH-EAST") == (1, 0)
    assert await stock_of(database, "MUG", "WH-WEST") == (1, 1)
    await assert_all_agrees(database)
    monkeypatch.undo()
    assert await job.run(database) == 1
    await assert_all_agrees(database)


async def test_jobs_beside_each_other_move_an_order_once(
    caller: Caller, database: Database, settings: Settings
) -> None:
    """A lease may change hands while its holder still plans."""
    for number in range(4):
        await stock(database, EMPTY | {("MUG", "WH-WEST"): 4})
        await confirmed(caller, shipped(f"o-{number}", ("MUG", 1)))
    await stock(database, {("MUG", "WH-EAST"): 2, ("MUG", "ST-EAST"): 1})
    jobs = [Rearranging(settings, Resourcing(settings)) for _ in range(3)]
    moved = await asyncio.gather(*(each.run(database) for each in jobs))
    assert sum(moved) == 3
    assert await stock_of(database, "MUG", "WH-EAST") == (2, 2)
    assert await stock_of(database, "MUG", "ST-EAST") == (1, 1)
    await assert_all_agrees(database)


async def test_who_was_promised_first_gets_what_has_come_in(
    caller: Caller, database: Database, job: Rearranging
) -> None:
    """Two wait for sofas and one comes in elsewhere: a later order never overtakes."""
    await stock(database, {("SOFA", "WH-EAST"): 0})
    for order_id in ("o-1", "o-2"):
        await confirmed(caller, basket(order_id, ("SOFA", 1), policy={"backorder": True}))
    await stock(database, {("SOFA", "WH-EAST"): 1})
    assert await job.run(database) == 1
    (first,), (second,) = [
        await works_of(caller, database, order_id) for order_id in ("o-1", "o-2")
    ]
    assert (first["node_id"], first["waits_for_supply"]) == ("WH-EAST", False)
    assert second["waits_for_supply"]
    assert first["promise"]["latest"] < second["promise"]["latest"]
    await assert_all_agrees(database)


async def test_an_exchange_for_somebody_else_is_refused(database: Database) -> None:
    """Whoever calls it wrongly learns so before anything is locked."""
    mine, other = new_id(), new_id()
    demand = Demand(
        holder_kind="allocation",
        holder_id=other,
        actor="test",
        expires_at=datetime.now().astimezone(),
        takes=(),
    )
    async with database.connect() as connection:
        with pytest.raises(ValueError, match="for itself"):
            await exchange(connection, [Exchange(holder=mine, parts=[], demand=demand)])
