"""The table that knows when a node's stock was last told of."""

import sqlalchemy as sa

from inventory.tables import instant, metadata

node_feed = sa.Table(
    "node_feed",
    metadata,
    sa.Column("node_id", sa.Text, primary_key=True),
    sa.Column("source", sa.Text, nullable=False, comment="The feed that told of it last."),
    instant("seen_at"),
    instant("noted_at", default=True),
    comment="As of when the newest message about each node told of its stock.",
)
