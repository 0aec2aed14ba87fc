"""Calls about webhook endpoints: who is told of what happens, where, and how that goes."""

from datetime import timedelta
from typing import Annotated, Literal
from uuid import UUID

import asyncpg
import msgspec
from litestar import Response, delete, get, post, put
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta

from services.http.access import allow, guard_idempotency
from services.http.answers import BODY, WRITE, Write, raises, respond
from services.http.checkout import Call, claim_of
from services.http.fields import (
    ID_LENGTH_MAX,
    PAGE_DEFAULT,
    Cursor,
    Id,
    Limit,
    Text,
)
from services.http.paging import after, cursor_of
from services.orders.idempotency import Answer, answer, once
from services.partners import endpoints, records
from services.partners.endpoints import (
    EndpointAnswer,
    EndpointChoice,
    EndpointState,
    NewSecretAnswer,
    PingAnswer,
)
from services.problems import Refused
from services.runtime import Runtime

OWNERS = allow("partner", "operator")
KINDS_MAX = 100
OVERLAP_MAX = timedelta(days=30)
EXAMPLE_URL = "https://partner.example/hooks"


class EndpointBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to be told of what."""

    url: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=1_000,
            pattern=r"^[^\x00-\x20\x7f]+$",
            examples=[EXAMPLE_URL],
            description="A public https address; redirects are not followed.",
        ),
    ]
    kinds: Annotated[
        list[Id],
        Meta(
            min_length=1,
            max_length=KINDS_MAX,
            description="Kinds of events, families like `return.*`, or `*`.",
            examples=[["fulfillment_order.*", "shipment.*"]],
        ),
    ] = msgspec.field(default_factory=lambda: ["*"])
    note: Text = ""
    envelope: Annotated[
        Literal["standard", "cloudevents"],
        Meta(description="`{type, timestamp, data}`, or CloudEvents 1.0 in structured mode."),
    ] = "standard"


class NewEndpointBody(EndpointBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An endpoint to add."""

    partner_id: Annotated[
        Id | None,
        Meta(description="Whose it is; a partner's key adds its own. The company's own without."),
    ] = None


class RotateBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to change to a new secret."""

    overlap: Annotated[
        timedelta | None,
        Meta(
            description="How long the old ones sign too; PT0S for one that others know.",
            examples=["P1D"],
        ),
    ] = None


class EndpointsPage(msgspec.Struct, frozen=True):
    """Endpoints, the oldest first."""

    endpoints: list[EndpointAnswer]
    next_cursor: str | None


def choice_of(body: EndpointBody) -> EndpointChoice:
    """Return what an owner decides."""
    return EndpointChoice(
        url=body.url, kinds=tuple(body.kinds), note=body.note, envelope=body.envelope
    )


def owner_of(body: NewEndpointBody, request: Call) -> str | None:
    """Return whose a new endpoint is; raises `forbidden` where a partner adds another's."""
    if request.user.role != "partner":
        return body.partner_id
    if body.partner_id not in {None, request.user.partner_id}:
        raise Refused("forbidden", "A partner key adds endpoints of its own; leave partner_id out.")
    return request.user.partner_id


def uuid_of(text: str) -> UUID | None:
    """Return the id in a cursor, none for the first page; raises `invalid-parameter`."""
    try:
        return UUID(text) if text else None
    except ValueError:
        raise Refused(
            "invalid-parameter", "cursor: send the next_cursor of the page before."
        ) from None


@post(
    "/v1/webhook-endpoints",
    opt=OWNERS,
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(*WRITE, "endpoint-limit"),
    tags=["partner"],
)
async def create(
    data: JSONBody[NewEndpointBody], request: Call, state: State
) -> Response[NewSecretAnswer]:
    """Be told of what happens from now on.

    Messages follow Standard Webhooks. The secret that verifies them is shown in this answer alone,
    which the same `Idempotency-Key` gets again, as of every write. A partner gets what happens at
    its own nodes; a test message comes with `…/test`.
    """
    runtime: Runtime = state.runtime
    partner_id = owner_of(data, request)

    async def work(connection: asyncpg.Connection) -> Answer:
        made = await endpoints.create(
            connection,
            choice_of(data),
            partner_id,
            principal=request.user,
            settings=runtime.settings,
        )
        return answer(201, made)

    return respond(await once(runtime.database, claim_of(request, data), work), NewSecretAnswer)


@get("/v1/webhook-endpoints", opt=OWNERS, responses=raises(), tags=["partner"])
async def list_endpoints(
    request: Call,
    state: State,
    partner_id: Annotated[str | None, QueryParameter(max_length=ID_LENGTH_MAX)] = None,
    cursor: Cursor = None,
    limit: Limit = PAGE_DEFAULT,
) -> EndpointsPage:
    """List endpoints: a partner's key its own, an operator's all, or those of one partner."""
    runtime: Runtime = state.runtime
    (start,) = after(cursor)
    owner = request.user.partner_id if request.user.role == "partner" else partner_id
    async with runtime.database.connect() as connection:
        page = await records.list_endpoints(connection, owner, uuid_of(start), limit)
    return EndpointsPage(
        [endpoints.told(row) for row in page],
        cursor_of(page, limit, lambda each: (str(each.endpoint_id),)),
    )


