"""The tables of what partners are sent and what they answered.

An event becomes one message for each endpoint that is owed it. Messages of one endpoint with the
same `lane` go out one after the other in the order of events: only the first of a lane that is
still pending has a `due_at`, so that finding work never has to look at what waits behind it.
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from inventory.tables import ZERO, instant, metadata, version

__all__ = ["metadata"]

ENDPOINT_STATES = ("enabled", "disabled", "deleted")
MESSAGE_STATES = ("pending", "delivered", "dead")
ANSWER_STATES = ("applied", "ignored", "parked")

endpoint = sa.Table(
    "endpoint",
    metadata,
    sa.Column("endpoint_id", sa.Uuid, primary_key=True),
    sa.Column("partner_id", sa.Text, comment="Whose it is; the company's own without."),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False, server_default=""),
    sa.Column(
        "kinds", pg.ARRAY(sa.Text), nullable=False, comment="Of events; `return.*` names a family."
    ),
    sa.Column("envelope", sa.Text, nullable=False, server_default="standard"),
    sa.Column("state", sa.Text, nullable=False, server_default="enabled"),
    sa.Column("reason", sa.Text, comment="Why it is disabled."),
    sa.Column(
        "position",
        sa.BigInteger,
        nullable=False,
        server_default=ZERO,
        comment="Every event up to here that it is owed has become a message.",
    ),
    instant("failing_since", nullable=True),
    sa.Column("failures", sa.Integer, nullable=False, server_default=ZERO, comment="In a row."),
    instant("resume_at", nullable=True),
    sa.Column("sender", sa.Text, comment="Who holds the lease to send."),
    instant("sender_until", nullable=True),
    sa.Column("actor", sa.Text, nullable=False),
    instant("created_at", default=True),
    instant("changed_at", default=True),
    version(),
    sa.CheckConstraint("envelope IN ('standard', 'cloudevents')", name="envelope"),
    sa.CheckConstraint(f"state IN {ENDPOINT_STATES}", name="state"),
    sa.CheckConstraint("(state = 'disabled') = (reason IS NOT NULL)", name="reason"),
    sa.Index(None, "partner_id"),
)

endpoint_secret = sa.Table(
    "endpoint_secret",
    metadata,
    sa.Column("endpoint_id", sa.Uuid, nullable=False),
    sa.Column("secret_id", sa.Uuid, nullable=False),
    sa.Column("secret", sa.LargeBinary, nullable=False),
    instant("created_at", default=True),
    instant("retires_at", nullable=True),
    sa.PrimaryKeyConstraint("endpoint_id", "secret_id"),
    sa.CheckConstraint("length(secret) BETWEEN 24 AND 64", name="length"),
)

message = sa.Table(
    "message",
    metadata,
    sa.Column("endpoint_id", sa.Uuid, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False, comment="Of its event in the log."),
    sa.Column("event_id", sa.Uuid, nullable=False),
    instant("happened_at"),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("lane", sa.Text, nullable=False, comment="What messages are kept in order within."),
    sa.Column("state", sa.Text, nullable=False, server_default="pending"),
    instant("due_at", nullable=True),
    sa.Column("attempts", sa.Integer, nullable=False, server_default=ZERO),
    sa.Column("status_code", sa.Integer, comment="Of the last answer."),
    instant("created_at", default=True),
    instant("ended_at", nullable=True),
    sa.PrimaryKeyConstraint("endpoint_id", "position"),
    sa.CheckConstraint(f"state IN {MESSAGE_STATES}", name="state"),
    sa.CheckConstraint("due_at IS NULL OR state = 'pending'", name="due_at"),
    sa.CheckConstraint("(ended_at IS NULL) = (state = 'pending')", name="ended_at"),
    # The first of each lane, by when it may go out.
    sa.Index(
        "message_due_idx",
        "endpoint_id",
        "due_at",
        postgresql_where=sa.text("due_at IS NOT NULL"),
    ),
    # Two messages of a lane are never due together, or the later one could arrive first.
    sa.Index(
        "message_head_key",
        "endpoint_id",
        "lane",
        unique=True,
        postgresql_where=sa.text("due_at IS NOT NULL"),
    ),
    sa.Index(
        "message_lane_idx",
        "endpoint_id",
        "lane",
        "position",
        postgresql_where=sa.text("state = 'pending'"),
    ),
    sa.Index(None, "ended_at", postgresql_where=sa.text("ended_at IS NOT NULL")),
)

attempt = sa.Table(
    "attempt",
    metadata,
    sa.Column("endpoint_id", sa.Uuid, nullable=False),
    sa.Column("attempt_id", sa.Uuid, nullable=False),
    instant("happened_at"),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column(
        "number", sa.Integer, nullable=False, comment="Counts the message's attempts from 1."
    ),
    sa.Column("status_code", sa.Integer),
    sa.Column("error", sa.Text, comment="Why there was no answer, or none that counts."),
    sa.Column("answer", sa.Text, comment="How the answer began, when it was not 2xx."),
    sa.Column("address", sa.Text, comment="That was connected to."),
    sa.Column("elapsed_ms", sa.Integer, nullable=False),
    sa.PrimaryKeyConstraint("endpoint_id", "attempt_id", "happened_at"),
    postgresql_partition_by="RANGE (happened_at)",
)

partner_answer = sa.Table(
    "partner_answer",
    metadata,
    sa.Column("partner_id", sa.Text, nullable=False),
    sa.Column("partner_event_id", sa.Text, nullable=False, comment="The partner's own."),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("order_id", sa.Text, nullable=False),
    sa.Column("fulfillment_order_id", sa.Uuid, nullable=False),
    sa.Column("request_hash", sa.LargeBinary, nullable=False),
    sa.Column("body", pg.JSONB, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("why", sa.Text, comment="Why it was ignored, or what it waits for."),
    instant("happened_at"),
    instant("received_at", default=True),
    instant("applied_at", nullable=True),
    sa.PrimaryKeyConstraint("partner_id", "partner_event_id"),
    sa.CheckConstraint(f"state IN {ANSWER_STATES}", name="state"),
    sa.Index(
        "partner_answer_parked_idx",
        "fulfillment_order_id",
        postgresql_where=sa.text("state = 'parked'"),
    ),
    sa.Index(None, "received_at"),
)

feed_seen = sa.Table(
    "feed_seen",
    metadata,
    sa.Column("partner_id", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    instant("seen_at"),
    instant("stale_since", nullable=True),
    sa.PrimaryKeyConstraint("partner_id", "source", "kind"),
    comment="When each feed of a partner came last.",
)
