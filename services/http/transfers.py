"""Calls about transfers: goods that leave one node and arrive at another."""

from datetime import date
from typing import Annotated
from uuid import UUID

import asyncpg
import msgspec
from litestar import Response, get, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from inventory.transfers import Arrival
from services.goods import transfers
from services.goods.transfers import TransferAnswer
from services.http.access import allow, guard_idempotency, restrict_to_nodes
from services.http.answers import WRITE, Write, raises, respond
from services.http.checkout import Call, claim_of
from services.http.fields import (
    PAGE_DEFAULT,
    Cursor,
    Id,
    Limit,
    PathId,
    Text,
    Units,
    UnitsTaken,
    check_planned,
    utc_now,
)
from services.http.paging import after, cursor_of
from services.keys import Principal
from services.orders.idempotency import Answer, answer, once
from services.planning.masterdata import verify_distinct
from services.problems import Refused
from services.runtime import Runtime

LINES_MAX = 500
WRITERS = allow("store", "planner")
READERS = allow("store", "planner", "operator")
QUANTITY_KINDS = ("quantity-not-positive", "quantity-not-whole", "quantity-too-large")


class TransferEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Units of one sku."""

    sku: Id
    quantity: UnitsTaken


class TransferRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be moved from where to where."""

    from_node_id: Id
    to_node_id: Id
    lines: Annotated[list[TransferEntry], Meta(min_length=1, max_length=LINES_MAX)]
    expected_on: Annotated[
        date | None, Meta(description="Local date of arrival; in three days when left out.")
    ] = None
    note: Text = ""


class ShipEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Units of one sku that leave."""

    sku: Id
    quantity: Units


class ShipRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What leaves; everything when no line is named."""

    lines: Annotated[list[ShipEntry], Meta(min_length=1, max_length=LINES_MAX)] | None = None
    expected_on: date | None = None


class ArrivalEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of units in transit."""

    sku: Id
    quantity: Annotated[Units, Meta(description="Came in, damaged ones included.")] = 0
    damaged: Units = 0
    lost: Annotated[Units, Meta(description="Will not come.")] = 0


class ArrivalRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What arrives; everything in transit when no line is named."""

    lines: Annotated[list[ArrivalEntry], Meta(min_length=1, max_length=LINES_MAX)] | None = None


class TransferPage(msgspec.Struct, frozen=True):
    """Transfers that have not ended, oldest first."""

    transfers: list[TransferAnswer]
    next_cursor: str | None


def speaks_for(principal: Principal, node_id: str) -> bool:
    """Tell whether a key may act for a node: a planner for any, a store for its own."""
    return principal.role != "store" or node_id in principal.node_ids


async def verify_part(
    connection: asyncpg.Connection, request: Call, transfer_id: UUID, *ends: str
) -> TransferAnswer:
    """Return a transfer in which the caller's nodes take part; raises `not-found` for any other.

    `ends` are the ends of it that the caller has to speak for; either one when none is named.
    """
    found = await transfers.find(connection, transfer_id)
    nodes = {"from": found.from_node_id, "to": found.to_node_id}
    if not any(speaks_for(request.user, node_id) for node_id in nodes.values()):
        raise transfers.unknown(transfer_id)
    if ends and not any(speaks_for(request.user, nodes[end]) for end in ends):
        raise Refused(
            "forbidden", f"Only {nodes[ends[0]]} or a planner may do this with the transfer."
        )
    return found


@post(
    "/v1/transfers",
    opt=WRITERS,
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(
        *WRITE,
        *QUANTITY_KINDS,
        "not-found",
        "unknown-sku",
        "unknown-node",
        "duplicate-entry",
        "date-in-past",
        "insufficient-stock",
    ),
    tags=["store"],
)
async def open_transfer(
    data: JSONBody[TransferRequest], request: Call, state: State
) -> Response[TransferAnswer]:
    """Ask a node for goods, or send them to another.

    The units are nobody else's from now on. The buffer of the node that gives counts where another
    node asks. Once shipped they are in transit: expected supply of the node they go to.
    """
    runtime: Runtime = state.runtime
    ends = (data.from_node_id, data.to_node_id)
    if not any(speaks_for(request.user, node_id) for node_id in ends):
        restrict_to_nodes(request.user, data.to_node_id)
    if ends[0] == ends[1]:
        raise Refused("invalid-field", "from_node_id and to_node_id are one node; name two.")
    if data.expected_on is not None:
        check_planned("expected_on", data.expected_on, utc_now())

    async def work(connection: asyncpg.Connection) -> Answer:
        due_on = await transfers.due_on(connection, data.to_node_id, data.expected_on)
        units = [(line.sku, line.quantity) for line in data.lines]
        asked = transfers.asked_for(*ends, units, due_on, holder=None, actor=request.user.actor)
        asked = msgspec.structs.replace(asked, note=data.note)
        own_stock = speaks_for(request.user, data.from_node_id)
        return answer(201, await transfers.open_one(connection, asked, own_stock=own_stock))

    return respond(await once(runtime.database, claim_of(request, data), work), TransferAnswer)


