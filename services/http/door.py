"""The door: the calls that come by the thousand, answered without the framework, and overload.

The framework costs several times what such a call should cost in all. So a request for one of
`CALLS` that is plainly in order is checked, read, decoded, answered and written down here, with the
same functions that the framework's handler of the call uses. Anything else goes on to that handler
untouched: it refuses in the words of the API document, and nothing is worded twice. What is asked
of memory alone is answered sooner still, by the connection, from the head of the request.

Overload is refused here too, before a body is read: reads first, orders when their queue is full.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache, partial
from time import perf_counter
from typing import Any

import asyncpg
import msgspec
from litestar import Litestar
from litestar.enums import ScopeType
from litestar.handlers import HTTPRouteHandler
from litestar.types import HTTPScope, Receive, ReceiveMessage, Scope, Send

from services.database import DatabaseAwayError, PoolTimeoutError
from services.http import availability, checkout
from services.http.access import IDEMPOTENCY_KEY_LENGTH_MAX, Caller, is_for, may_call
from services.http.answers import raw_headers
from services.http.query import at_hand, availability_request
from services.keys import Principal
from services.observe import UNROUTED, Journal, Observed, known_method
from services.orders.idempotency import Answer, refusal
from services.orders.queue import too_many
from services.orders.request import AllocationRequest, QuoteRequest
from services.problems import Refused, refused_for
from services.runtime import Runtime

Lines = list[tuple[bytes, bytes]]
"""Headers as they came."""

BEARER = frozenset({b"Bearer", b"bearer"})
JSON_TYPES = frozenset({b"application/json", b"application/json; charset=utf-8"})
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises for bytes that are not what the call takes."""
AWAY = (DatabaseAwayError, PoolTimeoutError, asyncpg.PostgresError)
"""What a look-up of a key raises when it is not the key's fault."""
VITAL = frozenset({"/health/live", "/health/ready", "/metrics"})
"""What is answered however many connections there are."""
CROWDED = refusal(
    Refused("unavailable", "Too many connections are open. Close some, or share those there are.")
)


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A call that is answered here."""

    handler: HTTPRouteHandler
    """The same call as the framework knows it: its address, its roles, its words."""
    decode: Callable[[bytes], Any]
    """Reads the body of a POST or the query of a GET; raises one of `UNREADABLE`."""
    work: Callable[[Runtime, Caller, Any], Awaitable[Answer]]
    is_read: bool = False
    """Whether it changes nothing: it needs no idempotency key, and so many at once are enough."""
    yields: bool = False
    """Whether it makes room for orders before their queue is full."""
    at_hand: Callable[[Runtime, bytes], Answer | None] | None = None
    """Answers the query of a GET where nothing has to be waited for, and has nothing to say else."""


async def look(runtime: Runtime, _caller: Caller, data: availability.AvailabilityRequest) -> Answer:
    """Answer a question about availability."""
    return await availability.answer(data, runtime)


CALLS = (
    Call(
        handler=checkout.allocate,
        decode=msgspec.json.Decoder(AllocationRequest).decode,
        work=checkout.hold,
    ),
    Call(
        handler=checkout.quote,
        decode=msgspec.json.Decoder(QuoteRequest).decode,
        work=checkout.plan,
        is_read=True,
    ),
    Call(
        handler=availability.get_availability,
        decode=availability_request,
        work=look,
        is_read=True,
        yields=True,
        at_hand=at_hand,
    ),
    Call(
        handler=availability.post_availability,
        decode=msgspec.json.Decoder(availability.AvailabilityRequest).decode,
        work=look,
        is_read=True,
        yields=True,
    ),
)


class Door(Observed):
    """The outermost layer of the application."""

    def __init__(self, app: Litestar, runtime: Runtime, journal: Journal) -> None:
        """Stand before `app`, whose resources are `runtime`."""
        super().__init__(app, journal)
        self.runtime = runtime
        self.calls = {address(call.handler): call for call in CALLS}
        """By method and path."""
        self.quick = frozenset(
            address(call.handler)[1].encode() for call in CALLS if call.at_hand is not None
        )
        """Paths of calls that the connection may answer."""
        self.reads = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request here if that is possible, else let the framework do it."""
        rest: Receive | None = receive
        if scope["type"] == ScopeType.HTTP:
            call = self.calls.get((scope["method"], scope["path"]))
            if call is not None:
                rest = await self.attempt(call, scope, receive, send)
        if rest is not None:
            await super().__call__(scope, rest, send)

    async def attempt(
        self, call: Call, scope: HTTPScope, receive: Receive, send: Send
    ) -> Receive | None:
        """Answer a request that is plainly in order, or refuse it for overload.

        In any other case nothing was sent, and what the framework shall receive is returned.
        """
        started_s = perf_counter()
        lines = list(scope["headers"])
        headers = dict(lines)
        caller = await self.admit(call, headers)
        if caller is None:
            return receive
        given = self.overload(call)
        if given is None:
            if len(headers) != len(lines):
                return receive
            raw: bytes | None = scope["query_string"]
            rest = receive
            if scope["method"] == "POST":
                if not self.has_json(headers):
                    return receive
                raw, rest = await read(receive)
            data = decoded(call, raw)
            if data is None:
                return rest
            given = await self.given(call, caller, data)
        at = (scope["method"], scope["path"], given.status_code)
        self.journal.write(at, started_s, caller.request_id, caller.facts)
        await send_answer(send, given, caller.request_id)
        return None

    async def turn_away(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        """Answer a request on one connection too many, unless it asks how the service is."""
        if scope["path"] in VITAL:
            await self(scope, receive, send)
            return
        request_id = self.journal.request_id(b"")
        self.journal.write(
            (known_method(scope), UNROUTED, CROWDED.status_code), perf_counter(), request_id, {}
        )
        await send_answer(send, CROWDED, request_id, (b"connection", b"close"))

    @property
    def crowded(self) -> bool:
        """Whether there is too much of anything, so that some calls are refused now."""
        return self.runtime.allocator.queue.busy or self.reads >= self.runtime.settings.reads_max

    def refuse(
        self, method: str, path: str, headers: Mapping[bytes, bytes]
    ) -> tuple[Answer, bytes] | None:
        """Return the refusal of a request for which there is no room, and its id, from its head.

        Nothing where there is room, or where something else has to be said first or looked up: then
        the request takes the usual way.
        """
        started_s = perf_counter()
        call = self.calls.get((method, path))
        given = None if call is None else self.overload(call)
        if call is None or given is None:
            return None
        seen = self.runtime.keyring.trusted(secret_of(headers))
        caller = self.caller(call, headers, seen.principal) if seen else None
        if caller is None:
            return None
        at = (method, path, given.status_code)
        self.journal.write(at, started_s, caller.request_id, caller.facts)
        return given, caller.request_id

    def answer(self, path: str, query: bytes, lines: Lines) -> tuple[Answer, bytes] | None:
        """Answer a GET from what is at hand; return the answer and its id.

        Nothing where it has to be waited for, or is not plainly in order: then the request takes
        the usual way, as one does that fails here. The caller has seen that there is room.
        """
        call = self.calls.get(("GET", path))
        if call is None or call.at_hand is None:
            return None
        started_s = perf_counter()
        headers = dict(lines)
        seen = self.runtime.keyring.trusted(secret_of(headers))
        principal = seen.principal if seen and len(headers) == len(lines) else None
        if principal is None or not is_for(principal, call.handler.opt):
            return None
        try:
            given = call.at_hand(self.runtime, query)
        except Exception:  # noqa: BLE001 - it fails again on the usual way, which has words for it
            return None
        caller = self.caller(call, headers, principal) if given else None
        if given is None or caller is None:
            return None
        at = ("GET", path, given.status_code)
        self.journal.write(at, started_s, caller.request_id, caller.facts)
        return given, caller.request_id

    async def admit(self, call: Call, headers: Mapping[bytes, bytes]) -> Caller | None:
        """Return who calls; nothing when the framework has something to say about that first."""
        secret = secret_of(headers)
        try:
            principal = await self.runtime.keyring.find(secret) if secret else None
        except AWAY:
            return None
        return self.caller(call, headers, principal)

    def caller(
        self, call: Call, headers: Mapping[bytes, bytes], principal: Principal | None
    ) -> Caller | None:
        """Return a principal as the one who calls; nothing where it may not, or not like this."""
        key = headers.get(b"idempotency-key", b"")
        keyed = call.is_read or 0 < len(key) <= IDEMPOTENCY_KEY_LENGTH_MAX
        if principal is None or not keyed or not may_call(principal, call.handler.opt):
            return None
        facts = {"key_id": principal.key_id, "role": principal.role}
        request_id = self.journal.request_id(headers.get(b"x-request-id", b""))
        return Caller(principal, key.decode("latin-1"), request_id, facts)

    def overload(self, call: Call) -> Answer | None:
        """Return the refusal of a call for which there is no room now."""
        queue = self.runtime.allocator.queue
        if call.yields and queue.busy:
            return come_later(len(queue.waiting), queue.retry_after_s)
        if queue.full:
            return come_later(len(queue.waiting), queue.retry_after_s)
        if call.is_read and self.reads >= self.runtime.settings.reads_max:
            return too_many_reads(self.reads)
        return None

    def has_json(self, headers: Mapping[bytes, bytes]) -> bool:
        """Tell whether a body is announced that is JSON, and no longer than is allowed."""
        length = headers.get(b"content-length", b"")
        return (
            headers.get(b"content-type") in JSON_TYPES
            and length.isdigit()
            and int(length) <= self.runtime.settings.body_bytes_max
        )

    async def given(self, call: Call, caller: Caller, data: object) -> Answer:
        """Return what the call answers, whatever is raised."""
        self.reads += call.is_read
        try:
            return await call.work(self.runtime, caller, data)
        except Exception as error:  # noqa: BLE001 - every failure has an answer, and is logged
            return refusal(refused_for(error, address(call.handler)[1], caller.request_id))
        finally:
            self.reads -= call.is_read


def secret_of(headers: Mapping[bytes, bytes]) -> str:
    """Return the key in the headers of a request; an empty one is nobody's."""
    scheme, _, secret = headers.get(b"authorization", b"").partition(b" ")
    return secret.decode("latin-1").strip() if scheme in BEARER else ""


def address(handler: HTTPRouteHandler) -> tuple[str, str]:
    """Return the method and the path of a handler that has one of each."""
    (method,), (path,) = handler.http_methods, handler.paths
    return method, path


async def send_answer(
    send: Send, given: Answer, request_id: bytes, *headers: tuple[bytes, bytes]
) -> None:
    """Send an answer that the framework had no part in, with `headers` beside its own."""
    lines = [*raw_headers(given), (b"x-request-id", request_id), *headers]
    await send({"type": "http.response.start", "status": given.status_code, "headers": lines})
    await send({"type": "http.response.body", "body": given.body, "more_body": False})


def decoded(call: Call, raw: bytes | None) -> object | None:
    """Return what a request says; nothing when it cannot be read."""
    if raw is None:
        return None
    try:
        data: object = call.decode(raw)
    except UNREADABLE:
        return None
    return data


async def read(receive: Receive) -> tuple[bytes | None, Receive]:
    """Return a body, or None where the caller hung up, and what gives the same once more."""
    parts: list[bytes] = []
    message = await receive()
    while message["type"] == "http.request" and message.get("more_body", False):
        parts.append(message["body"])
        message = await receive()
    raw = None
    if message["type"] == "http.request":
        raw = b"".join([*parts, message["body"]]) if parts else message["body"]
        message = {"type": "http.request", "body": raw, "more_body": False}
    return raw, partial(next_of, [message], receive)


async def next_of(messages: list[ReceiveMessage], receive: Receive) -> ReceiveMessage:
    """Return the next message of a request: those that were received before, then new ones."""
    return messages.pop() if messages else await receive()


@lru_cache(maxsize=1024)
def come_later(waiting: int, retry_after_s: int) -> Answer:
    """Return the refusal of a call that comes while too many orders wait, encoded once."""
    return refusal(too_many(waiting, retry_after_s))


@lru_cache(maxsize=128)
def too_many_reads(reads: int) -> Answer:
    """Return the refusal of a read that comes while too many are under way, encoded once."""
    return refusal(
        Refused("too-many-requests", f"{reads} reads are under way. Ask again after a second.")
    )
