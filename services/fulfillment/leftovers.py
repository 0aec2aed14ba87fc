"""What is left over when units change places: no node has it, or its new promise is later.

Both are for a person to decide and stand in the exceptions queue from the moment they come to be.
"""

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

import asyncpg

from services import records as shared_records
from services.fulfillment import exceptions, exceptions_records
from services.fulfillment.events import Units, event
from services.fulfillment.exceptions import HOMELESS, About, Kind, Unit
from services.fulfillment.records import FulfillmentLine, Work
from services.fulfillment.tables import LIVE_STATES

Key = tuple[str, str]
"""line_id, sku"""


def unplaced(work: Work, units: Units, made: Sequence[Work]) -> tuple[Unit, ...]:
    """Return the units given up that no new work has taken over."""
    taken: Counter[Key] = Counter()
    for new in made:
        for line in new.lines:
            taken[line.line_id, line.sku] += line.quantity
    left = []
    for line in work.lines:
        key = (line.line_id, line.sku)
        covered = min(taken[key], units.get(line.part, 0))
        taken[key] -= covered
        if units.get(line.part, 0) > covered:
            left.append(unit_of(line, units[line.part] - covered))
    return tuple(left)


def unit_of(line: FulfillmentLine, quantity: int) -> Unit:
    """Return units of a line as the exceptions queue has them."""
    return Unit(
        line_id=line.line_id,
        sku=line.sku,
        quantity=quantity,
        unit_price_minor=line.unit_price_minor,
        supply_id=line.supply_id,
    )


def about(work: Work, lines: tuple[Unit, ...], **details: object) -> About:
    """Return what an exception about work says of it."""
    order = work.order
    return About(
        order_id=order.order_id,
        allocation_id=order.allocation_id,
        fulfillment_order_id=order.fulfillment_order_id,
        node_id=order.node_id,
        lines=lines,
        promise_on=order.promise_latest,
        details=details,
    )


async def queue_rest(
    connection: asyncpg.Connection,
    work: Work,
    left: tuple[Unit, ...],
    kind: Kind,
    details: dict[str, object],
    actor: str,
) -> UUID | None:
    """Put units that no node has into the exceptions queue; return the exception's id."""
    if not left:
        return None
    cause = str(work.order.fulfillment_order_id)
    given = about(work, left, method=work.order.method, **details)
    return await exceptions.open_exception(connection, kind, cause, given, actor=actor)


async def queue_late(
    connection: asyncpg.Connection, made: Sequence[Work], promised: Work, actor: str
) -> dict[UUID, UUID]:
    """Put new work that breaks the promise into the queue; return its exceptions."""
    queued = {}
    for work in made:
        if work.order.promise_latest > promised.order.promise_latest:
            given = about(
                work,
                tuple(unit_of(line, line.quantity) for line in work.lines),
                promised_on=promised.order.promise_latest.isoformat(),
                expected_on=work.order.promise_latest.isoformat(),
            )
            queued[work.order.fulfillment_order_id] = await exceptions.open_exception(
                connection, "late", str(work.order.fulfillment_order_id), given, actor=actor
            )
    return queued


def counted(chosen: Sequence[Unit]) -> Counter[Key]:
    """Return units by line."""
    units: Counter[Key] = Counter()
    for each in chosen:
        units[each.line_id, each.sku] += each.quantity
    return units


async def any_waits(connection: asyncpg.Connection, allocation_id: UUID) -> bool:
    """Tell whether units of a locked allocation are in the queue because no node has them.

    Such an allocation goes on although no work is left: its customer still waits.
    """
    rows = await exceptions_records.lock_exceptions_of(connection, allocation_id)
    return any(row.kind in HOMELESS for row in rows)


async def call_off(
    connection: asyncpg.Connection, allocation_id: UUID, works: Sequence[Work], actor: str
) -> None:
    """End the exceptions of a locked allocation that is cancelled: nobody waits for the units.

    `works` are its fulfillment orders as they are now. What is about work that goes on stays.
    """
    by_id = {work.order.fulfillment_order_id: work for work in works}
    for row in await exceptions_records.lock_exceptions_of(connection, allocation_id):
        work = by_id.get(row.fulfillment_order_id) if row.fulfillment_order_id else None
        if work is None or (row.kind not in HOMELESS and work.order.state in LIVE_STATES):
            continue
        await exceptions.resolve(connection, row, "cancelled", actor=actor)
        if row.kind in HOMELESS:
            told = units_cancelled(work, exceptions.lines_of(row), row.exception_id, actor)
            await shared_records.insert_events(connection, [told])


def units_cancelled(
    work: Work, chosen: Sequence[Unit], exception_id: UUID, actor: str
) -> shared_records.Event:
    """Return the event of units that the customer does not get, with what is not to be captured.

    `work` is the last that was to give them.
    """
    prices = {(line.line_id, line.sku): line.unit_price_minor for line in work.lines}
    lines: list[dict[str, object]] = []
    void = 0
    for (line_id, sku), quantity in sorted(counted(chosen).items()):
        price = prices.get((line_id, sku))
        amount = None if price is None else price * quantity
        void += amount or 0
        lines.append({"line_id": line_id, "sku": sku, "quantity": quantity, "amount_minor": amount})
    return event(
        "order.units_cancelled",
        work.order,
        actor,
        exception_id=str(exception_id),
        lines=lines,
        amounts_minor={"void": void},
    )
