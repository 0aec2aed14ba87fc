"""Calls about what goes to webhook endpoints: messages, attempts at them, and sending them again."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import asyncpg
import msgspec
from litestar import Response, get, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta

from services.http.access import guard_idempotency
from services.http.answers import WRITE, Write, raises, respond
from services.http.checkout import Call, claim_of
from services.http.fields import PAGE_DEFAULT, Cursor, Instant, Limit
from services.http.paging import after, cursor_of
from services.http.partners import OWNERS, uuid_of
from services.orders.idempotency import Answer, answer, once
from services.partners import endpoints, records
from services.partners.endpoints import MessageAnswer, ReplayAnswer
from services.partners.records import AttemptRow, MessageState
from services.runtime import Runtime

POSITION_MAX = 10**15


class ReplayBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to send again; exactly one of these."""

    position: Annotated[int, Meta(ge=1, le=POSITION_MAX)] | None = None
    after_position: Annotated[int, Meta(ge=0, le=POSITION_MAX)] | None = None
    since: Instant | None = None
    dead: Annotated[bool, Meta(description="All that had no attempts left, 10,000 at once.")] = (
        False
    )

    def __post_init__(self) -> None:
        """Raise `ValueError` unless just one thing is asked for."""
        asked = [self.position, self.after_position, self.since, self.dead or None]
        if sum(each is not None for each in asked) != 1:
            raise ValueError("send exactly one of position, after_position, since and dead")


class AttemptsPage(msgspec.Struct, frozen=True):
    """Attempts, the newest first."""

    attempts: list[AttemptRow]
    next_cursor: str | None


class MessagesPage(msgspec.Struct, frozen=True):
    """Messages in the order of events."""

    messages: list[MessageAnswer]
    next_after: int
    """What to send as `after` for those that come next."""


@post(
    "/v1/webhook-endpoints/{endpoint_id:uuid}/replay",
    status_code=202,
    opt=OWNERS,
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(*WRITE, "not-found"),
    tags=["partner"],
)
async def replay(
    endpoint_id: FromPath[UUID], data: JSONBody[ReplayBody], request: Call, state: State
) -> Response[ReplayAnswer]:
    """Send things again, under the ids they had: one message, all since a time, or all dead ones."""
    runtime: Runtime = state.runtime

    async def work(connection: asyncpg.Connection) -> Answer:
        return answer(202, await replayed(connection, endpoint_id, data, request))

    return respond(await once(runtime.database, claim_of(request, data), work), ReplayAnswer)


async def replayed(
    connection: asyncpg.Connection, endpoint_id: UUID, asked: ReplayBody, request: Call
) -> ReplayAnswer:
    """Send again what is asked for."""
    if asked.position is not None:
        return await endpoints.replay_one(connection, endpoint_id, asked.position, request.user)
    since: int | datetime | None = asked.since
    if asked.after_position is not None:
        since = asked.after_position
    if since is not None:
        return await endpoints.replay_since(connection, endpoint_id, since, request.user)
    return await endpoints.replay_dead(connection, endpoint_id, request.user)


@get(
    "/v1/webhook-endpoints/{endpoint_id:uuid}/attempts",
    opt=OWNERS,
    responses=raises("not-found"),
    tags=["partner"],
)
async def list_attempts(  # noqa: PLR0913 - each is a parameter of the address
    *,
    endpoint_id: FromPath[UUID],
    request: Call,
    state: State,
    position: Annotated[int | None, QueryParameter(ge=1, le=POSITION_MAX)] = None,
    failed: Annotated[bool, QueryParameter(description="Only those that failed.")] = False,
    cursor: Cursor = None,
    limit: Limit = PAGE_DEFAULT,
) -> AttemptsPage:
    """List attempts, the newest first: all of a month, those at one message, or only failures."""
    runtime: Runtime = state.runtime
    (start,) = after(cursor)
    async with runtime.database.connect() as connection:
        await endpoints.own(connection, endpoint_id, request.user)
        page = await records.list_attempts(
            connection, endpoint_id, uuid_of(start), limit, position=position, failed=failed
        )
    return AttemptsPage(page, cursor_of(page, limit, lambda each: (str(each.attempt_id),)))


@get(
    "/v1/webhook-endpoints/{endpoint_id:uuid}/messages",
    opt=OWNERS,
    responses=raises("not-found"),
    tags=["partner"],
)
async def list_messages(
    *,
    endpoint_id: FromPath[UUID],
    request: Call,
    state: State,
    start: Annotated[int, QueryParameter(name="after", ge=0, le=POSITION_MAX)] = 0,
    delivery: Annotated[
        MessageState | None, QueryParameter(description="Only those in this state.")
    ] = None,
    limit: Limit = PAGE_DEFAULT,
) -> MessagesPage:
    """List messages in order, as they go out: for those who would rather fetch them."""
    runtime: Runtime = state.runtime
    async with runtime.database.connect() as connection:
        row = await endpoints.own(connection, endpoint_id, request.user)
        page = await endpoints.read_messages(
            connection, row, start, limit, state=delivery, settings=runtime.settings
        )
    return MessagesPage(page, page[-1].position if page else start)


handlers = [replay, list_attempts, list_messages]
