"""SQL of fulfillment orders, their lines, shipments and holds of orders."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from services.fulfillment.tables import COMING_STATES, LIVE_STATES


class FulfillmentOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What one node is asked to do for an allocation, as it is kept."""

    order_id: str
    fulfillment_order_id: UUID
    allocation_id: UUID
    node_id: str
    method: str
    service: str | None
    pickup_node: str | None = None
    """The store that its goods are sent to; none for what is shipped, or picked up where it is."""
    curbside: bool = False
    """Whether what is collected is handed over at the curb."""
    state: str = "open"
    request_state: str = "unsubmitted"
    attempt: int = 1
    replaces: UUID | None = None
    work_on: date
    ship_by: datetime
    promise_earliest: date
    promise_latest: date
    weight_grams: int
    cost: str
    """JSON of `CostAnswer`."""
    pickup_code: str | None = None
    wrong_codes: int = 0
    release_at: datetime
    submitted_at: datetime | None = None
    answer_by: datetime | None = None
    answered_at: datetime | None = None
    started_at: datetime | None = None
    packed_at: datetime | None = None
    ready_at: datetime | None = None
    collect_by: datetime | None = None
    ended_at: datetime | None = None
    actor: str
    created_at: datetime
    changed_at: datetime
    version: int = 0


class FulfillmentLine(msgspec.Struct, frozen=True, kw_only=True):
    """Units of one line of an order in a fulfillment order, and what became of them."""

    part: int
    line_id: str
    sku: str
    supply_id: str | None
    quantity: int
    unit_price_minor: int | None
    picked: int = 0
    shipped: int = 0
    collected: int = 0
    rejected: int = 0
    cancelled: int = 0
    returned: int = 0

    @property
    def dispatched(self) -> int:
        """Units that have left the node."""
        return self.shipped + self.collected

    @property
    def left(self) -> int:
        """Units that the node still has to dispatch."""
        return self.quantity - self.rejected - self.cancelled - self.dispatched

    @property
    def to_pick(self) -> int:
        """Units that the node still has to pick."""
        return self.quantity - self.rejected - self.cancelled - self.picked

    @property
    def in_hand(self) -> int:
        """Units that are picked and have not left."""
        return self.picked - self.dispatched


class Work(msgspec.Struct, frozen=True):
    """A fulfillment order with its lines, by part."""

    order: FulfillmentOrder
    lines: tuple[FulfillmentLine, ...]


class Shipment(msgspec.Struct, frozen=True, kw_only=True):
    """A parcel that has left."""

    order_id: str
    shipment_id: UUID
    fulfillment_order_id: UUID
    carrier: str
    tracking: str
    lines: str
    """JSON: a list of `{part, line_id, sku, quantity}`."""
    actor: str
    shipped_at: datetime
    delivered_at: datetime | None = None


class OrderHold(msgspec.Struct, frozen=True, kw_only=True):
    """Why an order's work is not submitted for now."""

    order_id: str
    hold_id: UUID
    reason: str
    note: str
    actor: str
    placed_at: datetime
    lifted_at: datetime | None
    lifted_by: str | None


class Peg(msgspec.Struct, frozen=True, kw_only=True):
    """Confirmed units of a holder that wait for supply."""

    holder_id: UUID
    line_id: str
    sku: str
    node_id: str
    quantity: int
    supply_id: str
    expected_on: date


ORDER_COLUMNS = FulfillmentOrder.__struct_fields__
LINE_COLUMNS = FulfillmentLine.__struct_fields__
SHIPMENT_COLUMNS = Shipment.__struct_fields__
ORDER = f"SELECT {', '.join(ORDER_COLUMNS)} FROM fulfillment_order"
SHIPMENT = f"SELECT {', '.join(SHIPMENT_COLUMNS)} FROM shipment"
HOLD = f"SELECT {', '.join(OrderHold.__struct_fields__)} FROM order_hold"
CHANGING = {
    "state": "text",
    "request_state": "text",
    "pickup_code": "text",
    "wrong_codes": "int",
    "release_at": "timestamptz",
    "submitted_at": "timestamptz",
    "answer_by": "timestamptz",
    "answered_at": "timestamptz",
    "started_at": "timestamptz",
    "packed_at": "timestamptz",
    "ready_at": "timestamptz",
    "collect_by": "timestamptz",
    "ended_at": "timestamptz",
}
"""Columns of a fulfillment order that its events write, with their kinds."""
COUNTERS = ("picked", "shipped", "collected", "rejected", "cancelled", "returned")


