"""Calls of partners about work: what there is to do for them, and what they tell of it."""

from typing import Annotated, Any
from uuid import UUID

import asyncpg
import msgspec
from litestar import Response, get, post
from litestar.datastructures import State
from litestar.params import JSONBody
from msgspec import Meta

from services.fulfillment.moves import Means
from services.fulfillment.reasons import OTHER
from services.http.access import allow, guard_idempotency
from services.http.answers import WRITE, Write, raises, respond
from services.http.checkout import Call, claim_of
from services.http.fields import (
    PAGE_DEFAULT,
    Cursor,
    Id,
    Instant,
    Limit,
    Text,
    check_happened,
    utc_now,
)
from services.http.paging import cursor_of
from services.http.work import UNIT_KINDS, Lines, place_of
from services.orders.idempotency import Answer, answer, once
from services.partners import callbacks, dispatch, records
from services.partners.callbacks import Callback, CallbackAnswer, CallbackKind
from services.partners.rejecting import reject_first
from services.runtime import Runtime


class PartnerEventBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that happened at a partner."""

    partner_event_id: Annotated[
        Id, Meta(description="Yours: however often it comes, it has one effect.")
    ]
    kind: CallbackKind
    fulfillment_order_id: UUID
    lines: Lines = None
    carrier: Text = ""
    tracking: Text = ""
    happened_at: Instant | None = None
    reason: Annotated[
        Text, Meta(description="Of a rejection, one of `GET /v1/rejection-reasons`.")
    ] = OTHER


class PartnerWorkPage(msgspec.Struct, frozen=True):
    """What a partner has to do, the most urgent first."""

    work: Annotated[
        list[dict[str, Any]], Meta(description="As `fulfillment_order.submitted` tells it.")
    ]
    next_cursor: str | None


@post(
    "/v1/partner-events",
    status_code=200,
    opt=allow("partner"),
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(
        *WRITE,
        *UNIT_KINDS,
        "not-found",
        "partner-event-reused",
        "illegal-state",
        "negative-stock",
        "waiting-for-supply",
        "unknown-reference",
    ),
    tags=["partner"],
)
async def post_event(
    data: JSONBody[PartnerEventBody], request: Call, state: State
) -> Response[CallbackAnswer]:
    """Tell what happened to work: accepted, rejected, shipped, delivered, a cancellation answered.

    Send events as they happen, in any order and as often as need be. One that comes too early is
    parked until it can have its effect; one that comes too late is ignored, and the answer says why.
    To ship is to have accepted and picked.
    """
    runtime: Runtime = state.runtime
    check_happened("happened_at", data.happened_at, utc_now())
    fields = msgspec.structs.asdict(data)
    lines = None if data.lines is None else tuple(data.lines)
    told = Callback(**{**fields, "lines": lines}, partner_id=request.user.partner_id or "")
    rejected = False
    if told.kind == "reject":
        means = Means(runtime.database, runtime.network.current, runtime.settings)
        rejected = await reject_first(means, told, request.user)

    async def work(connection: asyncpg.Connection) -> Answer:
        return answer(200, await callbacks.take(connection, told, request.user, rejected=rejected))

    return respond(await once(runtime.database, claim_of(request, data), work), CallbackAnswer)


@get("/v1/partner/work", opt=allow("partner"), responses=raises(), tags=["partner"])
async def list_work(
    request: Call, state: State, cursor: Cursor = None, limit: Limit = PAGE_DEFAULT
) -> PartnerWorkPage:
    """List what the key's partner has to do at all of its nodes, by the instant it has to leave.

    Each entry is all that a carrier or 3PL needs, the same as a webhook tells it.
    """
    runtime: Runtime = state.runtime
    async with runtime.database.connect() as connection:
        nodes = await records.nodes_of(connection, request.user.partner_id or "")
        works = await records.list_partner_work(connection, nodes, place_of(cursor), limit)
        told = await dispatch.dispatches_of(connection, works)
    key = cursor_of(
        works,
        limit,
        lambda each: (each.order.ship_by.isoformat(), str(each.order.fulfillment_order_id)),
    )
    return PartnerWorkPage([told[each.order.fulfillment_order_id] for each in works], key)


handlers = [post_event, list_work]
