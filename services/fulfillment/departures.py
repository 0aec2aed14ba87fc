"""Goods leave a node: ready for the customer, handed over, shipped, delivered.

Stock goes down here and nowhere earlier, by movements named after the parcel or the hand-over: what
is reported twice leaves once.
"""

import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid5

import asyncpg
import msgspec

from inventory.dispatch import Consumption, consume
from inventory.ledger import MovementRefused
from services import records as shared_records
from services.fulfillment import records
from services.fulfillment.answers import standing
from services.fulfillment.events import Units, event, sum_minor, units_of
from services.fulfillment.records import Shipment, Work
from services.fulfillment.states import allowed, verify
from services.fulfillment.steps import (
    Ask,
    lock,
    lock_for,
    moved,
    stamped,
    verify_picked,
    verify_version,
    write,
)
from services.fulfillment.units import LineUnits, chosen, counted
from services.problems import Refused

LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""Letters of a pickup code: none that looks like another when it is read out or written down."""
CODE_LENGTH = 6
"""31 to the power of 6 codes: five tries hit one in 177 million."""


class Departure(msgspec.Struct, frozen=True, kw_only=True):
    """Goods that leave, as a caller tells it."""

    departure_id: UUID
    """Names the parcel or hand-over: told twice it has happened once."""
    lines: Sequence[LineUnits] | None = None
    """All that is picked and has not left when none are named."""
    happened_at: datetime | None = None
    """Now when none is told."""
    carrier: str = ""
    tracking: str = ""
    code: str = ""
    """What the customer showed."""


async def ready(
    connection: asyncpg.Connection,
    fulfillment_order_id: UUID,
    ask: Ask,
    *,
    code: str,
    collect_days: int,
) -> Work:
    """Say that the customer can come, with the new pickup code `code`.

    Goods that were sent to a store are there at the latest now.
    Asked again it replaces a code that was lost or tried too often, and leaves the time limit.
    Raises as `steps.lock_for` does, `illegal-state` while units are left to pick.
    """
    work = await lock_for(connection, "ready", fulfillment_order_id, ask)
    verify_picked(work)
    now = await shared_records.database_now(connection)
    if work.order.state == "shipped":
        # What can be collected at a store has arrived there, told or not.
        await records.set_delivered(connection, work.order, now)
    first = work.order.ready_at is None
    after_it = stamped(moved(work, "ready", work.lines, now), pickup_code=code, wrong_codes=0)
    if first:
        limit = now + timedelta(days=collect_days)
        after_it = stamped(after_it, ready_at=now, collect_by=limit)
    (saved,) = await records.save(connection, [after_it])
    collect_by = saved.order.collect_by.isoformat() if saved.order.collect_by else None
    told = event("ready", saved.order, ask.actor, collect_by=collect_by, again=not first)
    await write(connection, work, saved, [told], ask.actor)
    return saved


def same_code(given: str, kept: str | None) -> bool:
    """Tell whether a customer's code is the right one, however it is written."""
    plain = "".join(given.split()).replace("-", "").upper()
    return hmac.compare_digest(plain.encode(), (kept or "").encode())


async def hand_over(
    connection: asyncpg.Connection,
    fulfillment_order_id: UUID,
    ask: Ask,
    departure: Departure,
    *,
    tries_max: int,
) -> Work | Refused:
    """Give goods to the customer who shows the code, all that is there or the lines named.

    A wrong code is counted, so it is returned as a refusal instead of raised: what was written has
    to be kept. Raises as `steps.lock_for` does, `wrong-pickup-code` once `tries_max` codes were
    wrong, and what `units.chosen` and `dispatch` raise.
    """
    work = await lock_for(connection, "hand_over", fulfillment_order_id, ask)
    if work.order.pickup_code is None:
        raise Refused(
            "illegal-state",
            "Nobody has said yet that the goods are ready; say so with `ready`, which makes the "
            "code that the customer shows.",
            state=work.order.state,
            request_state=work.order.request_state,
            allowed=allowed(standing(work.order)),
        )
    if work.order.wrong_codes >= tries_max:
        raise Refused(
            "wrong-pickup-code",
            f"{work.order.wrong_codes} codes were wrong; no more are tried. Ask for a new one with "
            "`ready`.",
            tries_left=0,
        )
    if not same_code(departure.code, work.order.pickup_code):
        return await count_wrong(connection, work, tries_max)
    now = await shared_records.database_now(connection)
    if work.order.method == "ship_to_store":
        units, lines = whole_parcels(work, departure), work.lines
    else:
        units = to_leave(work, departure, "hand over")
        await dispatch(connection, work, units, departure, ask)
        lines = counted(work, "collected", units)
    (saved,) = await records.save(connection, [moved(work, "hand_over", lines, now)])
    told = event(
        "handed_over",
        saved.order,
        ask.actor,
        hand_over_id=str(departure.departure_id),
        happened_at=(departure.happened_at or now).isoformat(),
        lines=units_of(work.lines, units),
        amounts_minor=amounts(saved, {} if work.order.method == "ship_to_store" else units),
    )
    await write(connection, work, saved, [told], ask.actor)
    return saved


def whole_parcels(work: Work, departure: Departure) -> Units:
    """Return the units of parcels that came to a store: they left stock when they were sent.

    Raises `invalid-field` where lines are named: a parcel is handed over whole.
    """
    if departure.lines is not None:
        raise Refused(
            "invalid-field",
            "What was sent to the store is handed over whole; name no lines. What the customer "
            "does not want is taken back as a return.",
            field="lines",
        )
    return {line.part: line.shipped for line in work.lines if line.shipped}


