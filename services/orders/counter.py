"""Reservations at the counter: a member of store staff holds units for a customer, from any node."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Meta

from inventory import resolve
from inventory.buffers import buffer_at, read_rules
from inventory.items import missing_items
from inventory.reserve import Demand, Take, reserve
from services import records as shared_records
from services.database import Database
from services.goods import transfers
from services.ids import new_id, numbered
from services.orders import handover_records
from services.planning.masterdata import verify_known
from services.problems import Refused
from services.records import Event

LINE = "counter"
CHANNEL = "store"
"""Whose pool it takes from, and whose buffers count where the units are at another node."""
SWEEP_LIMIT = 500
"""Reservations expired in one transaction."""

Delivery = Literal["collect", "transfer", "ship"]
Status = Literal["held", "confirmed", "consumed", "released", "expired"]


class ReservationAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Units of one sku held for a customer."""

    reservation_id: UUID
    node_id: Annotated[str, Meta(description="Where the customer stood.")]
    from_node_id: Annotated[str, Meta(description="Where the units were reserved.")]
    at_node_id: Annotated[str, Meta(description="Where they are, or where they arrive.")]
    delivery: Annotated[
        Delivery,
        Meta(description="Collected there, brought to `node_id` by a transfer, or shipped."),
    ]
    sku: str
    quantity: int
    status: Status
    in_transit: Annotated[int, Meta(description="Of them, still on their way to `node_id`.")]
    customer: str | None
    transfer_id: UUID | None
    order_id: Annotated[str | None, Meta(description="The order it has become.")]
    allocation_id: UUID | None
    created_at: datetime
    expires_at: datetime


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be held, and for whom."""

    node_id: str
    """Where the customer stands."""
    from_node_id: str
    """Where the units are."""
    sku: str
    quantity: int
    hold_s: int
    delivery: Delivery = "collect"
    customer: str | None = None
    expected_on: date | None = None
    own_stock: bool = True
    """Whether who asks speaks for the node where the units are, whose buffer then does not count."""


async def hold(connection: asyncpg.Connection, asked: Asked, *, actor: str) -> ReservationAnswer:
    """Hold units for a customer, and have them brought where that is asked for.

    A node's own counter ignores its buffer; at any other node it counts. What pools of other
    channels have a right to is theirs everywhere. Raises
    `insufficient-stock` with what is there, and what `transfers.open_one` raises.
    """
    now = await shared_records.database_now(connection)
    holder = new_id()
    take = Take(
        reservation_id=numbered(holder, 0),
        line_id=LINE,
        sku=asked.sku,
        node_id=asked.from_node_id,
        quantity=asked.quantity,
        buffer=0 if asked.own_stock else await kept_back(connection, asked),
        promise_on=now.astimezone(UTC).date(),
    )
    demand = Demand(
        holder_kind="staff",
        holder_id=holder,
        actor=actor,
        expires_at=now + timedelta(seconds=asked.hold_s),
        channel=CHANNEL,
        takes=(take,),
    )
    refusal = (await reserve(connection, [demand]))[0]
    if refusal is not None:
        verify_known("unknown-sku", "item", await missing_items(connection, [asked.sku]))
        raise too_few(asked, refusal.available)
    fields = (
        holder,
        asked.node_id,
        asked.from_node_id,
        asked.delivery,
        asked.customer,
        await bring(connection, asked, holder, actor),
    )
    await handover_records.insert_counter(connection, fields)
    held = await find(connection, holder)
    await tell(connection, "reservation.held", [held], actor)
    return held


def too_few(asked: Asked, available: int) -> Refused:
    """Return the refusal of more units than there are."""
    return Refused(
        "insufficient-stock",
        f"{asked.from_node_id} has {available} of {asked.sku} that are not promised; "
        f"{asked.quantity} were asked for. Hold fewer, or ask /v1/availability which node has more.",
        available=available,
    )


async def kept_back(connection: asyncpg.Connection, asked: Asked) -> int:
    """Return the units to leave at another node."""
    rules = await read_rules(connection, [asked.sku], CHANNEL)
    return buffer_at(rules, asked.sku, asked.from_node_id, CHANNEL)[0]


async def bring(
    connection: asyncpg.Connection, asked: Asked, holder: UUID, actor: str
) -> UUID | None:
    """Open the transfer that brings a reservation's units to the customer, if one is wanted."""
    if asked.delivery != "transfer":
        return None
    due_on = await transfers.due_on(connection, asked.node_id, asked.expected_on)
    wanted = transfers.asked_for(
        asked.from_node_id,
        asked.node_id,
        [(asked.sku, asked.quantity)],
        due_on,
        holder=holder,
        actor=actor,
    )
    return (await transfers.open_one(connection, wanted, own_stock=True)).transfer_id


