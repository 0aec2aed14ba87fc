"""A promise that can no longer be kept is computed anew when the order is confirmed."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from inventory.nodes import put_nodes
from services.database import Database
from services.orders.answers import AllocationAnswer
from services.planning.records import bump_version
from tests.services.caller import Caller, basket
from tests.services.place import node
from tests.services.test_allocations import assert_audit_is_silent

DAY = timedelta(days=1)


async def let_cut_off_pass(database: Database, allocation_id: str) -> AllocationAnswer:
    """Rewrite an allocation as if it had been made yesterday, before the cut-off."""
    async with database.transaction() as connection:
        body = msgspec.json.decode(
            await connection.fetchval(
                "SELECT body FROM allocation WHERE allocation_id = $1", UUID(allocation_id)
            ),
            type=AllocationAnswer,
        )
        older = msgspec.structs.replace(
            body,
            promise_valid_until=datetime.now(UTC) - DAY,
            fulfillments=tuple(
                msgspec.structs.replace(
                    each, work_on=each.work_on - DAY, ship_by=each.ship_by - DAY
                )
                for each in body.fulfillments
            ),
        )
        await connection.execute(
            "UPDATE allocation SET body = $2 WHERE allocation_id = $1",
            UUID(allocation_id),
            msgspec.json.encode(older),
        )
        for statement in (
            "UPDATE capacity SET work_on = work_on - 1",
            "UPDATE capacity_hold SET work_on = work_on - 1",
        ):
            await connection.execute(statement)
    return older


async def test_a_confirm_in_time_keeps_the_dates(caller: Caller) -> None:
    """What the customer was shown is what the customer gets."""
    held = (await caller.post("/v1/allocations", basket("o-1", ("MUG", 1)))).json()
    confirmed = (await caller.post(f"/v1/allocations/{held['allocation_id']}/confirm")).json()
    assert confirmed["fulfillments"] == held["fulfillments"]


async def test_a_confirm_after_the_cut_off_gets_new_dates_and_moves_the_work(
    caller: Caller, database: Database
) -> None:
    """Paid the next day: the parcel leaves today, and today's capacity is used, not yesterday's."""
    limited = msgspec.structs.replace(node("WH-EAST"), capacity_unit="orders", capacity_maximum=3)
    async with database.transaction() as connection:
        await put_nodes(connection, [limited])
        await bump_version(connection)
    await caller.catch_up()
    held = (await caller.post("/v1/allocations", basket("o-1", ("MUG", 1)))).json()
    assert held["fulfillments"][0]["node"] == "WH-EAST"
    older = await let_cut_off_pass(database, held["allocation_id"])
    response = await caller.post(f"/v1/allocations/{held['allocation_id']}/confirm")
    assert response.status_code == 200, response.text
    confirmed = msgspec.json.decode(response.content, type=AllocationAnswer)
    before, after = older.fulfillments[0], confirmed.fulfillments[0]
    assert after.work_on > before.work_on
    assert after.ship_by > datetime.now(UTC)
    assert after.promise.latest >= after.work_on
    async with database.connect() as connection:
        used = await connection.fetch("SELECT work_on, used FROM capacity WHERE used > 0")
    assert [tuple(row) for row in used] == [(after.work_on, 1)]
    await assert_audit_is_silent(database)


async def test_a_full_node_gives_its_work_to_another_day_or_node(
    caller: Caller, database: Database
) -> None:
    """Capacity is as real as stock: what a node cannot do today is not promised for today."""
    limited = msgspec.structs.replace(node("WH-EAST"), capacity_unit="orders", capacity_maximum=2)
    async with database.transaction() as connection:
        await put_nodes(connection, [limited])
        await bump_version(connection)
    await caller.catch_up()
    taken: list[tuple[str, str]] = []
    for number in range(4):
        held = (await caller.post("/v1/allocations", basket(f"o-{number}", ("LAMP", 1)))).json()
        taken.append((held["fulfillments"][0]["node"], held["fulfillments"][0]["work_on"]))
    assert max(taken.count(each) for each in taken if each[0] == "WH-EAST") == 2
    async with database.connect() as connection:
        over = await connection.fetchval("SELECT count(*) FROM capacity WHERE used > maximum")
    assert over == 0
    await assert_audit_is_silent(database)


async def test_a_day_of_its_own_replaces_a_nodes_default(
    caller: Caller, database: Database
) -> None:
    """The warehouse is closed for stocktaking tomorrow, whatever it does on other days."""
    limited = msgspec.structs.replace(node("WH-EAST"), capacity_unit="orders", capacity_maximum=9)
    held = (await caller.post("/v1/allocations", basket("o-1", ("LAMP", 1)))).json()
    work_on = held["fulfillments"][0]["work_on"]
    async with database.transaction() as connection:
        await put_nodes(connection, [limited])
        await bump_version(connection)
    closed = {"days": [{"work_on": work_on, "unit": "orders", "maximum": 0}]}
    answer = await caller.put("/v1/nodes/WH-EAST/capacity", closed)
    assert answer.status_code == 200, answer.text
    await caller.catch_up()
    other = (await caller.post("/v1/allocations", basket("o-2", ("LAMP", 1)))).json()
    taken = [(each["node"], each["work_on"]) for each in other["fulfillments"]]
    assert ("WH-EAST", work_on) not in taken
    assert other["status"] == "held"
