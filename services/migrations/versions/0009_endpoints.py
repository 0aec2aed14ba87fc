"""Add what companies we exchange webhooks with need."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0009"
down_revision = "0008"

# The plans of these must not depend on how full the table was when it was looked at last: while it
# fills for the first time it would be read as a whole for every lane.
SETTLE_LANES = """
CREATE FUNCTION settle_lanes(of_endpoint uuid, of_lanes text[]) RETURNS void
LANGUAGE sql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
    UPDATE message m SET due_at = NULL
    FROM unnest(of_lanes) AS given (lane),
        LATERAL (
            SELECT position FROM message
            WHERE endpoint_id = of_endpoint AND lane = given.lane AND state = 'pending'
            ORDER BY position LIMIT 1
        ) AS head
    WHERE m.endpoint_id = of_endpoint AND m.lane = given.lane AND m.due_at IS NOT NULL
        AND m.position > head.position;

    UPDATE message m SET due_at = clock_timestamp()
    FROM unnest(of_lanes) AS given (lane),
        LATERAL (
            SELECT position FROM message
            WHERE endpoint_id = of_endpoint AND lane = given.lane AND state = 'pending'
            ORDER BY position LIMIT 1
        ) AS head
    WHERE m.endpoint_id = of_endpoint AND m.position = head.position AND m.due_at IS NULL;
$$
"""

DUE_MESSAGES = """
CREATE FUNCTION due_messages(of_endpoint uuid, busy text[], lanes_max int, run_max int)
RETURNS TABLE (
    "position" bigint, event_id uuid, happened_at timestamptz, kind text, lane text, attempts int,
    subject text, payload jsonb
)
LANGUAGE sql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
    SELECT m.position, m.event_id, m.happened_at, m.kind, m.lane, m.attempts, e.subject, e.payload
    FROM (
        SELECT lane, due_at FROM message
        WHERE endpoint_id = of_endpoint AND due_at <= clock_timestamp() AND lane <> ALL (busy)
        ORDER BY due_at LIMIT lanes_max
    ) AS due
    CROSS JOIN LATERAL (
        SELECT position, event_id, happened_at, kind, lane, attempts FROM message
        WHERE endpoint_id = of_endpoint AND lane = due.lane AND state = 'pending'
        ORDER BY position LIMIT run_max
    ) AS m
    LEFT JOIN event e ON e.event_id = m.event_id AND e.created_at = m.happened_at
    ORDER BY due.due_at, m.lane, m.position;
