"""Calls about people: whom an order is for, and what happened to it."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import asyncpg
import msgspec
from litestar import get, put
from litestar.datastructures import State
from litestar.params import JSONBody
from msgspec import Meta

from services.http.access import allow
from services.http.answers import BODY, raises
from services.http.checkout import Call
from services.http.fields import PAGE_DEFAULT, SEQUENCE_MAX, Cursor, Instant, Limit, PathId
from services.http.paging import after, cursor_at
from services.observe import note
from services.people import contacts, timeline
from services.people.contacts import Contact, ContactAnswer
from services.people.timeline import START, Entry, Page
from services.problems import Refused
from services.runtime import Runtime

Ordinal = Annotated[int, Meta(ge=0, le=SEQUENCE_MAX)]
SEERS = allow("checkout", "store", "partner", "planner", "operator")


class TimelinePage(msgspec.Struct, frozen=True):
    """What happened, newest last."""

    entries: list[Entry]
    next_cursor: str | None


@put(
    "/v1/orders/{order_id:str}/contact",
    opt=allow("checkout", "store"),
    responses=raises(
        *BODY, "not-found", "unknown-destination", "address-elsewhere", "address-fixed"
    ),
    tags=["checkout"],
)
async def put_contact(
    order_id: PathId, data: JSONBody[Contact], request: Call, state: State
) -> ContactAnswer:
    """Say whom an order is for, before it is allocated or after.

    Kept apart from everything else, for dispatch alone, and forgotten some time after the order's
    last work. Name and address can change until a parcel is packed, within the zone that was
    planned for. A store says it of orders that it has made or takes part in.
    """
    runtime: Runtime = state.runtime
    note(request.scope, order_id=order_id)

    async def work(connection: asyncpg.Connection) -> ContactAnswer:
        return await contacts.put_contact(
            connection,
            order_id,
            data,
            principal=request.user,
            network=runtime.network.current,
        )

    return await runtime.database.run(work)


def begin_of(cursor: str | None) -> tuple[int, datetime, UUID]:
    """Return the event after which a page begins; raises `invalid-parameter`."""
    if cursor is None:
        return START
    try:
        ordinal, created_at, event_id = after(cursor, 3)
        begin = msgspec.convert(
            (ordinal, created_at, event_id), tuple[Ordinal, Instant, UUID], strict=False
        )
        # Near the ends of the calendar there are instants that have no date in another zone.
        return begin[0], begin[1].astimezone(UTC), begin[2]
    except (msgspec.ValidationError, OverflowError) as error:
        raise Refused(
            "invalid-parameter", "cursor: send the next_cursor of the page before."
        ) from error


def page_of(page: Page) -> TimelinePage:
    """Return a part of a timeline as it is answered."""
    if page.last is None:
        return TimelinePage(page.entries, None)
    ordinal, created_at, event_id = page.last
    key = (str(ordinal), created_at.isoformat(), str(event_id))
    return TimelinePage(page.entries, cursor_at(key))


@get(
    "/v1/orders/{order_id:str}/timeline",
    opt=SEERS,
    responses=raises("not-found"),
    tags=["events"],
)
async def order_timeline(
    order_id: PathId,
    request: Call,
    state: State,
    cursor: Cursor = None,
    limit: Limit = PAGE_DEFAULT,
) -> TimelinePage:
    """Show everything that happened to an order, newest last.

    Holds, work of every node, parcels, returns and exchanges, in words and as data, with who did
    it. A store sees orders that it has made or takes part in, a partner what happened at its nodes.
    """
    runtime: Runtime = state.runtime
    begin = begin_of(cursor)
    async with runtime.database.connect() as connection:
        page = await timeline.of_order(connection, order_id, request.user, begin, limit)
    return page_of(page)


@get(
    "/v1/customers/{customer_id:str}/timeline",
    opt=allow("checkout", "store", "planner", "operator"),
    responses=raises("not-found"),
    tags=["events"],
)
async def customer_timeline(
    customer_id: PathId,
    request: Call,
    state: State,
    cursor: Cursor = None,
    limit: Limit = PAGE_DEFAULT,
) -> TimelinePage:
    """Show everything that happened to a customer's orders, in all channels, newest last.

    Those whose contact names the customer, and that the caller may see.
    """
    runtime: Runtime = state.runtime
    begin = begin_of(cursor)
    async with runtime.database.connect() as connection:
        page = await timeline.of_customer(connection, customer_id, request.user, begin, limit)
    return page_of(page)


handlers = [put_contact, order_timeline, customer_timeline]
