"""SQL of the demonstration."""

import asyncpg

LOADED = ("node", "item", "lane", "stock", "movement")
"""Tables that loading the network fills."""


async def settle(connection: asyncpg.Connection) -> None:
    """Give the query planner statistics of freshly filled tables, and mark their pages visible.

    Autovacuum would, within a minute or so; until then, plans are made for empty tables.
    """
    for table in LOADED:
        await connection.execute(f"VACUUM (ANALYZE) {table}", timeout=None)


async def unlimited(connection: asyncpg.Connection) -> None:
    """Lift the limit on how long a statement may take, for what reads whole tables."""
    await connection.execute("SET statement_timeout = 0")


async def read_free(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Return sku, node and units on hand that nobody has been promised, by sku and node."""
    rows: list[asyncpg.Record] = await connection.fetch(
        "SELECT sku, node_id, on_hand - reserved AS quantity FROM stock ORDER BY sku, node_id"
    )
    return rows
