"""Examples of the API document: real calls in an order that works, with the answers they got.

`examples.json` has for each call its role, parameters, body, status and answer, recorded on the
small demonstration network. A call may stand there twice; the document shows the last one.
"""

from pathlib import Path
from typing import Any

import msgspec
from litestar.openapi.spec import (
    Example,
    OpenAPI,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Parameter,
    RequestBody,
)

from services.problems import KINDS, Refused, document

RECORDED = Path(__file__).with_name("examples.json")
METHODS = ("GET", "PUT", "POST", "DELETE")
SAID: dict[str, str] = {
    "malformed-json": "JSON is malformed: expected ',' or '}' (byte 41). Send one JSON object, UTF-8.",
    "idempotency-key-missing": "Send an Idempotency-Key header of 1 to 200 characters, new for each request and the same when you repeat it.",
    "invalid-parameter": "limit: Expected `int` <= 500.",
    "unauthenticated": "Send the header `Authorization: Bearer KEY`.",
    "sign-in-failed": "There is nobody of this name with this password.",
    "forbidden": "A partner key may not make this call; it is for checkout, store.",
    "not-found": "There is no allocation 0199a3b0-0000-7000-8000-00000000000f.",
    "method-not-allowed": "Method Not Allowed.",
    "insufficient-stock": "The network cannot fill this order as asked, and nothing is held. Lower the quantities, allow backorder, or drop ship_complete.",
    "contended": "Other orders took the stock of every plan found, 3 times over; nothing is held. Send the order again with a new Idempotency-Key.",
    "order-already-allocated": "Order web-1001 has allocation 0199a3b0-0000-7000-8000-00000000000f for another body; release or cancel it first.",
    "idempotency-key-reused": "This Idempotency-Key came before with another body. Use a new key for a new request.",
    "endpoint-limit": "There are 20 endpoints already; delete one that is not needed.",
    "partner-event-reused": "Event ship-4711 came before with another body. Give each event an id of its own.",
    "hold-expired": "The hold expired at 2026-03-02 10:15:00+00:00 and its stock is gone: columbus has 0 of the 1 needed. Allocate the order again.",
    "illegal-state": "The allocation is cancelled; it allows cancel.",
    "address-elsewhere": "The order is planned for zone east, and the address lies in zone west. Change the order's destination, which plans it anew, or cancel it and allocate it to the new address.",
    "address-fixed": "Fulfillment order 0199a3b0-0000-7000-8000-00000000000f at columbus is packed, so its parcel has the old name and address. Customer, phone, email and packing slip can still change; what arrives can be returned.",
    "negative-stock": "new-york has 9 of mug-enamel, of which 2 are promised; 8 cannot leave.",
    "over-receipt": "14 of mug-enamel would have come in of 12 expected; 13 are tolerated (10 % more). Count again, or send `accept_over`.",
    "over-return": "Line 1 of order web-1001 can give back 1 of the 2 asked for: 3 went out and 2 came back.",
    "quote-outdated": "The change would now cost 700 instead of 500 and arrive by 2026-03-09 instead of 2026-03-06; nothing has changed. Quote it again.",
    "too-many-units": "Line 1 has 2 left to pick, and 3 were picked; send at most 2.",
    "waiting-for-supply": "Line 1: 0 of server-600 are received and not picked yet; 2 are expected on 2026-03-12 (po-17). Receive them first.",
    "wrong-pickup-code": "That is not the code of this order; 4 more tries. The customer has it in the message that said the goods are ready.",
    "channel-in-pool": "Channel app takes from pool online; take it out of that one first.",
    "quota-used": "Pool online has 10 of mug-enamel at new-york: 3 are in orders, 4 have left, and 3 can be taken from it. Nothing has changed.",
    "slot-full": "Slot brooklyn-evening has no place left on 2026-03-05; choose another one that /v1/promises offers.",
    "slot-impossible": "Slot brooklyn-evening on 2026-03-05 cannot be kept: columbus delivers by courier, leaving or ready by 2026-03-05T21:00:00Z and there by 2026-03-06 at the latest.",
    "version-mismatch": "The fulfillment order is at version 3; read it and decide again.",
    "body-too-large": "Request Entity Too Large.",
    "unsupported-media-type": "Send the body as application/json.",
    "invalid-field": "lines[0].method: Invalid enum value 'teleport'. Send one of: any, pickup, ship.",
    "unknown-field": "lines[0]: Object contains unknown field `note`.",
    "quantity-not-positive": "lines[0].quantity: Expected `int` >= 1.",
    "quantity-not-whole": "lines[0].quantity: Expected `int`, got `float`.",
    "quantity-too-large": "lines[0].quantity: Expected `int` <= 10000.",
    "too-many-lines": "lines: Expected `array` of length <= 200.",
    "duplicate-line": "line_id 1 is used 2 times; number lines uniquely.",
    "unknown-sku": "Line 1: there is no item grinder-foot.",
    "unknown-node": "Line 2: there is no node new-jersey.",
    "unknown-strategy": "There is no strategy random; use cheapest.",
    "invalid-strategy": "Version 2 cannot be followed: Rule 1 names strategy fastst, which has no "
    "active version.",
    "unknown-reference": "There is no supply po-99 of server-600.",
    "duplicate-entry": "Two entries have the key server-600, po-17; send each key once.",
    "unknown-slot": "There is no slot brooklyn-midnight; see /v1/promises for those there are.",
    "slot-unsuitable": "Slot brooklyn-evening delivers to zone east, and the destination lies in zone west.",
    "unknown-destination": "No zone covers CA H2X 1Y4; correct the postal code, or send latitude and longitude.",
    "impossible-coordinates": "destination.latitude: Expected `float` <= 90.0.",
    "date-in-past": "Line 1 is requested by 2001-01-01; today is 2026-03-02.",
    "hold-too-long": "A checkout key may hold for 900 s at most at once.",
    "too-many-requests": "256 orders are waiting. Send the request again with the same key after a second.",
    "internal-error": "This is a defect of the service, not of the request. The log has it under the request id.",
    "unavailable": "The database does not answer. Nothing is lost: send the same request with the same Idempotency-Key again.",
    "deadline-exceeded": "The order waited longer than 5000 ms; nothing is held. Send it again with the same key.",
}
"""What a refusal of each kind may say."""


