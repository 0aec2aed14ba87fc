"""What the audits of work, returns and messages share: one moment to read, one way to say it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import asyncpg

from inventory.audit import Difference


@asynccontextmanager
async def one_moment(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """Read one REPEATABLE READ snapshot in a transaction of its own, beside full traffic.

    Raises asyncpg.InterfaceError when the connection is in a transaction already.
    """
    if connection.is_in_transaction():
        raise asyncpg.InterfaceError("the audit needs a connection outside any transaction")
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        yield


def described(check: str, rows: list[asyncpg.Record], sentence: str) -> Iterator[Difference]:
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