def columns(rows: Sequence[msgspec.Struct], names: Sequence[str]) -> list[list[Any]]:
    """Return these fields of `rows` as one list each, the way statements take them."""
    return [[getattr(row, name) for row in rows] for name in names]


# Fulfillment orders and their lines


async def insert_works(connection: asyncpg.Connection, works: Sequence[Work]) -> None:
    """Add fulfillment orders with their lines."""
    orders = [work.order for work in works]
    await connection.executemany(
        f"INSERT INTO fulfillment_order ({', '.join(ORDER_COLUMNS)})"
        f" VALUES ({', '.join(f'${n}' for n in range(1, len(ORDER_COLUMNS) + 1))})",
        [[getattr(order, name) for name in ORDER_COLUMNS] for order in orders],
    )
    await connection.executemany(
        f"INSERT INTO fulfillment_line (order_id, fulfillment_order_id, {', '.join(LINE_COLUMNS)})"
        f" VALUES ({', '.join(f'${n}' for n in range(1, len(LINE_COLUMNS) + 3))})",
        [
            [
                work.order.order_id,
                work.order.fulfillment_order_id,
                *(getattr(line, name) for name in LINE_COLUMNS),
            ]
            for work in works
            for line in work.lines
        ],
    )


async def find(connection: asyncpg.Connection, fulfillment_order_id: UUID) -> Work | None:
    """Return a fulfillment order with its lines."""
    found = await with_lines(
        connection,
        await connection.fetch(f"{ORDER} WHERE fulfillment_order_id = $1", fulfillment_order_id),
    )
    return found[0] if found else None


async def find_of_allocation(connection: asyncpg.Connection, allocation_id: UUID) -> list[Work]:
    """Return an allocation's fulfillment orders, the first made first."""
    return await with_lines(
        connection,
        await connection.fetch(
            f"{ORDER} WHERE allocation_id = $1 ORDER BY fulfillment_order_id", allocation_id
        ),
    )


async def find_of_order(connection: asyncpg.Connection, order_id: str) -> list[Work]:
    """Return an order's fulfillment orders, the first made first."""
    return await with_lines(
        connection,
        await connection.fetch(
            f"{ORDER} WHERE order_id = $1 ORDER BY fulfillment_order_id", order_id
        ),
    )


async def lock_allocation_of(
    connection: asyncpg.Connection, fulfillment_order_id: UUID
) -> UUID | None:
    """Lock the allocation of a fulfillment order, which comes before the order itself."""
    allocation_id: UUID | None = await connection.fetchval(
        "SELECT allocation_id FROM allocation WHERE allocation_id ="
        " (SELECT allocation_id FROM fulfillment_order WHERE fulfillment_order_id = $1)"
        " FOR UPDATE",
        fulfillment_order_id,
    )
    return allocation_id


async def lock(connection: asyncpg.Connection, fulfillment_order_id: UUID) -> Work | None:
    """Return a fulfillment order, locked until the transaction ends."""
    found = await with_lines(
        connection,
        await connection.fetch(
            f"{ORDER} WHERE fulfillment_order_id = $1 FOR UPDATE", fulfillment_order_id
        ),
    )
    return found[0] if found else None


async def lock_of_allocation(connection: asyncpg.Connection, allocation_id: UUID) -> list[Work]:
    """Return the fulfillment orders of a locked allocation, locked too."""
    return await with_lines(
        connection,
        await connection.fetch(
            f"{ORDER} WHERE allocation_id = $1 ORDER BY fulfillment_order_id FOR UPDATE",
            allocation_id,
        ),
    )


async def lock_due(connection: asyncpg.Connection, now: datetime, limit: int) -> list[Work]:
    """Lock work whose release has come and that no hold keeps back, the longest due first.

    What somebody else works on at this moment is passed over: the next sweep finds it. A hold may
    have been placed since this statement began; ask `find_held` once they are locked.
    """
    return await with_lines(
        connection,
        await connection.fetch(
            f"{ORDER} f WHERE request_state = 'unsubmitted' AND release_at <= $1"
            " AND NOT EXISTS (SELECT FROM order_hold h"
            "                 WHERE h.order_id = f.order_id AND h.lifted_at IS NULL)"
            " ORDER BY release_at, fulfillment_order_id LIMIT $2 FOR UPDATE SKIP LOCKED",
            now,
            limit,
        ),
    )


