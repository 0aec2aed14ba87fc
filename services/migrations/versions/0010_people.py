"""Add the order of the log of events, staff, their sessions, and whom an order is for."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

DRAW = "nextval(CASE WHEN pg_current_xact_id() IS NOT NULL THEN 'event_ordinal'::regclass END)"


def upgrade() -> None:
    """Apply."""
    op.execute("CREATE SEQUENCE event_ordinal")
    # Events of before keep 0 and get no position; giving each its own would rewrite all history.
    op.add_column(
        "event",
        sa.Column(
            "ordinal",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="In the order of writing; transactions commit in another.",
        ),
    )
    op.alter_column("event", "ordinal", server_default=sa.text(DRAW))
    op.create_index(op.f("event_ordinal_idx"), "event", ["ordinal"])
    op.create_table(
        "event_position",
        sa.Column(
            "position", sa.BigInteger(), nullable=False, comment="Counts events without gaps."
        ),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("position", "created_at", name=op.f("event_position_pkey")),
        postgresql_partition_by="RANGE (created_at)",
    )
    op.execute("CREATE TABLE event_position_default PARTITION OF event_position DEFAULT")
    op.create_table(
        "event_cursor",
        sa.Column("only", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("position", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("marked_ordinal", sa.BigInteger(), nullable=True),
        sa.Column("marked_xid", sa.BigInteger(), nullable=True),
        sa.Column("marked_server", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint('"only"', name=op.f("event_cursor_only_check")),
        sa.CheckConstraint(
            "marked_ordinal > ordinal", name=op.f("event_cursor_marked_ordinal_check")
        ),
        sa.CheckConstraint(
            "(marked_ordinal IS NULL) = (marked_xid IS NULL)"
            " AND (marked_ordinal IS NULL) = (marked_server IS NULL)",
            name=op.f("event_cursor_mark_check"),
        ),
        sa.PrimaryKeyConstraint("only", name=op.f("event_cursor_pkey")),
        comment="One row; how far events have positions, and how far they soon can.",
    )
    op.execute("INSERT INTO event_cursor DEFAULT VALUES")


def downgrade() -> None:
    """Undo."""
    op.drop_table("event_cursor")
    op.drop_table("event_position")
    op.drop_column("event", "ordinal")
    op.execute("DROP SEQUENCE event_ordinal")
