"""From a decided order to what is committed of it."""

from datetime import date, datetime, timedelta
from typing import Any

import msgspec
from msgspec import UNSET

from inventory.view import StockView, Taking
from routing.plan import Plan
from services.orders.answers import AllocationAnswer, at_curb, priced, quote_answer
from services.orders.commit import insufficient
from services.orders.decide import Decision
from services.orders.holding import Commitment, Line, Work
from services.orders.idempotency import Answer, refusal
from services.orders.queue import Order
from services.orders.request import prices_of
from services.orders.slots import chosen, works_of
from services.orders.slots import told as slots_told
from services.orders.translate import DAY_SLOT
from services.problems import Refused
from services.settings import Settings

encode = msgspec.json.Encoder().encode


class Decided(msgspec.Struct, frozen=True, eq=False):
    """An order with what is to be committed of it, and what that takes of the view meanwhile."""

    order: Order
    commitment: Commitment
    taking: Taking | None = None
    decision: Decision | None = None


def refused(order: Order, reason: Refused) -> Decided:
    """Return an order that holds nothing, with its reason."""
    return Decided(order, commitment(order, refusal(reason)))


def decided(order: Order, found: Decision, stock: StockView, settings: Settings) -> Decided:
    """Return an order with its plan ready to be committed; what it takes is pending in the view.

    The answer says when the hold ends by the clock of the database as it is known here, and the
    row says the same.
    """
    plan = found.plan
    if not plan.fulfillments:
        return refused(order, insufficient(plan))
    expires_at = found.now + timedelta(seconds=order.hold_s)
    body = allocation_answer(order, found, expires_at, settings.currency)
    lines = taken(plan, stock, order.request.channel)
    works = work(plan, found.ground.network.limited)
    if order.request.slots:
        works += works_of(order.request.slots)
    committed = commitment(
        order,
        Answer(201, encode(body)),
        lines=lines,
        works=works,
        complete=not plan.shortfalls,
        expires_at=expires_at,
        record=found.record if settings.decision_records else None,
    )
    taking = stock.take(
        [
            (sku, node_id, units)
            for _, sku, node_id, units, _, supply_id, _ in lines
            if not supply_id
        ],
        [(sku, supply_id, units) for _, sku, _, units, _, supply_id, _ in lines if supply_id],
        works,
    )
    return Decided(order, committed, taking, found)


def commitment(order: Order, answer: Answer, **held: Any) -> Commitment:
    """Return the commitment of an order; `held` are its fields about what is held, if anything."""
    return Commitment(
        claim=order.claim,
        principal=order.principal,
        order_id=order.request.order_id,
        allocation_id=order.allocation_id,
        channel=order.request.channel,
        zone_id=order.zone.zone_id if order.zone else None,
        answer=answer,
        attempts=order.attempts,
        **held,
    )


def allocation_answer(
    order: Order, found: Decision, expires_at: datetime, currency: str
) -> AllocationAnswer:
    """Return what an order is told once its plan is held until `expires_at`."""
    told = quote_answer(found.plan, found.elapsed_us, found.budget_ms, currency)
    fulfillments = priced(told.fulfillments, prices_of(order.request.lines))
    wishes = order.request.slots
    curbside = {line.line_id for line in order.request.lines if line.curbside is True}
    return AllocationAnswer(
        allocation_id=order.allocation_id,
        order_id=order.request.order_id,
        status="partial" if found.plan.shortfalls else "held",
        expires_at=expires_at,
        promise_valid_until=found.ground.valid_until(found.plan, found.now),
        fulfillments=at_curb(fulfillments, curbside) if curbside else fulfillments,
        pickups=told.pickups,
        broken=told.broken,
        shortfalls=told.shortfalls,
        cost=told.cost,
        solver=told.solver,
        decision=f"/v1/allocations/{order.allocation_id}/decision",
        slots=slots_told(chosen(wishes, found.ground.network), currency) if wishes else UNSET,
    )


def taken(plan: Plan, stock: StockView, channel: str) -> list[Line]:
    """Return what a plan takes of each stock record, with the buffer to leave there."""
    return [
        (
            line.line_id,
            line.sku,
            each.node_id,
            line.quantity,
            stock.buffer(line.sku, each.node_id, channel)[0],
            line.supply_id,
            each.promise.latest,
        )
        for each in plan.fulfillments
        for line in each.lines
    ]


def work(plan: Plan, limited: frozenset[str]) -> list[Work]:
    """Return the work a plan asks of nodes whose capacity is limited, by node and date."""
    found: dict[tuple[str, date], Work] = {}
    for each in plan.fulfillments:
        if each.node_id in limited:
            at = (each.node_id, each.work_on)
            orders, units = found[at][3:] if at in found else (0, 0)
            units += sum(line.quantity for line in each.lines)
            found[at] = (each.node_id, each.work_on, DAY_SLOT, orders + 1, units)
    return list(found.values())
