"""Applying staged rows: chunk after chunk in the order of keys, each its own transaction."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from time import perf_counter
from types import MappingProxyType
from typing import Self, TypeVar
from uuid import UUID

import asyncpg
import msgspec
import structlog

from inventory.items import Item, put_items
from inventory.ledger import SnapshotRecord, apply_snapshot
from inventory.nodes import Node, put_nodes
from inventory.supply import Supply, put_supply
from services.feeds import records
from services.feeds.pace import Pace
from services.feeds.records import Progress, Staged
from services.feeds.rejects import Rejected, RejectsFile
from services.feeds.rows import RowError, StockRow
from services.shortages import tell_shortages, tell_supply_shortages

ATTEMPTS_MAX = 20
"""Attempts at a chunk that loses a deadlock, or waits longer than `lock_timeout_ms` for a row."""
PAUSE_S = 0.05
ROWS_MIN = 50
"""Rows of a chunk on the slowest machine; each transaction has costs of its own."""
LOST_RACES = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
)
IMPOSSIBLE = (ValueError, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)
"""What one row's values cause, however often it is tried."""

Watch = Callable[[str, float], None]
"""Is told the phase, `reading` or `applying`, and how much of it is done, from 0 to 1."""

T = TypeVar("T")

log = structlog.get_logger()


class Effect(msgspec.Struct, frozen=True):
    """What applying rows did; `outdated` rows were older than what is known and changed nothing."""

    rows: int = 0
    outdated: int = 0
    shortages: int = 0
    """Stock or supply records of which more is now promised than is there."""
    repeated: int = 0
    """Rows of orders that were imported before and stay as they are."""

    def __add__(self, other: Self) -> "Effect":
        return Effect(
            self.rows + other.rows,
            self.outdated + other.outdated,
            self.shortages + other.shortages,
            self.repeated + other.repeated,
        )


class Chunks(msgspec.Struct, frozen=True, kw_only=True):
    """How the staged rows of one import are applied."""

    kind: str
    import_id: UUID
    actor: str
    as_of: datetime
    """The moment of counts that name none."""
    rows_max: int
    """Rows of one transaction, all of which it locks."""
    milliseconds: int
    """Time a transaction may take before the next one gets fewer rows."""
    apply: "Apply | None" = None
    """How to apply rows that this package has no function for."""
    together: bool = False
    """Whether each transaction applies one group of rows, those that share their first key."""


async def apply_staged(
    connection: asyncpg.Connection,
    chunks: Chunks,
    begun: Progress,
    rejects: RejectsFile,
    watch: Watch,
) -> Effect:
    """Apply the staged rows after the key that an earlier run has reached.

    A row that turns out to be impossible is rejected, and the rest of its chunk applied. Raises
    what else the database raises; every chunk before that stays applied.
    """
    total = max(await records.count_staged(connection), 1)
    effect, after, size, pace = Effect(), begun.key, chunks.rows_max, Pace()
    while rows := (
        await records.next_group(connection, after)
        if chunks.together
        else await records.next_chunk(connection, after, size)
    ):
        started = perf_counter()
        effect += await apply_bisected(connection, chunks, rows, rejects)
        took_s = perf_counter() - started
        after = rows[-1].key
        size = next_size(chunks, len(rows), took_s)
        watch("applying", min((begun.rows_applied + effect.rows) / total, 1))
        # Orders are too unlike each other, and so short that nobody waits for one.
        if not chunks.together:
            last = await records.last_event(connection)
            await asyncio.sleep(pace.rest_s(took_s, last, perf_counter()))
    return effect


