"""The tables of what nodes do for orders, all of them distributed by order.

A fulfillment order has two states beside each other: `state` is the work, `request_state` the
conversation with the node. How far the work has come stands in its lines' counters, so that partial
work needs no states of its own.
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from inventory.tables import ZERO, count, instant, metadata, version

__all__ = ["metadata"]

STATES = (
    "open",
    "in_progress",
    "packed",
    "ready_for_pickup",
    "shipped",
    "at_store",
    "closed",
    "incomplete",
    "cancelled",
)
REQUEST_STATES = (
    "unsubmitted",
    "submitted",
    "accepted",
    "rejected",
    "cancellation_requested",
    "cancellation_accepted",
    "cancellation_rejected",
    "closed",
)
LIVE_STATES = ("open", "in_progress", "packed", "ready_for_pickup")
"""States in which the node still has something to do."""
COMING_STATES = ("shipped", "at_store")
"""States in which the store that goods are sent to has something to do, or will have."""

fulfillment_order = sa.Table(
    "fulfillment_order",
    metadata,
    sa.Column("order_id", sa.Text, nullable=False),
    sa.Column("fulfillment_order_id", sa.Uuid, nullable=False),
    sa.Column("allocation_id", sa.Uuid, nullable=False, comment="Holds its reservations."),
    sa.Column("node_id", sa.Text, nullable=False),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("service", sa.Text),
    sa.Column("pickup_node", sa.Text, comment="The store that its goods are sent to."),
    sa.Column("curbside", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("state", sa.Text, nullable=False, server_default="open"),
    sa.Column("request_state", sa.Text, nullable=False, server_default="unsubmitted"),
    sa.Column("attempt", sa.Integer, nullable=False, server_default=sa.text("1")),
    sa.Column("replaces", sa.Uuid, comment="The fulfillment order whose units it took over."),
    sa.Column("work_on", sa.Date, nullable=False),
    instant("ship_by"),
    sa.Column("promise_earliest", sa.Date, nullable=False),
    sa.Column("promise_latest", sa.Date, nullable=False),
    sa.Column("weight_grams", sa.BigInteger, nullable=False),
    sa.Column("cost", pg.JSONB, nullable=False, comment="Of the plan, by component."),
    sa.Column("pickup_code", sa.Text),
    sa.Column(
        "wrong_codes",
        sa.Integer,
        nullable=False,
        server_default=ZERO,
        comment="Tries at its pickup code that were not it.",
    ),
    instant("release_at"),
    instant("submitted_at", nullable=True),
    instant("answer_by", nullable=True),
    instant("answered_at", nullable=True),
    instant("started_at", nullable=True),
    instant("packed_at", nullable=True),
    instant("ready_at", nullable=True),
    instant("collect_by", nullable=True),
    instant("ended_at", nullable=True),
    sa.Column("actor", sa.Text, nullable=False),
    instant("created_at", default=True),
    instant("changed_at", default=True),
    version(),
    sa.PrimaryKeyConstraint("order_id", "fulfillment_order_id"),
    sa.CheckConstraint("method IN ('ship', 'pickup', 'ship_to_store')", name="method"),
    sa.CheckConstraint(
        "(method = 'ship_to_store') = (pickup_node IS NOT NULL)", name="pickup_node"
    ),
    sa.CheckConstraint(f"state IN {STATES}", name="state"),
    sa.CheckConstraint(f"request_state IN {REQUEST_STATES}", name="request_state"),
    sa.Index(None, "fulfillment_order_id", unique=True),
    sa.Index(None, "allocation_id"),
    sa.Index(
        "fulfillment_order_work_idx",
        "node_id",
        "ship_by",
        postgresql_where=sa.text(f"state IN {LIVE_STATES}"),
    ),
    sa.Index(
        "fulfillment_order_coming_idx",
        "pickup_node",
        "ship_by",
        postgresql_where=sa.text(f"pickup_node IS NOT NULL AND state IN {COMING_STATES}"),
    ),
    sa.Index(None, "release_at", postgresql_where=sa.text("request_state = 'unsubmitted'")),
    sa.Index(None, "answer_by", postgresql_where=sa.text("request_state = 'submitted'")),
    sa.Index(None, "collect_by", postgresql_where=sa.text("state = 'ready_for_pickup'")),
)

fulfillment_line = sa.Table(
    "fulfillment_line",
    metadata,
    sa.Column("order_id", sa.Text, nullable=False),
    sa.Column("fulfillment_order_id", sa.Uuid, nullable=False),
    sa.Column("part", sa.Integer, nullable=False, comment="Counts the lines from 0."),
    sa.Column("line_id", sa.Text, nullable=False),
    sa.Column("sku", sa.Text, nullable=False),
    sa.Column("supply_id", sa.Text, comment="What it waited for when it was planned."),
    sa.Column("quantity", sa.BigInteger, nullable=False),
    sa.Column("unit_price_minor", sa.BigInteger),
    count("picked"),
    count("shipped"),
    count("collected"),
    count("rejected"),
    count("cancelled"),
    count("returned"),
    sa.PrimaryKeyConstraint("order_id", "fulfillment_order_id", "part"),
    sa.CheckConstraint("quantity > 0", name="quantity"),
    sa.CheckConstraint(
        "picked >= 0 AND shipped >= 0 AND collected >= 0 AND rejected >= 0 AND cancelled >= 0"
        " AND returned >= 0",
        name="counters",
    ),
    sa.CheckConstraint("picked + rejected + cancelled <= quantity", name="picked"),
    sa.CheckConstraint("shipped + collected <= picked", name="dispatched"),
    sa.CheckConstraint("returned <= shipped + collected", name="returned"),
)

shipment = sa.Table(
    "shipment",
    metadata,
    sa.Column("order_id", sa.Text, nullable=False),
    sa.Column("shipment_id", sa.Uuid, nullable=False),
    sa.Column("fulfillment_order_id", sa.Uuid, nullable=False),
    sa.Column("carrier", sa.Text, nullable=False, server_default=""),
    sa.Column("tracking", sa.Text, nullable=False, server_default=""),
    sa.Column("lines", pg.JSONB, nullable=False, comment="Units by part of the order's work."),
    sa.Column("actor", sa.Text, nullable=False),
    instant("shipped_at"),
    instant("delivered_at", nullable=True),
    sa.PrimaryKeyConstraint("order_id", "shipment_id"),
    sa.Index(None, "fulfillment_order_id"),
)

order_hold = sa.Table(
    "order_hold",
    metadata,
    sa.Column("order_id", sa.Text, nullable=False),
    sa.Column("hold_id", sa.Uuid, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False, server_default=""),
    sa.Column("actor", sa.Text, nullable=False),
    instant("placed_at", default=True),
    instant("lifted_at", nullable=True),
    sa.Column("lifted_by", sa.Text),
    sa.PrimaryKeyConstraint("order_id", "hold_id"),
    sa.CheckConstraint("reason IN ('fraud', 'address', 'payment', 'other')", name="reason"),
    comment="What keeps an order's work from being submitted; its stock stays promised.",
)
