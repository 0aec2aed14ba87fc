"""Transfers: units that leave one node and arrive at another, in transit in between.

They are promised at the node they leave until they have left; then they are expected supply of the
node they go to, so that whatever waits there is served in promise order when they arrive. What has
left and has neither arrived nor been given up as lost is in transit: two nodes always sum.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Literal
from uuid import UUID, uuid5

import asyncpg
import msgspec

from inventory import records, transfer_records
from inventory.book import Book, Movement, Shortage, open_book, transpose
from inventory.give_back import LIVE
from inventory.ledger import MovementRefused
from inventory.locks import StockKey
from inventory.pools import spend
from inventory.reserve import Demand, Refusal, Take, reserve
from inventory.resolve import release
from inventory.supply import Supply, SupplyShortage, put_supply

PREFIX = "transfer/"
"""How the ids of supply in transit begin; nobody else may announce or receive it."""
FAR = datetime(9999, 1, 1, tzinfo=UTC)
"""When what a transfer holds expires: it is confirmed, and ends with the transfer."""


class TransferLine(msgspec.Struct, frozen=True, kw_only=True):
    """Units of one sku, and how far they have come."""

    sku: str
    quantity: int
    """Units asked for."""
    shipped: int = 0
    received: int = 0
    """Arrived, damaged ones included."""
    damaged: int = 0
    lost: int = 0

    @property
    def in_transit(self) -> int:
        """Units that have left and not arrived."""
        return self.shipped - self.received - self.lost


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """Units on their way from one node to another."""

    transfer_id: UUID
    from_node_id: str
    to_node_id: str
    holder_id: UUID
    """Whose reservations: the transfer's own id, or the holder for whom the units are moved."""
    state: Literal["open", "shipped", "received", "cancelled"] = "open"
    expected_on: date
    """Local date at the destination from which the units are there."""
    note: str = ""
    actor: str
    created_at: datetime | None = None
    shipped_at: datetime | None = None
    ended_at: datetime | None = None
    lines: tuple[TransferLine, ...]

    @property
    def supply_id(self) -> str:
        """The supply that its units are, at the destination, while they are in transit."""
        return f"{PREFIX}{self.transfer_id}"


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """What became of some units in transit."""

    sku: str
    quantity: int = 0
    """Units that came in, damaged ones included."""
    damaged: int = 0
    lost: int = 0


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """What shipping or receiving led to."""

    shortages: tuple[Shortage, ...] = ()
    supply_shortages: tuple[SupplyShortage, ...] = ()
    """What the destination was promised and does not come."""


async def begin(
    connection: asyncpg.Connection, transfer: Transfer, *, buffers: Mapping[str, int]
) -> Refusal | None:
    """Open a transfer and promise its units to it at the node they leave; None when they are.

    `buffers` are the units to leave there, by sku. A transfer for another holder takes nothing: that
    holder has the units. Raises what `reserve` raises.
    """
    if transfer.holder_id == transfer.transfer_id:
        takes = tuple(
            Take(
                reservation_id=uuid5(transfer.transfer_id, line.sku),
                line_id=line.sku,
                sku=line.sku,
                node_id=transfer.from_node_id,
                quantity=line.quantity,
                buffer=buffers.get(line.sku, 0),
                promise_on=transfer.expected_on,
            )
            for line in transfer.lines
        )
        demand = Demand(
            holder_kind="transfer",
            holder_id=transfer.transfer_id,
            actor=transfer.actor,
            expires_at=FAR,
            takes=takes,
        )
        refusal = (await reserve(connection, [demand], state="confirmed"))[0]
        if refusal is not None:
            return refusal
    await transfer_records.insert_transfer(
        connection,
        (
            transfer.transfer_id,
            transfer.from_node_id,
            transfer.to_node_id,
            transfer.holder_id,
            transfer.expected_on,
            transfer.note,
            transfer.actor,
        ),
    )
    units = {line.sku: line.quantity for line in transfer.lines}
    await transfer_records.insert_lines(
        connection, transfer.transfer_id, list(units), list(units.values())
    )
    return None


async def ship(
    connection: asyncpg.Connection, transfer: Transfer, units: Mapping[str, int], *, actor: str
) -> Moved:
    """Let units of a locked, open transfer leave; what is not shipped is free again.

    They are there on `transfer.expected_on`, which may be later than at first. A holder's units are
    promised to it from the supply in transit. Raises ValueError for units that the transfer or its
    holder does not have; MovementRefused; asyncpg.SerializationError: try again.
    """
    _check_units(transfer, units)
    promises = await _promises(connection, transfer)
    left = [(sku, quantity) for sku, quantity in units.items() if quantity]
    keys = {(line.sku, transfer.from_node_id) for line in transfer.lines}
    keys |= {(sku, transfer.to_node_id) for sku, _ in left}
    book, _ = await open_book(connection, keys)
    for promise in promises:
        book.balances[promise["sku"], transfer.from_node_id].reserved -= promise["quantity"]
    for sku, quantity in left:
        movement = _movement(transfer, "transfer_out", sku, quantity, actor)
        _leave(book, movement)
    shortages = await book.write(connection)
    await records.end_reservations(connection, [transfer.holder_id], LIVE, "released")
    await put_supply(connection, [_supply(transfer, sku, quantity) for sku, quantity in left])
    await spend(connection, promises)
    await _promise_again(connection, transfer, promises)
    await transfer_records.add_to_lines(
        connection,
        transfer.transfer_id,
        transpose([(sku, quantity, 0, 0, 0) for sku, quantity in left]),
    )
    await transfer_records.set_shipped(connection, transfer.transfer_id, transfer.expected_on)
    return Moved(shortages=tuple(shortages))


