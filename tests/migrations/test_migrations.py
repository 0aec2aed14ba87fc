"""The steps lead to the schema the code expects, and back."""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor

import asyncpg
from alembic import command

from services.database import Database, alembic_config, migrate
from services.retention import HISTORY, maintain_partitions


async def in_thread(work: object, *arguments: object) -> None:
    """Run a function that has an event loop of its own beside the tests'."""
    with ThreadPoolExecutor(1) as thread:
        await asyncio.wrap_future(thread.submit(work, *arguments))  # type: ignore[arg-type]


async def tables(url: str) -> set[str]:
    """Return the names of all tables but Alembic's own."""
    connection = await asyncpg.connect(url)
    rows = await connection.fetch(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        " AND tablename <> 'alembic_version'"
    )
    await connection.close()
    return {row["tablename"] for row in rows}


async def test_the_migrated_schema_is_the_one_the_code_describes(database_url: str) -> None:
    """A column that only one of the two knows fails in production, not in review."""
    await in_thread(command.check, alembic_config(database_url))


async def test_migrating_twice_at_once_changes_nothing_more(database_url: str) -> None:
    """Two replicas start at the same moment."""
    before = await tables(database_url)
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "import sys; from services.database import migrate; migrate(sys.argv[1])",
            database_url,
        )
        for _ in range(3)
    ]
    assert [await process.wait() for process in processes] == [0, 0, 0]
    assert await tables(database_url) == before


async def test_every_step_can_be_undone_and_taken_again(database_url: str) -> None:
    """A step that cannot be undone turns a bad release into a restore."""
    before = await tables(database_url)
    await in_thread(command.downgrade, alembic_config(database_url), "base")
    assert await tables(database_url) == set()
    await in_thread(migrate, database_url)
    assert await tables(database_url) == before


async def test_history_is_partitioned_and_nothing_lands_in_a_default_partition(
    database: Database,
) -> None:
    """Retention drops partitions; rows in the default one would stay for ever."""
    assert await maintain_partitions(database) > 0
    assert await maintain_partitions(database) == 0
    async with database.transaction() as connection:
        await connection.execute(
            "INSERT INTO event (event_id, kind, subject, actor, payload)"
            " VALUES (gen_random_uuid(), 'test', 's', 'test', '{}')"
        )
        await connection.execute(
            "INSERT INTO feed_message (source, sequence, kind, records, received_at)"
            " VALUES ('till', 1, 'delta', 5, now() - interval '2 years'),"
            " ('till', 2, 'delta', 5, now())"
        )
        landed = await connection.fetchval("SELECT tableoid::regclass::text FROM event")
        partitioned = await connection.fetch(
            "SELECT partrelid::regclass::text AS name FROM pg_partitioned_table"
        )
    assert await maintain_partitions(database) == 1
    assert landed.startswith("event_2")
    assert {spec.table for spec in HISTORY} == {row["name"] for row in partitioned}
