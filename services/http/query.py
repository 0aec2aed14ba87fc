"""The address of a question about availability, read in one pass."""

from urllib.parse import unquote_plus

import msgspec

from services.http.availability import AvailabilityRequest

LISTS = {"sku": "skus", "node_id": "node_ids"}
DESTINATION = frozenset({"country", "postal_code", "latitude", "longitude"})


def availability_request(query: bytes) -> AvailabilityRequest:
    """Return what the query of an address asks, the same as in a body.

    Raises `msgspec.ValidationError` or `UnicodeDecodeError` for one that cannot be used, or that
    says something twice.
    """
    lists: dict[str, list[str]] = {}
    single: dict[str, str] = {}
    destination: dict[str, str] = {}
    for part in query.decode("ascii").split("&"):
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
    asked: dict[str, object] = {**lists, **single}
    if destination:
        asked["destination"] = destination
    return msgspec.convert(asked, AvailabilityRequest, strict=False)
