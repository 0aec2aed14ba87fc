"""The tables of the system of record for stock.

`stock`, `reservation`, `movement` and `supply` can be distributed by sku: every primary key has it,
no foreign key crosses. Counters live in narrow rows without an index, so that updates stay heap-only.
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

metadata = sa.MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)

ANY = "*"
"""The value of a buffer's key column that matches everything."""

MOVEMENT_KINDS = (
    "receive",
    "return",
    "dispatch",
    "sale",
    "count_gain",
    "count_loss",
    "feed_gain",
    "feed_loss",
    "adjust_gain",
    "adjust_loss",
    "damage",
    "restore",
    "scrap",
    "transfer_in",
    "transfer_out",
)
"""Every kind a movement may have; what each does to the counters stands in `ledger.KINDS`."""

CHANGE_KINDS = ("stock", "supply", "capacity", "item", "buffer", "pool", "quota")
"""What a change may be about: the tables of which processes keep a view in memory."""

NOW = sa.text("now()")
ZERO = sa.text("0")


def instant(name: str, *, nullable: bool = False, default: bool = False) -> sa.Column[object]:
    """Return a column for a UTC instant, filled with the database clock when `default` is set."""
    return sa.Column(
        name,
        sa.DateTime(timezone=True),
        nullable=nullable,
        server_default=NOW if default else None,
    )


def count(name: str) -> sa.Column[int]:
    """Return a column for a number of units that starts at zero."""
    return sa.Column(name, sa.BigInteger, nullable=False, server_default=ZERO)


def version() -> sa.Column[int]:
    """Return a column that every write of its row counts up: the higher of two is the newer."""
    return sa.Column("version", sa.BigInteger, nullable=False, server_default=ZERO)