def next_size(chunks: Chunks, rows: int, seconds: float) -> int:
    """Return how many rows to apply next, so that no checkout waits long on a slow machine either.

    A checkout that wants a row of a chunk waits until the chunk is committed. Growing again is slow,
    since a machine that was busy once often is again.
    """
    fitting = int(rows * chunks.milliseconds / 1000 / max(seconds, 1e-6))
    return max(min(fitting, rows + rows // 4 + 1, chunks.rows_max), min(ROWS_MIN, chunks.rows_max))


async def apply_bisected(
    connection: asyncpg.Connection, chunks: Chunks, rows: Sequence[Staged], rejects: RejectsFile
) -> Effect:
    """Apply one chunk; where it cannot be, narrow the cause down to a row and reject that.

    Rows that belong together are rejected together.
    """
    try:
        return await apply_patiently(connection, chunks, rows)
    except IMPOSSIBLE as error:
        if len(rows) == 1 or chunks.together:
            said = str(error) if isinstance(error, RowError) else f"It cannot be applied: {error}"
            for row in rows:
                fields = msgspec.msgpack.decode(row.payload)
                rejects.write(Rejected(row.line, f"{said}.", fields))
            return Effect()
    half = len(rows) // 2
    first = await apply_bisected(connection, chunks, rows[:half], rejects)
    return first + await apply_bisected(connection, chunks, rows[half:], rejects)


async def apply_patiently(
    connection: asyncpg.Connection, chunks: Chunks, rows: Sequence[Staged]
) -> Effect:
    """Apply rows, again when they lost a race; after `ATTEMPTS_MAX` raises what lost it."""
    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            async with connection.transaction():
                number = await records.advance(
                    connection, chunks.import_id, rows[-1].key, len(rows)
                )
                payloads = [row.payload for row in rows]
                apply = chunks.apply or APPLY[chunks.kind]
                return await apply(connection, chunks, number, payloads)
        except LOST_RACES as error:
            if attempt == ATTEMPTS_MAX:
                raise
            log.warning("chunk repeated", attempt=attempt, error=type(error).__name__)
            await asyncio.sleep(PAUSE_S * attempt)
    raise RuntimeError("unreachable: every attempt returns or raises")


async def apply_nodes(
    connection: asyncpg.Connection, _chunks: Chunks, _number: int, payloads: Sequence[bytes]
) -> Effect:
    """Insert or replace nodes, and tell running processes that the network has changed."""
    await put_nodes(connection, decode_all(Node, payloads))
    await records.bump_network_version(connection)
    return Effect(len(payloads))


async def apply_items(
    connection: asyncpg.Connection, _chunks: Chunks, _number: int, payloads: Sequence[bytes]
) -> Effect:
    """Insert or replace items."""
    await put_items(connection, decode_all(Item, payloads), keep_kits=True)
    return Effect(len(payloads))


async def apply_stock(
    connection: asyncpg.Connection, chunks: Chunks, number: int, payloads: Sequence[bytes]
) -> Effect:
    """Set stock records to their counts plus what has moved since each was counted."""
    snapshot = [
        SnapshotRecord(
            sku=row.sku,
            node_id=row.node_id,
            on_hand=row.on_hand,
            as_of=row.as_of or chunks.as_of,
            unavailable=row.unavailable,
        )
        for row in decode_all(StockRow, payloads)
    ]
    source = f"import:{chunks.import_id}"
    result = await apply_snapshot(connection, source, number, snapshot, chunks.actor)
    await tell_shortages(connection, result.shortages, chunks.actor)
    return Effect(len(payloads), result.ignored_old, len(result.shortages))


async def apply_supply(
    connection: asyncpg.Connection, chunks: Chunks, _number: int, payloads: Sequence[bytes]
) -> Effect:
    """Insert supplies or replace what is known of them."""
    shortages = await put_supply(connection, decode_all(Supply, payloads))
    await tell_supply_shortages(connection, shortages, chunks.actor)
    return Effect(len(payloads), shortages=len(shortages))


def decode_all(kind: type[T], payloads: Sequence[bytes]) -> list[T]:
    """Return staged payloads as values of `kind`, whose fields they name."""
    decode = msgspec.msgpack.Decoder(kind).decode
    return [decode(payload) for payload in payloads]


Apply = Callable[[asyncpg.Connection, Chunks, int, Sequence[bytes]], Awaitable[Effect]]

APPLY = MappingProxyType[str, Apply](
    {
        "nodes": apply_nodes,
        "items": apply_items,
        "stock": apply_stock,
        "supply": apply_supply,
    }
)
