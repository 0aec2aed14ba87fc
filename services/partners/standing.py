"""How an endpoint stands: whether it answers, is left alone for a while, or is given up."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import msgspec

from services import records as shared_records
from services.fulfillment.exceptions import About, Kind, open_exception, resolve_cause
from services.ids import new_id
from services.partners import records, schedule
from services.partners.records import EndpointRow, Tried
from services.records import Event
from services.settings import Settings

ACTOR = "system:webhooks"
BY_REQUEST = "by_request"
EXCEPTION: Kind = "endpoint_disabled"


async def judge(
    connection: asyncpg.Connection,
    endpoint: EndpointRow,
    finished: Sequence[Tried],
    *,
    settings: Settings,
    asked_s: float | None,
) -> EndpointRow:
    """Note what attempts say of a locked endpoint, and return it as it is now.

    `asked_s` is for how long it asked to be left alone. An answer after many failures lets all that
    waits be tried at once; 410, or nothing but failures for too long, disables the endpoint.
    """
    now = await shared_records.database_now(connection)
    after = standing(endpoint, finished, now, settings)
    if asked_s is not None:
        until = now + timedelta(seconds=asked_s)
        after = msgspec.structs.replace(after, resume_at=max(after.resume_at or until, until))
    is_gone = any(schedule.meaning(each.status_code) == "gone" for each in finished)
    is_given_up = is_gone or schedule.is_given_up(after.failing_since, now, settings)
    if is_given_up and endpoint.state == "enabled":
        return await disable(connection, after, "gone" if is_gone else "failing", actor=ACTOR)
    if after == endpoint:
        return endpoint
    if endpoint.failures >= schedule.FAILURES_STEADY and after.failures == 0:
        await records.hurry(connection, endpoint.endpoint_id)
    return await records.update_endpoint(connection, after)


def standing(
    endpoint: EndpointRow, finished: Sequence[Tried], now: datetime, settings: Settings
) -> EndpointRow:
    """Return how an endpoint stands after these attempts: one success makes good all failures."""
    if any(each.state == "delivered" for each in finished):
        return msgspec.structs.replace(endpoint, failing_since=None, failures=0, resume_at=None)
    failures = endpoint.failures + len(finished)
    pause_s = schedule.endpoint_pause_s(failures, settings)
    return msgspec.structs.replace(
        endpoint,
        failing_since=endpoint.failing_since or now,
        failures=failures,
        resume_at=now + timedelta(seconds=pause_s) if pause_s else None,
    )


async def disable(
    connection: asyncpg.Connection, endpoint: EndpointRow, reason: str, *, actor: str
) -> EndpointRow:
    """Stop sending to a locked endpoint; what it is owed waits until somebody enables it.

    Where nobody asked for that, somebody has to look at it.
    """
    after = msgspec.structs.replace(endpoint, state="disabled", reason=reason, resume_at=None)
    await tell(connection, after, "disabled", actor, reason=reason)
    if reason != BY_REQUEST:
        about = About(
            partner_id=endpoint.partner_id, details={"url": endpoint.url, "reason": reason}
        )
        await open_exception(connection, EXCEPTION, str(endpoint.endpoint_id), about, actor=actor)
    return await records.update_endpoint(connection, after)


async def settle(connection: asyncpg.Connection, endpoint_id: UUID, how: str, actor: str) -> None:
    """End the exception of an endpoint that somebody has looked after."""
    await resolve_cause(connection, EXCEPTION, str(endpoint_id), how, actor=actor)


async def tell(
    connection: asyncpg.Connection, endpoint: EndpointRow, change: str, actor: str, **more: object
) -> Event:
    """Append an event about an endpoint, for its owner and the company, and return it."""
    event = Event(
        new_id(),
        f"webhook_endpoint.{change}",
        str(endpoint.endpoint_id),
        actor,
        {
            "endpoint_id": str(endpoint.endpoint_id),
            "partner_id": endpoint.partner_id,
            "url": endpoint.url,
            **more,
        },
    )
    await shared_records.insert_events(connection, [event])
    return event
