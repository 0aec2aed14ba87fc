"""The statements about feeds of nodes."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg


async def note_nodes(
    connection: asyncpg.Connection,
    source: str,
    node_ids: Sequence[str],
    seen: Sequence[datetime | None],
) -> None:
    """Note as of when a source told of these nodes, sorted; null is now.

    A row that is less than a second younger stays as it is, so that tills which report every sale
    do not wait for each other.
    """
    await connection.execute(
        """
        INSERT INTO node_feed AS f (node_id, source, seen_at)
        SELECT k.node_id, $1, least(coalesce(k.seen_at, now()), now())
        FROM unnest($2::text[], $3::timestamptz[]) AS k (node_id, seen_at)
        WHERE NOT EXISTS (
            SELECT FROM node_feed o
            WHERE o.node_id = k.node_id
              AND o.seen_at > least(coalesce(k.seen_at, now()), now()) - interval '1 second'
        )
        ORDER BY k.node_id
        ON CONFLICT (node_id) DO UPDATE
        SET source = excluded.source, seen_at = excluded.seen_at, noted_at = now()
        WHERE f.seen_at < excluded.seen_at
        """,
        source,
        node_ids,
        seen,
    )


async def read_feeds(
    connection: asyncpg.Connection, since: datetime | None, node_ids: Sequence[str] | None
) -> list[asyncpg.Record]:
    """Read the feeds of nodes that were noted after an instant, and of these nodes alone."""
    return await connection.fetch(
        """
        SELECT node_id, source, seen_at, noted_at FROM node_feed
        WHERE ($1::timestamptz IS NULL OR noted_at >= $1)
          AND ($2::text[] IS NULL OR node_id = ANY ($2::text[]))
        ORDER BY node_id
        """,
        since,
        node_ids,
    )
