"""SQL of endpoints, their messages and attempts, and of what partners answered."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import asyncpg
import msgspec

from services.fulfillment import records as work_records
from services.fulfillment.records import Work
from services.fulfillment.tables import LIVE_STATES

ENDPOINT = """
    endpoint_id, partner_id, url, note, kinds, envelope, state, reason, position, failing_since,
    failures, resume_at, created_at, changed_at, version
"""


Delete = Callable[[asyncpg.Connection, datetime, int], Awaitable[int]]
"""Deletes rows older than an instant, up to a number of them, and says how many there were."""
MessageState = Literal["pending", "delivered", "dead"]


class EndpointRow(msgspec.Struct, frozen=True, kw_only=True):
    """Where somebody wants to be told of what happens."""

    endpoint_id: UUID
    partner_id: str | None
    """Whose it is; the company's own without."""
    url: str
    note: str
    kinds: tuple[str, ...]
    envelope: Literal["standard", "cloudevents"]
    state: Literal["enabled", "disabled"]
    reason: str | None
    position: int
    """Events up to here have become messages where they are owed."""
    failing_since: datetime | None
    failures: int
    resume_at: datetime | None
    created_at: datetime
    changed_at: datetime
    version: int


class SecretRow(msgspec.Struct, frozen=True):
    """One secret of an endpoint."""

    secret_id: UUID
    secret: bytes
    created_at: datetime
    retires_at: datetime | None


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A message that may go out, with its event; without one whose event has been forgotten."""

    position: int
    event_id: UUID
    happened_at: datetime
    kind: str
    lane: str
    attempts: int
    subject: str | None
    payload: dict[str, object] | None


class NewMessage(msgspec.Struct, frozen=True):
    """An event that an endpoint is owed."""

    endpoint_id: UUID
    position: int
    event_id: UUID
    happened_at: datetime
    kind: str
    lane: str


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at a message, and what follows from it."""

    position: int
    lane: str
    number: int
    """Counts the message's attempts from 1."""
    state: MessageState
    pause: timedelta | None
    """Until the next attempt, where there is one."""
    attempt_id: UUID
    happened_at: datetime
    status_code: int | None
    error: str | None
    answer: str | None
    address: str | None
    elapsed_ms: int


def endpoint_of(row: asyncpg.Record) -> EndpointRow:
    """Return the endpoint in a row."""
    return EndpointRow(**{**row, "kinds": tuple(row["kinds"])})


# Endpoints


async def insert_endpoint(
    connection: asyncpg.Connection, given: EndpointRow, actor: str
) -> EndpointRow:
    """Add an endpoint that is owed what happens after its position."""
    (row,) = await connection.fetch(
        "INSERT INTO endpoint (endpoint_id, partner_id, url, note, kinds, envelope, position, actor)"
        f" VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING {ENDPOINT}",
        given.endpoint_id,
        given.partner_id,
        given.url,
        given.note,
        list(given.kinds),
        given.envelope,
        given.position,
        actor,
    )
    return endpoint_of(row)


async def find_endpoint(
    connection: asyncpg.Connection, endpoint_id: UUID, *, lock: bool = False
) -> EndpointRow | None:
    """Return an endpoint, locked where it is about to change."""
    row = await connection.fetchrow(
        f"SELECT {ENDPOINT} FROM endpoint WHERE endpoint_id = $1 AND state <> 'deleted'"
        + (" FOR UPDATE" if lock else ""),
        endpoint_id,
    )
    return None if row is None else endpoint_of(row)


async def list_endpoints(
    connection: asyncpg.Connection, partner_id: str | None, after: UUID | None, limit: int
) -> list[EndpointRow]:
    """Return the endpoints of a partner, or of everyone, by id."""
    rows = await connection.fetch(
        f"SELECT {ENDPOINT} FROM endpoint WHERE state <> 'deleted'"
        " AND ($1::text IS NULL OR partner_id = $1)"
        " AND ($2::uuid IS NULL OR endpoint_id > $2) ORDER BY endpoint_id LIMIT $3",
        partner_id,
        after,
        limit,
    )
    return [endpoint_of(row) for row in rows]


async def count_endpoints(connection: asyncpg.Connection, partner_id: str | None) -> int:
    """Return how many endpoints an owner has."""
    count: int = await connection.fetchval(
        "SELECT count(*) FROM endpoint WHERE state <> 'deleted' AND partner_id IS NOT DISTINCT FROM $1",
        partner_id,
    )
    return count


