"""SQL of counts and of what a counter holds for its customers."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

COUNT = "SELECT count_id, node_id, state, blind, actor, begun_at, ended_at FROM stock_count"


async def insert_count(
    connection: asyncpg.Connection,
    count_id: UUID,
    node_id: str,
    begun_at: datetime,
    actor: str,
    *,
    blind: bool,
) -> None:
    """Add a count that has begun."""
    await connection.execute(
        "INSERT INTO stock_count (count_id, node_id, begun_at, actor, blind)"
        " VALUES ($1, $2, $3, $4, $5)",
        count_id,
        node_id,
        begun_at,
        actor,
        blind,
    )


async def insert_expected(
    connection: asyncpg.Connection, count_id: UUID, node_id: str, skus: Sequence[str]
) -> None:
    """Add the lines of a count with what is on hand of each sku now."""
    await connection.execute(
        "INSERT INTO stock_count_line (count_id, sku, expected_at_begin)"
        " SELECT $1, k.sku, coalesce(s.on_hand, 0) FROM unnest($3::text[]) AS k (sku)"
        " LEFT JOIN stock s ON s.sku = k.sku AND s.node_id = $2",
        count_id,
        node_id,
        skus,
    )


async def find_skus(connection: asyncpg.Connection, node_id: str, limit: int) -> list[str]:
    """Return up to `limit` skus that have a stock record at a node."""
    rows = await connection.fetch(
        "SELECT sku FROM stock WHERE node_id = $1 ORDER BY sku LIMIT $2", node_id, limit
    )
    return [row["sku"] for row in rows]


async def find_count(connection: asyncpg.Connection, count_id: UUID) -> asyncpg.Record | None:
    """Return a count."""
    return await connection.fetchrow(COUNT + " WHERE count_id = $1", count_id)


async def share_count(connection: asyncpg.Connection, count_id: UUID) -> asyncpg.Record | None:
    """Return a count that cannot end before this transaction does; others may add lines to it."""
    return await connection.fetchrow(COUNT + " WHERE count_id = $1 FOR SHARE", count_id)


async def lock_count(connection: asyncpg.Connection, count_id: UUID) -> asyncpg.Record | None:
    """Return a count, locked until the transaction ends."""
    return await connection.fetchrow(COUNT + " WHERE count_id = $1 FOR UPDATE", count_id)


async def find_count_lines(connection: asyncpg.Connection, count_id: UUID) -> list[asyncpg.Record]:
    """Return the lines of a count by sku."""
    return await connection.fetch(
        "SELECT sku, expected_at_begin, counted, unavailable, counted_at, counted_by, expected,"
        " outcome FROM stock_count_line WHERE count_id = $1 ORDER BY sku",
        count_id,
    )


async def put_counted(
    connection: asyncpg.Connection,
    count_id: UUID,
    columns: Sequence[Sequence[Any]],
    actor: str,
) -> None:
    """Note what was counted; of two figures for a sku the one counted later stands."""
    await connection.execute(
        """
        INSERT INTO stock_count_line AS l (count_id, sku, counted, unavailable, counted_at,
                                           counted_by)
        SELECT $1, d.sku, d.counted, d.unavailable, d.counted_at, $6
        FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::timestamptz[])
             AS d (sku, counted, unavailable, counted_at)
        ORDER BY d.sku
        ON CONFLICT (count_id, sku) DO UPDATE
        SET counted = excluded.counted, unavailable = excluded.unavailable,
            counted_at = excluded.counted_at, counted_by = excluded.counted_by
        WHERE l.counted_at IS NULL OR l.counted_at <= excluded.counted_at
        """,
        count_id,
        *columns,
        actor,
    )


async def set_outcomes(
    connection: asyncpg.Connection, count_id: UUID, columns: Sequence[Sequence[Any]]
) -> None:
    """Note what the end of a count made of its lines."""
    await connection.execute(
        """
        UPDATE stock_count_line l
        SET counted = d.counted, counted_at = d.counted_at, expected = d.expected,
            outcome = d.outcome
        FROM unnest($2::text[], $3::bigint[], $4::timestamptz[], $5::bigint[], $6::text[])
             AS d (sku, counted, counted_at, expected, outcome)
        WHERE l.count_id = $1 AND l.sku = d.sku
        """,
        count_id,
        *columns,
    )


async def end_count(connection: asyncpg.Connection, count_id: UUID, state: str) -> None:
    """End a locked count."""
    await connection.execute(
        "UPDATE stock_count SET state = $2, ended_at = now() WHERE count_id = $1", count_id, state
    )


async def find_local_date(connection: asyncpg.Connection, node_id: str) -> Any:
    """Return the date it is at a node now."""
    return await connection.fetchval(
        "SELECT (now() AT TIME ZONE time_zone)::date FROM node WHERE node_id = $1", node_id
    )
