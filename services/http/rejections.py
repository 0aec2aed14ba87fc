"""Calls of nodes that say no, and of planners who say what follows from it."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, get, post, put
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from services.fulfillment import reasons, rejection
from services.fulfillment.moves import Means
from services.fulfillment.reasons import OTHER, REASONS_MAX, Matrix, Reason
from services.fulfillment.rejection import LineTold, Rejecting, RejectionAnswer, Told
from services.fulfillment.units import LineUnits
from services.http.access import allow
from services.http.answers import BODY, raises, respond
from services.http.checkout import Call, claim_of
from services.http.fields import Id, Text, UnitsTaken
from services.http.work import LINES_MAX, STEP, STEP_KINDS, UNIT_KINDS, Versioned, ask_of
from services.runtime import Runtime

ReasonName = Annotated[str, Meta(min_length=1, max_length=50, examples=["not_found"])]


class RejectedLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Units of one line that the node gives up."""

    line_id: Id
    part: Annotated[
        Annotated[int, Meta(ge=0)] | None, Meta(description="Where the `line_id` is there twice.")
    ] = None
    quantity: UnitsTaken
    reason: Annotated[ReasonName | None, Meta(description="As of the whole call without.")] = None


class RejectRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a node cannot do, and why."""

    reason: Annotated[
        ReasonName, Meta(description="One of `/v1/rejection-reasons`; says what follows.")
    ] = OTHER
    lines: Annotated[
        Annotated[list[RejectedLine], Meta(min_length=1, max_length=LINES_MAX)] | None,
        Meta(description="All that is left when none are named."),
    ] = None
    note: Text = ""


class ShortPickRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Units that picking could not find."""

    reason: ReasonName = "not_found"
    lines: Annotated[
        Annotated[list[RejectedLine], Meta(min_length=1, max_length=LINES_MAX)] | None,
        Meta(description="All that is not picked when none are named."),
    ] = None
    note: Text = ""


class ReasonsBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All reasons, in place of those in force."""

    reasons: Annotated[list[Reason], Meta(min_length=1, max_length=REASONS_MAX)]
    version: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(description="The version this was made from; refused when there is a newer one."),
    ] = None


def means_of(runtime: Runtime) -> Means:
    """Return what finding another place works with."""
    return Means(runtime.database, runtime.network.current, runtime.settings)


async def give_up(
    request: Call, state: State, fulfillment_order_id: UUID, given: Told, body: object
) -> Response[RejectionAnswer]:
    """Have a node give up units, once per key; tell what became of them and the work's version."""
    asked = Rejecting(
        fulfillment_order_id=fulfillment_order_id,
        ask=ask_of(request),
        given=given,
        role=request.user.role,
    )
    done = await rejection.reject(means_of(state.runtime), claim_of(request, body), asked)
    response = respond(done, RejectionAnswer)
    if done.status_code < 400:
        shown = msgspec.json.decode(done.body, type=ShownVersion)
        response.set_header("ETag", f'"{shown.fulfillment_order.version}"')
    return response


class ShownVersion(msgspec.Struct, frozen=True):
    """An answer as far as the version of its work is concerned."""

    fulfillment_order: Versioned


def told_lines(lines: Sequence[RejectedLine] | None, reason: str) -> tuple[LineTold, ...] | None:
    """Return lines of a call with the reason that each has."""
    if lines is None:
        return None
    return tuple(
        LineTold(
            line=LineUnits(line_id=each.line_id, part=each.part, quantity=each.quantity),
            reason=each.reason or reason,
        )
        for each in lines
    )


@post(
    "/v1/fulfillment-orders/{fulfillment_order_id:uuid}/reject",
    **STEP,
    responses=raises(*STEP_KINDS, *UNIT_KINDS, "unknown-reference"),
)
async def reject(
    fulfillment_order_id: FromPath[UUID],
    data: JSONBody[RejectRequest],
    request: Call,
    state: State,
) -> Response[RejectionAnswer]:
    """Say no to work, to all of it or to some units, with a reason.

    The units are given to other nodes at once where that is possible, with the promise kept where
    it can be; the rest is in the exceptions queue. The answer says what became of each. What the
    reason means for stock, and for how long the node is left out, `/v1/rejection-reasons` tells.
    """
    given = Told(
        call="reject",
        reason=data.reason,
        lines=told_lines(data.lines, data.reason),
        note=data.note,
    )
    return await give_up(request, state, fulfillment_order_id, given, data)


@post(
    "/v1/fulfillment-orders/{fulfillment_order_id:uuid}/short-pick",
    **STEP,
    responses=raises(*STEP_KINDS, *UNIT_KINDS, "unknown-reference"),
)
async def short_pick(
    fulfillment_order_id: FromPath[UUID],
    data: JSONBody[ShortPickRequest],
    request: Call,
    state: State,
) -> Response[RejectionAnswer]:
    """Say that units could not be found; what is picked goes on.

    As a rejection of what has not been picked.
    """
    given = Told(
        call="short-pick",
        reason=data.reason,
        lines=told_lines(data.lines, data.reason),
        note=data.note,
    )
    return await give_up(request, state, fulfillment_order_id, given, data)


@get(
    "/v1/rejection-reasons",
    opt=allow("store", "partner", "planner", "operator"),
    responses=raises(),
    tags=["exceptions"],
)
async def get_reasons(state: State) -> Matrix:
    """Show the reasons a node may give and what follows from each."""
    runtime: Runtime = state.runtime
    async with runtime.database.connect() as connection:
        return await reasons.in_force(connection)


@put(
    "/v1/rejection-reasons",
    opt=allow("planner"),
    responses=raises(*BODY, "duplicate-entry", "version-mismatch"),
    tags=["exceptions"],
)
async def put_reasons(data: JSONBody[ReasonsBody], request: Call, state: State) -> Matrix:
    """Replace the reasons, for rejections from now on.

    Earlier versions are kept: every rejection names the one it met.
    """
    runtime: Runtime = state.runtime
    return await runtime.database.run(
        lambda connection: reasons.replace(
            connection, tuple(data.reasons), expected=data.version, actor=request.user.actor
        )
    )


handlers = [reject, short_pick, get_reasons, put_reasons]
