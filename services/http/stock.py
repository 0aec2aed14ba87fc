"""Calls about stock: what is on hand, how it moves and feeds of it; with those of `supply`."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import asyncpg
import msgspec
from litestar import Response, get, post
from litestar.datastructures import State
from litestar.params import JSONBody, QueryParameter
from msgspec import Meta

from inventory.ledger import DeltaRecord, FeedResult, Movement, Recorded, SnapshotRecord
from services import records as shared_records
from services.http import supply
from services.http.access import guard_idempotency, restrict_to_nodes
from services.http.answers import WRITE, Write, raises, respond
from services.http.checkout import Call, claim_of
from services.http.fields import (
    ID_LENGTH_MAX,
    ID_PATTERN,
    PAGE_DEFAULT,
    SEQUENCE_MAX,
    UNITS_MAX,
    Channel,
    Cursor,
    Id,
    Instant,
    Limit,
    NodeFilter,
    QueryId,
    SkuFilter,
    Text,
    Units,
    UnitsTaken,
    check_happened,
    utc_now,
)
from services.http.paging import after, cursor_of
from services.http.supply import (
    FEEDERS,
    PLACE_KINDS,
    QUANTITY_KINDS,
    READERS,
    RECORDS_MAX,
    WRITERS,
    restrict,
)
from services.orders.idempotency import Answer, answer, once
from services.partners.staleness import note_feed, source_of
from services.planning import stock
from services.planning.stock import MovementAnswer, StockRecord
from services.problems import Refused
from services.runtime import Runtime

Kind = Literal[
    "receive",
    "return",
    "sale",
    "count_gain",
    "count_loss",
    "adjust_gain",
    "adjust_loss",
    "damage",
    "restore",
    "scrap",
    "transfer_in",
    "transfer_out",
]
Sequence = Annotated[
    int, Meta(ge=0, le=SEQUENCE_MAX, description="Counts the messages of the source.")
]


class SnapshotEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What lies at a node."""

    node_id: Id
    sku: Id
    on_hand: Units
    unavailable: Annotated[
        Units | None, Meta(description="Of them, not for sale; left out: as it was.")
    ] = None
    as_of: Annotated[
        Instant | None,
        Meta(description="When it was counted; on arrival without. Movements since then count on."),
    ] = None

    def __post_init__(self) -> None:
        """Raise `ValueError` when more is unavailable than there is."""
        if (self.unavailable or 0) > self.on_hand:
            raise ValueError(f"unavailable {self.unavailable} exceeds on_hand {self.on_hand}")


class SnapshotBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a source has counted."""

    source: Id
    sequence: Sequence
    records: Annotated[list[SnapshotEntry], Meta(min_length=1, max_length=RECORDS_MAX)]


class DeltaEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What came in (above zero) or went out (below)."""

    node_id: Id
    sku: Id
    delta: Annotated[int, Meta(ge=-UNITS_MAX, le=UNITS_MAX)]
    reference: Annotated[
        Id | None,
        Meta(description="Its cause; what is recorded here under it is not applied again."),
    ] = None
    as_of: Annotated[Instant | None, Meta(description="When goods moved; on arrival without.")] = (
        None
    )


class DeltasBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a source saw moving."""

    source: Id
    sequence: Sequence
    records: Annotated[list[DeltaEntry], Meta(min_length=1, max_length=RECORDS_MAX)]


class MovementEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One change of a stock record; the kind carries the direction."""

    movement_id: Annotated[UUID, Meta(description="Yours; sent again it has no second effect.")]
    node_id: Id
    sku: Id
    kind: Kind
    quantity: UnitsTaken
    happened_at: Instant | None = None
    reference: Id | None = None
    reason: Text | None = None


class MovementsBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Movements to record, all of them or none."""

    movements: Annotated[list[MovementEntry], Meta(min_length=1, max_length=RECORDS_MAX)]


class StockPage(msgspec.Struct, frozen=True):
    """Stock records by sku and node."""

    stock: list[StockRecord]
    next_cursor: str | None


class MovementsPage(msgspec.Struct, frozen=True):
    """Movements, newest first."""

    movements: list[MovementAnswer]
    next_cursor: str | None


def before_of(cursor: str | None) -> tuple[datetime, UUID] | None:
    """Return the movement after which a page begins; raises `invalid-parameter`."""
    if cursor is None:
        return None
    try:
        happened_at, movement_id = after(cursor, 2)
        return msgspec.convert((happened_at, movement_id), tuple[Instant, UUID])
    except msgspec.ValidationError as error:
        raise Refused(
            "invalid-parameter", "cursor: send the next_cursor of the page before."
        ) from error


@post(
    "/v1/stock/snapshots",
    status_code=200,
    opt=FEEDERS,
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(*WRITE, *PLACE_KINDS, *QUANTITY_KINDS),
    tags=["stock"],
)
async def snapshots(
    data: JSONBody[SnapshotBody],
    request: Call,
    state: State,
) -> Response[FeedResult]:
    """Report what has been counted.

    On hand becomes the figure plus everything that has moved since `as_of`; what is reserved stays
    reserved. A record older than the last snapshot is ignored. Finding less than is promised is a
    shortage, which is reported and not refused.
    """
    runtime: Runtime = state.runtime
    restrict(request.user, (each.node_id for each in data.records))
    for each in data.records:
        check_happened("as_of", each.as_of, utc_now())

    async def work(connection: asyncpg.Connection) -> Answer:
        now = await shared_records.database_now(connection)
        given = [
            SnapshotRecord(
                sku=each.sku,
                node_id=each.node_id,
                on_hand=each.on_hand,
                as_of=each.as_of or now,
                unavailable=each.unavailable,
            )
            for each in data.records
        ]
        actor, partner_id = request.user.actor, request.user.partner_id
        await note_feed(connection, partner_id, data.source, "stock")
        source = source_of(partner_id, data.source)
        return answer(200, await stock.snapshot(connection, source, data.sequence, given, actor))

    return respond(await once(runtime.database, claim_of(request, data), work), FeedResult)


@post(
    "/v1/stock/deltas",
    status_code=200,
    opt=FEEDERS,
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(*WRITE, *PLACE_KINDS, *QUANTITY_KINDS),
    tags=["stock"],
)
async def deltas(
    data: JSONBody[DeltasBody],
    request: Call,
    state: State,
) -> Response[FeedResult]:
    """Report what came in or went out.

    One message of a source, by its sequence, has one effect. Messages may come late: a gap is
    reported and holds nothing up.
    """
    runtime: Runtime = state.runtime
    restrict(request.user, (each.node_id for each in data.records))
    for each in data.records:
        check_happened("as_of", each.as_of, utc_now())
    given = [
        DeltaRecord(
            sku=each.sku,
            node_id=each.node_id,
            delta=each.delta,
            reference=each.reference,
            happened_at=each.as_of,
        )
        for each in data.records
    ]

    async def work(connection: asyncpg.Connection) -> Answer:
        actor, partner_id = request.user.actor, request.user.partner_id
        await note_feed(connection, partner_id, data.source, "stock")
        source = source_of(partner_id, data.source)
        return answer(200, await stock.deltas(connection, source, data.sequence, given, actor))

    return respond(await once(runtime.database, claim_of(request, data), work), FeedResult)


@post(
    "/v1/stock/movements",
    opt=WRITERS,
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(
        *WRITE,
        *PLACE_KINDS,
        *QUANTITY_KINDS,
        "duplicate-entry",
        "negative-stock",
        "illegal-state",
    ),
    tags=["stock"],
)
async def post_movements(
    data: JSONBody[MovementsBody],
    request: Call,
    state: State,
) -> Response[Recorded]:
    """Record movements you have named, all of them or none.

    Goods that come in first serve the promises that wait for them. Goods that are promised cannot
    leave, but a count or damage is a fact: it may lead to a shortage, which is reported.
    """
    runtime: Runtime = state.runtime
    restrict(request.user, (each.node_id for each in data.movements))
    for each in data.movements:
        check_happened("happened_at", each.happened_at, utc_now())
    actor = request.user.actor
    given = [Movement(**msgspec.structs.asdict(each), actor=actor) for each in data.movements]

    async def work(connection: asyncpg.Connection) -> Answer:
        return answer(201, await stock.move(connection, given))

    return respond(await once(runtime.database, claim_of(request, data), work), Recorded)


@get("/v1/stock/movements", opt=READERS, responses=raises("not-found"), tags=["stock"])
async def list_movements(
    request: Call,
    state: State,
    sku: Annotated[str, QueryParameter(min_length=1, max_length=ID_LENGTH_MAX, pattern=ID_PATTERN)],
    node_id: QueryId = None,
    cursor: Cursor = None,
    limit: Limit = PAGE_DEFAULT,
) -> MovementsPage:
    """List the movements of a sku, newest first; a store names one of its own nodes."""
    runtime: Runtime = state.runtime
    restrict_to_nodes(request.user, node_id or "")
    async with runtime.database.connect() as connection:
        page = await stock.read_movements(connection, sku, node_id, before_of(cursor), limit)
    return MovementsPage(
        page,
        cursor_of(page, limit, lambda each: (each.happened_at.isoformat(), str(each.movement_id))),
    )


@get("/v1/stock", opt=READERS, responses=raises(), tags=["stock"])
async def list_stock(
    *,
    state: State,
    sku: SkuFilter = None,
    node_id: NodeFilter = None,
    channel: Channel = "web",
    cursor: Cursor = None,
    limit: Limit = PAGE_DEFAULT,
) -> StockPage:
    """List stock records by sku and node, on request those of some skus or nodes."""
    runtime: Runtime = state.runtime
    start_sku, start_node = after(cursor, 2)
    async with runtime.database.connect() as connection:
        page = await stock.read_stock(
            connection,
            (start_sku, start_node),
            limit,
            skus=sku,
            node_ids=node_id,
            channel=channel,
        )
    return StockPage(page, cursor_of(page, limit, lambda each: (each.sku, each.node_id)))


handlers = [
    snapshots,
    deltas,
    post_movements,
    list_movements,
    list_stock,
    *supply.handlers,
]
