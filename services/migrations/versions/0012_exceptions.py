"""Add rejections, exclusions of nodes and the queue of exceptions."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "exception",
        sa.Column("exception_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column(
            "cause", sa.Text(), nullable=False, comment="What it is about; open once for each."
        ),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("allocation_id", sa.Uuid(), nullable=True),
        sa.Column("fulfillment_order_id", sa.Uuid(), nullable=True),
        sa.Column("node_id", sa.Text(), nullable=True),
        sa.Column("partner_id", sa.Text(), nullable=True),
        sa.Column("skus", pg.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column(
            "lines",
            pg.JSONB(astext_type=sa.Text()),
            server_default="[]",
            nullable=False,
            comment="Units at stake.",
        ),
        sa.Column("details", pg.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column(
            "promise_on",
            sa.Date(),
            nullable=True,
            comment="The latest date promised for its units.",
        ),
        sa.Column("tries", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("retry_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolution", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("resolved_by", sa.Text(), nullable=True),
        sa.Column(
            "opened_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column(
            "changed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint(
            "(state = 'open') = (resolved_at IS NULL)", name=op.f("exception_resolved_at_check")
        ),
        sa.CheckConstraint(
            "kind IN ('unroutable', 'attempts', 'late', 'short', 'partner_silent', 'endpoint_disabled', 'feed_stale')",
            name=op.f("exception_kind_check"),
        ),
        sa.CheckConstraint(
            "state IN ('open', 'resolved', 'dismissed')", name=op.f("exception_state_check")
        ),
        sa.PrimaryKeyConstraint("exception_id", name=op.f("exception_pkey")),
    )
    op.create_index(
        "exception_open_key",
        "exception",
        ["kind", "cause"],
        unique=True,
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index(
        op.f("exception_opened_at_exception_id_idx"),
        "exception",
        ["opened_at", "exception_id"],
        unique=False,
    )
    op.create_index(op.f("exception_order_id_idx"), "exception", ["order_id"], unique=False)
    op.create_index(
        op.f("exception_retry_at_idx"),
        "exception",
        ["retry_at"],
        unique=False,
        postgresql_where=sa.text("state = 'open' AND retry_at IS NOT NULL"),
    )
    op.create_table(
        "exclusion",
        sa.Column("node_id", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False, comment="Or * for the whole node."),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("until_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("node_id", "sku", name=op.f("exclusion_pkey")),
        comment="Nothing new is promised from here before it ends; see inventory.buffers.exclude.",
    )
    op.create_index(op.f("exclusion_until_at_idx"), "exclusion", ["until_at"], unique=False)
    op.create_table(
        "rejection",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("rejection_id", sa.Uuid(), nullable=False),
        sa.Column("fulfillment_order_id", sa.Uuid(), nullable=False),
        sa.Column("line_id", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("node_id", sa.Text(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("matrix_version", sa.Integer(), nullable=False),
        sa.Column("excludes", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column(
            "cascade",
            sa.Text(),
            nullable=True,
            comment="What is still to be rejected along; none when done.",
        ),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("quantity > 0", name=op.f("rejection_quantity_check")),
        sa.CheckConstraint("cascade IN ('sku', 'order')", name=op.f("rejection_cascade_check")),
        sa.PrimaryKeyConstraint("order_id", "rejection_id", name=op.f("rejection_pkey")),
        comment="Units that a node gave up; where it excludes, that node is out for that line's sku.",
    )
    op.create_index(
        op.f("rejection_created_at_idx"),
        "rejection",
        ["created_at"],
        unique=False,
        postgresql_where=sa.text("cascade IS NOT NULL"),
    )
    op.create_table(
        "rejection_matrix",
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("reasons", pg.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("version", name=op.f("rejection_matrix_pkey")),
        comment="What each reason of a rejection leads to; the highest version is in force.",
    )
    # What is short is looked for every second, and hardly ever is anything.
    for table, key in (("stock", "node_id"), ("supply", "supply_id")):
        op.create_index(
            f"{table}_shortage_idx",
            table,
            ["sku", key],
            postgresql_where=sa.text("shortage > 0"),
        )


def downgrade() -> None:
    """Undo."""
    for table in ("stock", "supply"):
        op.drop_index(f"{table}_shortage_idx", table_name=table)
    for table in ("exception", "exclusion", "rejection", "rejection_matrix"):
        op.drop_table(table)
