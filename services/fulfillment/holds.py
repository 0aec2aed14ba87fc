"""What keeps an order's work back for a time: suspicion, a wrong address, a missing payment.

A hold blocks submission and nothing else: the stock stays promised to the order meanwhile. Placing
locks the order's allocations and its work, as confirming and submitting do, so that of a hold and a
submission at the same moment one comes first and the other knows of it.
"""

from datetime import datetime
from typing import Literal
from uuid import UUID

import asyncpg
import msgspec

from services import records as shared_records
from services.fulfillment import records
from services.fulfillment.answers import FulfillmentOrderAnswer, told
from services.fulfillment.create import submit
from services.fulfillment.records import OrderHold, Work
from services.fulfillment.rights import takes_part
from services.fulfillment.tables import LIVE_STATES
from services.ids import new_id
from services.keys import Principal
from services.orders import lifecycle
from services.orders.answers import AllocationAnswer
from services.orders.idempotency import Answer, answer
from services.problems import Refused
from services.records import Event

HoldReason = Literal["fraud", "address", "payment", "other"]


class OrderHoldAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Why an order's work is kept back, and since when until when."""

    order_id: str
    hold_id: UUID
    reason: HoldReason
    note: str
    actor: str
    placed_at: datetime
    lifted_at: datetime | None
    lifted_by: str | None


class OrderAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An order: its holds, its allocations and what its nodes do for it."""

    order_id: str
    holds: tuple[OrderHoldAnswer, ...]
    allocations: tuple[AllocationAnswer, ...]
    fulfillment_orders: tuple[FulfillmentOrderAnswer, ...]


def unknown(order_id: str) -> Refused:
    """Return the refusal for an order that has no allocation."""
    return Refused("not-found", f"There is no order {order_id}.")


def hold_answer(hold: OrderHold) -> OrderHoldAnswer:
    """Return a hold as it is told."""
    return msgspec.convert(hold, OrderHoldAnswer, from_attributes=True)


async def find_order(
    connection: asyncpg.Connection, order_id: str, principal: Principal
) -> OrderAnswer:
    """Return an order as a key may see it; raises `not-found`.

    A store sees the allocations that it made or that its nodes take part in, and their work.
    """
    states = await records.find_allocations_of_order(connection, order_id)
    rows = [await lifecycle.find(connection, each) for each in states]
    seen = [row for row in rows if await takes_part(connection, row, principal)]
    if not seen:
        raise unknown(order_id)
    visible = {row.allocation_id for row in seen}
    works = [
        work
        for work in await records.find_of_order(connection, order_id)
        if work.order.allocation_id in visible
    ]
    holds = await records.find_holds(connection, order_id)
    return OrderAnswer(
        order_id=order_id,
        holds=tuple(hold_answer(each) for each in holds),
        allocations=tuple(lifecycle.told(row) for row in seen),
        fulfillment_orders=tuple(await told(connection, works, principal.role)),
    )


async def lock_order(connection: asyncpg.Connection, order_id: str) -> tuple[list[str], list[Work]]:
    """Lock an order's allocations and work; return the states of the former, and the latter.

    Raises `not-found`.
    """
    states = await records.find_allocations_of_order(connection, order_id, lock=True)
    if not states:
        raise unknown(order_id)
    works = [work for each in states for work in await records.lock_of_allocation(connection, each)]
    return list(states.values()), works


async def place(
    connection: asyncpg.Connection,
    order_id: str,
    *,
    reason: HoldReason,
    note: str,
    actor: str,
) -> Answer:
    """Keep an order's work from being submitted.

    Raises `not-found`; `illegal-state` once there is nothing left to keep back.
    """
    states, works = await lock_order(connection, order_id)
    if "held" not in states:
        verify_in_time(works)
    hold = OrderHold(
        order_id=order_id,
        hold_id=new_id(),
        reason=reason,
        note=note,
        actor=actor,
        placed_at=await shared_records.database_now(connection),
        lifted_at=None,
        lifted_by=None,
    )
    await records.insert_hold(connection, hold)
    await shared_records.insert_events(connection, [hold_event("order.hold_placed", hold, actor)])
    return answer(201, hold_answer(hold))


def verify_in_time(works: list[Work]) -> None:
    """Raise `illegal-state` when all of an order's work was submitted, or is over."""
    if any(work.order.request_state == "unsubmitted" for work in works):
        return
    live = [work for work in works if work.order.state in LIVE_STATES]
    if live:
        nodes = ", ".join(f"{work.order.node_id} ({work.order.state})" for work in live)
        raise Refused(
            "illegal-state",
            f"The work is with its nodes already: {nodes}. Cancel the allocation: what is not "
            "packed ends at once, and for the rest its nodes are asked.",
            allowed=["cancel"],
        )
    raise Refused(
        "illegal-state", "The order's work is over; there is nothing to keep back.", allowed=[]
    )


async def lift(
    connection: asyncpg.Connection,
    order_id: str,
    hold_id: UUID,
    *,
    answer_limit_s: int,
    actor: str,
) -> Answer:
    """Lift a hold; with the last one, what is due is submitted. Lifted before, nothing changes.

    Raises `not-found`.
    """
    _, works = await lock_order(connection, order_id)
    if await records.lift_hold(connection, order_id, hold_id, actor):
        lifted = await find_hold(connection, order_id, hold_id)
        await shared_records.insert_events(
            connection, [hold_event("order.hold_lifted", lifted, actor)]
        )
        now = await shared_records.database_now(connection)
        due = [
            work
            for work in works
            if work.order.request_state == "unsubmitted" and work.order.release_at <= now
        ]
        await submit(connection, due, answer_limit_s=answer_limit_s, actor=actor)
    return answer(200, hold_answer(await find_hold(connection, order_id, hold_id)))


async def find_hold(connection: asyncpg.Connection, order_id: str, hold_id: UUID) -> OrderHold:
    """Return a hold of an order; raises `not-found`."""
    for hold in await records.find_holds(connection, order_id):
        if hold.hold_id == hold_id:
            return hold
    raise Refused("not-found", f"Order {order_id} has no hold {hold_id}.")


def hold_event(kind: str, hold: OrderHold, actor: str) -> Event:
    """Return an event of a hold."""
    payload: dict[str, object] = {
        "hold_id": str(hold.hold_id),
        "reason": hold.reason,
        "note": hold.note,
    }
    return Event(new_id(), kind, hold.order_id, actor, payload)
