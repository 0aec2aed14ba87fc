"""The job that learns prices: reads what happened in steps, writes it, and puts it in force at last.

Every step is a transaction of its own, so that none holds anybody up; what is in force meanwhile is
the version before, with some rows that are newer already. A run that is broken off leaves that, and
the next one mends it: everything is learned anew each time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime, timedelta
from functools import partial
from time import monotonic
from typing import TypeVar

import asyncpg
import msgspec
import structlog

from inventory.records import forbid_timeout
from services import records as shared_records
from services.database import Database
from services.prices import demand, records, refusals
from services.prices.demand import Cells, Span
from services.prices.records import Learned
from services.settings import Settings

SKUS_MAX = 2_000
"""Skus read or written in one transaction."""
PROGRESS_S = 10.0
"""Pause between two lines of the log about a run."""

T = TypeVar("T")

log = structlog.get_logger()


class Run(msgspec.Struct, eq=False):
    """One run of the job."""

    database: Database
    started_at: datetime
    span: Span
    valid: timedelta
    """How long they will be good for."""
    told_s: float

    @property
    def since_at(self) -> datetime:
        """The instant before which nothing is looked at."""
        return self.started_at - timedelta(days=self.span.window_days)

    @property
    def period(self) -> tuple[datetime, datetime, timedelta]:
        """End, beginning and half-life, as `records` takes them."""
        return self.started_at, self.since_at, timedelta(days=self.span.half_life_days)

    def tell(self, step: str, skus: int) -> None:
        """Say how far the run has come, every few seconds."""
        if monotonic() - self.told_s >= PROGRESS_S:
            self.told_s = monotonic()
            log.info("prices are being learned", step=step, skus=skus)


async def refresh_due(settings: Settings, database: Database) -> int:
    """Learn prices when that is due; return 1 when they were."""
    if not settings.prices_refresh_s:
        return 0
    async with database.connect() as connection:
        version = await records.find_version(connection)
        now = await shared_records.database_now(connection)
    pause = timedelta(seconds=settings.prices_refresh_s)
    if version is not None and now - version.published_at < pause:
        return 0
    await refresh(settings, database)
    return 1


async def refresh(settings: Settings, database: Database) -> records.Version:
    """Learn all prices and put them in force; return what there is then."""
    async with database.connect() as connection:
        now = await shared_records.database_now(connection)
    span = Span(
        settings.prices_window_days, settings.prices_half_life_days, settings.prices_replenish_days
    )
    run = Run(database, now, span, timedelta(seconds=settings.prices_stale_s), monotonic())
    cells = await gather(run)
    found = await asyncio.to_thread(demand.learned, cells)
    await write_walk_ins(run, cells, found)
    work = partial(publish, run=run, cells=cells, walk_ins=found.values())
    await patiently(database, work)
    async with database.connect() as connection:
        version = await records.find_version(connection)
    if version is None:
        raise RuntimeError("the version that was just published is gone")
    log.info("prices learned", **msgspec.to_builtins(version))
    return version


async def gather(run: Run) -> Cells:
    """Read what walk-ins took of each stock record at stores."""

    async def once(
        connection: asyncpg.Connection,
    ) -> tuple[Cells, list[tuple[str, str, float, int]]]:
        stores = await records.read_stores(connection)
        return Cells(stores), await records.read_collected(connection, *run.period)

    cells, rows = await patiently(run.database, once)
    collected = {(sku, node_id): (weighed, units) for sku, node_id, weighed, units in rows}
    node_ids = [store.node_id for store in cells.stores]
    after, skus = "", 0
    while node_ids:
        async with run.database.connect() as connection:
            last, count = await records.read_bound(connection, after, SKUS_MAX)
            if not count:
                break
            found = await records.read_cells(connection, (after, last), node_ids, run.period)
        for row in found:
            demand.add(cells, row, collected, run.span)
        cells.bounds.append((after, last, len(cells.skus)))
        after, skus = last, skus + count
        run.tell("reading", skus)
    return cells


async def write_walk_ins(run: Run, cells: Cells, found: Mapping[int, Learned]) -> None:
    """Replace the demand of all skus, in the steps in which they were read."""
    after, start = "", 0
    for before, after, end in cells.bounds:
        own = [found[place] for place in range(start, end) if place in found]
        await run.database.run(
            partial(
                records.replace_walk_ins,
                bounds=(before, after),
                learned=own,
                learned_at=run.started_at,
            )
        )
        start = end
        run.tell("writing", start)
    await run.database.run(partial(records.delete_walk_ins_after, sku=after))


async def publish(
    connection: asyncpg.Connection, *, run: Run, cells: Cells, walk_ins: Collection[Learned]
) -> int:
    """Write what nodes refused and were given, and put everything in force."""
    seen, asked_lines = await records.read_answered(connection, *run.period)
    chances = await asyncio.to_thread(refusals.learned, seen)
    pace = await records.read_pace(connection, *run.period)
    await records.replace_refusals(connection, chances, run.started_at)
    await records.replace_pace(connection, pace, run.started_at)
    counts = (
        cells.sold_units,
        asked_lines,
        sum(len(each.node_ids) for each in walk_ins),
        len(chances),
        len(pace),
    )
    return await records.publish(connection, run.since_at, run.started_at, run.valid, counts)


async def patiently(database: Database, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    """Run `work`, which reads whole tables, in a transaction without a limit of time."""

    async def unhurried(connection: asyncpg.Connection) -> T:
        await forbid_timeout(connection)
        return await work(connection)

    return await database.run(unhurried)
