"""Transfers as they are asked for and told: who may move what, and what everybody learns of it."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Meta

from inventory import transfers
from inventory.buffers import buffer_at, read_rules
from inventory.ledger import MovementRefused
from inventory.reserve import Refusal
from inventory.transfers import Arrival, Moved, Transfer, TransferLine
from services.goods import records
from services.ids import new_id
from services.planning.masterdata import verify_distinct
from services.planning.stock import verify_places
from services.problems import Refused
from services.records import Event, insert_events
from services.shortages import tell_shortages, tell_supply_shortages

CHANNEL = "transfer"
"""Whose buffers count where another node asks for goods."""
DAYS = 3
"""Days that a transfer takes unless the caller knows better."""


class TransferLineAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Units of one sku and how far they have come."""

    sku: str
    quantity: int
    shipped: int
    in_transit: Annotated[int, Meta(description="Left, and neither arrived nor lost.")]
    received: Annotated[int, Meta(description="Arrived, damaged ones included.")]
    damaged: int
    lost: int


class TransferAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer between two nodes."""

    transfer_id: UUID
    from_node_id: str
    to_node_id: str
    reservation_id: Annotated[
        UUID | None, Meta(description="For which reservation at a counter the units are moved.")
    ]
    state: Literal["open", "shipped", "received", "cancelled"]
    expected_on: Annotated[date, Meta(description="Local date at the destination.")]
    note: str
    actor: str
    created_at: datetime
    shipped_at: datetime | None
    ended_at: datetime | None
    lines: list[TransferLineAnswer]


async def open_one(
    connection: asyncpg.Connection, asked: Transfer, *, own_stock: bool
) -> TransferAnswer:
    """Open a transfer; its units are nobody else's from now on.

    Whoever speaks for the node that gives does not mind its buffer (`own_stock`). Raises
    `duplicate-entry`, `unknown-sku`, `unknown-node`, `insufficient-stock`.
    """
    verify_distinct("sku", (line.sku for line in asked.lines))
    places = {
        (line.sku, node_id)
        for line in asked.lines
        for node_id in (asked.from_node_id, asked.to_node_id)
    }
    await verify_places(connection, places)
    buffers = {} if own_stock else await buffers_at(connection, asked)
    refusal = await transfers.begin(connection, asked, buffers=buffers)
    if refusal is not None:
        raise insufficient(asked, refusal)
    return await tell(connection, "transfer.opened", asked.transfer_id, asked.actor)


async def ship(
    connection: asyncpg.Connection,
    transfer_id: UUID,
    units: Mapping[str, int] | None,
    expected_on: date | None,
    *,
    actor: str,
) -> TransferAnswer:
    """Let the units leave, all of them or those named; the rest is free again.

    Raises `not-found`, `illegal-state`, `negative-stock`.
    """
    transfer = verify_state(await transfers.lock_one(connection, transfer_id), transfer_id, "open")
    today = await records.find_local_date(connection, transfer.to_node_id)
    due = max(expected_on or transfer.expected_on, today)
    transfer = msgspec.structs.replace(transfer, expected_on=due)
    given = {line.sku: line.quantity for line in transfer.lines} if units is None else units
    try:
        moved = await transfers.ship(connection, transfer, given, actor=actor)
    except MovementRefused as error:
        raise Refused("negative-stock", f"{error}.", available=error.available) from error
    except ValueError as error:
        raise Refused("illegal-state", f"{error}.") from error
    await tell_moved(connection, moved, actor)
    return await tell(connection, "transfer.shipped", transfer_id, actor)


async def receive(
    connection: asyncpg.Connection,
    transfer_id: UUID,
    arrivals: Sequence[Arrival] | None,
    *,
    actor: str,
) -> TransferAnswer:
    """Take in what has arrived, or give up what was lost; all that is in transit unless named.

    Raises `not-found`, `illegal-state`, `duplicate-entry`.
    """
    transfer = verify_state(
        await transfers.lock_one(connection, transfer_id), transfer_id, "shipped"
    )
    if arrivals is None:
        arrivals = [
            Arrival(sku=line.sku, quantity=line.in_transit)
            for line in transfer.lines
            if line.in_transit
        ]
    verify_distinct("sku", (each.sku for each in arrivals))
    try:
        moved = await transfers.receive(
            connection, transfer, arrivals, movement_id=new_id(), actor=actor
        )
    except ValueError as error:
        raise Refused("illegal-state", f"{error}.") from error
    await tell_moved(connection, moved, actor)
    return await tell(connection, "transfer.received", transfer_id, actor)


async def cancel(
    connection: asyncpg.Connection, transfer_id: UUID, *, actor: str
) -> TransferAnswer:
    """End a transfer that has not left; raises `not-found`, `illegal-state`."""
    transfer = await transfers.lock_one(connection, transfer_id)
    if transfer is not None and transfer.state == "cancelled":
        return told(transfer)
    await transfers.cancel(connection, verify_state(transfer, transfer_id, "open"))
    return await tell(connection, "transfer.cancelled", transfer_id, actor)


async def find(connection: asyncpg.Connection, transfer_id: UUID) -> TransferAnswer:
    """Return a transfer; raises `not-found`."""
    transfer = await transfers.find(connection, transfer_id)
    if transfer is None:
        raise unknown(transfer_id)
    return told(transfer)


async def list_open(
    connection: asyncpg.Connection, node_id: str, after: UUID | None, limit: int
) -> list[TransferAnswer]:
    """Return a page of the transfers from or to a node that have not ended, oldest first."""
    return [told(each) for each in await transfers.list_open(connection, node_id, after, limit)]


def asked_for(
    from_node_id: str,
    to_node_id: str,
    units: Sequence[tuple[str, int]],
    expected_on: date,
    *,
    holder: UUID | None,
    actor: str,
) -> Transfer:
    """Return a new transfer of (sku, units) as it is asked for."""
    transfer_id = new_id()
    return Transfer(
        transfer_id=transfer_id,
        from_node_id=from_node_id,
        to_node_id=to_node_id,
        holder_id=holder or transfer_id,
        expected_on=expected_on,
        actor=actor,
        lines=tuple(TransferLine(sku=sku, quantity=quantity) for sku, quantity in units),
    )


async def due_on(connection: asyncpg.Connection, node_id: str, expected_on: date | None) -> date:
    """Return when a transfer that is opened now is expected; raises `unknown-node`."""
    today: date | None = await records.find_local_date(connection, node_id)
    if today is None:
        raise Refused("unknown-node", f"There is no node {node_id}; send it first.")
    if expected_on is not None and expected_on < today:
        raise Refused("date-in-past", f"expected_on is {expected_on}; today is {today} there.")
    return expected_on or today + timedelta(days=DAYS)


async def buffers_at(connection: asyncpg.Connection, asked: Transfer) -> dict[str, int]:
    """Return the units to leave at the node that gives, by sku."""
    skus = [line.sku for line in asked.lines]
    rules = await read_rules(connection, skus, CHANNEL)
    return {sku: buffer_at(rules, sku, asked.from_node_id, CHANNEL)[0] for sku in skus}


def insufficient(asked: Transfer, refusal: Refusal) -> Refused:
    """Return the refusal of a transfer whose node does not have what is asked for."""
    return Refused(
        "insufficient-stock",
        f"{asked.from_node_id} has {refusal.available} of {refusal.sku} that it can give; "
        f"{refusal.needed} were asked for. Ask for fewer, or another node.",
        available=refusal.available,
    )


def verify_state(transfer: Transfer | None, transfer_id: UUID, state: str) -> Transfer:
    """Return a transfer that is in `state`; raises `not-found`, `illegal-state`."""
    if transfer is None:
        raise unknown(transfer_id)
    if transfer.state != state:
        allowed = {"open": ("ship", "cancel"), "shipped": ("receive",)}.get(transfer.state, ())
        raise Refused(
            "illegal-state",
            f"The transfer is {transfer.state}; it allows {', '.join(allowed) or 'nothing'}.",
            state=transfer.state,
            allowed=allowed,
        )
    return transfer


def unknown(transfer_id: UUID) -> Refused:
    """Return the refusal for a transfer that does not exist."""
    return Refused("not-found", f"There is no transfer {transfer_id}.")


def told(transfer: Transfer) -> TransferAnswer:
    """Return a transfer as it is told."""
    if transfer.created_at is None:
        raise ValueError(f"transfer {transfer.transfer_id} has not been opened")
    for_another = transfer.holder_id != transfer.transfer_id
    return TransferAnswer(
        transfer_id=transfer.transfer_id,
        from_node_id=transfer.from_node_id,
        to_node_id=transfer.to_node_id,
        reservation_id=transfer.holder_id if for_another else None,
        state=transfer.state,
        expected_on=transfer.expected_on,
        note=transfer.note,
        actor=transfer.actor,
        created_at=transfer.created_at,
        shipped_at=transfer.shipped_at,
        ended_at=transfer.ended_at,
        lines=[
            TransferLineAnswer(**msgspec.structs.asdict(line), in_transit=line.in_transit)
            for line in transfer.lines
        ],
    )


async def tell(
    connection: asyncpg.Connection, kind: str, transfer_id: UUID, actor: str
) -> TransferAnswer:
    """Append an event of a transfer, for the node that has to know, and return the transfer."""
    now = await find(connection, transfer_id)
    coming = kind in ("transfer.shipped", "transfer.received")
    payload: dict[str, object] = {
        "transfer_id": str(transfer_id),
        "node_id": now.to_node_id if coming else now.from_node_id,
        "from_node_id": now.from_node_id,
        "to_node_id": now.to_node_id,
        "state": now.state,
        "expected_on": str(now.expected_on),
        "lines": [msgspec.structs.asdict(line) for line in now.lines],
    }
    if now.reservation_id is not None:
        payload["reservation_id"] = str(now.reservation_id)
    await insert_events(connection, [Event(new_id(), kind, str(transfer_id), actor, payload)])
    return now


async def tell_moved(connection: asyncpg.Connection, moved: Moved, actor: str) -> None:
    """Append the events of shortages that moving goods has uncovered."""
    await tell_shortages(connection, moved.shortages, actor)
    await tell_supply_shortages(connection, moved.supply_shortages, actor)
