"""How old a node's stock is: when a feed last told of it, of any of its records.

A node whose feed has stopped is sold from for hours before anybody notices, on the strength of its
last message. Nodes that no feed ever told of are known by what happens here, and have no age.
"""

from collections.abc import Collection, Mapping
from datetime import datetime

import asyncpg
import msgspec

from inventory import feed_records


class NodeFeed(msgspec.Struct, frozen=True):
    """When a node's stock was last told of, and by whom."""

    node_id: str
    source: str
    seen_at: datetime
    noted_at: datetime


async def note_nodes(
    connection: asyncpg.Connection, source: str, seen: Mapping[str, datetime | None]
) -> None:
    """Note as of when a message told of each node's stock; None is now.

    Call it last of all in the message's transaction. An older word than the last changes nothing.
    """
    if seen:
        node_ids = sorted(seen)
        await feed_records.note_nodes(
            connection, source, node_ids, [seen[node_id] for node_id in node_ids]
        )


async def read_feeds(
    connection: asyncpg.Connection,
    *,
    since: datetime | None = None,
    node_ids: Collection[str] | None = None,
) -> list[NodeFeed]:
    """Return the feeds of nodes, those noted after `since` and of `node_ids` where given."""
    rows = await feed_records.read_feeds(
        connection, since, None if node_ids is None else list(node_ids)
    )
    return [NodeFeed(*row) for row in rows]
