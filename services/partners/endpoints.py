"""Endpoints as their owners see them: made, changed, switched, tested, and told things again.

An endpoint belongs to a partner or to the company itself. What belongs to somebody else looks
exactly like what does not exist.
"""

from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import msgspec

from services import records as shared_records
from services.events.records import read_cursor
from services.ids import new_id
from services.keys import Principal
from services.partners import dispatch, envelope, kinds, records, signing, standing
from services.partners.addresses import is_refused_literal
from services.partners.records import Backlog, EndpointRow, MessageState
from services.problems import Refused
from services.settings import Settings

ENDPOINTS_MAX = 20
"""Endpoints that one owner may have."""
REPLAYED_MAX = 10_000
"""Dead messages that one call sends again."""


class EndpointChoice(msgspec.Struct, frozen=True, kw_only=True):
    """What an owner decides of an endpoint."""

    url: str
    kinds: tuple[str, ...]
    note: str
    envelope: Literal["standard", "cloudevents"]


class EndpointAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Where somebody is told of what happens."""

    endpoint_id: UUID
    partner_id: str | None
    url: str
    kinds: list[str]
    note: str
    envelope: Literal["standard", "cloudevents"]
    state: Literal["enabled", "disabled", "deleted"]
    reason: str | None
    """Why it is disabled: by_request, gone (it answered 410) or failing."""
    position: int
    """Events up to here have become messages where they are owed."""
    failing_since: datetime | None
    resume_at: datetime | None
    """Until then it is left alone, because it asked for that or only fails."""
    created_at: datetime
    changed_at: datetime


class NewSecretAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint with its newest secret, which is not shown again."""

    endpoint: EndpointAnswer
    secret: str


