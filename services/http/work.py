"""Calls of nodes about their work: what there is to do, and each step of doing it."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import asyncpg
import msgspec
from litestar import Response, get, post
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers.base import BaseRouteHandler
from litestar.openapi.spec import OpenAPIType, Parameter, Schema
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta

from routing.problem import Method
from services.fulfillment import answers, cancel, records, rights, steps
from services.fulfillment.answers import FulfillmentOrderAnswer
from services.fulfillment.records import Work
from services.fulfillment.steps import Ask
from services.fulfillment.tables import COMING_STATES, LIVE_STATES
from services.fulfillment.units import LineUnits
from services.http.access import EVERYONE, allow, guard_idempotency
from services.http.answers import WRITE, Write, raises, respond
from services.http.checkout import Call, claim_of
from services.http.fields import (
    PAGE_DEFAULT,
    Cursor,
    Limit,
    PathId,
    Text,
)
from services.http.paging import after, cursor_of
from services.orders.idempotency import Answer, answer, once, refusal
from services.problems import Refused
from services.runtime import Runtime

IF_MATCH = "If-Match"
VERSION = re.compile(r"[0-9]{1,18}")
"""What an `ETag` of ours has between its quotes."""
LINES_MAX = 1_000
FIRST = datetime(2000, 1, 1, tzinfo=UTC)
"""No work had to leave earlier."""
STEP_KINDS = (*WRITE, "not-found", "version-mismatch", "illegal-state")
"""What any step may answer."""
AT_STORE = ("ready", "hand-over")
"""Steps of the store where the customer collects, when goods are sent there."""
EITHER_END = ("deliver",)
"""Steps that either end of a parcel may tell."""
UNIT_KINDS = ("too-many-units", "duplicate-entry", "quantity-not-positive", "quantity-not-whole")
"""What a step that names units may answer beside that."""

Lines = (
    Annotated[
        list[LineUnits],
        Meta(max_length=LINES_MAX, description="All that is possible when none are named."),
    ]
    | None
)


class PickRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Units that were picked."""

    lines: Lines = None


class ReasonRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why."""

    reason: Text = ""


class WorkPage(msgspec.Struct, frozen=True):
    """A part of a node's work, the most urgent first."""

    fulfillment_orders: list[FulfillmentOrderAnswer]
    next_cursor: str | None


class Versioned(msgspec.Struct, frozen=True):
    """An answer as far as its version is concerned."""

    version: int


@dataclass
class Step(Write):
    """How a call is described that may say which version it was decided from."""

    def __post_init__(self) -> None:
        """Add the header."""
        super().__post_init__()
        header = Parameter(
            name=IF_MATCH,
            param_in="header",
            required=False,
            description="The `ETag` that the caller has seen; refused once there is a newer one.",
            schema=Schema(type=OpenAPIType.STRING, max_length=100),
        )
        self.parameters = [*(self.parameters or []), header]


async def guard_own_work(
    connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler
) -> None:
    """Raise `not-found` for work of a node that the key does not act for.

    Of goods that are sent to a store each end says its own part, else it is `forbidden`.
    """
    named, principal = connection.path_params["fulfillment_order_id"], connection.user
    async with connection.app.state.runtime.database.connect() as driver:
        await rights.verify_own(driver, named, principal)
        step = connection.url.path.rsplit("/", 1)[-1]
        if step not in EITHER_END and step != str(named):
            await rights.verify_end(driver, named, principal, sends=step not in AT_STORE)


STEP: dict[str, Any] = {
    "status_code": 200,
    "opt": allow("store", "partner", "operator"),
    "guards": [guard_idempotency, guard_own_work],
    "operation_class": Step,
    "tags": ["work"],
}
"""What the calls of steps have in common."""


def ask_of(request: Call) -> Ask:
    """Return who asks for a step, and the versions that `If-Match` names."""
    named = request.headers.get(IF_MATCH)
    if named is None or named.strip() == "*":
        return Ask(actor=request.user.actor)
    tags = [part.strip().removeprefix("W/").strip('"') for part in named.split(",")]
    return Ask(
        actor=request.user.actor,
        versions=frozenset(int(tag) for tag in tags if VERSION.fullmatch(tag)),
    )


def tagged(
    response: Response[FulfillmentOrderAnswer], version: int
) -> Response[FulfillmentOrderAnswer]:
    """Return a response that tells its version as `ETag`."""
    response.set_header("ETag", f'"{version}"')
    return response


async def take(
    request: Call,
    state: State,
    body: object,
    step: Callable[[asyncpg.Connection], Awaitable[Work | Refused]],
) -> Response[FulfillmentOrderAnswer]:
    """Take a step once for its key and tell how the work stands after it."""

    async def work(connection: asyncpg.Connection) -> Answer:
        found = await step(connection)
        if isinstance(found, Refused):
            return refusal(found)
        (told,) = await answers.told(connection, [found], request.user.role)
        return answer(200, told)

    given = await once(state.runtime.database, claim_of(request, body), work)
    response = respond(given, FulfillmentOrderAnswer)
    if given.status_code >= 400:
        return response
    return tagged(response, msgspec.json.decode(given.body, type=Versioned).version)


