"""How long messages and partners' events are kept; attempts go with their partitions."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

import asyncpg

from services import records as shared_records
from services.database import Database
from services.partners import records

MESSAGES_KEPT = timedelta(days=31)
"""How long a message is shown after it was delivered or died; its event is kept for longer."""
CALLBACKS_KEPT = timedelta(days=180)
"""How long a partner's event is known by its id; one sent again after that is a new one."""
BATCH_MAX = 2_000

Forget = Callable[[asyncpg.Connection], Awaitable[int]]


async def forget_old(database: Database) -> int:
    """Delete messages and partners' events that are over for long; say how many."""
    works: list[Forget] = [
        partial(forget, delete=records.forget_messages, kept=MESSAGES_KEPT),
        partial(forget, delete=records.forget_callbacks, kept=CALLBACKS_KEPT),
        partial(records.forget_deleted, limit=BATCH_MAX),
    ]
    total = 0
    for work in works:
        while deleted := await database.run(work):
            total += deleted
    return total


async def forget(connection: asyncpg.Connection, *, delete: records.Delete, kept: timedelta) -> int:
    """Delete some of what is older than is kept, in one transaction; say how many."""
    now = await shared_records.database_now(connection)
    return await delete(connection, now - kept, BATCH_MAX)
