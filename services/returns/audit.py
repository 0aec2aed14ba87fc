"""Does what came back agree with what the work of nodes counts as returned."""

from collections.abc import Iterator

import asyncpg

from inventory.audit import Difference
from services.returns import audit_records


async def audit(connection: asyncpg.Connection) -> list[Difference]:
    """Compare returns with the counters of the work they come from; empty if they agree.

    Reads one REPEATABLE READ snapshot in a transaction of its own. Raises asyncpg.InterfaceError
    when the connection is in a transaction already.
    """
    if connection.is_in_transaction():
        raise asyncpg.InterfaceError("the audit needs a connection outside any transaction")
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return [
            *_described(
                "return",
                await audit_records.differing_returns(connection),
                "{expected} units came back and {found} are counted as returned",
            ),
            *_described(
                "return state",
                await audit_records.unsettled_returns(connection),
                "{found} units wait to be decided about, which does not agree with its end",
            ),
        ]


def _described(check: str, rows: list[asyncpg.Record], sentence: str) -> Iterator[Difference]:
    """Describe rows that carry what was expected and found beside the parts of their key."""
    for row in rows:
        parts = {name: value for name, value in row.items() if name not in ("expected", "found")}
        key = " ".join(f"{name}={value}" for name, value in parts.items())
        said = sentence.format(expected=row["expected"], found=row["found"])
        yield Difference(
            check=check,
            key=key,
            expected=row["expected"],
            found=row["found"],
            what=f"{key}: {said}",
        )
