"""The address of a question about availability, read in one pass, or once and for all."""

import re
from urllib.parse import unquote_plus

import msgspec

from services.http.availability import AvailabilityRequest, query_of
from services.http.fields import SKUS_MAX
from services.orders.idempotency import Answer
from services.runtime import Runtime

PLAIN_SKUS = re.compile(r"sku=[\w.~-]{1,100}(?:&sku=[\w.~-]{1,100})*(?:&|$)", re.ASCII)
"""Skus at the start of a query that need no further look: no escapes, nothing too long."""
LISTS = {"sku": "skus", "node_id": "node_ids"}
DESTINATION = frozenset({"country", "postal_code", "latitude", "longitude"})


def at_hand(runtime: Runtime, query: bytes) -> Answer | None:
    """Return the answer to what the query of an address asks, when no row has to be read for it.

    What came before is not read again. Raises what `availability_request`, `query_of` and
    `Shelf.at_hand` raise.
    """
    shelf = runtime.shelf
    told = shelf.again(query)
    if told is None:
        request = availability_request(query)
        told = shelf.first(query, query_of(request, runtime.network.current))
    return None if told is None else Answer(200, told)


def availability_request(query: bytes) -> AvailabilityRequest:
    """Return what the query of an address asks, the same as in a body.

    Raises `msgspec.ValidationError` or `UnicodeDecodeError` for one that cannot be used, or that
    says something twice.
    """
    text = query.decode("ascii")
    plain = PLAIN_SKUS.match(text)
    skus = plain[0].removeprefix("sku=").removesuffix("&").split("&sku=") if plain else []
    rest = text[plain.end() :] if plain else text
    if not skus or len(skus) > SKUS_MAX or "sku=" in rest:
        return msgspec.convert(asked(text), AvailabilityRequest, strict=False)
    if not rest:
        return AvailabilityRequest(skus=skus)
    # What is known to be plain is not looked at again; that would take longer than all the rest.
    others = asked(rest) | {"skus": skus[:1]}
    request = msgspec.convert(others, AvailabilityRequest, strict=False)
    return msgspec.structs.replace(request, skus=skus)


def asked(query: str) -> dict[str, object]:
    """Return the parameters of a query by field; raises `ValidationError` where one comes twice."""
    lists: dict[str, list[str]] = {}
    single: dict[str, str] = {}
    destination: dict[str, str] = {}
    for part in query.split("&"):
        name, _, text = part.partition("=")
        if "%" in text or "+" in text:
            text = unquote_plus(text, errors="strict")
        if name in LISTS:
            lists.setdefault(LISTS[name], []).append(text)
            continue
        target = destination if name in DESTINATION else single
        if name in target:
            raise msgspec.ValidationError(f"{name} comes twice")
        target[name] = text
    found: dict[str, object] = {**lists, **single}
    return found | {"destination": destination} if destination else found
