"""Does the work of nodes agree with what is promised for it, and with itself."""

import asyncpg

from inventory.audit import Difference
from services.differences import described, one_moment
from services.fulfillment import audit_records


async def audit(connection: asyncpg.Connection) -> list[Difference]:
    """Compare the counters of fulfillment orders with reservations and parcels; empty if they agree.

    Reads one REPEATABLE READ snapshot in a transaction of its own, so it runs beside full traffic.
    Raises asyncpg.InterfaceError when the connection is in a transaction already.
    """
    async with one_moment(connection):
        return [
            *described(
                "work",
                await audit_records.differing_work(connection),
                "{expected} units are still to leave and {found} are confirmed for them",
            ),
            *described(
                "work state",
                await audit_records.unfinished_work(connection),
                "{found} units are still to leave, which does not agree with its state",
            ),
            *described(
                "shipment",
                await audit_records.differing_shipments(connection),
                "{expected} units are in parcels and {found} are counted as shipped",
            ),
        ]