async def receive(
    connection: asyncpg.Connection,
    transfer: Transfer,
    arrivals: Sequence[Arrival],
    *,
    movement_id: UUID,
    actor: str,
) -> Moved:
    """Take in units of a locked, shipped transfer, or give them up as lost.

    What arrives serves what waits at the destination, in promise order; what arrives damaged is set
    aside. The transfer has ended when nothing is in transit. Raises ValueError for more units than
    are in transit; asyncpg.SerializationError: try again.
    """
    _check_arrivals(transfer, arrivals)
    keys = {(each.sku, transfer.to_node_id) for each in arrivals}
    sources = {(each.sku, transfer.supply_id) for each in arrivals}
    book, _ = await open_book(connection, keys, sources)
    for each in arrivals:
        _arrive(book, transfer, each, uuid5(movement_id, each.sku), actor)
    shortages = await book.write(connection)
    lost = [each for each in arrivals if each.lost]
    if lost:
        await transfer_records.cut_supply(
            connection,
            transfer.supply_id,
            [each.sku for each in lost],
            [each.lost for each in lost],
        )
    await transfer_records.add_to_lines(
        connection,
        transfer.transfer_id,
        transpose([(each.sku, 0, each.quantity, each.damaged, each.lost) for each in arrivals]),
    )
    gone = {each.sku: each.quantity + each.lost for each in arrivals}
    if all(line.in_transit == gone.get(line.sku, 0) for line in transfer.lines):
        await transfer_records.set_ended(connection, transfer.transfer_id, "received")
    return Moved(
        shortages=tuple(shortages),
        supply_shortages=tuple(
            SupplyShortage(sku=source[0], supply_id=source[1], shortage=-row.free)
            for source, row in book.supply.items()
            if source in sources and row.free < 0
        ),
    )


async def cancel(connection: asyncpg.Connection, transfer: Transfer) -> None:
    """End a locked, open transfer; its own units are free again, another holder keeps its own."""
    if transfer.holder_id == transfer.transfer_id:
        await release(connection, [transfer.transfer_id])
    await transfer_records.set_ended(connection, transfer.transfer_id, "cancelled")


async def find(connection: asyncpg.Connection, transfer_id: UUID) -> Transfer | None:
    """Return a transfer."""
    row = await transfer_records.find_transfer(connection, transfer_id)
    return (await _told(connection, [row]))[0] if row else None


async def lock_one(connection: asyncpg.Connection, transfer_id: UUID) -> Transfer | None:
    """Return a transfer, locked until the transaction ends."""
    row = await transfer_records.lock_transfer(connection, transfer_id)
    return (await _told(connection, [row]))[0] if row else None


async def list_open(
    connection: asyncpg.Connection, node_id: str, after: UUID | None, limit: int
) -> list[Transfer]:
    """Return a page of the transfers from or to a node that have not ended, oldest first."""
    rows = await transfer_records.list_transfers(connection, node_id, after, limit)
    return await _told(connection, rows)


async def _told(connection: asyncpg.Connection, rows: Sequence[asyncpg.Record]) -> list[Transfer]:
    found = await transfer_records.find_lines(connection, [row["transfer_id"] for row in rows])
    lines: dict[UUID, list[TransferLine]] = {row["transfer_id"]: [] for row in rows}
    for line in found:
        fields = {name: value for name, value in line.items() if name != "transfer_id"}
        lines[line["transfer_id"]].append(TransferLine(**fields))
    return [Transfer(**row, lines=tuple(lines[row["transfer_id"]])) for row in rows]


async def _promises(connection: asyncpg.Connection, transfer: Transfer) -> list[asyncpg.Record]:
    """Return the locked reservations whose units leave; raises ValueError unless those are all."""
    await records.lock_reservations(connection, [transfer.holder_id], LIVE)
    promises = await transfer_records.find_promises(connection, transfer.holder_id)
    wanted = {line.sku: line.quantity for line in transfer.lines}
    for promise in promises:
        here = (promise["node_id"], promise["supply_id"]) == (transfer.from_node_id, None)
        sku = promise["sku"] if here else ""
        wanted[sku] = wanted.get(sku, 0) - promise["quantity"]
    if any(wanted.values()):
        raise ValueError(
            f"{transfer.holder_id} no longer has what transfer {transfer.transfer_id} moves from "
            f"{transfer.from_node_id}; cancel the transfer"
        )
    return promises


