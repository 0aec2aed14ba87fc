"""How old each feed of a partner is: one that stops coming is found before its figures mislead.

A partner's stock is sold on the strength of its last message. So every message notes when its feed
came, and a feed that is overdue is put before a person, once, until it comes again.
"""

from datetime import timedelta
from functools import partial
from typing import Literal

import asyncpg
from prometheus_client import Gauge

from services import records as shared_records
from services.database import Database
from services.fulfillment.exceptions import About, open_exception, resolve_cause
from services.partners import records
from services.partners.records import FeedRow

FeedKind = Literal["stock", "supply"]

ACTOR = "system:feeds"
FEEDS_MAX = 100
"""Feeds of one partner whose age is kept; a partner that names more keeps its newest."""
AGES_MAX = 1_000
"""Feeds whose age is shown as a metric, the oldest first."""

age_seconds = Gauge(
    "nom_feed_age_seconds",
    "Time since a partner's feed came",
    ["partner", "source", "kind"],
    multiprocess_mode="mostrecent",
)


def source_of(partner_id: str | None, source: str) -> str:
    """Return under which name a source is known: a partner's cannot be mistaken for another's."""
    return source if partner_id is None else f"{partner_id}/{source}"


async def note_feed(
    connection: asyncpg.Connection, partner_id: str | None, source: str, kind: FeedKind
) -> None:
    """Note that a feed of a partner has come, in the transaction of its message."""
    if partner_id is None:
        return
    was_stale = await records.put_feed(connection, partner_id, source, kind, FEEDS_MAX)
    if was_stale:
        cause = cause_of(partner_id, source, kind)
        await resolve_cause(connection, "feed_stale", cause, "came again", actor=ACTOR)


def cause_of(partner_id: str, source: str, kind: str) -> str:
    """Return how a stale feed is named in the exceptions queue."""
    return f"{partner_id}/{source}/{kind}"


async def watch_feeds(stale_h: int, database: Database) -> int:
    """Show the age of every feed, and put those before a person that are older than `stale_h` hours.

    0 hours is never. Returns how many have become stale.
    """
    async with database.connect() as connection:
        now = await shared_records.database_now(connection)
        feeds = await records.list_feeds(connection, AGES_MAX)
    for feed in feeds:
        labels = (feed.partner_id, feed.source, feed.kind)
        age_seconds.labels(*labels).set((now - feed.seen_at).total_seconds())
    if not stale_h:
        return 0
    overdue = [
        feed
        for feed in feeds
        if feed.stale_since is None and now - feed.seen_at > timedelta(hours=stale_h)
    ]
    found = 0
    for feed in overdue:
        found += await database.run(partial(open_stale, feed=feed))
    return found


async def open_stale(connection: asyncpg.Connection, *, feed: FeedRow) -> int:
    """Put a feed before a person unless it has come meanwhile; say how many were."""
    if not await records.set_stale(connection, feed):
        return 0
    about = About(
        partner_id=feed.partner_id,
        details={"source": feed.source, "kind": feed.kind, "seen_at": feed.seen_at.isoformat()},
    )
    cause = cause_of(feed.partner_id, feed.source, feed.kind)
    await open_exception(connection, "feed_stale", cause, about, actor=ACTOR)
    return 1
