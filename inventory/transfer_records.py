"""Every SQL statement of transfers, one named function each."""

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg

Columns = Sequence[Sequence[Any]]

TRANSFER = (
    "SELECT transfer_id, from_node_id, to_node_id, holder_id, state, expected_on, note, actor,"
    " created_at, shipped_at, ended_at FROM transfer"
)


async def insert_transfer(connection: asyncpg.Connection, row: Sequence[Any]) -> None:
    """Insert a transfer that is open."""
    await connection.execute(
        "INSERT INTO transfer (transfer_id, from_node_id, to_node_id, holder_id, expected_on, note,"
        " actor) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        *row,
    )


async def insert_lines(
    connection: asyncpg.Connection, transfer_id: UUID, skus: Sequence[str], units: Sequence[int]
) -> None:
    """Insert the lines of a transfer."""
    await connection.execute(
        "INSERT INTO transfer_line (sku, transfer_id, quantity)"
        " SELECT sku, $1, quantity FROM unnest($2::text[], $3::bigint[]) AS l (sku, quantity)",
        transfer_id,
        skus,
        units,
    )


async def lock_transfer(connection: asyncpg.Connection, transfer_id: UUID) -> asyncpg.Record | None:
    """Return a transfer, locked until the transaction ends."""
    return await connection.fetchrow(TRANSFER + " WHERE transfer_id = $1 FOR UPDATE", transfer_id)


async def find_transfer(connection: asyncpg.Connection, transfer_id: UUID) -> asyncpg.Record | None:
    """Return a transfer."""
    return await connection.fetchrow(TRANSFER + " WHERE transfer_id = $1", transfer_id)


async def list_transfers(
    connection: asyncpg.Connection, node_id: str, after: UUID | None, limit: int
) -> list[asyncpg.Record]:
    """Return the transfers from or to a node that have not ended, oldest first."""
    return await connection.fetch(
        TRANSFER
        + " WHERE ended_at IS NULL AND (from_node_id = $1 OR to_node_id = $1)"
        + " AND ($2::uuid IS NULL OR transfer_id > $2) ORDER BY transfer_id LIMIT $3",
        node_id,
        after,
        limit,
    )


async def find_lines(
    connection: asyncpg.Connection, transfer_ids: Sequence[UUID]
) -> list[asyncpg.Record]:
    """Return the lines of these transfers, by transfer and sku."""
    return await connection.fetch(
        "SELECT transfer_id, sku, quantity, shipped, received, damaged, lost FROM transfer_line"
        " WHERE transfer_id = ANY ($1::uuid[]) ORDER BY transfer_id, sku",
        transfer_ids,
    )


async def set_shipped(connection: asyncpg.Connection, transfer_id: UUID, expected_on: date) -> None:
    """Note that a locked transfer has left, and when it is expected."""
    await connection.execute(
        "UPDATE transfer SET state = 'shipped', shipped_at = now(), expected_on = $2"
        " WHERE transfer_id = $1",
        transfer_id,
        expected_on,
    )


async def set_ended(connection: asyncpg.Connection, transfer_id: UUID, state: str) -> None:
    """End a locked transfer."""
    await connection.execute(
        "UPDATE transfer SET state = $2, ended_at = now() WHERE transfer_id = $1",
        transfer_id,
        state,
    )


async def add_to_lines(
    connection: asyncpg.Connection, transfer_id: UUID, changes: Columns
) -> list[asyncpg.Record]:
    """Add to the counters of a locked transfer's lines: shipped, received, damaged, lost."""
    return await connection.fetch(
        """
        UPDATE transfer_line l
        SET shipped = l.shipped + d.shipped, received = l.received + d.received,
            damaged = l.damaged + d.damaged, lost = l.lost + d.lost
        FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
             AS d (sku, shipped, received, damaged, lost)
        WHERE l.transfer_id = $1 AND l.sku = d.sku
        RETURNING l.sku, l.shipped - l.received - l.lost AS in_transit
        """,
        transfer_id,
        *changes,
    )


async def cut_supply(
    connection: asyncpg.Connection, supply_id: str, skus: Sequence[str], units: Sequence[int]
) -> None:
    """Lower what a locked supply brings in all, after its shortage has been written."""
    await connection.execute(
        "UPDATE supply u SET version = u.version + 1, quantity = u.quantity - d.units,"
        " changed_at = now() FROM unnest($2::text[], $3::bigint[]) AS d (sku, units)"
        " WHERE u.sku = d.sku AND u.supply_id = $1",
        supply_id,
        skus,
        units,
    )


async def find_promises(connection: asyncpg.Connection, holder: UUID) -> list[asyncpg.Record]:
    """Return what a holder has live, whose reservations are locked."""
    return await connection.fetch(
        """
        SELECT sku, reservation_id, node_id, line_id, quantity, supply_id, state, holder_kind,
               actor, expires_at, pool_id, pool_units
        FROM reservation WHERE holder_id = $1 AND state IN ('held', 'confirmed')
        ORDER BY sku, reservation_id
        """,
        holder,
    )
