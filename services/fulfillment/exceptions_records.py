"""SQL of rejections, exclusions and the exceptions queue."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import asyncpg
import msgspec

from services.fulfillment.tables import LIVE_STATES


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """Units that a node gave up, as they are kept."""

    order_id: str
    rejection_id: UUID
    fulfillment_order_id: UUID
    line_id: str
    sku: str
    node_id: str
    quantity: int
    reason: str
    matrix_version: int = 0
    excludes: bool = True
    """Whether the node is out for this sku of the order from now on, for good."""
    cascade: str | None = None
    """What is still to be rejected along: `sku` or `order`."""
    note: str = ""
    actor: str


class ExceptionRow(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person has to decide, as it is kept."""

    exception_id: UUID
    kind: str
    cause: str
    state: str = "open"
    order_id: str | None = None
    allocation_id: UUID | None = None
    fulfillment_order_id: UUID | None = None
    node_id: str | None = None
    partner_id: str | None = None
    skus: Sequence[str] = ()
    lines: str = "[]"
    """JSON of `exceptions.Unit`."""
    details: str = "{}"
    """JSON."""
    promise_on: date | None = None
    tries: int = 0
    retry_at: datetime | None = None
    resolution: str | None = None
    note: str = ""
    actor: str
    resolved_by: str | None = None
    opened_at: datetime
    changed_at: datetime
    resolved_at: datetime | None = None
    version: int = 0


class Short(msgspec.Struct, frozen=True):
    """A stock record or supply of which more is promised than it has."""

    sku: str
    node_id: str
    supply_id: str | None
    shortage: int


class Promise(msgspec.Struct, frozen=True):
    """Units of one holder at a place that is short, the weakest promise first."""

    holder_kind: str
    holder_id: UUID
    line_id: str
    state: str
    quantity: int
    promise_on: date


class Slip(msgspec.Struct, frozen=True):
    """Live work that waits for supply expected after its own date."""

    order_id: str
    allocation_id: UUID
    fulfillment_order_id: UUID
    node_id: str
    expected_on: date


EXCEPTION_COLUMNS = ExceptionRow.__struct_fields__
EXCEPTION = f"SELECT {', '.join(EXCEPTION_COLUMNS)} FROM exception"
CHANGING = ("skus", "lines", "details", "promise_on", "tries", "retry_at", "note")


# Reasons


async def find_matrix(connection: asyncpg.Connection) -> tuple[int, str] | None:
    """Return the newest version of the reasons, as JSON."""
    row = await connection.fetchrow(
        "SELECT version, reasons::text FROM rejection_matrix ORDER BY version DESC LIMIT 1"
    )
    return (row[0], row[1]) if row else None


async def insert_matrix(
    connection: asyncpg.Connection, version: int, reasons: str, actor: str
) -> None:
    """Add a version of the reasons."""
    await connection.execute(
        "INSERT INTO rejection_matrix (version, reasons, actor) VALUES ($1, $2::text::jsonb, $3)",
        version,
        reasons,
        actor,
    )


# Rejections and exclusions


async def insert_rejections(
    connection: asyncpg.Connection, rejections: Sequence[Rejection]
) -> None:
    """Add rejections."""
    names = Rejection.__struct_fields__
    await connection.executemany(
        f"INSERT INTO rejection ({', '.join(names)})"
        f" VALUES ({', '.join(f'${n}' for n in range(1, len(names) + 1))})",
        [[getattr(each, name) for name in names] for each in rejections],
    )


async def find_cascades(connection: asyncpg.Connection, limit: int) -> list[Rejection]:
    """Return rejections that still concern other work, the oldest first."""
    names = ", ".join(Rejection.__struct_fields__)
    rows = await connection.fetch(
        f"SELECT {names} FROM rejection WHERE cascade IS NOT NULL"
        " ORDER BY created_at, rejection_id LIMIT $1",
        limit,
    )
    return [Rejection(**row) for row in rows]


async def end_cascade(connection: asyncpg.Connection, order_id: str, rejection_id: UUID) -> None:
    """Note that nothing more is to be rejected along."""
    await connection.execute(
        "UPDATE rejection SET cascade = NULL WHERE (order_id, rejection_id) = ($1, $2)",
        order_id,
        rejection_id,
    )


async def find_excluded(connection: asyncpg.Connection, order_id: str) -> set[tuple[str, str]]:
    """Return the (node, sku) that have failed an order and serve it no more."""
    rows = await connection.fetch(
        "SELECT DISTINCT node_id, sku FROM rejection WHERE order_id = $1 AND excludes", order_id
    )
    return {(row["node_id"], row["sku"]) for row in rows}


