"""SQL of returns and amendments."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from services.fulfillment import records as work_records
from services.fulfillment.records import Work


class ReturnLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a return as it is kept."""

    number: int
    line_id: str
    sku: str
    quantity: int
    reason: str
    disposition: str
    received: int = 0
    restocked: int = 0
    scrapped: int = 0
    to_vendor: int = 0
    amount_minor: int | None = None

    @property
    def pending(self) -> int:
        """Units that came in and of which nobody has decided yet what becomes of them."""
        return self.received - self.restocked - self.scrapped - self.to_vendor


class Return(msgspec.Struct, frozen=True, kw_only=True):
    """Goods that come back, as they are kept."""

    order_id: str
    return_id: UUID
    reference: str
    state: str = "announced"
    node_id: str | None
    exchange_order_id: str | None = None
    exchange_allocation_id: UUID | None = None
    actor: str
    announced_at: datetime
    received_at: datetime | None = None
    ended_at: datetime | None = None
    version: int = 0
    lines: tuple[ReturnLine, ...] = ()


FIELDS = Return.__struct_fields__[:-1]
LINE_FIELDS = ReturnLine.__struct_fields__
RETURN = f"SELECT {', '.join(FIELDS)} FROM goods_return"


async def insert_return(connection: asyncpg.Connection, given: Return) -> None:
    """Add a return with its lines."""
    await connection.execute(
        f"INSERT INTO goods_return ({', '.join(FIELDS)})"
        f" VALUES ({', '.join(f'${n}' for n in range(1, len(FIELDS) + 1))})",
        *(getattr(given, name) for name in FIELDS),
    )
    await connection.executemany(
        f"INSERT INTO goods_return_line (order_id, return_id, {', '.join(LINE_FIELDS)})"
        f" VALUES ({', '.join(f'${n}' for n in range(1, len(LINE_FIELDS) + 3))})",
        [
            (given.order_id, given.return_id, *(getattr(line, name) for name in LINE_FIELDS))
            for line in given.lines
        ],
    )


async def find_return(connection: asyncpg.Connection, return_id: UUID) -> Return | None:
    """Return one return."""
    rows = await connection.fetch(RETURN + " WHERE return_id = $1", return_id)
    found = await with_lines(connection, rows)
    return found[0] if found else None


async def lock_return(connection: asyncpg.Connection, return_id: UUID) -> Return | None:
    """Return one return, locked until the transaction ends."""
    rows = await connection.fetch(RETURN + " WHERE return_id = $1 FOR UPDATE", return_id)
    found = await with_lines(connection, rows)
    return found[0] if found else None


async def find_of_order(connection: asyncpg.Connection, order_id: str) -> list[Return]:
    """Return the returns of an order, the first announced first."""
    return await with_lines(
        connection,
        await connection.fetch(RETURN + " WHERE order_id = $1 ORDER BY return_id", order_id),
    )


async def with_lines(
    connection: asyncpg.Connection, rows: Sequence[asyncpg.Record]
) -> list[Return]:
    """Return returns together with their lines."""
    if not rows:
        return []
    found = await connection.fetch(
        f"SELECT return_id, {', '.join(LINE_FIELDS)} FROM goods_return_line"
        " WHERE order_id = ANY($1::text[]) AND return_id = ANY($2::uuid[])"
        " ORDER BY return_id, number",
        [row["order_id"] for row in rows],
        [row["return_id"] for row in rows],
    )
    lines: dict[UUID, list[ReturnLine]] = {row["return_id"]: [] for row in rows}
    for return_id, *values in found:
        fields = dict(zip(LINE_FIELDS, values, strict=True))
        lines[return_id].append(ReturnLine(**fields))
    return [Return(**row, lines=tuple(lines[row["return_id"]])) for row in rows]


async def save(connection: asyncpg.Connection, given: Return) -> Return:
    """Write what has become of a locked return and its lines; count its version up."""
    await connection.execute(
        "UPDATE goods_return SET state = $3, node_id = $4, exchange_order_id = $5,"
        " exchange_allocation_id = $6, received_at = $7, ended_at = $8, version = version + 1"
        " WHERE (order_id, return_id) = ($1, $2)",
        given.order_id,
        given.return_id,
        given.state,
        given.node_id,
        given.exchange_order_id,
        given.exchange_allocation_id,
        given.received_at,
        given.ended_at,
    )
    await connection.executemany(
        "UPDATE goods_return_line SET disposition = $4, received = $5, restocked = $6,"
        " scrapped = $7, to_vendor = $8, amount_minor = $9"
        " WHERE (order_id, return_id, number) = ($1, $2, $3)",
        [
            (
                given.order_id,
                given.return_id,
                line.number,
                line.disposition,
                line.received,
                line.restocked,
                line.scrapped,
                line.to_vendor,
                line.amount_minor,
            )
            for line in given.lines
        ],
    )
    return msgspec.structs.replace(given, version=given.version + 1)


async def lock_works(connection: asyncpg.Connection, order_id: str) -> list[Work]:
    """Lock an order's fulfillment orders and return them, the first made first."""
    await connection.execute(
        "SELECT FROM fulfillment_order WHERE order_id = $1 ORDER BY fulfillment_order_id FOR UPDATE",
        order_id,
    )
    # A statement of its own, which sees what the locks have waited for.
    return await work_records.find_of_order(connection, order_id)


async def insert_amendment(connection: asyncpg.Connection, row: Sequence[Any]) -> None:
    """Add the quote of a change to an order."""
    await connection.execute(
        "INSERT INTO amendment (order_id, amendment_id, request, quote, actor, valid_until)"
        " VALUES ($1, $2, $3::jsonb, $4::jsonb, $5, $6)",
        *row,
    )


async def lock_amendment(
    connection: asyncpg.Connection, order_id: str, amendment_id: UUID
) -> asyncpg.Record | None:
    """Return the quote of a change, locked until the transaction ends."""
    return await connection.fetchrow(
        "SELECT request::text, quote::text, valid_until, applied_at FROM amendment"
        " WHERE (order_id, amendment_id) = ($1, $2) FOR UPDATE",
        order_id,
        amendment_id,
    )


async def set_applied(connection: asyncpg.Connection, order_id: str, amendment_id: UUID) -> None:
    """Note that a locked change has been made."""
    await connection.execute(
        "UPDATE amendment SET applied_at = now() WHERE (order_id, amendment_id) = ($1, $2)",
        order_id,
        amendment_id,
    )


async def set_plan(
    connection: asyncpg.Connection, allocation_id: UUID, body: bytes, zone_id: str | None
) -> None:
    """Replace what is told of a locked allocation, and where it goes."""
    await connection.execute(
        "UPDATE allocation SET body = $2, zone_id = $3 WHERE allocation_id = $1",
        allocation_id,
        body,
        zone_id,
    )
