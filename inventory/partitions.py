"""Tables partitioned by time: partitions made ahead, dropped after their retention.

Works for any table with RANGE partitions on one timestamp column and a default partition. Movements
are folded into opening sums in the transaction that drops their partition, so that the ledger still
adds up afterwards.
"""

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Literal

import asyncpg
import msgspec

from inventory import records
from inventory.book import KINDS, transpose

AHEAD = 3
"""Periods for which partitions exist beforehand, the present one included."""
NAME = re.compile(r"^[a-z_]+$")

Fold = Callable[[asyncpg.Connection, str, datetime], Awaitable[None]]
"""Keeps what must not be lost of a partition, given its name and its end, before it is dropped."""


class Partitioned(msgspec.Struct, frozen=True, kw_only=True):
    """A table partitioned by time and how long its rows are kept."""

    table: str
    column: str
    period: Literal["day", "month"]
    keep: int
    """Complete periods kept beside the present one."""

    def __post_init__(self) -> None:
        """Raise ValueError for names that are no plain identifiers, and for keeping nothing."""
        for name in (self.table, self.column):
            if not NAME.match(name):
                raise ValueError(f"{name!r} is not a plain lower-case identifier")
        if self.keep < 1:
            raise ValueError(f"{self.table} keeps {self.keep} periods; keep at least 1")


MOVEMENTS = Partitioned(table="movement", column="recorded_at", period="month", keep=13)


async def ensure_partitions(
    connection: asyncpg.Connection, spec: Partitioned, *, now: datetime, ahead: int = AHEAD
) -> list[str]:
    """Make the partitions of the present period and those after it; return the names of new ones.

    Rows that have gone to the default partition meanwhile move into the new one. Locks the default
    partition until the transaction ends, so give each table a transaction of its own.
    """
    present = {row["name"] for row in await records.find_partitions(connection, spec.table)}
    made = []
    start = period_start(now, spec.period)
    for _ in range(ahead):
        end = period_end(start, spec.period)
        name = partition_name(spec, start)
        if name not in present:
            await records.make_partition(connection, spec, name, start, end)
            made.append(name)
        start = end
    return made


async def drop_partitions(
    connection: asyncpg.Connection,
    spec: Partitioned,
    *,
    now: datetime,
    fold: Fold | None = None,
) -> list[str]:
    """Drop the partitions whose retention is over; return their names, the oldest first.

    `fold` is called for each before it goes. Waits for whoever reads the table, an audit for
    example, as long as the transaction's lock timeout allows.
    """
    oldest = period_start(now, spec.period)
    for _ in range(spec.keep):
        oldest = period_start(oldest - timedelta(days=1), spec.period)
    first_kept = partition_name(spec, oldest)
    dropped = []
    for row in await records.find_partitions(connection, spec.table):
        name = row["name"]
        # Names of one table sort as their dates do; the default partition is not dated.
        if not name.removeprefix(f"{spec.table}_").isdigit() or name >= first_kept:
            continue
        if fold is not None:
            await fold(connection, name, _end_of(spec, name))
        await records.drop_partition(connection, name)
        dropped.append(name)
    return dropped


async def fold_movements(connection: asyncpg.Connection, partition: str, end: datetime) -> None:
    """Add a partition's movements up into the opening sums of their stock records."""
    kinds = transpose([(kind, *signs) for kind, signs in KINDS.items()])
    await records.fold_movements(connection, partition, end, kinds)


def partition_name(spec: Partitioned, start: datetime) -> str:
    """Return the name of the partition that starts at `start`."""
    return f"{spec.table}_{start:{'%Y%m%d' if spec.period == 'day' else '%Y%m'}}"


def period_start(at: datetime, period: Literal["day", "month"]) -> datetime:
    """Return the start, UTC, of the period that contains `at`."""
    day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day if period == "day" else day.replace(day=1)


def period_end(start: datetime, period: Literal["day", "month"]) -> datetime:
    """Return the end of the period that starts at `start`, which is the next one's start."""
    # No month has more than 31 days, and none that follows is over 32 days after a first.
    return period_start(start + timedelta(days=1 if period == "day" else 32), period)


def _end_of(spec: Partitioned, name: str) -> datetime:
    """Return the end of a dated partition from its name."""
    stamp = name.removeprefix(f"{spec.table}_")
    form = "%Y%m%d" if spec.period == "day" else "%Y%m"
    return period_end(datetime.strptime(stamp, form).replace(tzinfo=UTC), spec.period)
