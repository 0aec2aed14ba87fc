"""The prices a worker decides by: the newest version, taken over within a poll of being published."""

import asyncio
from datetime import UTC, datetime
from time import monotonic

import asyncpg
import structlog
from prometheus_client import Gauge

from inventory.view import StockView
from services.database import Database
from services.polling import Poll
from services.prices import records
from services.prices.book import Book, Parts, grouped, in_order, sales_table, warm
from services.prices.pages import read_page
from services.prices.terms import tails

PAGES_MAX = 4
"""Pages read at a time, so that orders get their turn in between."""

age = Gauge(
    "nom_prices_age_seconds", "Since learned prices were published", multiprocess_mode="livemax"
)
known = Gauge("nom_prices", "Learned prices in force", ["kind"], multiprocess_mode="livemax")

log = structlog.get_logger()


class PriceFollower:
    """Keeps one book; looks for a new version every `poll_ms` once opened."""

    def __init__(self, database: Database, view: StockView, poll_ms: int) -> None:
        """Know no prices yet."""
        self.database = database
        self.view = view
        self.book: Book | None = None
        self.told_stale = 0
        """The version of which was said that it is too old."""
        self.polling = Poll(
            self.refresh,
            poll_ms,
            outage="prices cannot be read; the last ones stay",
            recovery="prices are read again",
        )

    async def open(self) -> None:
        """Load the prices, after the stock, and start following them."""
        warm()
        await self.refresh()
        self.polling.start()

    async def close(self) -> None:
        """Stop following."""
        await self.polling.close()

    def in_force(self, now: datetime) -> Book | None:
        """Return the prices to decide by at `now`; none where there are none, or only stale ones."""
        book = self.book
        if book is None or now <= book.version.valid_until_at:
            return book
        if self.told_stale != book.version.version:
            self.told_stale = book.version.version
            log.warning(
                "learned prices are too old; orders are decided without",
                version=book.version.version,
                published_at=book.version.published_at.isoformat(),
                valid_until_at=book.version.valid_until_at.isoformat(),
            )
        return None

    async def refresh(self) -> bool:
        """Load the prices if there is a new version of them; say whether there was."""
        async with self.database.connect() as connection:
            version = await records.find_version(connection)
        if version is None:
            return False
        age.set((datetime.now(UTC) - version.published_at).total_seconds())
        if self.book is not None and version.version == self.book.version.version:
            return False
        await self.load()
        return True

    async def load(self) -> None:
        """Read all prices in one snapshot and decide by them from now on."""
        began = monotonic()
        async with self.database.transaction(
            isolation="repeatable_read", readonly=True
        ) as connection:
            book = await read_book(connection, self.view)
        # In a thread, and before the first order that is priced by them.
        await asyncio.gather(*(asyncio.to_thread(table) for table in (sales_table, tails)))
        self.book = book
        known.labels("walk-in").set(book.records)
        known.labels("refusal").set(book.version.refusal_cells)
        known.labels("pace").set(len(book.paces))
        log.info(
            "prices loaded",
            version=book.version.version,
            records=book.records,
            s=round(monotonic() - began, 2),
        )


async def read_book(connection: asyncpg.Connection, view: StockView) -> Book:
    """Return the prices in force by the numbers of a view; raises where none were ever published."""
    version = await records.find_version(connection)
    if version is None:
        raise RuntimeError("no prices were published; learn them first")
    refusals = await records.read_refusals(connection)
    paces = {each.node_id: each for each in await records.read_paces(connection)}
    parts = Parts(view)
    after = ""
    while pages := await records.read_pages(connection, version.version, after, PAGES_MAX):
        for _, body in pages:
            parts.add(await asyncio.to_thread(read_page, body))
        after = pages[-1][0]
    arrays = await asyncio.to_thread(in_order, parts)
    by_category, of_nodes = grouped(refusals)
    return Book(version, *arrays, parts.items, by_category, of_nodes, paces, parts.styles())
