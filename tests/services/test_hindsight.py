"""The day in hindsight: what its decisions cost against perfect knowledge of its orders."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from inventory.ledger import record
from services.database import Database
from services.fulfillment.hindsight import look_back, look_back_on_day
from services.fulfillment.hindsight_records import read_rooms
from services.records import database_now
from services.settings import Settings
from tests.inventory.world import moved
from tests.services.caller import Caller, basket
from tests.services.fulfillment.rejection_calls import reject
from tests.services.fulfillment.work_calls import confirmed, work_id

EAST = {"country": "US", "postal_code": "10001"}
WEST = {"country": "US", "postal_code": "90001"}


def today() -> date:
    """Return the day on which the test's orders become firm, UTC."""
    return datetime.now(UTC).date()


async def stocked(caller: Caller, **units: int) -> None:
    """Let the warehouses gain these lamps, or lose them when below zero."""
    async with caller.runtime.database.transaction() as connection:
        movements = [
            moved("receive" if units > 0 else "count_loss", "LAMP", f"WH-{side}", abs(units))
            for side, units in units.items()
        ]
        await record(connection, movements)
    await caller.catch_up()


async def firm(caller: Caller, order_id: str, destination: dict[str, str]) -> int:
    """Allocate and confirm an order of one lamp; return what its plan cost, as optimized."""
    asked = basket(order_id, ("LAMP", 1), destination=destination)
    held = await caller.post("/v1/allocations", asked)
    assert held.status_code == 201, held.text
    allocation_id = held.json()["allocation_id"]
    await caller.post(f"/v1/allocations/{allocation_id}/confirm")
    decision = await caller.get(f"/v1/allocations/{allocation_id}/decision")
    minor: int = decision.json()["solver"]["objective_minor"]
    return minor


async def figures(caller: Caller, **asked: object) -> list[dict[str, Any]]:
    """Return the days in hindsight among the key figures."""
    period = {"since": today(), "until": today() + timedelta(days=1)} | asked
    answer = await caller.get("/v1/kpis", role="planner", params=period)
    found: list[dict[str, Any]] = answer.json()["hindsight"]
    return found


async def test_a_day_is_told_with_its_regret_and_what_it_rests_on(
    caller: Caller, database: Database
) -> None:
    """The west was out of lamps when its order came, and the east when its own did.

    Each got its lamp from across the country; with both orders known each would have come from
    next door.
    """
    await stocked(caller, EAST=-9, WEST=-10)
    cost = await firm(caller, "order-1", WEST)
    await stocked(caller, WEST=1)
    cost += await firm(caller, "order-2", EAST)
    assert await look_back_on_day(Settings(), database, today()) == 2
    (day,) = await figures(caller)
    await stocked(caller, EAST=1, WEST=1)
    ideal = await firm(caller, "order-3", WEST) + await firm(caller, "order-4", EAST)
    assert day["cost_minor"] == cost
    assert day["bound_minor"] == ideal
    assert cost - ideal > 1_000
    assert day["regret_share"] == round((cost - ideal) / cost, 4)
    assert (day["orders"], day["orders_in_all"], day["converged"]) == (2, 2, True)
    assert await figures(caller, channel="web") == []


async def test_capacity_that_was_short_counts_in_hindsight(
    caller: Caller, database: Database
) -> None:
    """Two orders of the east and one place there each day: the second had to go west or to wait.

    With room for both the day would have cost twice what the first did.
    """
    default = {"unit": "orders", "maximum": 1}
    for node_id in ("WH-EAST", "WH-WEST"):
        put = await caller.put(f"/v1/nodes/{node_id}/capacity", {"default": default})
        assert put.status_code == 200, put.text
    await caller.catch_up()
    first = await firm(caller, "order-1", EAST)
    second = await firm(caller, "order-2", EAST)
    assert second > first
    assert await look_back_on_day(Settings(), database, today()) == 2
    (day,) = await figures(caller)
    assert day["cost_minor"] == first + second
    assert 2 * first < day["bound_minor"] <= first + second


async def test_capacity_is_counted_as_it_stood_at_the_end_of_the_day(
    caller: Caller, database: Database
) -> None:
    """What is rejected, moved or ordered in the night changes nothing of the day before."""
    default = {"unit": "orders", "maximum": 5}
    for node_id in ("WH-EAST", "WH-WEST"):
        await caller.put(f"/v1/nodes/{node_id}/capacity", {"default": default})
    await caller.catch_up()
    moving = await work_id(caller, basket("order-1", ("LAMP", 1), destination=EAST))
    ending = await confirmed(caller, basket("order-2", ("LAMP", 1), destination=EAST))
    own = await confirmed(caller, basket("order-3", ("LAMP", 1), destination=EAST))
    async with database.connect() as connection:
        midnight = await database_now(connection)
    before = await used(database, midnight, own)
    assert sorted(before.values()) == [2]
    await reject(caller, moving)
    await caller.post(f"/v1/allocations/{ending['allocation_id']}/cancel")
    await firm(caller, "order-4", WEST)
    assert await used(database, midnight, own) == before
    async with database.connect() as connection:
        morning = await database_now(connection)
    after = await used(database, morning, own)
    assert sorted(after.values()) in ([2], [1, 1])
    assert {node_id for node_id, _ in after} == {"WH-WEST"}


async def used(
    database: Database, until: datetime, own: dict[str, Any]
) -> dict[tuple[str, date], int]:
    """Return by node and work date how much of five others had taken at an instant."""
    holders = [UUID(own["allocation_id"])]
    async with database.connect() as connection:
        rooms = await read_rooms(connection, today(), until, 10, holders)
    return {place: 5 - room for place, (_, room) in rooms.items() if room != 5}


async def test_a_day_is_looked_back_on_once_and_an_empty_one_is_not_kept(
    caller: Caller, database: Database
) -> None:
    """Figures that change under a planner's eyes are not believed any more."""
    assert await look_back(Settings(), database) == 0
    assert await look_back_on_day(Settings(), database, today()) == 0
    await firm(caller, "order-1", EAST)
    assert await look_back_on_day(Settings(), database, today()) == 1
    await firm(caller, "order-2", EAST)
    assert await look_back_on_day(Settings(), database, today()) == 0
    (day,) = await figures(caller)
    assert (day["orders"], day["regret_share"]) == (1, 0.0)


async def test_of_many_orders_a_sample_is_looked_at_and_said_to_be_one(
    caller: Caller, database: Database
) -> None:
    """A bound that takes all night is no use in the morning."""
    for number in range(5):
        await firm(caller, f"order-{number}", EAST)
    few = msgspec.structs.replace(Settings(), hindsight_orders_max=3)
    assert await look_back_on_day(few, database, today()) == 3
    (day,) = await figures(caller)
    assert (day["orders"], day["orders_in_all"]) == (3, 5)
