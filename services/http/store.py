"""Calls of store staff: reservations for the customer at the counter."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from services.http.access import allow, guard_idempotency, restrict_to_nodes
from services.http.answers import WRITE, Write, raises, respond
from services.http.checkout import Call, ExtendRequest, claim_of, hold_seconds, hold_total_seconds
from services.orders import counter
from services.orders.counter import ReservationAnswer
from services.orders.idempotency import once
from services.orders.request import QUANTITY_MAX, Id
from services.problems import Refused
from services.runtime import Runtime


class ReservationRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Units to be held at a node."""

    node_id: Id
    sku: Id
    quantity: Annotated[int, Meta(ge=1, le=QUANTITY_MAX)]
    hold_for: Annotated[
        timedelta | None, Meta(description="An ISO 8601 duration.", examples=["P2D"])
    ] = None


async def own_reservation(
    runtime: Runtime, request: Call, reservation_id: UUID
) -> ReservationAnswer:
    """Return a reservation of one of the caller's nodes; raises `not-found` for any other."""
    async with runtime.database.connect() as connection:
        found = await counter.find(connection, reservation_id)
    if found.node_id not in request.user.node_ids:
        raise Refused("not-found", f"There is no reservation {reservation_id}.")
    return found


@post(
    "/v1/reservations",
    opt=allow("store"),
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(
        *WRITE,
        "not-found",
        "unknown-sku",
        "insufficient-stock",
        "hold-too-long",
        "quantity-not-positive",
        "quantity-not-whole",
        "quantity-too-large",
    ),
    tags=["store"],
)
async def reserve(
    data: JSONBody[ReservationRequest], request: Call, state: State
) -> Response[ReservationAnswer]:
    """Hold units for a customer at one of the key's own nodes.

    The node's buffer does not count at its own counter, and neither does anyone who is slower.
    """
    runtime: Runtime = state.runtime
    restrict_to_nodes(request.user, data.node_id)
    hold_s = hold_seconds(data.hold_for, request.user, runtime.settings)
    answer = await once(
        runtime.database,
        claim_of(request, data),
        lambda connection: counter.hold(
            connection,
            node_id=data.node_id,
            sku=data.sku,
            quantity=data.quantity,
            hold_s=hold_s,
            actor=request.user.actor,
        ),
    )
    return respond(answer, ReservationAnswer)


@get(
    "/v1/reservations/{reservation_id:uuid}",
    opt=allow("store"),
    responses=raises("not-found"),
    tags=["store"],
)
async def get_reservation(
    reservation_id: FromPath[UUID], request: Call, state: State
) -> ReservationAnswer:
    """Show a reservation of one of the key's own nodes."""
    return await own_reservation(state.runtime, request, reservation_id)


@post(
    "/v1/reservations/{reservation_id:uuid}/release",
    status_code=200,
    opt=allow("store"),
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(*WRITE, "not-found"),
    tags=["store"],
)
async def release(
    reservation_id: FromPath[UUID], request: Call, state: State
) -> Response[ReservationAnswer]:
    """Give the units back; releasing what has ended changes nothing."""
    runtime: Runtime = state.runtime
    await own_reservation(runtime, request, reservation_id)
    answer = await once(
        runtime.database,
        claim_of(request, None),
        lambda connection: counter.release(connection, reservation_id, actor=request.user.actor),
    )
    return respond(answer, ReservationAnswer)


@post(
    "/v1/reservations/{reservation_id:uuid}/extend",
    status_code=200,
    opt=allow("store"),
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(*WRITE, "not-found", "hold-too-long", "illegal-state"),
    tags=["store"],
)
async def extend(
    reservation_id: FromPath[UUID], data: JSONBody[ExtendRequest], request: Call, state: State
) -> Response[ReservationAnswer]:
    """Hold longer, counted from now; a hold is never shortened."""
    runtime: Runtime = state.runtime
    await own_reservation(runtime, request, reservation_id)
    hold_s = hold_seconds(data.hold_for, request.user, runtime.settings)
    answer = await once(
        runtime.database,
        claim_of(request, data),
        lambda connection: counter.extend(
            connection,
            reservation_id,
            hold_s=hold_s,
            total_s=hold_total_seconds(request.user, runtime.settings),
            actor=request.user.actor,
        ),
    )
    return respond(answer, ReservationAnswer)


handlers = [reserve, get_reservation, release, extend]
