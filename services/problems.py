"""What the API refuses and why: every problem type, and how errors become `problem+json`.

A handler or use case raises `Refused`; this is the only place that knows its status and form.
"""

import re
from traceback import walk_tb
from typing import Any

import asyncpg
import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import (
    HTTPException,
    InternalServerException,
    SerializationException,
    ValidationException,
)
from litestar.handlers import HTTPRouteHandler

from services.allowed_values import allowed_values
from services.database import DatabaseAwayError, PoolTimeoutError

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
PREFIX = "urn:nom:problem:"
RETRY_AFTER_S = 1
"""When to come back after 429 and 503 unless it is known better: a full queue is worked off, and a
database restarted, in a second or a few."""


class Kind(msgspec.Struct, frozen=True):
    """One problem type: its HTTP status and its title, the same for every occurrence."""

    status: int
    title: str


KINDS: dict[str, Kind] = {
    "malformed-json": Kind(400, "The body is not valid JSON"),
    "idempotency-key-missing": Kind(400, "This call needs an Idempotency-Key header"),
    "invalid-parameter": Kind(400, "A parameter of the address cannot be used"),
    "unauthenticated": Kind(401, "The call carries no valid key"),
    "sign-in-failed": Kind(401, "The name or the password is wrong"),
    "forbidden": Kind(403, "The key's role may not make this call"),
    "not-found": Kind(404, "There is nothing at this address"),
    "method-not-allowed": Kind(405, "This address does not take this method"),
    "insufficient-stock": Kind(409, "The network cannot fill the order as asked"),
    "contended": Kind(409, "Other orders took the stock first"),
    "order-already-allocated": Kind(409, "The order has a live allocation with another body"),
    "idempotency-key-reused": Kind(409, "The key was used for another request"),
    "hold-expired": Kind(409, "The hold has expired and its stock is gone"),
    "illegal-state": Kind(409, "The state does not allow this"),
    "address-elsewhere": Kind(409, "The address lies where the order is not planned to go"),
    "address-fixed": Kind(409, "A parcel with the address has been packed"),
    "endpoint-limit": Kind(409, "The owner has as many endpoints as it may have"),
    "partner-event-reused": Kind(409, "The partner_event_id was used for another event"),
    "negative-stock": Kind(409, "The movement would take more than is there"),
    "over-receipt": Kind(409, "More has come in than was expected and is tolerated"),
    "over-return": Kind(409, "More would come back than went out"),
    "quote-outdated": Kind(409, "What was quoted does not hold any more"),
    "too-many-units": Kind(409, "More units than the work has left"),
    "waiting-for-supply": Kind(409, "The units are expected and have not been received"),
    "wrong-pickup-code": Kind(409, "This is not the customer's pickup code"),
    "channel-in-pool": Kind(409, "The channel takes from another pool"),
    "quota-used": Kind(409, "Orders have more of the pool than it would keep"),
    "slot-full": Kind(409, "The slot has no place left"),
    "slot-impossible": Kind(409, "The order cannot be there in time for the slot"),
    "version-mismatch": Kind(412, "It has changed since the version that If-Match names"),
    "body-too-large": Kind(413, "The body is too large"),
    "unsupported-media-type": Kind(415, "The body must be JSON"),
    "invalid-field": Kind(422, "A field cannot be used"),
    "unknown-field": Kind(422, "The body has a field this call does not know"),
    "quantity-not-positive": Kind(422, "A quantity is below one"),
    "quantity-not-whole": Kind(422, "A quantity is not a whole number"),
    "quantity-too-large": Kind(422, "A quantity is above the limit"),
    "too-many-lines": Kind(422, "The order has too many lines"),
    "duplicate-line": Kind(422, "Two lines have the same line_id"),
    "unknown-sku": Kind(422, "A sku is not an item"),
    "unknown-node": Kind(422, "A node does not exist"),
    "unknown-strategy": Kind(422, "The strategy does not exist"),
    "invalid-strategy": Kind(422, "The strategy or its rules cannot be followed"),
    "unknown-reference": Kind(422, "The body names something that does not exist"),
    "duplicate-entry": Kind(422, "A list has two entries with the same key"),
    "unknown-slot": Kind(422, "The slot does not exist"),
    "slot-unsuitable": Kind(422, "The slot is not for this order or date"),
    "unknown-destination": Kind(422, "The destination lies in no zone"),
    "impossible-coordinates": Kind(422, "Coordinates are outside the globe"),
    "date-in-past": Kind(422, "A date has passed"),
    "hold-too-long": Kind(422, "The hold is longer than this role may ask for"),
    "too-many-requests": Kind(
        429, "More is asked than can be answered in time, or than this key may"
    ),
    "internal-error": Kind(500, "The service failed"),
    "unavailable": Kind(503, "The service cannot answer now"),
    "deadline-exceeded": Kind(503, "The answer was not ready in time"),
}

