"""The commit of a batch: what was decided becomes held stock, in one transaction.

It trusts nothing that was read before it: keys, live allocations and stock are locked and looked
at again. Where every order is new and all of them fit, as nearly always, one call does it all, and
is a transaction by itself. Anything else is settled order by order.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Literal

import asyncpg
import msgspec

from inventory.reserve import admitted
from routing.plan import Plan
from services import records as shared_records
from services.database import Database
from services.orders import records
from services.orders.holding import Commitment, columns, demand, names
from services.orders.idempotency import STORED_REFUSAL, Answer, answer, refusal, replay
from services.orders.lifecycle import may_see, told
from services.orders.records import Held
from services.problems import Refused
from services.settings import Settings

Outcome = Literal["held", "partial", "known", "insufficient", "contended", "lost", "refused"]


class Settled(msgspec.Struct, frozen=True):
    """How an order came out of the commit."""

    outcome: Outcome
    answer: Answer | None
    """None when the order lost its race and is to be decided again."""


class Committed(msgspec.Struct, frozen=True):
    """What a commit did."""

    settled: list[Settled]
    """In the orders' order."""
    stock: list[tuple[Any, ...]]
    """Every stock record it changed, as it is now: sku, node_id, on hand, reserved, unavailable and
    version."""
    clock: datetime
    """The database's, during the commit."""
    writer: int
    """The transaction, as its changes are noted."""


async def commit(database: Database, batch: Sequence[Commitment], settings: Settings) -> Committed:
    """Settle decided orders in one transaction, each wholly or not at all.

    Orders that were answered before, or whose order has a live allocation, get that answer. The
    rest take their stock through the guarded step; those that do not fit are `lost` and leave no
    trace. Locks are taken in this order: idempotency keys and orders, then stock, then capacity.
    Raises what the database raises, with nothing held, unless the connection broke.
    """
    arguments = columns(batch)
    if not waits_for_supply(batch):
        held = await database.run_alone(
            partial(records.hold_orders, names=names(batch), columns=arguments, sure=False)
        )
        if held.held:
            return Committed(
                [as_planned(each) for each in batch],
                stock(arguments, held),
                held.clock,
                held.writer,
            )
    return await database.run(partial(settle, batch=batch, settings=settings))


def waits_for_supply(batch: Sequence[Commitment]) -> bool:
    """Tell whether any order takes from goods that are still to come."""
    return any(line[5] is not None for each in batch for line in each.lines)


def as_planned(each: Commitment) -> Settled:
    """Return how an order stands whose commitment has become fact."""
    if each.lines:
        return Settled("held" if each.complete else "partial", each.answer)
    return Settled(
        "insufficient" if each.answer.status_code == STORED_REFUSAL else "refused", each.answer
    )


def stock(arguments: Sequence[Sequence[Any]], held: Held) -> list[tuple[Any, ...]]:
    """Return the stock records that a call changed, as they are now."""
    skus, node_ids = arguments[:2]
    return [
        (skus[cell - 1], node_ids[cell - 1], *counters)
        for cell, *counters in zip(
            held.cells, held.on_hand, held.reserved, held.unavailable, held.versions, strict=True
        )
    ]


async def settle(
    connection: asyncpg.Connection, batch: Sequence[Commitment], settings: Settings
) -> Committed:
    """Settle each order by itself, inside a transaction."""
    await shared_records.lock_numbers(connection, names(batch))
    # New statements, so that they see what the locks have waited for.
    before = await shared_records.find_answers(connection, [each.claim.scope for each in batch])
    live = await records.find_live(connection, [each.order_id for each in batch])
    known = [settle_known(each, before, live) for each in batch]
    fresh = [each for each, found in zip(batch, known, strict=True) if found is None]
    fits = await fitting(connection, [each for each in fresh if each.lines])
    rest = {
        each.order_id: as_planned(each)
        if not each.lines or fits[each.order_id]
        else lost(each, settings)
        for each in fresh
    }
    settled = [found or rest[each.order_id] for each, found in zip(batch, known, strict=True)]
    return await write(connection, batch, settled, before)


async def fitting(connection: asyncpg.Connection, batch: Sequence[Commitment]) -> dict[str, bool]:
    """Lock what the orders take and tell of each whether it is admitted."""
    refusals = await admitted(connection, [demand(each) for each in batch])
    return {each.order_id: no is None for each, no in zip(batch, refusals, strict=True)}


async def write(
    connection: asyncpg.Connection,
    batch: Sequence[Commitment],
    settled: Sequence[Settled],
    before: Mapping[bytes, shared_records.StoredAnswer],
) -> Committed:
    """Write what was settled: the allocations that are held, and every first answer."""
    firsts = [
        first(each, how.answer)
        for each, how in zip(batch, settled, strict=True)
        if how.answer is not None and each.claim.scope not in before
    ]
    arguments = columns(firsts)
    held = await records.hold_orders(connection, names=[], columns=arguments, sure=True)
    return Committed(list(settled), stock(arguments, held), held.clock, held.writer)


def first(each: Commitment, given: Answer) -> Commitment:
    """Return what there is to write of an order that is answered so for the first time."""
    if given is each.answer:
        return each
    return msgspec.structs.replace(each, answer=given, lines=(), works=(), record=None)


def lost(each: Commitment, settings: Settings) -> Settled:
    """Return how an order stands that lost a race: to be decided again, or given up."""
    if each.attempts + 1 < settings.attempts_max:
        return Settled("lost", None)
    return Settled("contended", refusal(contended(each)))


def settle_known(
    each: Commitment,
    before: Mapping[bytes, shared_records.StoredAnswer],
    live: Mapping[str, records.AllocationRow],
) -> Settled | None:
    """Return the answer an order already has: under its key, or by its live allocation."""
    if each.claim.scope in before:
        try:
            return Settled("known", replay(before[each.claim.scope], each.claim))
        except Refused as refused:
            return Settled("refused", refusal(refused))
    row = live.get(each.order_id)
    if row is None:
        return None
    if not may_see(each.principal, row):
        # Neither the plan nor its id: the order belongs to somebody else.
        others = Refused(
            "order-already-allocated", f"Order {row.order_id} has a live allocation elsewhere."
        )
        return Settled("refused", refusal(others))
    if row.request_hash == each.claim.request_hash:
        return Settled("known", answer(200, told(row)))
    taken = Refused(
        "order-already-allocated",
        f"Order {row.order_id} has allocation {row.allocation_id} for another body; release or "
        "cancel it first.",
        allocation_id=str(row.allocation_id),
    )
    return Settled("refused", refusal(taken))


def insufficient(plan: Plan) -> Refused:
    """Return the refusal of an order for which the network has nothing it may use."""
    return Refused(
        "insufficient-stock",
        "The network cannot fill this order as asked, and nothing is held. Lower the quantities, "
        "allow backorder, or drop ship_complete.",
        shortfalls=[
            {"line_id": each.line_id, "quantity": each.quantity} for each in plan.shortfalls
        ],
    )


def contended(each: Commitment) -> Refused:
    """Return the refusal of an order that lost its race as often as it may."""
    return Refused(
        "contended",
        f"Other orders took the stock of every plan found, {each.attempts + 1} times over; nothing "
        "is held. Send the order again with a new Idempotency-Key.",
    )
