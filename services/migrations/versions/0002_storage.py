"""Set how tables are stored: default partitions, free space for counters, the one version row."""

from alembic import op

revision = "0002"
down_revision = "0001"

PARTITIONED = ("movement", "decision", "event", "idempotency")
# Counters are updated in place for ever: free space on the page keeps these updates heap-only, and
# vacuum comes by row count rather than by share, so that one hot row does not grow a long chain.
COUNTERS = {"stock": 70, "supply": 70, "capacity": 50, "reservation": 85, "allocation": 85}


def upgrade() -> None:
    """Apply."""
    for table in PARTITIONED:
        # Takes rows for which no partition was made in time, so that no write is ever refused.
        op.execute(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")
    for table, fill in COUNTERS.items():
        op.execute(
            f"ALTER TABLE {table} SET (fillfactor = {fill}, "
            "autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000)"
        )
    op.execute("INSERT INTO network_version (version) VALUES (0)")


def downgrade() -> None:
    """Undo."""
    op.execute("DELETE FROM network_version")
    for table in COUNTERS:
        op.execute(
            f"ALTER TABLE {table} RESET (fillfactor, autovacuum_vacuum_scale_factor, "
            "autovacuum_vacuum_threshold)"
        )
    for table in PARTITIONED:
        op.execute(f"DROP TABLE {table}_default")
