"""Calling work off: what has not begun ends at once, for the rest its node is asked."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from inventory import resolve
from inventory.give_back import Part, give_back
from inventory.reserve import CapacityTake
from services import records as shared_records
from services.fulfillment import records
from services.fulfillment.answers import (
    Outcome,
    brief,
    with_work,
)
from services.fulfillment.events import event, sum_minor, units_of
from services.fulfillment.leftovers import any_waits, call_off
from services.fulfillment.records import Work
from services.fulfillment.steps import Ask, lock_for, moved, write
from services.fulfillment.tables import LIVE_STATES
from services.fulfillment.units import given_up, left_units
from services.orders import lifecycle
from services.orders.idempotency import Answer, answer
from services.orders.translate import DAY_SLOT
from services.problems import Refused
from services.records import Event

OWN_KINDS = ("warehouse", "store")
"""Nodes that are ours: their work stops when we say so, up to the moment it is packed."""
BEGUN = ("open", "in_progress")
"""States in which nothing is packed yet."""
ENDED_AS: dict[str, Outcome] = {"cancelled": "cancelled", "incomplete": "ended"}
"""What a cancel says of work that is over; of what has left it is that it is kept."""
ASKED: dict[str, Outcome] = {
    "cancellation_requested": "cancellation_requested",
    "cancellation_rejected": "cancellation_rejected",
}
KINDS = {
    "cancel": "cancelled",
    "accept_cancellation": "cancellation_accepted",
    "no_show": "no_show",
}
"""The event that tells how work was ended."""


async def cancel(connection: asyncpg.Connection, allocation_id: UUID, *, actor: str) -> Answer:
    """Cancel an allocation and its work; the answer says what became of each part of it.

    What is not packed at our own nodes, or not accepted by another company's, ends at once. For the
    rest the node is asked, and the allocation stays confirmed, with its stock, until it has
    answered. What has left stays. Raises `not-found`; `illegal-state`, also where nothing can be
    called off any more.
    """
    row = await lifecycle.lock(connection, allocation_id, "cancel")
    if row.state != "confirmed":
        await lifecycle.cancel(connection, allocation_id, actor=actor)
        return await told(connection, allocation_id, {})
    works = await records.lock_of_allocation(connection, allocation_id)
    kinds = await records.find_node_kinds(connection, [each.order.node_id for each in works])
    outcomes = {
        work.order.fulfillment_order_id: outcome_of(work, kinds.get(work.order.node_id))
        for work in works
    }
    verify_possible(works, outcomes)
    fresh = [
        (work, outcomes[work.order.fulfillment_order_id])
        for work in works
        if work.order.state in LIVE_STATES and work.order.request_state not in ASKED
    ]
    now = await shared_records.database_now(connection)
    ending = [work for work, outcome in fresh if outcome == "cancelled"]
    await end(connection, ending, "cancel", Ask(actor=actor), now)
    asked = [work for work, outcome in fresh if outcome == "cancellation_requested"]
    await ask_nodes(connection, asked, actor, now)
    works = await records.find_of_allocation(connection, allocation_id)
    await call_off(connection, allocation_id, works, actor)
    await settle(connection, allocation_id, actor)
    return await told(connection, allocation_id, outcomes)


def outcome_of(work: Work, kind: str | None) -> Outcome:
    """Return what a cancel makes of a fulfillment order at a node of this kind, or finds it as."""
    order = work.order
    if order.state not in LIVE_STATES:
        return ENDED_AS.get(order.state, "kept")
    if order.request_state in ASKED:
        return ASKED[order.request_state]
    unanswered = order.request_state in ("unsubmitted", "submitted")
    if order.state in BEGUN and (kind in OWN_KINDS or unanswered):
        return "cancelled"
    return "cancellation_requested"


def verify_possible(works: Sequence[Work], outcomes: Mapping[UUID, Outcome]) -> None:
    """Raise `illegal-state` when all of an order has left, or its nodes have said no."""
    if works and set(outcomes.values()) <= {"kept", "cancellation_rejected"}:
        states = ", ".join(
            f"{each.order.node_id}: {each.order.state}, {each.order.request_state}"
            for each in works
        )
        raise Refused(
            "illegal-state",
            f"Nothing of the order can be called off any more ({states}). Take it back as a "
            "return once the customer has it.",
            state="confirmed",
            allowed=(),
        )


async def end(
    connection: asyncpg.Connection, works: Sequence[Work], how: str, ask: Ask, now: datetime
) -> list[Work]:
    """End locked fulfillment orders of one allocation by the event `how`; return them.

    What has not left goes back: its counters say cancelled, its reservations are released, and so
    is the node's capacity where nothing was packed.
    """
    if not works:
        return []
    ended = [moved(work, how, given_up(work), now) for work in works]
    saved = await records.save(connection, ended)
    parts = [part for work in works for part in parts_of(work)]
    if parts:
        spared = [spared_by(work) for work in works if work.order.state in BEGUN]
        await give_back(connection, works[0].order.allocation_id, parts, spared=spared)
    for before, after in zip(works, saved, strict=True):
        await write(connection, before, after, [ended_event(before, after, how, ask)], ask.actor)
    return saved


def parts_of(work: Work) -> list[Part]:
    """Return the units that a fulfillment order holds and will not dispatch."""
    return [
        Part(
            line_id=line.line_id,
            sku=line.sku,
            node_id=work.order.node_id,
            quantity=line.left,
            supply_id=line.supply_id,
        )
        for line in work.lines
        if line.left
    ]


def spared_by(work: Work) -> CapacityTake:
    """Return the work that a node no longer has to do."""
    return CapacityTake(
        node_id=work.order.node_id,
        work_on=work.order.work_on,
        slot=DAY_SLOT,
        orders=0 if any(line.dispatched for line in work.lines) else 1,
        units=sum(line.left for line in work.lines),
    )


def ended_event(before: Work, after: Work, how: str, ask: Ask) -> Event:
    """Return the event of work that was ended, with what is not to be captured any more."""
    units = left_units(before)
    return event(
        KINDS[how],
        after.order,
        ask.actor,
        lines=units_of(before.lines, units),
        amounts_minor={"void": sum_minor(before.lines, units)},
    )


async def ask_nodes(
    connection: asyncpg.Connection, works: Sequence[Work], actor: str, now: datetime
) -> None:
    """Ask the nodes of locked fulfillment orders to stop."""
    if not works:
        return
    saved = await records.save(
        connection, [moved(work, "request_cancellation", work.lines, now) for work in works]
    )
    await shared_records.insert_events(
        connection, [event("cancellation_requested", work.order, actor) for work in saved]
    )


async def accept_cancellation(
    connection: asyncpg.Connection, fulfillment_order_id: UUID, ask: Ask
) -> Work:
    """Stop, as was asked for; raises as `steps.lock_for` does."""
    work = await lock_for(connection, "accept_cancellation", fulfillment_order_id, ask)
    now = await shared_records.database_now(connection)
    (saved,) = await end(connection, [work], "accept_cancellation", ask, now)
    await settle(connection, work.order.allocation_id, ask.actor)
    return saved


async def no_show(connection: asyncpg.Connection, fulfillment_order_id: UUID, ask: Ask) -> Work:
    """Put back what nobody came for; raises as `steps.lock_for` does."""
    work = await lock_for(connection, "no_show", fulfillment_order_id, ask)
    now = await shared_records.database_now(connection)
    (saved,) = await end(connection, [work], "no_show", ask, now)
    if not await any_waits(connection, work.order.allocation_id):
        await settle(connection, work.order.allocation_id, ask.actor, called_off=False)
    return saved


async def settle(
    connection: asyncpg.Connection, allocation_id: UUID, actor: str, *, called_off: bool = True
) -> None:
    """Cancel a locked allocation of which nothing is left: no work, nothing that has left.

    Work that its node gave up counts as over once other work has its units, or where the customer
    has `called_off` the rest.
    """
    works = await records.find_of_allocation(connection, allocation_id)
    taken_over = {work.order.replaces for work in works}
    over = [
        work.order.state == "cancelled"
        or (
            work.order.state == "incomplete"
            and (called_off or work.order.fulfillment_order_id in taken_over)
        )
        for work in works
    ]
    if all(over):
        await resolve.release(connection, [allocation_id])
        await lifecycle.change(connection, [allocation_id], "cancelled", actor)


async def told(
    connection: asyncpg.Connection, allocation_id: UUID, outcomes: Mapping[UUID, Outcome]
) -> Answer:
    """Return the answer to a cancel."""
    body = lifecycle.told(await lifecycle.find(connection, allocation_id))
    works = await records.find_of_allocation(connection, allocation_id)
    briefs = [
        brief(work.order, outcomes.get(work.order.fulfillment_order_id) or outcome_of(work, None))
        for work in works
    ]
    return answer(200, with_work(body, briefs))
