"""Calls about goods that come back, at any node and from any channel, and about exchanges."""

from typing import Annotated
from uuid import UUID

import asyncpg
import msgspec
from litestar import Response, get, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta

from services.http.access import IDEMPOTENCY_KEY, allow, guard_idempotency, restrict_to_nodes
from services.http.answers import WRITE, Write, raises, respond
from services.http.checkout import PLAN_KINDS, Call, claim_of, hold_seconds
from services.http.fields import ID_LENGTH_MAX, ID_PATTERN, Id, Text, Units, UnitsTaken
from services.orders.answers import AllocationAnswer
from services.orders.idempotency import Answer, answer, once
from services.orders.request import AllocationRequest
from services.problems import Refused
from services.returns import answers, exchange, receive, records, sight
from services.returns.answers import Disposition, ReturnAnswer
from services.returns.exchange import Wish
from services.returns.receive import Arrived, Decided, Entry
from services.runtime import Runtime

LINES_MAX = 200
ANNOUNCERS = allow("checkout", "store")
RECEIVERS = allow("store")
Reference = Annotated[
    str | None,
    QueryParameter(
        min_length=1,
        max_length=ID_LENGTH_MAX,
        pattern=ID_PATTERN,
        description="As the customer names it; opens a store the return of others.",
    ),
]
READERS = allow("checkout", "store", "planner", "operator")
QUANTITY_KINDS = ("quantity-not-positive", "quantity-not-whole", "quantity-too-large")
EXCHANGE_KINDS = (
    *PLAN_KINDS,
    "hold-too-long",
    "insufficient-stock",
    "contended",
    "order-already-allocated",
    "hold-expired",
    "too-many-requests",
    "deadline-exceeded",
)


class ReturnEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Units of one line of the order that come back."""

    line_id: Id
    quantity: UnitsTaken
    reason: Text
    disposition: Annotated[
        Disposition,
        Meta(description="`inspect` and `vendor` are set aside until somebody has decided."),
    ] = "inspect"
    sku: Annotated[Id | None, Meta(description="Needed where the line is of several skus.")] = None


class ReturnRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What comes back of an order."""

    order_id: Id
    lines: Annotated[list[ReturnEntry], Meta(min_length=1, max_length=LINES_MAX)]
    node_id: Annotated[Id | None, Meta(description="Where it is, or where it is expected.")] = None
    received: Annotated[
        bool, Meta(description="The goods are here; a store says so for its own nodes.")
    ] = False
    exchange: Annotated[
        AllocationRequest | None, Meta(description="What the customer gets instead; held first.")
    ] = None


class ArrivedEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What came in of one line of a return."""

    number: Annotated[int, Meta(ge=1, le=LINES_MAX)]
    quantity: Units
    disposition: Disposition | None = None


class ReceiveRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Goods that were announced and are here now; all of them when no line is named."""

    node_id: Id
    lines: Annotated[list[ArrivedEntry], Meta(min_length=1, max_length=LINES_MAX)] | None = None


class DecidedEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What becomes of units that were looked at."""

    number: Annotated[int, Meta(ge=1, le=LINES_MAX)]
    restock: Annotated[Units, Meta(description="On sale again, at the node where they are.")] = 0
    scrap: Units = 0
    vendor: Annotated[Units, Meta(description="Sent back to where they were bought.")] = 0


class InspectRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was decided."""

    lines: Annotated[list[DecidedEntry], Meta(min_length=1, max_length=LINES_MAX)]


class ReturnsAnswer(msgspec.Struct, frozen=True):
    """The returns of an order, the first announced first."""

    returns: list[ReturnAnswer]


def wish_of(request: Call, wanted: AllocationRequest, runtime: Runtime) -> Wish:
    """Return what a customer wants instead; raises `hold-too-long`."""
    hold_s = hold_seconds(wanted.hold_for, request.user, runtime.settings)
    return Wish(wanted, hold_s, request.user, request.headers[IDEMPOTENCY_KEY])


def verify_receiver(request: Call, data: ReturnRequest) -> None:
    """Raise unless the caller may say that goods are at a node: a store, of its own."""
    if not data.received:
        return
    if request.user.role != "store":
        raise Refused("forbidden", "Only a store key may say that goods have come in.")
    if data.node_id is None:
        raise Refused("invalid-field", "node_id is missing; name where the goods are.")
    restrict_to_nodes(request.user, data.node_id)