async def update_endpoint(connection: asyncpg.Connection, given: EndpointRow) -> EndpointRow:
    """Write what can be changed of a locked endpoint."""
    (row,) = await connection.fetch(
        "UPDATE endpoint SET url = $2, note = $3, kinds = $4, envelope = $5, state = $6,"
        " reason = $7, position = $8, failing_since = $9, failures = $10, resume_at = $11,"
        " changed_at = now(), version = version + 1"
        f" WHERE endpoint_id = $1 RETURNING {ENDPOINT}",
        given.endpoint_id,
        given.url,
        given.note,
        list(given.kinds),
        given.envelope,
        given.state,
        given.reason,
        given.position,
        given.failing_since,
        given.failures,
        given.resume_at,
    )
    return endpoint_of(row)


async def delete_endpoint(connection: asyncpg.Connection, endpoint_id: UUID) -> None:
    """Hide an endpoint for good and forget its secrets; `forget_deleted` removes the rest."""
    await connection.execute("DELETE FROM endpoint_secret WHERE endpoint_id = $1", endpoint_id)
    await connection.execute(
        "UPDATE endpoint SET state = 'deleted', reason = NULL WHERE endpoint_id = $1", endpoint_id
    )


async def insert_secret(
    connection: asyncpg.Connection, endpoint_id: UUID, secret_id: UUID, secret: bytes
) -> None:
    """Add a secret that signs from now on."""
    await connection.execute(
        "INSERT INTO endpoint_secret (endpoint_id, secret_id, secret) VALUES ($1, $2, $3)",
        endpoint_id,
        secret_id,
        secret,
    )


async def retire_secrets(
    connection: asyncpg.Connection, endpoint_id: UUID, retires_at: datetime
) -> None:
    """Let every secret of an endpoint end by an instant, and forget those that have ended."""
    await connection.execute(
        "DELETE FROM endpoint_secret WHERE endpoint_id = $1 AND retires_at <= now()", endpoint_id
    )
    await connection.execute(
        "UPDATE endpoint_secret SET retires_at = least(retires_at, $2) WHERE endpoint_id = $1",
        endpoint_id,
        retires_at,
    )


async def live_secrets(connection: asyncpg.Connection, endpoint_id: UUID) -> list[SecretRow]:
    """Return the secrets with which an endpoint's messages are signed now, the newest first."""
    rows = await connection.fetch(
        "SELECT secret_id, secret, created_at, retires_at FROM endpoint_secret"
        " WHERE endpoint_id = $1 AND (retires_at IS NULL OR retires_at > clock_timestamp())"
        " ORDER BY created_at DESC, secret_id DESC",
        endpoint_id,
    )
    return [SecretRow(*row) for row in rows]


# From events to messages


async def lagging_endpoints(
    connection: asyncpg.Connection, latest: int, *, limit: int
) -> list[EndpointRow]:
    """Return and lock enabled endpoints that stand at the position furthest behind `latest`."""
    rows = await connection.fetch(
        f"SELECT {ENDPOINT} FROM endpoint WHERE state = 'enabled' AND position ="
        " (SELECT min(position) FROM endpoint WHERE state = 'enabled' AND position < $1)"
        " ORDER BY endpoint_id LIMIT $2 FOR UPDATE",
        latest,
        limit,
    )
    return [endpoint_of(row) for row in rows]


async def move_endpoints(
    connection: asyncpg.Connection, endpoint_ids: Sequence[UUID], position: int
) -> None:
    """Note up to where these locked endpoints have their messages."""
    await connection.execute(
        "UPDATE endpoint SET position = $2 WHERE endpoint_id = ANY($1::uuid[])",
        list(endpoint_ids),
        position,
    )


async def partners_of(connection: asyncpg.Connection, node_ids: Sequence[str]) -> dict[str, str]:
    """Return the partner of each of these nodes that has one."""
    rows = await connection.fetch(
        "SELECT node_id, partner_id FROM node"
        " WHERE node_id = ANY($1::text[]) AND partner_id IS NOT NULL",
        list(node_ids),
    )
    return {row["node_id"]: row["partner_id"] for row in rows}


