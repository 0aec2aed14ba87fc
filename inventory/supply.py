"""Supply: units expected at a node on a date, and their arrival."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime
from typing import Literal
from uuid import UUID, uuid5

import asyncpg
import msgspec

from inventory import records
from inventory.book import Movement, Shortage, open_book, transpose
from inventory.ledger import Recorded, repeated_ids
from inventory.locks import SupplyKey


class Supply(msgspec.Struct, frozen=True, kw_only=True):
    """Units of one sku expected at a node."""

    sku: str
    supply_id: str
    node_id: str
    kind: Literal["purchase_order", "transfer", "production"] = "purchase_order"
    expected_on: date
    """Local date at the node from which the units are there."""
    quantity: int
    """Units in all, those that have already come in included."""
    trust_percent: int = 100
    """How much of what is still to come may be promised."""


class SupplyState(Supply, frozen=True, kw_only=True):
    """A supply with what has become of it."""

    received: int
    promised: int
    shortage: int


class SupplyShortage(msgspec.Struct, frozen=True, kw_only=True):
    """A supply of which more is promised than it can still bring."""

    sku: str
    supply_id: str
    shortage: int


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """Units of a supply that came in."""

    movement_id: UUID
    sku: str
    supply_id: str
    quantity: int
    damaged: int = 0
    """How many of them cannot be sold; they serve no promise."""
    kind: Literal["receive", "transfer_in"] = "receive"
    happened_at: datetime | None
    actor: str


async def put_supply(
    connection: asyncpg.Connection, supplies: Sequence[Supply]
) -> list[SupplyShortage]:
    """Insert supplies or replace what is known of them; the last of a repeated key wins.

    A supply cut below what is promised from it hands promises on to others at its node that are
    there in time; what remains is a shortage, returned and never refused. Raises ValueError when a
    supply with promises would move to another node, asyncpg.CheckViolationError for values outside
    the table's limits, asyncpg.SerializationError: try again.
    """
    unique = {(each.sku, each.supply_id): each for each in supplies}
    if not unique:
        return []
    book, _ = await open_book(
        connection, {(each.sku, each.node_id) for each in unique.values()}, unique
    )
    for key, each in unique.items():
        row = book.supply.get(key)
        if row is None:
            continue
        if row.promised and row.node_id != each.node_id:
            raise ValueError(
                f"supply {each.supply_id} of {each.sku} has {row.promised} units promised at "
                f"{row.node_id} and cannot move to {each.node_id}; send a new supply instead"
            )
        book.replan(key, each.expected_on, each.quantity, each.trust_percent)
    await records.put_supply(
        connection,
        transpose(
            [
                (
                    *key,
                    each.node_id,
                    each.kind,
                    each.expected_on,
                    each.quantity,
                    each.trust_percent,
                )
                for key, each in unique.items()
            ]
        ),
    )
    await book.write(connection)
    return [
        SupplyShortage(sku=key[0], supply_id=key[1], shortage=-row.free)
        for key, row in book.supply.items()
        if row.free < 0
    ]


async def receive_supply(connection: asyncpg.Connection, receipts: Sequence[Receipt]) -> Recorded:
    """Record units of supplies that came in: a `receive` movement each, and less to come.

    What comes in first serves the promises that wait at the node, in promise order, whichever
    supply they were made from; what came in damaged is set aside. A receipt recorded before, by its
    id, has no second effect; more may come in than was expected. Raises ValueError for a quantity
    below 1 or an unknown supply, asyncpg.SerializationError: try again.
    """
    if not receipts:
        return Recorded(recorded=(), repeated=(), shortages=())
    sources = {(each.sku, each.supply_id) for each in receipts}
    rows = await records.read_supply_rows(connection, sorted({sku for sku, _ in sources}))
    nodes = {(row["sku"], row["supply_id"]): row["node_id"] for row in rows}
    movements = [_movement(each, nodes) for each in receipts]
    damages = [_damage(each, arrived) for each, arrived in zip(receipts, movements, strict=True)]
    book, _ = await open_book(connection, {(each.sku, each.node_id) for each in movements}, sources)
    if any(book.supply[source].node_id != nodes[source] for source in sources):
        raise asyncpg.SerializationError("a supply moved to another node meanwhile; try again")
    repeated = await repeated_ids(connection, movements)
    received: Counter[SupplyKey] = Counter()
    for receipt, movement, damage in zip(receipts, movements, damages, strict=True):
        if receipt.movement_id not in repeated:
            book.add(movement)
            if damage is not None:
                book.add(damage)
            received[receipt.sku, receipt.supply_id] += receipt.quantity
    for source, quantity in received.items():
        book.receive(source, quantity)
    shortages: list[Shortage] = await book.write(connection)
    return Recorded(
        recorded=tuple(each.movement_id for each in receipts if each.movement_id not in repeated),
        repeated=tuple(repeated),
        shortages=tuple(shortages),
    )


async def get_supply(connection: asyncpg.Connection, skus: Sequence[str]) -> list[SupplyState]:
    """Return all supply of these skus, come in or not, by sku, node and date."""
    return [SupplyState(**row) for row in await records.read_supply_rows(connection, skus)]


def _movement(receipt: Receipt, nodes: dict[SupplyKey, str]) -> Movement:
    """Return the movement of a receipt; raises ValueError when it cannot be."""
    node_id = nodes.get((receipt.sku, receipt.supply_id))
    if node_id is None:
        raise ValueError(f"there is no supply {receipt.supply_id} of {receipt.sku}; send it first")
    if receipt.quantity < 1 or not 0 <= receipt.damaged <= receipt.quantity:
        raise ValueError(
            f"receipt {receipt.movement_id} brings {receipt.quantity}, {receipt.damaged} of them "
            "damaged; at least 1, and no more damaged than came in"
        )
    return Movement(
        movement_id=receipt.movement_id,
        sku=receipt.sku,
        node_id=node_id,
        kind=receipt.kind,
        quantity=receipt.quantity,
        happened_at=receipt.happened_at,
        reference=receipt.supply_id,
        actor=receipt.actor,
    )


def _damage(receipt: Receipt, arrived: Movement) -> Movement | None:
    """Return the movement that sets aside what arrived damaged; none where nothing did.

    In the book it stands beside the arrival, so promises that wait get only what is sound.
    """
    if not receipt.damaged:
        return None
    return msgspec.structs.replace(
        arrived,
        movement_id=uuid5(receipt.movement_id, "damaged"),
        kind="damage",
        quantity=receipt.damaged,
        reason="damaged on arrival",
    )