async def add(
    connection: asyncpg.Connection, request: Call, data: ReturnRequest, currency: str
) -> records.Return:
    """Add a return, received at once where the goods are here."""
    actor = request.user.actor
    entries = [Entry(**msgspec.structs.asdict(line)) for line in data.lines]
    added = await receive.announce(
        connection, data.order_id, entries, data.node_id, actor=actor, arrived=data.received
    )
    if data.received and data.node_id is not None:
        added = await receive.receive(
            connection, added.return_id, data.node_id, None, actor=actor, currency=currency
        )
    return added


@post(
    "/v1/returns",
    opt=ANNOUNCERS,
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(
        *WRITE, *EXCHANGE_KINDS, *QUANTITY_KINDS, "not-found", "unknown-reference", "over-return"
    ),
    tags=["returns"],
)
async def add_return(
    data: JSONBody[ReturnRequest], request: Call, state: State
) -> Response[ReturnAnswer]:
    """Announce what comes back of an order of any channel, or take it in at the counter at once.

    No more comes back than has left, however often and wherever it is told. With `exchange` what
    the customer gets instead is held first, under an order of its own; where that cannot be, there
    is no return either.
    """
    runtime: Runtime = state.runtime
    verify_receiver(request, data)
    if data.node_id is not None and not data.received:
        restrict_to_nodes(request.user, data.node_id)
    currency = runtime.settings.currency

    async def work(connection: asyncpg.Connection) -> Answer:
        return answer(201, answers.told(await add(connection, request, data, currency), currency))

    async def settle(connection: asyncpg.Connection, allocation: AllocationAnswer) -> Answer:
        await exchange.lock_held(connection, allocation)
        added = await add(connection, request, data, currency)
        linked = await exchange.link(
            connection, added.return_id, allocation, actor=request.user.actor
        )
        return answer(201, answers.told(linked, currency))

    claimed = claim_of(request, data)
    if data.exchange is None:
        return respond(await once(runtime.database, claimed, work), ReturnAnswer)
    wish = wish_of(request, data.exchange, runtime)
    given = await exchange.exchange(runtime.database, runtime.allocator, claimed, wish, settle)
    return respond(given, ReturnAnswer)


@get(
    "/v1/returns/{return_id:uuid}",
    opt=READERS,
    responses=raises("not-found"),
    tags=["returns"],
)
async def get_return(
    return_id: FromPath[UUID], request: Call, state: State, reference: Reference = None
) -> ReturnAnswer:
    """Show a return.

    A store sees those it has announced, those that are or are expected at its nodes, those of
    orders that it has made or takes part in, and the one whose reference it names.
    """
    runtime: Runtime = state.runtime
    async with runtime.database.connect() as connection:
        found = await sight.find_own(connection, return_id, request.user, reference)
    return answers.told(found, runtime.settings.currency)


@get("/v1/returns", opt=READERS, responses=raises(), tags=["returns"])
async def list_returns(
    request: Call,
    state: State,
    order_id: Annotated[
        str, QueryParameter(min_length=1, max_length=ID_LENGTH_MAX, pattern=ID_PATTERN)
    ],
    reference: Reference = None,
) -> ReturnsAnswer:
    """List what comes or came back of an order, as far as the caller may see it.

    With a reference it is the one return that has it: so a store finds what a customer brings who
    has announced it elsewhere.
    """
    runtime: Runtime = state.runtime
    async with runtime.database.connect() as connection:
        found = await sight.find_own_of_order(connection, order_id, request.user, reference)
    return ReturnsAnswer([answers.told(each, runtime.settings.currency) for each in found])