async def put_exclusions(
    connection: asyncpg.Connection,
    places: Sequence[tuple[str, str]],
    until_at: Sequence[datetime],
    reason: str,
    actor: str,
) -> None:
    """Leave out (node, sku) until some instants; a longer exclusion that exists stays."""
    await connection.execute(
        "INSERT INTO exclusion AS e (node_id, sku, reason, actor, until_at)"
        " SELECT node_id, sku, $4, $5, until_at"
        " FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS d (node_id, sku, until_at)"
        " ORDER BY node_id, sku"
        " ON CONFLICT (node_id, sku) DO UPDATE SET until_at = excluded.until_at,"
        " reason = excluded.reason, actor = excluded.actor, created_at = now()"
        " WHERE e.until_at < excluded.until_at",
        [place[0] for place in places],
        [place[1] for place in places],
        list(until_at),
        reason,
        actor,
    )


async def end_exclusions(
    connection: asyncpg.Connection, now: datetime, limit: int
) -> list[tuple[str, str]]:
    """Delete exclusions whose time is over; return their (node, sku)."""
    rows = await connection.fetch(
        "DELETE FROM exclusion WHERE (node_id, sku) IN (SELECT node_id, sku FROM exclusion"
        " WHERE until_at <= $1 ORDER BY until_at LIMIT $2 FOR UPDATE SKIP LOCKED)"
        " RETURNING node_id, sku",
        now,
        limit,
    )
    return [(row["node_id"], row["sku"]) for row in rows]


async def units_in_hand(connection: asyncpg.Connection, sku: str, node_id: str) -> int:
    """Return the units of a sku that are picked at a node and have not left."""
    units: int = await connection.fetchval(
        "SELECT coalesce(sum(l.picked - l.shipped - l.collected), 0)::bigint"
        " FROM fulfillment_order f JOIN fulfillment_line l USING (order_id, fulfillment_order_id)"
        f" WHERE f.node_id = $2 AND f.state IN {LIVE_STATES} AND l.sku = $1",
        sku,
        node_id,
    )
    return units


async def find_same_work(
    connection: asyncpg.Connection, sku: str, node_id: str, limit: int
) -> list[UUID]:
    """Return live work of a node that still has to pick a sku, the latest promise first."""
    rows = await connection.fetch(
        "SELECT f.fulfillment_order_id FROM fulfillment_order f"
        f" WHERE f.node_id = $2 AND f.state IN {LIVE_STATES} AND EXISTS ("
        "  SELECT FROM fulfillment_line l"
        "  WHERE (l.order_id, l.fulfillment_order_id) = (f.order_id, f.fulfillment_order_id)"
        "  AND l.sku = $1 AND l.quantity > l.picked + l.rejected + l.cancelled)"
        " ORDER BY f.promise_latest DESC, f.fulfillment_order_id DESC LIMIT $3",
        sku,
        node_id,
        limit,
    )
    return [row["fulfillment_order_id"] for row in rows]


# What is short, late or silent


async def find_short(connection: asyncpg.Connection, after: str, limit: int) -> list[Short]:
    """Return places of which more is promised than there is, by sku from the one after `after`."""
    rows = await connection.fetch(
        "(SELECT sku, node_id, NULL AS supply_id, shortage FROM stock"
        "  WHERE shortage > 0 AND sku > $1 ORDER BY sku, node_id LIMIT $2)"
        " UNION ALL"
        " (SELECT sku, node_id, supply_id, shortage FROM supply"
        "  WHERE shortage > 0 AND sku > $1 ORDER BY sku, supply_id LIMIT $2)"
        " ORDER BY sku, node_id, supply_id NULLS FIRST LIMIT $2",
        after,
        limit,
    )
    return [Short(**row) for row in rows]


async def shortage_at(connection: asyncpg.Connection, place: Short) -> int:
    """Return by how much a place is short now."""
    if place.supply_id is None:
        units = await connection.fetchval(
            "SELECT shortage FROM stock WHERE (sku, node_id) = ($1, $2)", place.sku, place.node_id
        )
    else:
        units = await connection.fetchval(
            "SELECT shortage FROM supply WHERE (sku, supply_id) = ($1, $2)",
            place.sku,
            place.supply_id,
        )
    return units or 0


