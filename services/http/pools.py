"""Calls of the planner about pools: shares of stock that are kept for channels."""

from typing import Annotated

import asyncpg
import msgspec
from litestar import Response, get, post, put
from litestar.datastructures import State
from litestar.params import JSONBody
from msgspec import Meta

from services.http.access import allow, guard_idempotency
from services.http.answers import BODY, WRITE, Write, raises, respond
from services.http.checkout import Call, claim_of
from services.http.fields import (
    PAGE_DEFAULT,
    Cursor,
    Id,
    Ids,
    Limit,
    NodeFilter,
    PathId,
    SkuFilter,
    Text,
    UnitsTaken,
    verify_named,
)
from services.http.fields import Units as UnitsGiven
from services.http.paging import after, cursor_of
from services.orders.idempotency import Answer, answer, once
from services.planning import pools
from services.planning.pools import PoolAnswer, QuotaAnswer, QuotaShown
from services.runtime import Runtime

QUOTAS_MAX = 1_000
"""Quotas changed by one call: their stock records are locked together."""
READERS = allow("planner", "operator", "store")
WRITERS = allow("planner")
QUANTITY_KINDS = ("quantity-not-positive", "quantity-not-whole", "quantity-too-large")
QUOTA_KINDS = (*QUANTITY_KINDS, "not-found", "duplicate-entry", "unknown-sku", "unknown-node")


class PoolBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom a share of stock is kept for."""

    pool_id: Annotated[Id, Meta(description="If sent, the one in the address.")] | None = None
    name: Text = ""
    channels: Annotated[Ids, Meta(description="They take from it before they take common stock.")]


class QuotaEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Units of one sku at one node, in all."""

    sku: Id
    node_id: Id
    quantity: UnitsGiven


class MoreEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Units of one sku at one node, more than before or to be moved."""

    sku: Id
    node_id: Id
    quantity: UnitsTaken


class QuotasBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a pool is to have in all; what its orders have is counted in it."""

    quotas: Annotated[list[QuotaEntry], Meta(min_length=1, max_length=QUOTAS_MAX)]


class MoreBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a pool gets more, from the common stock."""

    quotas: Annotated[list[MoreEntry], Meta(min_length=1, max_length=QUOTAS_MAX)]


class MovesBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a pool gives up, and to whom."""

    to_pool_id: Annotated[Id | None, Meta(description="null is the common stock.")]
    quotas: Annotated[list[MoreEntry], Meta(min_length=1, max_length=QUOTAS_MAX)]


class QuotasAnswer(msgspec.Struct, frozen=True):
    """Quotas as they are now."""

    quotas: list[QuotaAnswer]


class PoolsPage(msgspec.Struct, frozen=True):
    """Pools by their id."""

    pools: list[PoolAnswer]
    next_cursor: str | None


class QuotasPage(msgspec.Struct, frozen=True):
    """A pool's quotas by sku and node."""

    quotas: list[QuotaShown]
    next_cursor: str | None


@put(
    "/v1/pools/{pool_id:str}",
    opt=WRITERS,
    responses=raises(*BODY, "duplicate-entry", "channel-in-pool"),
    tags=["planner"],
)
async def put_pool(
    pool_id: PathId, data: JSONBody[PoolBody], request: Call, state: State
) -> PoolAnswer:
    """Add a pool or replace its name and channels.

    A pool without channels keeps its units from everyone.
    """
    runtime: Runtime = state.runtime
    verify_named("pool_id", pool_id, data.pool_id)

    async def work(connection: asyncpg.Connection) -> PoolAnswer:
        actor = request.user.actor
        return await pools.put_pool(connection, pool_id, data.name, data.channels, actor=actor)

    return await runtime.database.run(work)


@get("/v1/pools/{pool_id:str}", opt=READERS, responses=raises("not-found"), tags=["planner"])
async def get_pool(pool_id: PathId, state: State) -> PoolAnswer:
    """Show a pool."""
    runtime: Runtime = state.runtime
    async with runtime.database.connect() as connection:
        return await pools.find(connection, pool_id)


