"""Gives every committed event its position, in an order that never changes afterwards.

An event draws an ordinal when it is written, under whatever locks its transaction holds, so that of
two events about one order the later one has the higher ordinal. But a transaction may commit long
after others that drew higher ordinals, so ordinals cannot be read as they appear: a reader who has
seen 8 would never look for a 7 that commits now.

So the last ordinal drawn is marked, together with the transactions that may have drawn one by then.
Once all of those are over, no event up to the mark can appear any more, and they are numbered: the
positions have no gaps, and whoever has read up to one has missed nothing before it.

Marks and positions move in one row, in the transaction of what they say; whoever dies half-way has
done nothing, and whoever works beside another waits for that row.
"""

from functools import partial

import asyncpg
import msgspec

from services.database import Database
from services.events import records
from services.events.records import CursorRow, Moment

BATCH_MAX = 5_000
"""Events numbered in one transaction."""
STEPS_MAX = 100
"""Transactions of one run; a long backlog lets other jobs go first now and then."""


class Step(msgspec.Struct, frozen=True):
    """What one transaction came to."""

    placed: int = 0
    """Events that got a position."""
    goes_on: bool = False
    """Whether more can be done at once; else there is nothing to do, or something to wait for."""


async def number_events(database: Database) -> int:
    """Give every event that can no longer be overtaken its position; say how many got one."""
    placed = 0
    for _ in range(STEPS_MAX):
        drawn = await behind(database)
        if drawn is None:
            break
        step = await database.run(partial(advance, drawn=drawn))
        placed += step.placed
        if not step.goes_on:
            break
    return placed


async def behind(database: Database) -> int | None:
    """Return the last ordinal drawn, without any lock; None where every event has its position."""
    async with database.connect() as connection:
        _, ordinal = await records.read_cursor(connection)
        drawn = await records.read_drawn(connection)
    return drawn if drawn > ordinal else None


async def advance(connection: asyncpg.Connection, *, drawn: int) -> Step:
    """Number the events up to the mark if that is safe by now, or set a mark if there is none.

    `drawn` was read before this transaction began: who had drawn by then had got the number of its
    transaction before that, and so has a lower one than this.
    """
    cursor = await records.lock_cursor(connection)
    now = await records.read_moment(connection)
    marked = cursor.marked_ordinal
    if marked is None or cursor.marked_server != now.server:
        # After a restore, or on a promoted standby, numbers of transactions mean something else.
        await records.set_cursor(connection, marked_at(cursor, drawn, now))
        return Step(goes_on=True)
    if now.xmin < (cursor.marked_xid or 0):
        return Step()
    placed, last = await records.place_events(connection, cursor, marked, BATCH_MAX)
    position = cursor.position + placed
    if placed == BATCH_MAX and last is not None and last < marked:
        moved = msgspec.structs.replace(cursor, position=position, ordinal=last)
    else:
        moved = marked_at(CursorRow(position, marked, None, None, None), drawn, now)
    await records.set_cursor(connection, moved)
    return Step(placed, goes_on=True)


def marked_at(cursor: CursorRow, drawn: int, now: Moment) -> CursorRow:
    """Return the cursor with a mark at what has been drawn by now, or none where all is numbered."""
    if drawn <= cursor.ordinal:
        return CursorRow(cursor.position, cursor.ordinal, None, None, None)
    return CursorRow(cursor.position, cursor.ordinal, drawn, now.xid, now.server)
