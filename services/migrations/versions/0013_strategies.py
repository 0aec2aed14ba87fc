"""Keep versions of strategies and of the rules that choose between them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "strategy_version",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False, comment="Empty for the rules."),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), server_default="draft", nullable=False),
        sa.Column("body", pg.JSONB(), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column(
            "replaced",
            sa.Integer(),
            nullable=True,
            comment="The version active before; to roll back to.",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "kind IN ('strategy', 'rules')", name=op.f("strategy_version_kind_check")
        ),
        sa.CheckConstraint(
            "state IN ('draft', 'active', 'retired')", name=op.f("strategy_version_state_check")
        ),
        sa.PrimaryKeyConstraint("kind", "name", "version", name=op.f("strategy_version_pkey")),
    )
    op.create_index(
        "strategy_version_active_key",
        "strategy_version",
        ["kind", "name"],
        unique=True,
        postgresql_where=sa.text("state = 'active'"),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("strategy_version")
