"""Drop what every line of an order pays for and nobody reads.

Two of the five indexes of a reservation went unused: sums by stock record are kept in its counter,
and an allocation's hold is swept by the allocation's own row.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Apply."""
    op.drop_index(op.f("reservation_sku_node_id_idx"), table_name="reservation")
    op.drop_index(op.f("reservation_expires_at_idx"), table_name="reservation")
    op.create_index(
        op.f("reservation_expires_at_idx"),
        "reservation",
        ["expires_at"],
        postgresql_where=sa.text("state = 'held' AND holder_kind = 'staff'"),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_index(op.f("reservation_expires_at_idx"), table_name="reservation")
    op.create_index(
        op.f("reservation_expires_at_idx"),
        "reservation",
        ["expires_at"],
        postgresql_where=sa.text("state = 'held'"),
    )
    op.create_index(
        op.f("reservation_sku_node_id_idx"),
        "reservation",
        ["sku", "node_id"],
        postgresql_where=sa.text("state IN ('held', 'confirmed')"),
    )