async def _promise_again(
    connection: asyncpg.Connection, transfer: Transfer, promises: Sequence[asyncpg.Record]
) -> None:
    """Promise a holder at the destination what has left for it."""
    if transfer.holder_id == transfer.transfer_id:
        return
    for promise in promises:
        take = Take(
            reservation_id=uuid5(promise["reservation_id"], str(transfer.transfer_id)),
            line_id=promise["line_id"],
            sku=promise["sku"],
            node_id=transfer.to_node_id,
            quantity=promise["quantity"],
            supply_id=transfer.supply_id,
            promise_on=transfer.expected_on,
        )
        demand = Demand(
            holder_kind=promise["holder_kind"],
            holder_id=transfer.holder_id,
            actor=promise["actor"],
            expires_at=promise["expires_at"],
            takes=(take,),
        )
        refusal = (await reserve(connection, [demand], state=promise["state"]))[0]
        if refusal is not None:
            raise ValueError(
                f"{refusal.available} of the {refusal.needed} units of {take.sku} in transit to "
                f"{transfer.to_node_id} are free for {transfer.holder_id}; ship all of them"
            )


def _leave(book: Book, movement: Movement) -> None:
    """Write one departure into the book; raises MovementRefused where goods are not there to go."""
    key: StockKey = (movement.sku, movement.node_id)
    balance = book.balances[key]
    on_hand = balance.on_hand
    book.add(movement)
    if balance.on_hand < min(on_hand, 0):
        raise MovementRefused(
            movement, f"only {on_hand} are on hand; count the record first", on_hand
        )
    # Unlike a dispatch, which keeps a promise, moving goods away from a shortage breaks one.
    if balance.free < 0:
        free = max(balance.free + movement.quantity, 0)
        raise MovementRefused(movement, f"only {free} are not promised to others", free)


def _arrive(book: Book, transfer: Transfer, each: Arrival, movement_id: UUID, actor: str) -> None:
    """Write one arrival into the book, with what came damaged and what was lost."""
    source = (each.sku, transfer.supply_id)
    if each.quantity:
        arrived = _movement(transfer, "transfer_in", each.sku, each.quantity, actor)
        arrived = msgspec.structs.replace(arrived, movement_id=movement_id)
        book.add(arrived)
        book.receive(source, each.quantity)
        if each.damaged:
            book.add(
                msgspec.structs.replace(
                    arrived,
                    movement_id=uuid5(movement_id, "damaged"),
                    kind="damage",
                    quantity=each.damaged,
                    reason="damaged on arrival",
                )
            )
    row = book.supply[source]
    book.replan(source, row.expected_on, row.quantity - each.lost, row.trust_percent)


def _movement(transfer: Transfer, kind: str, sku: str, quantity: int, actor: str) -> Movement:
    leaves = kind == "transfer_out"
    return Movement(
        movement_id=uuid5(transfer.transfer_id, f"{kind}/{sku}"),
        sku=sku,
        node_id=transfer.from_node_id if leaves else transfer.to_node_id,
        kind=kind,
        quantity=quantity,
        happened_at=None,
        actor=actor,
        reference=transfer.supply_id,
    )


def _supply(transfer: Transfer, sku: str, quantity: int) -> Supply:
    return Supply(
        sku=sku,
        supply_id=transfer.supply_id,
        node_id=transfer.to_node_id,
        kind="transfer",
        expected_on=transfer.expected_on,
        quantity=quantity,
    )


def _check_units(transfer: Transfer, units: Mapping[str, int]) -> None:
    """Raise ValueError unless `units` are of the transfer's skus, and at most what it has."""
    asked = {line.sku: line.quantity for line in transfer.lines}
    for sku, quantity in units.items():
        if not 0 <= quantity <= asked.get(sku, -1):
            raise ValueError(
                f"transfer {transfer.transfer_id} has {asked.get(sku, 0)} units of {sku}, and "
                f"{quantity} were to leave"
            )
    if not any(units.values()):
        raise ValueError(f"nothing of transfer {transfer.transfer_id} would leave; cancel it")
    others = transfer.holder_id != transfer.transfer_id
    if others and any(units.get(sku, 0) < quantity for sku, quantity in asked.items()):
        raise ValueError(
            f"the units of transfer {transfer.transfer_id} are promised to {transfer.holder_id}; "
            "ship all of them, or cancel the transfer"
        )


def _check_arrivals(transfer: Transfer, arrivals: Iterable[Arrival]) -> None:
    """Raise ValueError unless what arrives is in transit, each sku once."""
    in_transit = {line.sku: line.in_transit for line in transfer.lines}
    for each in arrivals:
        there = in_transit.pop(each.sku, 0)
        units = each.quantity + each.lost
        if not 0 < units <= there or not 0 <= each.damaged <= each.quantity or each.lost < 0:
            raise ValueError(
                f"{there} units of {each.sku} are in transit with transfer "
                f"{transfer.transfer_id}; {each.quantity} came in, {each.damaged} of them damaged, "
                f"and {each.lost} were lost"
            )
