"""The exceptions queue: what a person has to decide, once for each cause, and what came of it."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Meta
from prometheus_client import Counter

from services import records as shared_records
from services.fulfillment import exceptions_records as records
from services.fulfillment.exceptions_records import ExceptionRow
from services.ids import new_id
from services.problems import Refused

Kind = Literal[
    "unroutable",
    "attempts",
    "late",
    "short",
    "partner_silent",
    "endpoint_disabled",
    "feed_stale",
]
State = Literal["open", "resolved", "dismissed"]
HOMELESS: tuple[Kind, ...] = ("unroutable", "attempts")
"""Kinds whose units are at no node: nothing is reserved for them."""
ABOUT_WORK: tuple[Kind, ...] = ("late", "short", "partner_silent")
"""Kinds that are about work which still has its units."""
RETRIED: tuple[Kind, ...] = ("unroutable", "short")
"""Kinds that are tried again by themselves when there is something to try them with."""
exceptions_total = Counter("nom_exceptions", "Exceptions opened", ["kind"])
RETRY_FIRST = timedelta(seconds=5)
RETRY_LAST = timedelta(minutes=10)
"""Pauses between tries: each twice as long as the one before, up to the last."""


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """Units of one line that an exception is about."""

    line_id: str
    sku: str
    quantity: int
    unit_price_minor: int | None = None
    supply_id: str | None = None


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What an exception is about, as far as that is known."""

    order_id: str | None = None
    allocation_id: UUID | None = None
    fulfillment_order_id: UUID | None = None
    node_id: str | None = None
    partner_id: str | None = None
    lines: tuple[Unit, ...] = ()
    promise_on: date | None = None
    details: Mapping[str, Any] = {}


class ExceptionAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person has to decide, or has decided."""

    exception_id: UUID
    kind: Kind
    state: State
    order_id: str | None
    allocation_id: UUID | None
    fulfillment_order_id: Annotated[
        UUID | None, Meta(description="The work that gave the units up, or that is late or silent.")
    ]
    node_id: str | None
    partner_id: str | None
    lines: Annotated[tuple[Unit, ...], Meta(description="The units at stake.")]
    promise_on: Annotated[date | None, Meta(description="The latest date promised for them.")]
    details: dict[str, Any]
    tries: Annotated[int, Meta(description="How often it was tried again.")]
    retry_at: Annotated[datetime | None, Meta(description="When it is tried again by itself.")]
    resolution: str | None
    note: str
    actor: Annotated[str, Meta(description="Whose doing opened it.")]
    resolved_by: str | None
    opened_at: datetime
    resolved_at: datetime | None
    version: int


async def open_exception(
    connection: asyncpg.Connection, kind: Kind, cause: str, about: About, *, actor: str
) -> UUID:
    """Put something into the queue, in the transaction of what happened; return its id.

    `cause` names what it is about, such as a fulfillment order or an endpoint. A cause that is in
    the queue already is not there twice: its units are added to those that are.
    """
    now = await shared_records.database_now(connection)
    found = await records.lock_open(connection, kind, cause)
    if found is None:
        row = ExceptionRow(
            exception_id=new_id(),
            kind=kind,
            cause=cause,
            order_id=about.order_id,
            allocation_id=about.allocation_id,
            fulfillment_order_id=about.fulfillment_order_id,
            node_id=about.node_id,
            partner_id=about.partner_id,
            skus=sorted({each.sku for each in about.lines}),
            lines=msgspec.json.encode(about.lines).decode(),
            details=msgspec.json.encode(about.details).decode(),
            promise_on=about.promise_on,
            retry_at=now + RETRY_FIRST if kind in RETRIED else None,
            actor=actor,
            opened_at=now,
            changed_at=now,
        )
        if await records.insert_exception(connection, row):
            exceptions_total.labels(kind).inc()
            await tell(connection, "opened", row, actor)
            return row.exception_id
        # Somebody has opened it meanwhile and committed, or the insert would have waited.
        found = await records.lock_open(connection, kind, cause)
    if found is None:
        raise asyncpg.SerializationError(f"{kind} {cause} was opened and ended meanwhile")
    if about.lines or about.details:
        # Units that are at no node add up; of those that are at one the newest account counts.
        before = lines_of(found)
        lines = (*before, *about.lines) if kind in HOMELESS else about.lines or before
        grown = with_lines(found, lines, about.details)
        if (grown.lines, grown.details) != (found.lines, found.details):
            await records.save_exception(connection, grown)
            await tell(connection, "opened", grown, actor)
    return found.exception_id


def with_lines(
    row: ExceptionRow, lines: Sequence[Unit], details: Mapping[str, Any] | None = None
) -> ExceptionRow:
    """Return an exception about other units; those of one line and price are summed."""
    summed: dict[Unit, int] = {}
    for each in lines:
        key = msgspec.structs.replace(each, quantity=0)
        summed[key] = summed.get(key, 0) + each.quantity
    kept = tuple(
        msgspec.structs.replace(key, quantity=units) for key, units in summed.items() if units
    )
    known = msgspec.json.decode(row.details)
    # Put off twice, what counts for the customer is what was promised first.
    first = {name: known[name] for name in ("promised_on",) if name in known}
    return msgspec.structs.replace(
        row,
        skus=sorted({each.sku for each in kept}),
        lines=msgspec.json.encode(kept).decode(),
        details=msgspec.json.encode({**known, **(details or {}), **first}).decode(),
    )


def lines_of(row: ExceptionRow) -> tuple[Unit, ...]:
    """Return the units that an exception is about."""
    return msgspec.json.decode(row.lines, type=tuple[Unit, ...])


async def resolve(
    connection: asyncpg.Connection,
    row: ExceptionRow,
    resolution: str,
    *,
    actor: str,
    note: str = "",
) -> None:
    """End a locked, open exception: `resolution` says how."""
    await records.end_exception(
        connection, row.exception_id, "resolved", resolution, note=note, actor=actor
    )
    ended = msgspec.structs.replace(row, state="resolved", resolution=resolution)
    await tell(connection, "resolved", ended, actor)


async def resolve_cause(
    connection: asyncpg.Connection, kind: Kind, cause: str, resolution: str, *, actor: str
) -> bool:
    """End the open exception of a cause, if there is one; say whether there was."""
    row = await records.lock_open(connection, kind, cause)
    if row is not None:
        await resolve(connection, row, resolution, actor=actor)
    return row is not None


async def dismiss(
    connection: asyncpg.Connection, exception_id: UUID, *, note: str, actor: str
) -> ExceptionAnswer:
    """Take something out of the queue without doing anything about it.

    Raises `not-found`; `illegal-state` when it is over, or when units would be forgotten.
    """
    row = await lock(connection, exception_id)
    if row.kind in HOMELESS and lines_of(row):
        raise Refused(
            "illegal-state",
            "The customer still waits for these units; override it to place or cancel them.",
            state=row.state,
        )
    await records.end_exception(
        connection, exception_id, "dismissed", "dismissed", note=note, actor=actor
    )
    ended = msgspec.structs.replace(row, state="dismissed", resolution="dismissed")
    await tell(connection, "resolved", ended, actor)
    return await find(connection, exception_id)


async def lock(connection: asyncpg.Connection, exception_id: UUID) -> ExceptionRow:
    """Return an open exception, locked; raises `not-found`, `illegal-state` when it is over."""
    row = await records.find_exception(connection, exception_id, lock=True)
    if row is None:
        raise unknown(exception_id)
    if row.state != "open":
        raise Refused(
            "illegal-state",
            f"The exception is {row.state} ({row.resolution}); nothing is left to decide.",
            state=row.state,
        )
    return row


async def find(connection: asyncpg.Connection, exception_id: UUID) -> ExceptionAnswer:
    """Return an exception; raises `not-found`."""
    row = await records.find_exception(connection, exception_id)
    if row is None:
        raise unknown(exception_id)
    return told(row)


def told(row: ExceptionRow) -> ExceptionAnswer:
    """Return an exception as it is told."""
    names = (*ExceptionAnswer.__struct_fields__,)
    fields = {name: getattr(row, name) for name in names if name not in ("lines", "details")}
    return ExceptionAnswer(**fields, lines=lines_of(row), details=msgspec.json.decode(row.details))


def unknown(exception_id: UUID) -> Refused:
    """Return the refusal for an exception that does not exist."""
    return Refused("not-found", f"There is no exception {exception_id}.")


async def tried(connection: asyncpg.Connection, row: ExceptionRow, now: datetime) -> None:
    """Count a try that did not help, and say when the next one is due."""
    pause = min(RETRY_FIRST * 2 ** min(row.tries, 20), RETRY_LAST)
    again = now + pause if row.kind in RETRIED else None
    await records.save_exception(
        connection, msgspec.structs.replace(row, tries=row.tries + 1, retry_at=again)
    )


async def tell(connection: asyncpg.Connection, what: str, row: ExceptionRow, actor: str) -> None:
    """Append the event of an exception; its subject is the order where there is one."""
    payload: dict[str, object] = {
        "exception_id": str(row.exception_id),
        "kind": row.kind,
        "fulfillment_order_id": str(row.fulfillment_order_id) if row.fulfillment_order_id else None,
        "node_id": row.node_id,
        "lines": [
            {"line_id": each.line_id, "sku": each.sku, "quantity": each.quantity}
            for each in lines_of(row)
        ],
    }
    if what == "resolved":
        payload["resolution"] = row.resolution
    subject = row.order_id or row.cause
    await shared_records.insert_events(
        connection,
        [shared_records.Event(new_id(), f"exception.{what}", subject, actor, payload)],
    )
