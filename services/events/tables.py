"""The tables of the log's order; the events themselves are in `services.tables.event`."""

import sqlalchemy as sa

from inventory.tables import ZERO, instant, metadata

__all__ = ["metadata"]

event_position = sa.Table(
    "event_position",
    metadata,
    sa.Column("position", sa.BigInteger, nullable=False, comment="Counts events without gaps."),
    sa.Column("event_id", sa.Uuid, nullable=False),
    instant("created_at"),
    sa.PrimaryKeyConstraint("position", "created_at"),
    postgresql_partition_by="RANGE (created_at)",
)

event_cursor = sa.Table(
    "event_cursor",
    metadata,
    sa.Column("only", sa.Boolean, primary_key=True, server_default=sa.true()),
    sa.Column("position", sa.BigInteger, nullable=False, server_default=ZERO),
    sa.Column("ordinal", sa.BigInteger, nullable=False, server_default=ZERO),
    sa.Column("marked_ordinal", sa.BigInteger),
    sa.Column("marked_xid", sa.BigInteger),
    instant("marked_server", nullable=True),
    sa.CheckConstraint('"only"', name="only"),
    sa.CheckConstraint("marked_ordinal > ordinal", name="marked_ordinal"),
    sa.CheckConstraint(
        "(marked_ordinal IS NULL) = (marked_xid IS NULL)"
        " AND (marked_ordinal IS NULL) = (marked_server IS NULL)",
        name="mark",
    ),
    comment="One row; how far events have positions, and how far they soon can.",
)
