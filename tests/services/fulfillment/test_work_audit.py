"""The audit of work goes red when it should."""

import asyncpg
import pytest

from services.database import Database
from services.fulfillment.audit import audit
from tests.services.caller import Caller
from tests.services.fulfillment.work_calls import (
    assert_all_agrees,
    confirmed,
    done,
    shipped,
    work_id,
)

DAMAGE = {
    "work": [
        "UPDATE fulfillment_line SET cancelled = 1",
        "UPDATE reservation SET quantity = quantity + 1 WHERE state = 'confirmed'",
        "DELETE FROM reservation",
    ],
    "work state": [
        "UPDATE fulfillment_order SET state = 'cancelled'",
        "UPDATE fulfillment_line SET cancelled = quantity - shipped, picked = shipped",
    ],
    "shipment": [
        "UPDATE fulfillment_line SET shipped = 2",
        "DELETE FROM shipment",
    ],
}


@pytest.mark.parametrize(
    ("check", "damage"), [(check, each) for check, every in DAMAGE.items() for each in every]
)
async def test_damage_is_found_and_told(
    caller: Caller, database: Database, check: str, damage: str
) -> None:
    """A comparison that has never failed has never been tested."""
    work = await work_id(caller, shipped("o-1", ("MUG", 3)))
    await done(caller, work, "pick", {"lines": [{"line_id": "1", "quantity": 2}]})
    await done(caller, work, "ship", {"lines": [{"line_id": "1", "quantity": 1}]})
    await assert_all_agrees(database)
    async with database.transaction() as connection:
        await connection.execute(damage)
    async with database.connect() as connection:
        found = await audit(connection)
    assert check in {each.check for each in found}
    for each in found:
        assert each.what.startswith(each.key)


async def test_what_is_only_held_is_nobodys_work(caller: Caller, database: Database) -> None:
    """A basket at the checkout has reservations and no work; that is as it should be."""
    await caller.post("/v1/allocations", shipped("o-1", ("MUG", 3)))
    await confirmed(caller, shipped("o-2", ("MUG", 3)))
    await assert_all_agrees(database)


async def test_the_audit_reads_one_moment(caller: Caller, database: Database) -> None:
    """In somebody's transaction it would see what is half done."""
    async with database.transaction() as connection:
        with pytest.raises(asyncpg.InterfaceError, match="outside any transaction"):
            await audit(connection)
