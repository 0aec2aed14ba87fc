"""What tests of the stock record say often."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from typing import Concatenate, Literal, ParamSpec, TypeVar
from uuid import UUID, uuid4

import asyncpg

from inventory.audit import audit
from inventory.ledger import Movement, record
from inventory.nodes import Node, put_nodes
from inventory.pool_records import put_pool
from inventory.pools import Grant, put_quotas
from inventory.reserve import CapacityTake, Demand, Refusal, Take, reserve

P = ParamSpec("P")
T = TypeVar("T")

FAR = datetime(2100, 1, 1, tzinfo=UTC)
PAST = datetime(2020, 1, 1, tzinfo=UTC)
ON = date(2030, 6, 1)
RETRIES = 5
numbers = count(1)


async def run(
    connection: asyncpg.Connection,
    work: Callable[Concatenate[asyncpg.Connection, P], Awaitable[T]],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Do `work` in a transaction, again when it lost a race, as a service does."""
    for _ in range(RETRIES):
        try:
            async with connection.transaction():
                return await work(connection, *args, **kwargs)
        except asyncpg.SerializationError:
            continue
    raise RuntimeError(f"lost the same race {RETRIES} times")


def take(
    sku: str,
    node_id: str,
    quantity: int,
    *,
    buffer: int = 0,
    supply_id: str | None = None,
    promise_on: date = ON,
) -> Take:
    """Return one line's take under a new name."""
    return Take(
        reservation_id=uuid4(),
        line_id=f"line-{next(numbers)}",
        sku=sku,
        node_id=node_id,
        quantity=quantity,
        buffer=buffer,
        supply_id=supply_id,
        promise_on=promise_on,
    )


def demand(
    *takes: Take,
    holder_id: UUID | None = None,
    capacity: Sequence[CapacityTake] = (),
    expires_at: datetime = FAR,
    holder_kind: Literal["allocation", "staff"] = "allocation",
    channel: str = "",
) -> Demand:
    """Return a demand of a new holder."""
    return Demand(
        holder_kind=holder_kind,
        holder_id=holder_id or uuid4(),
        actor="test",
        expires_at=expires_at,
        takes=takes,
        capacity=tuple(capacity),
        channel=channel,
    )


async def hold(connection: asyncpg.Connection, *demands: Demand) -> list[Refusal | None]:
    """Reserve in a transaction of its own."""
    return await run(connection, reserve, demands)


def moved(
    kind: str, sku: str, node_id: str, quantity: int, *, happened_at: datetime | None = None
) -> Movement:
    """Return a movement under a new name."""
    return Movement(
        movement_id=uuid4(),
        sku=sku,
        node_id=node_id,
        kind=kind,
        quantity=quantity,
        happened_at=happened_at,
        actor="test",
    )


async def stock_up(connection: asyncpg.Connection, units: Mapping[tuple[str, str], int]) -> None:
    """Receive units of each (sku, node_id), at enabled nodes."""
    await add_nodes(connection, *{node_id for _, node_id in units})
    movements = [moved("receive", *key, quantity) for key, quantity in units.items()]
    await run(connection, record, movements)


async def add_nodes(
    connection: asyncpg.Connection, *node_ids: str, capacity_maximum: int | None = None
) -> None:
    """Add nodes, limited to that many orders a day where a maximum is given."""
    nodes = [
        Node(
            node_id=node_id,
            kind="store",
            country="DE",
            latitude=52.5,
            longitude=13.4,
            time_zone="Europe/Berlin",
            calendar_id="weekdays",
            cut_off=time(15),
            capabilities=("ship", "pickup"),
            capacity_unit=None if capacity_maximum is None else "orders",
            capacity_maximum=capacity_maximum,
        )
        for node_id in node_ids
    ]
    await run(connection, put_nodes, nodes)


def work(node_id: str, *, orders: int = 1, units: int = 1) -> CapacityTake:
    """Return work for a node on the day the tests promise for."""
    return CapacityTake(node_id=node_id, work_on=ON, orders=orders, units=units)


async def counters(
    connection: asyncpg.Connection, sku: str, node_id: str
) -> tuple[int, int, int, int]:
    """Return on hand, reserved, unavailable and shortage of a stock record."""
    row = await connection.fetchrow(
        "SELECT on_hand, reserved, unavailable, shortage FROM stock "
        "WHERE (sku, node_id) = ($1, $2)",
        sku,
        node_id,
    )
    if row is None:
        raise LookupError(f"no stock record of {sku} at {node_id}")
    return (row[0], row[1], row[2], row[3])


async def states(connection: asyncpg.Connection, holder_id: UUID) -> dict[str, int]:
    """Return how many units of a holder's reservations are in each state."""
    rows = await connection.fetch(
        "SELECT state, sum(quantity)::int FROM reservation WHERE holder_id = $1 GROUP BY state",
        holder_id,
    )
    return {row[0]: row[1] for row in rows}


async def keep(
    connection: asyncpg.Connection,
    pool_id: str,
    channels: Sequence[str],
    units: Mapping[tuple[str, str], int],
) -> None:
    """Keep units of each (sku, node) for the channels of a pool."""
    grants = [
        Grant(sku=sku, node_id=node_id, pool_id=pool_id, quantity=quantity)
        for (sku, node_id), quantity in units.items()
    ]
    await run(connection, put_pool, pool_id, "", channels)
    await run(connection, put_quotas, grants)


async def quota(
    connection: asyncpg.Connection, sku: str, node_id: str, pool_id: str
) -> tuple[int, int, int]:
    """Return what a pool was given at a stock record, what is used of it and what has left."""
    row = await connection.fetchrow(
        "SELECT quantity, used, consumed FROM quota WHERE (sku, node_id, pool_id) = ($1, $2, $3)",
        sku,
        node_id,
        pool_id,
    )
    if row is None:
        raise LookupError(f"pool {pool_id} has nothing of {sku} at {node_id}")
    return (row[0], row[1], row[2])


async def used_capacity(connection: asyncpg.Connection, node_id: str) -> int:
    """Return what is used of a node's capacity on the day the tests promise for."""
    used: int = await connection.fetchval(
        "SELECT used FROM capacity WHERE (node_id, work_on, slot) = ($1, $2, 'day')", node_id, ON
    )
    return used


async def assert_silent(connection: asyncpg.Connection) -> None:
    """Fail with the audit's sentences when it finds anything."""
    assert [each.what for each in await audit(connection)] == []


def ago(**units: float) -> datetime:
    """Return an instant before now."""
    return datetime.now(UTC) - timedelta(**units)
