"""What is told of a fulfillment order, and of an allocation together with its work."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Meta

from routing.problem import Method
from services.fulfillment import records
from services.fulfillment.records import FulfillmentLine, FulfillmentOrder, Peg, Shipment, Work
from services.fulfillment.states import (
    Action,
    RequestState,
    Standing,
    State,
    allowed,
)
from services.fulfillment.tables import LIVE_STATES
from services.fulfillment.work_slots import WorkSlotAnswer, slots_of_works
from services.keys import Role
from services.orders import lifecycle
from services.orders.answers import AllocationAnswer, CostAnswer, PromiseAnswer

KNOWS_CODE: tuple[Role, ...] = ("checkout", "operator")
"""Who is shown a pickup code. The store is not: the customer proves with it who they are."""

Outcome = Literal["cancelled", "cancellation_requested", "cancellation_rejected", "kept", "ended"]


class WaitAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Units that are not there yet."""

    supply_id: str
    quantity: int
    expected_on: date


class WorkLineAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Units of one line in a fulfillment order, and what became of them."""

    part: Annotated[int, Meta(description="Tells lines apart where a `line_id` is there twice.")]
    line_id: str
    sku: str
    quantity: int
    picked: int
    shipped: int
    collected: int
    rejected: int
    cancelled: int
    returned: int
    unit_price_minor: int | None
    waits_for: Annotated[
        tuple[WaitAnswer, ...],
        Meta(description="Supply that has to be received before these units can be picked."),
    ]


class ShippedLineAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Units of one line in a parcel."""

    part: int
    line_id: str
    sku: str
    quantity: int


class ShipmentAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A parcel that has left."""

    shipment_id: UUID
    carrier: str
    tracking: str
    lines: tuple[ShippedLineAnswer, ...]
    shipped_at: datetime
    delivered_at: datetime | None


class FulfillmentOrderAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What one node is asked to do for an order, and how far it has come."""

    fulfillment_order_id: UUID
    order_id: str
    allocation_id: UUID
    node_id: str
    method: Method
    service: str | None
    pickup_node: Annotated[str | None, Meta(description="The store that its goods are sent to.")]
    curbside: Annotated[bool, Meta(description="What is collected is handed over at the curb.")]
    state: Annotated[State, Meta(description="How far the work is.")]
    request_state: Annotated[RequestState, Meta(description="Where the talk with the node is.")]
    version: Annotated[int, Meta(description="Counts changes; `If-Match` takes it in quotes.")]
    allowed: Annotated[
        tuple[Action, ...], Meta(description="What the node may do now, as in the addresses.")
    ]
    attempt: Annotated[int, Meta(description="Which node this is that is asked, from 1.")]
    replaces: Annotated[
        UUID | None, Meta(description="The fulfillment order whose units it took over.")
    ]
    work_on: date
    ship_by: datetime
    promise: PromiseAnswer
    slot: Annotated[
        WorkSlotAnswer | None,
        Meta(description="The slot that was chosen for the way it comes, while it is kept."),
    ]
    weight_grams: int
    cost: Annotated[CostAnswer | None, Meta(description="To the company; not told to partners.")]
    lines: tuple[WorkLineAnswer, ...]
    shipments: tuple[ShipmentAnswer, ...]
    waits_for_supply: bool
    release_at: Annotated[datetime, Meta(description="When it is submitted, unless held.")]
    submitted_at: datetime | None
    answer_by: datetime | None
    answered_at: datetime | None
    started_at: Annotated[datetime | None, Meta(description="When the first unit was picked.")]
    packed_at: datetime | None
    ready_at: datetime | None
    collect_by: datetime | None
    ended_at: Annotated[datetime | None, Meta(description="When the node had nothing left to do.")]
    pickup_code: Annotated[
        str | None, Meta(description="What the customer shows; only told to checkouts.")
    ] = None


class WorkBrief(msgspec.Struct, frozen=True, kw_only=True):
    """A fulfillment order in short, and what a cancellation did to it."""

    fulfillment_order_id: UUID
    node_id: str
    method: Method
    state: State
    request_state: RequestState
    version: int
    work_on: date
    promise: Annotated[PromiseAnswer, Meta(description="As it is now, after all moves.")]
    outcome: Annotated[
        Outcome | None,
        Meta(
            description="After a cancel: `cancelled` now or before; the node was asked "
            "(`cancellation_requested`) or has said no (`cancellation_rejected`); `kept` where "
            "everything has left; `ended` where the node had given it up."
        ),
    ] = None


class AllocationWithWork(AllocationAnswer, frozen=True, kw_only=True):
    """An allocation as it was promised, and the work that it is for its nodes now."""

    fulfillment_orders: Annotated[
        tuple[WorkBrief, ...],
        Meta(
            description="None before it is confirmed; work that moved is there with what it became."
        ),
    ]