node = sa.Table(
    "node",
    metadata,
    sa.Column("node_id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False, server_default=""),
    sa.Column("country", sa.Text, nullable=False),
    sa.Column("latitude", sa.Float, nullable=False),
    sa.Column("longitude", sa.Float, nullable=False),
    sa.Column("time_zone", sa.Text, nullable=False),
    sa.Column("calendar_id", sa.Text, nullable=False),
    sa.Column("cut_off", sa.Time, nullable=False),
    sa.Column("handling_days", sa.Integer, nullable=False, server_default=ZERO),
    sa.Column("capabilities", pg.ARRAY(sa.Text), nullable=False, server_default="{}"),
    sa.Column("groups", pg.ARRAY(sa.Text), nullable=False, server_default="{}"),
    sa.Column("handling_order_minor", sa.BigInteger, nullable=False, server_default=ZERO),
    sa.Column("handling_unit_minor", sa.BigInteger, nullable=False, server_default=ZERO),
    sa.Column("enabled", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("capacity_unit", sa.Text),
    sa.Column("capacity_planned", sa.BigInteger),
    sa.Column("capacity_maximum", sa.BigInteger),
    sa.Column("partner_id", sa.Text, comment="The company that works there; our own without."),
    sa.Column("overload_minor", sa.BigInteger, comment="Of work beyond what is planned."),
    instant("changed_at", default=True),
    sa.Index(None, "partner_id", postgresql_where=sa.text("partner_id IS NOT NULL")),
    sa.CheckConstraint("kind IN ('warehouse', 'store', 'supplier', 'partner')", name="kind"),
    sa.CheckConstraint("latitude BETWEEN -90 AND 90", name="latitude"),
    sa.CheckConstraint("longitude BETWEEN -180 AND 180", name="longitude"),
    sa.CheckConstraint("handling_days BETWEEN 0 AND 365", name="handling_days"),
    sa.CheckConstraint("capacity_unit IN ('orders', 'units')", name="capacity_unit"),
    sa.CheckConstraint("overload_minor >= 0", name="overload_minor"),
    sa.CheckConstraint(
        "(capacity_unit IS NULL) = (capacity_maximum IS NULL) AND capacity_maximum >= 0",
        name="capacity_maximum",
    ),
)

item = sa.Table(
    "item",
    metadata,
    sa.Column("sku", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, server_default=""),
    sa.Column("category", sa.Text, nullable=False, server_default=""),
    sa.Column("weight_grams", sa.Integer, nullable=False),
    sa.Column("length_mm", sa.Integer),
    sa.Column("width_mm", sa.Integer),
    sa.Column("height_mm", sa.Integer),
    sa.Column("requires", pg.ARRAY(sa.Text), nullable=False, server_default="{}"),
    sa.Column("unit_margin_minor", sa.BigInteger, comment="Lost when a walk-in finds none."),
    instant("changed_at", default=True),
    sa.Column("components", pg.JSONB, nullable=False, server_default="[]"),
    sa.Column("unit_price_minor", sa.BigInteger, comment="Before markdown."),
    sa.Column("markdown_on", sa.Date, comment="From when it costs less."),
    sa.Column("markdown_price_minor", sa.BigInteger, comment="What it costs then."),
    sa.Column("style", sa.Text, comment="What it is a size of."),
    sa.Column("size", sa.Text),
    sa.CheckConstraint("weight_grams >= 0", name="weight_grams"),
    sa.CheckConstraint(
        "least(unit_margin_minor, unit_price_minor, markdown_price_minor) >= 0", name="minor"
    ),
    sa.CheckConstraint("num_nonnulls(markdown_on, markdown_price_minor) <> 1", name="markdown"),
)

stock = sa.Table(
    "stock",
    metadata,
    sa.Column("sku", sa.Text, nullable=False),
    sa.Column("node_id", sa.Text, nullable=False),
    count("on_hand"),
    count("reserved"),
    count("unavailable"),
    count("shortage"),
    instant("as_of", nullable=True),
    version(),
    # On the locked row itself, so that orders for records without a pool pay nothing for pools.
    sa.Column("pooled", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.PrimaryKeyConstraint("sku", "node_id"),
    sa.CheckConstraint("reserved >= 0 AND unavailable >= 0 AND shortage >= 0", name="counters"),
    # A promise without stock behind it is only ever a recorded shortage, never an accident.
    sa.CheckConstraint("reserved <= on_hand - unavailable + shortage", name="promise"),
    sa.Index("stock_shortage_idx", "sku", "node_id", postgresql_where=sa.text("shortage > 0")),
)

stock_opening = sa.Table(
    "stock_opening",
    metadata,
    sa.Column("sku", sa.Text, nullable=False),
    sa.Column("node_id", sa.Text, nullable=False),
    sa.Column("on_hand", sa.BigInteger, nullable=False),
    sa.Column("unavailable", sa.BigInteger, nullable=False),
    instant("folded_to"),
    sa.PrimaryKeyConstraint("sku", "node_id"),
    comment="Sums of the movements recorded before folded_to, whose partitions are dropped.",
)

movement = sa.Table(
    "movement",
    metadata,
    sa.Column("sku", sa.Text, nullable=False),
    sa.Column("movement_id", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
    sa.Column("node_id", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("quantity", sa.BigInteger, nullable=False),
    instant("happened_at"),
    instant("recorded_at", default=True),
    sa.Column("reference", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("source", sa.Text, comment="The feed that reported it; null for our own."),
    sa.Column("actor", sa.Text, nullable=False),
    sa.PrimaryKeyConstraint("sku", "movement_id", "recorded_at"),
    sa.CheckConstraint("quantity > 0", name="quantity"),
    sa.CheckConstraint("happened_at <= recorded_at", name="happened_at"),
    sa.CheckConstraint(f"kind IN {MOVEMENT_KINDS}", name="kind"),
    sa.Index(None, "sku", "node_id", "happened_at"),
    sa.Index(
        None, "sku", "node_id", "reference", postgresql_where=sa.text("reference IS NOT NULL")
    ),
    postgresql_partition_by="RANGE (recorded_at)",
)

reservation = sa.Table(
    "reservation",
    metadata,
    sa.Column("sku", sa.Text, nullable=False),
    sa.Column("reservation_id", sa.Uuid, nullable=False),
    sa.Column("node_id", sa.Text, nullable=False),
    sa.Column("holder_kind", sa.Text, nullable=False),
    sa.Column("holder_id", sa.Uuid, nullable=False),
    sa.Column("line_id", sa.Text, nullable=False),
    sa.Column("quantity", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Text, nullable=False, server_default="held"),
    sa.Column("supply_id", sa.Text, comment="The supply row it is pegged to; on hand when null."),
    sa.Column("promise_on", sa.Date, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("movement_id", sa.Uuid, comment="The dispatch that consumed it."),
    instant("expires_at", nullable=True),
    instant("created_at", default=True),
    instant("resolved_at", nullable=True),
    sa.Column("pool_id", sa.Text, comment="The pool that some of its units came from."),
    sa.Column("pool_units", sa.BigInteger, comment="Of its quantity, the units from that pool."),
    sa.PrimaryKeyConstraint("sku", "reservation_id"),
    sa.CheckConstraint("quantity > 0", name="quantity"),
    sa.CheckConstraint("holder_kind IN ('allocation', 'staff', 'transfer')", name="holder_kind"),
    sa.CheckConstraint(
        "state IN ('held', 'confirmed', 'consumed', 'released', 'expired')", name="state"
    ),
    sa.CheckConstraint(
        "(state IN ('held', 'confirmed')) = (resolved_at IS NULL)", name="resolved_at"
    ),
    sa.CheckConstraint("state <> 'held' OR expires_at IS NOT NULL", name="expires_at"),
    sa.CheckConstraint("(state = 'consumed') = (movement_id IS NOT NULL)", name="movement_id"),
    sa.CheckConstraint(
        "(pool_id IS NULL) = (pool_units IS NULL) AND pool_units BETWEEN 1 AND quantity",
        name="pool_units",
    ),
    sa.Index(None, "holder_id"),
    # An allocation's row sweeps its hold; every index here is paid for by every line of every order.
    sa.Index(
        None, "expires_at", postgresql_where=sa.text("state = 'held' AND holder_kind = 'staff'")
    ),
    # Pegs that wait for supply are looked up by stock record.
    sa.Index(
        "reservation_peg_idx",
        "sku",
        "node_id",
        postgresql_where=sa.text("supply_id IS NOT NULL AND state IN ('held', 'confirmed')"),
    ),
)

supply = sa.Table(
    "supply",
    metadata,
    sa.Column("sku", sa.Text, nullable=False),
    sa.Column("supply_id", sa.Text, nullable=False),
    sa.Column("node_id", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("expected_on", sa.Date, nullable=False),
    sa.Column("quantity", sa.BigInteger, nullable=False),
    sa.Column("trust_percent", sa.Integer, nullable=False, server_default=sa.text("100")),
    count("received"),
    count("promised"),
    count("shortage"),
    instant("changed_at", default=True),
    version(),
    sa.PrimaryKeyConstraint("sku", "supply_id"),
    sa.CheckConstraint("kind IN ('purchase_order', 'transfer', 'production')", name="kind"),
    sa.CheckConstraint("trust_percent BETWEEN 0 AND 100", name="trust_percent"),
    sa.CheckConstraint("quantity >= 0 AND received >= 0 AND promised >= 0", name="counters"),
    sa.CheckConstraint(
        "promised <= greatest(quantity - received, 0) * trust_percent / 100 + shortage",
        name="promise",
    ),
    sa.Index(None, "sku", "node_id"),
    sa.Index("supply_shortage_idx", "sku", "supply_id", postgresql_where=sa.text("shortage > 0")),
)

transfer = sa.Table(
    "transfer",
    metadata,
    sa.Column("transfer_id", sa.Uuid, primary_key=True),
    sa.Column("from_node_id", sa.Text, nullable=False),
    sa.Column("to_node_id", sa.Text, nullable=False),
    sa.Column("holder_id", sa.Uuid, nullable=False, comment="Has the units until they leave."),
    sa.Column("state", sa.Text, nullable=False, server_default="open"),
    sa.Column("expected_on", sa.Date, nullable=False),
    sa.Column("note", sa.Text, nullable=False, server_default=""),
    sa.Column("actor", sa.Text, nullable=False),
    instant("created_at", default=True),
    instant("shipped_at", nullable=True),
    instant("ended_at", nullable=True),
    sa.CheckConstraint("state IN ('open', 'shipped', 'received', 'cancelled')", name="state"),
    sa.CheckConstraint("from_node_id <> to_node_id", name="nodes"),
    sa.Index(None, "from_node_id", postgresql_where=sa.text("ended_at IS NULL")),
    sa.Index(None, "to_node_id", postgresql_where=sa.text("ended_at IS NULL")),
)

transfer_line = sa.Table(
    "transfer_line",
    metadata,
    sa.Column("sku", sa.Text, nullable=False),
    sa.Column("transfer_id", sa.Uuid, nullable=False),
    sa.Column("quantity", sa.BigInteger, nullable=False),
    count("shipped"),
    count("received"),
    count("damaged"),
    count("lost"),
    sa.PrimaryKeyConstraint("sku", "transfer_id"),
    sa.CheckConstraint("quantity > 0 AND shipped BETWEEN 0 AND quantity", name="shipped"),
    sa.CheckConstraint("received >= 0 AND lost >= 0 AND received + lost <= shipped", name="ended"),
    sa.CheckConstraint("damaged BETWEEN 0 AND received", name="damaged"),
    sa.Index(None, "transfer_id"),
)

capacity = sa.Table(
    "capacity",
    metadata,
    sa.Column("node_id", sa.Text, nullable=False),
    sa.Column("work_on", sa.Date, nullable=False),
    sa.Column("slot", sa.Text, nullable=False, server_default="day"),
    sa.Column("unit", sa.Text, nullable=False),
    sa.Column("planned", sa.BigInteger),
    sa.Column("maximum", sa.BigInteger, nullable=False),
    count("used"),
    version(),
    sa.PrimaryKeyConstraint("node_id", "work_on", "slot"),
    sa.CheckConstraint("unit IN ('orders', 'units')", name="unit"),
    sa.CheckConstraint("maximum >= 0 AND used >= 0", name="counters"),
)

capacity_hold = sa.Table(
    "capacity_hold",
    metadata,
    sa.Column("node_id", sa.Text, nullable=False),
    sa.Column("work_on", sa.Date, nullable=False),
    sa.Column("slot", sa.Text, nullable=False, server_default="day"),
    sa.Column("holder_id", sa.Uuid, nullable=False),
    sa.Column("quantity", sa.BigInteger, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.PrimaryKeyConstraint("node_id", "work_on", "slot", "holder_id"),
    sa.CheckConstraint("quantity > 0", name="quantity"),
    sa.Index(None, "holder_id"),
    comment="What each holder took of a node's capacity; active rows sum to capacity.used.",
)

buffer = sa.Table(
    "buffer",
    metadata,
    sa.Column("sku", sa.Text, nullable=False),
    sa.Column("node_id", sa.Text, nullable=False),
    sa.Column("channel", sa.Text, nullable=False, server_default=ANY),
    sa.Column("quantity", sa.BigInteger, nullable=False),
    sa.PrimaryKeyConstraint("sku", "node_id", "channel"),
    sa.CheckConstraint("quantity >= 0", name="quantity"),
)

feed = sa.Table(
    "feed",
    metadata,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("gaps", sa.BigInteger, nullable=False, server_default=ZERO),
    instant("received_at", default=True),
    comment="The highest sequence seen of each source, and how many below it are missing.",
)

feed_message = sa.Table(
    "feed_message",
    metadata,
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("records", sa.Integer, nullable=False),
    instant("received_at", default=True),
    sa.PrimaryKeyConstraint("source", "sequence", "kind"),
)

change = sa.Table(
    "change",
    metadata,
    sa.Column(
        "xid",
        sa.BigInteger,
        nullable=False,
        server_default=sa.text("(pg_current_xact_id()::text)::bigint"),
        comment="The transaction that wrote it; snapshots say which transactions they see.",
    ),
    instant("recorded_at", default=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("key_1", pg.ARRAY(sa.Text), nullable=False),
    sa.Column("key_2", pg.ARRAY(sa.Text), nullable=False, server_default="{}"),
    sa.Column("key_3", pg.ARRAY(sa.Text), nullable=False, server_default="{}"),
    sa.CheckConstraint(f"kind IN {CHANGE_KINDS}", name="kind"),
    sa.Index(None, "xid"),
    comment="Which rows a transaction wrote, for the views that processes keep; kept for minutes.",
)

change_floor = sa.Table(
    "change_floor",
    metadata,
    sa.Column("only", sa.Boolean, primary_key=True, server_default=sa.true()),
    sa.Column(
        "seen",
        sa.Text,
        nullable=False,
        comment="A snapshot; changes that it sees may have been deleted.",
    ),
    sa.Column(
        "next_seen", sa.Text, nullable=False, comment="The snapshot up to which to delete next."
    ),
    instant("next_at", default=True),
    sa.CheckConstraint('"only"', name="only"),
    comment="One row; tells a follower whether changes it has not seen may be gone.",
)
