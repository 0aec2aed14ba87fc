"""The commit of a batch: what was decided becomes held stock, in one transaction.

It trusts nothing that was read before it: keys, live allocations and stock are locked and looked
at again.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from time import monotonic
from typing import Literal

import asyncpg
import msgspec

from inventory.availability import read_cells
from inventory.reserve import Refusal, reserve
from routing.plan import Plan
from services import records as shared_records
from services.orders import records
from services.orders.answers import AllocationAnswer, quote_answer
from services.orders.batch import Decided, Order
from services.orders.idempotency import Answer, answer, refusal, replay, stored
from services.orders.lifecycle import may_see, told
from services.orders.promise import valid_until
from services.orders.records import order_lock
from services.orders.translate import Reading, demand, totals
from services.problems import Refused
from services.settings import Settings

STALE_S = 0.25
"""A shortfall is never answered from a view older than this."""

Outcome = Literal["held", "partial", "known", "insufficient", "contended", "lost", "refused"]


class Settled(msgspec.Struct, frozen=True):
    """How an order came out of the commit."""

    order: Order
    outcome: Outcome
    answer: Answer | None


async def commit(
    connection: asyncpg.Connection,
    batch: Sequence[Decided],
    reading: Reading,
    settings: Settings,
) -> list[Settled]:
    """Settle decided orders in one transaction, each wholly or not at all.

    Orders that were answered before, or whose order has a live allocation, get that answer. The
    rest take their stock through the guarded step; those that do not fit are `lost` and leave no
    trace. Locks are taken in this order: idempotency keys and orders, then stock.
    """
    names = [each.order.claim.scope for each in batch]
    names += [order_lock(each.order.request.order_id) for each in batch]
    await shared_records.lock_names(connection, names)
    before = await shared_records.find_answers(connection, [e.order.claim.scope for e in batch])
    live = await records.find_live(connection, [e.order.request.order_id for e in batch])
    now = await shared_records.database_now(connection)
    regained = await regained_skus(connection, batch, reading)
    settled: list[Settled] = []
    fresh: list[Decided] = []
    for each in batch:
        known = settle_known(each, before, live)
        if known is not None:
            settled.append(known)
        elif each.short_skus & regained:
            settled.append(lost(each.order, settings))
        elif not each.plan.fulfillments:
            settled.append(Settled(each.order, "insufficient", refusal(insufficient(each.plan))))
        else:
            fresh.append(each)
    settled += await take(connection, fresh, now, reading, settings)
    await store_answers(connection, settled, before)
    return settled


async def regained_skus(
    connection: asyncpg.Connection, batch: Sequence[Decided], reading: Reading
) -> set[str]:
    """Return the short skus of which there is more now than when the batch was read.

    Looked up only when the view is too old to tell somebody that something is out of stock.
    """
    if monotonic() - reading.read_at <= STALE_S:
        return set()
    regained: set[str] = set()
    for channel, view in reading.views.items():
        short = set[str]().union(
            *(each.short_skus for each in batch if each.order.request.channel == channel)
        )
        if not short:
            continue
        cells = await read_cells(
            connection, sorted(short), channel=channel, today=reading.now.date()
        )
        fresh = totals(cells)
        regained |= {sku for sku in short if fresh.get(sku, 0) > view.seen.get(sku, 0)}
    return regained


def lost(order: Order, settings: Settings) -> Settled:
    """Return how an order stands that lost a race: to be decided again, or given up."""
    if order.attempts + 1 < settings.attempts_max:
        return Settled(order, "lost", None)
    return Settled(order, "contended", refusal(contended(order)))


def settle_known(
    each: Decided,
    before: Mapping[bytes, shared_records.StoredAnswer],
    live: Mapping[str, records.AllocationRow],
) -> Settled | None:
    """Return the answer an order already has: under its key, or by its live allocation."""
    order = each.order
    row = live.get(order.request.order_id)
    if order.claim.scope in before:
        try:
            return Settled(order, "known", replay(before[order.claim.scope], order.claim))
        except Refused as refused:
            return Settled(order, "refused", refusal(refused))
    if row is None:
        return Settled(order, "refused", refusal(each.refused)) if each.refused else None
    if not may_see(order.principal, row):
        # Neither the plan nor its id: the order belongs to somebody else.
        others = Refused(
            "order-already-allocated", f"Order {row.order_id} has a live allocation elsewhere."
        )
        return Settled(order, "refused", refusal(others))
    if row.request_hash == order.claim.request_hash:
        return Settled(order, "known", answer(200, told(row)))
    taken = Refused(
        "order-already-allocated",
        f"Order {row.order_id} has allocation {row.allocation_id} for another body; release or "
        "cancel it first.",
        allocation_id=str(row.allocation_id),
    )
    return Settled(order, "refused", refusal(taken))


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


async def take(
    connection: asyncpg.Connection,
    fresh: Sequence[Decided],
    now: datetime,
    reading: Reading,
    settings: Settings,
) -> list[Settled]:
    """Reserve the plans of `fresh` and write the allocations of those that were admitted."""
    if not fresh:
        return []
    demands = [
        demand(
            each.plan,
            each.order.allocation_id,
            actor=each.order.principal.actor,
            expires_at=now + timedelta(seconds=each.order.hold_s),
            view=reading.views[each.order.request.channel],
            limited=reading.network.limited,
        )
        for each in fresh
    ]
    refusals: list[Refusal | None] = await reserve(connection, demands)
    won = [each for each, lost in zip(fresh, refusals, strict=True) if lost is None]
    rows = [held_row(each, now, reading, settings) for each in won]
    await records.insert_allocations(connection, rows)
    if settings.decision_records:
        await records.insert_decisions(
            connection, [row.allocation_id for row in rows], [each.record for each in won]
        )
    await shared_records.insert_events(connection, [held_event(row) for row in rows])
    settled = [lost(e.order, settings) for e, r in zip(fresh, refusals, strict=True) if r]
    for each, row in zip(won, rows, strict=True):
        outcome: Outcome = "held" if row.complete else "partial"
        settled.append(Settled(each.order, outcome, Answer(201, row.body)))
    return settled


def held_row(
    each: Decided, now: datetime, reading: Reading, settings: Settings
) -> records.AllocationRow:
    """Return the row of an allocation whose stock has been taken."""
    order, plan = each.order, each.plan
    told = quote_answer(plan, each.elapsed_us, settings.currency)
    expires_at = now + timedelta(seconds=order.hold_s)
    body = AllocationAnswer(
        allocation_id=order.allocation_id,
        order_id=order.request.order_id,
        status="partial" if plan.shortfalls else "held",
        expires_at=expires_at,
        promise_valid_until=valid_until(plan, reading.network, reading.now),
        fulfillments=told.fulfillments,
        shortfalls=told.shortfalls,
        cost=told.cost,
        solver=told.solver,
        decision=f"/v1/allocations/{order.allocation_id}/decision",
    )
    return records.AllocationRow(
        order_id=order.request.order_id,
        allocation_id=order.allocation_id,
        channel=order.request.channel,
        zone_id=order.zone.zone_id if order.zone else None,
        state="held",
        complete=not plan.shortfalls,
        request_hash=order.claim.request_hash,
        body=msgspec.json.encode(body),
        actor=order.principal.actor,
        expires_at=expires_at,
        created_at=now,
        confirmed_at=None,
        ended_at=None,
    )


def held_event(row: records.AllocationRow) -> shared_records.Event:
    """Return the event of a new allocation."""
    return shared_records.Event(
        row.allocation_id,
        "allocation.held",
        row.order_id,
        row.actor,
        {"allocation_id": str(row.allocation_id), "complete": row.complete},
    )


async def store_answers(
    connection: asyncpg.Connection,
    settled: Sequence[Settled],
    before: Mapping[bytes, shared_records.StoredAnswer],
) -> None:
    """Store the first answers given in this transaction: successes and conflicts."""
    await shared_records.insert_answers(
        connection,
        [
            stored(each.order.claim, each.answer)
            for each in settled
            if each.answer is not None
            and each.order.claim.scope not in before
            and (each.answer.status_code < 300 or each.answer.status_code == 409)
        ],
    )


def contended(order: Order) -> Refused:
    """Return the refusal of an order that lost its race as often as it may."""
    return Refused(
        "contended",
        f"Other orders took the stock of every plan found, {order.attempts + 1} times over; nothing "
        "is held. Send the order again with a new Idempotency-Key.",
    )
