"""Work that was put off since a day was full comes forward when there is room again."""

import asyncio
from datetime import date
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from inventory.nodes import put_nodes
from services.cli import main
from services.database import Database
from services.fulfillment.rearranging import Rearranging
from services.planning.records import bump_version
from tests.services.caller import Caller
from tests.services.fulfillment.rearranging.waiting_work import EMPTY, works_of
from tests.services.fulfillment.work_calls import (
    assert_all_agrees,
    confirmed,
    events_of,
    shipped,
)
from tests.services.place import node, stock


async def one_a_day(caller: Caller, database: Database) -> None:
    """Let WH-EAST be the only node with mugs, and send one order a day."""
    limited = msgspec.structs.replace(node("WH-EAST"), capacity_unit="orders", capacity_maximum=1)
    async with database.transaction() as connection:
        await put_nodes(connection, [limited])
        await bump_version(connection)
    await stock(database, EMPTY | {("MUG", "WH-EAST"): 9})
    await caller.catch_up()


async def three_days(caller: Caller, database: Database) -> list[dict[str, Any]]:
    """Order a mug on each of three days of work; return what the confirms answered."""
    await one_a_day(caller, database)
    made = [await confirmed(caller, shipped(f"o-{n}", ("MUG", 1))) for n in range(3)]
    days = [await day_of(caller, database, f"o-{n}") for n in range(3)]
    assert days == sorted(set(days))
    return made


async def day_of(caller: Caller, database: Database, order_id: str) -> date:
    """Return when an order is worked on."""
    (work,) = await works_of(caller, database, order_id)
    return date.fromisoformat(work["work_on"])


async def test_an_order_that_was_put_off_takes_a_day_that_is_free_again(
    caller: Caller, database: Database, job: Rearranging
) -> None:
    """One is cancelled, and everybody behind it comes a day sooner than was promised."""
    first, *_ = await three_days(caller, database)
    days = [await day_of(caller, database, f"o-{n}") for n in range(3)]
    assert await job.run(database) == 0
    await caller.post(f"/v1/allocations/{first['allocation_id']}/cancel")
    assert await job.run(database) >= 1
    await job.run(database)
    assert sorted([await day_of(caller, database, f"o-{n}") for n in (1, 2)]) == days[:2]
    await assert_all_agrees(database)
    assert await job.run(database) == 0


@pytest.mark.usefixtures("commands")
async def test_its_promise_gets_better_and_everybody_is_told(
    caller: Caller, database: Database, job: Rearranging
) -> None:
    """The shop hears of the new date, and whoever reads the decision finds both."""
    first, between, last = await three_days(caller, database)
    (before,) = await works_of(caller, database, "o-2")
    second = await day_of(caller, database, "o-1")
    await caller.post(f"/v1/allocations/{first['allocation_id']}/cancel")
    await caller.post(f"/v1/allocations/{between['allocation_id']}/cancel")
    assert await job.run(database) == 1
    (after,) = await works_of(caller, database, "o-2")
    assert date.fromisoformat(after["work_on"]) < second
    assert after["promise"]["latest"] < before["promise"]["latest"]
    told = dict(await events_of(database, "o-2"))
    assert told["fulfillment_order.moved"]["promise_latest"] == after["promise"]["latest"]
    said = await asyncio.to_thread(CliRunner().invoke, main, ["explain", last["allocation_id"]])
    assert (
        f"It stays with WH-EAST and is worked on {after['work_on']} instead of {before['work_on']}"
        in said.output
    )
    assert (
        f"promised for {after['promise']['latest']} instead of {before['promise']['latest']}"
        in said.output
    )
    again = await asyncio.to_thread(CliRunner().invoke, main, ["replay", last["allocation_id"]])
    assert again.exit_code == 0, again.output
    await assert_all_agrees(database)


async def test_a_day_on_which_it_would_leave_before_it_is_released_is_none(
    caller: Caller, database: Database, job: Rearranging
) -> None:
    """Work is submitted at its release; by then the parcels of that day have gone."""
    first, *_ = await three_days(caller, database)
    days = [await day_of(caller, database, f"o-{n}") for n in range(3)]
    async with database.transaction() as connection:
        await connection.execute(
            "UPDATE fulfillment_order SET release_at ="
            " (SELECT min(ship_by) + interval '1 minute' FROM fulfillment_order)"
        )
    await caller.post(f"/v1/allocations/{first['allocation_id']}/cancel")
    assert await job.run(database) == 0
    assert [await day_of(caller, database, f"o-{n}") for n in (1, 2)] == days[1:]
