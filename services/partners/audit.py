"""Do messages go out in the order in which what they tell of has happened."""

import asyncpg

from inventory.audit import Difference
from services.differences import described, one_moment
from services.partners import audit_records


async def audit(connection: asyncpg.Connection) -> list[Difference]:
    """Compare lanes with their messages, events and attempts; empty if all are in order.

    Reads one REPEATABLE READ snapshot in a transaction of its own, so it runs beside full traffic.
    Raises asyncpg.InterfaceError when the connection is in a transaction already.
    """
    async with one_moment(connection):
        return [
            *described(
                "lane head",
                await audit_records.wrong_heads(connection),
                "message {expected} is the first that waits, and message {found} may go out"
                " (0 for none)",
            ),
            *described(
                "lane order",
                await audit_records.overtaken(connection),
                "message {found} was sent before message {expected} had ended",
            ),
            *described(
                "lane",
                await audit_records.misplaced(connection),
                "message {found} is kept in order with others than its event says",
            ),
        ]
