"""SQL of allocations and their decision records."""

import zlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

ALLOCATION = (
    "SELECT order_id, allocation_id, channel, zone_id, state, complete, request_hash, body, actor,"
    " expires_at, created_at, confirmed_at, ended_at FROM allocation"
)


class AllocationRow(msgspec.Struct, frozen=True, kw_only=True):
    """One allocation as it is kept."""

    order_id: str
    allocation_id: UUID
    channel: str
    zone_id: str | None
    state: str
    complete: bool
    request_hash: bytes
    body: bytes
    actor: str
    expires_at: datetime | None
    created_at: datetime
    confirmed_at: datetime | None
    ended_at: datetime | None


def order_lock(order_id: str) -> bytes:
    """Return the name under which an order is locked."""
    return zlib.crc32(order_id.encode()).to_bytes(4, "big") + b"ordr" + order_id.encode()


class Held(msgspec.Struct, frozen=True):
    """What became of a call that would hold a batch of orders."""

    held: bool
    """False when something is not as the batch expects; then nothing was changed."""
    cells: list[int]
    """Positions, from 1, of the stock records the batch takes from."""
    on_hand: list[int]
    """Of each record as it is now; so are the following."""
    reserved: list[int]
    unavailable: list[int]
    versions: list[int]
    clock: datetime
    """The database's."""
    writer: int
    """The transaction, as its changes are noted."""


HOLD_ORDERS = f"SELECT * FROM hold_orders({', '.join(f'${n}' for n in range(1, 33))})"


async def hold_orders(
    connection: asyncpg.Connection,
    names: Sequence[int],
    columns: Sequence[Sequence[Any]],
    *,
    sure: bool,
) -> Held:
    """Take the stock of a batch of orders and write all that is kept of them, in one call.

    Unless the caller is `sure` of it under locks it holds, the call locks `names`, and holds
    nothing at all when an order or its key is known already or when not everything fits.
    """
    row = await connection.fetchrow(HOLD_ORDERS, sure, names, *columns)
    if row is None:
        raise RuntimeError("hold_orders returned no row")
    cells, on_hand, reserved, unavailable, versions = (values or [] for values in row[1:6])
    return Held(row[0], cells, on_hand, reserved, unavailable, versions, row[6], row[7] or 0)


async def find_live(
    connection: asyncpg.Connection, order_ids: Sequence[str]
) -> dict[str, AllocationRow]:
    """Return the live allocation of each order that has one."""
    rows = await connection.fetch(
        ALLOCATION + " WHERE order_id = ANY($1::text[]) AND state IN ('held', 'confirmed')",
        list(order_ids),
    )
    return {row["order_id"]: AllocationRow(**row) for row in rows}


async def find_of_order(connection: asyncpg.Connection, order_id: str) -> list[AllocationRow]:
    """Return every allocation an order has had, newest last."""
    rows = await connection.fetch(
        ALLOCATION + " WHERE order_id = $1 ORDER BY created_at, allocation_id", order_id
    )
    return [AllocationRow(**row) for row in rows]


async def find_allocation(
    connection: asyncpg.Connection, allocation_id: UUID
) -> AllocationRow | None:
    """Return an allocation."""
    row = await connection.fetchrow(
        ALLOCATION + " WHERE allocation_id = $1",
        allocation_id,
    )
    return AllocationRow(**row) if row else None


async def lock_allocation(
    connection: asyncpg.Connection, allocation_id: UUID
) -> AllocationRow | None:
    """Return an allocation, locked until the transaction ends."""
    row = await connection.fetchrow(
        ALLOCATION + " WHERE allocation_id = $1 FOR UPDATE",
        allocation_id,
    )
    return AllocationRow(**row) if row else None


async def lock_expired(connection: asyncpg.Connection, limit: int) -> list[UUID]:
    """Lock held allocations whose time is over by the database clock, oldest first.

    Rows that a confirm holds at this moment are passed over: that confirm wins.
    """
    rows = await connection.fetch(
        "SELECT allocation_id FROM allocation WHERE state = 'held' AND expires_at <= now()"
        " ORDER BY expires_at, allocation_id LIMIT $1 FOR UPDATE SKIP LOCKED",
        limit,
    )
    return [row["allocation_id"] for row in rows]


async def set_state(
    connection: asyncpg.Connection, allocation_ids: Sequence[UUID], state: str
) -> list[tuple[UUID, str]]:
    """Set the state of locked allocations; return their ids with their orders."""
    rows = await connection.fetch(
        "UPDATE allocation SET state = $2,"
        " confirmed_at = CASE WHEN $2 = 'confirmed' THEN now() ELSE confirmed_at END,"
        " ended_at = CASE WHEN $2 IN ('held', 'confirmed') THEN NULL ELSE now() END"
        " WHERE allocation_id = ANY($1::uuid[]) RETURNING allocation_id, order_id",
        list(allocation_ids),
        state,
    )
    return [(row["allocation_id"], row["order_id"]) for row in rows]


async def set_body(
    connection: asyncpg.Connection,
    allocation_id: UUID,
    body: bytes,
    expires_at: datetime | None,
) -> None:
    """Replace what is told of a locked allocation, and when its hold ends."""
    await connection.execute(
        "UPDATE allocation SET body = $2, expires_at = $3 WHERE allocation_id = $1",
        allocation_id,
        body,
        expires_at,
    )


async def find_decision(connection: asyncpg.Connection, allocation_id: UUID) -> bytes | None:
    """Return an allocation's decision record."""
    record: bytes | None = await connection.fetchval(
        "SELECT record FROM decision WHERE allocation_id = $1", allocation_id
    )
    return record


async def find_terrain(connection: asyncpg.Connection, digest: bytes) -> bytes | None:
    """Return the facts that decision records with this digest refer to."""
    body: bytes | None = await connection.fetchval(
        "SELECT body FROM terrain WHERE digest = $1", digest
    )
    return body


async def insert_terrains(
    connection: asyncpg.Connection, terrains: Sequence[tuple[bytes, bytes]]
) -> None:
    """Keep facts by digest, unless they are kept already."""
    await connection.execute(
        "INSERT INTO terrain (digest, body)"
        " SELECT * FROM unnest($1::bytea[], $2::bytea[]) ON CONFLICT DO NOTHING",
        [digest for digest, _ in terrains],
        [body for _, body in terrains],
    )


async def find_counter_reservation(
    connection: asyncpg.Connection, holder: UUID
) -> asyncpg.Record | None:
    """Return a reservation made at the counter, by its holder."""
    return await connection.fetchrow(
        "SELECT holder_id AS reservation_id, node_id, sku, quantity, state AS status,"
        " created_at, expires_at"
        " FROM reservation WHERE holder_id = $1 AND holder_kind = 'staff'",
        holder,
    )