@get(
    "/v1/transfers/{transfer_id:uuid}",
    opt=READERS,
    responses=raises("not-found"),
    tags=["store"],
)
async def get_transfer(transfer_id: FromPath[UUID], request: Call, state: State) -> TransferAnswer:
    """Show a transfer and how far its units have come."""
    runtime: Runtime = state.runtime
    async with runtime.database.connect() as connection:
        return await verify_part(connection, request, transfer_id)


@get(
    "/v1/nodes/{node_id:str}/transfers",
    opt=READERS,
    responses=raises("not-found"),
    tags=["store"],
)
async def list_transfers(
    node_id: PathId,
    request: Call,
    state: State,
    cursor: Cursor = None,
    limit: Limit = PAGE_DEFAULT,
) -> TransferPage:
    """List what is on its way from or to a node, and what is still to be sent."""
    runtime: Runtime = state.runtime
    restrict_to_nodes(request.user, node_id)
    try:
        begin = UUID(after(cursor, 1)[0]) if cursor else None
    except ValueError as error:
        raise Refused(
            "invalid-parameter", "cursor: send the next_cursor of the page before."
        ) from error
    async with runtime.database.connect() as connection:
        page = await transfers.list_open(connection, node_id, begin, limit)
    return TransferPage(page, cursor_of(page, limit, lambda each: (str(each.transfer_id),)))


@post(
    "/v1/transfers/{transfer_id:uuid}/ship",
    status_code=200,
    opt=WRITERS,
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(
        *WRITE,
        *QUANTITY_KINDS,
        "not-found",
        "illegal-state",
        "negative-stock",
        "duplicate-entry",
    ),
    tags=["store"],
)
async def ship(
    transfer_id: FromPath[UUID], data: JSONBody[ShipRequest], request: Call, state: State
) -> Response[TransferAnswer]:
    """Let the goods leave; what is not shipped is free again where it is."""
    runtime: Runtime = state.runtime
    if data.expected_on is not None:
        check_planned("expected_on", data.expected_on, utc_now())
    units = None
    if data.lines is not None:
        verify_distinct("sku", (line.sku for line in data.lines))
        units = {line.sku: line.quantity for line in data.lines}

    async def work(connection: asyncpg.Connection) -> Answer:
        await verify_part(connection, request, transfer_id, "from")
        actor = request.user.actor
        return answer(
            200,
            await transfers.ship(connection, transfer_id, units, data.expected_on, actor=actor),
        )

    return respond(await once(runtime.database, claim_of(request, data), work), TransferAnswer)


@post(
    "/v1/transfers/{transfer_id:uuid}/receive",
    status_code=200,
    opt=WRITERS,
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(*WRITE, *QUANTITY_KINDS, "not-found", "illegal-state", "duplicate-entry"),
    tags=["store"],
)
async def receive(
    transfer_id: FromPath[UUID], data: JSONBody[ArrivalRequest], request: Call, state: State
) -> Response[TransferAnswer]:
    """Take in what has arrived, or say what will not.

    It first serves what waits for it, in promise order. The transfer has ended when nothing is in
    transit.
    """
    runtime: Runtime = state.runtime
    arrivals = None
    if data.lines is not None:
        arrivals = [Arrival(**msgspec.structs.asdict(line)) for line in data.lines]

    async def work(connection: asyncpg.Connection) -> Answer:
        await verify_part(connection, request, transfer_id, "to")
        actor = request.user.actor
        return answer(200, await transfers.receive(connection, transfer_id, arrivals, actor=actor))

    return respond(await once(runtime.database, claim_of(request, data), work), TransferAnswer)


@post(
    "/v1/transfers/{transfer_id:uuid}/cancel",
    status_code=200,
    opt=WRITERS,
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(*WRITE, "not-found", "illegal-state"),
    tags=["store"],
)
async def cancel(
    transfer_id: FromPath[UUID], request: Call, state: State
) -> Response[TransferAnswer]:
    """End a transfer that has not left; its units are free again."""
    runtime: Runtime = state.runtime

    async def work(connection: asyncpg.Connection) -> Answer:
        await verify_part(connection, request, transfer_id)
        return answer(
            200, await transfers.cancel(connection, transfer_id, actor=request.user.actor)
        )

    return respond(await once(runtime.database, claim_of(request, None), work), TransferAnswer)


handlers = [open_transfer, get_transfer, list_transfers, ship, receive, cancel]