@get(
    "/v1/webhook-endpoints/{endpoint_id:uuid}",
    opt=OWNERS,
    responses=raises("not-found"),
    tags=["partner"],
)
async def show(endpoint_id: FromPath[UUID], request: Call, state: State) -> EndpointState:
    """Show an endpoint, what it is still owed, and which secrets sign."""
    runtime: Runtime = state.runtime
    async with runtime.database.connect() as connection:
        return await endpoints.show(connection, endpoint_id, request.user)


@put(
    "/v1/webhook-endpoints/{endpoint_id:uuid}",
    opt=OWNERS,
    responses=raises(*BODY, "not-found"),
    tags=["partner"],
)
async def update(
    endpoint_id: FromPath[UUID], data: JSONBody[EndpointBody], request: Call, state: State
) -> EndpointAnswer:
    """Change an endpoint. What it is owed already goes to the new address."""
    runtime: Runtime = state.runtime
    return await runtime.database.run(
        lambda connection: endpoints.update(
            connection,
            endpoint_id,
            choice_of(data),
            principal=request.user,
            settings=runtime.settings,
        )
    )


@delete(
    "/v1/webhook-endpoints/{endpoint_id:uuid}",
    status_code=200,
    opt=OWNERS,
    responses=raises("not-found"),
    tags=["partner"],
)
async def remove(endpoint_id: FromPath[UUID], request: Call, state: State) -> EndpointAnswer:
    """Remove an endpoint with all that it is owed."""
    runtime: Runtime = state.runtime
    return await runtime.database.run(
        lambda connection: endpoints.delete(connection, endpoint_id, request.user)
    )


@post(
    "/v1/webhook-endpoints/{endpoint_id:uuid}/rotate",
    status_code=200,
    opt=OWNERS,
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(*WRITE, "not-found"),
    tags=["partner"],
)
async def rotate(
    endpoint_id: FromPath[UUID], data: JSONBody[RotateBody], request: Call, state: State
) -> Response[NewSecretAnswer]:
    """Get a new secret. Those before it sign beside it for a day, or as long as `overlap` says."""
    runtime: Runtime = state.runtime
    overlap = data.overlap
    if overlap is None:
        overlap = timedelta(hours=runtime.settings.secret_overlap_h)
    if not timedelta() <= overlap <= OVERLAP_MAX:
        raise Refused(
            "invalid-field",
            f"overlap must lie between PT0S and P{OVERLAP_MAX.days}D.",
            field="overlap",
        )

    async def work(connection: asyncpg.Connection) -> Answer:
        return answer(200, await endpoints.rotate(connection, endpoint_id, overlap, request.user))

    return respond(await once(runtime.database, claim_of(request, data), work), NewSecretAnswer)


@post(
    "/v1/webhook-endpoints/{endpoint_id:uuid}/enable",
    status_code=200,
    opt=OWNERS,
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(*WRITE, "not-found"),
    tags=["partner"],
)
async def enable(
    endpoint_id: FromPath[UUID], request: Call, state: State
) -> Response[EndpointAnswer]:
    """Send again, from where it stopped; nothing that happened meanwhile is left out."""
    runtime: Runtime = state.runtime

    async def work(connection: asyncpg.Connection) -> Answer:
        return answer(200, await endpoints.enable(connection, endpoint_id, request.user))

    return respond(await once(runtime.database, claim_of(request, None), work), EndpointAnswer)


@post(
    "/v1/webhook-endpoints/{endpoint_id:uuid}/disable",
    status_code=200,
    opt=OWNERS,
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(*WRITE, "not-found"),
    tags=["partner"],
)
async def disable(
    endpoint_id: FromPath[UUID], request: Call, state: State
) -> Response[EndpointAnswer]:
    """Stop sending until it is enabled again."""
    runtime: Runtime = state.runtime

    async def work(connection: asyncpg.Connection) -> Answer:
        return answer(200, await endpoints.disable(connection, endpoint_id, request.user))

    return respond(await once(runtime.database, claim_of(request, None), work), EndpointAnswer)


@post(
    "/v1/webhook-endpoints/{endpoint_id:uuid}/test",
    status_code=202,
    opt=OWNERS,
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(*WRITE, "not-found", "illegal-state"),
    tags=["partner"],
)
async def ping(endpoint_id: FromPath[UUID], request: Call, state: State) -> Response[PingAnswer]:
    """Send a `webhook_endpoint.test` within seconds, whatever kinds the endpoint asks for."""
    runtime: Runtime = state.runtime

    async def work(connection: asyncpg.Connection) -> Answer:
        return answer(202, await endpoints.ping(connection, endpoint_id, request.user))

    return respond(await once(runtime.database, claim_of(request, None), work), PingAnswer)


handlers = [
    create,
    list_endpoints,
    show,
    update,
    remove,
    rotate,
    enable,
    disable,
    ping,
]
