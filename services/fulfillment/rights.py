"""Whose work a fulfillment order is: a key sees what its nodes do, and nothing of the rest.

What belongs to somebody else looks exactly like what does not exist.
"""

from uuid import UUID

import asyncpg

from services.fulfillment import records
from services.fulfillment.steps import unknown
from services.keys import Principal
from services.orders import lifecycle
from services.orders.records import AllocationRow
from services.problems import Refused


def may_act(principal: Principal, node_id: str, partner_id: str | None) -> bool:
    """Tell whether a key may see and do what a node does; `partner_id` is who works there."""
    if principal.role == "store":
        return node_id in principal.node_ids
    if principal.role == "partner":
        return partner_id is not None and partner_id == principal.partner_id
    return True


async def verify_node(connection: asyncpg.Connection, node_id: str, principal: Principal) -> None:
    """Raise `not-found` unless the node exists and the key may see what it does."""
    found = await records.find_node(connection, node_id)
    if found is None or not may_act(principal, node_id, found["partner_id"]):
        raise Refused("not-found", f"There is no node {node_id} that this key may act for.")


async def verify_own(
    connection: asyncpg.Connection, fulfillment_order_id: UUID, principal: Principal
) -> None:
    """Raise `not-found` unless a fulfillment order exists and is at a node of the key.

    It is at the node that does the work, and at the store that its goods are sent to.
    """
    found = await records.find_nodes_of(connection, fulfillment_order_id)
    if not any(may_act(principal, each["node_id"], each["partner_id"]) for each in found):
        raise unknown(fulfillment_order_id)


async def verify_part(
    connection: asyncpg.Connection, allocation_id: UUID, principal: Principal
) -> None:
    """Raise `not-found` unless the key made the allocation or one of its nodes takes part.

    The same as for an id that does not exist, so that nobody can probe for other people's orders.
    """
    if not await takes_part(connection, await lifecycle.find(connection, allocation_id), principal):
        raise lifecycle.unknown(allocation_id)


async def takes_part(
    connection: asyncpg.Connection, row: AllocationRow, principal: Principal
) -> bool:
    """Tell whether an allocation concerns a key, by what was promised or by its work as it is now."""
    if lifecycle.may_see(principal, row):
        return True
    works = await records.find_of_allocation(connection, row.allocation_id)
    nodes = {node_id for work in works for node_id in (work.order.node_id, work.order.pickup_node)}
    return not nodes.isdisjoint(principal.node_ids)


async def verify_end(
    connection: asyncpg.Connection,
    fulfillment_order_id: UUID,
    principal: Principal,
    *,
    sends: bool,
) -> None:
    """Raise `forbidden` for the store that goods are sent to where their sender is asked (`sends`).

    And the other way round; whoever works at both may do both, and so may a key of no node.
    """
    found = await records.find_nodes_of(connection, fulfillment_order_id)
    asked = found[0] if sends or len(found) == 1 else found[1]
    if not may_act(principal, asked["node_id"], asked["partner_id"]):
        raise Refused("forbidden", f"Only {asked['node_id']} may say this of the goods.")
