"""SQL of what every part uses: keys, idempotency, events."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key to be added."""

    key_id: str
    secret_hash: bytes
    role: str
    node_ids: list[str]
    partner_id: str | None
    scopes: list[str] | None
    expires_at: datetime | None


async def insert_key(connection: asyncpg.Connection, key: NewKey) -> None:
    """Add an API key."""
    await connection.execute(
        "INSERT INTO api_key (key_id, secret_hash, role, node_ids, partner_id, scopes, expires_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)",
        *msgspec.structs.astuple(key),
    )


async def find_key(connection: asyncpg.Connection, secret_hash: bytes) -> asyncpg.Record | None:
    """Return the live key with this hash; a partner's with the nodes where the partner works."""
    return await connection.fetchrow(
        "SELECT key_id, role, partner_id, scopes, NULL AS staff,"
        " CASE WHEN k.partner_id IS NULL THEN k.node_ids"
        " ELSE ARRAY(SELECT n.node_id FROM node n WHERE n.partner_id = k.partner_id ORDER BY 1)"
        " END AS node_ids FROM api_key k WHERE secret_hash = $1 AND revoked_at IS NULL"
        " AND (expires_at IS NULL OR expires_at > now())",
        secret_hash,
    )


async def find_session(connection: asyncpg.Connection, token_hash: bytes) -> asyncpg.Record | None:
    """Return the live session with this hash in the form of a key: staff who is signed in."""
    return await connection.fetchrow(
        "SELECT 'staff:' || name AS key_id, role, NULL AS partner_id, NULL::text[] AS scopes,"
        " name AS staff, node_ids FROM staff_session s JOIN staff USING (name)"
        " WHERE token_hash = $1 AND s.expires_at > now() AND disabled_at IS NULL",
        token_hash,
    )


async def list_keys(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Return every key, oldest first, without its hash."""
    return await connection.fetch(
        "SELECT key_id, role, node_ids, partner_id, scopes, created_at, expires_at, revoked_at"
        " FROM api_key ORDER BY created_at, key_id"
    )


async def revoke_key(connection: asyncpg.Connection, key_id: str) -> bool:
    """End a key; true when it was live."""
    done: str = await connection.execute(
        "UPDATE api_key SET revoked_at = now() WHERE key_id = $1 AND revoked_at IS NULL", key_id
    )
    return done == "UPDATE 1"


def lock_number(name: bytes) -> int:
    """Return the number under which a name of eight bytes or more is locked: its first eight."""
    return int.from_bytes(name[:8], "big", signed=True)


async def lock_names(connection: asyncpg.Connection, names: Sequence[bytes]) -> None:
    """Hold an advisory lock on each name (16 bytes or more) until the transaction ends.

    Numbers are sorted, so two batches that share names wait for each other instead of deadlocking.
    """
    await lock_numbers(connection, sorted({lock_number(name) for name in names}))


async def lock_numbers(connection: asyncpg.Connection, numbers: Sequence[int]) -> None:
    """Hold an advisory lock on each of these sorted numbers until the transaction ends."""
    await connection.execute(
        "SELECT pg_advisory_xact_lock(number) FROM unnest($1::bigint[]) AS number", numbers
    )


class StoredAnswer(msgspec.Struct, frozen=True):
    """The first answer to a request with an idempotency key."""

    scope: bytes
    request_hash: bytes
    status_code: int
    body: bytes


async def find_answers(
    connection: asyncpg.Connection, scopes: Sequence[bytes]
) -> dict[bytes, StoredAnswer]:
    """Return the stored answers of these idempotency scopes."""
    rows = await connection.fetch(
        "SELECT scope, request_hash, status_code, body FROM idempotency"
        " WHERE scope = ANY($1::bytea[])",
        list(scopes),
    )
    return {row["scope"]: StoredAnswer(*row) for row in rows}


async def insert_answers(connection: asyncpg.Connection, answers: Sequence[StoredAnswer]) -> None:
    """Store first answers, in the transaction of their effect."""
    await connection.execute(
        "INSERT INTO idempotency (scope, request_hash, status_code, body)"
        " SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::int[], $4::bytea[])",
        [answer.scope for answer in answers],
        [answer.request_hash for answer in answers],
        [answer.status_code for answer in answers],
        [answer.body for answer in answers],
    )


class Event(msgspec.Struct, frozen=True):
    """Something that happened, for everyone who follows along."""

    event_id: UUID
    kind: str
    subject: str
    actor: str
    payload: dict[str, object]


async def insert_events(connection: asyncpg.Connection, events: Sequence[Event]) -> None:
    """Append events, in the transaction of what happened."""
    encode = msgspec.json.Encoder().encode
    await connection.execute(
        "INSERT INTO event (event_id, kind, subject, actor, payload)"
        " SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::jsonb[])",
        [event.event_id for event in events],
        [event.kind for event in events],
        [event.subject for event in events],
        [event.actor for event in events],
        [encode(event.payload).decode() for event in events],
    )


async def database_now(connection: asyncpg.Connection) -> datetime:
    """Return the database's clock, which alone decides what has expired."""
    now: datetime = await connection.fetchval("SELECT clock_timestamp()")
    return now
