"""The statements of the audit of messages; shares nothing with the code it checks."""

import asyncpg

SKEW_S = 2
"""By how much the clocks of two machines that send may differ; less is no difference."""


async def wrong_heads(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Find lanes in which another message may go out than the first that waits, or none."""
    return await connection.fetch(
        """
        SELECT endpoint_id, lane, min(position) AS expected,
               coalesce(min(position) FILTER (WHERE due_at IS NOT NULL), 0) AS found
        FROM message
        WHERE state = 'pending'
        GROUP BY endpoint_id, lane
        HAVING min(position) FILTER (WHERE due_at IS NOT NULL) IS DISTINCT FROM min(position)
        ORDER BY 1, 2
        """
    )


async def overtaken(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Find messages first tried before the one ahead of them in their lane was delivered or dead.

    A message that came to be owed only after a later one, since the endpoint went back to it, was
    not overtaken. Of one that was sent again by hand before it was ever delivered it is not known
    when it ended first.
    """
    return await connection.fetch(
        """
        WITH sent AS (
            SELECT m.endpoint_id, m.lane, m.position, m.created_at,
                   min(a.happened_at - a.elapsed_ms * interval '1 millisecond') AS began_at,
                   CASE
                       WHEN bool_or(a.status_code BETWEEN 200 AND 299)
                           THEN min(a.happened_at) FILTER (WHERE a.status_code BETWEEN 200 AND 299)
                       WHEN count(a.number) <> m.attempts THEN NULL
                       WHEN m.state = 'dead' THEN max(a.happened_at)
                       WHEN m.state = 'pending' THEN 'infinity'
                   END AS ended_at
            FROM message m LEFT JOIN attempt a
                ON a.endpoint_id = m.endpoint_id AND a.position = m.position
                AND a.happened_at > m.created_at - $1 * interval '1 second'
            GROUP BY m.endpoint_id, m.position
        ), ordered AS (
            SELECT endpoint_id, lane, position, created_at, began_at,
                   lag(position) OVER lane AS ahead, lag(created_at) OVER lane AS ahead_created_at,
                   lag(ended_at) OVER lane AS ahead_ended_at
            FROM sent
            WINDOW lane AS (PARTITION BY endpoint_id, lane ORDER BY position)
        )
        SELECT endpoint_id, lane, ahead AS expected, position AS found
        FROM ordered
        WHERE began_at < ahead_ended_at - $1 * interval '1 second'
            AND ahead_created_at <= created_at
        ORDER BY 1, 2, 4
        """,
        SKEW_S,
    )


async def misplaced(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Find messages whose lane is not the fulfillment order of their event, else its subject."""
    return await connection.fetch(
        """
        SELECT m.endpoint_id, m.lane, m.position AS expected, m.position AS found
        FROM message m JOIN event e ON e.event_id = m.event_id AND e.created_at = m.happened_at
        WHERE m.lane <> coalesce(nullif(e.payload ->> 'fulfillment_order_id', ''), e.subject)
        ORDER BY 1, 3
        """
    )
