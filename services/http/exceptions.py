"""Calls about the exceptions queue: what could not be done, and what a person decides about it."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import asyncpg
import msgspec
from litestar import Response, get, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta

from routing.problem import Method
from services.fulfillment import deciding, exceptions, exceptions_records
from services.fulfillment.deciding import Action, Decision
from services.fulfillment.exceptions import ExceptionAnswer, Kind, Unit
from services.http import rejections
from services.http.access import allow, guard_idempotency
from services.http.answers import WRITE, Write, raises, respond
from services.http.checkout import Call, claim_of
from services.http.fields import (
    PAGE_DEFAULT,
    Cursor,
    Id,
    Limit,
    QueryId,
    Text,
    UnitsTaken,
)
from services.http.paging import after, cursor_of
from services.http.rejections import means_of
from services.http.work import LINES_MAX
from services.orders.idempotency import Answer, answer, once
from services.problems import Refused
from services.runtime import Runtime

DECISION_KINDS = (
    *WRITE,
    "not-found",
    "illegal-state",
    "insufficient-stock",
    "contended",
    "quantity-not-positive",
    "quantity-not-whole",
)


class ExceptionsPage(msgspec.Struct, frozen=True):
    """A part of the queue, the oldest first."""

    exceptions: list[ExceptionAnswer]
    next_cursor: str | None


class DecidedLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Units of one line that a decision is about."""

    line_id: Id
    sku: Id
    quantity: UnitsTaken


class OverrideRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person wants done."""

    action: Annotated[
        Literal["place", "cancel", "accept"],
        Meta(
            description="`place` the units at a node, whose buffers and exclusions do not bind a "
            "person; `cancel` them for good; `accept` the later promise."
        ),
    ]
    node_id: Annotated[Id | None, Meta(description="For `place`; any node without.")] = None
    method: Annotated[Method | None, Meta(description="For `place`; as before without.")] = None
    service: Annotated[Id | None, Meta(description="For `place`; any carrier without.")] = None
    lines: Annotated[
        Annotated[list[DecidedLine], Meta(min_length=1, max_length=LINES_MAX)] | None,
        Meta(description="All of them without."),
    ] = None
    note: Text = ""


class NoteRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why."""

    note: Annotated[Text, Meta(min_length=1)]


@get(
    "/v1/exceptions",
    opt=allow("planner", "operator"),
    responses=raises(),
    tags=["exceptions"],
)
async def list_exceptions(  # noqa: PLR0913, PLR0917 - the filters, by name
    state: State,
    kind: Annotated[Kind | None, QueryParameter(description="Only of this kind.")] = None,
    exception_state: Annotated[
        Literal["open", "resolved", "dismissed"],
        QueryParameter(name="state", description="Only in this state."),
    ] = "open",
    order_id: QueryId = None,
    node_id: QueryId = None,
    cursor: Cursor = None,
    limit: Limit = PAGE_DEFAULT,
) -> ExceptionsPage:
    """List what waits for a decision, the oldest first, or what was decided."""
    runtime: Runtime = state.runtime
    filters = {
        "state": exception_state,
        "kind": kind,
        "order_id": order_id,
        "node_id": node_id,
    }
    start = place_of(after(cursor, 2))
    async with runtime.database.connect() as connection:
        rows = await exceptions_records.list_exceptions(
            connection,
            {name: value for name, value in filters.items() if value is not None},
            start,
            limit,
        )
    page = [exceptions.told(row) for row in rows]
    return ExceptionsPage(
        page,
        cursor_of(page, limit, lambda each: (each.opened_at.isoformat(), str(each.exception_id))),
    )


def place_of(cursor: tuple[str, ...]) -> tuple[datetime, UUID] | None:
    """Return where a page begins; none for the first. Raises `invalid-parameter`."""
    opened_at, exception_id = cursor
    if not opened_at:
        return None
    try:
        return datetime.fromisoformat(opened_at).astimezone(UTC), UUID(exception_id)
    except (ValueError, OverflowError):
        raise Refused(
            "invalid-parameter", "cursor: send the next_cursor of the page before."
        ) from None


@get(
    "/v1/exceptions/{exception_id:uuid}",
    opt=allow("planner", "operator"),
    responses=raises("not-found"),
    tags=["exceptions"],
)
async def get_exception(exception_id: FromPath[UUID], state: State) -> ExceptionAnswer:
    """Show an exception: what it is about, what was tried, what can be chosen between."""
    runtime: Runtime = state.runtime
    async with runtime.database.connect() as connection:
        return await exceptions.find(connection, exception_id)


async def decided(
    request: Call, state: State, exception_id: UUID, decision: Decision, body: object
) -> Response[ExceptionAnswer]:
    """Carry out a decision once per key, and tell how the exception stands after it."""
    runtime: Runtime = state.runtime
    claimed = claim_of(request, body)

    async def run(work: Any) -> Answer:
        async def and_tell(connection: asyncpg.Connection) -> Answer:
            await work(connection)
            return answer(200, await exceptions.find(connection, exception_id))

        return await once(runtime.database, claimed, and_tell)

    done = await deciding.decide(means_of(runtime), exception_id, decision, run)
    return respond(done, ExceptionAnswer)


@post(
    "/v1/exceptions/{exception_id:uuid}/retry",
    status_code=200,
    opt=allow("planner", "operator"),
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(*WRITE, "not-found", "illegal-state"),
    tags=["exceptions"],
)
async def retry(
    exception_id: FromPath[UUID], request: Call, state: State
) -> Response[ExceptionAnswer]:
    """Look for a place for its units once more, now."""
    decision = Decision(action="retry", actor=request.user.actor)
    return await decided(request, state, exception_id, decision, None)


@post(
    "/v1/exceptions/{exception_id:uuid}/override",
    status_code=200,
    opt=allow("planner", "operator"),
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(*DECISION_KINDS),
    tags=["exceptions"],
)
async def override(
    exception_id: FromPath[UUID], data: JSONBody[OverrideRequest], request: Call, state: State
) -> Response[ExceptionAnswer]:
    """Decide by hand: place the units, cancel them, or accept that they come later.

    Stock guards a placement as it guards every other: what is not there cannot be promised.
    """
    action: Action = data.action
    lines = None
    if data.lines is not None:
        lines = tuple(
            Unit(line_id=each.line_id, sku=each.sku, quantity=each.quantity) for each in data.lines
        )
    decision = Decision(
        action=action,
        actor=request.user.actor,
        node_id=data.node_id,
        method=data.method,
        service=data.service,
        lines=lines,
        note=data.note,
    )
    return await decided(request, state, exception_id, decision, data)


@post(
    "/v1/exceptions/{exception_id:uuid}/dismiss",
    status_code=200,
    opt=allow("planner", "operator"),
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(*WRITE, "not-found", "illegal-state"),
    tags=["exceptions"],
)
async def dismiss(
    exception_id: FromPath[UUID], data: JSONBody[NoteRequest], request: Call, state: State
) -> Response[ExceptionAnswer]:
    """Take something out of the queue without doing anything about it, and say why.

    Units that no node has cannot be dismissed: the customer still waits for them.
    """

    async def work(connection: asyncpg.Connection) -> Answer:
        return answer(
            200,
            await exceptions.dismiss(
                connection, exception_id, note=data.note, actor=request.user.actor
            ),
        )

    given = await once(state.runtime.database, claim_of(request, data), work)
    return respond(given, ExceptionAnswer)


handlers = [
    *rejections.handlers,
    list_exceptions,
    get_exception,
    retry,
    override,
    dismiss,
]
