"""Calls that bring a basket from one channel into another."""

from typing import Annotated
from uuid import UUID

import asyncpg
import msgspec
from litestar import Response, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from services.http.access import allow, guard_idempotency
from services.http.answers import WRITE, Write, raises, respond
from services.http.checkout import Call, claim_of
from services.http.fields import Id
from services.orders import handover
from services.orders.answers import AllocationAnswer
from services.orders.idempotency import Answer, answer, once
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


handlers = [take_over]
