"""One import from file to finish: read and check, stage, look references up, apply by chunks."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from time import perf_counter
from uuid import UUID, uuid5

import asyncpg
import msgspec

from services.feeds import records
from services.feeds.apply import Apply, Chunks, Effect, Watch, apply_staged
from services.feeds.pace import Pace
from services.feeds.readers import content_hash, read_batches
from services.feeds.records import BEFORE_ALL, Found, Progress
from services.feeds.rejects import Rejected, RejectsFile
from services.feeds.rows import FileError, Kind, Row, RowError, StockRow, SupplyRow, build_row

IMPORTS = UUID("6b1f3f0e-6d5c-5c1e-9b52-0a4d5a3a7f10")
"""The namespace of import ids."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to import, and how."""

    kind: Kind
    path: Path
    form: str
    source: str
    """Who says so: part of the import's identity, and the actor of the movements it causes."""
    rejects: Path
    strict: bool = False
    chunk_rows: int = 2_000
    chunk_ms: int = 25
    lock_timeout_ms: int = 2_000
    apply: Apply | None = None
    """How to apply rows that this package has no function for."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an import; `applied` counts its rows applied by earlier runs as well."""

    import_id: UUID
    rows: int = 0
    applied: int = 0
    applied_before: int = 0
    rejected: int = 0
    effect: Effect = Effect()
    finished_before_at: datetime | None = None
    """When an earlier run finished all of it, so that this one had nothing to do."""


class StrictError(FileError):
    """Rows were rejected under `strict`, and none of the file was applied by this run."""

    def __init__(self, rows: int, rejected: int, rejects: Path) -> None:
        """Say how many rows stood in the way, and where they are written down."""
        super().__init__(
            f"{rejected:,} of {rows:,} rows are bad, and --strict applies all or none."
        )
        self.rejects = rejects


async def import_file(connection: asyncpg.Connection, order: Order, watch: Watch) -> Outcome:
    """Apply the file of `order` over a connection of its own; see this package's README.

    Raises `FileError` when the file cannot be used as a whole, `StrictError` when a row was
    rejected under `strict`; and what the database raises, after which running it again goes on.
    """
    import_id = identify(order)
    await records.prepare_session(connection, order.lock_timeout_ms)
    if not await records.lock_import(connection, import_id):
        raise FileError("This file is being imported by another process; wait for its end.")
    found = await records.find_progress(connection, import_id)
    if found and found.finished_at and found.rows_rejected == 0:
        return Outcome(
            import_id=import_id,
            applied=found.rows_applied,
            applied_before=found.rows_applied,
            finished_before_at=found.finished_at,
        )
    with RejectsFile(order.rejects, order.kind.group) as rejects:
        now = await records.database_now(connection)
        started_at = found.started_at if found else now
        rows = await stage_unchanged(connection, order, rejects, now, watch)
        await check_staged(connection, order.kind, rejects, started_at)
        if order.strict and rejects.rows:
            raise StrictError(rows, rejects.rows, order.rejects)
        begun = await begin_or_go_on(connection, order, import_id, found, started_at)
        chunks = Chunks(
            kind=order.kind.name,
            import_id=import_id,
            actor=f"import:{order.source}",
            as_of=started_at,
            rows_max=order.chunk_rows,
            milliseconds=order.chunk_ms,
            apply=order.apply,
            together=order.kind.together,
        )
        effect = await apply_staged(connection, chunks, begun, rejects, watch)
        await records.finish_import(connection, import_id, rejects.rows)
        return Outcome(
            import_id=import_id,
            rows=rows,
            applied=begun.rows_applied + effect.rows,
            applied_before=begun.rows_applied,
            rejected=rejects.rows,
            effect=effect,
        )


def identify(order: Order) -> UUID:
    """Return the id of an import, the same whenever the same file is run again.

    It stands for kind, source and content. A count is about a moment too: tonight's export may be
    the same bytes as last night's and yet correct what was recorded since, so a stock file that was
    written again is another import.
    """
    parts = [order.kind.name, order.source, content_hash(order.path).hex()]
    if order.kind.row is StockRow:
        parts.append(str(order.path.stat().st_mtime_ns))
    return uuid5(IMPORTS, "\n".join(parts))


