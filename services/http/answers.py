"""How answers are described in the OpenAPI document, and how stored ones are sent."""

from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, cast

import msgspec
from litestar import Response
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIType, Operation, Parameter, Schema
from msgspec import Meta

from services.http.access import IDEMPOTENCY_KEY, IDEMPOTENCY_KEY_LENGTH_MAX
from services.http.examples import refusal_example
from services.orders.idempotency import Answer
from services.problems import KINDS, MEDIA_TYPE, headers_of

T = TypeVar("T")

JSON = "application/json"
JSON_HEADER = (b"content-type", JSON.encode())
PROBLEM_HEADER = (b"content-type", MEDIA_TYPE.encode())
REPLAYED = "Idempotency-Replayed"
"""Header of an answer that was given before under the same key."""

ALWAYS = ("invalid-parameter", "unauthenticated", "forbidden", "unavailable", "internal-error")
"""What any call may answer."""
BODY = (
    "malformed-json",
    "body-too-large",
    "unsupported-media-type",
    "invalid-field",
    "unknown-field",
)
"""What any call with a body may answer."""
WRITE = (*BODY, "idempotency-key-missing", "idempotency-key-reused")
"""What any call with a body and an Idempotency-Key may answer."""


@dataclass
class Write(Operation):
    """How a call is described whose guard wants an `Idempotency-Key`."""

    def __post_init__(self) -> None:
        """Add the header."""
        header = Parameter(
            name=IDEMPOTENCY_KEY,
            param_in="header",
            required=True,
            description="A UUID, say: new for each request, the same when it is repeated.",
            schema=Schema(
                type=OpenAPIType.STRING, min_length=1, max_length=IDEMPOTENCY_KEY_LENGTH_MAX
            ),
        )
        self.parameters = [*(self.parameters or []), header]


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What was refused and why (RFC 9457)."""

    type: Annotated[str, Meta(examples=["urn:nom:problem:invalid-field"])]
    title: str
    status: int
    detail: Annotated[str, Meta(description="What is wrong with this request and what helps.")]
    field: Annotated[str, Meta(description="The field at fault.")] | msgspec.UnsetType = (
        msgspec.UNSET
    )


class Written(msgspec.Struct, frozen=True):
    """How many entries were written."""

    count: int


def raises(*kinds: str) -> dict[int, ResponseSpec]:
    """Return the documented answers of problem types and of `ALWAYS`, by status."""
    by_status: dict[int, dict[str, str]] = {}
    for kind in (*kinds, *ALWAYS):
        by_status.setdefault(KINDS[kind].status, {})[kind] = KINDS[kind].title
    return {
        status: ResponseSpec(
            data_container=Problem,
            generate_examples=False,
            examples=[refusal_example(kind) for kind in named],
            media_type=MEDIA_TYPE,
            description="; ".join(f"`{kind}`: {title}" for kind, title in named.items()) + ".",
        )
        for status, named in sorted(by_status.items())
    }


def extra_headers(given: Answer) -> dict[str, str]:
    """Return the headers of an answer beyond its type and length."""
    replayed = {REPLAYED: "true"} if given.replayed else {}
    return headers_of(given.status_code, given.retry_after_s) | replayed


def raw_headers(given: Answer) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer as they go out."""
    length = (b"content-length", b"%d" % len(given.body))
    if given.status_code < 400 and not given.replayed:
        return [JSON_HEADER, length]
    kind = PROBLEM_HEADER if given.status_code >= 400 else JSON_HEADER
    extra = extra_headers(given).items()
    return [kind, length, *((name.lower().encode(), text.encode()) for name, text in extra)]


def respond(given: Answer, _kind: type[T]) -> Response[T]:
    """Return the response of an answer that may have been stored; its body is a `T` in JSON."""
    refused = given.status_code >= 400
    response: Response[Any] = Response(
        given.body,
        status_code=given.status_code,
        media_type=MEDIA_TYPE if refused else JSON,
        headers=extra_headers(given),
    )
    return cast("Response[T]", response)