async def nodes_of(connection: asyncpg.Connection, partner_id: str) -> list[str]:
    """Return the nodes of a partner."""
    rows = await connection.fetch(
        "SELECT node_id FROM node WHERE partner_id = $1 ORDER BY node_id", partner_id
    )
    return [row["node_id"] for row in rows]


async def find_works(
    connection: asyncpg.Connection, fulfillment_order_ids: Sequence[UUID]
) -> list[Work]:
    """Return those of these fulfillment orders that exist, with their lines."""
    return await work_records.with_lines(
        connection,
        await connection.fetch(
            f"{work_records.ORDER} WHERE fulfillment_order_id = ANY($1::uuid[])",
            list(fulfillment_order_ids),
        ),
    )


async def read_items(
    connection: asyncpg.Connection, skus: Sequence[str]
) -> dict[str, asyncpg.Record]:
    """Return what a packer needs to know of these items."""
    rows = await connection.fetch(
        "SELECT sku, name, weight_grams, length_mm, width_mm, height_mm, requires FROM item"
        " WHERE sku = ANY($1::text[])",
        list(skus),
    )
    return {row["sku"]: row for row in rows}


async def insert_messages(connection: asyncpg.Connection, messages: Sequence[NewMessage]) -> None:
    """Add messages of locked endpoints; one that is there already is sent again.

    The heads of their lanes are put right in the same transaction.
    """
    await connection.execute(
        "INSERT INTO message (endpoint_id, position, event_id, happened_at, kind, lane)"
        " SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::timestamptz[],"
        " $5::text[], $6::text[])"
        " ON CONFLICT (endpoint_id, position) DO UPDATE SET state = 'pending', attempts = 0,"
        " ended_at = NULL, status_code = NULL"
        " WHERE message.state <> 'pending'",
        [each.endpoint_id for each in messages],
        [each.position for each in messages],
        [each.event_id for each in messages],
        [each.happened_at for each in messages],
        [each.kind for each in messages],
        [each.lane for each in messages],
    )
    for endpoint_id in sorted({each.endpoint_id for each in messages}):
        lanes = {each.lane for each in messages if each.endpoint_id == endpoint_id}
        await settle_lanes(connection, endpoint_id, sorted(lanes))


async def settle_lanes(
    connection: asyncpg.Connection, endpoint_id: UUID, lanes: Sequence[str]
) -> None:
    """Make the first pending message of each of these lanes due, and none behind it.

    The endpoint is locked: a message added by one transaction while another ends the last one of
    its lane would otherwise be seen by neither, and wait for ever.
    """
    await connection.execute("SELECT settle_lanes($1, $2::text[])", endpoint_id, list(lanes))


# Sending


async def claim_endpoints(
    connection: asyncpg.Connection, holder: str, lease: timedelta, served: Sequence[UUID]
) -> list[EndpointRow]:
    """Take the lease on every enabled endpoint that has something due and is not `served`.

    The database's clock decides. A holder takes up its own leases at once, so that it need not wait
    for them after a crash.
    """
    rows = await connection.fetch(
        "UPDATE endpoint e SET sender = $1, sender_until = clock_timestamp() + $2"
        " WHERE state = 'enabled' AND endpoint_id <> ALL($3::uuid[])"
        " AND (resume_at IS NULL OR resume_at <= clock_timestamp())"
        " AND (sender = $1 OR sender_until IS NULL OR sender_until <= clock_timestamp())"
        " AND EXISTS (SELECT FROM message m WHERE m.endpoint_id = e.endpoint_id"
        " AND m.due_at <= clock_timestamp())"
        f" RETURNING {ENDPOINT}",
        holder,
        lease,
        list(served),
    )
    return [endpoint_of(row) for row in rows]


async def renew_lease(
    connection: asyncpg.Connection, endpoint_id: UUID, holder: str, lease: timedelta
) -> EndpointRow | None:
    """Keep a lease; returns the endpoint as it is now, or None when another holder has it."""
    row = await connection.fetchrow(
        "UPDATE endpoint SET sender_until = clock_timestamp() + $3"
        f" WHERE endpoint_id = $1 AND sender = $2 RETURNING {ENDPOINT}",
        endpoint_id,
        holder,
        lease,
    )
    return None if row is None else endpoint_of(row)