async def stage_unchanged(
    connection: asyncpg.Connection, order: Order, rejects: RejectsFile, now: datetime, watch: Watch
) -> int:
    """Stage the file as `stage_file` does; raises `FileError` when it is written to meanwhile."""
    before = order.path.stat()
    rows = await stage_file(connection, order, rejects, now, watch)
    after = order.path.stat()
    if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size):
        raise FileError("The file was changed while it was read; run it again when it is complete.")
    return rows


async def stage_file(
    connection: asyncpg.Connection, order: Order, rejects: RejectsFile, now: datetime, watch: Watch
) -> int:
    """Read the file, stage its good rows and write down its bad ones; return the rows read."""
    encode = msgspec.msgpack.Encoder().encode
    kind, rows, pace = order.kind, 0, Pace()
    started = perf_counter()
    for batch in read_batches(order.path, order.form, kind):
        staged: list[tuple[object, ...]] = []
        for line in batch.lines:
            try:
                row = build_row(kind, line, now)
            except RowError as error:
                rejects.write(Rejected(line.number, f"{error}.", line.fields))
            else:
                staged.append((line.number, *stage_keys(kind, row), encode(row)))
        await records.stage(connection, staged)
        rows += len(batch.lines)
        watch("reading", batch.share)
        now_s, last = perf_counter(), await records.last_event(connection)
        await asyncio.sleep(pace.rest_s(now_s - started, last, now_s))
        started = perf_counter()
    return rows


def stage_keys(kind: Kind, row: Row) -> tuple[object, ...]:
    """Return the row's key in two parts, its references, likewise, and its instant.

    The second part holds all columns of the key but the first; no key contains a tab.
    """
    first, *rest = [getattr(row, column) for column in kind.key]
    references = [getattr(row, reference.column) for reference in kind.references]
    as_of = row.as_of if isinstance(row, StockRow) else None
    return (first, "\t".join(rest), *references, *[None] * (2 - len(references)), as_of)


async def check_staged(
    connection: asyncpg.Connection, kind: Kind, rejects: RejectsFile, as_of: datetime
) -> None:
    """Take out the staged rows that refer to nothing, may not move, or another row replaces."""
    async with connection.transaction():
        for number, reference in enumerate(kind.references, start=1):
            unknown = records.take_unknown(connection, f"reference_{number}", reference.table)
            what = f"{reference.column} '{{}}' is not known; {reference.remedy}."
            await reject_found(unknown, what, rejects)
        if kind.row is SupplyRow:
            moved = records.take_moved_supply(connection)
            what = "Units of this supply are promised at {}; send another supply_id for the move."
            await reject_found(moved, what, rejects)
        if not await records.index_staged(connection):
            lost = records.take_lost(connection, as_of)
            same = f"Line {{}} has the same {' and '.join(kind.key)}"
            what = f"{same}; leave one of them." if kind.together else f"{same} and replaces it."
            await reject_found(lost, what, rejects)
        if kind.together:
            rest = records.take_groups(connection, sorted(rejects.groups))
            what = f"Another row of {kind.key[0]} '{{}}' was rejected, and all go together or none."
            await reject_found(rest, what, rejects)


async def reject_found(found: AsyncIterator[Found], what: str, rejects: RejectsFile) -> None:
    """Write down rows that a check has taken out; `what` has a place for what it found."""
    decode = msgspec.msgpack.Decoder().decode
    async for row in found:
        rejects.write(Rejected(row.line, what.format(row.other), decode(row.payload)))


async def begin_or_go_on(
    connection: asyncpg.Connection,
    order: Order,
    import_id: UUID,
    found: Progress | None,
    started_at: datetime,
) -> Progress:
    """Return from where the staged rows are to be applied, and write down a beginning.

    An import goes on after the key it has reached, provided that all staged rows up to there are
    applied. They are not when an item or node that was missing has come since; then it begins
    again, which changes nothing for rows that were applied: their counts keep their first moment.
    """
    if (
        found is not None
        and found.finished_at is None
        and await records.count_through(connection, found.key) == found.rows_applied
    ):
        return found
    await records.begin_import(connection, import_id, order.kind.name, order.source, started_at)
    return Progress(started_at, None, BEFORE_ALL, 0, 0)
