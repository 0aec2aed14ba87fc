"""A database whose clock tells the time of a story.

PostgreSQL has one clock for all its databases. A database that looks into `public` before
`pg_catalog` finds a `now()` and a `clock_timestamp()` there first, which are so much ahead of the
real ones. Defaults of columns were bound when the tables were made, and are set anew.
"""

from datetime import UTC, datetime
from urllib.parse import urlsplit

import asyncpg

CLOCK = """
CREATE TABLE story_clock (ahead interval NOT NULL);
INSERT INTO story_clock VALUES (interval '0');
CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
    'SELECT pg_catalog.clock_timestamp() + ahead FROM public.story_clock';
CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql STABLE AS
    'SELECT pg_catalog.now() + ahead FROM public.story_clock';
"""

DEFAULTS = """
DO $$
DECLARE found record;
BEGIN
    FOR found IN
        SELECT adrelid::regclass AS place, attname FROM pg_attrdef
        JOIN pg_attribute ON (attrelid, attnum) = (adrelid, adnum)
        WHERE pg_get_expr(adbin, adrelid) = 'now()'
    LOOP
        EXECUTE format(
            'ALTER TABLE %s ALTER COLUMN %I SET DEFAULT public.now()', found.place, found.attname
        );
    END LOOP;
END $$
"""


async def install(database_url: str) -> None:
    """Give a database a clock of its own, for all who connect to it from now on."""
    name = urlsplit(database_url).path.removeprefix("/")
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(CLOCK)
        await connection.execute(DEFAULTS)
        await connection.execute(f'ALTER DATABASE "{name}" SET search_path = public, pg_catalog')
    finally:
        await connection.close()


async def set_clock(connection: asyncpg.Connection, at: datetime) -> None:
    """Let the database's clock show an instant, and go on from there."""
    ahead = at - datetime.now(UTC)
    await connection.execute("UPDATE story_clock SET ahead = $1", ahead)
