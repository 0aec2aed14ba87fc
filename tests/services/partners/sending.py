"""Endpoints, events and senders for tests, without HTTP calls of our own."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from services.database import Database
from services.events.sequencer import number_events
from services.ids import new_id
from services.partners import records, signing
from services.partners.fanout import write_messages
from services.partners.records import EndpointRow
from services.partners.sender import Sender
from services.records import Event, insert_events
from services.settings import Settings

LOOPBACK = "127.0.0.0/8"
SPREAD_S = 30
"""After which events that get no position are a defect."""
QUICK = {
    "webhook_allow": LOOPBACK,
    "webhook_poll_ms": 5,
    "webhook_retry_ms": 1,
    "webhook_pause_max_ms": 10,
    "webhook_timeout_ms": 2_000,
}
"""Settings under which days pass in milliseconds."""


def quick(settings: Settings, **changes: object) -> Settings:
    """Return settings under which a test can wait for retries."""
    return msgspec.structs.replace(settings, **{**QUICK, **changes})


async def add_endpoint(
    database: Database, url: str, *kinds: str, partner_id: str | None = None, **changes: object
) -> tuple[EndpointRow, str]:
    """Add an endpoint that is owed whatever happens from the beginning; return it and its secret."""
    now = datetime.now(UTC)
    given = EndpointRow(
        endpoint_id=new_id(),
        partner_id=partner_id,
        url=url,
        note="",
        kinds=kinds or ("*",),
        envelope="standard",
        state="enabled",
        reason=None,
        position=0,
        failing_since=None,
        failures=0,
        resume_at=None,
        created_at=now,
        changed_at=now,
        version=0,
    )
    secret = signing.new_secret()
    async with database.transaction() as connection:
        row = await records.insert_endpoint(
            connection, msgspec.structs.replace(given, **changes), "test"
        )
        await records.insert_secret(connection, row.endpoint_id, new_id(), secret)
    return row, signing.shown(secret)


def happening(lane: str, number: int, node_id: str = "WH-EAST") -> Event:
    """Return the `number`th thing that happens to a fulfillment order."""
    return Event(
        new_id(),
        "fulfillment_order.picked",
        f"order-{lane}",
        "test",
        {"fulfillment_order_id": lane, "node_id": node_id, "number": number, "paid_minor": 995},
    )


async def happen(database: Database, events: Sequence[Event]) -> None:
    """Let events happen, and those who are owed them have messages."""
    async with database.transaction() as connection:
        await insert_events(connection, events)
    await spread(database)


async def spread(database: Database) -> None:
    """Give all events their positions and endpoints their messages.

    An event waits for its position while any transaction is open that might still write one before
    it, such as a sender's; the job that numbers events comes back, and so does this.
    """
    async with asyncio.timeout(SPREAD_S):
        await number_events(database)
        while await unnumbered(database):
            await asyncio.sleep(0.01)
            await number_events(database)
    await write_messages(database)


async def unnumbered(database: Database) -> int:
    """Return how many events have no position yet."""
    async with database.connect() as connection:
        count: int = await connection.fetchval(
            "SELECT count(*) FROM event WHERE NOT EXISTS"
            " (SELECT FROM event_position AS p WHERE p.event_id = event.event_id)"
        )
    return count


@asynccontextmanager
async def sending(
    database: Database, settings: Settings, holder: str = "sender"
) -> AsyncIterator[Sender]:
    """Run a sender while the body runs."""
    sender = Sender(database, settings, holder, random.Random(1))
    task = asyncio.create_task(sender.run())
    try:
        yield sender
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def endpoint_now(database: Database, endpoint_id: UUID) -> EndpointRow:
    """Return an endpoint as it is."""
    async with database.connect() as connection:
        row = await records.find_endpoint(connection, endpoint_id)
    if row is None:
        raise LookupError(f"there is no endpoint {endpoint_id}")
    return row


async def until_ended(database: Database, endpoint_id: UUID, state: str, count: int) -> None:
    """Wait until so many messages of an endpoint are in a state."""
    async with asyncio.timeout(30):
        while await count_messages(database, endpoint_id, state) != count:
            await asyncio.sleep(0.01)


async def count_messages(database: Database, endpoint_id: UUID, state: str) -> int:
    """Return how many messages of an endpoint are in a state."""
    async with database.connect() as connection:
        count: int = await connection.fetchval(
            "SELECT count(*) FROM message WHERE endpoint_id = $1 AND state = $2", endpoint_id, state
        )
    return count
