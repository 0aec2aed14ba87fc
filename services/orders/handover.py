"""Hand-over between channels: a basket begun in one is finished in another, its stock still held."""

from uuid import UUID

import asyncpg
import msgspec

from services import records as shared_records
from services.ids import new_id
from services.keys import Principal
from services.orders import handover_records, lifecycle, records
from services.orders.answers import AllocationAnswer
from services.orders.records import AllocationRow
from services.problems import Refused
from services.records import Event


async def take_over(
    connection: asyncpg.Connection,
    allocation_id: UUID,
    channel: str,
    principal: Principal,
    *,
    order_id: str | None,
    new_order_id: str | None,
) -> AllocationAnswer:
    """Move a hold to another channel and to whoever asks; its stock and its end stay.

    A checkout key may take over any hold. A store key may take over those it sees, and any other
    whose order it names (`order_id`), as the customer before it can. `new_order_id` continues the
    basket under another order. Raises `not-found`, `illegal-state`, `order-already-allocated`.
    """
    found = await records.find_allocation(connection, allocation_id)
    if found is None or not may_take(principal, found, order_id):
        raise lifecycle.unknown(allocation_id)
    to = new_order_id or found.order_id
    # Names come before the allocation in the order of locks.
    names = {records.order_lock(found.order_id), records.order_lock(to)}
    await shared_records.lock_names(connection, sorted(names))
    row = await lifecycle.lock(connection, allocation_id, "transfer")
    if row.order_id != found.order_id:
        raise lifecycle.unknown(allocation_id)
    if to != row.order_id:
        await verify_free(connection, to)
    body = msgspec.json.decode(row.body, type=AllocationAnswer)
    body = msgspec.structs.replace(body, order_id=to)
    fields = (to, channel, principal.actor, msgspec.json.encode(body))
    await handover_records.move_allocation(connection, allocation_id, fields)
    await handover_records.move_reservations(connection, allocation_id, principal.actor)
    await shared_records.insert_events(connection, events(row, to, channel, principal.actor))
    return lifecycle.told(await lifecycle.find(connection, allocation_id))


def may_take(principal: Principal, row: AllocationRow, order_id: str | None) -> bool:
    """Tell whether a key may take a hold over: `order_id` is what it knows of it."""
    if order_id is not None:
        return order_id == row.order_id
    return lifecycle.may_see(principal, row)


async def verify_free(connection: asyncpg.Connection, order_id: str) -> None:
    """Raise `order-already-allocated` when a locked order has a live allocation."""
    live = (await records.find_live(connection, [order_id])).get(order_id)
    if live is not None:
        raise Refused(
            "order-already-allocated",
            f"Order {order_id} has a live allocation; release or cancel it first, or name another "
            "order.",
        )


def events(row: AllocationRow, to: str, channel: str, actor: str) -> list[Event]:
    """Return the events of a hand-over: for both orders where the order changes."""
    payload: dict[str, object] = {
        "allocation_id": str(row.allocation_id),
        "from_order_id": row.order_id,
        "order_id": to,
        "from_channel": row.channel,
        "channel": channel,
        "from_actor": row.actor,
    }
    return [
        Event(new_id(), "allocation.transferred", subject, actor, payload)
        for subject in dict.fromkeys((row.order_id, to))
    ]
