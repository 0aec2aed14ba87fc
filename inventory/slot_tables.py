"""The table of slots: windows of a date in which customers receive what they ordered."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from inventory.tables import ZERO, instant, metadata

slot = sa.Table(
    "slot",
    metadata,
    sa.Column("slot_id", sa.Text, primary_key=True),
    sa.Column("service", sa.Text, comment="The carrier service that delivers in it."),
    sa.Column("zone_ids", pg.ARRAY(sa.Text), nullable=False, server_default="{}"),
    sa.Column("node_id", sa.Text, comment="Where the customer collects, if nobody delivers."),
    sa.Column("opens", sa.Time, nullable=False),
    sa.Column("closes", sa.Time, nullable=False),
    sa.Column("weekdays", pg.ARRAY(sa.Integer), nullable=False),
    sa.Column("places", sa.BigInteger, nullable=False),
    sa.Column("price_minor", sa.BigInteger, nullable=False, server_default=ZERO),
    sa.Column("lead_minutes", sa.Integer, nullable=False, server_default=ZERO),
    sa.Column("days_ahead", sa.Integer, nullable=False),
    sa.Column("dates", pg.JSONB, nullable=False, server_default="[]"),
    instant("changed_at", default=True),
    sa.CheckConstraint("(service IS NULL) <> (node_id IS NULL)", name="kind"),
    sa.CheckConstraint("opens < closes", name="window"),
    sa.CheckConstraint("places >= 0 AND price_minor >= 0", name="places"),
    sa.CheckConstraint("lead_minutes >= 0 AND days_ahead >= 0", name="ahead"),
    comment="Their places by date are rows of capacity that belong to no node.",
)
