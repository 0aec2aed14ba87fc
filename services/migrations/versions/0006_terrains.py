"""Keep the facts of a destination once, for all decision records that refer to them."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

COMMENT = "See routing/record.py; needs the terrain of its digest to be read."
BEFORE = "msgpack, zlib"


def upgrade() -> None:
    """Apply. Records of the former kind, which held a copy of everything, cannot be read on."""
    op.execute("DELETE FROM decision")
    op.alter_column("decision", "record", comment=COMMENT, existing_comment=BEFORE)
    op.create_table(
        "terrain",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False, comment="msgpack, zlib"),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("terrain_pkey")),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("terrain")
    op.execute("DELETE FROM decision")
    op.alter_column("decision", "record", comment=BEFORE, existing_comment=COMMENT)
