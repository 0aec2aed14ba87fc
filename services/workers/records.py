"""The statements behind leases, and what the server says of its limits."""

from datetime import timedelta

import asyncpg

TAKE_LEASE = """
    INSERT INTO lease AS held (name, holder, expires_at)
    VALUES ($1, $2, clock_timestamp() + $3)
    ON CONFLICT (name) DO UPDATE
        SET holder = excluded.holder, expires_at = excluded.expires_at
        WHERE held.holder = excluded.holder OR held.expires_at <= clock_timestamp()
    RETURNING true
"""

RELEASE_LEASES = "DELETE FROM lease WHERE holder = $1"

CONNECTIONS_MAX = """
    SELECT sum(CASE WHEN name = 'max_connections' THEN 1 ELSE -1 END * setting::int)::int
    FROM pg_settings
    WHERE name IN
        ('max_connections', 'superuser_reserved_connections', 'reserved_connections')
"""


async def take_lease(
    connection: asyncpg.Connection, name: str, holder: str, duration_s: float
) -> bool:
    """Take or renew the lease for `duration_s` from now; False while another holder has it.

    The database's clock decides, so that workers need not agree on the time.
    """
    taken = await connection.fetchval(TAKE_LEASE, name, holder, timedelta(seconds=duration_s))
    return taken is True


async def release_leases(connection: asyncpg.Connection, holder: str) -> None:
    """Give back every lease of `holder`, so that others need not wait until they run out."""
    await connection.execute(RELEASE_LEASES, holder)


async def connections_max(connection: asyncpg.Connection) -> int:
    """Return how many connections ordinary roles may have open at this server."""
    allowed: int = await connection.fetchval(CONNECTIONS_MAX)
    return allowed
