"""Add returns, exchanges, amendments, counts and transfers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Apply."""
    op.drop_constraint(op.f("reservation_holder_kind_check"), "reservation")
    op.create_check_constraint(
        op.f("reservation_holder_kind_check"),
        "reservation",
        "holder_kind IN ('allocation', 'staff', 'transfer')",
    )
    op.create_table(
        "transfer",
        sa.Column("transfer_id", sa.Uuid(), nullable=False),
        sa.Column("from_node_id", sa.Text(), nullable=False),
        sa.Column("to_node_id", sa.Text(), nullable=False),
        sa.Column(
            "holder_id", sa.Uuid(), nullable=False, comment="Has the units until they leave."
        ),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("expected_on", sa.Date(), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("shipped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('open', 'shipped', 'received', 'cancelled')",
            name=op.f("transfer_state_check"),
        ),
        sa.CheckConstraint("from_node_id <> to_node_id", name=op.f("transfer_nodes_check")),
        sa.PrimaryKeyConstraint("transfer_id", name=op.f("transfer_pkey")),
    )
    op.create_index(
        op.f("transfer_from_node_id_idx"),
        "transfer",
        ["from_node_id"],
        unique=False,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        op.f("transfer_to_node_id_idx"),
        "transfer",
        ["to_node_id"],
        unique=False,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "transfer_line",
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("transfer_id", sa.Uuid(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("shipped", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("received", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("damaged", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("lost", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint(
            "damaged BETWEEN 0 AND received", name=op.f("transfer_line_damaged_check")
        ),
        sa.CheckConstraint(
            "quantity > 0 AND shipped BETWEEN 0 AND quantity",
            name=op.f("transfer_line_shipped_check"),
        ),
        sa.CheckConstraint(
            "received >= 0 AND lost >= 0 AND received + lost <= shipped",
            name=op.f("transfer_line_ended_check"),
        ),
        sa.PrimaryKeyConstraint("sku", "transfer_id", name=op.f("transfer_line_pkey")),
    )
    op.create_index(
        op.f("transfer_line_transfer_id_idx"), "transfer_line", ["transfer_id"], unique=False
    )
    op.create_table(
        "stock_count",
        sa.Column("count_id", sa.Uuid(), nullable=False),
        sa.Column("node_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("blind", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('open', 'closed', 'cancelled')", name=op.f("stock_count_state_check")
        ),
        sa.PrimaryKeyConstraint("count_id", name=op.f("stock_count_pkey")),
    )
    op.create_index(
        op.f("stock_count_node_id_idx"),
        "stock_count",
        ["node_id"],
        unique=False,
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "stock_count_line",
        sa.Column("count_id", sa.Uuid(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column(
            "expected_at_begin", sa.BigInteger(), server_default=sa.text("0"), nullable=False
        ),
        sa.Column(
            "counted", sa.BigInteger(), nullable=True, comment="None until somebody has counted."
        ),
        sa.Column(
            "unavailable", sa.BigInteger(), nullable=True, comment="Of them; as it was when null."
        ),
        sa.Column("counted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("counted_by", sa.Text(), nullable=True),
        sa.Column(
            "expected",
            sa.BigInteger(),
            nullable=True,
            comment="On hand when it was counted; set at the end.",
        ),
        sa.Column(
            "outcome", sa.Text(), nullable=True, comment="What the end of the count made of it."
        ),
        sa.CheckConstraint(
            "outcome IN ('agrees', 'corrected', 'overtaken', 'uncounted')",
            name=op.f("stock_count_line_outcome_check"),
        ),
        sa.CheckConstraint(
            "(counted IS NULL) = (counted_at IS NULL)",
            name=op.f("stock_count_line_counted_at_check"),
        ),
        sa.CheckConstraint(
            "counted >= 0 AND unavailable BETWEEN 0 AND counted",
            name=op.f("stock_count_line_counted_check"),
        ),
        sa.PrimaryKeyConstraint("count_id", "sku", name=op.f("stock_count_line_pkey")),
    )
    op.create_table(
        "counter_reservation",
        sa.Column("reservation_id", sa.Uuid(), nullable=False),
        sa.Column("node_id", sa.Text(), nullable=False, comment="Where the customer stood."),
        sa.Column("from_node_id", sa.Text(), nullable=False, comment="Where the goods are."),
        sa.Column("delivery", sa.Text(), nullable=False),
        sa.Column(
            "customer",
            sa.Text(),
            nullable=True,
            comment="A reference of the store's, no personal data.",
        ),
        sa.Column(
            "transfer_id",
            sa.Uuid(),
            nullable=True,
            comment="What brings the goods to the customer's node.",
        ),
        sa.Column("order_id", sa.Text(), nullable=True, comment="The order it became."),
        sa.Column("allocation_id", sa.Uuid(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "delivery IN ('collect', 'transfer', 'ship')",
            name=op.f("counter_reservation_delivery_check"),
        ),
        sa.PrimaryKeyConstraint("reservation_id", name=op.f("counter_reservation_pkey")),
    )
    op.create_table(
        "goods_return",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("return_id", sa.Uuid(), nullable=False),
        sa.Column(
            "reference", sa.Text(), nullable=False, comment="What the customer writes on it."
        ),
        sa.Column("state", sa.Text(), server_default="announced", nullable=False),
        sa.Column(
            "node_id", sa.Text(), nullable=True, comment="Where it came in, or is expected to."
        ),
        sa.Column("exchange_order_id", sa.Text(), nullable=True),
        sa.Column("exchange_allocation_id", sa.Uuid(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column(
            "announced_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint(
            "(state = 'received') = (received_at IS NOT NULL)",
            name=op.f("goods_return_received_at_check"),
        ),
        sa.CheckConstraint(
            "state IN ('announced', 'received', 'cancelled')", name=op.f("goods_return_state_check")
        ),
        sa.PrimaryKeyConstraint("order_id", "return_id", name=op.f("goods_return_pkey")),
    )
    op.create_index(op.f("goods_return_return_id_idx"), "goods_return", ["return_id"], unique=True)
    op.create_table(
        "goods_return_line",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("return_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, comment="Counts the lines from 1."),
        sa.Column("line_id", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False, comment="Announced."),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("disposition", sa.Text(), nullable=False),
        sa.Column("received", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("restocked", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("scrapped", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("to_vendor", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "amount_minor",
            sa.BigInteger(),
            nullable=True,
            comment="To refund; null where no price is known.",
        ),
        sa.CheckConstraint(
            "disposition IN ('restock', 'inspect', 'scrap', 'vendor')",
            name=op.f("goods_return_line_disposition_check"),
        ),
        sa.CheckConstraint(
            "quantity > 0 AND received BETWEEN 0 AND quantity",
            name=op.f("goods_return_line_received_check"),
        ),
        sa.CheckConstraint(
            "restocked >= 0 AND scrapped >= 0 AND to_vendor >= 0 AND restocked + scrapped + to_vendor <= received",
            name=op.f("goods_return_line_decided_check"),
        ),
        sa.PrimaryKeyConstraint(
            "order_id", "return_id", "number", name=op.f("goods_return_line_pkey")
        ),
    )
    op.create_table(
        "amendment",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("amendment_id", sa.Uuid(), nullable=False),
        sa.Column("request", pg.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "quote",
            pg.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="What was told before it was accepted.",
        ),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("order_id", "amendment_id", name=op.f("amendment_pkey")),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("amendment")
    op.drop_table("goods_return_line")
    op.drop_table("goods_return")
    op.drop_table("counter_reservation")
    op.drop_table("stock_count_line")
    op.drop_table("stock_count")
    op.drop_table("transfer_line")
    op.drop_table("transfer")
    op.execute("DELETE FROM reservation WHERE holder_kind = 'transfer'")
    op.drop_constraint(op.f("reservation_holder_kind_check"), "reservation")
    op.create_check_constraint(
        op.f("reservation_holder_kind_check"),
        "reservation",
        "holder_kind IN ('allocation', 'staff')",
    )