async def find_waiting(connection: asyncpg.Connection, from_at: datetime, limit: int) -> list[Work]:
    """Return all work of allocations with parcels that are not released before `from_at`.

    At most `limit` allocations, those whose release comes first. Orders with a place in a slot are
    not among them: another node or service might not keep it.
    """
    return await with_lines(
        connection,
        await connection.fetch(
            f"{ORDER} WHERE allocation_id IN (SELECT allocation_id FROM fulfillment_order"
            "  WHERE request_state = 'unsubmitted' AND state = 'open' AND method = 'ship'"
            "  AND release_at >= $1 AND NOT EXISTS (SELECT FROM capacity_hold"
            "   WHERE holder_id = allocation_id AND active AND node_id = '')"
            "  GROUP BY allocation_id"
            "  ORDER BY min(release_at), allocation_id LIMIT $2)"
            " ORDER BY allocation_id, fulfillment_order_id",
            from_at,
            limit,
        ),
    )


async def with_lines(
    connection: asyncpg.Connection, orders: Sequence[asyncpg.Record]
) -> list[Work]:
    """Return fulfillment orders together with their lines."""
    if not orders:
        return []
    rows = await connection.fetch(
        f"SELECT fulfillment_order_id, {', '.join(LINE_COLUMNS)} FROM fulfillment_line"
        " WHERE order_id = ANY($1::text[]) AND fulfillment_order_id = ANY($2::uuid[])"
        " ORDER BY fulfillment_order_id, part",
        [row["order_id"] for row in orders],
        [row["fulfillment_order_id"] for row in orders],
    )
    lines: dict[UUID, list[FulfillmentLine]] = {}
    for fulfillment_order_id, *values in rows:
        fields = dict(zip(LINE_COLUMNS, values, strict=True))
        lines.setdefault(fulfillment_order_id, []).append(FulfillmentLine(**fields))
    return [
        Work(FulfillmentOrder(**row), tuple(lines.get(row["fulfillment_order_id"], ())))
        for row in orders
    ]


async def save(connection: asyncpg.Connection, works: Sequence[Work]) -> list[Work]:
    """Write what has changed of locked fulfillment orders and their lines; count versions up.

    Returns them as they are kept now.
    """
    names = ("order_id", "fulfillment_order_id", *CHANGING)
    kinds = ("text", "uuid", *CHANGING.values())
    given = ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(kinds, 1))
    rows = await connection.fetch(
        f"UPDATE fulfillment_order f SET {', '.join(f'{name} = d.{name}' for name in CHANGING)},"
        f" changed_at = now(), version = f.version + 1 FROM unnest({given}) AS d ({', '.join(names)})"
        " WHERE (f.order_id, f.fulfillment_order_id) = (d.order_id, d.fulfillment_order_id)"
        " RETURNING f.fulfillment_order_id, f.changed_at, f.version",
        *columns([work.order for work in works], names),
    )
    kept = {row["fulfillment_order_id"]: row for row in rows}
    await save_lines(connection, works)
    return [
        Work(
            msgspec.structs.replace(
                work.order,
                changed_at=kept[work.order.fulfillment_order_id]["changed_at"],
                version=kept[work.order.fulfillment_order_id]["version"],
            ),
            work.lines,
        )
        for work in works
    ]


async def save_lines(connection: asyncpg.Connection, works: Sequence[Work]) -> None:
    """Write the counters of these fulfillment orders' lines where they differ."""
    names = ("order_id", "fulfillment_order_id", "part", *COUNTERS)
    rows = [
        (
            work.order.order_id,
            work.order.fulfillment_order_id,
            line.part,
            *(getattr(line, name) for name in COUNTERS),
        )
        for work in works
        for line in work.lines
    ]
    mine, given = (", ".join(f"{at}.{name}" for name in COUNTERS) for at in "ld")
    await connection.execute(
        f"UPDATE fulfillment_line l SET {', '.join(f'{name} = d.{name}' for name in COUNTERS)}"
        " FROM unnest($1::text[], $2::uuid[], $3::int[], $4::bigint[], $5::bigint[],"
        f" $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[]) AS d ({', '.join(names)})"
        " WHERE (l.order_id, l.fulfillment_order_id, l.part)"
        f" = (d.order_id, d.fulfillment_order_id, d.part) AND ({mine}) <> ({given})",
        *zip(*rows, strict=True),
    )


