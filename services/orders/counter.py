"""Reservations at the counter: a member of store staff holds units for a customer."""

from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

import asyncpg
import msgspec

from inventory import resolve
from inventory.reserve import Demand, Take, reserve
from services import records as shared_records
from services.database import Database
from services.ids import new_id, numbered
from services.orders import records
from services.orders.idempotency import Answer, answer
from services.problems import Refused
from services.records import Event

LINE = "counter"
SWEEP_LIMIT = 500
"""Reservations expired in one transaction."""


class ReservationAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Units of one sku held at one node."""

    reservation_id: UUID
    node_id: str
    sku: str
    quantity: int
    status: Literal["held", "confirmed", "consumed", "released", "expired"]
    created_at: datetime
    expires_at: datetime


async def hold(
    connection: asyncpg.Connection,
    *,
    node_id: str,
    sku: str,
    quantity: int,
    hold_s: int,
    actor: str,
) -> Answer:
    """Hold units at a node; the node's own counter ignores its buffer.

    Raises `insufficient-stock` with what is there.
    """
    now = await shared_records.database_now(connection)
    holder = new_id()
    demand = Demand(
        holder_kind="staff",
        holder_id=holder,
        actor=actor,
        expires_at=now + timedelta(seconds=hold_s),
        takes=(
            Take(
                reservation_id=numbered(holder, 0),
                line_id=LINE,
                sku=sku,
                node_id=node_id,
                quantity=quantity,
                promise_on=now.astimezone(UTC).date(),
            ),
        ),
    )
    refusal = (await reserve(connection, [demand]))[0]
    if refusal is not None:
        raise Refused(
            "insufficient-stock",
            f"{node_id} has {refusal.available} of {sku} that are not promised; {quantity} were "
            "asked for. Hold fewer, or ask /v1/availability which node has more.",
            available=refusal.available,
        )
    await shared_records.insert_events(
        connection,
        [Event(new_id(), "reservation.held", str(holder), actor, {"sku": sku, "node_id": node_id})],
    )
    return answer(201, await find(connection, holder))


async def find(connection: asyncpg.Connection, holder: UUID) -> ReservationAnswer:
    """Return a reservation at the counter; raises `not-found`."""
    row = await records.find_counter_reservation(connection, holder)
    if row is None:
        raise Refused("not-found", f"There is no reservation {holder}.")
    return ReservationAnswer(**row)


async def release(connection: asyncpg.Connection, holder: UUID, *, actor: str) -> Answer:
    """Give a reservation back; one that has ended stays as it is. Raises `not-found`."""
    await find(connection, holder)
    if await resolve.release(connection, [holder]):
        await shared_records.insert_events(
            connection, [Event(new_id(), "reservation.released", str(holder), actor, {})]
        )
    return answer(200, await find(connection, holder))


async def extend(
    connection: asyncpg.Connection, holder: UUID, *, hold_s: int, total_s: int, actor: str
) -> Answer:
    """Hold for `hold_s` seconds from now; raises `not-found`, `hold-too-long`, `illegal-state`."""
    now = await shared_records.database_now(connection)
    current = await find(connection, holder)
    until = max(now + timedelta(seconds=hold_s), current.expires_at)
    latest = current.created_at + timedelta(seconds=total_s)
    if until > latest:
        raise Refused(
            "hold-too-long",
            f"Units can be held until {latest:%Y-%m-%dT%H:%M:%SZ} at most, {total_s} s in all.",
        )
    if not await resolve.extend(connection, holder, until):
        raise Refused("illegal-state", f"The reservation is {current.status}; hold the units anew.")
    await shared_records.insert_events(
        connection, [Event(new_id(), "reservation.extended", str(holder), actor, {})]
    )
    return answer(200, await find(connection, holder))


async def expire_due(database: Database) -> int:
    """Return the units of counter reservations whose time is over; say how many there were."""

    async def work(connection: asyncpg.Connection) -> int:
        due = await resolve.expire_due(connection, holder_kind="staff", limit=SWEEP_LIMIT)
        await shared_records.insert_events(
            connection,
            [
                Event(new_id(), "reservation.expired", str(holder), "system:expiry", {})
                for holder in due
            ],
        )
        return len(due)

    return await database.run(work)
