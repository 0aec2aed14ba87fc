"""What stock and capacity are worth to orders to come: the orders of late stand for them.

A sample of the orders that came in as many days as pass until the next replenishment is decided
again, all together, on the stock of now and what is due. What a unit more would save them is its
price, see `routing.prices_ahead`. That is done for several past periods, each by itself, and the mean
is the price: those of one period are those of its accidents (a randomized linear program: Talluri and
van Ryzin, Transportation Science 33, 1999).
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import asyncpg
import msgspec
import numpy as np

from inventory.nodes import read_capacity
from routing.decided_again import Again, Cell, cells_of, ready
from routing.hindsight_day import DayOrder
from routing.later import LATER_DATES_MAX
from routing.prices_ahead import Ahead, Coming, Rooms, Shelves, prices_ahead
from routing.promise import works_on
from routing.record import digest_of
from services.database import Database
from services.prices import order_records as records
from services.prices.recorded import TERRAINS_MAX, Found, read_orders
from services.prices.steps import patiently
from services.settings import Settings

LINES_MAX = 6
"""Longer orders are left out: few, slow to decide, and their items are asked by others, too."""


class Sample(msgspec.Struct, frozen=True):
    """Some of the orders of a period."""

    since: datetime
    orders: list[DayOrder]
    ids: list[UUID]
    days_later: list[int]
    """By order: how many days after its own dates are those of the orders it stands for."""
    in_all: int

    @property
    def each(self) -> float:
        """How many orders of the period each of the sample stands for."""
        return self.in_all / max(1, len(self.orders))


class Samples(msgspec.Struct, frozen=True):
    """Samples of several periods that refer to the same nodes."""

    samples: list[Sample]
    numbers: Mapping[str, int]

    @property
    def skus(self) -> list[str]:
        """All skus that are asked for."""
        return sorted(
            {
                line.sku
                for sample in self.samples
                for order in sample.orders
                for line in order.asked.lines
            }
        )


class OrderPrices(msgspec.Struct, frozen=True):
    """What units of one sku are worth to orders to come; lists side by side."""

    sku: str
    node_ids: list[str]
    worth_minor: list[int]


class Prices(msgspec.Struct, frozen=True):
    """What was found, and from how many orders."""

    units: list[OrderPrices]
    rooms: Mapping[str, Mapping[date, int]]
    """By node and work date, what one more fulfillment is worth."""
    orders: int
    gap: float


NOTHING = Prices([], {}, 0, 0.0)


async def look_ahead(settings: Settings, database: Database, now: datetime) -> Prices:
    """Return what units and places are worth to the orders of the coming days."""
    if not settings.prices_orders_max:
        return NOTHING
    days = settings.prices_replenish_days
    periods = settings.prices_periods
    bounds = [now - timedelta(days=days * n) for n in range(periods, -1, -1)]
    found = await read_samples(database, bounds, settings.prices_orders_max)

    async def once(
        connection: asyncpg.Connection,
    ) -> tuple[list[tuple[str, str, int, int]], dict[str, Rooms]]:
        until_on = (now + timedelta(days=days)).date()
        rows = await records.read_shelves(connection, found.skus, until_on)
        return rows, await read_rooms(connection, now.date(), days)

    rows, rooms = await patiently(database, once)
    return await asyncio.to_thread(priced, settings, found, rows, rooms)


async def read_rooms(connection: asyncpg.Connection, today: date, days: int) -> dict[str, Rooms]:
    """Return what nodes with a limit in orders have left on the dates that they work.

    From the day before today, which it may still be there, until work that comes in during the next
    `days` can be put off no further.
    """
    calendars = await records.read_calendars(connection)
    from_on, count = today - timedelta(days=1), 1 + days + LATER_DATES_MAX
    found: dict[str, Rooms] = {}
    for each in await read_capacity(connection, [*calendars], from_on, count):
        if each.unit == "orders" and works_on(calendars[each.node_id], each.work_on):
            dates, places = found.get(each.node_id, Rooms((), ()))
            if each.work_on not in dates:
                left = float(max(0, each.remaining))
                found[each.node_id] = Rooms((*dates, each.work_on), (*places, left))
    return found


def priced(
    settings: Settings,
    found: Samples,
    rows: Sequence[tuple[str, str, int, int]],
    rooms: Mapping[str, Rooms],
) -> Prices:
    """Return the mean prices of samples' skus at their records, and of nodes' places.

    `rows` are node, sku, units free now and units that are due; `rooms` are by node what it can do on
    its dates to come, where there is a limit.
    """
    samples = [sample for sample in found.samples if sample.orders]
    if not samples:
        return NOTHING
    index: dict[Cell, int] = {(row[0], row[1]): n for n, row in enumerate(rows)}
    units = np.array([[row[2], row[3]] for row in rows], np.int64).reshape(-1, 2)
    there = units.clip(0).sum(axis=1)
    shelves = Shelves(index, there, settings.prices_short_minor, rooms)
    limit_s = settings.prices_orders_s / len(samples)
    solved = [solve(settings, sample, shelves, found.numbers, limit_s) for sample in samples]
    worth = np.rint(np.mean([each.worth_minor for each in solved], axis=0)).astype(np.int64)
    by_sku: dict[str, OrderPrices] = {}
    for (node_id, sku), place in index.items():
        if minor := int(worth[place]):
            row = by_sku.setdefault(sku, OrderPrices(sku, [], []))
            row.node_ids.append(node_id)
            row.worth_minor.append(minor)
    orders = sum(len(sample.orders) for sample in samples)
    places = mean_places(rooms, [each.room_minor for each in solved])
    return Prices([*by_sku.values()], places, orders, max(each.gap for each in solved))


def mean_places(
    rooms: Mapping[str, Rooms], found: Sequence[Mapping[str, Mapping[date, int]]]
) -> dict[str, dict[date, int]]:
    """Return the mean prices of places, of those that have any."""
    places: dict[str, dict[date, int]] = {}
    for node_id, (dates, _) in rooms.items():
        sums = {day: sum(each.get(node_id, {}).get(day, 0) for each in found) for day in dates}
        means = {day: mean for day, minor in sums.items() if (mean := round(minor / len(found)))}
        if means:
            places[node_id] = means
    return places


def solve(
    settings: Settings,
    sample: Sample,
    shelves: Shelves,
    numbers: Mapping[str, int],
    limit_s: float,
) -> Ahead:
    """Return the prices of shelves for orders like those of a sample, found within `limit_s`."""
    by_sku = cells_of(shelves.places, numbers)
    coming = [
        Coming(decidable(order, by_sku, settings.prices_short_minor), sample.each, days_later)
        for order, days_later in zip(sample.orders, sample.days_later, strict=True)
    ]
    return prices_ahead(coming, shelves, settings.prices_steps, limit_s)


def decidable(
    order: DayOrder, by_sku: Mapping[str, Sequence[tuple[int, int]]], short_minor: int
) -> Again:
    """Return an order ready to be decided again, at a price of a shortfall that somebody would pay.

    A strategy's own is there to outweigh all else: no unit is worth that to anybody.
    """
    policy = order.asked.policy
    bounded = msgspec.structs.replace(
        policy, shortage_minor=min(policy.shortage_minor, short_minor)
    )
    return ready(order.terrain, order.asked._replace(policy=bounded), by_sku)


async def read_samples(database: Database, bounds: Sequence[datetime], orders_max: int) -> Samples:
    """Return samples of the periods between bounds that follow each other, of as many orders each.

    All together they have at most `orders_max`; periods without orders leave theirs to the others.
    """

    async def once(connection: asyncpg.Connection) -> tuple[list[Kept], dict[bytes, bytes]]:
        periods = [*pairwise(bounds)]
        counts = [await records.count_decided(connection, *period) for period in periods]
        limit = max(1, orders_max // max(1, sum(count > 0 for count in counts)))
        kept = [
            Kept(
                period[0],
                (bounds[-1] - period[0]).days,
                count,
                await records.read_decided(connection, *period, limit),
            )
            for period, count in zip(periods, counts, strict=True)
        ]
        digests = {digest_of(record) for each in kept for _, record in each.rows}
        return kept, await records.read_terrains(connection, sorted(digests)[:TERRAINS_MAX])

    kept, bodies = await patiently(database, once)
    rows = [row for each in kept for row in each.rows]
    found = await asyncio.to_thread(read_orders, [record for _, record in rows], bodies)
    return Samples(sorted_out(kept, rows, found), found.numbers)


class Kept(msgspec.Struct, frozen=True):
    """Decision records of a period."""

    since: datetime
    days_later: int
    in_all: int
    rows: list[tuple[UUID, bytes]]


def sorted_out(
    kept: Sequence[Kept], rows: Sequence[tuple[UUID, bytes]], found: Found
) -> list[Sample]:
    """Return the orders that were read by the period they came in, without long ones."""
    samples = [Sample(each.since, [], [], [], each.in_all) for each in kept]
    period_of = [n for n, each in enumerate(kept) for _ in each.rows]
    for order, place in zip(found.orders, found.places, strict=True):
        if len(order.asked.lines) <= LINES_MAX:
            samples[period_of[place]].orders.append(order)
            samples[period_of[place]].ids.append(rows[place][0])
            samples[period_of[place]].days_later.append(kept[period_of[place]].days_later)
    return samples
