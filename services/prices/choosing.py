"""How much prices count: as much as would have cost least in the weeks before.

Each of the last periods is replayed, see `routing.prices_replay`, with what was known when the first
of them began: walk-ins by what they had taken until then, and orders to come by those of the period
before. What orders beyond the sample took is taken again, as it was.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import asyncpg
import msgspec
import numpy as np
import structlog

from routing.decided_again import Cell, cells_of
from routing.prices_ahead import Shelves
from routing.prices_replay import Believed, Flows, Period, Weighed, chosen_weights
from services.database import Database
from services.prices import demand, order_records, records
from services.prices.ahead import Sample, Samples, decidable, read_samples, solve
from services.prices.demand import Cells, Span
from services.prices.order_records import Flow
from services.prices.records import CellsRow, StoreRow
from services.prices.steps import patiently
from services.settings import Settings

UNTRIED = Weighed(1.0, 0.0, 0.0, 0.0)
"""Before there was enough to try them on: walk-ins count, which costs least where it is wrong, and
orders to come do not, since their prices are for all of the stock."""
FLOWS_MAX = 2_000_000
"""Movements and reservations that are replayed; where there are more, the weights stay as they are."""

log = structlog.get_logger()


class History(msgspec.Struct, frozen=True, eq=False):
    """What the periods to be replayed are made of."""

    samples: Samples
    """The period before them, which only tells what to expect, and then each of them."""
    shelves: list[tuple[str, str, int, int]]
    """As of now."""
    flows: list[Flow]
    """From the beginning of the first replayed period until now."""
    values: Mapping[str, int]
    stores: list[StoreRow]
    cells: list[CellsRow]
    """What walk-ins took of these skus before the first period."""
    span: Span


async def choose(
    settings: Settings, database: Database, span: Span, now: datetime
) -> Weighed | None:
    """Return the weights that did best; none where there was not enough to try them on."""
    periods, days = settings.prices_replay_periods, settings.prices_replenish_days
    if not periods or not settings.prices_orders_max:
        return None
    bounds = [now - timedelta(days=days * n) for n in range(periods + 1, -1, -1)]
    samples = await read_samples(database, bounds, settings.prices_orders_max)
    if sum(len(each.orders) for each in samples.samples[1:]) < settings.prices_replay_orders_min:
        return None
    history = await patiently(
        database, lambda connection: read_history(connection, samples, bounds[1], span)
    )
    if len(history.flows) >= FLOWS_MAX:
        log.warning("too much has moved to replay it; prices keep their weights", flows=FLOWS_MAX)
        return None
    weighed = await asyncio.to_thread(weigh, settings, history, bounds)
    log.info("prices weighed", **weighed._asdict())
    return weighed


async def read_history(
    connection: asyncpg.Connection, samples: Samples, since: datetime, span: Span
) -> History:
    """Read what went on at the records of some skus since an instant, and what was known then."""
    skus = samples.skus
    stores = await records.read_stores(connection)
    node_ids = [store.node_id for store in stores]
    known_at = since - timedelta(days=span.window_days)
    period = since, known_at, timedelta(days=span.half_life_days)
    return History(
        samples=samples,
        shelves=await order_records.read_shelves(connection, skus, since.date()),
        flows=await order_records.read_flows(
            connection, skus, since, records.WANTED_KINDS, FLOWS_MAX
        ),
        values=await order_records.read_values(connection, skus),
        stores=stores,
        cells=await records.read_cells_of(connection, skus, node_ids, period),
        span=span,
    )


def weigh(settings: Settings, history: History, bounds: Sequence[datetime]) -> Weighed:
    """Return the weights that did best in the periods that begin at all bounds but the outer two."""
    index = {(row[0], row[1]): n for n, row in enumerate(history.shelves)}
    free = np.array([row[2] for row in history.shelves], np.int64)
    values = np.array([history.values.get(sku, 0) for _, sku in index], np.int64)
    wanted = wanted_then(history, index)
    stores = {store.node_id for store in history.stores}
    values *= np.array([node_id in stores for node_id, _ in index], np.int64)
    samples = history.samples.samples
    periods = []
    for n in range(1, len(samples)):
        opening = opening_of(history.flows, index, free, bounds[n])
        shelves = Shelves(index, opening, settings.prices_short_minor, {})
        limit_s = settings.prices_orders_s / len(samples)
        ahead = solve(settings, samples[n - 1], shelves, history.samples.numbers, limit_s)
        believed = Believed(wanted, values, ahead.worth_minor)
        periods.append(
            period_of(settings, history, samples[n], (opening, index, believed), bounds[n + 1])
        )
    return chosen_weights(periods)


def wanted_then(history: History, index: Mapping[Cell, int]) -> np.ndarray:
    """Return what walk-ins were expected to want of each cell until its next delivery."""
    cells = Cells(history.stores)
    for row in history.cells:
        demand.add(cells, row, {}, history.span)
    wanted = np.zeros(len(index))
    for each in demand.learned(cells).values():
        for node_id, per_day, days in zip(each.node_ids, each.per_day, each.days, strict=True):
            if (node_id, each.sku) in index:
                wanted[index[node_id, each.sku]] = per_day * days
    return wanted


def opening_of(
    flows: Sequence[Flow], index: Mapping[Cell, int], free: np.ndarray, at: datetime
) -> np.ndarray:
    """Return what was free of each cell at an instant: what is now, without what has gone on since."""
    opening = free.copy()
    for flow in flows:
        place = index.get((flow.node_id, flow.sku))
        if place is not None and flow.at >= at:
            opening[place] -= flow.units
    return opening.clip(0)


def period_of(
    settings: Settings,
    history: History,
    sample: Sample,
    known: tuple[np.ndarray, dict[Cell, int], Believed],
    until: datetime,
) -> Period:
    """Return a period as it is replayed, with what it began with and what was believed then."""
    opening, index, believed = known
    own, by_sku = set(sample.ids), cells_of(index, history.samples.numbers)
    at, cells, units, lost = [], [], [], []
    for flow in history.flows:
        place = index.get((flow.node_id, flow.sku))
        if place is None or not sample.since <= flow.at < until or flow.holder_id in own:
            continue
        at.append((flow.at - sample.since).total_seconds())
        cells.append(place)
        units.append(flow.units)
        lost.append(float(believed.value_minor[place]) if flow.walk_in else 0.0)
    orders = sorted(
        (
            (
                (order.asked.now - sample.since).total_seconds(),
                decidable(order, by_sku, settings.prices_short_minor),
            )
            for order in sample.orders
        ),
        key=lambda each: each[0],
    )
    flows = Flows(
        np.array(at, float), np.array(cells, np.int64), np.array(units, np.int64), np.array(lost)
    )
    return Period(opening, orders, flows, index, believed)