$$
"""


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "attempt",
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("attempt_id", sa.Uuid(), nullable=False),
        sa.Column("happened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column(
            "number", sa.Integer(), nullable=False, comment="Counts the message's attempts from 1."
        ),
        sa.Column("status_code", sa.Integer(), nullable=True),
        sa.Column(
            "error",
            sa.Text(),
            nullable=True,
            comment="Why there was no answer, or none that counts.",
        ),
        sa.Column(
            "answer", sa.Text(), nullable=True, comment="How the answer began, when it was not 2xx."
        ),
        sa.Column("address", sa.Text(), nullable=True, comment="That was connected to."),
        sa.Column("elapsed_ms", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint(
            "endpoint_id", "attempt_id", "happened_at", name=op.f("attempt_pkey")
        ),
        postgresql_partition_by="RANGE (happened_at)",
    )
    op.create_table(
        "endpoint",
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column(
            "partner_id",
            sa.Text(),
            nullable=True,
            comment="Whose it is; the company's own without.",
        ),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "kinds",
            pg.ARRAY(sa.Text()),
            nullable=False,
            comment="Of events; `return.*` names a family.",
        ),
        sa.Column("envelope", sa.Text(), server_default="standard", nullable=False),
        sa.Column("state", sa.Text(), server_default="enabled", nullable=False),
        sa.Column("reason", sa.Text(), nullable=True, comment="Why it is disabled."),
        sa.Column(
            "position",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Every event up to here that it is owed has become a message.",
        ),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "failures",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="In a row.",
        ),
        sa.Column("resume_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sender", sa.Text(), nullable=True, comment="Who holds the lease to send."),
        sa.Column("sender_until", sa.DateTime(timezone=True), nullable=True),
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
            "(state = 'disabled') = (reason IS NOT NULL)", name=op.f("endpoint_reason_check")
        ),
        sa.CheckConstraint(
            "envelope IN ('standard', 'cloudevents')", name=op.f("endpoint_envelope_check")
        ),
        sa.CheckConstraint(
            "state IN ('enabled', 'disabled', 'deleted')", name=op.f("endpoint_state_check")
        ),
        sa.PrimaryKeyConstraint("endpoint_id", name=op.f("endpoint_pkey")),
    )
    op.create_index(op.f("endpoint_partner_id_idx"), "endpoint", ["partner_id"], unique=False)
    op.create_table(
        "endpoint_secret",
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("secret_id", sa.Uuid(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("retires_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "length(secret) BETWEEN 24 AND 64", name=op.f("endpoint_secret_length_check")
        ),
        sa.PrimaryKeyConstraint("endpoint_id", "secret_id", name=op.f("endpoint_secret_pkey")),
    )
    op.create_table(
        "feed_seen",
        sa.Column("partner_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stale_since", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("partner_id", "source", "kind", name=op.f("feed_seen_pkey")),
        comment="When each feed of a partner came last.",
    )
    op.create_table(
        "message",
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False, comment="Of its event in the log."),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("happened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column(
            "lane", sa.Text(), nullable=False, comment="What messages are kept in order within."
        ),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("status_code", sa.Integer(), nullable=True, comment="Of the last answer."),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(ended_at IS NULL) = (state = 'pending')", name=op.f("message_ended_at_check")
        ),
        sa.CheckConstraint(
            "due_at IS NULL OR state = 'pending'", name=op.f("message_due_at_check")
        ),
        sa.CheckConstraint(
            "state IN ('pending', 'delivered', 'dead')", name=op.f("message_state_check")
        ),
        sa.PrimaryKeyConstraint("endpoint_id", "position", name=op.f("message_pkey")),
    )
    op.create_index(
        "message_due_idx",
        "message",
        ["endpoint_id", "due_at"],
        unique=False,
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        op.f("message_ended_at_idx"),
        "message",
        ["ended_at"],
        unique=False,
        postgresql_where=sa.text("ended_at IS NOT NULL"),
    )
    op.create_index(
        "message_head_key",
        "message",
        ["endpoint_id", "lane"],
        unique=True,
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "message_lane_idx",
        "message",
        ["endpoint_id", "lane", "position"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_table(
        "partner_answer",
        sa.Column("partner_id", sa.Text(), nullable=False),
        sa.Column("partner_event_id", sa.Text(), nullable=False, comment="The partner's own."),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("fulfillment_order_id", sa.Uuid(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("body", pg.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column(
            "why", sa.Text(), nullable=True, comment="Why it was ignored, or what it waits for."
        ),
        sa.Column("happened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "received_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('applied', 'ignored', 'parked')", name=op.f("partner_answer_state_check")
        ),
        sa.PrimaryKeyConstraint("partner_id", "partner_event_id", name=op.f("partner_answer_pkey")),
    )
    op.create_index(
        "partner_answer_parked_idx",
        "partner_answer",
        ["fulfillment_order_id"],
        unique=False,
        postgresql_where=sa.text("state = 'parked'"),
    )
    op.create_index(
        op.f("partner_answer_received_at_idx"), "partner_answer", ["received_at"], unique=False
    )
    op.add_column(
        "node",
        sa.Column(
            "partner_id",
            sa.Text(),
            nullable=True,
            comment="The company that works there; our own without.",
        ),
    )
    op.create_index(
        op.f("node_partner_id_idx"),
        "node",
        ["partner_id"],
        unique=False,
        postgresql_where=sa.text("partner_id IS NOT NULL"),
    )
    op.execute("CREATE TABLE attempt_default PARTITION OF attempt DEFAULT")
    # Each message is written a few times and then left alone: vacuum comes by row count.
    op.execute(
        "ALTER TABLE message SET (fillfactor = 85, "
        "autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000)"
    )
    op.execute(SETTLE_LANES)
    op.execute(DUE_MESSAGES)


def downgrade() -> None:
    """Undo."""
    op.execute("DROP FUNCTION due_messages")
    op.execute("DROP FUNCTION settle_lanes")
    op.drop_index(
        op.f("node_partner_id_idx"),
        table_name="node",
        postgresql_where=sa.text("partner_id IS NOT NULL"),
    )
    op.drop_column("node", "partner_id")
    op.drop_index(op.f("partner_answer_received_at_idx"), table_name="partner_answer")
    op.drop_index(
        "partner_answer_parked_idx",
        table_name="partner_answer",
        postgresql_where=sa.text("state = 'parked'"),
    )
    op.drop_table("partner_answer")
    op.drop_index(
        "message_lane_idx", table_name="message", postgresql_where=sa.text("state = 'pending'")
    )
    op.drop_index(
        "message_head_key", table_name="message", postgresql_where=sa.text("due_at IS NOT NULL")
    )
    op.drop_index(
        op.f("message_ended_at_idx"),
        table_name="message",
        postgresql_where=sa.text("ended_at IS NOT NULL"),
    )
    op.drop_index(
        "message_due_idx", table_name="message", postgresql_where=sa.text("due_at IS NOT NULL")
    )
    op.drop_table("message")
    op.drop_table("feed_seen")
    op.drop_table("endpoint_secret")
    op.drop_index(op.f("endpoint_partner_id_idx"), table_name="endpoint")
    op.drop_table("endpoint")
    op.drop_table("attempt")
