"""Calls about whole orders: what they consist of, and what keeps them back."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from services.fulfillment import holds
from services.fulfillment.holds import HoldReason, OrderAnswer, OrderHoldAnswer
from services.http.access import allow, guard_idempotency
from services.http.answers import WRITE, Write, raises, respond
from services.http.checkout import Call, claim_of
from services.http.fields import PathId, Text
from services.orders.idempotency import once
from services.runtime import Runtime


class HoldRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why an order is to be kept back."""

    reason: HoldReason
    note: Annotated[Text, Meta(description="For those who will decide about it.")] = ""


@get(
    "/v1/orders/{order_id:str}",
    opt=allow("checkout", "store", "planner", "operator"),
    responses=raises("not-found"),
    tags=["orders"],
)
async def get_order(order_id: PathId, request: Call, state: State) -> OrderAnswer:
    """Show an order: its holds, its allocations and what its nodes do for it.

    A store sees the parts that it made or that its nodes take part in.
    """
    runtime: Runtime = state.runtime
    async with runtime.database.connect() as connection:
        return await holds.find_order(connection, order_id, request.user)


@post(
    "/v1/orders/{order_id:str}/holds",
    opt=allow("checkout", "operator"),
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(*WRITE, "not-found", "illegal-state"),
    tags=["orders"],
)
async def place_hold(
    order_id: PathId, data: JSONBody[HoldRequest], request: Call, state: State
) -> Response[OrderHoldAnswer]:
    """Keep an order's work from being submitted to its nodes; its stock stays promised.

    Refused once the work is with its nodes: then it can be cancelled.
    """
    runtime: Runtime = state.runtime
    given = await once(
        runtime.database,
        claim_of(request, data),
        lambda connection: holds.place(
            connection,
            order_id,
            reason=data.reason,
            note=data.note,
            actor=request.user.actor,
        ),
    )
    return respond(given, OrderHoldAnswer)


@post(
    "/v1/orders/{order_id:str}/holds/{hold_id:uuid}/lift",
    status_code=200,
    opt=allow("checkout", "operator"),
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(*WRITE, "not-found"),
    tags=["orders"],
)
async def lift_hold(
    order_id: PathId, hold_id: FromPath[UUID], request: Call, state: State
) -> Response[OrderHoldAnswer]:
    """Lift a hold; with the last one, the work that is due goes to its nodes."""
    runtime: Runtime = state.runtime
    given = await once(
        runtime.database,
        claim_of(request, None),
        lambda connection: holds.lift(
            connection,
            order_id,
            hold_id,
            answer_limit_s=runtime.settings.answer_limit_s,
            actor=request.user.actor,
        ),
    )
    return respond(given, OrderHoldAnswer)


handlers = [get_order, place_hold, lift_hold]
