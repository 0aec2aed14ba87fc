"""SQL of people: contacts of orders, staff, their sessions and attempts to sign in."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

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


class StaffRow(msgspec.Struct, frozen=True):
    """Somebody who works here and may sign in."""

    name: str
    role: str
    node_ids: list[str]
    password_hash: str
    created_at: datetime
    disabled_at: datetime | None


STAFF = "SELECT name, role, node_ids, password_hash, created_at, disabled_at FROM staff"


async def insert_staff(
    connection: asyncpg.Connection,
    name: str,
    role: str,
    node_ids: Sequence[str],
    password_hash: str,
) -> bool:
    """Add somebody; False when the name is taken."""
    done: str = await connection.execute(
        "INSERT INTO staff (name, role, node_ids, password_hash) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT DO NOTHING",
        name,
        role,
        list(node_ids),
        password_hash,
    )
    return done == "INSERT 0 1"


async def find_staff(connection: asyncpg.Connection, name: str) -> StaffRow | None:
    """Return somebody who may sign in."""
    row = await connection.fetchrow(f"{STAFF} WHERE name = $1 AND disabled_at IS NULL", name)
    return StaffRow(*row) if row else None


async def list_staff(connection: asyncpg.Connection) -> list[StaffRow]:
    """Return everybody by name."""
    return [StaffRow(*row) for row in await connection.fetch(f"{STAFF} ORDER BY name")]


async def set_password(connection: asyncpg.Connection, name: str, password_hash: str) -> bool:
    """Give somebody another password; False when there is nobody of this name."""
    done: str = await connection.execute(
        "UPDATE staff SET password_hash = $2 WHERE name = $1 AND disabled_at IS NULL",
        name,
        password_hash,
    )
    return done == "UPDATE 1"


async def disable_staff(connection: asyncpg.Connection, name: str) -> bool:
    """Let somebody in no longer; False when nobody of this name was."""
    done: str = await connection.execute(
        "UPDATE staff SET disabled_at = now() WHERE name = $1 AND disabled_at IS NULL", name
    )
    return done == "UPDATE 1"


async def insert_session(
    connection: asyncpg.Connection, token_hash: bytes, name: str, expires_at: datetime
) -> None:
    """Begin a session."""
    await connection.execute(
        "INSERT INTO staff_session (token_hash, name, expires_at) VALUES ($1, $2, $3)",
        token_hash,
        name,
        expires_at,
    )


async def delete_session(connection: asyncpg.Connection, token_hash: bytes) -> bool:
    """End a session; False when there was none."""
    done: str = await connection.execute(
        "DELETE FROM staff_session WHERE token_hash = $1", token_hash
    )
    return done == "DELETE 1"


async def delete_sessions_of(connection: asyncpg.Connection, name: str) -> None:
    """End every session of somebody."""
    await connection.execute("DELETE FROM staff_session WHERE name = $1", name)


async def wait_for_attempts(
    connection: asyncpg.Connection, column: str, value: bytes, window: timedelta, most: int
) -> timedelta | None:
    """Return how long until one more attempt is allowed; None when it is now.

    `column` is `name_hash` or `address_hash`; `most` attempts are allowed within the window.
    """
    if column not in ("name_hash", "address_hash"):
        raise ValueError(f"attempts are not counted by {column}")
    wait: timedelta | None = await connection.fetchval(
        f"SELECT attempted_at + $2::interval - now() FROM sign_in_attempt WHERE {column} = $1"
        " AND attempted_at > now() - $2::interval ORDER BY attempted_at DESC OFFSET $3 LIMIT 1",
        value,
        window,
        most - 1,
    )
    return wait


async def insert_attempt(
    connection: asyncpg.Connection, attempt_id: UUID, name_hash: bytes, address_hash: bytes
) -> None:
    """Count an attempt to sign in, as one that failed until it has not."""
    await connection.execute(
        "INSERT INTO sign_in_attempt (attempt_id, name_hash, address_hash) VALUES ($1, $2, $3)",
        attempt_id,
        name_hash,
        address_hash,
    )


async def forget_attempts(connection: asyncpg.Connection, name_hash: bytes) -> None:
    """Forget the attempts for a name whose owner has signed in."""
    await connection.execute("DELETE FROM sign_in_attempt WHERE name_hash = $1", name_hash)


async def delete_old_attempts(connection: asyncpg.Connection, window: timedelta) -> int:
    """Delete attempts that no longer count, and sessions that are over; say how many."""
    attempts: str = await connection.execute(
        "DELETE FROM sign_in_attempt WHERE attempted_at <= now() - $1::interval", window
    )
    sessions: str = await connection.execute("DELETE FROM staff_session WHERE expires_at <= now()")
    return int(attempts.split()[1]) + int(sessions.split()[1])
