"""Let files of open orders be imported."""

from alembic import op

revision = "0016"
down_revision = "0015"

NAME = "file_import_kind_check"


def upgrade() -> None:
    """Apply."""
    op.drop_constraint(op.f(NAME), "file_import")
    op.create_check_constraint(
        op.f(NAME), "file_import", "kind IN ('nodes', 'items', 'stock', 'supply', 'orders')"
    )


def downgrade() -> None:
    """Undo; how far imports of orders came is forgotten, the orders stay."""
    op.execute("DELETE FROM file_import WHERE kind = 'orders'")
    op.drop_constraint(op.f(NAME), "file_import")
    op.create_check_constraint(
        op.f(NAME), "file_import", "kind IN ('nodes', 'items', 'stock', 'supply')"
    )
