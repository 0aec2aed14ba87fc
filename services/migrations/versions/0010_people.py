"""Add the order of the log of events, staff, their sessions, and whom an order is for."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0010"
down_revision = "0009"

DRAW = "nextval(CASE WHEN pg_current_xact_id() IS NOT NULL THEN 'event_ordinal'::regclass END)"


def instant(name: str, *, nullable: bool = False, default: bool = False) -> sa.Column[object]:
    """Return a column for a UTC instant, filled with the database clock when `default` is set."""
    return sa.Column(
        name,
        sa.DateTime(timezone=True),
        nullable=nullable,
        server_default=sa.text("now()") if default else None,
    )


def upgrade() -> None:
    """Apply."""
    order_events()
    keep_contacts()
    let_staff_in()
    op.add_column(
        "api_key",
        sa.Column(
            "scopes",
            pg.ARRAY(sa.Text()),
            nullable=True,
            comment="All that its role may do when null.",
        ),
    )
    op.add_column("api_key", instant("expires_at", nullable=True))


def order_events() -> None:
    """Add the places of events in their log."""
    op.execute("CREATE SEQUENCE event_ordinal")
    # Events of before keep 0 and get no position; giving each its own would rewrite all history.
    op.add_column(
        "event",
        sa.Column(
            "ordinal",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="In the order of writing; transactions commit in another.",
        ),
    )
    op.alter_column("event", "ordinal", server_default=sa.text(DRAW))
    op.create_index(op.f("event_ordinal_idx"), "event", ["ordinal"])
    op.create_table(
        "event_position",
        sa.Column(
            "position", sa.BigInteger(), nullable=False, comment="Counts events without gaps."
        ),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("position", "created_at", name=op.f("event_position_pkey")),
        postgresql_partition_by="RANGE (created_at)",
    )
    op.execute("CREATE TABLE event_position_default PARTITION OF event_position DEFAULT")
    op.create_table(
        "event_cursor",
        sa.Column("only", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("position", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("marked_ordinal", sa.BigInteger(), nullable=True),
        sa.Column("marked_xid", sa.BigInteger(), nullable=True),
        sa.Column("marked_server", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint('"only"', name=op.f("event_cursor_only_check")),
        sa.CheckConstraint(
            "marked_ordinal > ordinal", name=op.f("event_cursor_marked_ordinal_check")
        ),
        sa.CheckConstraint(
            "(marked_ordinal IS NULL) = (marked_xid IS NULL)"
            " AND (marked_ordinal IS NULL) = (marked_server IS NULL)",
            name=op.f("event_cursor_mark_check"),
        ),
        sa.PrimaryKeyConstraint("only", name=op.f("event_cursor_pkey")),
        comment="One row; how far events have positions, and how far they soon can.",
    )
    op.execute("INSERT INTO event_cursor DEFAULT VALUES")


def keep_contacts() -> None:
    """Add whom orders are for."""
    op.create_table(
        "order_contact",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column(
            "customer_id", sa.Text(), nullable=True, comment="Of the shop; null once purged."
        ),
        sa.Column(
            "body",
            pg.JSONB(),
            nullable=True,
            comment="Name, address and what else dispatch needs; or purged.",
        ),
        sa.Column("actor", sa.Text(), nullable=False),
        instant("created_at", default=True),
        instant("changed_at", default=True),
        instant("purge_at", nullable=True),
        instant("purged_at", nullable=True),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint(
            "(body IS NULL) = (purged_at IS NOT NULL)"
            " AND (purged_at IS NULL OR customer_id IS NULL)",
            name=op.f("order_contact_purged_check"),
        ),
        sa.PrimaryKeyConstraint("order_id", name=op.f("order_contact_pkey")),
    )
    op.create_index(
        op.f("order_contact_customer_id_idx"),
        "order_contact",
        ["customer_id"],
        postgresql_where=sa.text("customer_id IS NOT NULL"),
    )
    op.create_index(
        op.f("order_contact_changed_at_idx"),
        "order_contact",
        ["changed_at"],
        postgresql_where=sa.text("purged_at IS NULL"),
    )


def let_staff_in() -> None:
    """Add staff, their sessions and attempts to sign in."""
    op.create_table(
        "staff",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("node_ids", pg.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column(
            "password_hash", sa.Text(), nullable=False, comment="Argon2id, with its parameters."
        ),
        instant("created_at", default=True),
        instant("disabled_at", nullable=True),
        sa.CheckConstraint(
            "role IN ('store', 'planner', 'operator')", name=op.f("staff_role_check")
        ),
        sa.CheckConstraint(
            "(role = 'store') = (cardinality(node_ids) > 0)", name=op.f("staff_nodes_check")
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("staff_pkey")),
    )
    op.create_table(
        "staff_session",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        instant("created_at", default=True),
        instant("expires_at"),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("staff_session_pkey")),
    )
    op.create_index(op.f("staff_session_name_idx"), "staff_session", ["name"])
    op.create_index(op.f("staff_session_expires_at_idx"), "staff_session", ["expires_at"])
    op.create_table(
        "sign_in_attempt",
        sa.Column("attempt_id", sa.Uuid(), nullable=False),
        sa.Column("name_hash", sa.LargeBinary(), nullable=False),
        sa.Column("address_hash", sa.LargeBinary(), nullable=False),
        instant("attempted_at", default=True),
        sa.PrimaryKeyConstraint("attempt_id", name=op.f("sign_in_attempt_pkey")),
        comment="Those that failed or are under way; kept for as long as they count.",
    )
    for columns in (["name_hash", "attempted_at"], ["address_hash", "attempted_at"]):
        op.create_index(
            op.f(f"sign_in_attempt_{'_'.join(columns)}_idx"), "sign_in_attempt", columns
        )
    op.create_index(op.f("sign_in_attempt_attempted_at_idx"), "sign_in_attempt", ["attempted_at"])


def downgrade() -> None:
    """Undo."""
    op.drop_column("api_key", "expires_at")
    op.drop_column("api_key", "scopes")
    for table in ("sign_in_attempt", "staff_session", "staff", "order_contact"):
        op.drop_table(table)
    op.drop_table("event_cursor")
    op.drop_table("event_position")
    op.drop_column("event", "ordinal")
    op.execute("DROP SEQUENCE event_ordinal")
