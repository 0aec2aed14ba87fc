"""One key, one effect: the first answer to a write is stored with its effect and given again."""

import hashlib
from collections.abc import Awaitable, Callable

import asyncpg
import msgspec

from services import records
from services.database import Database
from services.keys import Principal
from services.problems import RETRY_AFTER_S, Refused, document

STORED_REFUSAL = 409
"""The only refusal that is stored: repeating the request cannot change a 400 or 422 either, but a
409 speaks about the state at that moment, and the caller must see the same story twice."""

encode = msgspec.msgpack.Encoder(order="deterministic").encode
"""Writes equal bodies as equal bytes, whatever the order of their fields was."""


class Claim(msgspec.Struct, frozen=True):
    """A request as far as repeating it is concerned."""

    scope: bytes
    """Key, method, path and idempotency key, hashed."""
    request_hash: bytes


class Answer(msgspec.Struct, frozen=True):
    """A status with its JSON body."""

    status_code: int
    body: bytes
    replayed: bool = False
    retry_after_s: int = RETRY_AFTER_S
    """When to come back, after a refusal that will pass."""


def claim(principal: Principal, method: str, path: str, key: str, body: object) -> Claim:
    """Return the claim of a request; `body` is the decoded body, so white space does not count."""
    scope = f"{principal.key_id}\n{method}\n{path}\n{key}".encode()
    return Claim(
        scope=hashlib.sha256(scope).digest(),
        request_hash=hashlib.sha256(encode(body)).digest(),
    )


def answer(status_code: int, body: object) -> Answer:
    """Return `body` as a JSON answer."""
    return Answer(status_code, msgspec.json.encode(body))


def refusal(refused: Refused) -> Answer:
    """Return the answer of a refusal."""
    body = msgspec.json.encode(document(refused))
    return Answer(refused.status, body, retry_after_s=refused.retry_after_s)


def replay(stored: records.StoredAnswer, claimed: Claim) -> Answer:
    """Return the stored first answer.

    Raises `idempotency-key-reused` when that was the answer to another body.
    """
    if stored.request_hash != claimed.request_hash:
        raise Refused(
            "idempotency-key-reused",
            "This Idempotency-Key came before with another body. Use a new key for a new request.",
        )
    return Answer(stored.status_code, stored.body, replayed=True)


def stored(claimed: Claim, given: Answer) -> records.StoredAnswer:
    """Return `given` as it is stored for `claimed`."""
    return records.StoredAnswer(claimed.scope, claimed.request_hash, given.status_code, given.body)


async def once(
    database: Database,
    claimed: Claim,
    work: Callable[[asyncpg.Connection], Awaitable[Answer]],
) -> Answer:
    """Do `work` and store its answer in one transaction, or give the answer it had before.

    A concurrent duplicate waits at the lock and then reads in a new statement, which sees what the
    first has committed. Raises what `work` raises, nothing stored; a 409 is stored and returned.
    """

    async def attempt(connection: asyncpg.Connection) -> Answer:
        await records.lock_names(connection, [claimed.scope])
        before = await records.find_answers(connection, [claimed.scope])
        if claimed.scope in before:
            return replay(before[claimed.scope], claimed)
        try:
            async with connection.transaction():
                given = await work(connection)
        except Refused as refused:
            if refused.status != STORED_REFUSAL:
                raise
            given = refusal(refused)
        await records.insert_answers(connection, [stored(claimed, given)])
        return given

    return await database.run(attempt)