HUNG_UP = "client disconnected prematurely"
"""How the framework says that a body did not arrive whole."""
STATUS_KINDS = {
    400: "invalid-parameter",
    401: "unauthenticated",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    413: "body-too-large",
    415: "unsupported-media-type",
}

# How msgspec's message about a field becomes a type: the field's path, the message, the type.
FIELD_RULES: tuple[tuple[re.Pattern[str], re.Pattern[str], str], ...] = tuple(
    (re.compile(path), re.compile(message), kind)
    for path, message, kind in (
        (r"", r"unknown field", "unknown-field"),
        (r"(quantity|on_hand)$", r"Expected `int( \| null)?`, got `float`", "quantity-not-whole"),
        (r"(quantity|on_hand)$", r">= ", "quantity-not-positive"),
        (r"(quantity|on_hand|delta)$", r"<= |out of range", "quantity-too-large"),
        (r"(latitude|longitude)$", r"[<>]= ", "impossible-coordinates"),
        (r"lines$", r"length <= ", "too-many-lines"),
    )
)


class Refused(Exception):  # noqa: N818 - an answer, not a failure
    """The call is refused with one of `KINDS`; `detail` tells the caller what to do."""

    def __init__(self, kind: str, detail: str, **extra: object) -> None:
        """Name the problem type and say in a sentence what is wrong and what helps."""
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail
        self.extra = extra
        self.retry_after_s = RETRY_AFTER_S
        self.headers: dict[str, str] = {}

    @property
    def status(self) -> int:
        """The HTTP status of the problem type."""
        return KINDS[self.kind].status


def document(refused: Refused) -> dict[str, object]:
    """Return the RFC 9457 document of a refusal."""
    kind = KINDS[refused.kind]
    return {
        "type": PREFIX + refused.kind,
        "title": kind.title,
        "status": kind.status,
        "detail": refused.detail,
        **refused.extra,
    }


def answer(refused: Refused) -> Response[dict[str, object]]:
    """Return the response of a refusal."""
    return Response(
        document(refused),
        status_code=refused.status,
        media_type=MEDIA_TYPE,
        headers=headers_of(refused.status, refused.retry_after_s) | refused.headers,
    )


def headers_of(status: int, retry_after_s: int = RETRY_AFTER_S) -> dict[str, str]:
    """Return the headers that an answer's status asks for."""
    if status == 401:
        return {"WWW-Authenticate": 'Bearer realm="nom"'}
    if status in (429, 503):
        return {"Retry-After": str(retry_after_s)}
    return {}


def from_validation(error: ValidationException) -> Refused:
    """Return the refusal for the first field that could not be used."""
    extra: Any = error.extra
    first = extra[0] if isinstance(extra, list) and extra else {}
    path, message = str(first.get("key", "")), str(first.get("message", error.detail))
    if error.detail.startswith("Missing required"):
        return Refused("invalid-parameter", f"{error.detail}.")
    if first.get("source") not in ("body", None):
        return Refused("invalid-parameter", f"{path}: {message}.", field=path)
    if path == "data" and message == "'data'":
        return Refused("malformed-json", "The body is empty; send a JSON object.")
    if path == "data":
        # So the framework calls the whole body.
        path = ""
    for at, says, kind in FIELD_RULES:
        if at.search(path) and says.search(message):
            return Refused(kind, f"{path or 'The body'}: {message}.", field=path)
    return Refused("invalid-field", f"{path or 'The body'}: {message}.", field=path)


