"""What is to be held for a batch of orders, as plain values and as the columns of one statement."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec
from asyncpg.pgproto import pgproto

from inventory.reserve import CapacityTake, Demand, Take
from services.ids import numbered
from services.keys import Principal
from services.orders.idempotency import STORED_REFUSAL, Answer, Claim
from services.orders.records import order_lock
from services.records import lock_number

Line = tuple[str, str, str, int, int, str | None, date]
"""line_id, sku, node_id, units, buffer to leave there, supply (on hand when none), date promised"""
Work = tuple[str, date, str, int, int]
"""node_id, local date, slot, orders, units"""


class Commitment(msgspec.Struct, frozen=True, kw_only=True):
    """An order with what is to be held for it, or with the reason why nothing is."""

    claim: Claim
    principal: Principal
    order_id: str
    allocation_id: UUID
    channel: str
    zone_id: str | None
    """The destination's; none when all is picked up."""
    answer: Answer
    """What the order is told once this is committed: 201 with its allocation, or a refusal."""
    lines: Sequence[Line] = ()
    """What to take; empty for a refusal. Their positions name the reservations."""
    works: Sequence[Work] = ()
    """Work for nodes whose capacity is limited, each node and date once."""
    complete: bool = True
    """Whether nothing is left unfilled."""
    expires_at: datetime | None = None
    """When the hold ends, as the answer says; none for a refusal."""
    record: bytes | None = None
    """The decision record; none when it is not kept."""
    attempts: int = 0
    """Races lost so far."""


def demand(commitment: Commitment) -> Demand:
    """Return a commitment as the guarded step takes it."""
    if commitment.expires_at is None:
        raise ValueError(f"order {commitment.order_id} is refused and takes nothing")
    return Demand(
        holder_kind="allocation",
        holder_id=commitment.allocation_id,
        actor=commitment.principal.actor,
        expires_at=commitment.expires_at,
        channel=commitment.channel,
        takes=tuple(
            Take(
                reservation_id=numbered(commitment.allocation_id, number),
                line_id=line_id,
                sku=sku,
                node_id=node_id,
                quantity=quantity,
                buffer=buffer,
                supply_id=supply_id,
                promise_on=promise_on,
            )
            for number, (line_id, sku, node_id, quantity, buffer, supply_id, promise_on) in (
                enumerate(commitment.lines)
            )
        ),
        capacity=tuple(
            CapacityTake(node_id=node_id, work_on=on, slot=slot, orders=orders, units=units)
            for node_id, on, slot, orders, units in commitment.works
        ),
    )


def names(batch: Sequence[Commitment]) -> list[int]:
    """Return the numbers under which the orders and their keys are locked, sorted."""
    numbers = {lock_number(each.claim.scope) for each in batch}
    numbers.update(lock_number(order_lock(each.order_id)) for each in batch)
    return sorted(numbers)


def columns(batch: Sequence[Commitment]) -> list[Sequence[Any]]:
    """Return a batch as the arrays that `records.hold_orders` takes after the names.

    Units are summed by stock record, since two lines can each fit alone and not together; of the
    buffers the largest counts.
    """
    cells: dict[tuple[str, str], list[int]] = {}
    works: list[tuple[Any, ...]] = []
    lines: list[tuple[Any, ...]] = []
    orders: list[tuple[Any, ...]] = []
    for position, each in enumerate(batch, 1):
        orders.append(order_row(each))
        works += [(position, *work) for work in each.works]
        # The first 14 bytes of the allocation's id, then the line's number, as `numbered` has it.
        prefix = each.allocation_id.bytes[:14]
        for number, (line_id, sku, node_id, units, buffer, supply_id, on) in enumerate(each.lines):
            name = pgproto.UUID(prefix + number.to_bytes(2, "big"))
            lines.append((position, sku, name, node_id, line_id, units, supply_id, on))
            # What is promised from supply takes nothing here.
            taken, left = (units, buffer) if supply_id is None else (0, 0)
            cell = cells.get((sku, node_id))
            if cell is None:
                cells[sku, node_id] = [taken, left]
            else:
                cell[0] += taken
                cell[1] = max(cell[1], left)
    return [
        *transposed(list(cells), 2),
        *transposed(list(cells.values()), 2),
        *transposed(works, 6),
        *transposed(lines, 8),
        *transposed(orders, 12),
    ]


def order_row(commitment: Commitment) -> tuple[Any, ...]:
    """Return the facts of an order, its answer and its allocation."""
    given = commitment.answer
    held = bool(commitment.lines)
    storable = given.status_code < 300 or given.status_code == STORED_REFUSAL
    return (
        commitment.claim.scope,
        commitment.claim.request_hash,
        given.status_code if storable else None,
        given.body,
        commitment.order_id,
        commitment.allocation_id if held else None,
        commitment.channel,
        commitment.zone_id,
        commitment.principal.actor,
        commitment.complete,
        commitment.expires_at,
        commitment.record if held else None,
    )


def transposed(rows: Sequence[Sequence[Any]], width: int) -> list[Sequence[Any]]:
    """Return rows as columns, `width` of them even where there is no row."""
    return list(zip(*rows, strict=True)) if rows else [()] * width
