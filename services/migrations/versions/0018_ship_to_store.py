"""Let work send goods to a store where the customer collects them."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

TABLE = "fulfillment_order"
STATES = (
    "open",
    "in_progress",
    "packed",
    "ready_for_pickup",
    "shipped",
    "closed",
    "incomplete",
    "cancelled",
)


def upgrade() -> None:
    """Apply."""
    op.add_column(
        TABLE, sa.Column("pickup_node", sa.Text, comment="The store that its goods are sent to.")
    )
    limits = {
        "method": "method IN ('ship', 'pickup', 'ship_to_store')",
        "state": f"state IN {(*STATES[:5], 'at_store', *STATES[5:])}",
    }
    replace_checks(limits)
    op.create_check_constraint(
        op.f(f"{TABLE}_pickup_node_check"),
        TABLE,
        "(method = 'ship_to_store') = (pickup_node IS NOT NULL)",
    )
    op.create_index(
        "fulfillment_order_coming_idx",
        TABLE,
        ["pickup_node", "ship_by"],
        postgresql_where=sa.text("pickup_node IS NOT NULL AND state IN ('shipped', 'at_store')"),
    )


def downgrade() -> None:
    """Undo; what was sent to a store counts as shipped there."""
    op.drop_index("fulfillment_order_coming_idx", TABLE)
    op.drop_constraint(op.f(f"{TABLE}_pickup_node_check"), TABLE)
    op.execute(f"UPDATE {TABLE} SET state = 'shipped' WHERE state = 'at_store'")  # noqa: S608
    op.execute(f"UPDATE {TABLE} SET method = 'ship' WHERE method = 'ship_to_store'")  # noqa: S608
    replace_checks({"method": "method IN ('ship', 'pickup')", "state": f"state IN {STATES}"})
    op.drop_column(TABLE, "pickup_node")


def replace_checks(limits: dict[str, str]) -> None:
    """Put other conditions in place of those on columns."""
    for column, condition in limits.items():
        op.drop_constraint(op.f(f"{TABLE}_{column}_check"), TABLE)
        op.create_check_constraint(op.f(f"{TABLE}_{column}_check"), TABLE, condition)
