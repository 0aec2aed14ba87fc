"""Open orders of another system, taken over as they stand: confirmed, on fixed nodes, with work."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date, datetime

import asyncpg
import msgspec

from inventory.items import get_items
from inventory.nodes import Node, get_nodes
from inventory.reserve import CapacityTake, Demand, Refusal, Take, reserve
from routing.promise import clocks
from services import records as shared_records
from services.feeds.apply import Chunks, Effect, decode_all
from services.feeds.rows import OrderRow, RowError
from services.fulfillment import create
from services.ids import new_id, numbered
from services.orders import handover_records, lifecycle
from services.orders import records as order_records
from services.orders.answers import (
    AllocationAnswer,
    CostAnswer,
    FulfillmentAnswer,
    LineAnswer,
    Money,
    PromiseAnswer,
    SolverAnswer,
)
from services.orders.request import LINES_MAX
from services.orders.translate import DAY_SLOT
from services.planning.network import Network
from services.records import Event
from services.settings import Settings


class Takeover(msgspec.Struct, frozen=True):
    """Applies the rows of one open order after the other."""

    network: Network
    settings: Settings

    async def __call__(
        self,
        connection: asyncpg.Connection,
        chunks: Chunks,
        _number: int,
        payloads: Sequence[bytes],
    ) -> Effect:
        """Take one order over, in the transaction that is open; `payloads` are its rows.

        Raises `RowError` when its rows contradict each other, the order is allocated already, or a
        node has less than it needs. One that was taken over with the same rows stays as it is,
        whatever has become of it since.
        """
        rows = decode_all(OrderRow, payloads)
        order_id, digest = rows[0].order_id, hashlib.sha256(b"".join(payloads)).digest()
        verify_rows(rows)
        zone_id = zone_of(rows, self.network)
        await shared_records.lock_names(connection, [order_records.order_lock(order_id)])
        known = await order_records.find_of_order(connection, order_id)
        if any(each.request_hash == digest for each in known):
            return Effect(len(rows), repeated=len(rows))
        await verify_free(connection, order_id)
        body = await body_of(connection, rows, self.settings.currency)
        await take(connection, body, rows[0].channel, self.network.limited, chunks.actor)
        fields = (
            order_id,
            body.allocation_id,
            rows[0].channel,
            zone_id,
            digest,
            msgspec.json.encode(body),
            chunks.actor,
            None,
        )
        await write(connection, body, fields, self.settings, chunks.actor)
        return Effect(len(rows))


def verify_rows(rows: Sequence[OrderRow]) -> None:
    """Raise `RowError` when the rows of an order contradict each other, or are too many."""
    order_id = rows[0].order_id
    if len(rows) > LINES_MAX:
        raise RowError(
            f"Order {order_id} has {len(rows)} rows; {LINES_MAX} are allowed, so give some another "
            "order_id"
        )
    channels = sorted({row.channel for row in rows})
    if len(channels) > 1:
        raise RowError(f"Order {order_id} names the channels {', '.join(channels)}; leave one")
    skus: dict[str, str] = {}
    for row in rows:
        if skus.setdefault(row.line_id, row.sku) != row.sku:
            raise RowError(
                f"Line {row.line_id} of order {order_id} is of {skus[row.line_id]} and of "
                f"{row.sku}; give one of them another line_id"
            )


def zone_of(rows: Sequence[OrderRow], network: Network) -> str | None:
    """Return the zone an order goes to, none when all of it is picked up; raises `RowError`."""
    found = {zone for row in rows if (zone := zone_of_row(row, network)) is not None}
    if len(found) > 1:
        raise RowError(
            f"Order {rows[0].order_id} goes to the zones {', '.join(sorted(found))}; an order has "
            "one destination, so give the rest another order_id"
        )
    return next(iter(found), None)


def zone_of_row(row: OrderRow, network: Network) -> str | None:
    """Return the zone a row names, or that of its postal code; raises `RowError`."""
    if row.zone_id is not None:
        if row.zone_id not in network.zones:
            raise RowError(f"zone_id '{row.zone_id}' is not known; PUT the zone first")
        return row.zone_id
    if row.country is None or row.postal_code is None:
        return None
    zone = network.resolve(row.country, row.postal_code, None, None)
    if zone is None:
        raise RowError(
            f"No zone covers {row.country} {row.postal_code}; correct the postal code, or name a "
            "zone_id"
        )
    return zone.zone_id


async def verify_free(connection: asyncpg.Connection, order_id: str) -> None:
    """Raise `RowError` when a locked order has a live allocation."""
    live = (await order_records.find_live(connection, [order_id])).get(order_id)
    if live is not None:
        raise RowError(
            f"order-already-allocated: order {order_id} has allocation {live.allocation_id} with "
            "other content; cancel that one first, or leave the order out"
        )


async def body_of(
    connection: asyncpg.Connection, rows: Sequence[OrderRow], currency: str
) -> AllocationAnswer:
    """Return the allocation of an order as it is told; nothing was decided, so nothing is priced."""
    skus = sorted({row.sku for row in rows})
    weights = {item.sku: item.weight_grams for item in await get_items(connection, skus)}
    node_ids = sorted({row.node_id for row in rows})
    nodes = {node.node_id: node for node in await get_nodes(connection, node_ids)}
    now = await shared_records.database_now(connection)
    allocation_id = new_id()
    free = CostAnswer(**dict.fromkeys(CostAnswer.__struct_fields__, Money(0, currency)))
    return AllocationAnswer(
        allocation_id=allocation_id,
        order_id=rows[0].order_id,
        status="confirmed",
        expires_at=None,
        promise_valid_until=None,
        fulfillments=tuple(
            fulfillment_of(part, nodes[part[0].node_id], weights, now, free) for part in parts(rows)
        ),
        shortfalls=(),
        cost=free,
        solver=SolverAnswer(
            status="feasible",
            objective_minor=0,
            bound_minor=0,
            gap=0.0,
            elapsed_us=0,
            found_by="import",
        ),
        decision=f"/v1/allocations/{allocation_id}/decision",
    )


def parts(rows: Sequence[OrderRow]) -> list[list[OrderRow]]:
    """Return the rows by what one node does at once: one method and service, the same dates."""
    found: dict[tuple[object, ...], list[OrderRow]] = {}
    for row in rows:
        dates = (row.promise_earliest, row.promise_latest, row.ship_by)
        found.setdefault((row.node_id, row.method, row.service, *dates), []).append(row)
    return list(found.values())


def fulfillment_of(
    rows: Sequence[OrderRow],
    node: Node,
    weights: Mapping[str, int],
    now: datetime,
    cost: CostAnswer,
) -> FulfillmentAnswer:
    """Return what one node does for an order; without a ship_by it is due at today's cut-off.

    What is late keeps its dates, and is work of today.
    """
    first = rows[0]
    zone = clocks(node.time_zone)
    today = now.astimezone(zone).date()
    ship_by = first.ship_by or datetime.combine(today, node.cut_off, zone)
    return FulfillmentAnswer(
        node=node.node_id,
        method="ship" if first.method == "ship" else "pickup",
        service=first.service,
        work_on=max(ship_by.astimezone(zone).date(), today),
        ship_by=ship_by,
        promise=PromiseAnswer(first.promise_earliest or first.promise_latest, first.promise_latest),
        weight_grams=sum(weights[row.sku] * row.quantity for row in rows),
        lines=tuple(line_of(row, today) for row in rows),
        cost=cost,
    )


def line_of(row: OrderRow, today: date) -> LineAnswer:
    """Return the units of a row as they are told."""
    return LineAnswer(
        line_id=row.line_id,
        sku=row.sku,
        quantity=row.quantity,
        source="on_hand",
        supply_id=None,
        available_on=today,
        unit_price_minor=row.unit_price_minor,
    )


async def take(
    connection: asyncpg.Connection,
    body: AllocationAnswer,
    channel: str,
    limited: frozenset[str],
    actor: str,
) -> None:
    """Take the stock and the capacity of an order; raises `RowError` where there is too little.

    Neither buffers nor rights of pools count: the units were promised before.
    """
    lines = [(each, line) for each in body.fulfillments for line in each.lines]
    demand = Demand(
        holder_kind="allocation",
        holder_id=body.allocation_id,
        actor=actor,
        expires_at=await shared_records.database_now(connection),
        channel=channel,
        promised=True,
        takes=tuple(
            Take(
                reservation_id=numbered(body.allocation_id, number),
                line_id=line.line_id,
                sku=line.sku,
                node_id=each.node,
                quantity=line.quantity,
                promise_on=each.promise.latest,
            )
            for number, (each, line) in enumerate(lines)
        ),
        capacity=tuple(
            CapacityTake(
                node_id=each.node,
                work_on=each.work_on,
                slot=DAY_SLOT,
                orders=1,
                units=sum(line.quantity for line in each.lines),
            )
            for each in body.fulfillments
            if each.node in limited
        ),
    )
    refusal = (await reserve(connection, [demand], state="confirmed"))[0]
    if refusal is not None:
        raise RowError(too_little(body.order_id, refusal))


def too_little(order_id: str, refusal: Refusal) -> str:
    """Return what an order lacks, and what to do."""
    if refusal.what == "capacity":
        return (
            f"Order {order_id} needs {refusal.needed} of the capacity of {refusal.node_id} on "
            f"{refusal.work_on}, which has {refusal.available} left; raise it, and import again"
        )
    return (
        f"{refusal.node_id} has {refusal.available} of the {refusal.needed} units of {refusal.sku} "
        f"that order {order_id} needs; import a count of its stock, or name another node, and "
        "import again"
    )


async def write(
    connection: asyncpg.Connection,
    body: AllocationAnswer,
    fields: Sequence[object],
    settings: Settings,
    actor: str,
) -> None:
    """Write a confirmed allocation and the work of its nodes, with their events.

    The work is submitted at once, whatever the release window: nobody reconsiders an old order.
    """
    await handover_records.insert_allocation(connection, fields)
    held: dict[str, object] = {"allocation_id": str(body.allocation_id), "complete": True}
    await shared_records.insert_events(
        connection, [Event(new_id(), "allocation.held", body.order_id, actor, held)]
    )
    await lifecycle.change(connection, [body.allocation_id], "confirmed", actor)
    at_once = msgspec.structs.replace(settings, release_window_s=0)
    await create.make(connection, body, actor=actor, settings=at_once)