async def find_promises(connection: asyncpg.Connection, place: Short, limit: int) -> list[Promise]:
    """Return what is promised from a place, the weakest promise first.

    Unconfirmed ones come first, then those for the latest date, then the newest.
    """
    rows = await connection.fetch(
        "SELECT holder_kind, holder_id, line_id, state, quantity, promise_on FROM reservation"
        " WHERE sku = $1 AND node_id = $2 AND supply_id IS NOT DISTINCT FROM $3"
        " AND state IN ('held', 'confirmed')"
        " ORDER BY state = 'confirmed', promise_on DESC, created_at DESC, reservation_id DESC"
        " LIMIT $4",
        place.sku,
        place.node_id,
        place.supply_id,
        limit,
    )
    return [Promise(**row) for row in rows]


async def find_slips(connection: asyncpg.Connection, limit: int) -> list[Slip]:
    """Return live work that waits for supply expected later than when it was to be worked off."""
    rows = await connection.fetch(
        "SELECT f.order_id, f.allocation_id, f.fulfillment_order_id, f.node_id,"
        " max(u.expected_on) AS expected_on"
        " FROM reservation r"
        " JOIN supply u ON (u.sku, u.supply_id) = (r.sku, r.supply_id)"
        " JOIN node n ON n.node_id = r.node_id"
        " JOIN fulfillment_order f ON f.allocation_id = r.holder_id AND f.node_id = r.node_id"
        " JOIN fulfillment_line l ON (l.order_id, l.fulfillment_order_id, l.line_id, l.sku)"
        "  = (f.order_id, f.fulfillment_order_id, r.line_id, r.sku)"
        " WHERE r.state = 'confirmed' AND r.supply_id IS NOT NULL"
        " AND u.expected_on + n.handling_days > f.work_on"
        f" AND f.state IN {LIVE_STATES} AND l.supply_id IS NOT NULL"
        " AND l.quantity > l.picked + l.rejected + l.cancelled"
        " GROUP BY 1, 2, 3, 4 ORDER BY max(r.promise_on), f.fulfillment_order_id LIMIT $1",
        limit,
    )
    return [Slip(**row) for row in rows]


async def find_silent(connection: asyncpg.Connection, now: datetime, limit: int) -> list[UUID]:
    """Return submitted work that has not been answered in time and is not in the queue for it."""
    rows = await connection.fetch(
        "SELECT fulfillment_order_id FROM fulfillment_order f"
        " WHERE request_state = 'submitted' AND answer_by <= $1 AND NOT EXISTS ("
        "  SELECT FROM exception e WHERE e.order_id = f.order_id AND e.kind = 'partner_silent'"
        "  AND e.fulfillment_order_id = f.fulfillment_order_id)"
        " ORDER BY answer_by, fulfillment_order_id LIMIT $2",
        now,
        limit,
    )
    return [row["fulfillment_order_id"] for row in rows]


async def set_dates(
    connection: asyncpg.Connection,
    fulfillment_order_id: UUID,
    work_on: date,
    ship_by: datetime,
    promise: tuple[date, date],
) -> None:
    """Set the dates of locked work."""
    await connection.execute(
        "UPDATE fulfillment_order SET work_on = $2, ship_by = $3, promise_earliest = $4,"
        " promise_latest = $5, changed_at = now(), version = version + 1"
        " WHERE fulfillment_order_id = $1",
        fulfillment_order_id,
        work_on,
        ship_by,
        *promise,
    )


# Exceptions


async def lock_open(connection: asyncpg.Connection, kind: str, cause: str) -> ExceptionRow | None:
    """Return the open exception of a cause, locked."""
    row = await connection.fetchrow(
        f"{EXCEPTION} WHERE kind = $1 AND cause = $2 AND state = 'open' FOR UPDATE", kind, cause
    )
    return ExceptionRow(**row) if row else None


async def insert_exception(connection: asyncpg.Connection, row: ExceptionRow) -> bool:
    """Add an exception; false when its cause has an open one."""
    names = EXCEPTION_COLUMNS
    given = [
        f"${n}::text::jsonb" if name in ("lines", "details") else f"${n}"
        for n, name in enumerate(names, 1)
    ]
    done: str = await connection.execute(
        f"INSERT INTO exception ({', '.join(names)}) VALUES ({', '.join(given)})"
        " ON CONFLICT (kind, cause) WHERE state = 'open' DO NOTHING",
        *(getattr(row, name) for name in names),
    )
    return done == "INSERT 0 1"


async def save_exception(connection: asyncpg.Connection, row: ExceptionRow) -> None:
    """Write what has changed of a locked exception that stays open."""
    given = [
        f"{name} = ${n}{'::text::jsonb' if name in ('lines', 'details') else ''}"
        for n, name in enumerate(CHANGING, 2)
    ]
    await connection.execute(
        f"UPDATE exception SET {', '.join(given)}, changed_at = now(), version = version + 1"
        " WHERE exception_id = $1",
        row.exception_id,
        *(getattr(row, name) for name in CHANGING),
    )


