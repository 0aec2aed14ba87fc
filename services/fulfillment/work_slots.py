"""The slots in which customers expect what nodes are working on."""

from collections.abc import Sequence
from datetime import date, time
from typing import Annotated
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Meta

from services.fulfillment import records
from services.fulfillment.records import Work
from services.orders.answers import AllocationAnswer
from services.orders.slot_changes import slots_of


class WorkSlotAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The window in which the customer expects it, with what else comes the same way."""

    slot_id: str
    on: Annotated[date, Meta(description="Local date at the destination or where it is collected.")]
    opens: time = msgspec.field(name="from")
    closes: time = msgspec.field(name="until")


async def slots_of_works(
    connection: asyncpg.Connection, works: Sequence[Work]
) -> dict[UUID, WorkSlotAnswer]:
    """Return the slots of some work by its id: those chosen for the way it comes, and still kept.

    The window is what the customer was told, whatever the planner has made of the slot since.
    """
    if not works:
        return {}
    rows = await records.find_slots(connection, sorted({w.order.allocation_id for w in works}))
    found: dict[tuple[UUID, str | None], WorkSlotAnswer] = {}
    for row in rows:
        for each in slots_of(msgspec.json.decode(row["body"], type=AllocationAnswer)):
            if (each.slot_id, each.on) == (row["slot_id"], row["taken_on"]):
                found[row["allocation_id"], row["node_id"]] = WorkSlotAnswer(
                    slot_id=each.slot_id, on=each.on, opens=each.opens, closes=each.closes
                )
    by_work = {
        each.order.fulfillment_order_id: found.get((each.order.allocation_id, place_of(each)))
        for each in works
    }
    return {work_id: slot for work_id, slot in by_work.items() if slot is not None}


def place_of(work: Work) -> str | None:
    """Return where the customer collects what some work is about; none where it is delivered."""
    order = work.order
    return order.node_id if order.method == "pickup" else order.pickup_node
