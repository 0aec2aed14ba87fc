"""Calls about supply: what is expected, where and when, and its arrival."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Annotated, Literal
from uuid import UUID

import asyncpg
import msgspec
from litestar import Response, get, post
from litestar.datastructures import State
from litestar.params import JSONBody
from msgspec import Meta

from inventory.ledger import Recorded
from inventory.supply import Receipt, Supply, SupplyState, get_supply
from services.http.access import allow, guard_idempotency, restrict_to_nodes
from services.http.answers import WRITE, Write, raises, respond
from services.http.checkout import Call, claim_of
from services.http.fields import (
    Id,
    Instant,
    Percent,
    SkuQuery,
    Units,
    UnitsTaken,
    check_happened,
    check_planned,
    utc_now,
)
from services.keys import Principal
from services.orders.idempotency import Answer, answer, once
from services.partners.records import find_elsewhere
from services.partners.staleness import note_feed
from services.planning import stock
from services.planning.stock import SupplyPut
from services.problems import Refused
from services.runtime import Runtime

RECORDS_MAX = 2_000
PLACE_KINDS = ("not-found", "unknown-sku", "unknown-node")
QUANTITY_KINDS = ("quantity-not-positive", "quantity-not-whole", "quantity-too-large")
WRITERS = allow("planner", "store")
FEEDERS = allow("planner", "store", "partner")
"""Who may report stock and supply of nodes, and not only what moved there."""
READERS = allow("planner", "operator", "store")


class SupplyEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Units expected at a node."""

    sku: Id
    supply_id: Id
    node_id: Id
    kind: Literal["purchase_order", "transfer", "production"] = "purchase_order"
    expected_on: Annotated[date, Meta(description="Local date at the node.")]
    quantity: Annotated[Units, Meta(description="In all, what has come in already included.")]
    trust_percent: Annotated[
        Percent, Meta(description="How much of what is to come may be promised.")
    ] = 100


class SupplyBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Supply to announce or correct."""

    supply: Annotated[list[SupplyEntry], Meta(min_length=1, max_length=RECORDS_MAX)]


class ReceiptEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Units of a supply that came in."""

    movement_id: Annotated[UUID, Meta(description="Yours; sent again it has no second effect.")]
    sku: Id
    supply_id: Id
    quantity: UnitsTaken
    happened_at: Instant | None = None


class ReceiptsBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Receipts to record, all of them or none."""

    receipts: Annotated[list[ReceiptEntry], Meta(min_length=1, max_length=RECORDS_MAX)]


class SupplyAnswer(msgspec.Struct, frozen=True):
    """Supply by sku, node and date, come in or not."""

    supply: list[SupplyState]


def restrict(principal: Principal, node_ids: Iterable[str]) -> None:
    """Raise `not-found` when a store's or partner's key writes about nodes not its own."""
    for node_id in node_ids:
        restrict_to_nodes(principal, node_id)


async def verify_own_supply(
    connection: asyncpg.Connection, principal: Principal, given: Sequence[Supply]
) -> None:
    """Raise `not-found` when a key would move another node's supply to its own by naming it."""
    if not principal.is_bound:
        return
    keys = [(each.sku, each.supply_id) for each in given]
    taken = await find_elsewhere(connection, keys, principal.node_ids)
    if taken is not None:
        raise Refused(
            "not-found", f"There is no supply {taken[1]} of {taken[0]} that this key may change."
        )


@post(
    "/v1/supply",
    status_code=200,
    opt=FEEDERS,
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(*WRITE, *PLACE_KINDS, *QUANTITY_KINDS, "duplicate-entry", "illegal-state"),
    tags=["stock"],
)
async def post_supply(
    data: JSONBody[SupplyBody],
    request: Call,
    state: State,
) -> Response[SupplyPut]:
    """Announce supply, or correct what was announced under the same `supply_id`."""
    runtime: Runtime = state.runtime
    restrict(request.user, (each.node_id for each in data.supply))
    for each in data.supply:
        check_planned("expected_on", each.expected_on, utc_now())
    given = [Supply(**msgspec.structs.asdict(each)) for each in data.supply]

    async def work(connection: asyncpg.Connection) -> Answer:
        await verify_own_supply(connection, request.user, given)
        await note_feed(connection, request.user.partner_id, "supply", "supply")
        return answer(200, await stock.announce(connection, given, request.user.actor))

    return respond(await once(runtime.database, claim_of(request, data), work), SupplyPut)


@get("/v1/supply", opt=READERS, responses=raises(), tags=["stock"])
async def list_supply(state: State, sku: SkuQuery) -> SupplyAnswer:
    """List the supply of some skus, come in or not, by sku, node and date."""
    runtime: Runtime = state.runtime
    async with runtime.database.connect() as connection:
        return SupplyAnswer(await get_supply(connection, sku))


@post(
    "/v1/supply/receipts",
    opt=WRITERS,
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(
        *WRITE, *QUANTITY_KINDS, "duplicate-entry", "unknown-reference", "illegal-state"
    ),
    tags=["stock"],
)
async def post_receipts(
    data: JSONBody[ReceiptsBody], request: Call, state: State
) -> Response[Recorded]:
    """Record supply that has come in; it first serves the promises that wait for it."""
    runtime: Runtime = state.runtime
    for each in data.receipts:
        check_happened("happened_at", each.happened_at, utc_now())
    principal = request.user
    given = [
        Receipt(**msgspec.structs.asdict(each), actor=principal.actor) for each in data.receipts
    ]
    own = principal.node_ids if principal.role == "store" else None

    async def work(connection: asyncpg.Connection) -> Answer:
        return answer(201, await stock.receive(connection, given, own))

    return respond(await once(runtime.database, claim_of(request, data), work), Recorded)


handlers = [post_supply, list_supply, post_receipts]
