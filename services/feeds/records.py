"""SQL of imports: the private staging table, its checks, its chunks, and how far an import is.

The staging table is temporary: it lives in the import's own session and ends with it, so it costs
no write-ahead log and a killed import leaves nothing to sweep up. What must survive, the key
applied last, is written to `file_import` in the transaction of each chunk.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

STAGED_COLUMNS = ("line", "key_1", "key_2", "reference_1", "reference_2", "as_of", "payload")

BEFORE_ALL = ("", "")
"""The key that every other follows."""


class Staged(msgspec.Struct, frozen=True, array_like=True):
    """A row that waits to be applied; `payload` is the row in msgpack."""

    line: int
    key_1: str
    key_2: str
    payload: bytes

    @property
    def key(self) -> tuple[str, str]:
        """Both parts of the key."""
        return self.key_1, self.key_2


class Found(msgspec.Struct, frozen=True, array_like=True):
    """A staged row that a check has taken out; `other` is what it lacks, or the line it lost to."""

    line: int
    payload: bytes
    other: str


class Progress(msgspec.Struct, frozen=True):
    """What is known of an import that was begun before."""

    started_at: datetime
    finished_at: datetime | None
    key: tuple[str, str]
    rows_applied: int
    rows_rejected: int


async def prepare_session(connection: asyncpg.Connection, lock_timeout_ms: int) -> None:
    """Set the session up for an import and make its empty staging table.

    Only staging may take long, and it locks nothing that others use. A chunk's commit need not wait
    for the disk while its rows are locked: the next run starts after the last chunk that got there,
    and the final commit waits for all of them.
    """
    await connection.execute(
        "SET statement_timeout = 0; SET synchronous_commit = off;"
        f"SET lock_timeout = {lock_timeout_ms:d}; SET temp_buffers = '64MB';"
        "SET maintenance_work_mem = '128MB'; SET work_mem = '64MB'; SET jit = off;"
        "DROP TABLE IF EXISTS pg_temp.staged_row;"
        'CREATE TEMPORARY TABLE staged_row (line bigint, key_1 text COLLATE "C",'
        ' key_2 text COLLATE "C", reference_1 text, reference_2 text, as_of timestamptz,'
        " payload bytea)"
    )


async def lock_import(connection: asyncpg.Connection, import_id: UUID) -> bool:
    """Take the session's lock on an import; false when another session keeps it.

    It is waited for as long as for a row, since the session of a killed import ends a moment later.
    """
    number = int.from_bytes(import_id.bytes[:8], "big", signed=True)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", number)
    except asyncpg.LockNotAvailableError:
        return False
    return True


async def database_now(connection: asyncpg.Connection) -> datetime:
    """Return the database's clock."""
    now: datetime = await connection.fetchval("SELECT clock_timestamp()")
    return now


async def last_event(connection: asyncpg.Connection) -> int:
    """Return the ordinal that was drawn last for an event, of a transaction that may be under way."""
    ordinal: int = await connection.fetchval("SELECT last_value FROM event_ordinal")
    return ordinal


async def stage(connection: asyncpg.Connection, rows: Sequence[tuple[object, ...]]) -> None:
    """Copy rows, in the order of `STAGED_COLUMNS`, into the staging table."""
    await connection.copy_records_to_table("staged_row", records=rows, columns=STAGED_COLUMNS)


async def index_staged(connection: asyncpg.Connection) -> bool:
    """Index the full staging table by key; tell whether each key stands in one row only.

    In a transaction. Looking for rows of the same key takes twice as long as the index does, and
    most files have none.
    """
    try:
        async with connection.transaction():
            await connection.execute("CREATE UNIQUE INDEX ON staged_row (key_1, key_2)")
    except asyncpg.UniqueViolationError:
        unique = False
        await connection.execute("CREATE INDEX ON staged_row (key_1, key_2)")
    else:
        unique = True
    await connection.execute("ANALYZE staged_row")
    return unique


async def count_staged(connection: asyncpg.Connection) -> int:
    """Return how many rows are staged."""
    rows: int = await connection.fetchval("SELECT count(*) FROM staged_row")
    return rows


async def count_through(connection: asyncpg.Connection, key: tuple[str, str]) -> int:
    """Return how many rows are staged up to and with this key."""
    rows: int = await connection.fetchval(
        "SELECT count(*) FROM staged_row WHERE (key_1, key_2) <= ($1, $2)", *key
    )
    return rows


# Where each staged reference is looked up. Names of tables cannot be parameters.
UNKNOWN = {
    (column, table): f"""
        WITH taken AS (
            DELETE FROM staged_row AS staged
            WHERE NOT EXISTS (SELECT FROM {table} WHERE {key} = staged.{column})
            RETURNING line, payload, {column}
        )
        SELECT line, payload, {column} AS other FROM taken ORDER BY line
    """
    for column in ("reference_1", "reference_2")
    for table, key in (("item", "sku"), ("node", "node_id"), ("calendar", "calendar_id"))
}

MOVED_SUPPLY = """
    WITH taken AS (
        DELETE FROM staged_row AS staged USING supply
        WHERE supply.sku = key_1 AND supply.supply_id = key_2
          AND supply.promised > 0 AND supply.node_id <> reference_2
        RETURNING line, payload, supply.node_id
    )
    SELECT line, payload, node_id AS other FROM taken ORDER BY line
"""

