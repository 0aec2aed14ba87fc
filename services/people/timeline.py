"""Everything that happened to an order, or to all orders of a customer, in one read."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from services.events import records as events
from services.events.catalogue import in_words
from services.events.discreet import discreet
from services.events.records import Noted
from services.keys import Principal
from services.orders import records as allocations
from services.people import records
from services.people.sight import concerns, read_own_order
from services.problems import Refused

FAMILIES = (
    "allocation",
    "exception",
    "fulfillment_order",
    "order",
    "return",
    "shipment",
)
"""Families of events whose subject is an order."""
ORDERS_MAX = 1_000
"""Orders of a customer that one timeline shows, the newest."""
START = (0, datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0))


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened."""

    happened_at: datetime
    order_id: str
    kind: str
    actor: str
    says: str
    """What happened, in a sentence."""
    payload: dict[str, Any]
    event_id: UUID


class Page(msgspec.Struct, frozen=True):
    """A part of a timeline, and the event to go on after."""

    entries: list[Entry]
    last: tuple[int, datetime, UUID] | None


async def of_order(
    connection: asyncpg.Connection,
    order_id: str,
    principal: Principal,
    after: tuple[int, datetime, UUID],
    limit: int,
) -> Page:
    """Return what happened to an order after an event, oldest first.

    A partner sees what happened at its nodes, without what is only the company's; everybody else
    who may see the order all of it.
    Raises `not-found`, the same for somebody else's order.
    """
    await read_own_order(connection, order_id, principal)
    return await read(connection, [order_id], principal, after, limit)


async def of_customer(
    connection: asyncpg.Connection,
    customer_id: str,
    principal: Principal,
    after: tuple[int, datetime, UUID],
    limit: int,
) -> Page:
    """Return what happened to a customer's orders after an event, oldest first, in every channel.

    Only to those that the caller may see; raises `not-found` where there are none.
    """
    order_ids = await records.orders_of_customer(connection, customer_id, ORDERS_MAX)
    if principal.is_bound:
        order_ids = [
            order_id
            for order_id in order_ids
            if await concerns(
                connection,
                await allocations.find_of_order(connection, order_id),
                order_id,
                principal,
            )
        ]
    if not order_ids:
        raise Refused("not-found", f"There is no customer {customer_id}.")
    return await read(connection, order_ids, principal, after, limit)


async def read(
    connection: asyncpg.Connection,
    order_ids: Sequence[str],
    principal: Principal,
    after: tuple[int, datetime, UUID],
    limit: int,
) -> Page:
    """Return what happened to some orders after an event."""
    is_partner = principal.role == "partner"
    node_ids = principal.node_ids if is_partner else None
    found = await events.read_about(connection, order_ids, FAMILIES, after, limit, node_ids)
    shown = [discreet(each) for each in found] if is_partner else found
    return Page([entry(each) for each in shown], found[-1].key if len(found) == limit else None)


def entry(event: Noted) -> Entry:
    """Return an event as a timeline tells it."""
    return Entry(
        happened_at=event.created_at,
        order_id=event.subject,
        kind=event.kind,
        actor=event.actor,
        says=in_words(event.kind, event.payload),
        payload=event.payload,
        event_id=event.event_id,
    )
