"""The statements of allocation pools. Quotas are written under their stock records' locks alone."""

from collections.abc import Sequence

import asyncpg

from inventory.records import Columns, noted

NOTE_QUOTAS = noted("quota", "$1::text[]", "$2::text[]", "$3::text[]")
QUOTA = "q.sku, q.node_id, q.pool_id, q.quantity, q.used, q.consumed"


async def find_pools(connection: asyncpg.Connection, channels: Sequence[str]) -> dict[str, str]:
    """Find the pools that these channels take from."""
    rows = await connection.fetch(
        "SELECT channel, pool_id FROM pool_channel WHERE channel = ANY ($1::text[])", channels
    )
    return {row[0]: row[1] for row in rows}


async def find_quotas(
    connection: asyncpg.Connection, skus: Sequence[str], node_ids: Sequence[str]
) -> list[asyncpg.Record]:
    """Find the quotas at these stock records; whoever decides by them has locked those."""
    return await connection.fetch(
        f"""
        SELECT {QUOTA}
        FROM unnest($1::text[], $2::text[]) AS k (sku, node_id) JOIN quota q USING (sku, node_id)
        ORDER BY q.sku, q.node_id, q.pool_id
        """,
        skus,
        node_ids,
    )


async def change_quotas(connection: asyncpg.Connection, changes: Columns) -> None:
    """Add to what is used and consumed of quotas, whose stock records are locked."""
    await connection.execute(
        f"""
        WITH noted AS ({NOTE_QUOTAS})
        UPDATE quota q
        SET version = q.version + 1, used = q.used + d.used, consumed = q.consumed + d.consumed
        FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[])
             AS d (sku, node_id, pool_id, used, consumed)
        WHERE (q.sku, q.node_id, q.pool_id) = (d.sku, d.node_id, d.pool_id)
        """,
        *changes,
    )


async def put_quotas(connection: asyncpg.Connection, quotas: Columns) -> list[asyncpg.Record]:
    """Set the quantities of quotas, whose stock records are locked; return the rows as they are.

    Their stock records are marked as shared by pools while any pool has a right there.
    """
    rows = await connection.fetch(
        f"""
        WITH noted AS ({NOTE_QUOTAS})
        INSERT INTO quota AS q (sku, node_id, pool_id, quantity)
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[])
                      AS d (sku, node_id, pool_id, quantity)
        ORDER BY sku, node_id, pool_id
        ON CONFLICT (sku, node_id, pool_id) DO UPDATE
        SET version = q.version + 1, quantity = excluded.quantity
        RETURNING {QUOTA}
        """,
        *quotas,
    )
    await connection.execute(
        f"""
        WITH noted AS ({noted("stock", "$1::text[]", "$2::text[]")})
        UPDATE stock s SET version = s.version + 1, pooled = EXISTS (
            SELECT FROM quota q
            WHERE (q.sku, q.node_id) = (s.sku, s.node_id) AND q.quantity > q.consumed
        )
        FROM (
            SELECT DISTINCT k.sku, k.node_id FROM unnest($1::text[], $2::text[]) AS k (sku, node_id)
        ) AS k
        WHERE (s.sku, s.node_id) = (k.sku, k.node_id)
        """,
        *quotas[:2],
    )
    return rows


async def note_stock(connection: asyncpg.Connection, keys: Columns) -> None:
    """Note that these stock records have been made."""
    await connection.execute(noted("stock", "$1::text[]", "$2::text[]"), *keys)


async def put_pool(
    connection: asyncpg.Connection, pool_id: str, name: str, channels: Sequence[str]
) -> None:
    """Insert a pool or replace its name and channels.

    Raises asyncpg.UniqueViolationError where a channel takes from another pool.
    """
    await connection.execute(
        """
        INSERT INTO pool (pool_id, name) VALUES ($1, $2)
        ON CONFLICT (pool_id) DO UPDATE SET name = excluded.name, changed_at = now()
        """,
        pool_id,
        name,
    )
    await connection.execute(
        "DELETE FROM pool_channel WHERE pool_id = $1 AND channel <> ALL ($2::text[])",
        pool_id,
        channels,
    )
    await connection.execute(
        f"""
        WITH noted AS ({noted("pool", "ARRAY[$1::text]")})
        INSERT INTO pool_channel (channel, pool_id)
        SELECT k.channel, $1 FROM unnest($2::text[]) AS k (channel)
        WHERE NOT EXISTS (
            SELECT FROM pool_channel c WHERE (c.channel, c.pool_id) = (k.channel, $1)
        )
        ORDER BY k.channel
        """,
        pool_id,
        channels,
    )


async def list_pools(
    connection: asyncpg.Connection, pool_ids: Sequence[str] | None, after: str, limit: int | None
) -> list[asyncpg.Record]:
    """Read these pools with their channels, or all in order of their id after `after`."""
    return await connection.fetch(
        """
        SELECT p.pool_id, p.name, p.changed_at, array(
            SELECT c.channel FROM pool_channel c WHERE c.pool_id = p.pool_id ORDER BY c.channel
        ) AS channels
        FROM pool p
        WHERE ($1::text[] IS NULL OR p.pool_id = ANY ($1::text[])) AND p.pool_id > $2
        ORDER BY p.pool_id LIMIT $3
        """,
        pool_ids,
        after,
        limit,
    )


async def list_quotas(
    connection: asyncpg.Connection,
    pool_id: str,
    after: tuple[str, str],
    limit: int,
    *,
    skus: Sequence[str] | None,
    node_ids: Sequence[str] | None,
) -> list[asyncpg.Record]:
    """Read a pool's quotas in order of sku and node, with what is free of their stock records."""
    return await connection.fetch(
        f"""
        SELECT {QUOTA}, s.on_hand - s.unavailable - s.reserved AS free
        FROM quota q JOIN stock s USING (sku, node_id)
        WHERE q.pool_id = $1 AND (q.sku, q.node_id) > ($2, $3)
          AND ($4::text[] IS NULL OR q.sku = ANY ($4::text[]))
          AND ($5::text[] IS NULL OR q.node_id = ANY ($5::text[]))
        ORDER BY q.sku, q.node_id LIMIT $6
        """,
        pool_id,
        *after,
        skus,
        node_ids,
        limit,
    )


# What a view holds


async def view_channels(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Read which channel takes from which pool."""
    return await connection.fetch("SELECT channel, pool_id FROM pool_channel")


async def view_quotas(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Read all quotas of which anything is left or used."""
    return await connection.fetch(
        f"SELECT {QUOTA}, q.version FROM quota q WHERE q.quantity > q.consumed"
    )


async def find_viewed_channels(
    connection: asyncpg.Connection, pool_ids: Sequence[str]
) -> list[asyncpg.Record]:
    """Read the channels of these pools."""
    return await connection.fetch(
        "SELECT channel, pool_id FROM pool_channel WHERE pool_id = ANY ($1::text[])", pool_ids
    )


async def find_viewed_quotas(connection: asyncpg.Connection, keys: Columns) -> list[asyncpg.Record]:
    """Read these quotas."""
    return await connection.fetch(
        f"SELECT {QUOTA}, q.version FROM quota q "
        "JOIN unnest($1::text[], $2::text[], $3::text[]) AS k (sku, node_id, pool_id) "
        "USING (sku, node_id, pool_id)",
        *keys,
    )


async def find_viewed_rights(
    connection: asyncpg.Connection, skus: Sequence[str]
) -> list[asyncpg.Record]:
    """Read all quotas of these skus."""
    return await connection.fetch(
        f"SELECT {QUOTA}, q.version FROM quota q WHERE q.sku = ANY ($1::text[])", skus
    )