async def end_exception(
    connection: asyncpg.Connection,
    exception_id: UUID,
    state: str,
    resolution: str,
    *,
    note: str,
    actor: str,
) -> None:
    """End a locked exception."""
    await connection.execute(
        "UPDATE exception SET state = $2, resolution = $3,"
        " note = CASE WHEN $4 = '' THEN note ELSE $4 END, resolved_by = $5, resolved_at = now(),"
        " changed_at = now(), version = version + 1 WHERE exception_id = $1",
        exception_id,
        state,
        resolution,
        note,
        actor,
    )


async def find_exception(
    connection: asyncpg.Connection, exception_id: UUID, *, lock: bool = False
) -> ExceptionRow | None:
    """Return an exception, locked where that is asked for."""
    row = await connection.fetchrow(
        f"{EXCEPTION} WHERE exception_id = $1{' FOR UPDATE' if lock else ''}", exception_id
    )
    return ExceptionRow(**row) if row else None


async def lock_exceptions_of(
    connection: asyncpg.Connection, allocation_id: UUID
) -> list[ExceptionRow]:
    """Return the open exceptions of an allocation, locked."""
    rows = await connection.fetch(
        f"{EXCEPTION} WHERE order_id = (SELECT order_id FROM allocation WHERE allocation_id = $1)"
        " AND allocation_id = $1 AND state = 'open' ORDER BY exception_id FOR UPDATE",
        allocation_id,
    )
    return [ExceptionRow(**row) for row in rows]


async def list_exceptions(
    connection: asyncpg.Connection,
    equals: dict[str, str],
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[ExceptionRow]:
    """Return a page of exceptions whose columns have these values, the oldest first."""
    names = [*equals]
    filters = "".join(f" AND {name} = ${n}" for n, name in enumerate(names, 4))
    rows = await connection.fetch(
        f"{EXCEPTION} WHERE ($1::timestamptz IS NULL OR (opened_at, exception_id) > ($1, $2::uuid))"
        f"{filters} ORDER BY opened_at, exception_id LIMIT $3",
        *(after or (None, None)),
        limit,
        *(equals[name] for name in names),
    )
    return [ExceptionRow(**row) for row in rows]


async def find_outdated(connection: asyncpg.Connection, limit: int) -> list[UUID]:
    """Return open exceptions about work that is over, or that its node has answered by now."""
    rows = await connection.fetch(
        "SELECT e.exception_id FROM exception e"
        " JOIN fulfillment_order f ON f.fulfillment_order_id = e.fulfillment_order_id"
        " WHERE e.state = 'open' AND e.kind IN ('late', 'short', 'partner_silent')"
        f" AND (f.state NOT IN {LIVE_STATES}"
        "  OR (e.kind = 'partner_silent' AND f.request_state <> 'submitted'))"
        " ORDER BY e.opened_at LIMIT $1",
        limit,
    )
    return [row["exception_id"] for row in rows]


async def is_known(connection: asyncpg.Connection, kind: str, cause: str) -> bool:
    """Tell whether a cause is in the queue, or a person has taken it out as it is."""
    found: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM exception"
        " WHERE kind = $1 AND cause = $2 AND state IN ('open', 'dismissed'))",
        kind,
        cause,
    )
    return found


async def find_retriable(
    connection: asyncpg.Connection, kinds: Sequence[str], now: datetime, limit: int
) -> list[UUID]:
    """Return exceptions that are due to be tried again and whose skus something is free of.

    The earliest promise first, so that what has come in goes to whom it was promised first.
    """
    rows = await connection.fetch(
        "SELECT exception_id FROM exception e WHERE state = 'open' AND kind = ANY($1::text[])"
        " AND retry_at <= $2 AND (EXISTS (SELECT FROM stock s WHERE s.sku = ANY(e.skus)"
        "   AND s.on_hand - s.reserved - s.unavailable > 0)"
        "  OR EXISTS (SELECT FROM supply u WHERE u.sku = ANY(e.skus)"
        "   AND greatest(u.quantity - u.received, 0) * u.trust_percent / 100 > u.promised)"
        "  OR kind = 'short')"
        " ORDER BY promise_on NULLS LAST, opened_at, exception_id LIMIT $3",
        list(kinds),
        now,
        limit,
    )
    return [row["exception_id"] for row in rows]
