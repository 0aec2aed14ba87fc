"""SQL of people: contacts of orders, staff, their sessions and attempts to sign in."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import asyncpg
import msgspec

from services.fulfillment.tables import LIVE_STATES


class ContactRow(msgspec.Struct, frozen=True):
    """Whom an order is for, as it is kept."""

    order_id: str
    customer_id: str | None
    body: str | None
    """JSON; none once purged."""
    created_at: datetime
    changed_at: datetime
    purged_at: datetime | None
    version: int


CONTACT = (
    "SELECT order_id, customer_id, body, created_at, changed_at, purged_at, version"
    " FROM order_contact"
)

PUT_CONTACT = """
    INSERT INTO order_contact AS kept (order_id, customer_id, body, actor)
    VALUES ($1, $2, $3, $4)
    ON CONFLICT (order_id) DO UPDATE SET customer_id = excluded.customer_id, body = excluded.body,
        actor = excluded.actor, changed_at = now(), purge_at = NULL, purged_at = NULL,
        version = kept.version + 1
    RETURNING order_id, customer_id, body, created_at, changed_at, purged_at, version
"""

# What is still to be done for an order, for which its contact is needed.
UNDER_WAY = """
    EXISTS (SELECT FROM allocation a WHERE a.order_id = c.order_id
        AND (a.state = 'held' OR a.state = 'confirmed' AND NOT EXISTS (
            SELECT FROM fulfillment_order f WHERE f.order_id = c.order_id)))
    OR EXISTS (SELECT FROM fulfillment_order f WHERE f.order_id = c.order_id
        AND f.state = ANY($1::text[]))
"""

FIND_DUE = f"""
    SELECT c.order_id FROM order_contact c
    WHERE c.purged_at IS NULL
        AND (c.purge_at IS NOT NULL OR c.changed_at < now() - $2::interval)
        AND NOT ({UNDER_WAY})
        AND (c.purge_at IS NOT NULL OR greatest(
            (SELECT max(coalesce(a.ended_at, a.confirmed_at, a.created_at)) FROM allocation a
             WHERE a.order_id = c.order_id),
            (SELECT max(f.changed_at) FROM fulfillment_order f WHERE f.order_id = c.order_id),
            c.changed_at) < now() - $2::interval)
    ORDER BY c.order_id LIMIT $3 FOR UPDATE OF c SKIP LOCKED
"""

FIND_OF_CUSTOMER = f"""
    SELECT c.order_id, ({UNDER_WAY}) AS under_way FROM order_contact c
    WHERE c.customer_id = $2 AND c.purged_at IS NULL ORDER BY c.order_id
"""


async def find_contact(connection: asyncpg.Connection, order_id: str) -> ContactRow | None:
    """Return whom an order is for."""
    row = await connection.fetchrow(f"{CONTACT} WHERE order_id = $1", order_id)
    return ContactRow(*row) if row else None


async def lock_contact(connection: asyncpg.Connection, order_id: str) -> ContactRow | None:
    """Return whom an order is for, locked until the transaction ends."""
    row = await connection.fetchrow(f"{CONTACT} WHERE order_id = $1 FOR UPDATE", order_id)
    return ContactRow(*row) if row else None


async def put_contact(
    connection: asyncpg.Connection, order_id: str, customer_id: str | None, body: str, actor: str
) -> ContactRow:
    """Write whom an order is for; return it as it is kept."""
    (row,) = await connection.fetch(PUT_CONTACT, order_id, customer_id, body, actor)
    return ContactRow(*row)


async def lock_allocations(connection: asyncpg.Connection, order_id: str) -> None:
    """Lock what is live of an order, so that no work of it changes until the transaction ends."""
    await connection.execute(
        "SELECT FROM allocation WHERE order_id = $1 AND state IN ('held', 'confirmed')"
        " ORDER BY allocation_id FOR UPDATE",
        order_id,
    )


async def customer_contacts(
    connection: asyncpg.Connection, customer_id: str
) -> list[tuple[ContactRow, bool]]:
    """Return a customer's contacts by order, and whether there is still work for each."""
    rows = await connection.fetch(FIND_OF_CUSTOMER, list(LIVE_STATES), customer_id)
    under_way = {row["order_id"]: row["under_way"] for row in rows}
    found = await connection.fetch(
        f"{CONTACT} WHERE order_id = ANY($1::text[]) ORDER BY order_id", list(under_way)
    )
    return [(ContactRow(*row), under_way[row["order_id"]]) for row in found]


async def orders_of_customer(
    connection: asyncpg.Connection, customer_id: str, limit: int
) -> list[str]:
    """Return a customer's orders, the newest first."""
    rows = await connection.fetch(
        "SELECT order_id FROM order_contact WHERE customer_id = $1"
        " ORDER BY created_at DESC, order_id LIMIT $2",
        customer_id,
        limit,
    )
    return [row["order_id"] for row in rows]


async def lock_due_contacts(
    connection: asyncpg.Connection, kept: timedelta, limit: int
) -> list[str]:
    """Lock contacts that nobody needs any more: whose customer asked, or whose time is over.

    Their time ends `kept` after the last thing that happened to their order.
    """
    rows = await connection.fetch(FIND_DUE, list(LIVE_STATES), kept, limit)
    return [row["order_id"] for row in rows]


async def blank_contacts(connection: asyncpg.Connection, order_ids: Sequence[str]) -> None:
    """Forget whom these orders were for."""
    await connection.execute(
        "UPDATE order_contact SET customer_id = NULL, body = NULL, purged_at = now(),"
        " changed_at = now(), version = version + 1 WHERE order_id = ANY($1::text[])",
        list(order_ids),
    )


async def ask_to_purge(connection: asyncpg.Connection, order_ids: Sequence[str]) -> None:
    """Have these contacts forgotten as soon as there is no more work for their orders."""
    await connection.execute(
        "UPDATE order_contact SET purge_at = now() WHERE order_id = ANY($1::text[])",
        list(order_ids),
    )
