"""The tables around the system of record: the network's costs and dates, orders, keys, history.

`allocation` is distributed by order, so its keys contain `order_id`; the network's tables are small
and held whole everywhere. History (`decision`, `rearrangement`, `event`, `idempotency`) is partitioned by time.
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from inventory.tables import ZERO, instant, metadata

__all__ = ["metadata"]

calendar = sa.Table(
    "calendar",
    metadata,
    sa.Column("calendar_id", sa.Text, primary_key=True),
    sa.Column("weekdays", pg.ARRAY(sa.Integer), nullable=False),
    sa.Column("holidays", pg.ARRAY(sa.Date), nullable=False, server_default="{}"),
)

zone = sa.Table(
    "zone",
    metadata,
    sa.Column("zone_id", sa.Text, primary_key=True),
    sa.Column("country", sa.Text, nullable=False),
    sa.Column("postal_prefixes", pg.ARRAY(sa.Text), nullable=False, server_default="{}"),
    sa.Column("latitude", sa.Float, nullable=False),
    sa.Column("longitude", sa.Float, nullable=False),
    sa.Column("time_zone", sa.Text, nullable=False),
)

tariff = sa.Table(
    "tariff",
    metadata,
    sa.Column("tariff_id", sa.Text, primary_key=True),
    sa.Column("brackets", pg.JSONB, nullable=False),
)

lane = sa.Table(
    "lane",
    metadata,
    sa.Column("node_id", sa.Text, nullable=False),
    sa.Column("zone_id", sa.Text, nullable=False),
    sa.Column("service", sa.Text, nullable=False),
    sa.Column("tariff_id", sa.Text, nullable=False),
    sa.Column("transit_days_min", sa.Integer, nullable=False),
    sa.Column("transit_days_max", sa.Integer, nullable=False),
    sa.Column("calendar_id", sa.Text),
    sa.Column("cut_off", sa.Time, comment="When the carrier collects; the node's own without."),
    sa.Column("co2_grams", sa.Integer, nullable=False, server_default=ZERO),
    sa.Column("co2_grams_per_kg", sa.Integer, nullable=False, server_default=ZERO),
    sa.PrimaryKeyConstraint("zone_id", "node_id", "service"),
    sa.CheckConstraint(
        "transit_days_min >= 0 AND transit_days_max >= transit_days_min", name="transit_days"
    ),
    sa.CheckConstraint("co2_grams >= 0 AND co2_grams_per_kg >= 0", name="co2"),
)

strategy_version = sa.Table(
    "strategy_version",
    metadata,
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False, comment="Empty for the rules."),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False, server_default="draft"),
    sa.Column("body", pg.JSONB, nullable=False),
    sa.Column("note", sa.Text, nullable=False, server_default=""),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("replaced", sa.Integer, comment="The version active before; to roll back to."),
    instant("created_at", default=True),
    instant("activated_at", nullable=True),
    sa.PrimaryKeyConstraint("kind", "name", "version"),
    sa.CheckConstraint("kind IN ('strategy', 'rules')", name="kind"),
    sa.CheckConstraint("state IN ('draft', 'active', 'retired')", name="state"),
    sa.Index(
        "strategy_version_active_key",
        "kind",
        "name",
        unique=True,
        postgresql_where=sa.text("state = 'active'"),
    ),
)

network_version = sa.Table(
    "network_version",
    metadata,
    sa.Column("only", sa.Boolean, primary_key=True, server_default=sa.true()),
    sa.Column("version", sa.BigInteger, nullable=False, server_default=ZERO),
    sa.CheckConstraint('"only"', name="only"),
    comment="One row; counts changes of nodes and their network so that caches know to reload.",
)

allocation = sa.Table(
    "allocation",
    metadata,
    sa.Column("order_id", sa.Text, nullable=False),
    sa.Column("allocation_id", sa.Uuid, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("zone_id", sa.Text, comment="The destination's; none when all is picked up."),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("complete", sa.Boolean, nullable=False),
    sa.Column("request_hash", sa.LargeBinary, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False, comment="The answer as it was given, JSON."),
    sa.Column("actor", sa.Text, nullable=False),
    instant("expires_at", nullable=True),
    instant("created_at", default=True),
    instant("confirmed_at", nullable=True),
    instant("ended_at", nullable=True),
    sa.PrimaryKeyConstraint("order_id", "allocation_id"),
    sa.CheckConstraint(
        "state IN ('held', 'confirmed', 'released', 'expired', 'cancelled')", name="state"
    ),
    # An order has at most one live allocation, whatever the key it was sent under.
    sa.Index(
        "allocation_live_key",
        "order_id",
        unique=True,
        postgresql_where=sa.text("state IN ('held', 'confirmed')"),
    ),
    sa.Index(None, "allocation_id"),
    sa.Index(None, "expires_at", postgresql_where=sa.text("state = 'held'")),
    sa.Index(None, "confirmed_at", postgresql_where=sa.text("confirmed_at IS NOT NULL")),
)

decision = sa.Table(
    "decision",
    metadata,
    sa.Column("allocation_id", sa.Uuid, nullable=False),
    instant("created_at", default=True),
    sa.Column(
        "record",
        sa.LargeBinary,
        nullable=False,
        comment="See routing/record.py; needs the terrain of its digest to be read.",
    ),
    sa.PrimaryKeyConstraint("allocation_id", "created_at"),
    postgresql_partition_by="RANGE (created_at)",
)

rearrangement = sa.Table(
    "rearrangement",
    metadata,
    sa.Column("allocation_id", sa.Uuid, nullable=False),
    sa.Column("window_id", sa.Uuid, nullable=False),
    instant("created_at", default=True),
    sa.Column("saving_minor", sa.BigInteger, nullable=False),
    sa.Column("seen", pg.JSONB, nullable=False, comment="What its window came to."),
    sa.Column("before", pg.JSONB, nullable=False, comment="The fulfillments that were left."),
    sa.Column(
        "record",
        sa.LargeBinary,
        nullable=False,
        comment="Of the new plan, as in decision: on what other orders left.",
    ),
    sa.PrimaryKeyConstraint("allocation_id", "window_id", "created_at"),
    postgresql_partition_by="RANGE (created_at)",
)

terrain = sa.Table(
    "terrain",
    metadata,
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False, comment="msgpack, zlib"),
    instant("created_at", default=True),
)

event = sa.Table(
    "event",
    metadata,
    sa.Column("event_id", sa.Uuid, nullable=False),
    instant("created_at", default=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("payload", pg.JSONB, nullable=False),
    sa.Column(
        "ordinal",
        sa.BigInteger,
        nullable=False,
        # A transaction gets its number before it draws; `services.events.sequencer` builds on that.
        server_default=sa.text(
            "nextval(CASE WHEN pg_current_xact_id() IS NOT NULL THEN 'event_ordinal'::regclass END)"
        ),
        comment="In the order of writing; transactions commit in another.",
    ),
    sa.PrimaryKeyConstraint("event_id", "created_at"),
    sa.Index(None, "subject", "created_at"),
    sa.Index(None, "ordinal"),
    postgresql_partition_by="RANGE (created_at)",
)

idempotency = sa.Table(
    "idempotency",
    metadata,
    sa.Column("scope", sa.LargeBinary, nullable=False, comment="Key, method, path; SHA-256."),
    instant("created_at", default=True),
    sa.Column("request_hash", sa.LargeBinary, nullable=False),
    sa.Column("status_code", sa.Integer, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.PrimaryKeyConstraint("scope", "created_at"),
    postgresql_partition_by="RANGE (created_at)",
)

api_key = sa.Table(
    "api_key",
    metadata,
    sa.Column("key_id", sa.Text, primary_key=True),
    sa.Column("secret_hash", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("node_ids", pg.ARRAY(sa.Text), nullable=False, server_default="{}"),
    sa.Column("partner_id", sa.Text),
    sa.Column("scopes", pg.ARRAY(sa.Text), comment="All that its role may do when null."),
    instant("created_at", default=True),
    instant("expires_at", nullable=True),
    instant("revoked_at", nullable=True),
    sa.CheckConstraint(
        "role IN ('checkout', 'store', 'partner', 'planner', 'operator')", name="role"
    ),
)

lease = sa.Table(
    "lease",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text, nullable=False),
    instant("expires_at"),
)

# Imports of files: what survives of one when its process dies, so that running it again goes on.
file_import = sa.Table(
    "file_import",
    metadata,
    sa.Column("import_id", sa.Uuid, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    instant("started_at"),
    instant("finished_at", nullable=True),
    sa.Column("key_1", sa.Text, comment="The key applied last, in two parts; none yet when null."),
    sa.Column("key_2", sa.Text),
    sa.Column("chunks", sa.Integer, nullable=False, server_default=ZERO),
    sa.Column("rows_applied", sa.BigInteger, nullable=False, server_default=ZERO),
    sa.Column("rows_rejected", sa.BigInteger, nullable=False, server_default=ZERO),
    sa.CheckConstraint("kind IN ('nodes', 'items', 'stock', 'supply', 'orders')", name="kind"),
    sa.CheckConstraint("(key_1 IS NULL) = (key_2 IS NULL)", name="key"),
)
