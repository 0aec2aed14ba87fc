"""What is kept of a customer: given out, and forgotten, on request or when its time is over."""

from datetime import datetime, timedelta
from typing import Any

import asyncpg
import msgspec

from services.database import Database
from services.events import records as events
from services.ids import new_id
from services.orders import lifecycle
from services.orders import records as allocations
from services.people import records, timeline
from services.people.contacts import Contact, contact_of
from services.people.timeline import FAMILIES, START, Entry
from services.records import Event, insert_events

BATCH_MAX = 500
"""Contacts forgotten in one transaction."""
ENTRIES_MAX = 10_000
"""Things that happened to one order which an export tells."""


class KeptOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of one order of a customer."""

    order_id: str
    contact: Contact | None
    contact_changed_at: datetime
    allocations: list[dict[str, Any]]
    timeline: list[Entry]


class Purged(msgspec.Struct, frozen=True):
    """What became of a customer's contacts."""

    forgotten: list[str]
    """Orders of which nothing personal is kept any more."""
    waiting: list[str]
    """Orders that are still under way: they are forgotten when their last work has ended."""


async def export(connection: asyncpg.Connection, customer_id: str) -> list[KeptOrder]:
    """Return everything that is kept of a customer, by order."""
    kept = []
    for row, _ in await records.customer_contacts(connection, customer_id):
        rows = await allocations.find_of_order(connection, row.order_id)
        happened = await events.read_about(
            connection, [row.order_id], FAMILIES, START, ENTRIES_MAX, None
        )
        kept.append(
            KeptOrder(
                order_id=row.order_id,
                contact=contact_of(row),
                contact_changed_at=row.changed_at,
                allocations=[msgspec.to_builtins(lifecycle.told(each)) for each in rows],
                timeline=[timeline.entry(each) for each in happened],
            )
        )
    return kept


async def purge(connection: asyncpg.Connection, customer_id: str) -> Purged:
    """Forget who a customer is, at once where no work is left to do, and else as soon as it is.

    What happened to the orders stays, without anything personal; each gets an event that says so.
    """
    found = await records.customer_contacts(connection, customer_id)
    waiting = [row.order_id for row, under_way in found if under_way]
    forgotten = [row.order_id for row, under_way in found if not under_way]
    await records.ask_to_purge(connection, waiting)
    await forget(connection, forgotten, "asked", "system:purge")
    return Purged(forgotten, waiting)


async def forget(
    connection: asyncpg.Connection, order_ids: list[str], reason: str, actor: str
) -> None:
    """Blank contacts and tell that it was done."""
    if not order_ids:
        return
    await records.blank_contacts(connection, order_ids)
    await insert_events(
        connection,
        [
            Event(new_id(), "order.contact_purged", order_id, actor, {"reason": reason})
            for order_id in order_ids
        ],
    )


async def forget_contacts(kept_days: int, database: Database) -> int:
    """Forget contacts that nobody needs any more; say how many there were."""

    async def work(connection: asyncpg.Connection) -> int:
        due = await records.lock_due_contacts(connection, timedelta(days=kept_days), BATCH_MAX)
        await forget(connection, due, "time", "system:retention")
        return len(due)

    total = 0
    while done := await database.run(work):
        total += done
    return total