@post(
    "/v1/returns/{return_id:uuid}/receive",
    status_code=200,
    opt=RECEIVERS,
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(
        *WRITE,
        *QUANTITY_KINDS,
        "not-found",
        "illegal-state",
        "duplicate-entry",
        "unknown-node",
        "over-return",
    ),
    tags=["returns"],
)
async def receive_return(
    return_id: FromPath[UUID], data: JSONBody[ReceiveRequest], request: Call, state: State
) -> Response[ReturnAnswer]:
    """Take in what was announced, at any of the key's nodes.

    The goods are stock of that node from now on: for sale, set aside, or thrown out, by the
    disposition of each line. The event says what to refund.
    """
    runtime: Runtime = state.runtime
    restrict_to_nodes(request.user, data.node_id)
    currency = runtime.settings.currency
    arrivals = None
    if data.lines is not None:
        arrivals = [Arrived(**msgspec.structs.asdict(line)) for line in data.lines]

    async def work(connection: asyncpg.Connection) -> Answer:
        actor = request.user.actor
        done = await receive.receive(
            connection, return_id, data.node_id, arrivals, actor=actor, currency=currency
        )
        return answer(200, answers.told(done, currency))

    return respond(await once(runtime.database, claim_of(request, data), work), ReturnAnswer)


@post(
    "/v1/returns/{return_id:uuid}/inspect",
    status_code=200,
    opt=RECEIVERS,
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(
        *WRITE,
        *QUANTITY_KINDS,
        "not-found",
        "illegal-state",
        "duplicate-entry",
        "too-many-units",
        "negative-stock",
    ),
    tags=["returns"],
)
async def inspect(
    return_id: FromPath[UUID], data: JSONBody[InspectRequest], request: Call, state: State
) -> Response[ReturnAnswer]:
    """Decide about goods that were set aside: on sale again, scrapped, or sent to the vendor."""
    runtime: Runtime = state.runtime
    decided = [Decided(**msgspec.structs.asdict(line)) for line in data.lines]

    async def work(connection: asyncpg.Connection) -> Answer:
        await verify_here(connection, request, return_id)
        done = await receive.inspect(connection, return_id, decided, actor=request.user.actor)
        return answer(200, answers.told(done, runtime.settings.currency))

    return respond(await once(runtime.database, claim_of(request, data), work), ReturnAnswer)


@post(
    "/v1/returns/{return_id:uuid}/cancel",
    status_code=200,
    opt=ANNOUNCERS,
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(*WRITE, "not-found", "illegal-state"),
    tags=["returns"],
)
async def cancel(
    return_id: FromPath[UUID], request: Call, state: State, reference: Reference = None
) -> Response[ReturnAnswer]:
    """End a return that does not come."""
    runtime: Runtime = state.runtime

    async def work(connection: asyncpg.Connection) -> Answer:
        await sight.find_own(connection, return_id, request.user, reference)
        done = await receive.cancel(connection, return_id, actor=request.user.actor)
        return answer(200, answers.told(done, runtime.settings.currency))

    return respond(await once(runtime.database, claim_of(request, None), work), ReturnAnswer)


@post(
    "/v1/returns/{return_id:uuid}/exchange",
    status_code=200,
    opt=ANNOUNCERS,
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(*WRITE, *EXCHANGE_KINDS, "not-found", "illegal-state"),
    tags=["returns"],
)
async def exchange_return(
    return_id: FromPath[UUID],
    data: JSONBody[AllocationRequest],
    request: Call,
    state: State,
    reference: Reference = None,
) -> Response[ReturnAnswer]:
    """Hold what the customer gets instead, under an order of its own, and link the two.

    Where nothing can be held the return stays as it was. Confirm the new allocation when what is to
    be paid or refunded is settled.
    """
    runtime: Runtime = state.runtime
    async with runtime.database.connect() as connection:
        await sight.find_own(connection, return_id, request.user, reference)

    async def settle(connection: asyncpg.Connection, allocation: AllocationAnswer) -> Answer:
        await exchange.lock_held(connection, allocation)
        linked = await exchange.link(connection, return_id, allocation, actor=request.user.actor)
        return answer(200, answers.told(linked, runtime.settings.currency))

    wish = wish_of(request, data, runtime)
    given = await exchange.exchange(
        runtime.database, runtime.allocator, claim_of(request, data), wish, settle
    )
    return respond(given, ReturnAnswer)


async def verify_here(connection: asyncpg.Connection, request: Call, return_id: UUID) -> None:
    """Raise `not-found` unless the goods of a return are at one of the caller's nodes."""
    found = await receive.find(connection, return_id)
    if found.node_id not in request.user.node_ids:
        raise receive.unknown(return_id)


handlers = [
    add_return,
    get_return,
    list_returns,
    receive_return,
    inspect,
    cancel,
    exchange_return,
]
