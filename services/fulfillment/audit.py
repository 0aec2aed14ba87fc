"""Does the work of nodes agree with what is promised for it, and with itself."""

from collections.abc import Iterator

import asyncpg

from inventory.audit import Difference
from services.fulfillment import audit_records


async def audit(connection: asyncpg.Connection) -> list[Difference]:
    """Compare the counters of fulfillment orders with reservations and parcels; empty if they agree.

    Reads one REPEATABLE READ snapshot in a transaction of its own, so it runs beside full traffic.
    Raises asyncpg.InterfaceError when the connection is in a transaction already.
    """
    if connection.is_in_transaction():
        raise asyncpg.InterfaceError("the audit needs a connection outside any transaction")
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return [
            *_described(
                "work",
                await audit_records.differing_work(connection),
                "{expected} units are still to leave and {found} are confirmed for them",
            ),
            *_described(
                "work state",
                await audit_records.unfinished_work(connection),
                "{found} units are still to leave, which does not agree with its state",
            ),
            *_described(
                "shipment",
                await audit_records.differing_shipments(connection),
                "{expected} units are in parcels and {found} are counted as shipped",
            ),
        ]


def _described(check: str, rows: list[asyncpg.Record], sentence: str) -> Iterator[Difference]:
    """Describe rows that carry what was expected and found beside the parts of their key."""
    for row in rows:
        parts = {name: value for name, value in row.items() if name not in ("expected", "found")}
        key = " ".join(f"{name}={value}" for name, value in parts.items())
        expected, found = row.get("expected", 0), row["found"]
        yield Difference(
            check=check,
            key=key,
            expected=expected,
            found=found,
            what=f"{key}: {sentence.format(expected=expected, found=found)}",
        )
