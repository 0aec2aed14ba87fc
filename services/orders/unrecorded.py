"""Why there is no decision record of an allocation, in a sentence."""

from datetime import timedelta
from uuid import UUID

import asyncpg
import msgspec

from services import records as shared_records
from services.orders import handover_records, lifecycle
from services.orders.answers import AllocationAnswer
from services.retention import DECISIONS

KEPT = timedelta(days=28 * DECISIONS.keep)
"""Age from which on a record may be gone; months have 28 days at the least."""


async def why_unrecorded(connection: asyncpg.Connection, allocation_id: UUID) -> str:
    """Return why an allocation has no decision record; raises `not-found` where there is none."""
    row = await lifecycle.find(connection, allocation_id)
    body = msgspec.json.decode(row.body, type=AllocationAnswer)
    if body.solver.found_by == "import":
        return (
            f"Order {row.order_id} was imported with the nodes it names, so nothing was decided "
            "here, and there is no decision record of it."
        )
    if await handover_records.is_of_counter(connection, allocation_id):
        node = " and ".join(each.node for each in body.fulfillments)
        return (
            f"Order {row.order_id} was made at a counter of units that were held at {node} already,"
            " so there was nothing to choose, and there is no decision record of it."
        )
    made = f"{row.created_at:%Y-%m-%d}"
    if await shared_records.database_now(connection) - row.created_at > KEPT:
        return (
            f"Order {row.order_id} was decided on {made}, and decision records are kept for "
            f"{DECISIONS.keep} months, so there is none of it any more."
        )
    return (
        f"Order {row.order_id} was decided on {made} while no decision records were written "
        "(NOM_DECISION_RECORDS), so there is none of it."
    )
