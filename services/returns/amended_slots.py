"""The slots of an order that is changed: kept, moved, or a reason why the change cannot be made."""

from collections.abc import Sequence

import asyncpg
import msgspec
from msgspec import UNSET

from inventory.capacity import exchange_places
from services.fulfillment.records import Work
from services.fulfillment.slot_keeping import arrival_of
from services.orders.answers import AllocationAnswer, FulfillmentAnswer, SlotAnswer
from services.orders.lifecycle import told
from services.orders.records import AllocationRow
from services.orders.request import SlotWish
from services.orders.slot_changes import keys_of, slots_of
from services.orders.slots import (
    Arrival,
    arrival_told,
    chosen,
    time_zone_of,
    verify_date,
    why_not,
)
from services.orders.slots import told as slots_told
from services.planning.network import Zone
from services.problems import Refused
from services.records import database_now
from services.returns.amendments import AmendRequest, Kept
from services.returns.placing import Means


async def wishes_of(
    connection: asyncpg.Connection, means: Means, row: AllocationRow, request: AmendRequest
) -> tuple[SlotWish, ...]:
    """Return the slots of an order after a change: those asked for, or those it has.

    Raises `unknown-slot`, `date-in-past` and `slot-unsuitable` for one that is asked for.
    """
    if request.slots is UNSET:
        return tuple(SlotWish(slot_id=e.slot_id, on=e.on) for e in slots_of(told(row)))
    now = await database_now(connection)
    zone = means.network.zones.get(row.zone_id or "")
    for wish in request.slots:
        slot = means.network.slots.get(wish.slot_id)
        if slot is None:
            raise Refused("unknown-slot", f"There is no slot {wish.slot_id}.")
        verify_date(slot, wish.on, time_zone_of(slot, means.network, zone), now)
    if len({wish.slot_id for wish in request.slots}) < len(request.slots):
        raise Refused("slot-unsuitable", "A slot is named twice; name it for one date.")
    return tuple(request.slots)


def verify_kept(
    means: Means,
    wishes: Sequence[SlotWish],
    works: Sequence[Work],
    made: Sequence[FulfillmentAnswer],
    zone: Zone | None,
) -> None:
    """Raise `slot-impossible` unless what stays and what is new is there in time for every slot."""
    network = means.network
    known = [wish for wish in wishes if wish.slot_id in network.slots]
    arrivals: list[Arrival] = [arrival_told(each) for each in made]
    arrivals += [arrival_of(work) for work in works if any(line.left for line in work.lines)]
    # An order of which nothing is left keeps what it has until it is cancelled.
    for slot, on in chosen(known, network) if arrivals else ():
        reason = why_not(slot, on, arrivals, network, zone)
        if reason is not None:
            raise Refused(
                "slot-impossible",
                f"With this change slot {slot.slot_id} on {on} cannot be kept: {reason}. Name "
                "another one in slots, or none.",
            )


def answers_of(
    means: Means, wishes: Sequence[SlotWish], request: AmendRequest
) -> tuple[SlotAnswer, ...] | msgspec.UnsetType:
    """Return the slots that a quote is about; unset where they stay as they are."""
    if request.slots is UNSET:
        return UNSET
    return slots_told(chosen(wishes, means.network), means.settings.currency)


async def exchange(
    connection: asyncpg.Connection, kept: Kept, body: AllocationAnswer
) -> AllocationAnswer:
    """Take the slots of a quote for those that the order has; raises `slot-full`."""
    if kept.slots is UNSET:
        return body
    full = await exchange_places(
        connection, body.allocation_id, keys_of(slots_of(body)), keys_of(kept.slots)
    )
    if full is not None:
        raise Refused(
            "slot-full",
            f"Slot {full[2]} has no place left on {full[1]}; nothing has changed. Choose another.",
            slot_id=full[2],
            on=full[1].isoformat(),
        )
    return msgspec.structs.replace(body, slots=kept.slots)
