"""SQL of holds that change hands, and of allocations that are made without the allocator."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg


async def move_allocation(
    connection: asyncpg.Connection, allocation_id: UUID, fields: Sequence[Any]
) -> None:
    """Give a locked allocation another order, channel, actor and body."""
    await connection.execute(
        "UPDATE allocation SET order_id = $2, channel = $3, actor = $4, body = $5"
        " WHERE allocation_id = $1",
        allocation_id,
        *fields,
    )


async def move_reservations(
    connection: asyncpg.Connection, allocation_id: UUID, actor: str
) -> None:
    """Give the live reservations of a locked allocation another actor."""
    await connection.execute(
        "UPDATE reservation SET actor = $2 WHERE holder_id = $1 AND resolved_at IS NULL",
        allocation_id,
        actor,
    )


async def insert_allocation(connection: asyncpg.Connection, fields: Sequence[Any]) -> None:
    """Add an allocation that is held."""
    await connection.execute(
        "INSERT INTO allocation (order_id, allocation_id, channel, zone_id, state, complete,"
        " request_hash, body, actor, expires_at)"
        " VALUES ($1, $2, $3, $4, 'held', true, $5, $6, $7, $8)",
        *fields,
    )


async def insert_counter(connection: asyncpg.Connection, fields: Sequence[Any]) -> None:
    """Add what is known of a reservation at a counter."""
    await connection.execute(
        "INSERT INTO counter_reservation (reservation_id, node_id, from_node_id, delivery,"
        " customer, transfer_id) VALUES ($1, $2, $3, $4, $5, $6)",
        *fields,
    )


async def find_counter(connection: asyncpg.Connection, holder: UUID) -> asyncpg.Record | None:
    """Return what is known of a reservation at a counter."""
    return await connection.fetchrow(
        "SELECT node_id, from_node_id, delivery, customer, transfer_id, order_id, allocation_id"
        " FROM counter_reservation WHERE reservation_id = $1",
        holder,
    )


async def is_of_counter(connection: asyncpg.Connection, allocation_id: UUID) -> bool:
    """Tell whether an allocation was made of a reservation at a counter."""
    found: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM counter_reservation WHERE allocation_id = $1)", allocation_id
    )
    return found


async def find_parts(connection: asyncpg.Connection, holder: UUID) -> list[asyncpg.Record]:
    """Return the parts of a reservation at a counter, the newest last."""
    return await connection.fetch(
        "SELECT node_id, sku, quantity, state, supply_id, created_at, expires_at, resolved_at"
        " FROM reservation WHERE holder_id = $1 AND holder_kind = 'staff'"
        " ORDER BY created_at, resolved_at NULLS LAST, reservation_id",
        holder,
    )


async def set_counter_order(
    connection: asyncpg.Connection, holder: UUID, order_id: str, allocation_id: UUID
) -> None:
    """Note which order a reservation at a counter has become."""
    await connection.execute(
        "UPDATE counter_reservation SET order_id = $2, allocation_id = $3"
        " WHERE reservation_id = $1",
        holder,
        order_id,
        allocation_id,
    )
