"""The job that learns prices: reads what happened in steps, writes it, and puts it in force at last.

Every step is a transaction of its own, so that none holds anybody up; what is in force meanwhile is
the version before. A run that is broken off leaves pages of a version that never comes into force, and
the next one takes them away: everything is learned anew each time.
"""

import asyncio
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import partial
from time import monotonic

import asyncpg
import msgspec
import structlog

from services import records as shared_records
from services.database import Database
from services.prices import demand, records, refusals
from services.prices.ahead import OrderPrices, Prices, look_ahead
from services.prices.choosing import UNTRIED, choose
from services.prices.demand import Cells, Span
from services.prices.pages import Item, packed
from services.prices.records import ItemRow, Learned, Pace, Priced, Version
from services.prices.steps import patiently
from services.settings import Settings

SKUS_MAX = 2_000
"""Skus read or written in one transaction."""
PROGRESS_S = 10.0
"""Pause between two lines of the log about a run."""

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
    walk_ins = await asyncio.to_thread(demand.learned, cells)
    ahead = await look_ahead(settings, database, now)
    found = Found(cells=cells, walk_ins=walk_ins, ahead=ahead)
    weighed = await weights_now(settings, database, span, now)
    async with database.connect() as connection:
        number = await records.next_version(connection)
    await write_pages(run, found, number)
    version = await patiently(
        database, partial(publish, run=run, found=found, weighed=weighed, number=number)
    )
    log.info("prices learned", **msgspec.to_builtins(version))
    return version


class Found(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """What was learned of units."""

    cells: Cells
    walk_ins: Mapping[int, Learned]
    """By the place of the sku in `cells`."""
    ahead: Prices


class Weights(msgspec.Struct, frozen=True):
    """How much prices of units count, and since when that is known."""

    walk_in: float
    orders: float
    weighed_at: datetime | None


async def weights_now(settings: Settings, database: Database, span: Span, now: datetime) -> Weights:
    """Return how much prices count: as was found not long ago, or as is found now."""
    async with database.connect() as connection:
        last = await records.find_version(connection)
    if last is not None and last.weighed_at is not None:
        kept = Weights(last.walk_in_weight, last.order_weight, last.weighed_at)
        if now - last.weighed_at < timedelta(seconds=settings.prices_replay_s):
            return kept
    else:
        kept = Weights(UNTRIED.walk_in, UNTRIED.orders, None)
    found = await choose(settings, database, span, now)
    return kept if found is None else Weights(found.walk_in, found.orders, now)


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


async def write_pages(run: Run, found: Found, version: int) -> None:
    """Write what is known of all skus, in the steps in which they were read."""
    by_sku = {each.sku: each for each in found.walk_ins.values()}
    orders = {each.sku: each for each in found.ahead.units}
    written = 0
    for before, after, _ in found.cells.bounds:
        bounds = before, after

        async def write(connection: asyncpg.Connection, bounds: tuple[str, str] = bounds) -> int:
            items = await records.read_items(connection, bounds)
            rows = [
                (row.sku, item_of(row), priced(by_sku.get(row.sku), orders.get(row.sku)))
                for row in items
            ]
            await records.insert_page(connection, version, bounds[1], packed(rows))
            return len(rows)

        written += await run.database.run(write)
        run.tell("writing", written)


def item_of(row: ItemRow) -> Item:
    """Return what prices need to know of an item."""
    return Item(*row[1:])


def priced(walk_ins: Learned | None, orders: OrderPrices | None) -> list[Priced]:
    """Return what is known of the records of a sku, of those of which anything is."""
    rows: dict[str, Priced] = {}
    if walk_ins is not None:
        columns = walk_ins.node_ids, walk_ins.per_day, walk_ins.days
        for node_id, per_day, days in zip(*columns, strict=True):
            rows[node_id] = Priced(node_id, per_day, days, 0)
    if orders is not None:
        for node_id, minor in zip(orders.node_ids, orders.worth_minor, strict=True):
            known = rows.get(node_id, Priced(node_id, 0.0, 0.0, 0))
            rows[node_id] = known._replace(orders_minor=minor)
    return [rows[node_id] for node_id in sorted(rows)]


async def publish(
    connection: asyncpg.Connection, *, run: Run, found: Found, weighed: Weights, number: int
) -> Version:
    """Write what nodes refused and were given, and put everything in force."""
    seen, asked_lines = await records.read_answered(connection, *run.period)
    chances = await asyncio.to_thread(refusals.learned, seen)
    # Nobody knows how full a day of the past was: a place counts as much as units do.
    rooms = {
        node: {day: round(weighed.orders * minor) for day, minor in places.items()}
        for node, places in found.ahead.rooms.items()
    }
    pace = with_places(await records.read_pace(connection, *run.period), rooms)
    await records.replace_refusals(connection, chances, run.started_at)
    await records.replace_pace(connection, pace, run.started_at)
    now = await shared_records.database_now(connection)
    version = Version(
        version=number,
        since_at=run.since_at,
        started_at=run.started_at,
        published_at=now,
        valid_until_at=now + run.valid,
        sold_units=found.cells.sold_units,
        asked_lines=asked_lines,
        walk_in_records=sum(len(each.node_ids) for each in found.walk_ins.values()),
        refusal_cells=len(chances),
        pace_nodes=len(pace),
        priced_orders=found.ahead.orders,
        order_price_records=sum(len(each.node_ids) for each in found.ahead.units),
        place_prices=sum(len(each) for each in found.ahead.rooms.values()),
        order_price_gap=found.ahead.gap,
        walk_in_weight=weighed.walk_in,
        order_weight=weighed.orders,
        weighed_at=weighed.weighed_at,
    )
    await records.publish(connection, version)
    await records.delete_pages(connection, number)
    return version


def with_places(paces: list[Pace], rooms: Mapping[str, Mapping[date, int]]) -> list[Pace]:
    """Return the pace of nodes with what places are worth there, and of nodes with only that."""
    known = {each.node_id for each in paces}
    found = [msgspec.structs.replace(each, places=rooms.get(each.node_id, {})) for each in paces]
    return found + [
        Pace(node_id, 0.0, 0.0, places) for node_id, places in rooms.items() if node_id not in known
    ]