class EndpointState(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint with what it is still owed."""

    endpoint: EndpointAnswer
    backlog: Backlog
    secrets: list["SecretState"]


class SecretState(msgspec.Struct, frozen=True):
    """A secret that signs, without what it is."""

    secret_id: UUID
    created_at: datetime
    retires_at: datetime | None


class PingAnswer(msgspec.Struct, frozen=True):
    """The event that an endpoint gets as a test."""

    event_id: UUID


class ReplayAnswer(msgspec.Struct, frozen=True):
    """What is sent again."""

    after_position: int | None
    """Everything after it that the endpoint is owed."""
    messages: int | None
    """How many single messages."""


class MessageAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A message, how far its delivery has come, and what it says."""

    position: int
    state: MessageState
    attempts: int
    status_code: int | None
    due_at: datetime | None
    ended_at: datetime | None
    message: dict[str, Any] | None
    """As it goes out; none when its event is older than events are kept."""


def told(row: EndpointRow) -> EndpointAnswer:
    """Return an endpoint as its owner sees it."""
    return EndpointAnswer(
        **{
            name: getattr(row, name) for name in EndpointAnswer.__struct_fields__ if name != "kinds"
        },
        kinds=list(row.kinds),
    )


def verify(choice: EndpointChoice, settings: Settings) -> None:
    """Raise `invalid-field` for an address or kinds that can never work.

    A name is looked up when it is sent to, and checked then: it may change its address any time.
    """
    unknown = [each for each in choice.kinds if not kinds.is_known(each)]
    if unknown:
        raise Refused(
            "invalid-field",
            f"There are no events {', '.join(unknown)}; name kinds like "
            f"fulfillment_order.submitted, families like return.*, or *.",
            field="kinds",
        )
    networks = settings.webhook_networks
    host = host_of(choice.url, plain=bool(networks))
    if host is None:
        raise Refused(
            "invalid-field",
            "url must be https://… with a host, without user, password or fragment.",
            field="url",
        )
    if is_refused_literal(host, networks):
        raise Refused(
            "invalid-field", f"url names {host}, which is no public address.", field="url"
        )


def host_of(url: str, *, plain: bool) -> str | None:
    """Return whom an address names; None unless it can be sent to. `plain` lets http through."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    if parts.scheme != "https" and not (plain and parts.scheme == "http"):
        return None
    if parts.username is not None or parts.password is not None or "#" in url:
        return None
    return parts.hostname or None


async def create(
    connection: asyncpg.Connection,
    choice: EndpointChoice,
    partner_id: str | None,
    *,
    principal: Principal,
    settings: Settings,
) -> NewSecretAnswer:
    """Add an endpoint for what happens from now on; raises `invalid-field`, `endpoint-limit`."""
    verify(choice, settings)
    # Two that are added at once would each count the other out.
    await shared_records.lock_names(connection, [f"endpoints:{partner_id or ''}".encode()])
    if await records.count_endpoints(connection, partner_id) >= ENDPOINTS_MAX:
        raise Refused(
            "endpoint-limit",
            f"There are {ENDPOINTS_MAX} endpoints already; delete one that is not needed.",
        )
    latest, _ = await read_cursor(connection)
    now = await shared_records.database_now(connection)
    given = EndpointRow(
        endpoint_id=new_id(),
        partner_id=partner_id,
        **msgspec.structs.asdict(choice),
        state="enabled",
        reason=None,
        position=latest,
        failing_since=None,
        failures=0,
        resume_at=None,
        created_at=now,
        changed_at=now,
        version=0,
    )
    row = await records.insert_endpoint(connection, given, principal.actor)
    secret = await add_secret(connection, row)
    await standing.tell(connection, row, "created", principal.actor)
    return NewSecretAnswer(endpoint=told(row), secret=secret)


async def add_secret(connection: asyncpg.Connection, row: EndpointRow) -> str:
    """Give an endpoint a new secret and return it as it is shown."""
    secret = signing.new_secret()
    await records.insert_secret(connection, row.endpoint_id, new_id(), secret)
    return signing.shown(secret)


async def own(
    connection: asyncpg.Connection, endpoint_id: UUID, principal: Principal, *, lock: bool = False
) -> EndpointRow:
    """Return an endpoint of the caller; raises `not-found` for any other."""
    row = await records.find_endpoint(connection, endpoint_id, lock=lock)
    if row is None or (principal.role == "partner" and row.partner_id != principal.partner_id):
        raise Refused("not-found", f"There is no endpoint {endpoint_id}.")
    return row


async def show(
    connection: asyncpg.Connection, endpoint_id: UUID, principal: Principal
) -> EndpointState:
    """Return an endpoint with what it is owed; raises `not-found`."""
    row = await own(connection, endpoint_id, principal)
    secrets = await records.live_secrets(connection, endpoint_id)
    return EndpointState(
        endpoint=told(row),
        backlog=await records.read_backlog(connection, endpoint_id),
        secrets=[SecretState(each.secret_id, each.created_at, each.retires_at) for each in secrets],
    )


async def update(
    connection: asyncpg.Connection,
    endpoint_id: UUID,
    choice: EndpointChoice,
    *,
    principal: Principal,
    settings: Settings,
) -> EndpointAnswer:
    """Change what its owner decides of an endpoint; raises `not-found`, `invalid-field`.

    What it is owed already goes to the new address.
    """
    row = await own(connection, endpoint_id, principal, lock=True)
    verify(choice, settings)
    after = msgspec.structs.replace(row, **msgspec.structs.asdict(choice))
    if after.url != row.url:
        after = msgspec.structs.replace(after, failing_since=None, failures=0, resume_at=None)
    after = await records.update_endpoint(connection, after)
    await standing.tell(connection, after, "changed", principal.actor)
    return told(after)


async def delete(
    connection: asyncpg.Connection, endpoint_id: UUID, principal: Principal
) -> EndpointAnswer:
    """Remove an endpoint with what it is owed; raises `not-found`."""
    row = await own(connection, endpoint_id, principal, lock=True)
    await records.delete_endpoint(connection, endpoint_id)
    await standing.tell(connection, row, "deleted", principal.actor)
    await standing.settle(connection, endpoint_id, "deleted", principal.actor)
    return msgspec.structs.replace(
        told(row), state="deleted", reason=None, failing_since=None, resume_at=None
    )


async def rotate(
    connection: asyncpg.Connection,
    endpoint_id: UUID,
    overlap: timedelta,
    principal: Principal,
) -> NewSecretAnswer:
    """Give an endpoint a new secret; those before it sign beside it for `overlap`.

    Raises `not-found`.
    """
    row = await own(connection, endpoint_id, principal, lock=True)
    now = await shared_records.database_now(connection)
    await records.retire_secrets(connection, endpoint_id, now + overlap)
    secret = await add_secret(connection, row)
    await standing.tell(connection, row, "rotated", principal.actor)
    return NewSecretAnswer(endpoint=told(row), secret=secret)


async def enable(
    connection: asyncpg.Connection, endpoint_id: UUID, principal: Principal
) -> EndpointAnswer:
    """Send again, from where it stopped; one that is enabled stays so. Raises `not-found`."""
    row = await own(connection, endpoint_id, principal, lock=True)
    after = msgspec.structs.replace(
        row, state="enabled", reason=None, failing_since=None, failures=0, resume_at=None
    )
    if after == row:
        return told(row)
    after = await records.update_endpoint(connection, after)
    await records.hurry(connection, endpoint_id)
    if row.state != "enabled":
        await standing.tell(connection, after, "enabled", principal.actor)
        await standing.settle(connection, endpoint_id, "enabled", principal.actor)
    return told(after)


async def disable(
    connection: asyncpg.Connection, endpoint_id: UUID, principal: Principal
) -> EndpointAnswer:
    """Stop sending; one that is disabled stays so. Raises `not-found`."""
    row = await own(connection, endpoint_id, principal, lock=True)
    if row.state != "enabled":
        return told(row)
    return told(await standing.disable(connection, row, standing.BY_REQUEST, actor=principal.actor))


async def ping(
    connection: asyncpg.Connection, endpoint_id: UUID, principal: Principal
) -> PingAnswer:
    """Send an endpoint an event that nothing has caused; raises `not-found`, `illegal-state`."""
    row = await own(connection, endpoint_id, principal, lock=True)
    verify_enabled(row)
    event = await standing.tell(connection, row, "test", principal.actor)
    return PingAnswer(event.event_id)


def verify_enabled(row: EndpointRow) -> None:
    """Raise `illegal-state` unless messages go out."""
    if row.state != "enabled":
        raise Refused("illegal-state", f"The endpoint is {row.state} ({row.reason}); enable it.")


async def replay_one(
    connection: asyncpg.Connection, endpoint_id: UUID, position: int, principal: Principal
) -> ReplayAnswer:
    """Send one message again; raises `not-found`."""
    await own(connection, endpoint_id, principal, lock=True)
    lane = await records.replay_message(connection, endpoint_id, position)
    if lane is None:
        raise Refused("not-found", f"The endpoint has no message at position {position}.")
    await records.settle_lanes(connection, endpoint_id, [lane])
    return ReplayAnswer(after_position=None, messages=1)


async def replay_dead(
    connection: asyncpg.Connection, endpoint_id: UUID, principal: Principal
) -> ReplayAnswer:
    """Send again what had no attempts left, the oldest first; raises `not-found`."""
    await own(connection, endpoint_id, principal, lock=True)
    lanes = await records.replay_dead(connection, endpoint_id, limit=REPLAYED_MAX)
    await records.settle_lanes(connection, endpoint_id, sorted(set(lanes)))
    return ReplayAnswer(after_position=None, messages=len(lanes))


async def replay_since(
    connection: asyncpg.Connection,
    endpoint_id: UUID,
    since: int | datetime,
    principal: Principal,
) -> ReplayAnswer:
    """Send again all that an endpoint is owed after a position, or from an instant on.

    It is the endpoint's position that goes back, so what it was never sent, because it asked for
    other kinds or did not exist, comes too. Raises `not-found`.
    """
    row = await own(connection, endpoint_id, principal, lock=True)
    position = since if isinstance(since, int) else await records.position_before(connection, since)
    back = msgspec.structs.replace(row, position=min(position, row.position))
    await records.update_endpoint(connection, back)
    return ReplayAnswer(after_position=back.position, messages=None)


async def read_messages(
    connection: asyncpg.Connection,
    row: EndpointRow,
    after: int,
    limit: int,
    *,
    state: MessageState | None,
    settings: Settings,
) -> list[MessageAnswer]:
    """Return an endpoint's messages after a position, as they go out."""
    found = await records.list_messages(connection, row.endpoint_id, after, limit, state)
    details = await dispatch.details_of(connection, [due for _, due in found])
    answers = []
    for kept, due in found:
        body = envelope.render(
            due,
            row.envelope,
            partner=row.partner_id is not None,
            details=details.get(due.position, {}),
            bytes_max=settings.webhook_body_bytes_max,
        )
        shown = {name: getattr(kept, name) for name in MessageAnswer.__struct_fields__[:-1]}
        message = None if due.payload is None else msgspec.json.decode(body)
        answers.append(MessageAnswer(**shown, message=message))
    return answers