async def release_endpoints(connection: asyncpg.Connection, holder: str) -> None:
    """Give every lease of a holder back, so that others need not wait until they run out."""
    await connection.execute(
        "UPDATE endpoint SET sender = NULL, sender_until = NULL WHERE sender = $1", holder
    )


async def read_due(
    connection: asyncpg.Connection,
    endpoint_id: UUID,
    busy: Sequence[str],
    *,
    lanes_max: int,
    run_max: int,
) -> list[Due]:
    """Return what may go out now: lanes that are due and not `busy`, each with its first messages.

    The lane that has waited longest comes first; a lane's messages come in the order of events.
    """
    rows = await connection.fetch(
        "SELECT * FROM due_messages($1, $2::text[], $3, $4)",
        endpoint_id,
        list(busy),
        lanes_max,
        run_max,
    )
    decode = msgspec.json.decode
    return [
        Due(
            **{
                **row,
                "payload": None if row["payload"] is None else decode(row["payload"], type=dict),
            }
        )
        for row in rows
    ]


async def insert_attempts(
    connection: asyncpg.Connection, endpoint_id: UUID, tried: Sequence[Tried]
) -> None:
    """Add attempts to the log."""
    await connection.execute(
        "INSERT INTO attempt (endpoint_id, attempt_id, happened_at, position, number, status_code,"
        " error, answer, address, elapsed_ms)"
        " SELECT $1, * FROM unnest($2::uuid[], $3::timestamptz[], $4::bigint[], $5::int[],"
        " $6::int[], $7::text[], $8::text[], $9::text[], $10::int[])",
        endpoint_id,
        [each.attempt_id for each in tried],
        [each.happened_at for each in tried],
        [each.position for each in tried],
        [each.number for each in tried],
        [each.status_code for each in tried],
        [each.error for each in tried],
        [each.answer for each in tried],
        [each.address for each in tried],
        [each.elapsed_ms for each in tried],
    )


async def update_messages(
    connection: asyncpg.Connection, endpoint_id: UUID, tried: Sequence[Tried]
) -> None:
    """Write what attempts at a locked endpoint came to, and who is next in their lanes.

    A message that has changed since it was read stays as it is: it was sent again by hand, or by
    another sender that had taken over. What failed waits for its pause where it is still the first
    of its lane.
    """
    await connection.execute(
        "UPDATE message m SET state = t.state, attempts = t.number, status_code = t.status_code,"
        " due_at = NULL,"
        " ended_at = CASE WHEN t.state <> 'pending' THEN clock_timestamp() END"
        " FROM unnest($2::bigint[], $3::int[], $4::text[], $5::int[])"
        " AS t (position, number, state, status_code)"
        " WHERE m.endpoint_id = $1 AND m.position = t.position AND m.state = 'pending'"
        " AND m.attempts = t.number - 1",
        endpoint_id,
        [each.position for each in tried],
        [each.number for each in tried],
        [each.state for each in tried],
        [each.status_code for each in tried],
    )
    await settle_lanes(connection, endpoint_id, sorted({each.lane for each in tried}))
    failed = [each for each in tried if each.state == "pending"]
    if failed:
        await connection.execute(
            "UPDATE message m SET due_at = clock_timestamp() + t.pause"
            " FROM unnest($2::bigint[], $3::int[], $4::interval[]) AS t (position, number, pause)"
            " WHERE m.endpoint_id = $1 AND m.position = t.position AND m.attempts = t.number"
            " AND m.due_at IS NOT NULL",
            endpoint_id,
            [each.position for each in failed],
            [each.number for each in failed],
            [each.pause for each in failed],
        )


async def hurry(connection: asyncpg.Connection, endpoint_id: UUID) -> None:
    """Let everything that waits for another attempt be tried at once: the endpoint answers again."""
    await connection.execute(
        "UPDATE message SET due_at = clock_timestamp()"
        " WHERE endpoint_id = $1 AND due_at > clock_timestamp()",
        endpoint_id,
    )


# Reading messages and attempts

MESSAGE = """
    m.position, m.event_id, m.happened_at, m.kind, m.lane, m.state, m.due_at, m.attempts,
    m.status_code, m.ended_at
"""


class MessageRow(msgspec.Struct, frozen=True, kw_only=True):
    """A message as its owner sees it."""

    position: int
    event_id: UUID
    happened_at: datetime
    kind: str
    lane: str
    state: MessageState
    due_at: datetime | None
    attempts: int
    status_code: int | None
    ended_at: datetime | None


