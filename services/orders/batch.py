"""One batch of orders before its commit: read what they need, decide each.

No transaction is open while orders are decided.
"""

import asyncio
import zlib
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from time import monotonic, perf_counter
from uuid import UUID

import asyncpg
import msgspec

from inventory.availability import Cell, read_cells
from inventory.nodes import read_set_capacity
from routing.explain import Decision, decide
from routing.plan import Plan
from routing.problem import Capacity
from services import records as shared_records
from services.keys import Principal
from services.observe import solve_seconds
from services.orders import records
from services.orders.idempotency import Answer, Claim
from services.orders.request import AllocationRequest, QuoteRequest
from services.orders.translate import ItemFacts, Reading, View, problem
from services.planning.network import Network, Zone
from services.planning.records import DailyCapacity
from services.problems import Refused
from services.settings import Settings

CAPACITY_DAYS = 60
"""How far ahead the capacity of limited nodes is read."""
RECORD_ENCODER = msgspec.msgpack.Encoder()
COMPRESSION_LEVEL = 1


class Order(msgspec.Struct, kw_only=True):
    """An order on its way through the batches of one worker."""

    request: AllocationRequest
    claim: Claim
    principal: Principal
    zone: Zone | None
    allocation_id: UUID
    hold_s: int
    arrived_at: float
    """Monotonic seconds."""
    deadline_at: float
    """Monotonic seconds."""
    answered: asyncio.Future[Answer]
    attempts: int = 0
    """Races lost so far."""


class Decided(msgspec.Struct, kw_only=True):
    """An order with its plan, or with the reason there is none."""

    order: Order
    decision: Decision | None = None
    elapsed_us: int = 0
    refused: Refused | None = None
    record: bytes = b""

    @property
    def plan(self) -> Plan:
        """The plan of an order that has one."""
        if self.decision is None:
            raise RuntimeError(f"order {self.order.request.order_id} has no decision")
        return self.decision.plan

    @property
    def short_skus(self) -> set[str]:
        """The skus of which the plan leaves units unfilled."""
        if self.decision is None:
            return set()
        short = {each.line_id for each in self.plan.shortfalls}
        return {line.sku for line in self.order.request.lines if line.line_id in short}


async def read(
    connection: asyncpg.Connection,
    requests: Sequence[AllocationRequest | QuoteRequest],
    network: Network,
) -> Reading:
    """Read items, stock and capacity for these requests."""
    now = await shared_records.database_now(connection)
    read_at = monotonic()
    by_channel: dict[str, set[str]] = {}
    for request in requests:
        by_channel.setdefault(request.channel, set()).update(line.sku for line in request.lines)
    skus = sorted(set[str]().union(*by_channel.values()))
    items = {
        row["sku"]: ItemFacts(row["weight_grams"], tuple(row["requires"]))
        for row in await records.find_items(connection, skus)
    }
    cells = {
        channel: await read_cells(connection, sorted(wanted), channel=channel, today=now.date())
        for channel, wanted in by_channel.items()
    }
    capacity = await limits(connection, cells, network, now)
    return Reading(
        now=now,
        read_at=read_at,
        items=items,
        views={channel: View(found, capacity) for channel, found in cells.items()},
        network=network,
    )


async def limits(
    connection: asyncpg.Connection,
    cells: Mapping[str, Sequence[Cell]],
    network: Network,
    now: datetime,
) -> dict[str, tuple[Capacity, ...]]:
    """Return what the limited nodes among the cells can still take, by date."""
    node_ids = {cell.node_id for found in cells.values() for cell in found} & network.limited
    if not node_ids:
        return {}
    # A node's local date may be a day before or after the date in UTC.
    start = (now - timedelta(days=1)).date()
    rows = await read_set_capacity(connection, sorted(node_ids), from_on=start, days=CAPACITY_DAYS)
    own: dict[str, dict[date, Capacity]] = {}
    for row in rows:
        own.setdefault(row.node_id, {})[row.work_on] = Capacity(
            work_on=row.work_on, remaining=row.remaining, unit=row.unit
        )
    return {
        node_id: merged(network.daily.get(node_id), own.get(node_id, {}), start)
        for node_id in node_ids
    }


def merged(
    daily: DailyCapacity | None, own: Mapping[date, Capacity], start: date
) -> tuple[Capacity, ...]:
    """Return a node's capacity by date: its default, and in its place what a date has of its own."""
    by_default = default_days(daily, start) if daily else ()
    if not own:
        return by_default
    return (*(each for each in by_default if each.work_on not in own), *own.values())


@lru_cache(maxsize=256)
def default_days(daily: DailyCapacity, start: date) -> tuple[Capacity, ...]:
    """Return the days from `start` on at a default; nodes with the same default share the value."""
    return tuple(
        Capacity(work_on=start + timedelta(days=day), remaining=daily.maximum, unit=daily.unit)
        for day in range(CAPACITY_DAYS)
    )


def decide_one(
    request: AllocationRequest | QuoteRequest,
    zone: Zone | None,
    reading: Reading,
    decision_ms: int,
) -> tuple[Decision, int]:
    """Return the decision for one order and the microseconds it took; runs in a solver thread."""
    asked = problem(request, zone, reading, decision_ms)
    started = perf_counter()
    decision = decide(asked)
    elapsed = perf_counter() - started
    solve_seconds.labels(decision.plan.status).observe(elapsed)
    return decision, round(elapsed * 1_000_000)


def decide_all(orders: Sequence[Order], reading: Reading, settings: Settings) -> list[Decided]:
    """Decide orders in arrival order, each on what the ones before it leave.

    An order that cannot be asked, for example because a sku is unknown, carries its refusal and
    harms no other. Runs in a solver thread.
    """
    decided = []
    for order in orders:
        left_ms = round((order.deadline_at - monotonic()) * 1000)
        try:
            decision, elapsed_us = decide_one(
                order.request, order.zone, reading, max(1, min(settings.decision_ms, left_ms))
            )
        except Refused as refused:
            decided.append(Decided(order=order, refused=refused))
            continue
        record = b""
        if settings.decision_records:
            record = zlib.compress(RECORD_ENCODER.encode(decision), COMPRESSION_LEVEL)
        reading.views[order.request.channel].take(decision.plan)
        decided.append(
            Decided(order=order, decision=decision, elapsed_us=elapsed_us, record=record)
        )
    return decided
