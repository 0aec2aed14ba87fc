"""A follower for tests, and one that almost works."""

from datetime import UTC, datetime

import asyncpg

from inventory import changes, reading
from inventory.audit.views import compare_views
from inventory.view import StockView


async def load(connection: asyncpg.Connection) -> tuple[StockView, changes.Cursor]:
    """Return a view of everything, and the cursor that follows on from it."""
    view = StockView()
    view.begin_load()
    today = datetime.now(UTC).date()
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        read = await reading.read_all(connection, view, today, lambda _: None)
    view.finish_load(read.loaded, read.loaded.build())
    return view, read.cursor


async def poll(
    connection: asyncpg.Connection, view: StockView, cursor: changes.Cursor
) -> changes.Cursor:
    """Bring a view up to date; return the next cursor."""
    found = await changes.read_changes(connection, cursor)
    assert not found.gone
    await reading.apply_changes(connection, view, found, datetime.now(UTC).date())
    return found.cursor


async def differences(connection: asyncpg.Connection, view: StockView) -> list[str]:
    """Return where a view that was just polled disagrees with the tables."""
    fresh, _ = await load(connection)
    return [each.what for each in compare_views(view, fresh)]


class HighestNumber:
    """The follower that almost works: it goes on from the highest transaction number it has seen.

    Numbers are given out when a transaction first writes, and not in the order of commits: one
    that began early and commits late has a number that was passed long ago.
    """

    def __init__(self) -> None:
        """Start from the beginning."""
        self.highest = 0

    async def poll(self, connection: asyncpg.Connection, view: StockView) -> None:
        """Read the stock records of changes with higher numbers."""
        rows = await connection.fetch(
            "SELECT xid, key_1, key_2 FROM change WHERE kind = 'stock' AND xid > $1", self.highest
        )
        for row in rows:
            self.highest = max(self.highest, row["xid"])
            for key in zip(row["key_1"], row["key_2"], strict=True):
                view.apply_stock(
                    await connection.fetch(
                        "SELECT sku, node_id, on_hand, reserved, unavailable, version FROM stock"
                        " WHERE (sku, node_id) = ($1, $2)",
                        *key,
                    )
                )
