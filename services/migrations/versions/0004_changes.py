"""Note every change of stock, so that processes can keep a view of it in memory.

Counters get a version that each write counts up. Columns with a constant default are added without
rewriting their tables, so this step does not wait for the size of the stock.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0004"
down_revision = "0003"

COUNTERS = ("stock", "supply", "capacity")


def upgrade() -> None:
    """Apply."""
    for table in COUNTERS:
        op.add_column(
            table,
            sa.Column("version", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        )
    op.create_table(
        "change",
        sa.Column(
            "xid",
            sa.BigInteger(),
            server_default=sa.text("(pg_current_xact_id()::text)::bigint"),
            nullable=False,
            comment="The transaction that wrote it; snapshots say which transactions they see.",
        ),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key_1", pg.ARRAY(sa.Text()), nullable=False),
        sa.Column("key_2", pg.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("key_3", pg.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.CheckConstraint(
            "kind IN ('stock', 'supply', 'capacity', 'item', 'buffer')",
            name=op.f("change_kind_check"),
        ),
        comment="Which rows a transaction wrote, for the views that processes keep; kept for "
        "minutes.",
    )
    op.create_index(op.f("change_xid_idx"), "change", ["xid"])
    op.create_table(
        "change_floor",
        sa.Column("only", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column(
            "seen",
            sa.Text(),
            nullable=False,
            comment="A snapshot; changes that it sees may have been deleted.",
        ),
        sa.Column(
            "next_seen",
            sa.Text(),
            nullable=False,
            comment="The snapshot up to which to delete next.",
        ),
        sa.Column(
            "next_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint('"only"', name=op.f("change_floor_only_check")),
        sa.PrimaryKeyConstraint("only", name=op.f("change_floor_pkey")),
        comment="One row; tells a follower whether changes it has not seen may be gone.",
    )
    # Rows live for minutes and are deleted in bulk: vacuum comes by their number.
    op.execute(
        "ALTER TABLE change SET (autovacuum_vacuum_scale_factor = 0, "
        "autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_insert_threshold = -1, "
        "autovacuum_analyze_threshold = 20000)"
    )
    op.execute(
        "INSERT INTO change_floor (seen, next_seen)"
        " VALUES (pg_current_snapshot()::text, pg_current_snapshot()::text)"
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("change_floor")
    op.drop_table("change")
    for table in COUNTERS:
        op.drop_column(table, "version")
