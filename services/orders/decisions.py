"""Decision records, read back with the facts they refer to."""

import zlib
from uuid import UUID

import asyncpg

from routing.explain import Decision
from routing.record import digest_of, expand
from services.orders import records
from services.problems import Refused


async def find_decision(connection: asyncpg.Connection, allocation_id: UUID) -> Decision:
    """Return why an allocation's plan is what it is; raises `not-found` where that is not kept."""
    record = await records.find_decision(connection, allocation_id)
    if record is None:
        raise Refused("not-found", f"There is no decision record of allocation {allocation_id}.")
    body = await records.find_terrain(connection, digest_of(record))
    if body is None:
        raise RuntimeError(f"allocation {allocation_id} refers to facts that are not kept")
    return expand(record, zlib.decompress(body))