@get("/v1/pools", opt=READERS, responses=raises(), tags=["planner"])
async def list_pools(state: State, cursor: Cursor = None, limit: Limit = PAGE_DEFAULT) -> PoolsPage:
    """List pools by their id."""
    runtime: Runtime = state.runtime
    (start,) = after(cursor)
    async with runtime.database.connect() as connection:
        page = await pools.list_pools(connection, start, limit)
    return PoolsPage(page, cursor_of(page, limit, lambda pool: (pool.pool_id,)))


@get("/v1/pools/{pool_id:str}/quotas", opt=READERS, responses=raises("not-found"), tags=["planner"])
async def list_quotas(
    pool_id: PathId,
    state: State,
    sku: SkuFilter = None,
    node_id: NodeFilter = None,
    cursor: Cursor = None,
    limit: Limit = PAGE_DEFAULT,
) -> QuotasPage:
    """List what a pool was given, and what has become of it, by sku and node."""
    runtime: Runtime = state.runtime
    last_sku, last_node = after(cursor, 2)
    async with runtime.database.connect() as connection:
        page = await pools.list_quotas(
            connection, pool_id, (last_sku, last_node), limit, skus=sku, node_ids=node_id
        )
    return QuotasPage(page, cursor_of(page, limit, lambda quota: (quota.sku, quota.node_id)))


@put(
    "/v1/pools/{pool_id:str}/quotas",
    opt=WRITERS,
    responses=raises(*BODY, *QUOTA_KINDS, "quota-used"),
    tags=["planner"],
)
async def put_quotas(
    pool_id: PathId, data: JSONBody[QuotasBody], request: Call, state: State
) -> QuotasAnswer:
    """Set what a pool has of skus at nodes, all or nothing.

    A quota is a right, not stock: it may be larger than what is there, and keeps what comes in.
    """
    runtime: Runtime = state.runtime
    units = [msgspec.convert(each, pools.Units, from_attributes=True) for each in data.quotas]

    async def work(connection: asyncpg.Connection) -> QuotasAnswer:
        actor = request.user.actor
        return QuotasAnswer(
            await pools.allocate(connection, pool_id, units, adds=False, actor=actor)
        )

    return await runtime.database.run(work)


@post(
    "/v1/pools/{pool_id:str}/quotas",
    opt=WRITERS,
    guards=[guard_idempotency],
    operation_class=Write,
    status_code=200,
    responses=raises(*WRITE, *QUOTA_KINDS),
    tags=["planner"],
)
async def add_quotas(
    pool_id: PathId, data: JSONBody[MoreBody], request: Call, state: State
) -> Response[QuotasAnswer]:
    """Give a pool more of skus at nodes, from the common stock, all or nothing."""
    runtime: Runtime = state.runtime
    units = [msgspec.convert(each, pools.Units, from_attributes=True) for each in data.quotas]

    async def work(connection: asyncpg.Connection) -> Answer:
        actor = request.user.actor
        given = await pools.allocate(connection, pool_id, units, adds=True, actor=actor)
        return answer(200, QuotasAnswer(given))

    return respond(await once(runtime.database, claim_of(request, data), work), QuotasAnswer)


@post(
    "/v1/pools/{pool_id:str}/moves",
    opt=WRITERS,
    guards=[guard_idempotency],
    operation_class=Write,
    status_code=200,
    responses=raises(*WRITE, *QUOTA_KINDS, "quota-used"),
    tags=["planner"],
)
async def move_quotas(
    pool_id: PathId, data: JSONBody[MovesBody], request: Call, state: State
) -> Response[QuotasAnswer]:
    """Move what a pool has left of skus at nodes to another pool or to the common stock.

    All or nothing; what orders have stays theirs.
    """
    runtime: Runtime = state.runtime
    units = [msgspec.convert(each, pools.Units, from_attributes=True) for each in data.quotas]

    async def work(connection: asyncpg.Connection) -> Answer:
        moved = await pools.reallocate(
            connection, pool_id, data.to_pool_id, units, actor=request.user.actor
        )
        return answer(200, QuotasAnswer(moved))

    return respond(await once(runtime.database, claim_of(request, data), work), QuotasAnswer)


handlers = [put_pool, get_pool, list_pools, list_quotas, put_quotas, add_quotas, move_quotas]