@get(
    "/v1/fulfillment-orders/{fulfillment_order_id:uuid}",
    opt=allow(*EVERYONE),
    guards=[guard_own_work],
    responses=raises("not-found"),
    tags=["work"],
)
async def get_fulfillment_order(
    fulfillment_order_id: FromPath[UUID], request: Call, state: State
) -> Response[FulfillmentOrderAnswer]:
    """Show what one node does for an order, and how far it is.

    The pickup code is told to checkouts alone: the customer has it from them.
    """
    runtime: Runtime = state.runtime
    async with runtime.database.connect() as connection:
        work = await records.find(connection, fulfillment_order_id)
        if work is None:
            raise steps.unknown(fulfillment_order_id)
        (told,) = await answers.told(connection, [work], request.user.role)
    return tagged(Response(told), told.version)


@get(
    "/v1/nodes/{node_id:str}/work",
    opt=allow("store", "partner", "operator"),
    responses=raises("not-found"),
    tags=["work"],
)
async def list_work(  # noqa: PLR0913, PLR0917 - the parts of a request, by name
    node_id: PathId,
    request: Call,
    state: State,
    work_state: Annotated[
        Literal["open", "in_progress", "packed", "ready_for_pickup", "shipped", "at_store"] | None,
        QueryParameter(name="state", description="Only work that is so far."),
    ] = None,
    method: Annotated[Method | None, QueryParameter(description="Only work of this kind.")] = None,
    limit: Limit = PAGE_DEFAULT,
    cursor: Cursor = None,
) -> WorkPage:
    """List what a node has to do, by the instant it has to leave.

    Work is listed from when it is submitted until it has left or ended. At a store there are also
    goods that were sent there, `shipped` or `at_store`, until the customer has them.
    """
    runtime: Runtime = state.runtime
    async with runtime.database.connect() as connection:
        await rights.verify_node(connection, node_id, request.user)
        works = await records.list_work(
            connection,
            node_id,
            states=(work_state,) if work_state else (*LIVE_STATES, *COMING_STATES),
            method=method,
            after=place_of(cursor),
            limit=limit,
        )
        told = await answers.told(connection, works, request.user.role)
    key = cursor_of(
        told, limit, lambda each: (each.ship_by.isoformat(), str(each.fulfillment_order_id))
    )
    return WorkPage(told, key)


def place_of(cursor: str | None) -> tuple[datetime, UUID] | None:
    """Return the place in a list after which a page begins; raises `invalid-parameter`."""
    if cursor is None:
        return None
    ship_by, fulfillment_order_id = after(cursor, 2)
    try:
        # One without a zone, or from before all deadlines, is not ours and cannot be compared.
        at = datetime.fromisoformat(ship_by).astimezone(UTC)
        return max(at, FIRST), UUID(fulfillment_order_id)
    except (ValueError, OverflowError):
        raise Refused(
            "invalid-parameter", "cursor: send the next_cursor of the page before."
        ) from None


@post(
    "/v1/fulfillment-orders/{fulfillment_order_id:uuid}/accept",
    responses=raises(*STEP_KINDS),
    **STEP,
)
async def accept(
    fulfillment_order_id: FromPath[UUID], request: Call, state: State
) -> Response[FulfillmentOrderAnswer]:
    """Take on work that was submitted."""
    ask = ask_of(request)
    return await take(request, state, None, lambda c: steps.accept(c, fulfillment_order_id, ask))


@post(
    "/v1/fulfillment-orders/{fulfillment_order_id:uuid}/pick",
    responses=raises(*STEP_KINDS, *UNIT_KINDS, "waiting-for-supply"),
    **STEP,
)
async def pick(
    fulfillment_order_id: FromPath[UUID],
    data: JSONBody[PickRequest],
    request: Call,
    state: State,
) -> Response[FulfillmentOrderAnswer]:
    """Say which units were picked, line by line or all that are left.

    May be called as often as there is something left to pick. The first pick accepts the work.
    """
    ask = ask_of(request)
    return await take(
        request, state, data, lambda c: steps.pick(c, fulfillment_order_id, ask, data.lines)
    )


@post(
    "/v1/fulfillment-orders/{fulfillment_order_id:uuid}/pack",
    responses=raises(*STEP_KINDS),
    **STEP,
)
async def pack(
    fulfillment_order_id: FromPath[UUID], request: Call, state: State
) -> Response[FulfillmentOrderAnswer]:
    """Say that everything is packed."""
    ask = ask_of(request)
    return await take(request, state, None, lambda c: steps.pack(c, fulfillment_order_id, ask))


@post(
    "/v1/fulfillment-orders/{fulfillment_order_id:uuid}/accept-cancellation",
    responses=raises(*STEP_KINDS),
    **STEP,
)
async def accept_cancellation(
    fulfillment_order_id: FromPath[UUID], request: Call, state: State
) -> Response[FulfillmentOrderAnswer]:
    """Stop the work as was asked for; its goods go back."""
    ask = ask_of(request)
    return await take(
        request, state, None, lambda c: cancel.accept_cancellation(c, fulfillment_order_id, ask)
    )


@post(
    "/v1/fulfillment-orders/{fulfillment_order_id:uuid}/reject-cancellation",
    responses=raises(*STEP_KINDS),
    **STEP,
)
async def reject_cancellation(
    fulfillment_order_id: FromPath[UUID],
    data: JSONBody[ReasonRequest],
    request: Call,
    state: State,
) -> Response[FulfillmentOrderAnswer]:
    """Say that the work cannot be stopped; it goes on."""
    ask = ask_of(request)
    return await take(
        request,
        state,
        data,
        lambda c: steps.reject_cancellation(c, fulfillment_order_id, ask, data.reason),
    )


handlers = [
    get_fulfillment_order,
    list_work,
    accept,
    pick,
    pack,
    accept_cancellation,
    reject_cancellation,
]