# The newest count wins, and of equals the later line. Rows without a time are as of the import.
LOST = """
    WITH ranked AS (
        SELECT ctid AS place, line, first_value(line) OVER of_key AS winner FROM staged_row
        WINDOW of_key AS (
            PARTITION BY key_1, key_2 ORDER BY coalesce(as_of, $1) DESC, line DESC
        )
    ), taken AS (
        DELETE FROM staged_row AS staged USING ranked
        WHERE staged.ctid = ranked.place AND ranked.line <> ranked.winner
        RETURNING staged.line, payload, winner
    )
    SELECT line, payload, winner::text AS other FROM taken ORDER BY line
"""


async def take_unknown(
    connection: asyncpg.Connection, column: str, table: str
) -> AsyncIterator[Found]:
    """Take out the staged rows whose reference does not exist; in a transaction."""
    async for row in connection.cursor(UNKNOWN[column, table]):
        yield Found(*row)


async def take_moved_supply(connection: asyncpg.Connection) -> AsyncIterator[Found]:
    """Take out the staged supply that would leave the node it is promised at; in a transaction."""
    async for row in connection.cursor(MOVED_SUPPLY):
        yield Found(*row)


async def take_lost(connection: asyncpg.Connection, as_of: datetime) -> AsyncIterator[Found]:
    """Take out the staged rows that another row of the same key replaces; in a transaction."""
    async for row in connection.cursor(LOST, as_of):
        yield Found(*row)


async def take_groups(connection: asyncpg.Connection, keys: Sequence[str]) -> AsyncIterator[Found]:
    """Take out the staged rows whose keys begin with one of these; in a transaction."""
    statement = """
        WITH taken AS (
            DELETE FROM staged_row WHERE key_1 = ANY($1::text[]) RETURNING line, payload, key_1
        )
        SELECT line, payload, key_1 AS other FROM taken ORDER BY line
    """
    async for row in connection.cursor(statement, list(keys)):
        yield Found(*row)


async def next_group(connection: asyncpg.Connection, after: tuple[str, str]) -> list[Staged]:
    """Return the staged rows of the first group after that of a key, in the order of keys."""
    rows = await connection.fetch(
        "SELECT line, key_1, key_2, payload FROM staged_row WHERE key_1 = ("
        "SELECT key_1 FROM staged_row WHERE key_1 > $1 ORDER BY key_1 LIMIT 1"
        ") ORDER BY key_2",
        after[0],
    )
    return [Staged(*row) for row in rows]


async def next_chunk(
    connection: asyncpg.Connection, after: tuple[str, str], rows_max: int
) -> list[Staged]:
    """Return the staged rows that follow a key, in the order of keys."""
    rows = await connection.fetch(
        "SELECT line, key_1, key_2, payload FROM staged_row"
        " WHERE (key_1, key_2) > ($1, $2) ORDER BY key_1, key_2 LIMIT $3",
        *after,
        rows_max,
    )
    return [Staged(*row) for row in rows]


async def find_progress(connection: asyncpg.Connection, import_id: UUID) -> Progress | None:
    """Return how far an import has come, if it was begun."""
    row = await connection.fetchrow(
        "SELECT started_at, finished_at, key_1, key_2, rows_applied, rows_rejected"
        " FROM file_import WHERE import_id = $1",
        import_id,
    )
    if row is None:
        return None
    key = BEFORE_ALL if row["key_1"] is None else (row["key_1"], row["key_2"])
    return Progress(
        row["started_at"], row["finished_at"], key, row["rows_applied"], row["rows_rejected"]
    )


async def begin_import(
    connection: asyncpg.Connection, import_id: UUID, kind: str, source: str, started_at: datetime
) -> None:
    """Write down that an import begins, or begins again from its first key."""
    await connection.execute(
        "INSERT INTO file_import (import_id, kind, source, started_at) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (import_id) DO UPDATE SET finished_at = NULL, key_1 = NULL, key_2 = NULL,"
        " rows_applied = 0",
        import_id,
        kind,
        source,
        started_at,
    )


async def advance(
    connection: asyncpg.Connection, import_id: UUID, key: tuple[str, str], rows: int
) -> int:
    """Write down the key applied last, in the transaction of its chunk; return the chunk's number.

    Numbers go on when an import begins again, so none ever stands for two chunks.
    """
    number: int = await connection.fetchval(
        "UPDATE file_import SET key_1 = $2, key_2 = $3, chunks = chunks + 1,"
        " rows_applied = rows_applied + $4 WHERE import_id = $1 RETURNING chunks",
        import_id,
        *key,
        rows,
    )
    return number


async def finish_import(connection: asyncpg.Connection, import_id: UUID, rejected: int) -> None:
    """Write down that an import is complete, and wait until all of it is on disk."""
    async with connection.transaction():
        await connection.execute("SET LOCAL synchronous_commit = on")
        await connection.execute(
            "UPDATE file_import SET finished_at = clock_timestamp(), rows_rejected = $2"
            " WHERE import_id = $1",
            import_id,
            rejected,
        )


async def bump_network_version(connection: asyncpg.Connection) -> None:
    """Tell every process that nodes have changed, once this commits."""
    await connection.execute("UPDATE network_version SET version = version + 1")
