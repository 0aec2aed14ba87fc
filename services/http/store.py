"""Calls of store staff: reservations for the customer at the counter."""

from datetime import date, timedelta
from typing import Annotated
from uuid import UUID

import asyncpg
import msgspec
from litestar import Response, get, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from services.http.access import allow, guard_idempotency, restrict_to_nodes
from services.http.answers import WRITE, Write, raises, respond
from services.http.checkout import Call, ExtendRequest, claim_of, hold_seconds, hold_total_seconds
from services.http.fields import check_planned, utc_now
from services.orders import counter
from services.orders.counter import Asked, Delivery, ReservationAnswer
from services.orders.idempotency import Answer, answer, once
from services.orders.request import QUANTITY_MAX, Id
from services.problems import Refused
from services.runtime import Runtime


class ReservationRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Units to be held for a customer."""

    node_id: Annotated[Id, Meta(description="Where the customer stands.")]
    sku: Id
    quantity: Annotated[int, Meta(ge=1, le=QUANTITY_MAX)]
    from_node_id: Annotated[
        Id | None, Meta(description="Where the units are; at `node_id` when left out.")
    ] = None
    delivery: Annotated[
        Delivery,
        Meta(description="Collected where they are, brought to `node_id`, or shipped from there."),
    ] = "collect"
    customer: Annotated[
        Id | None, Meta(description="A reference of the store's to the customer; no personal data.")
    ] = None
    expected_on: Annotated[
        date | None, Meta(description="When a transfer arrives; in three days when left out.")
    ] = None
    hold_for: Annotated[
        timedelta | None, Meta(description="An ISO 8601 duration.", examples=["P2D"])
    ] = None


async def own_reservation(
    runtime: Runtime, request: Call, reservation_id: UUID
) -> ReservationAnswer:
    """Return a reservation of one of the caller's nodes; raises `not-found` for any other."""
    async with runtime.database.connect() as connection:
        found = await counter.find(connection, reservation_id)
    if {found.node_id, found.from_node_id, found.at_node_id}.isdisjoint(request.user.node_ids):
        raise counter.unknown(reservation_id)
    return found


@post(
    "/v1/reservations",
    opt=allow("store"),
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(
        *WRITE,
        "not-found",
        "unknown-node",
        "unknown-sku",
        "illegal-state",
        "insufficient-stock",
        "date-in-past",
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
    """Hold units for a customer at one of the key's own nodes, there or at any other node.

    The node's buffer does not count at its own counter, and neither does anyone who is slower; the
    buffer of another node counts. With `transfer` the units are brought here and stay the
    customer's on the way.
    """
    runtime: Runtime = state.runtime
    restrict_to_nodes(request.user, data.node_id)
    from_node_id = data.from_node_id or data.node_id
    verify_from(runtime, data, from_node_id)
    asked = Asked(
        node_id=data.node_id,
        from_node_id=from_node_id,
        sku=data.sku,
        quantity=data.quantity,
        hold_s=hold_seconds(data.hold_for, request.user, runtime.settings),
        delivery=data.delivery,
        customer=data.customer,
        expected_on=data.expected_on,
        own_stock=from_node_id in request.user.node_ids,
    )

    async def work(connection: asyncpg.Connection) -> Answer:
        return answer(201, await counter.hold(connection, asked, actor=request.user.actor))

    return respond(await once(runtime.database, claim_of(request, data), work), ReservationAnswer)


def verify_from(runtime: Runtime, data: ReservationRequest, from_node_id: str) -> None:
    """Raise unless units can be had from a node: `unknown-node`, `illegal-state`, `invalid-field`."""
    network = runtime.network.current
    if from_node_id not in network.nodes and from_node_id not in network.disabled:
        raise Refused("unknown-node", f"There is no node {from_node_id}.")
    if from_node_id != data.node_id and from_node_id in network.disabled:
        raise Refused(
            "illegal-state",
            f"{from_node_id} takes no new work at present; ask /v1/availability which node has it.",
            state="disabled",
            allowed=(),
        )
    if data.expected_on is not None:
        check_planned("expected_on", data.expected_on, utc_now())
    if data.delivery == "transfer" and from_node_id == data.node_id:
        raise Refused(
            "invalid-field", f"The units are at {data.node_id}; nothing is to be brought."
        )


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

    async def work(connection: asyncpg.Connection) -> Answer:
        actor = request.user.actor
        return answer(200, await counter.release(connection, reservation_id, actor=actor))

    return respond(await once(runtime.database, claim_of(request, None), work), ReservationAnswer)


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

    async def work(connection: asyncpg.Connection) -> Answer:
        extended = await counter.extend(
            connection,
            reservation_id,
            hold_s=hold_s,
            total_s=hold_total_seconds(request.user, runtime.settings),
            actor=request.user.actor,
        )
        return answer(200, extended)

    return respond(await once(runtime.database, claim_of(request, data), work), ReservationAnswer)


handlers = [reserve, get_reservation, release, extend]
