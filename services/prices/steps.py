"""Work of the pricing job on the database that takes its time."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg

from inventory.records import forbid_timeout
from services.database import Database

T = TypeVar("T")


async def patiently(database: Database, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    """Run `work`, which reads whole tables, in a transaction without a limit of time."""

    async def unhurried(connection: asyncpg.Connection) -> T:
        await forbid_timeout(connection)
        return await work(connection)

    return await database.run(unhurried)
