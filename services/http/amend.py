"""Calls that change an order after it was confirmed."""

from uuid import UUID

import asyncpg
from litestar import Response, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody

from services.http.access import allow, guard_idempotency
from services.http.answers import WRITE, Write, raises, respond
from services.http.checkout import PLAN_KINDS, Call, claim_of
from services.http.fields import PathId
from services.orders import lifecycle
from services.orders import records as order_records
from services.orders.idempotency import Answer, answer, once
from services.problems import Refused
from services.returns import amend, apply
from services.returns.amendments import AmendAnswer, AmendRequest
from services.returns.exchange import answered
from services.returns.placing import Means
from services.runtime import Runtime

CHANGERS = allow("checkout", "store", "operator")


def means_of(runtime: Runtime) -> Means:
    """Return what planning works with."""
    return Means(runtime.database, runtime.network.current, runtime.settings)


async def verify_own(runtime: Runtime, request: Call, order_id: str) -> None:
    """Raise `not-found` unless the order concerns the key."""
    async with runtime.database.connect() as connection:
        row = (await order_records.find_live(connection, [order_id])).get(order_id)
    if row is None or not lifecycle.may_see(request.user, row):
        raise Refused("not-found", f"There is no live order {order_id}.")


@post(
    "/v1/orders/{order_id:str}/amend",
    status_code=200,
    opt=CHANGERS,
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(*WRITE, *PLAN_KINDS, "not-found", "illegal-state", "unknown-reference"),
    tags=["orders"],
)
async def quote(
    order_id: PathId, data: JSONBody[AmendRequest], request: Call, state: State
) -> Response[AmendAnswer]:
    """Quote a change of a confirmed order; nothing is held or changed by it.

    Less of a line, more of it, new lines, another address for what nobody has picked: one answer
    says what of it is possible, and what it promises and costs. Apply it before `valid_until`.
    """
    runtime: Runtime = state.runtime
    await verify_own(runtime, request, order_id)
    claimed = claim_of(request, data)
    before = await answered(runtime.database, claimed)
    if before is not None:
        return respond(before, AmendAnswer)
    # Planned before the transaction, which only keeps what was found.
    kept = await amend.plan(means_of(runtime), order_id, data)

    async def work(connection: asyncpg.Connection) -> Answer:
        return answer(200, await amend.keep(connection, kept, data, actor=request.user.actor))

    return respond(await once(runtime.database, claimed, work), AmendAnswer)


@post(
    "/v1/orders/{order_id:str}/amend/{amendment_id:uuid}/apply",
    status_code=200,
    opt=CHANGERS,
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(*WRITE, "not-found", "illegal-state", "quote-outdated", "slot-full"),
    tags=["orders"],
)
async def apply_quote(
    order_id: PathId, amendment_id: FromPath[UUID], request: Call, state: State
) -> Response[AmendAnswer]:
    """Make a change as it was quoted, all of it or nothing.

    New stock is taken before any is given up. Where the nodes have gone on with their work or the
    stock has gone since the quote, the answer is `quote-outdated` and nothing has changed.
    """
    runtime: Runtime = state.runtime
    await verify_own(runtime, request, order_id)
    means = means_of(runtime)

    async def work(connection: asyncpg.Connection) -> Answer:
        actor = request.user.actor
        return answer(
            200, await apply.apply(connection, means, order_id, amendment_id, actor=actor)
        )

    return respond(await once(runtime.database, claim_of(request, None), work), AmendAnswer)


handlers = [quote, apply_quote]