async def find(connection: asyncpg.Connection, holder: UUID) -> ReservationAnswer:
    """Return a reservation at the counter; raises `not-found`."""
    parts = await handover_records.find_parts(connection, holder)
    if not parts:
        raise unknown(holder)
    kept = await handover_records.find_counter(connection, holder)
    now = standing(parts)
    node_id = now[0]["node_id"]
    about = (
        dict(kept)
        if kept is not None
        else {
            "node_id": node_id,
            "from_node_id": node_id,
            "delivery": "collect",
            "customer": None,
            "transfer_id": None,
            "order_id": None,
            "allocation_id": None,
        }
    )
    return ReservationAnswer(
        **about,
        reservation_id=holder,
        at_node_id=node_id,
        sku=now[0]["sku"],
        quantity=sum(part["quantity"] for part in now),
        status=now[0]["state"],
        in_transit=sum(part["quantity"] for part in now if part["supply_id"] is not None),
        created_at=parts[0]["created_at"],
        expires_at=now[0]["expires_at"],
    )


def standing(parts: Sequence[asyncpg.Record]) -> list[asyncpg.Record]:
    """Return the parts of a reservation that say how it stands: the live ones, or how it ended.

    What was given back where units were sent from is no end: they are held where they arrive.
    """
    live = [part for part in parts if part["resolved_at"] is None]
    if live:
        return live
    last = [part for part in parts if part["created_at"] == parts[-1]["created_at"]]
    return [part for part in last if part["state"] == last[-1]["state"]]


def unknown(holder: UUID) -> Refused:
    """Return the refusal for a reservation that does not exist."""
    return Refused("not-found", f"There is no reservation {holder}.")


async def release(connection: asyncpg.Connection, holder: UUID, *, actor: str) -> ReservationAnswer:
    """Give a reservation back, and call off the transfer that has not left for it.

    One that has ended stays as it is. Raises `not-found`.
    """
    found = await find(connection, holder)
    await call_off(connection, found, actor=actor)
    if await resolve.release(connection, [holder]):
        await tell(connection, "reservation.released", [found], actor)
    return await find(connection, holder)


async def call_off(connection: asyncpg.Connection, found: ReservationAnswer, *, actor: str) -> None:
    """Cancel the transfer that would bring a reservation's units, unless it has left or ended."""
    if found.transfer_id is not None and found.status in ("held", "confirmed"):
        transfer = await transfers.find(connection, found.transfer_id)
        if transfer.state == "open":
            await transfers.cancel(connection, found.transfer_id, actor=actor)


async def extend(
    connection: asyncpg.Connection, holder: UUID, *, hold_s: int, total_s: int, actor: str
) -> ReservationAnswer:
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
        became = f" and has become order {current.order_id}" if current.order_id else ""
        raise Refused(
            "illegal-state", f"The reservation is {current.status}{became}; hold the units anew."
        )
    await tell(connection, "reservation.extended", [current], actor)
    return await find(connection, holder)


async def expire_due(database: Database) -> int:
    """Return the units of counter reservations whose time is over; say how many there were."""

    async def work(connection: asyncpg.Connection) -> int:
        due = await resolve.expire_due(connection, holder_kind="staff", limit=SWEEP_LIMIT)
        ended = [await find(connection, holder) for holder in due]
        await tell(connection, "reservation.expired", ended, "system:expiry", reason="time")
        return len(due)

    return await database.run(work)


async def end_short(connection: asyncpg.Connection, holder: UUID, actor: str) -> bool:
    """End units held at a counter that are not there; False when they are held no more."""
    if not await resolve.release(connection, [holder], state="expired"):
        return False
    ended = await find(connection, holder)
    await tell(connection, "reservation.expired", [ended], actor, reason="shortage")
    return True


async def tell(
    connection: asyncpg.Connection,
    kind: str,
    found: Sequence[ReservationAnswer],
    actor: str,
    **more: str,
) -> None:
    """Append an event about each reservation, in the transaction of what happened to it."""
    told = [(str(each.reservation_id), {**facts(each), **more}) for each in found]
    await shared_records.insert_events(
        connection, [Event(new_id(), kind, subject, actor, each) for subject, each in told]
    )


def facts(found: ReservationAnswer) -> dict[str, object]:
    """Return what events tell of a reservation: where its units are, and for whom elsewhere."""
    told: dict[str, object] = {
        "sku": found.sku,
        "node_id": found.at_node_id,
        "quantity": found.quantity,
    }
    if found.node_id != found.at_node_id:
        told |= {"for_node_id": found.node_id, "delivery": found.delivery}
    return told