async def list_work(
    connection: asyncpg.Connection,
    node_id: str,
    *,
    states: Sequence[str] = (*LIVE_STATES, *COMING_STATES),
    method: str | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Work]:
    """Return a page of a node's live work that has been submitted, the most urgent first.

    That includes goods that were sent to it to be collected, until they are.
    """
    return await with_lines(
        connection,
        await connection.fetch(
            f"{ORDER} WHERE (node_id = $1 AND state IN {LIVE_STATES}"
            f" OR pickup_node = $1 AND pickup_node IS NOT NULL AND state IN {COMING_STATES})"
            " AND state = ANY($2::text[]) AND request_state <> 'unsubmitted' AND ($3::text IS NULL OR method = $3)"
            " AND ($4::timestamptz IS NULL OR (ship_by, fulfillment_order_id) > ($4, $5::uuid))"
            " ORDER BY ship_by, fulfillment_order_id LIMIT $6",
            node_id,
            list(states),
            method,
            *(after or (None, None)),
            limit,
        ),
    )


# What the work rests on


async def find_pegs(connection: asyncpg.Connection, holders: Sequence[UUID]) -> list[Peg]:
    """Return what these allocations wait for, with the date their supply is expected on."""
    rows = await connection.fetch(
        "SELECT r.holder_id, r.line_id, r.sku, r.node_id, r.quantity, r.supply_id, s.expected_on"
        " FROM reservation r JOIN supply s ON (s.sku, s.supply_id) = (r.sku, r.supply_id)"
        " WHERE r.holder_id = ANY($1::uuid[]) AND r.state = 'confirmed'"
        " AND r.supply_id IS NOT NULL"
        " ORDER BY s.expected_on, r.sku, r.reservation_id",
        list(holders),
    )
    return [Peg(**row) for row in rows]


async def find_slots(
    connection: asyncpg.Connection, allocation_ids: Sequence[UUID]
) -> list[asyncpg.Record]:
    """Return what is told of allocations with slots, once for each slot they ever had a place in."""
    return await connection.fetch(
        "SELECT a.allocation_id, a.body, h.slot AS slot_id, h.work_on AS taken_on, s.node_id"
        " FROM capacity_hold h JOIN slot s ON s.slot_id = h.slot"
        " JOIN allocation a ON a.allocation_id = h.holder_id"
        " WHERE h.holder_id = ANY($1::uuid[]) AND h.node_id = ''",
        list(allocation_ids),
    )


async def find_reserved(
    connection: asyncpg.Connection, holder: UUID
) -> dict[tuple[str, str, str], int]:
    """Return the units on hand that are confirmed for a holder, by line, sku and node."""
    rows = await connection.fetch(
        "SELECT line_id, sku, node_id, sum(quantity)::bigint AS quantity FROM reservation"
        " WHERE holder_id = $1 AND state = 'confirmed' AND supply_id IS NULL"
        " GROUP BY line_id, sku, node_id",
        holder,
    )
    return {(row["line_id"], row["sku"], row["node_id"]): row["quantity"] for row in rows}


async def find_node_kinds(
    connection: asyncpg.Connection, node_ids: Sequence[str]
) -> dict[str, str]:
    """Return the kind of each of these nodes."""
    rows = await connection.fetch(
        "SELECT node_id, kind FROM node WHERE node_id = ANY($1::text[])", list(node_ids)
    )
    return {row["node_id"]: row["kind"] for row in rows}


async def find_node(connection: asyncpg.Connection, node_id: str) -> asyncpg.Record | None:
    """Return a node with who works there."""
    return await connection.fetchrow(
        "SELECT node_id, partner_id FROM node WHERE node_id = $1", node_id
    )


async def find_nodes_of(
    connection: asyncpg.Connection, fulfillment_order_id: UUID
) -> list[asyncpg.Record]:
    """Return the node of a fulfillment order and who works there; then the store it sends to."""
    return await connection.fetch(
        "SELECT place.node_id, n.partner_id FROM fulfillment_order f"
        " CROSS JOIN LATERAL (VALUES (0, f.node_id), (1, f.pickup_node)) AS place (number, node_id)"
        " LEFT JOIN node n ON n.node_id = place.node_id"
        " WHERE f.fulfillment_order_id = $1 AND place.node_id IS NOT NULL ORDER BY place.number",
        fulfillment_order_id,
    )


