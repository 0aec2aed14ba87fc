"""Slots of orders whose work moves: kept where the work left keeps them, else given up."""

from uuid import UUID

import asyncpg
import msgspec

from services.fulfillment import records
from services.fulfillment.records import Work
from services.fulfillment.work_slots import place_of
from services.orders import records as order_records
from services.orders.lifecycle import told
from services.orders.slot_changes import give_up, missed, slots_of
from services.orders.slots import Arrival
from services.planning.network import Network


def arrival_of(work: Work) -> Arrival:
    """Return what of work decides whether a slot can be kept."""
    order = work.order
    return Arrival(
        node_id=order.node_id,
        service=order.service,
        pickup_node=place_of(work),
        ship_by=order.ship_by,
        latest=order.promise_latest,
    )


async def keep_slots(
    connection: asyncpg.Connection, network: Network, allocation_id: UUID, actor: str
) -> None:
    """Give up the slots of a locked allocation that its work, as it is written now, does not keep.

    An order without slots costs one look at it.
    """
    row = await order_records.find_allocation(connection, allocation_id)
    body = told(row) if row is not None else None
    if row is None or body is None or not slots_of(body):
        return
    works = await records.find_of_allocation(connection, allocation_id)
    arrivals = [arrival_of(work) for work in works if any(line.left for line in work.lines)]
    lost = missed(slots_of(body), arrivals, network, row.zone_id)
    if lost:
        body = await give_up(connection, body, lost, actor)
        await order_records.set_body(
            connection, allocation_id, msgspec.json.encode(body), row.expires_at
        )
