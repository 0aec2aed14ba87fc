"""Add what nodes do for orders: fulfillment orders, their lines, shipments, holds of orders."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "fulfillment_line",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("fulfillment_order_id", sa.Uuid(), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False, comment="Counts the lines from 0."),
        sa.Column("line_id", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column(
            "supply_id", sa.Text(), nullable=True, comment="What it waited for when it was planned."
        ),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("unit_price_minor", sa.BigInteger(), nullable=True),
        sa.Column("picked", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("shipped", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("collected", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("rejected", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("cancelled", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("returned", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint(
            "picked + rejected + cancelled <= quantity", name=op.f("fulfillment_line_picked_check")
        ),
        sa.CheckConstraint(
            "picked >= 0 AND shipped >= 0 AND collected >= 0 AND rejected >= 0 AND cancelled >= 0 AND returned >= 0",
            name=op.f("fulfillment_line_counters_check"),
        ),
        sa.CheckConstraint("quantity > 0", name=op.f("fulfillment_line_quantity_check")),
        sa.CheckConstraint(
            "returned <= shipped + collected", name=op.f("fulfillment_line_returned_check")
        ),
        sa.CheckConstraint(
            "shipped + collected <= picked", name=op.f("fulfillment_line_dispatched_check")
        ),
        sa.PrimaryKeyConstraint(
            "order_id", "fulfillment_order_id", "part", name=op.f("fulfillment_line_pkey")
        ),
    )
    op.create_table(
        "fulfillment_order",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("fulfillment_order_id", sa.Uuid(), nullable=False),
        sa.Column("allocation_id", sa.Uuid(), nullable=False, comment="Holds its reservations."),
        sa.Column("node_id", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("service", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("request_state", sa.Text(), server_default="unsubmitted", nullable=False),
        sa.Column("attempt", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column(
            "replaces",
            sa.Uuid(),
            nullable=True,
            comment="The fulfillment order whose units it took over.",
        ),
        sa.Column("work_on", sa.Date(), nullable=False),
        sa.Column("ship_by", sa.DateTime(timezone=True), nullable=False),
        sa.Column("promise_earliest", sa.Date(), nullable=False),
        sa.Column("promise_latest", sa.Date(), nullable=False),
        sa.Column("weight_grams", sa.BigInteger(), nullable=False),
        sa.Column(
            "cost",
            pg.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="Of the plan, by component.",
        ),
        sa.Column("pickup_code", sa.Text(), nullable=True),
        sa.Column(
            "wrong_codes",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Tries at its pickup code that were not it.",
        ),
        sa.Column("release_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answer_by", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("packed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ready_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("collect_by", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "changed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint(
            "method IN ('ship', 'pickup')", name=op.f("fulfillment_order_method_check")
        ),
        sa.CheckConstraint(
            "request_state IN ('unsubmitted', 'submitted', 'accepted', 'rejected', 'cancellation_requested', 'cancellation_accepted', 'cancellation_rejected', 'closed')",
            name=op.f("fulfillment_order_request_state_check"),
        ),
        sa.CheckConstraint(
            "state IN ('open', 'in_progress', 'packed', 'ready_for_pickup', 'shipped', 'closed', 'incomplete', 'cancelled')",
            name=op.f("fulfillment_order_state_check"),
        ),
        sa.PrimaryKeyConstraint(
            "order_id", "fulfillment_order_id", name=op.f("fulfillment_order_pkey")
        ),
    )
    op.create_index(
        op.f("fulfillment_order_allocation_id_idx"),
        "fulfillment_order",
        ["allocation_id"],
        unique=False,
    )
    op.create_index(
        op.f("fulfillment_order_answer_by_idx"),
        "fulfillment_order",
        ["answer_by"],
        unique=False,
        postgresql_where=sa.text("request_state = 'submitted'"),
    )
    op.create_index(
        op.f("fulfillment_order_collect_by_idx"),
        "fulfillment_order",
        ["collect_by"],
        unique=False,
        postgresql_where=sa.text("state = 'ready_for_pickup'"),
    )
    op.create_index(
        op.f("fulfillment_order_fulfillment_order_id_idx"),
        "fulfillment_order",
        ["fulfillment_order_id"],
        unique=True,
    )
    op.create_index(
        op.f("fulfillment_order_release_at_idx"),
        "fulfillment_order",
        ["release_at"],
        unique=False,
        postgresql_where=sa.text("request_state = 'unsubmitted'"),
    )
    op.create_index(
        "fulfillment_order_work_idx",
        "fulfillment_order",
        ["node_id", "ship_by"],
        unique=False,
        postgresql_where=sa.text("state IN ('open', 'in_progress', 'packed', 'ready_for_pickup')"),
    )
    op.create_table(
        "order_hold",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("hold_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column(
            "placed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("lifted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lifted_by", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "reason IN ('fraud', 'address', 'payment', 'other')",
            name=op.f("order_hold_reason_check"),
        ),
        sa.PrimaryKeyConstraint("order_id", "hold_id", name=op.f("order_hold_pkey")),
        comment="What keeps an order's work from being submitted; its stock stays promised.",
    )
    op.create_table(
        "shipment",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("shipment_id", sa.Uuid(), nullable=False),
        sa.Column("fulfillment_order_id", sa.Uuid(), nullable=False),
        sa.Column("carrier", sa.Text(), server_default="", nullable=False),
        sa.Column("tracking", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "lines",
            pg.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="Units by part of the order's work.",
        ),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("shipped_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("order_id", "shipment_id", name=op.f("shipment_pkey")),
    )
    op.create_index(
        op.f("shipment_fulfillment_order_id_idx"),
        "shipment",
        ["fulfillment_order_id"],
        unique=False,
    )


def downgrade() -> None:
    """Undo."""
    op.drop_index(op.f("shipment_fulfillment_order_id_idx"), table_name="shipment")
    op.drop_table("shipment")
    op.drop_table("order_hold")
    op.drop_index(
        "fulfillment_order_work_idx",
        table_name="fulfillment_order",
        postgresql_where=sa.text("state IN ('open', 'in_progress', 'packed', 'ready_for_pickup')"),
    )
    op.drop_index(
        op.f("fulfillment_order_release_at_idx"),
        table_name="fulfillment_order",
        postgresql_where=sa.text("request_state = 'unsubmitted'"),
    )
    op.drop_index(
        op.f("fulfillment_order_fulfillment_order_id_idx"), table_name="fulfillment_order"
    )
    op.drop_index(
        op.f("fulfillment_order_collect_by_idx"),
        table_name="fulfillment_order",
        postgresql_where=sa.text("state = 'ready_for_pickup'"),
    )
    op.drop_index(
        op.f("fulfillment_order_answer_by_idx"),
        table_name="fulfillment_order",
        postgresql_where=sa.text("request_state = 'submitted'"),
    )
    op.drop_index(op.f("fulfillment_order_allocation_id_idx"), table_name="fulfillment_order")
    op.drop_table("fulfillment_order")
    op.drop_table("fulfillment_line")
