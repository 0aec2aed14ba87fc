"""Which orders somebody may see: what belongs to others looks like what does not exist."""

from collections.abc import Sequence

import asyncpg

from services.fulfillment import records as works
from services.keys import Principal
from services.orders import lifecycle
from services.orders import records as allocations
from services.orders.records import AllocationRow
from services.people import records
from services.problems import Refused


async def read_own_order(
    connection: asyncpg.Connection, order_id: str, principal: Principal
) -> list[AllocationRow]:
    """Return the allocations of an order, newest last, that concerns the caller.

    A store sees orders it has made and those in which one of its nodes takes part, a partner only
    the latter, the others all. Raises `not-found`, the same for an order that does not exist.
    """
    rows = await allocations.find_of_order(connection, order_id)
    if not await concerns(connection, rows, order_id, principal):
        raise unknown_order(order_id)
    return rows


async def concerns(
    connection: asyncpg.Connection,
    rows: Sequence[AllocationRow],
    order_id: str,
    principal: Principal,
) -> bool:
    """Tell whether an order with these allocations exists and concerns somebody."""
    if not principal.is_bound:
        return bool(rows) or await records.find_contact(connection, order_id) is not None
    if any(lifecycle.may_see(principal, row) for row in rows):
        return True
    # Work may have moved to a node that was not in the plan.
    found = await works.find_of_order(connection, order_id) if rows else []
    return any(work.order.node_id in principal.node_ids for work in found)


def unknown_order(order_id: str) -> Refused:
    """Return the refusal for an order that does not exist."""
    return Refused("not-found", f"There is no order {order_id}.")
