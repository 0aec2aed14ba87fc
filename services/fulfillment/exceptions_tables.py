"""The tables of what nodes could not do: rejections, exclusions, and what a person has to decide."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from inventory.tables import ZERO, instant, metadata, version

EXCEPTION_KINDS = (
    "unroutable",
    "attempts",
    "late",
    "short",
    "partner_silent",
    "endpoint_disabled",
    "feed_stale",
)
EXCEPTION_STATES = ("open", "resolved", "dismissed")

rejection_matrix = sa.Table(
    "rejection_matrix",
    metadata,
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("reasons", pg.JSONB, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    instant("created_at", default=True),
    comment="What each reason of a rejection leads to; the highest version is in force.",
)

rejection = sa.Table(
    "rejection",
    metadata,
    sa.Column("order_id", sa.Text, nullable=False),
    sa.Column("rejection_id", sa.Uuid, nullable=False),
    sa.Column("fulfillment_order_id", sa.Uuid, nullable=False),
    sa.Column("line_id", sa.Text, nullable=False),
    sa.Column("sku", sa.Text, nullable=False),
    sa.Column("node_id", sa.Text, nullable=False),
    sa.Column("quantity", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("matrix_version", sa.Integer, nullable=False),
    sa.Column("excludes", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("cascade", sa.Text, comment="What is still to be rejected along; none when done."),
    sa.Column("note", sa.Text, nullable=False, server_default=""),
    sa.Column("actor", sa.Text, nullable=False),
    instant("created_at", default=True),
    sa.PrimaryKeyConstraint("order_id", "rejection_id"),
    sa.CheckConstraint("quantity > 0", name="quantity"),
    sa.CheckConstraint("cascade IN ('sku', 'order')", name="cascade"),
    sa.Index(None, "created_at", postgresql_where=sa.text("cascade IS NOT NULL")),
    comment="Units that a node gave up; where it excludes, that node is out for that line's sku.",
)

exclusion = sa.Table(
    "exclusion",
    metadata,
    sa.Column("node_id", sa.Text, nullable=False),
    sa.Column("sku", sa.Text, nullable=False, comment="Or * for the whole node."),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    instant("created_at", default=True),
    instant("until_at"),
    sa.PrimaryKeyConstraint("node_id", "sku"),
    sa.Index(None, "until_at"),
    comment="Nothing new is promised from here before it ends; see inventory.buffers.exclude.",
)

exception = sa.Table(
    "exception",
    metadata,
    sa.Column("exception_id", sa.Uuid, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("cause", sa.Text, nullable=False, comment="What it is about; open once for each."),
    sa.Column("state", sa.Text, nullable=False, server_default="open"),
    sa.Column("order_id", sa.Text),
    sa.Column("allocation_id", sa.Uuid),
    sa.Column("fulfillment_order_id", sa.Uuid),
    sa.Column("node_id", sa.Text),
    sa.Column("partner_id", sa.Text),
    sa.Column("skus", pg.ARRAY(sa.Text), nullable=False, server_default="{}"),
    sa.Column("lines", pg.JSONB, nullable=False, server_default="[]", comment="Units at stake."),
    sa.Column("details", pg.JSONB, nullable=False, server_default="{}"),
    sa.Column("promise_on", sa.Date, comment="The latest date promised for its units."),
    sa.Column("tries", sa.Integer, nullable=False, server_default=ZERO),
    instant("retry_at", nullable=True),
    sa.Column("resolution", sa.Text),
    sa.Column("note", sa.Text, nullable=False, server_default=""),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("resolved_by", sa.Text),
    instant("opened_at", default=True),
    instant("changed_at", default=True),
    instant("resolved_at", nullable=True),
    version(),
    sa.CheckConstraint(f"kind IN {EXCEPTION_KINDS}", name="kind"),
    sa.CheckConstraint(f"state IN {EXCEPTION_STATES}", name="state"),
    sa.CheckConstraint("(state = 'open') = (resolved_at IS NULL)", name="resolved_at"),
    sa.Index(
        "exception_open_key",
        "kind",
        "cause",
        unique=True,
        postgresql_where=sa.text("state = 'open'"),
    ),
    sa.Index(None, "order_id"),
    sa.Index(None, "opened_at", "exception_id"),
    sa.Index(None, "retry_at", postgresql_where=sa.text("state = 'open' AND retry_at IS NOT NULL")),
)
