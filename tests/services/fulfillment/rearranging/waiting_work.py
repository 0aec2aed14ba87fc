"""Orders whose work waits for its release, and where it is."""

from typing import Any

from services.database import Database
from tests.services.caller import Caller
from tests.services.fulfillment.work_calls import confirmed, look, shipped
from tests.services.place import LOS_ANGELES, stock

WINDOW_S = 3_600
EMPTY = {("MUG", node_id): 0 for node_id in ("WH-EAST", "WH-WEST", "ST-EAST", "ST-WEST")}


def west(order_id: str, *lines: tuple[str, int]) -> dict[str, Any]:
    """Return a basket for Los Angeles."""
    return shipped(order_id, *lines) | {"destination": LOS_ANGELES}


async def works_of(caller: Caller, database: Database, order_id: str) -> list[dict[str, Any]]:
    """Return the work of an order that goes on."""
    async with database.connect() as connection:
        rows = await connection.fetch(
            "SELECT fulfillment_order_id FROM fulfillment_order"
            " WHERE order_id = $1 AND state = 'open' ORDER BY 1",
            order_id,
        )
    return [await look(caller, str(row[0])) for row in rows]


async def place_of(caller: Caller, database: Database, order_id: str) -> list[str]:
    """Return the nodes that work on an order."""
    return [work["node_id"] for work in await works_of(caller, database, order_id)]


async def far_away(caller: Caller, database: Database, order_id: str = "o-1") -> None:
    """Order a mug for New York when only the west has one."""
    await stock(database, EMPTY | {("MUG", "WH-WEST"): 1})
    await confirmed(caller, shipped(order_id, ("MUG", 1)))