def from_http(error: HTTPException) -> Refused:
    """Return the refusal for an error of the HTTP framework itself."""
    if isinstance(error, ValidationException):
        return from_validation(error)
    if isinstance(error.__cause__, SerializationException):
        return Refused("malformed-json", f"{error.detail}. Send one JSON object, UTF-8.")
    if isinstance(error, InternalServerException) and error.detail == HUNG_UP:
        # Nobody reads this answer; but the log must not say that the service failed.
        return Refused("malformed-json", "The connection ended before the body did.")
    if error.status_code == 404:
        return Refused("not-found", "No call has this address; all of them are shown at /docs/.")
    if error.status_code == 405:
        allowed = (error.headers or {}).get("allow", "")
        refused = Refused("method-not-allowed", f"This address takes {allowed or 'no method'}.")
        refused.headers = {"Allow": allowed}
        return refused
    kind = STATUS_KINDS.get(error.status_code, "internal-error")
    return Refused(kind, f"{error.detail or KINDS[kind].title}.")


def raised_while_decoding(error: Exception) -> bool:
    """Tell whether an error that the framework lets through is about the bytes of the body."""
    if not isinstance(error, UnicodeDecodeError | RecursionError):
        return False
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    return str(frames[-1].f_globals.get("__name__")).startswith("litestar.serialization")


def from_exception(error: Exception) -> Refused:
    """Return the refusal for anything raised while a call was handled."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, HTTPException):
        return from_http(error)
    if raised_while_decoding(error):
        return Refused(
            "malformed-json", "The body is not UTF-8, or nested too deep; send one JSON object."
        )
    if isinstance(error, DatabaseAwayError | PoolTimeoutError):
        return Refused(
            "unavailable",
            "The database does not answer. Nothing is lost: send the same request with the same "
            "Idempotency-Key again.",
        )
    if isinstance(error, asyncpg.QueryCanceledError | asyncpg.LockNotAvailableError):
        return Refused(
            "unavailable", "The database took too long. Send the same request again shortly."
        )
    return Refused(
        "internal-error",
        "This is a defect of the service, not of the request. The log has it under the request id.",
    )


def refused_for(error: Exception, path: str, request_id: bytes) -> Refused:
    """Return the refusal for anything raised while a call was handled; log the service's faults."""
    refused = from_exception(error)
    if refused.kind == "internal-error":
        log.error("call failed", path=path, request_id=request_id.decode(), exc_info=error)
    return refused


def handle(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, object]]:
    """Answer any exception as `problem+json`."""
    request_id: bytes = request.scope["state"]["request_id"]
    refused = refused_for(error, request.url.path, request_id)
    handler = request.scope.get("route_handler")
    if isinstance(handler, HTTPRouteHandler):
        refused = as_written(with_choices(refused, handler), handler)
    return answer(refused)


def with_choices(refused: Refused, handler: HTTPRouteHandler) -> Refused:
    """Tell which values a field or a parameter takes, where it takes only those in a list."""
    if "Invalid enum value" not in refused.detail:
        return refused
    parameters = handler.parsed_fn_signature.parameters
    field = str(refused.extra.get("field", ""))
    in_body = refused.kind == "invalid-field" and "data" in parameters
    definition = parameters.get("data" if in_body else field)
    found = allowed_values(definition.annotation, field if in_body else "") if definition else ()
    if not found:
        return refused
    detail = f"{refused.detail} Send one of: {', '.join(found)}."
    return Refused(refused.kind, detail, **refused.extra)


def as_written(refused: Refused, handler: HTTPRouteHandler) -> Refused:
    """Name a parameter as the caller has written it, where the function has another name for it."""
    field = refused.extra.get("field")
    if refused.kind != "invalid-parameter":
        return refused
    definition = handler.parsed_fn_signature.parameters.get(str(field))
    name = getattr(definition and definition.kwarg_definition, "name", None)
    if name is None:
        return refused
    detail = refused.detail.removeprefix(f"{field}: ")
    return Refused(refused.kind, f"{name}: {detail}", **{**refused.extra, "field": name})
