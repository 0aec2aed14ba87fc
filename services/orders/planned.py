"""From decided orders to what is committed of them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from time import monotonic
from uuid import UUID

import msgspec

from routing.plan import Plan
from services.orders.answers import AllocationAnswer, quote_answer
from services.orders.batch import Decided, Order
from services.orders.commit import insufficient
from services.orders.holding import Commitment, Line, Work
from services.orders.idempotency import Answer, refusal
from services.orders.promise import valid_until
from services.orders.translate import DAY_SLOT, Reading, View
from services.settings import Settings


def commitments(batch: Sequence[Decided], reading: Reading, settings: Settings) -> list[Commitment]:
    """Return what is to be committed of each decided order.

    The answers say when holds end by the clock of the database as it was told when the batch was
    read; the rows say the same.
    """
    now = reading.now + timedelta(seconds=monotonic() - reading.read_at)
    return [commitment(each, now, reading, settings) for each in batch]


def commitment(each: Decided, now: datetime, reading: Reading, settings: Settings) -> Commitment:
    """Return what is to be committed of one order."""
    if each.refused is not None:
        return refused(each.order, refusal(each.refused))
    if not each.plan.fulfillments:
        return refused(each.order, refusal(insufficient(each.plan)))
    order, plan = each.order, each.plan
    expires_at = now + timedelta(seconds=order.hold_s)
    body = allocation_answer(each, order.allocation_id, expires_at, reading, settings.currency)
    return msgspec.structs.replace(
        refused(order, Answer(201, msgspec.json.encode(body))),
        lines=lines(plan, reading.views[order.request.channel]),
        works=works(plan, reading.network.limited),
        complete=not plan.shortfalls,
        expires_at=expires_at,
        record=each.record if settings.decision_records else None,
    )


def refused(order: Order, answer: Answer) -> Commitment:
    """Return the commitment of an order that holds nothing."""
    return Commitment(
        claim=order.claim,
        principal=order.principal,
        order_id=order.request.order_id,
        allocation_id=order.allocation_id,
        channel=order.request.channel,
        zone_id=order.zone.zone_id if order.zone else None,
        answer=answer,
        attempts=order.attempts,
    )


def allocation_answer(
    each: Decided, allocation_id: UUID, expires_at: datetime, reading: Reading, currency: str
) -> AllocationAnswer:
    """Return what an order is told once its plan is held."""
    told = quote_answer(each.plan, each.elapsed_us, currency)
    return AllocationAnswer(
        allocation_id=allocation_id,
        order_id=each.order.request.order_id,
        status="partial" if each.plan.shortfalls else "held",
        expires_at=expires_at,
        promise_valid_until=valid_until(each.plan, reading.network, reading.now),
        fulfillments=told.fulfillments,
        shortfalls=told.shortfalls,
        cost=told.cost,
        solver=told.solver,
        decision=f"/v1/allocations/{allocation_id}/decision",
    )


def lines(plan: Plan, view: View) -> list[Line]:
    """Return what a plan takes of each stock record."""
    return [
        (
            line.line_id,
            line.sku,
            each.node_id,
            line.quantity,
            view.cells[line.sku, each.node_id].buffer,
            line.supply_id,
            each.promise.latest,
        )
        for each in plan.fulfillments
        for line in each.lines
    ]


def works(plan: Plan, limited: frozenset[str]) -> list[Work]:
    """Return the work a plan asks of nodes whose capacity is limited, by node and date."""
    found: dict[tuple[str, object], Work] = {}
    for each in plan.fulfillments:
        if each.node_id in limited:
            at = (each.node_id, each.work_on)
            orders, units = found[at][3:] if at in found else (0, 0)
            units += sum(line.quantity for line in each.lines)
            found[at] = (each.node_id, each.work_on, DAY_SLOT, orders + 1, units)
    return list(found.values())
