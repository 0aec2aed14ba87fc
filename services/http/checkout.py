"""Calls of the checkout: quotes and allocations."""

from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers.base import BaseRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta

from services.fulfillment import cancel as called_off
from services.fulfillment import create, rights
from services.fulfillment.answers import AllocationWithWork, find_with_work
from services.http.access import IDEMPOTENCY_KEY, Caller, allow, guard_idempotency
from services.http.answers import BODY, WRITE, Write, raises, respond
from services.keys import Principal
from services.orders import lifecycle
from services.orders.answers import AllocationAnswer, QuoteAnswer
from services.orders.decisions import explained
from services.orders.idempotency import Answer, Claim, answer, claim, once
from services.orders.request import AllocationRequest, QuoteRequest
from services.problems import Refused
from services.runtime import Runtime
from services.settings import Settings

ALLOCATIONS = "/v1/allocations"
PLAN_KINDS = (
    "too-many-lines",
    "quantity-not-positive",
    "quantity-not-whole",
    "quantity-too-large",
    "duplicate-line",
    "unknown-sku",
    "unknown-node",
    "unknown-strategy",
    "unknown-destination",
    "impossible-coordinates",
    "date-in-past",
    "unknown-slot",
    "slot-unsuitable",
    "slot-impossible",
    "slot-full",
)
EXTEND_KINDS = ("hold-too-long", "illegal-state", "not-found")
Call = Request[Principal, Any, Any]


class ExtendRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long to hold from now on."""

    hold_for: Annotated[timedelta, Meta(description="An ISO 8601 duration.", examples=["PT15M"])]


def caller_of(request: Call) -> Caller:
    """Return who sends a request that the framework handles."""
    key = request.headers.get(IDEMPOTENCY_KEY, "")
    state = request.scope["state"]
    return Caller(request.user, key, state["request_id"], state["facts"])


def claim_of(request: Call, body: object) -> Claim:
    """Return the claim of a request that carries an idempotency key."""
    key = request.headers[IDEMPOTENCY_KEY]
    return claim(request.user, request.method, request.url.path, key, body)


def hold_seconds(asked: timedelta | None, principal: Principal, settings: Settings) -> int:
    """Return how long to hold; raises `hold-too-long` beyond what the role may ask for."""
    if asked is None:
        return settings.hold_default_s
    seconds = int(asked.total_seconds())
    longest = settings.staff_hold_max_s if principal.role == "store" else settings.hold_max_s
    if seconds < 1:
        raise Refused("invalid-field", "hold_for must be at least one second, as in PT15M.")
    if seconds > longest:
        raise Refused(
            "hold-too-long", f"A {principal.role} key may hold for {longest} s at most at once."
        )
    return seconds


def hold_total_seconds(principal: Principal, settings: Settings) -> int:
    """Return how long the role may hold in all, extensions included."""
    return settings.staff_hold_max_s if principal.role == "store" else settings.hold_total_max_s


async def guard_own_allocation(
    connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler
) -> None:
    """Raise `not-found` for a store key and an allocation that its nodes have no part in."""
    principal: Principal = connection.user
    if principal.is_bound:
        database = connection.app.state.runtime.database
        async with database.connect() as driver:
            await rights.verify_part(driver, connection.path_params["allocation_id"], principal)


async def plan(runtime: Runtime, _caller: Caller, data: QuoteRequest) -> Answer:
    """Answer a request for a quote."""
    return answer(200, await runtime.allocator.quote(data))


async def hold(runtime: Runtime, caller: Caller, data: AllocationRequest) -> Answer:
    """Answer a request for an allocation."""
    principal = caller.principal
    caller.facts.update(order_id=data.order_id, lines=len(data.lines))
    return await runtime.allocator.allocate(
        data,
        claim(principal, "POST", ALLOCATIONS, caller.idempotency_key, data),
        principal=principal,
        hold_s=hold_seconds(data.hold_for, principal, runtime.settings),
    )


@post(
    "/v1/quotes",
    status_code=200,
    opt=allow("checkout", "store"),
    responses=raises(*PLAN_KINDS, *BODY, "too-many-requests"),
    tags=["checkout"],
)
async def quote(data: JSONBody[QuoteRequest], request: Call, state: State) -> Response[QuoteAnswer]:
    """Plan a basket without holding anything.

    The plan an allocation would get now: nodes, dates, costs and how well it is proven.
    """
    return respond(await plan(state.runtime, caller_of(request), data), QuoteAnswer)


@post(
    ALLOCATIONS,
    opt=allow("checkout", "store"),
    guards=[guard_idempotency],
    operation_class=Write,
    responses={
        200: ResponseSpec(
            AllocationAnswer,
            generate_examples=False,
            description="The order has this live allocation already, for the same body.",
        ),
        **raises(
            *PLAN_KINDS,
            *WRITE,
            "hold-too-long",
            "insufficient-stock",
            "contended",
            "order-already-allocated",
            "too-many-requests",
            "deadline-exceeded",
        ),
    },
    tags=["checkout"],
)
async def allocate(
    data: JSONBody[AllocationRequest], request: Call, state: State
) -> Response[AllocationAnswer]:
    """Plan a basket and hold its stock.

    The cheapest plan over the whole network, with promise dates, its stock held until `expires_at`.
    Repeated with the same `Idempotency-Key` it gives the first answer again and holds nothing more.
    """
    return respond(await hold(state.runtime, caller_of(request), data), AllocationAnswer)


@get(
    "/v1/allocations/{allocation_id:uuid}",
    opt=allow("checkout", "store", "planner", "operator"),
    guards=[guard_own_allocation],
    responses=raises("not-found"),
    tags=["checkout"],
)
async def get_allocation(allocation_id: FromPath[UUID], state: State) -> AllocationWithWork:
    """Show an allocation: what was promised, and where its work stands now.

    `fulfillments` are the plan that the customer was told. Once it is confirmed, work may move to
    other nodes or dates: `fulfillment_orders` are that, with the promise of each.
    """
    runtime: Runtime = state.runtime
    async with runtime.database.connect() as connection:
        return await find_with_work(connection, allocation_id)


@get(
    "/v1/allocations/{allocation_id:uuid}/decision",
    opt=allow("checkout", "store", "planner", "operator"),
    guards=[guard_own_allocation],
    responses=raises("not-found"),
    tags=["checkout"],
)
async def get_decision(
    allocation_id: FromPath[UUID],
    state: State,
    node: Annotated[str | None, QueryParameter(max_length=100)] = None,
) -> dict[str, Any]:
    """Explain an allocation: candidates, what each lacked or cost, bound, runner-up.

    Also what would have brought the runner-up's leading node into the plan: how much less handling,
    how much cheaper parcels, or which units more, each found by solving the order again. With
    `node`, the same of that node, and why it was not chosen. Imported orders and those made at a
    counter have no record (`recorded` is false); `sentences` say why.
    """
    runtime: Runtime = state.runtime
    return await explained(runtime.database, allocation_id, node, runtime.settings.currency)


@post(
    "/v1/allocations/{allocation_id:uuid}/confirm",
    status_code=200,
    opt=allow("checkout", "store"),
    guards=[guard_idempotency, guard_own_allocation],
    operation_class=Write,
    responses=raises(
        *WRITE, "not-found", "illegal-state", "hold-expired", "order-already-allocated"
    ),
    tags=["checkout"],
)
async def confirm(
    allocation_id: FromPath[UUID], request: Call, state: State
) -> Response[AllocationWithWork]:
    """Make a hold a firm promise, for example once it is paid, and give its nodes their work.

    After `promise_valid_until` the dates are computed anew. After expiry the same stock is taken
    again if it is still there (`retaken`), else the answer is `hold-expired` and nothing changes.
    """
    runtime: Runtime = state.runtime
    actor, network = request.user.actor, runtime.network.current
    given = await once(
        runtime.database,
        claim_of(request, None),
        lambda connection: create.confirm(
            connection, allocation_id, actor=actor, network=network, settings=runtime.settings
        ),
    )
    return respond(given, AllocationWithWork)


@post(
    "/v1/allocations/{allocation_id:uuid}/extend",
    status_code=200,
    opt=allow("checkout", "store"),
    guards=[guard_idempotency, guard_own_allocation],
    operation_class=Write,
    responses=raises(*WRITE, *EXTEND_KINDS),
    tags=["checkout"],
)
async def extend(
    allocation_id: FromPath[UUID], data: JSONBody[ExtendRequest], request: Call, state: State
) -> Response[AllocationAnswer]:
    """Hold longer, counted from now; a hold is never shortened."""
    runtime: Runtime = state.runtime
    hold_s = hold_seconds(data.hold_for, request.user, runtime.settings)
    given = await once(
        runtime.database,
        claim_of(request, data),
        lambda connection: lifecycle.extend(
            connection,
            allocation_id,
            hold_s=hold_s,
            total_s=hold_total_seconds(request.user, runtime.settings),
            actor=request.user.actor,
        ),
    )
    return respond(given, AllocationAnswer)


@post(
    "/v1/allocations/{allocation_id:uuid}/release",
    status_code=200,
    opt=allow("checkout", "store"),
    guards=[guard_idempotency, guard_own_allocation],
    operation_class=Write,
    responses=raises(*WRITE, "not-found", "illegal-state"),
    tags=["checkout"],
)
async def release(
    allocation_id: FromPath[UUID], request: Call, state: State
) -> Response[AllocationAnswer]:
    """Give a hold back, for a basket that was left."""
    runtime: Runtime = state.runtime
    given = await once(
        runtime.database,
        claim_of(request, None),
        lambda connection: lifecycle.release(connection, allocation_id, actor=request.user.actor),
    )
    return respond(given, AllocationAnswer)


@post(
    "/v1/allocations/{allocation_id:uuid}/cancel",
    status_code=200,
    opt=allow("checkout", "store"),
    guards=[guard_idempotency, guard_own_allocation],
    operation_class=Write,
    responses=raises(*WRITE, "not-found", "illegal-state"),
    tags=["checkout"],
)
async def cancel(
    allocation_id: FromPath[UUID], request: Call, state: State
) -> Response[AllocationWithWork]:
    """Cancel an allocation, held or confirmed, and give its stock back.

    Work that is packed, or that another company has accepted, is asked to stop: the allocation
    stays confirmed until its node has answered. What has left stays; `outcome` tells of each.
    """
    runtime: Runtime = state.runtime
    given = await once(
        runtime.database,
        claim_of(request, None),
        lambda connection: called_off.cancel(connection, allocation_id, actor=request.user.actor),
    )
    return respond(given, AllocationWithWork)


handlers = [
    quote,
    allocate,
    get_allocation,
    get_decision,
    confirm,
    extend,
    release,
    cancel,
]
