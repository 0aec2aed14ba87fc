"""The stock view of a worker: loaded at the start, and kept up with the database from then on."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

import structlog
from prometheus_client import Gauge

from inventory import changes, reading
from inventory.slices import compile_all
from inventory.view import StockView
from services import records
from services.database import Database
from services.planning.feed_ages import POLL_S, FeedAges
from services.polling import Poll

STALE_S = 2.0
"""Age beyond which a view is not relied on: rows are read instead, and readiness says so."""
PROGRESS_S = 2.0
"""Pause between two lines about a load."""
WRITTEN_MAX = 10_000
"""Own transactions remembered between two looks; beyond it the feed tells of all of them."""
FORGET = timedelta(hours=6)
"""Pause between two rounds of forgetting what is over."""

view_age = Gauge(
    "nom_stock_view_age_seconds",
    "Time since the database was last looked at for changed stock",
    multiprocess_mode="livemax",
)
view_records = Gauge(
    "nom_stock_view_records", "Stock records held in memory", multiprocess_mode="livemax"
)
view_loads = Gauge(
    "nom_stock_view_loads", "Times the whole stock was read", multiprocess_mode="livesum"
)

log = structlog.get_logger()


class StockFollower:
    """Keeps one view; looks for changes every `poll_ms` once opened."""

    def __init__(self, database: Database, poll_ms: int) -> None:
        """Prepare an empty view; nothing is read yet."""
        self.database = database
        self.view = StockView()
        self.feeds = FeedAges()
        self.feeds_at = 0.0
        """Monotonic seconds of the last look at feeds."""
        self.cursor: changes.Cursor | None = None
        self.forgot_at: datetime | None = None
        self.looking = asyncio.Lock()
        """Held by whoever reads changes: items and buffers must be applied in the order of reads."""
        self.written: set[int] = set()
        """Transactions of this process whose rows are in the view and not yet behind the cursor."""
        self.polling = Poll(
            self.keep_up,
            poll_ms,
            outage="stock cannot be read; the view grows old",
            recovery="stock is read again",
        )

    async def open(self) -> None:
        """Load the stock and start following it; raises what the database raises."""
        compile_all()
        await self.load()
        self.polling.start()

    async def close(self) -> None:
        """Stop following."""
        await self.polling.close()

    @property
    def is_stale(self) -> bool:
        """Whether the view is too old to be relied on."""
        return self.view.seen_age_s(monotonic()) > STALE_S

    async def load(self) -> None:
        """Read all stock in one snapshot and put it in place of what the view holds.

        What is pending stays, and what is applied meanwhile.
        """
        began = monotonic()
        told = began

        def watch(count: int) -> None:
            nonlocal told
            if monotonic() - told >= PROGRESS_S:
                told = monotonic()
                log.info("stock is being loaded", records=count, s=round(told - began, 1))

        self.view.begin_load()
        try:
            async with self.database.transaction(
                isolation="repeatable_read", readonly=True
            ) as connection:
                now = await records.database_now(connection)
                read = await reading.read_all(connection, self.view, now.date(), watch)
            # In a thread: putting millions of records in order would hold up everyone else.
            arrays = await asyncio.to_thread(read.loaded.build)
        except BaseException:
            self.view.abandon_load()
            raise
        self.view.finish_load(read.loaded, arrays)
        # A load may mean another server, which gives the same numbers to others.
        self.written.clear()
        self.view.seen_at = began
        self.cursor = read.cursor
        self.forgot_at = now
        view_loads.inc()
        view_records.set(self.view.slices.records)
        log.info(
            "stock loaded",
            records=read.loaded.records,
            items=len(read.loaded.items),
            bytes=self.view.slices.bytes,
            s=round(monotonic() - began, 2),
        )

    def wrote(self, rows: Sequence[Any], writer: int) -> None:
        """Apply the stock records that a transaction of this process left, all that it wrote.

        The feed need not tell of it any more. That is safe because a row as it was written is the
        same whoever reads it, and of two values the newer stands.
        """
        self.view.apply_stock(rows)
        if len(self.written) >= WRITTEN_MAX:
            self.written.clear()
        self.written.add(writer)

    async def poll(self) -> None:
        """Bring the view up to what has been committed before this call."""
        async with self.looking:
            await self.look()

    async def look(self) -> None:
        """Read what has changed since the cursor and apply it."""
        seen_at = monotonic()
        if self.cursor is None:
            raise RuntimeError("the stock view has not been loaded")
        written = set(self.written)
        async with self.database.connect() as connection:
            found = await changes.read_changes(connection, self.cursor, written)
            if not found.gone and found.keys:
                await reading.apply_changes(connection, self.view, found, found.now.date())
                self.forget(found.now)
            if seen_at - self.feeds_at >= POLL_S:
                await self.feeds.read(connection)
                self.feeds_at = seen_at
        if found.gone:
            log.warning("changes were missed; the stock is loaded anew")
            await self.load()
            return
        self.cursor = found.cursor
        self.written -= written
        self.view.seen_at = seen_at

    async def refresh(self, skus: Collection[str]) -> None:
        """Read what there is of these skus now, whatever the view has seen."""
        async with self.database.connect() as connection:
            await reading.refresh(connection, self.view, skus)

    def forget(self, now: datetime) -> None:
        """Forget, a few times a day, capacity of past dates and supply that has come in."""
        if self.forgot_at is None or now - self.forgot_at >= FORGET:
            self.view.forget_before(now.date() - timedelta(days=reading.PAST_DAYS))
            self.forgot_at = now
            view_records.set(self.view.slices.records)

    async def keep_up(self) -> None:
        """Poll, and tell how old the view is by then, whether that worked or not."""
        try:
            await self.poll()
        finally:
            view_age.set(self.view.seen_age_s(monotonic()))
