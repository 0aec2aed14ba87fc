"""The address of a question about availability, read in one pass."""

import re
from urllib.parse import unquote_plus

import msgspec

from services.http.availability import AvailabilityRequest
from services.http.fields import SKUS_MAX

PLAIN_SKUS = re.compile(r"sku=[\w.~-]{1,100}(?:&sku=[\w.~-]{1,100})*(?:&|$)", re.ASCII)
"""Skus at the start of a query that need no further look: no escapes, nothing too long."""
LISTS = {"sku": "skus", "node_id": "node_ids"}
DESTINATION = frozenset({"country", "postal_code", "latitude", "longitude"})


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
