"""Calls about what happened: the log from any position on, and streams of it."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec
from litestar import Request, get
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers.base import BaseRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter, QueryParameter
from litestar.response import Stream
from msgspec import Meta

from services.events.log import Sight, Wanted, read_wanted
from services.events.streams import Told, told
from services.http.access import EVERYONE, allow
from services.http.answers import raises
from services.http.fields import (
    ID_LENGTH_MAX,
    ID_PATTERN,
    PAGE_DEFAULT,
    SEQUENCE_MAX,
    Limit,
    QueryId,
)
from services.keys import Principal
from services.problems import Refused
from services.runtime import Runtime

KINDS_MAX = 50
EVENT_STREAM = "text/event-stream"
After = Annotated[
    int,
    QueryParameter(ge=0, le=SEQUENCE_MAX, description="The position after which to begin."),
]
Kinds = Annotated[
    list[Annotated[str, Meta(min_length=1, max_length=ID_LENGTH_MAX, pattern=ID_PATTERN)]] | None,
    QueryParameter(
        max_items=KINDS_MAX, description="`allocation.held`, or `allocation.*` for a family."
    ),
]


class EventsPage(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the log."""

    events: list[Told]
    reached: Annotated[
        int,
        Meta(description="Read on after it, also where there are no events, until it is latest."),
    ]
    latest: Annotated[int, Meta(description="The last position there is.")]


class ServerSent(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a stream, as clients of server-sent events take it apart."""

    id: Annotated[str, Meta(description="Its position in the log.")]
    event: Annotated[str, Meta(description="Its kind.")]
    data: Annotated[str, Meta(description="What `GET /v1/events` tells of it, as JSON.")]


def sight_of(principal: Principal) -> Sight | None:
    """Return what of the log somebody may see; None for all of it."""
    if principal.role in ("planner", "operator"):
        return None
    return Sight(principal.node_ids, principal.actor, principal.partner_id)


def wanted_by(principal: Principal, kinds: list[str] | None, actor: str | None) -> Wanted:
    """Return which events somebody asks for and may see."""
    return Wanted(
        kinds=None if kinds is None else tuple(kinds), actor=actor, sight=sight_of(principal)
    )


def welcome(
    request: Request[Principal, str, Any], runtime: Runtime
) -> Callable[[], Awaitable[bool]]:
    """Return what tells whether the key of a request may still be used."""

    async def is_welcome() -> bool:
        return await runtime.keyring.find(request.auth) is not None

    return is_welcome


async def guard_room(
    connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler
) -> None:
    """Raise `too-many-requests` when there is no room for one more stream."""
    connection.app.state.runtime.streams.verify_room(connection.user.key_id)


@get("/v1/events", opt=allow(*EVERYONE), responses=raises(), tags=["events"])
async def list_events(
    *,
    request: Request[Principal, str, Any],
    state: State,
    after: After = 0,
    kinds: Kinds = None,
    actor: QueryId = None,
    limit: Limit = PAGE_DEFAULT,
) -> EventsPage:
    """Read what happened, in an order that never changes.

    Events have positions without gaps, about a tenth of a second after they happened. Read on after
    `reached`. A checkout sees what happens to the orders its key has made; a store that, and what
    happens at its nodes; a partner what happens at its nodes; planner and operator see everything.
    `actor` shows what somebody did: `staff:NAME`, `checkout:KEY`, `system:JOB`.
    """
    runtime: Runtime = state.runtime
    wanted = wanted_by(request.user, kinds, actor)
    async with runtime.database.connect() as connection:
        span = await read_wanted(connection, after, limit, wanted)
    return EventsPage(
        events=[told(each) for each in span.events], reached=span.reached, latest=span.latest
    )


@get(
    "/v1/events/stream",
    opt=allow(*EVERYONE),
    guards=[guard_room],
    media_type=EVENT_STREAM,
    responses={
        200: ResponseSpec(
            ServerSent,
            media_type=EVENT_STREAM,
            generate_examples=False,
            description="Server-sent events, each with its position as `id`.",
        ),
        **raises("too-many-requests"),
    },
    tags=["events"],
)
async def stream_events(
    *,
    request: Request[Principal, str, Any],
    state: State,
    after: After = 0,
    kinds: Kinds = None,
    actor: QueryId = None,
    last_event_id: Annotated[
        str | None,
        HeaderParameter(name="Last-Event-ID", max_length=20, description="Goes before `after`."),
    ] = None,
) -> Stream:
    """Follow what happens, as server-sent events.

    The events of `GET /v1/events`, as they come. A client of server-sent events that has lost its
    connection comes again and says with `Last-Event-ID` where to go on, so it misses nothing. A
    stream ends by itself when its key does, and after `NOM_EVENT_STREAM_S`.
    """
    runtime: Runtime = state.runtime
    position = after if last_event_id is None else position_of(last_event_id)
    wanted = wanted_by(request.user, kinds, actor)
    events = runtime.streams.stream(
        request.user.key_id, position, wanted, welcome(request, runtime)
    )
    return Stream(
        events,
        media_type=EVENT_STREAM,
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


def position_of(last_event_id: str) -> int:
    """Return the position a client names; raises `invalid-parameter`."""
    if not last_event_id.isascii() or not last_event_id.isdigit():
        raise Refused("invalid-parameter", "Last-Event-ID: send the id of the last event you got.")
    return min(int(last_event_id), SEQUENCE_MAX)


handlers = [list_events, stream_events]
