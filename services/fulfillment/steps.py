"""What a node does for an order, step by step.

Each step locks the allocation and then the fulfillment order, asks the state machines, counts the
units and writes its events, all in the caller's transaction: several steps may share one. Goods
leave stock when they are shipped or handed over, and not before.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from services import records as shared_records
from services.fulfillment import records
from services.fulfillment.answers import standing
from services.fulfillment.events import event, units_of
from services.fulfillment.records import FulfillmentLine, Work
from services.fulfillment.states import after, allowed, verify
from services.fulfillment.tables import LIVE_STATES
from services.fulfillment.units import LineUnits, chosen, counted, verify_there
from services.problems import Refused
from services.records import Event


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks for a step, and what they have seen."""

    actor: str
    versions: frozenset[int] | None = None
    """Versions that the caller decided from; any when none is named."""


def unknown(fulfillment_order_id: UUID) -> Refused:
    """Return the refusal for a fulfillment order that does not exist."""
    return Refused("not-found", f"There is no fulfillment order {fulfillment_order_id}.")


async def lock(connection: asyncpg.Connection, fulfillment_order_id: UUID) -> Work:
    """Return a fulfillment order, locked with its allocation; raises `not-found`."""
    if await records.lock_allocation_of(connection, fulfillment_order_id) is None:
        raise unknown(fulfillment_order_id)
    work = await records.lock(connection, fulfillment_order_id)
    if work is None:
        raise unknown(fulfillment_order_id)
    return work


def verify_version(work: Work, ask: Ask) -> None:
    """Raise `version-mismatch` when a caller decided from another version than there is."""
    if ask.versions is not None and work.order.version not in ask.versions:
        raise Refused(
            "version-mismatch",
            f"The fulfillment order is at version {work.order.version}; read it and decide again.",
            version=work.order.version,
        )


async def lock_for(
    connection: asyncpg.Connection, event_name: str, fulfillment_order_id: UUID, ask: Ask
) -> Work:
    """Return a locked fulfillment order for which an event is legal.

    Raises `not-found`, `version-mismatch`, `illegal-state`, in this order.
    """
    work = await lock(connection, fulfillment_order_id)
    verify_version(work, ask)
    verify(event_name, standing(work.order))
    return work


def moved(work: Work, event_name: str, lines: tuple[FulfillmentLine, ...], now: datetime) -> Work:
    """Return a fulfillment order after an event that has left its lines as given."""
    order = work.order
    then = after(
        event_name,
        standing(order),
        left=sum(line.left for line in lines),
        dispatched=sum(line.dispatched for line in lines),
    )
    stamps: dict[str, datetime] = {}
    if order.request_state == "submitted" and then.request_state in ("accepted", "rejected"):
        stamps["answered_at"] = now
    collected = order.method == "ship_to_store" and event_name == "hand_over"
    if collected or (order.state in LIVE_STATES and then.state not in LIVE_STATES):
        # What is sent to a store ends for the node that sends it, and again when it is collected.
        stamps["ended_at"] = now
    return Work(
        msgspec.structs.replace(
            order, state=then.state, request_state=then.request_state, **stamps
        ),
        lines,
    )


async def write(
    connection: asyncpg.Connection, before: Work, now: Work, told: Sequence[Event], actor: str
) -> None:
    """Append the events of a step, those that it implies first."""
    implied = []
    requests = (before.order.request_state, now.order.request_state)
    if requests == ("submitted", "accepted"):
        implied.append(event("accepted", now.order, actor))
    if requests == ("cancellation_requested", "cancellation_rejected"):
        implied.append(event("cancellation_rejected", now.order, actor))
    kinds = {each.kind for each in told}
    await shared_records.insert_events(
        connection, [*(each for each in implied if each.kind not in kinds), *told]
    )


async def accept(connection: asyncpg.Connection, fulfillment_order_id: UUID, ask: Ask) -> Work:
    """Take on the work; raises as `lock_for` does."""
    work = await lock_for(connection, "accept", fulfillment_order_id, ask)
    now = await shared_records.database_now(connection)
    (saved,) = await records.save(connection, [moved(work, "accept", work.lines, now)])
    await write(connection, work, saved, [event("accepted", saved.order, ask.actor)], ask.actor)
    return saved


async def pick(
    connection: asyncpg.Connection,
    fulfillment_order_id: UUID,
    ask: Ask,
    lines: Sequence[LineUnits] | None = None,
) -> Work:
    """Count units as picked, all that are left unless lines are named; accepts by itself.

    Raises as `lock_for` does, as `units.chosen` does, `too-many-units` when nothing is left to
    pick, `waiting-for-supply` for what has not come in.
    """
    work = await lock_for(connection, "pick", fulfillment_order_id, ask)
    units = chosen(work.lines, lines, lambda line: line.to_pick, "pick")
    if not units:
        raise Refused("too-many-units", "Every unit is picked; pack them.", left=0)
    holder = work.order.allocation_id
    works = await records.find_of_allocation(connection, holder)
    verify_there(
        work,
        units,
        [each for each in works if each.order.fulfillment_order_id != fulfillment_order_id],
        await records.find_reserved(connection, holder),
        await records.find_pegs(connection, [holder]),
    )
    now = await shared_records.database_now(connection)
    after_it = moved(work, "pick", counted(work, "picked", units), now)
    if work.order.started_at is None:
        after_it = stamped(after_it, started_at=now)
    (saved,) = await records.save(connection, [after_it])
    told = event("picked", saved.order, ask.actor, lines=units_of(work.lines, units))
    await write(connection, work, saved, [told], ask.actor)
    return saved


async def pack(connection: asyncpg.Connection, fulfillment_order_id: UUID, ask: Ask) -> Work:
    """Say that all that is picked is packed; raises as `lock_for` does."""
    work = await lock_for(connection, "pack", fulfillment_order_id, ask)
    verify_picked(work)
    now = await shared_records.database_now(connection)
    after_it = stamped(moved(work, "pack", work.lines, now), packed_at=now)
    (saved,) = await records.save(connection, [after_it])
    await write(connection, work, saved, [event("packed", saved.order, ask.actor)], ask.actor)
    return saved


def verify_picked(work: Work) -> None:
    """Raise `illegal-state` while units are left to pick, with how many of which line."""
    missing = [line for line in work.lines if line.to_pick]
    if missing:
        raise Refused(
            "illegal-state",
            "Not everything is picked: "
            + ", ".join(f"{line.to_pick} of line {line.line_id}" for line in missing)
            + ". Pick them, report them as short, or ship what is picked.",
            state=work.order.state,
            request_state=work.order.request_state,
            allowed=allowed(standing(work.order)),
            missing=[
                {"line_id": line.line_id, "part": line.part, "quantity": line.to_pick}
                for line in missing
            ],
        )


def stamped(work: Work, **fields: object) -> Work:
    """Return a fulfillment order with other fields of its own."""
    return Work(msgspec.structs.replace(work.order, **fields), work.lines)


async def reject_cancellation(
    connection: asyncpg.Connection, fulfillment_order_id: UUID, ask: Ask, reason: str
) -> Work:
    """Refuse to stop: the work goes on. Raises as `lock_for` does."""
    work = await lock_for(connection, "reject_cancellation", fulfillment_order_id, ask)
    now = await shared_records.database_now(connection)
    (saved,) = await records.save(connection, [moved(work, "reject_cancellation", work.lines, now)])
    told = event("cancellation_rejected", saved.order, ask.actor, reason=reason)
    await write(connection, work, saved, [told], ask.actor)
    return saved
