"""The table of what days cost against perfect knowledge."""

import sqlalchemy as sa

from inventory.tables import instant, metadata

hindsight = sa.Table(
    "hindsight",
    metadata,
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("orders", sa.Integer, nullable=False, comment="Those looked at."),
    sa.Column("orders_in_all", sa.Integer, nullable=False),
    sa.Column("cost_minor", sa.BigInteger, nullable=False),
    sa.Column("bound_minor", sa.BigInteger, nullable=False),
    sa.Column("best_minor", sa.BigInteger, nullable=False),
    sa.Column("converged", sa.Boolean, nullable=False),
    sa.Column("rounds", sa.Integer, nullable=False),
    instant("computed_at", default=True),
    sa.CheckConstraint("orders BETWEEN 0 AND orders_in_all", name="orders"),
    sa.CheckConstraint("bound_minor <= best_minor AND best_minor <= cost_minor", name="bound"),
    comment="What a day's decisions cost, and the least they could have cost; see routing/README.",
)
