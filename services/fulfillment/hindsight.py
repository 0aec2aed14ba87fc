"""Looking back on a day: what its decisions cost against perfect knowledge of its orders.

The difference, the regret, is what better decisions could have saved at most. It is computed once
for each day that is over, from the decision records and what was left of stock and capacity.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

import asyncpg
import msgspec
import structlog
from msgspec import Meta
from prometheus_client import Gauge

from routing.hindsight import Hindsight
from routing.hindsight_day import DayOrder, look_back_on
from routing.hindsight_rooms import Room
from routing.record import digest_of
from services import records as shared_records
from services.database import Database
from services.fulfillment import hindsight_records as records
from services.fulfillment.hindsight_records import DayRow
from services.prices import order_records
from services.prices.recorded import TERRAINS_MAX, read_orders
from services.settings import Settings

ROOM_DAYS = 40
"""Work dates of which the capacity counts; later ones are taken to have room."""

regret_share = Gauge(
    "nom_regret_share",
    "Share of the last day's cost that perfect knowledge of its orders could have saved at most",
    multiprocess_mode="mostrecent",
)
day_cost = Gauge(
    "nom_hindsight_cost_minor", "What the last day's decisions cost", multiprocess_mode="mostrecent"
)
day_bound = Gauge(
    "nom_hindsight_bound_minor",
    "What the last day's orders cost at least, whoever decides",
    multiprocess_mode="mostrecent",
)
log = structlog.get_logger()


class DayInHindsight(msgspec.Struct, frozen=True, kw_only=True):
    """What a day's decisions cost against perfect knowledge of its orders, of all channels."""

    day: date
    orders: Annotated[int, Meta(description="Orders looked at; a sample where there are many.")]
    orders_in_all: Annotated[int, Meta(description="That became firm and have a decision record.")]
    cost_minor: Annotated[
        int,
        Meta(
            description="Objective of their plans when decided: money, delay, shortfalls; without"
            " prices of units and nodes."
        ),
    ]
    bound_minor: Annotated[
        int, Meta(description="The same orders on the same stock cost at least this in hindsight.")
    ]
    regret_share: Annotated[
        float | None, Meta(description="(`cost_minor` - `bound_minor`) / `cost_minor`.")
    ]
    converged: Annotated[
        bool,
        Meta(description="Whether the bound can hardly be raised; else the regret may be less."),
    ]


def told(row: DayRow) -> DayInHindsight:
    """Return a day as the key figures tell of it."""
    return DayInHindsight(
        day=row.day,
        orders=row.orders,
        orders_in_all=row.orders_in_all,
        cost_minor=row.cost_minor,
        bound_minor=row.bound_minor,
        regret_share=share(row),
        converged=row.converged,
    )


def share(row: DayRow) -> float | None:
    """Return the regret as a share of the cost; none where nothing was decided."""
    return round((row.cost_minor - row.bound_minor) / row.cost_minor, 4) if row.cost_minor else None


async def days_in_hindsight(
    connection: asyncpg.Connection, since: datetime, until: datetime
) -> list[DayInHindsight]:
    """Return the days of a period that have been looked back on, in their order."""
    return [told(row) for row in await records.read_days(connection, since.date(), until.date())]


async def look_back(settings: Settings, database: Database) -> int:
    """Look back on yesterday, UTC, unless that has been done; return on how many orders."""
    async with database.connect() as connection:
        now = await shared_records.database_now(connection)
    return await look_back_on_day(
        settings, database, now.astimezone(UTC).date() - timedelta(days=1)
    )


async def look_back_on_day(settings: Settings, database: Database, day: date) -> int:
    """Look back on a day that is over, once; return on how many orders."""
    since = datetime.combine(day, time(), UTC)
    until = since + timedelta(days=1)
    async with database.connect() as connection:
        if await records.is_known(connection, day):
            return 0
        in_all = await order_records.count_decided(connection, since, until)
        kept = await order_records.read_decided(
            connection, since, until, settings.hindsight_orders_max
        )
        digests = {digest_of(record) for _, record in kept}
        bodies = await order_records.read_terrains(connection, sorted(digests)[:TERRAINS_MAX])
        found = await asyncio.to_thread(read_orders, [record for _, record in kept], bodies)
        skus = sorted({line.sku for order in found.orders for line in order.asked.lines})
        left = await records.read_left(connection, skus, until)
        holders = [allocation_id for allocation_id, _ in kept]
        rooms = await records.read_rooms(connection, day, until, ROOM_DAYS, holders)
    if not found.orders:
        return 0
    # In a thread: the other jobs of this process go on.
    seen = await asyncio.to_thread(
        look_back_on,
        found.orders,
        left,
        found.numbers,
        settings.hindsight_limit_s,
        {place: Room(*room) for place, room in rooms.items()},
    )
    row = row_of(day, found.orders, in_all, seen)
    async with database.connect() as connection:
        await records.insert_day(connection, row)
    show(row)
    return row.orders


def row_of(day: date, orders: Sequence[DayOrder], in_all: int, seen: Hindsight) -> DayRow:
    """Return what came of looking back on a day."""
    return DayRow(
        day=day,
        orders=len(orders),
        orders_in_all=max(in_all, len(orders)),
        cost_minor=sum(order.cost_minor for order in orders),
        bound_minor=seen.bound_minor,
        best_minor=seen.best_minor,
        converged=seen.converged,
        rounds=seen.rounds,
    )


def show(row: DayRow) -> None:
    """Show a day as metrics and in the log."""
    regret_share.set(share(row) or 0.0)
    day_cost.set(row.cost_minor)
    day_bound.set(row.bound_minor)
    log.info(
        "day in hindsight",
        day=row.day.isoformat(),
        orders=row.orders,
        orders_in_all=row.orders_in_all,
        cost_minor=row.cost_minor,
        bound_minor=row.bound_minor,
        converged=row.converged,
        rounds=row.rounds,
    )
