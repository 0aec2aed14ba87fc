"""Calls about what comes in at a node, and what is found or found broken there."""

from typing import Annotated

import asyncpg
import msgspec
from litestar import Response, post
from litestar.datastructures import State
from litestar.params import JSONBody
from msgspec import Meta

from inventory.ledger import Movement, Recorded
from services.goods import receipts
from services.goods.receipts import Arrived, Delivery, ReceivedAnswer, Tolerance
from services.http.access import allow, guard_idempotency, restrict_to_nodes
from services.http.answers import WRITE, Write, raises, respond
from services.http.checkout import Call, claim_of
from services.http.fields import Id, PathId, Text, Units, UnitsTaken
from services.ids import new_id
from services.orders.idempotency import Answer, answer, once
from services.planning import stock
from services.runtime import Runtime

LINES_MAX = 2_000
WRITERS = allow("store", "planner")
PLACE_KINDS = ("not-found", "unknown-sku", "unknown-node")
QUANTITY_KINDS = ("quantity-not-positive", "quantity-not-whole", "quantity-too-large")


class ArrivedEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What came in of one sku."""

    sku: Id
    quantity: Annotated[Units, Meta(description="Came in, damaged ones included.")]
    damaged: Annotated[Units, Meta(description="Of them, not for sale; they serve nobody.")] = 0
    final: Annotated[bool, Meta(description="Nothing more comes of it.")] = False
    unexpected: Annotated[bool, Meta(description="Take it in although nobody announced it.")] = (
        False
    )


class DeliveryRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A delivery, or a part of one."""

    node_id: Id
    lines: Annotated[list[ArrivedEntry], Meta(min_length=1, max_length=LINES_MAX)]
    accept_over: Annotated[
        bool, Meta(description="Take in more than was expected, beyond the tolerance.")
    ] = False


class UnitsRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Units of one sku at a node, and why."""

    sku: Id
    quantity: UnitsTaken
    reason: Text | None = None
    reference: Id | None = None


@post(
    "/v1/supply/{supply_id:str}/receive",
    status_code=200,
    opt=WRITERS,
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(
        *WRITE,
        *PLACE_KINDS,
        *QUANTITY_KINDS,
        "duplicate-entry",
        "unknown-reference",
        "over-receipt",
    ),
    tags=["stock"],
)
async def receive(
    supply_id: PathId, data: JSONBody[DeliveryRequest], request: Call, state: State
) -> Response[ReceivedAnswer]:
    """Take a delivery in and compare it with what was expected.

    It may come in parts. What waits for it is served first, in promise order. More than was expected
    is taken up to a tolerance, what nobody announced only when it is sent as `unexpected`; what is
    damaged is set aside. `final` says that no more comes: what was promised of the rest is a
    shortage, which is reported.
    """
    runtime: Runtime = state.runtime
    restrict_to_nodes(request.user, data.node_id)
    delivery = Delivery(
        supply_id=supply_id,
        node_id=data.node_id,
        lines=tuple(Arrived(**msgspec.structs.asdict(line)) for line in data.lines),
        actor=request.user.actor,
    )
    tolerance = Tolerance(runtime.settings.receipt_over_percent, data.accept_over)

    async def work(connection: asyncpg.Connection) -> Answer:
        return answer(200, await receipts.receive(connection, delivery, tolerance))

    return respond(await once(runtime.database, claim_of(request, data), work), ReceivedAnswer)


async def move(
    request: Call, state: State, node_id: str, data: UnitsRequest, kind: str
) -> Response[Recorded]:
    """Record one movement at a node, once per key."""
    runtime: Runtime = state.runtime
    restrict_to_nodes(request.user, node_id)
    movement = Movement(
        movement_id=new_id(),
        sku=data.sku,
        node_id=node_id,
        kind=kind,
        quantity=data.quantity,
        happened_at=None,
        actor=request.user.actor,
        reference=data.reference,
        reason=data.reason,
    )

    async def work(connection: asyncpg.Connection) -> Answer:
        return answer(201, await stock.move(connection, [movement]))

    return respond(await once(runtime.database, claim_of(request, data), work), Recorded)


@post(
    "/v1/nodes/{node_id:str}/damaged",
    opt=WRITERS,
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(*WRITE, *PLACE_KINDS, *QUANTITY_KINDS, "negative-stock"),
    tags=["store"],
)
async def damaged(
    node_id: PathId, data: JSONBody[UnitsRequest], request: Call, state: State
) -> Response[Recorded]:
    """Set units aside that cannot be sold.

    Where more is promised than is left, that is a shortage, which is reported and not refused.
    """
    return await move(request, state, node_id, data, "damage")


@post(
    "/v1/nodes/{node_id:str}/found",
    opt=WRITERS,
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(*WRITE, *PLACE_KINDS, *QUANTITY_KINDS),
    tags=["store"],
)
async def found(
    node_id: PathId, data: JSONBody[UnitsRequest], request: Call, state: State
) -> Response[Recorded]:
    """Add units that turned up; they first serve the promises that wait for some."""
    return await move(request, state, node_id, data, "adjust_gain")


handlers = [receive, damaged, found]
