"""Fulfillment orders come to be: made at confirm, submitted when their time has come."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import msgspec

from services import records as shared_records
from services.database import Database
from services.fulfillment import records
from services.fulfillment.answers import brief, standing, with_work
from services.fulfillment.events import event, units_of, whole
from services.fulfillment.records import FulfillmentLine, FulfillmentOrder, Work
from services.fulfillment.states import after
from services.ids import new_id, numbered
from services.orders import lifecycle
from services.orders.answers import AllocationAnswer, FulfillmentAnswer
from services.orders.idempotency import Answer, answer
from services.planning.network import Network
from services.settings import Settings

SWEEP_LIMIT = 500
"""Fulfillment orders submitted in one transaction."""
RELEASE = "system:release"
"""Who submits what is due, in movements and events."""


async def confirm(
    connection: asyncpg.Connection,
    allocation_id: UUID,
    *,
    actor: str,
    network: Network,
    settings: Settings,
) -> Answer:
    """Confirm an allocation and give its nodes their work, once however often it is confirmed.

    Raises what `lifecycle.confirm` raises.
    """
    await lifecycle.confirm(connection, allocation_id, actor=actor, network=network)
    body = lifecycle.told(await lifecycle.find(connection, allocation_id))
    works = await records.find_of_allocation(connection, allocation_id)
    if not works:
        works = await make(connection, body, actor=actor, settings=settings)
    return answer(200, with_work(body, [brief(work.order) for work in works]))


async def make(
    connection: asyncpg.Connection,
    body: AllocationAnswer,
    *,
    actor: str,
    settings: Settings,
) -> list[Work]:
    """Make the fulfillment orders of an allocation that is confirmed and locked; return them.

    They are submitted at once where there is no release window and no hold of the order.
    """
    now = await shared_records.database_now(connection)
    named = new_id()
    works = [
        work_of(body, number, numbered(named, number), actor, now)
        for number in range(len(body.fulfillments))
    ]
    release_at = now + timedelta(seconds=settings.release_window_s)
    works = [changed(work, release_at=release_at) for work in works]
    made = [created(work, actor) for work in works]
    if release_at <= now and not await records.find_held(connection, [body.order_id]):
        works = [submitted(work, now, settings.answer_limit_s) for work in works]
        made += [event("submitted", work.order, actor) for work in works]
    await records.insert_works(connection, works)
    await shared_records.insert_events(connection, made)
    return works


def work_of(
    body: AllocationAnswer, number: int, fulfillment_order_id: UUID, actor: str, now: datetime
) -> Work:
    """Return the fulfillment order of an allocation's fulfillment, not yet submitted."""
    each = body.fulfillments[number]
    order = FulfillmentOrder(
        order_id=body.order_id,
        fulfillment_order_id=fulfillment_order_id,
        allocation_id=body.allocation_id,
        node_id=each.node,
        method=each.method,
        service=each.service,
        pickup_node=each.pickup_node if each.method == "ship_to_store" else None,
        curbside=any(line.curbside for line in each.lines),
        work_on=each.work_on,
        ship_by=each.ship_by,
        promise_earliest=each.promise.earliest,
        promise_latest=each.promise.latest,
        weight_grams=each.weight_grams,
        cost=msgspec.json.encode(each.cost).decode(),
        release_at=now,
        actor=actor,
        created_at=now,
        changed_at=now,
    )
    return Work(order, lines_of(each))


def lines_of(fulfillment: FulfillmentAnswer) -> tuple[FulfillmentLine, ...]:
    """Return the lines of a fulfillment as its node gets them."""
    return tuple(
        FulfillmentLine(
            part=part,
            line_id=line.line_id,
            sku=line.sku,
            supply_id=line.supply_id,
            quantity=line.quantity,
            unit_price_minor=line.unit_price_minor,
        )
        for part, line in enumerate(fulfillment.lines)
    )


def changed(work: Work, **fields: object) -> Work:
    """Return a fulfillment order with other fields of its own; its lines stay."""
    return Work(msgspec.structs.replace(work.order, **fields), work.lines)


def created(work: Work, actor: str) -> shared_records.Event:
    """Return the event of a new fulfillment order."""
    order = work.order
    return event(
        "created",
        order,
        actor,
        method=order.method,
        ship_by=order.ship_by.isoformat(),
        release_at=order.release_at.isoformat(),
        replaces=str(order.replaces) if order.replaces else None,
        lines=units_of(work.lines, whole(work)),
    )


def submitted(work: Work, now: datetime, answer_limit_s: int) -> Work:
    """Return a fulfillment order that is asked of its node from now on; raises `illegal-state`."""
    moved = after("submit", standing(work.order), left=1, dispatched=0)
    limit = timedelta(seconds=answer_limit_s)
    return changed(
        work,
        state=moved.state,
        request_state=moved.request_state,
        submitted_at=now,
        answer_by=now + limit if answer_limit_s else None,
    )


async def submit(
    connection: asyncpg.Connection,
    works: Sequence[Work],
    *,
    answer_limit_s: int,
    actor: str,
) -> list[Work]:
    """Submit locked fulfillment orders, but for those whose order a hold keeps back."""
    if not works:
        return []
    # Asked in a statement of its own: a hold may have been placed while the locks were waited for.
    held = await records.find_held(connection, [work.order.order_id for work in works])
    now = await shared_records.database_now(connection)
    free = [work for work in works if work.order.order_id not in held]
    if not free:
        return []
    saved = await records.save(connection, [submitted(work, now, answer_limit_s) for work in free])
    await shared_records.insert_events(
        connection, [event("submitted", work.order, actor) for work in saved]
    )
    return saved


async def submit_due(answer_limit_s: int, database: Database) -> int:
    """Submit what is due and not held back; say how much it was."""

    async def work(connection: asyncpg.Connection) -> int:
        now = await shared_records.database_now(connection)
        due = await records.lock_due(connection, now, SWEEP_LIMIT)
        return len(await submit(connection, due, answer_limit_s=answer_limit_s, actor=RELEASE))

    return await database.run(work)
