"""The tables of people: whom orders are for, staff, their sessions and attempts to sign in.

`order_contact` is the only table with personal data of customers. It is distributed by order.
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from inventory.tables import instant, metadata, version

__all__ = ["metadata"]

order_contact = sa.Table(
    "order_contact",
    metadata,
    sa.Column("order_id", sa.Text, primary_key=True),
    sa.Column("customer_id", sa.Text, comment="Of the shop; null once purged."),
    sa.Column("body", pg.JSONB, comment="Name, address and what else dispatch needs; or purged."),
    sa.Column("actor", sa.Text, nullable=False),
    instant("created_at", default=True),
    instant("changed_at", default=True),
    instant("purge_at", nullable=True),
    instant("purged_at", nullable=True),
    version(),
    sa.CheckConstraint(
        "(body IS NULL) = (purged_at IS NOT NULL) AND (purged_at IS NULL OR customer_id IS NULL)",
        name="purged",
    ),
    sa.Index(None, "customer_id", postgresql_where=sa.text("customer_id IS NOT NULL")),
    sa.Index(None, "changed_at", postgresql_where=sa.text("purged_at IS NULL")),
)

staff = sa.Table(
    "staff",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("node_ids", pg.ARRAY(sa.Text), nullable=False, server_default="{}"),
    sa.Column("password_hash", sa.Text, nullable=False, comment="Argon2id, with its parameters."),
    instant("created_at", default=True),
    instant("disabled_at", nullable=True),
    sa.CheckConstraint("role IN ('store', 'planner', 'operator')", name="role"),
    sa.CheckConstraint("(role = 'store') = (cardinality(node_ids) > 0)", name="nodes"),
)

staff_session = sa.Table(
    "staff_session",
    metadata,
    sa.Column("token_hash", sa.LargeBinary, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    instant("created_at", default=True),
    instant("expires_at"),
    sa.Index(None, "name"),
    sa.Index(None, "expires_at"),
)

sign_in_attempt = sa.Table(
    "sign_in_attempt",
    metadata,
    sa.Column("attempt_id", sa.Uuid, primary_key=True),
    sa.Column("name_hash", sa.LargeBinary, nullable=False),
    sa.Column("address_hash", sa.LargeBinary, nullable=False),
    instant("attempted_at", default=True),
    sa.Index(None, "name_hash", "attempted_at"),
    sa.Index(None, "address_hash", "attempted_at"),
    sa.Index(None, "attempted_at"),
    comment="Those that failed or are under way; kept for as long as they count.",
)