async def count_wrong(connection: asyncpg.Connection, work: Work, tries_max: int) -> Refused:
    """Count a wrong code and return the refusal."""
    wrong = work.order.wrong_codes + 1
    await records.save(connection, [stamped(work, wrong_codes=wrong)])
    left = tries_max - wrong
    more = f"{left} more tries" if left else "ask for a new one with `ready`"
    return Refused(
        "wrong-pickup-code",
        f"That is not the code of this order; {more}. The customer has it in the message that "
        "said the goods are ready.",
        tries_left=left,
    )


async def ship(
    connection: asyncpg.Connection, fulfillment_order_id: UUID, ask: Ask, departure: Departure
) -> Work:
    """Send a parcel with all that is picked and has not left, or with the lines named.

    A parcel known by its id has no second effect. Raises `not-found`, `duplicate-entry` for the id
    of another order's parcel, then as `steps.lock_for`, `units.chosen` and `dispatch` do.
    """
    work = await lock(connection, fulfillment_order_id)
    known = await records.find_shipment(connection, work.order.order_id, departure.departure_id)
    if known is not None:
        return same_parcel(work, known)
    verify_version(work, ask)
    verify("ship", standing(work.order))
    units = to_leave(work, departure, "ship")
    now = await shared_records.database_now(connection)
    await dispatch(connection, work, units, departure, ask)
    lines = counted(work, "shipped", units)
    (saved,) = await records.save(connection, [moved(work, "ship", lines, now)])
    shipment = shipment_of(saved, units, departure, ask, now)
    await records.insert_shipment(connection, shipment)
    told = event(
        "shipment.created",
        saved.order,
        ask.actor,
        shipment_id=str(shipment.shipment_id),
        carrier=shipment.carrier,
        tracking=shipment.tracking,
        shipped_at=shipment.shipped_at.isoformat(),
        lines=units_of(work.lines, units),
        amounts_minor=amounts(saved, units),
    )
    await write(connection, work, saved, [told], ask.actor)
    return saved


def same_parcel(work: Work, known: Shipment) -> Work:
    """Return the work of a parcel that was told before; raises `duplicate-entry` for another's."""
    if known.fulfillment_order_id != work.order.fulfillment_order_id:
        raise Refused(
            "duplicate-entry",
            f"Shipment {known.shipment_id} belongs to other work; name each parcel anew.",
        )
    return work


def to_leave(work: Work, departure: Departure, word: str) -> Units:
    """Return the units that leave; raises as `units.chosen` does, and when there is none."""
    units = chosen(work.lines, departure.lines, lambda line: line.in_hand, word)
    if not units:
        raise Refused("too-many-units", f"Nothing that is picked is left to {word}.", left=0)
    return units


async def dispatch(
    connection: asyncpg.Connection, work: Work, units: Units, departure: Departure, ask: Ask
) -> None:
    """Take units out of stock; raises `negative-stock` when the records say they are not there."""
    # Named after the work, too: callers name parcels, and may name those of two orders alike.
    named = work.order.fulfillment_order_id
    takes = [
        Consumption(
            movement_id=uuid5(named, f"{departure.departure_id}/{line.part}"),
            line_id=line.line_id,
            sku=line.sku,
            node_id=work.order.node_id,
            quantity=units[line.part],
        )
        for line in work.lines
        if line.part in units
    ]
    try:
        await consume(
            connection,
            work.order.allocation_id,
            takes,
            actor=ask.actor,
            reference=str(departure.departure_id),
            happened_at=departure.happened_at,
        )
    except MovementRefused as error:
        raise Refused("negative-stock", f"{error}.", available=error.available) from error


def amounts(work: Work, units: Units) -> dict[str, int]:
    """Return what to capture for units that leave, and what this work will never capture.

    `void` is said of the work as a whole and only once nothing is left to leave, so that whoever
    captures knows that this was the last time.
    """
    over = not any(line.left for line in work.lines)
    never = {line.part: line.cancelled for line in work.lines if over and line.cancelled}
    return {"capture": sum_minor(work.lines, units), "void": sum_minor(work.lines, never)}


def shipment_of(
    work: Work, units: Units, departure: Departure, ask: Ask, now: datetime
) -> Shipment:
    """Return the parcel that carries these units."""
    lines = [
        {
            "part": line.part,
            "line_id": line.line_id,
            "sku": line.sku,
            "quantity": units[line.part],
        }
        for line in work.lines
        if line.part in units
    ]
    return Shipment(
        order_id=work.order.order_id,
        shipment_id=departure.departure_id,
        fulfillment_order_id=work.order.fulfillment_order_id,
        carrier=departure.carrier,
        tracking=departure.tracking,
        lines=msgspec.json.encode(lines).decode(),
        actor=ask.actor,
        shipped_at=min(departure.happened_at or now, now),
    )


async def deliver(
    connection: asyncpg.Connection,
    fulfillment_order_id: UUID,
    ask: Ask,
    happened_at: datetime | None = None,
) -> Work:
    """Say that every parcel has arrived; raises as `steps.lock_for` does."""
    work = await lock_for(connection, "deliver", fulfillment_order_id, ask)
    now = await shared_records.database_now(connection)
    at = min(happened_at or now, now)
    arrived = await records.set_delivered(connection, work.order, at)
    (saved,) = await records.save(connection, [moved(work, "deliver", work.lines, now)])
    told = [
        event(
            "shipment.delivered",
            saved.order,
            ask.actor,
            shipment_id=str(shipment_id),
            delivered_at=at.isoformat(),
        )
        for shipment_id in arrived
    ]
    told.append(event("delivered", saved.order, ask.actor, delivered_at=at.isoformat()))
    await write(connection, work, saved, told, ask.actor)
    return saved
