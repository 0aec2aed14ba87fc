"""Calls that bring a basket from one channel into another, or from the counter into an order."""

from typing import Annotated
from uuid import UUID

import asyncpg
import msgspec
from litestar import Response, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from services.fulfillment.answers import AllocationWithWork
from services.http.access import allow, guard_idempotency, restrict_to_nodes
from services.http.answers import WRITE, Write, raises, respond
from services.http.checkout import Call, claim_of
from services.http.fields import Id, Minor
from services.http.store import own_reservation
from services.orders import handover
from services.orders.answers import AllocationAnswer
from services.orders.idempotency import Answer, answer, once
from services.orders.request import Destination, resolve
from services.problems import Refused
from services.returns import counter_order
from services.returns.counter_order import Asked
from services.returns.exchange import answered
from services.returns.placing import Means
from services.runtime import Runtime


class HandoverRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a basket is continued."""

    channel: Annotated[Id, Meta(examples=["till"])]
    order_id: Annotated[
        Id | None,
        Meta(description="The order as the customer names it; opens a store others' baskets."),
    ] = None
    new_order_id: Annotated[
        Id | None, Meta(description="Continue it under this order instead.")
    ] = None


@post(
    "/v1/allocations/{allocation_id:uuid}/transfer",
    status_code=200,
    opt=allow("checkout", "store"),
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(*WRITE, "not-found", "illegal-state", "order-already-allocated"),
    tags=["checkout"],
)
async def take_over(
    allocation_id: FromPath[UUID], data: JSONBody[HandoverRequest], request: Call, state: State
) -> Response[AllocationAnswer]:
    """Continue a basket of another channel: its hold becomes the caller's, its stock stays.

    A basket begun on the web is finished at the till, one begun by a call center is paid in the app.
    Only while it is held. A store may take over any basket whose order it names, as the customer
    before it can; without that it sees its own alone.
    """
    runtime: Runtime = state.runtime

    async def work(connection: asyncpg.Connection) -> Answer:
        taken = await handover.take_over(
            connection,
            allocation_id,
            data.channel,
            request.user,
            order_id=data.order_id,
            new_order_id=data.new_order_id,
        )
        return answer(200, taken)

    return respond(await once(runtime.database, claim_of(request, data), work), AllocationAnswer)


class OrderRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The order that a reservation at the counter becomes."""

    order_id: Id
    channel: Id = "store"
    destination: Annotated[
        Destination | None,
        Meta(description="Where it is shipped; left out: collected where the units are."),
    ] = None
    unit_price_minor: Annotated[Minor | None, Meta(description="What a unit is paid for.")] = None
    confirm: Annotated[bool, Meta(description="It is paid: the node gets its work.")] = False
    take_along: Annotated[
        bool, Meta(description="The customer has it in hand: confirmed and handed over at once.")
    ] = False


@post(
    "/v1/reservations/{reservation_id:uuid}/order",
    opt=allow("store"),
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(
        *WRITE,
        "not-found",
        "unknown-destination",
        "impossible-coordinates",
        "illegal-state",
        "insufficient-stock",
        "order-already-allocated",
        "negative-stock",
        "waiting-for-supply",
    ),
    tags=["store"],
)
async def order(
    reservation_id: FromPath[UUID], data: JSONBody[OrderRequest], request: Call, state: State
) -> Response[AllocationWithWork]:
    """Turn a reservation at the counter into an order; its units never become free in between.

    Shipped from where they are to a destination, collected there later, or taken along now.
    """
    runtime: Runtime = state.runtime
    found = await own_reservation(runtime, request, reservation_id)
    claimed = claim_of(request, data)
    before = await answered(runtime.database, claimed)
    if before is not None:
        return respond(before, AllocationWithWork)
    if data.take_along and data.destination is not None:
        raise Refused("invalid-field", "What is taken along is not shipped; send one of the two.")
    if data.take_along:
        restrict_to_nodes(request.user, found.at_node_id)
    network = runtime.network.current
    zone = None if data.destination is None else resolve(data.destination, network)
    asked = Asked(
        order_id=data.order_id,
        channel=data.channel,
        zone=zone,
        unit_price_minor=data.unit_price_minor,
        request_hash=claimed.request_hash,
        confirmed=data.confirm,
        taken_along=data.take_along,
        actor=request.user.actor,
    )
    means = Means(runtime.database, network, runtime.settings)
    plan = await counter_order.plan(means, found, asked)

    async def work(connection: asyncpg.Connection) -> Answer:
        return answer(201, await counter_order.order(connection, means, found, plan, asked))

    return respond(await once(runtime.database, claimed, work), AllocationWithWork)


handlers = [take_over, order]
