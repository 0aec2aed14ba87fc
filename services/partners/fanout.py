"""From events to messages: every endpoint gets each event it is owed, exactly once.

The event itself, written in the transaction of what happened, is the outbox. Each endpoint has a
position in the log: what lies before it has become a message where it was owed, in the transaction
that moved the position. So a crash repeats nothing and loses nothing; an endpoint that is disabled
simply stands still; and sending everything anew is moving its position back.
"""

from collections.abc import Mapping, Sequence

import asyncpg
from prometheus_client import Counter

from services.database import Database
from services.events.log import read_after
from services.events.records import LogEvent, read_cursor
from services.partners import kinds, records
from services.partners.records import EndpointRow, NewMessage

EVENTS_MAX = 500
"""Events made into messages in one transaction."""
ENDPOINTS_MAX = 200
"""Endpoints served by one transaction."""
STEPS_MAX = 100
"""Transactions of one run; a long backlog lets other jobs go first now and then."""
messages_total = Counter("nom_webhook_messages", "Messages that endpoints came to be owed")


async def write_messages(database: Database) -> int:
    """Turn new events into messages of the endpoints that are owed them; say how many."""
    written = 0
    for _ in range(STEPS_MAX):
        made = await database.run(advance)
        if made is None:
            break
        written += made
    messages_total.inc(written)
    return written


async def advance(connection: asyncpg.Connection) -> int | None:
    """Bring the endpoints that are furthest behind forward; None when all have everything."""
    latest, _ = await read_cursor(connection)
    endpoints = await records.lagging_endpoints(connection, latest, limit=ENDPOINTS_MAX)
    if not endpoints:
        return None
    span = await read_after(connection, endpoints[0].position, None, EVENTS_MAX)
    partners = await records.partners_of(
        connection, sorted({node_of(each) for each in span.events})
    )
    owed = messages_for(endpoints, span.events, partners)
    if owed:
        await records.insert_messages(connection, owed)
    await records.move_endpoints(connection, [each.endpoint_id for each in endpoints], span.reached)
    return len(owed)


def messages_for(
    endpoints: Sequence[EndpointRow],
    events: Sequence[LogEvent],
    partners: Mapping[str, str],
) -> list[NewMessage]:
    """Return the messages that these events are for these endpoints, in the order of events."""
    return [
        NewMessage(
            endpoint_id=endpoint.endpoint_id,
            position=event.position,
            event_id=event.event_id,
            happened_at=event.created_at,
            kind=event.kind,
            lane=lane_of(event),
        )
        for event in events
        for endpoint in endpoints
        if is_owed(endpoint, event, partners)
    ]


def is_owed(endpoint: EndpointRow, event: LogEvent, partners: Mapping[str, str]) -> bool:
    """Tell whether an endpoint gets an event.

    A partner's gets what happens at nodes of that partner, of the kinds that concern partners, and
    what is about the partner's own endpoints. Nothing about an endpoint is sent to that endpoint
    itself, but for a test, or its own failures would feed it.
    """
    about = event.payload.get("endpoint_id")
    if about is not None:
        is_own = about == str(endpoint.endpoint_id)
        if event.kind == kinds.PING or is_own:
            return event.kind == kinds.PING and is_own
    if not kinds.matches(endpoint.kinds, event.kind):
        return False
    if endpoint.partner_id is None:
        return True
    if event.kind not in kinds.FOR_PARTNERS:
        return False
    if about is not None:
        return event.payload.get("partner_id") == endpoint.partner_id
    return endpoint.partner_id == partners.get(node_of(event))


def node_of(event: LogEvent) -> str:
    """Return the node at which an event happened; empty for one that happened at none."""
    return str(event.payload.get("node_id") or "")


def lane_of(event: LogEvent) -> str:
    """Return what an event is kept in order within: its fulfillment order, else its subject."""
    return str(event.payload.get("fulfillment_order_id") or event.subject)
