"""Remember how far each import of a file has come."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "file_import",
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.Column(
            "key_1",
            sa.Text(),
            comment="The key applied last, in two parts; none yet when null.",
        ),
        sa.Column("key_2", sa.Text()),
        sa.Column("chunks", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("rows_applied", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("rows_rejected", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint(
            "kind IN ('nodes', 'items', 'stock', 'supply')", name=op.f("file_import_kind_check")
        ),
        sa.CheckConstraint("(key_1 IS NULL) = (key_2 IS NULL)", name=op.f("file_import_key_check")),
        sa.PrimaryKeyConstraint("import_id", name=op.f("file_import_pkey")),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("file_import")
