"""Know as of when each node's stock was last told of."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "node_feed",
        sa.Column("node_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False, comment="The feed that told of it last."),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "noted_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("node_id", name=op.f("node_feed_pkey")),
        comment="As of when the newest message about each node told of its stock.",
    )


def downgrade() -> None:
    """Undo; ages begin anew with the next messages."""
    op.drop_table("node_feed")
