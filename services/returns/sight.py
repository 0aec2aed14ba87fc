"""Which returns somebody may see and change: those of others look like what does not exist."""

from uuid import UUID

import asyncpg

from services.keys import Principal
from services.orders import records as allocations
from services.people.sight import concerns
from services.returns import records
from services.returns.receive import find, unknown
from services.returns.records import Return


async def find_own(
    connection: asyncpg.Connection, return_id: UUID, principal: Principal, reference: str | None
) -> Return:
    """Return a return that concerns the caller; raises `not-found`, also for any other.

    A store sees those that it has announced, that are or are expected at one of its nodes, and
    those of orders that it has made or takes part in; beside these the one whose reference it
    names, as the customer before it can. The others see all.
    """
    given = await find(connection, return_id)
    if not is_theirs(given, principal, reference) and not await is_of_own_order(
        connection, given.order_id, principal
    ):
        raise unknown(return_id)
    return given


async def find_own_of_order(
    connection: asyncpg.Connection, order_id: str, principal: Principal, reference: str | None
) -> list[Return]:
    """Return the returns of an order that concern the caller, the first announced first.

    With a reference only the one that has it.
    """
    found = await records.find_of_order(connection, order_id)
    if reference is not None:
        return [each for each in found if each.reference == reference]
    if await is_of_own_order(connection, order_id, principal):
        return found
    return [each for each in found if is_theirs(each, principal, reference)]


def is_theirs(given: Return, principal: Principal, reference: str | None) -> bool:
    """Tell whether a return concerns somebody whatever its order is."""
    return (
        given.node_id in principal.node_ids
        or given.actor == principal.actor
        or given.reference == reference
    )


async def is_of_own_order(
    connection: asyncpg.Connection, order_id: str, principal: Principal
) -> bool:
    """Tell whether somebody sees the order itself, and so all that comes back of it."""
    if not principal.is_bound:
        return True
    rows = await allocations.find_of_order(connection, order_id)
    return await concerns(connection, rows, order_id, principal)