class AttemptRow(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at a message."""

    attempt_id: UUID
    happened_at: datetime
    position: int
    number: int
    status_code: int | None
    error: str | None
    answer: str | None
    address: str | None
    elapsed_ms: int


async def list_messages(
    connection: asyncpg.Connection,
    endpoint_id: UUID,
    after: int,
    limit: int,
    state: str | None = None,
) -> list[tuple[MessageRow, Due]]:
    """Return messages after a position in order, of one state if named, each with its event."""
    rows = await connection.fetch(
        f"SELECT {MESSAGE}, e.subject, e.payload FROM message m"
        " LEFT JOIN event e ON e.event_id = m.event_id AND e.created_at = m.happened_at"
        " WHERE m.endpoint_id = $1 AND m.position > $2 AND ($4::text IS NULL OR m.state = $4)"
        " ORDER BY m.position LIMIT $3",
        endpoint_id,
        after,
        limit,
        state,
    )
    found = []
    for row in rows:
        told = {**row}
        subject, payload = told.pop("subject"), told.pop("payload")
        event = None if payload is None else msgspec.json.decode(payload, type=dict)
        shared = {name: told[name] for name in Due.__struct_fields__[:6]}
        found.append((MessageRow(**told), Due(**shared, subject=subject, payload=event)))
    return found


async def list_attempts(
    connection: asyncpg.Connection,
    endpoint_id: UUID,
    before: UUID | None,
    limit: int,
    *,
    position: int | None,
    failed: bool,
) -> list[AttemptRow]:
    """Return attempts, newest first: those at one message, or only those that failed, if asked."""
    rows = await connection.fetch(
        "SELECT attempt_id, happened_at, position, number, status_code, error, answer, address,"
        " elapsed_ms FROM attempt WHERE endpoint_id = $1 AND ($2::uuid IS NULL OR attempt_id < $2)"
        " AND ($4::bigint IS NULL OR position = $4)"
        " AND NOT ($5 AND coalesce(status_code BETWEEN 200 AND 299, false))"
        " ORDER BY attempt_id DESC LIMIT $3",
        endpoint_id,
        before,
        limit,
        position,
        failed,
    )
    return [AttemptRow(**row) for row in rows]


# Sending again


async def replay_message(
    connection: asyncpg.Connection, endpoint_id: UUID, position: int
) -> str | None:
    """Let one message of a locked endpoint be sent again; return its lane, None for no such one."""
    lane: str | None = await connection.fetchval(
        "UPDATE message SET state = 'pending', attempts = 0, ended_at = NULL, status_code = NULL,"
        " due_at = CASE WHEN due_at IS NOT NULL THEN clock_timestamp() END"
        " WHERE endpoint_id = $1 AND position = $2 RETURNING lane",
        endpoint_id,
        position,
    )
    return lane


async def replay_dead(
    connection: asyncpg.Connection, endpoint_id: UUID, *, limit: int
) -> list[str]:
    """Let dead messages of a locked endpoint be sent again, the oldest first; return their lanes."""
    rows = await connection.fetch(
        "UPDATE message SET state = 'pending', attempts = 0, ended_at = NULL, status_code = NULL"
        " WHERE endpoint_id = $1 AND position = ANY (SELECT position FROM message"
        " WHERE endpoint_id = $1 AND state = 'dead' ORDER BY position LIMIT $2) RETURNING lane",
        endpoint_id,
        limit,
    )
    return [row["lane"] for row in rows]


async def position_before(connection: asyncpg.Connection, instant: datetime) -> int:
    """Return the position of the last event before an instant, 0 when there is none."""
    found: int | None = await connection.fetchval(
        "SELECT max(position) FROM event_position WHERE created_at < $1", instant
    )
    return found or 0


# Keeping and counting


async def forget_messages(connection: asyncpg.Connection, before: datetime, limit: int) -> int:
    """Delete messages that ended before an instant; say how many."""
    done: str = await connection.execute(
        "DELETE FROM message WHERE (endpoint_id, position) IN"
        " (SELECT endpoint_id, position FROM message WHERE ended_at < $1 LIMIT $2)",
        before,
        limit,
    )
    return int(done.removeprefix("DELETE "))


async def forget_deleted(connection: asyncpg.Connection, limit: int) -> int:
    """Delete messages of deleted endpoints, then endpoints without any; say how many."""
    messages: str = await connection.execute(
        "DELETE FROM message WHERE (endpoint_id, position) IN"
        " (SELECT message.endpoint_id, message.position"
        " FROM message JOIN endpoint USING (endpoint_id) WHERE endpoint.state = 'deleted' LIMIT $1)",
        limit,
    )
    endpoints: str = await connection.execute(
        "DELETE FROM endpoint e WHERE state = 'deleted'"
        " AND NOT EXISTS (SELECT FROM message m WHERE m.endpoint_id = e.endpoint_id)"
    )
    return sum(int(done.removeprefix("DELETE ")) for done in (messages, endpoints))


class Backlog(msgspec.Struct, frozen=True):
    """What an endpoint is still owed."""

    pending: int
    dead: int
    oldest_at: datetime | None


async def read_backlog(connection: asyncpg.Connection, endpoint_id: UUID) -> Backlog:
    """Return what waits for an endpoint."""
    (row,) = await connection.fetch(
        "SELECT count(*) FILTER (WHERE state = 'pending'), count(*) FILTER (WHERE state = 'dead'),"
        " min(happened_at) FILTER (WHERE state = 'pending') FROM message WHERE endpoint_id = $1"
        " AND state <> 'delivered'",
        endpoint_id,
    )
    return Backlog(*row)


# What partners answer


class CallbackRow(msgspec.Struct, frozen=True, kw_only=True):
    """Something a partner told of a fulfillment order."""

    partner_id: str
    partner_event_id: str
    kind: str
    order_id: str
    fulfillment_order_id: UUID
    request_hash: bytes
    body: str
    """JSON."""
    state: Literal["applied", "ignored", "parked"]
    why: str | None
    happened_at: datetime
    received_at: datetime
    applied_at: datetime | None


CALLBACK = f"SELECT {', '.join(CallbackRow.__struct_fields__)} FROM partner_answer"


async def find_callback(
    connection: asyncpg.Connection, partner_id: str, partner_event_id: str
) -> CallbackRow | None:
    """Return what a partner told under an id of its own."""
    row = await connection.fetchrow(
        f"{CALLBACK} WHERE partner_id = $1 AND partner_event_id = $2", partner_id, partner_event_id
    )
    return None if row is None else CallbackRow(**row)


async def insert_callback(connection: asyncpg.Connection, row: CallbackRow) -> None:
    """Keep what a partner told, with what came of it."""
    names = CallbackRow.__struct_fields__
    await connection.execute(
        f"INSERT INTO partner_answer ({', '.join(names)})"
        f" VALUES ({', '.join(f'${number}' for number in range(1, len(names) + 1))})",
        *(getattr(row, name) for name in names),
    )


async def end_callback(connection: asyncpg.Connection, row: CallbackRow) -> None:
    """Write what came of something that was parked."""
    await connection.execute(
        "UPDATE partner_answer SET state = $3, why = $4, applied_at = $5"
        " WHERE partner_id = $1 AND partner_event_id = $2",
        row.partner_id,
        row.partner_event_id,
        row.state,
        row.why,
        row.applied_at,
    )


async def parked_callbacks(
    connection: asyncpg.Connection, fulfillment_order_id: UUID
) -> list[CallbackRow]:
    """Return what waits for something else to happen to a fulfillment order, the earliest first."""
    rows = await connection.fetch(
        f"{CALLBACK} WHERE fulfillment_order_id = $1 AND state = 'parked'"
        " ORDER BY happened_at, received_at, partner_event_id",
        fulfillment_order_id,
    )
    return [CallbackRow(**row) for row in rows]


async def parked_orders(
    connection: asyncpg.Connection, after: UUID | None, limit: int
) -> list[UUID]:
    """Return fulfillment orders for which something is parked, by id."""
    rows = await connection.fetch(
        "SELECT DISTINCT fulfillment_order_id FROM partner_answer WHERE state = 'parked'"
        " AND ($1::uuid IS NULL OR fulfillment_order_id > $1)"
        " ORDER BY fulfillment_order_id LIMIT $2",
        after,
        limit,
    )
    return [row["fulfillment_order_id"] for row in rows]


async def forget_callbacks(connection: asyncpg.Connection, before: datetime, limit: int) -> int:
    """Delete what came before an instant and is over; say how many."""
    done: str = await connection.execute(
        "DELETE FROM partner_answer WHERE (partner_id, partner_event_id) IN"
        " (SELECT partner_id, partner_event_id FROM partner_answer"
        " WHERE received_at < $1 AND state <> 'parked' LIMIT $2)",
        before,
        limit,
    )
    return int(done.removeprefix("DELETE "))


async def list_partner_work(
    connection: asyncpg.Connection,
    node_ids: Sequence[str],
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Work]:
    """Return a page of what nodes have been asked to do and have not done, the most urgent first."""
    return await work_records.with_lines(
        connection,
        await connection.fetch(
            f"{work_records.ORDER} WHERE node_id = ANY($1::text[]) AND state IN {LIVE_STATES}"
            " AND request_state <> 'unsubmitted'"
            " AND ($2::timestamptz IS NULL OR (ship_by, fulfillment_order_id) > ($2, $3::uuid))"
            " ORDER BY ship_by, fulfillment_order_id LIMIT $4",
            list(node_ids),
            *(after or (None, None)),
            limit,
        ),
    )


# Feeds of partners


class FeedRow(msgspec.Struct, frozen=True):
    """When a feed came last."""

    partner_id: str
    source: str
    kind: str
    seen_at: datetime
    stale_since: datetime | None


async def put_feed(
    connection: asyncpg.Connection, partner_id: str, source: str, kind: str, kept_max: int
) -> bool:
    """Note that a feed has come; tell whether it was stale. Only a partner's newest are kept."""
    was_stale: bool | None = await connection.fetchval(
        "SELECT stale_since IS NOT NULL FROM feed_seen"
        " WHERE (partner_id, source, kind) = ($1, $2, $3) FOR UPDATE",
        partner_id,
        source,
        kind,
    )
    await connection.execute(
        "INSERT INTO feed_seen (partner_id, source, kind, seen_at)"
        " VALUES ($1, $2, $3, clock_timestamp())"
        " ON CONFLICT (partner_id, source, kind)"
        " DO UPDATE SET seen_at = excluded.seen_at, stale_since = NULL",
        partner_id,
        source,
        kind,
    )
    if was_stale is None:
        await connection.execute(
            "DELETE FROM feed_seen WHERE partner_id = $1 AND (source, kind) NOT IN"
            " (SELECT source, kind FROM feed_seen WHERE partner_id = $1"
            " ORDER BY seen_at DESC LIMIT $2)",
            partner_id,
            kept_max,
        )
    return bool(was_stale)


async def list_feeds(connection: asyncpg.Connection, limit: int) -> list[FeedRow]:
    """Return feeds, the one that has not come for longest first."""
    rows = await connection.fetch(
        "SELECT partner_id, source, kind, seen_at, stale_since FROM feed_seen"
        " ORDER BY seen_at LIMIT $1",
        limit,
    )
    return [FeedRow(*row) for row in rows]


async def set_stale(connection: asyncpg.Connection, feed: FeedRow) -> bool:
    """Note that a feed is stale; false when it has come since, or is known to be."""
    done: str = await connection.execute(
        "UPDATE feed_seen SET stale_since = clock_timestamp()"
        " WHERE (partner_id, source, kind) = ($1, $2, $3) AND seen_at = $4"
        " AND stale_since IS NULL",
        feed.partner_id,
        feed.source,
        feed.kind,
        feed.seen_at,
    )
    return done == "UPDATE 1"


async def find_elsewhere(
    connection: asyncpg.Connection, keys: Sequence[tuple[str, str]], node_ids: Sequence[str]
) -> tuple[str, str] | None:
    """Return one of these supplies, (sku, supply_id), that is expected at other nodes than these."""
    row = await connection.fetchrow(
        "SELECT sku, supply_id FROM supply"
        " JOIN unnest($1::text[], $2::text[]) AS k (sku, supply_id) USING (sku, supply_id)"
        " WHERE node_id <> ALL($3::text[]) ORDER BY sku, supply_id LIMIT 1",
        [sku for sku, _ in keys],
        [supply_id for _, supply_id in keys],
        list(node_ids),
    )
    return None if row is None else (row["sku"], row["supply_id"])