def standing(order: FulfillmentOrder) -> Standing:
    """Return how a fulfillment order stands, as its state machines need it."""
    return Standing(method=order.method, state=order.state, request_state=order.request_state)


def brief(order: FulfillmentOrder, outcome: Outcome | None = None) -> WorkBrief:
    """Return a fulfillment order in short."""
    names = [name for name in WorkBrief.__struct_fields__ if name not in ("promise", "outcome")]
    return WorkBrief(
        **{name: getattr(order, name) for name in names},
        promise=PromiseAnswer(order.promise_earliest, order.promise_latest),
        outcome=outcome,
    )


def with_work(body: AllocationAnswer, briefs: Sequence[WorkBrief]) -> AllocationWithWork:
    """Return an allocation together with its work."""
    return AllocationWithWork(**msgspec.structs.asdict(body), fulfillment_orders=tuple(briefs))


async def find_with_work(connection: asyncpg.Connection, allocation_id: UUID) -> AllocationWithWork:
    """Return an allocation with its work as it stands; raises `not-found`."""
    body = lifecycle.told(await lifecycle.find(connection, allocation_id))
    works = await records.find_of_allocation(connection, allocation_id)
    return with_work(body, [brief(work.order) for work in works])


async def told(
    connection: asyncpg.Connection, works: Sequence[Work], role: Role
) -> list[FulfillmentOrderAnswer]:
    """Return fulfillment orders as a key of this role is told of them."""
    if not works:
        return []
    shipments = await records.find_shipments(connection, [each.order.order_id for each in works])
    live = {each.order.allocation_id for each in works if each.order.state in LIVE_STATES}
    pegs = await records.find_pegs(connection, list(live)) if live else []
    slots = await slots_of_works(connection, works)
    return [
        work_answer(
            work,
            shipments.get(work.order.fulfillment_order_id, ()),
            pegs,
            slots.get(work.order.fulfillment_order_id),
            role,
        )
        for work in works
    ]


def work_answer(
    work: Work,
    shipments: Sequence[Shipment],
    pegs: Sequence[Peg],
    slot: WorkSlotAnswer | None,
    role: Role,
) -> FulfillmentOrderAnswer:
    """Return one fulfillment order; `pegs` may hold those of others too."""
    order = work.order
    is_ours = role != "partner"
    lines = tuple(line_answer(line, waits(work, line, pegs), prices=is_ours) for line in work.lines)
    same = {
        name: getattr(order, name)
        for name in FulfillmentOrderAnswer.__struct_fields__
        if name in FulfillmentOrder.__struct_fields__ and name not in ("cost", "pickup_code")
    }
    return FulfillmentOrderAnswer(
        **same,
        allowed=allowed(standing(order)),
        promise=PromiseAnswer(order.promise_earliest, order.promise_latest),
        slot=slot,
        cost=msgspec.json.decode(order.cost, type=CostAnswer) if is_ours else None,
        lines=lines,
        shipments=tuple(shipment_answer(each) for each in shipments),
        waits_for_supply=any(line.waits_for for line in lines),
        pickup_code=order.pickup_code if role in KNOWS_CODE else None,
    )


def line_answer(
    line: FulfillmentLine, waits_for: tuple[WaitAnswer, ...], *, prices: bool
) -> WorkLineAnswer:
    """Return one line; a partner is not told what the customer pays."""
    names = FulfillmentLine.__struct_fields__
    fields = {name: getattr(line, name) for name in names if name != "supply_id"}
    if not prices:
        fields["unit_price_minor"] = None
    return WorkLineAnswer(**fields, waits_for=waits_for)


def waits(work: Work, line: FulfillmentLine, pegs: Sequence[Peg]) -> tuple[WaitAnswer, ...]:
    """Return what a line waits for. Where its sku is there twice, the part planned so waits."""
    order = work.order
    if order.state not in LIVE_STATES:
        return ()
    twins = [each for each in work.lines if (each.line_id, each.sku) == (line.line_id, line.sku)]
    if line.supply_id is None and any(each.supply_id is not None for each in twins):
        return ()
    at = (order.allocation_id, line.line_id, line.sku, order.node_id)
    return tuple(
        WaitAnswer(supply_id=peg.supply_id, quantity=peg.quantity, expected_on=peg.expected_on)
        for peg in pegs
        if (peg.holder_id, peg.line_id, peg.sku, peg.node_id) == at
    )


def shipment_answer(shipment: Shipment) -> ShipmentAnswer:
    """Return a parcel as it is told."""
    return ShipmentAnswer(
        shipment_id=shipment.shipment_id,
        carrier=shipment.carrier,
        tracking=shipment.tracking,
        lines=msgspec.json.decode(shipment.lines, type=tuple[ShippedLineAnswer, ...]),
        shipped_at=shipment.shipped_at,
        delivered_at=shipment.delivered_at,
    )
