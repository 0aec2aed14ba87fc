"""Calls about counts: begun, filled and ended while everybody goes on selling."""

from typing import Annotated
from uuid import UUID

import asyncpg
import msgspec
from litestar import Response, get, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from services.goods import counts
from services.goods.counts import LINES_MAX, CountAnswer, Counted
from services.http.access import allow, guard_idempotency, restrict_to_nodes
from services.http.answers import WRITE, Write, raises, respond
from services.http.checkout import Call, claim_of
from services.http.fields import Id, Instant, PathId, Units, check_happened, utc_now
from services.orders.idempotency import Answer, answer, once
from services.problems import Refused
from services.runtime import Runtime

WRITERS = allow("store", "planner")
READERS = allow("store", "planner", "operator")


class CountRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be counted."""

    skus: Annotated[
        Annotated[list[Id], Meta(min_length=1, max_length=LINES_MAX)] | None,
        Meta(description="Left out: everything that has a stock record at the node."),
    ] = None
    blind: Annotated[
        bool, Meta(description="Hide what is expected from those who count, until the end.")
    ] = False


class CountedEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was found of one sku."""

    sku: Id
    quantity: Annotated[Units, Meta(description="All there is, reserved or not for sale included.")]
    unavailable: Annotated[
        Units | None, Meta(description="Of them, not for sale; left out: as it was.")
    ] = None
    counted_at: Annotated[
        Instant | None, Meta(description="When it was counted; on arrival without.")
    ] = None

    def __post_init__(self) -> None:
        """Raise `ValueError` when more is unavailable than there is."""
        if (self.unavailable or 0) > self.quantity:
            raise ValueError(f"unavailable {self.unavailable} exceeds quantity {self.quantity}")


class CountedBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was counted since the last call."""

    lines: Annotated[list[CountedEntry], Meta(min_length=1, max_length=LINES_MAX)]


class CloseRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a count ends."""

    absent: Annotated[
        bool, Meta(description="What nobody counted was not there when the count began.")
    ] = False


async def verify_own(connection: asyncpg.Connection, request: Call, count_id: UUID) -> CountAnswer:
    """Return a count at one of the caller's nodes; raises `not-found` for any other."""
    found = await counts.find(connection, count_id)
    if request.user.role == "store" and found.node_id not in request.user.node_ids:
        raise Refused("not-found", f"There is no count {count_id}.")
    return found


@post(
    "/v1/nodes/{node_id:str}/counts",
    opt=WRITERS,
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(
        *WRITE, "not-found", "unknown-sku", "unknown-node", "duplicate-entry", "too-many-lines"
    ),
    tags=["store"],
)
async def begin(
    node_id: PathId, data: JSONBody[CountRequest], request: Call, state: State
) -> Response[CountAnswer]:
    """Begin a count; sales go on.

    It shows what is on hand of each sku now, unless it is blind. What is corrected in the end goes
    by the moment at which each sku was counted.
    """
    runtime: Runtime = state.runtime
    restrict_to_nodes(request.user, node_id)

    async def work(connection: asyncpg.Connection) -> Answer:
        actor = request.user.actor
        return answer(
            201, await counts.begin(connection, node_id, data.skus, blind=data.blind, actor=actor)
        )

    return respond(await once(runtime.database, claim_of(request, data), work), CountAnswer)


@get(
    "/v1/counts/{count_id:uuid}",
    opt=READERS,
    responses=raises("not-found"),
    tags=["store"],
)
async def get_count(count_id: FromPath[UUID], request: Call, state: State) -> CountAnswer:
    """Show a count: what was found, and at the end what was expected at that moment."""
    runtime: Runtime = state.runtime
    async with runtime.database.connect() as connection:
        return await verify_own(connection, request, count_id)


@post(
    "/v1/counts/{count_id:uuid}/lines",
    status_code=200,
    opt=WRITERS,
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(
        *WRITE,
        "not-found",
        "illegal-state",
        "unknown-sku",
        "duplicate-entry",
        "too-many-lines",
        "quantity-not-positive",
        "quantity-not-whole",
        "quantity-too-large",
    ),
    tags=["store"],
)
async def add(
    count_id: FromPath[UUID], data: JSONBody[CountedBody], request: Call, state: State
) -> Response[CountAnswer]:
    """Send what was counted, and when.

    Several people may count at once, and a sku again: the figure counted last stands. A sku nobody
    expected may be found.
    """
    runtime: Runtime = state.runtime
    for each in data.lines:
        check_happened("counted_at", each.counted_at, utc_now())
    found = [
        Counted(
            sku=each.sku,
            quantity=each.quantity,
            unavailable=each.unavailable,
            counted_at=each.counted_at,
        )
        for each in data.lines
    ]

    async def work(connection: asyncpg.Connection) -> Answer:
        await verify_own(connection, request, count_id)
        return answer(200, await counts.add(connection, count_id, found, actor=request.user.actor))

    return respond(await once(runtime.database, claim_of(request, data), work), CountAnswer)


@post(
    "/v1/counts/{count_id:uuid}/close",
    status_code=200,
    opt=WRITERS,
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(*WRITE, "not-found", "illegal-state"),
    tags=["store"],
)
async def close(
    count_id: FromPath[UUID], data: JSONBody[CloseRequest], request: Call, state: State
) -> Response[CountAnswer]:
    """End a count and correct the records by what was found.

    Each figure is compared with the stock of the moment it was counted; everything that moved since
    counts on. Finding less than is promised is a shortage, which is reported and not refused.
    """
    runtime: Runtime = state.runtime

    async def work(connection: asyncpg.Connection) -> Answer:
        await verify_own(connection, request, count_id)
        actor = request.user.actor
        return answer(
            200, await counts.close(connection, count_id, absent=data.absent, actor=actor)
        )

    return respond(await once(runtime.database, claim_of(request, data), work), CountAnswer)


@post(
    "/v1/counts/{count_id:uuid}/cancel",
    status_code=200,
    opt=WRITERS,
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(*WRITE, "not-found", "illegal-state"),
    tags=["store"],
)
async def cancel(count_id: FromPath[UUID], request: Call, state: State) -> Response[CountAnswer]:
    """End a count that corrects nothing."""
    runtime: Runtime = state.runtime

    async def work(connection: asyncpg.Connection) -> Answer:
        await verify_own(connection, request, count_id)
        return answer(200, await counts.cancel(connection, count_id, actor=request.user.actor))

    return respond(await once(runtime.database, claim_of(request, None), work), CountAnswer)


handlers = [begin, get_count, add, close, cancel]
