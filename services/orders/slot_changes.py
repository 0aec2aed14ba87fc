"""What becomes of an order's slots when its dates change: kept, or given up and told so."""

from collections.abc import Iterable, Sequence

import asyncpg
import msgspec

from inventory.capacity import exchange_places
from inventory.locks import CapacityKey, lock
from inventory.reserve import CapacityTake
from inventory.slots import places_key
from services import records as shared_records
from services.ids import new_id
from services.orders.answers import AllocationAnswer, SlotAnswer
from services.orders.slots import Arrival, why_not
from services.planning.network import Network

SLOT_MISSED = "allocation.slot_missed"


def slots_of(body: AllocationAnswer) -> tuple[SlotAnswer, ...]:
    """Return the slots in which an order has a place."""
    return tuple(each for each in body.slots or () if each.kept)


def keys_of(slots: Iterable[SlotAnswer]) -> list[CapacityKey]:
    """Return the rows that count the places of slots."""
    return [places_key(each.slot_id, each.on) for each in slots]


def takes_of(slots: Iterable[SlotAnswer]) -> tuple[CapacityTake, ...]:
    """Return the places of slots as the guarded step takes them."""
    return tuple(
        CapacityTake(node_id=node_id, work_on=on, slot=slot, orders=1, units=0)
        for node_id, on, slot in keys_of(slots)
    )


async def lock_places(connection: asyncpg.Connection, body: AllocationAnswer) -> None:
    """Lock the places of an order before rows of nodes, as everybody who takes both does."""
    if slots_of(body):
        await lock(connection, capacity=keys_of(slots_of(body)))


def missed(
    slots: Sequence[SlotAnswer], arrivals: Sequence[Arrival], network: Network, zone_id: str | None
) -> list[SlotAnswer]:
    """Return the slots that what arrives so does not keep.

    One for which nothing arrives is as it was.
    """
    zone = network.zones.get(zone_id or "")
    found = []
    for each in slots:
        slot = network.slots.get(each.slot_id)
        own = [one for one in arrivals if slot is None or one.pickup_node == slot.node_id]
        if own and (slot is None or why_not(slot, each.on, own, network, zone) is not None):
            found.append(each)
    return found


async def give_up(
    connection: asyncpg.Connection, body: AllocationAnswer, lost: Sequence[SlotAnswer], actor: str
) -> AllocationAnswer:
    """Give the places of slots back and return the order without them, as it is to be kept.

    The caller holds a lock on the allocation, and writes it.
    """
    if not lost:
        return body
    await exchange_places(connection, body.allocation_id, keys_of(lost), [])
    await shared_records.insert_events(
        connection,
        [
            shared_records.Event(
                new_id(),
                SLOT_MISSED,
                body.order_id,
                actor,
                {
                    "allocation_id": str(body.allocation_id),
                    "slot_id": each.slot_id,
                    "on": each.on.isoformat(),
                },
            )
            for each in lost
        ],
    )
    slots = tuple(
        msgspec.structs.replace(each, kept=False) if each in lost else each
        for each in body.slots or ()
    )
    return msgspec.structs.replace(body, slots=slots)