class Call(msgspec.Struct, kw_only=True):
    """One example call and what it was answered."""

    call: str
    """Method and path, as in the document."""
    role: str | None
    path: dict[str, str]
    query: dict[str, Any]
    body: Any
    status: int = 0
    answer: Any = None


def recorded() -> list[Call]:
    """Return the example calls in their order."""
    return msgspec.json.decode(RECORDED.read_bytes(), type=list[Call])


def show_examples(schema: OpenAPI) -> None:
    """Put the recorded calls into an API document."""
    calls = {each.call: each for each in recorded()}
    for path, item in (schema.paths or {}).items():
        for method in METHODS:
            operation: Operation | None = getattr(item, method.lower())
            if operation is None:
                continue
            drop_ids(operation)
            call = calls.get(f"{method} {path}")
            if call is not None:
                show_call(operation, call)


def drop_ids(operation: Operation) -> None:
    """Take out the ids of examples, which name them here and are not part of OpenAPI."""
    for response in (operation.responses or {}).values():
        for media_type in (getattr(response, "content", None) or {}).values():
            for example in (media_type.examples or {}).values():
                example.id = None


def show_call(operation: Operation, call: Call) -> None:
    """Put one call into the description of its operation."""
    values = {**call.path, **call.query}
    for parameter in operation.parameters or []:
        if isinstance(parameter, Parameter) and parameter.name in values:
            parameter.example = values[parameter.name]
    if isinstance(operation.request_body, RequestBody):
        show(operation.request_body.content, call.body)
    for status, response in (operation.responses or {}).items():
        # A call with two good statuses gives the same answer with both.
        if isinstance(response, OpenAPIResponse) and status.startswith("2"):
            show(response.content or {}, call.answer)


def show(content: dict[str, OpenAPIMediaType], value: object) -> None:
    """Show `value` as the example of every media type of a body."""
    for media_type in content.values():
        media_type.examples = {"demonstration": Example(value=value)}


def refusal_example(kind: str) -> Example:
    """Return a refusal of this kind as it is answered."""
    return Example(id=kind, summary=KINDS[kind].title, value=document(Refused(kind, SAID[kind])))
