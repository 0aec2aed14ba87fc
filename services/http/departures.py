"""Calls about goods that leave: ready for the customer, handed over, shipped, delivered."""

import secrets
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from services.fulfillment import cancel, departures
from services.fulfillment.answers import FulfillmentOrderAnswer
from services.fulfillment.departures import CODE_LENGTH, LETTERS, Departure
from services.http.answers import raises
from services.http.checkout import Call
from services.http.fields import Instant, Text, check_happened, utc_now
from services.http.work import STEP, STEP_KINDS, UNIT_KINDS, Lines, ask_of, take
from services.ids import new_id


class HandOverRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Units that a customer took."""

    code: Annotated[str, Meta(max_length=50, description="What the customer shows.")]
    lines: Lines = None
    happened_at: Instant | None = None


class ShipRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A parcel that has left."""

    carrier: Text = ""
    tracking: Text = ""
    lines: Lines = None
    happened_at: Instant | None = None
    shipment_id: Annotated[
        UUID | None, Meta(description="Yours; told again it has no second effect.")
    ] = None


class DeliverRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """That the parcels have arrived."""

    happened_at: Instant | None = None


@post(
    "/v1/fulfillment-orders/{fulfillment_order_id:uuid}/ready",
    responses=raises(*STEP_KINDS),
    **STEP,
)
async def ready(
    fulfillment_order_id: FromPath[UUID], request: Call, state: State
) -> Response[FulfillmentOrderAnswer]:
    """Say that the customer can come; makes the pickup code.

    What was sent to a store is there then, and it is the store that says so.
    Asked again it makes a new code, for one that was lost. The time limit stays.
    """
    ask, days = ask_of(request), state.runtime.settings.collect_days
    code = "".join(secrets.choice(LETTERS) for _ in range(CODE_LENGTH))
    return await take(
        request,
        state,
        None,
        lambda c: departures.ready(c, fulfillment_order_id, ask, code=code, collect_days=days),
    )


@post(
    "/v1/fulfillment-orders/{fulfillment_order_id:uuid}/hand-over",
    responses=raises(*STEP_KINDS, *UNIT_KINDS, "wrong-pickup-code", "negative-stock"),
    **STEP,
)
async def hand_over(
    fulfillment_order_id: FromPath[UUID],
    data: JSONBody[HandOverRequest],
    request: Call,
    state: State,
) -> Response[FulfillmentOrderAnswer]:
    """Hand goods to the customer who shows the code, in part or all.

    What was sent to the store is handed over whole.
    Wrong codes are counted: after `NOM_PICKUP_TRIES_MAX` of them a new one has to be made.
    """
    check_happened("happened_at", data.happened_at, utc_now())
    ask, tries_max = ask_of(request), state.runtime.settings.pickup_tries_max
    departure = Departure(
        departure_id=new_id(), lines=data.lines, happened_at=data.happened_at, code=data.code
    )
    return await take(
        request,
        state,
        data,
        lambda c: departures.hand_over(
            c, fulfillment_order_id, ask, departure, tries_max=tries_max
        ),
    )


@post(
    "/v1/fulfillment-orders/{fulfillment_order_id:uuid}/no-show",
    responses=raises(*STEP_KINDS),
    **STEP,
)
async def no_show(
    fulfillment_order_id: FromPath[UUID], request: Call, state: State
) -> Response[FulfillmentOrderAnswer]:
    """Put back on the shelf what nobody came for."""
    ask = ask_of(request)
    return await take(request, state, None, lambda c: cancel.no_show(c, fulfillment_order_id, ask))


@post(
    "/v1/fulfillment-orders/{fulfillment_order_id:uuid}/ship",
    responses=raises(*STEP_KINDS, *UNIT_KINDS, "negative-stock"),
    **STEP,
)
async def ship(
    fulfillment_order_id: FromPath[UUID],
    data: JSONBody[ShipRequest],
    request: Call,
    state: State,
) -> Response[FulfillmentOrderAnswer]:
    """Send a parcel with all that is picked and has not left, or with the lines named.

    Its goods leave stock now. With a `shipment_id` of yours, telling it again changes nothing.
    """
    check_happened("happened_at", data.happened_at, utc_now())
    ask = ask_of(request)
    departure = Departure(
        departure_id=data.shipment_id or new_id(),
        lines=data.lines,
        happened_at=data.happened_at,
        carrier=data.carrier,
        tracking=data.tracking,
    )
    return await take(
        request, state, data, lambda c: departures.ship(c, fulfillment_order_id, ask, departure)
    )


@post(
    "/v1/fulfillment-orders/{fulfillment_order_id:uuid}/deliver",
    responses=raises(*STEP_KINDS),
    **STEP,
)
async def deliver(
    fulfillment_order_id: FromPath[UUID],
    data: JSONBody[DeliverRequest],
    request: Call,
    state: State,
) -> Response[FulfillmentOrderAnswer]:
    """Say that every parcel has arrived, with the customer or at the store it was sent to."""
    check_happened("happened_at", data.happened_at, utc_now())
    ask = ask_of(request)
    return await take(
        request,
        state,
        data,
        lambda c: departures.deliver(c, fulfillment_order_id, ask, data.happened_at),
    )


handlers = [
    ready,
    hand_over,
    no_show,
    ship,
    deliver,
]