async def find_allocations_of_order(
    connection: asyncpg.Connection, order_id: str, *, lock: bool = False
) -> dict[UUID, str]:
    """Return the state of each allocation of an order, the first made first, locked if asked."""
    rows = await connection.fetch(
        "SELECT allocation_id, state FROM allocation WHERE order_id = $1 ORDER BY allocation_id"
        + (" FOR UPDATE" if lock else ""),
        order_id,
    )
    return {row["allocation_id"]: row["state"] for row in rows}


# Shipments


async def insert_shipment(connection: asyncpg.Connection, shipment: Shipment) -> None:
    """Add a shipment."""
    await connection.execute(
        f"INSERT INTO shipment ({', '.join(SHIPMENT_COLUMNS)})"
        f" VALUES ({', '.join(f'${n}' for n in range(1, len(SHIPMENT_COLUMNS) + 1))})",
        *(getattr(shipment, name) for name in SHIPMENT_COLUMNS),
    )


async def find_shipments(
    connection: asyncpg.Connection, order_ids: Sequence[str]
) -> dict[UUID, list[Shipment]]:
    """Return the shipments of these orders by fulfillment order, the first shipped first."""
    rows = await connection.fetch(
        f"{SHIPMENT} WHERE order_id = ANY($1::text[]) ORDER BY shipped_at, shipment_id",
        list(order_ids),
    )
    found: dict[UUID, list[Shipment]] = {}
    for row in rows:
        found.setdefault(row["fulfillment_order_id"], []).append(Shipment(**row))
    return found


async def find_shipment(
    connection: asyncpg.Connection, order_id: str, shipment_id: UUID
) -> Shipment | None:
    """Return a shipment of an order."""
    row = await connection.fetchrow(
        f"{SHIPMENT} WHERE (order_id, shipment_id) = ($1, $2)", order_id, shipment_id
    )
    return Shipment(**row) if row else None


async def set_delivered(
    connection: asyncpg.Connection, work: FulfillmentOrder, delivered_at: datetime
) -> list[UUID]:
    """Note when the shipments of a fulfillment order that were under way arrived."""
    rows = await connection.fetch(
        "UPDATE shipment SET delivered_at = $3 WHERE order_id = $1 AND fulfillment_order_id = $2"
        " AND delivered_at IS NULL RETURNING shipment_id",
        work.order_id,
        work.fulfillment_order_id,
        delivered_at,
    )
    return [row["shipment_id"] for row in rows]


# Holds of orders


async def insert_hold(connection: asyncpg.Connection, hold: OrderHold) -> None:
    """Add a hold."""
    await connection.execute(
        "INSERT INTO order_hold (order_id, hold_id, reason, note, actor, placed_at)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        hold.order_id,
        hold.hold_id,
        hold.reason,
        hold.note,
        hold.actor,
        hold.placed_at,
    )


async def find_holds(connection: asyncpg.Connection, order_id: str) -> list[OrderHold]:
    """Return the holds of an order, lifted ones too, the first placed first."""
    rows = await connection.fetch(
        f"{HOLD} WHERE order_id = $1 ORDER BY placed_at, hold_id", order_id
    )
    return [OrderHold(**row) for row in rows]


async def find_held(connection: asyncpg.Connection, order_ids: Sequence[str]) -> set[str]:
    """Return those of these orders that a hold keeps back."""
    rows = await connection.fetch(
        "SELECT DISTINCT order_id FROM order_hold"
        " WHERE order_id = ANY($1::text[]) AND lifted_at IS NULL",
        list(order_ids),
    )
    return {row["order_id"] for row in rows}


async def lift_hold(
    connection: asyncpg.Connection, order_id: str, hold_id: UUID, actor: str
) -> bool:
    """Lift a hold; true when it was not lifted before."""
    done: str = await connection.execute(
        "UPDATE order_hold SET lifted_at = now(), lifted_by = $3"
        " WHERE (order_id, hold_id) = ($1, $2) AND lifted_at IS NULL",
        order_id,
        hold_id,
        actor,
    )
    return done == "UPDATE 1"
