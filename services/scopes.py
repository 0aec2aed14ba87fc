"""Scopes: what a key can be limited to, one noun for each address and `read` or `write` of it."""

import re

NOUNS: dict[str, str] = {
    "/metrics": "metrics",
    "/v1/allocations": "allocations",
    "/v1/availability": "availability",
    "/v1/buffers": "items",
    "/v1/calendars": "network",
    "/v1/counts": "counts",
    "/v1/customers": "timelines",
    "/v1/events": "events",
    "/v1/exceptions": "exceptions",
    "/v1/fulfillment-orders": "work",
    "/v1/items": "items",
    "/v1/kpis": "kpis",
    "/v1/lanes": "network",
    "/v1/nodes": "network",
    "/v1/nodes/{node_id}/counts": "counts",
    "/v1/nodes/{node_id}/damaged": "stock",
    "/v1/nodes/{node_id}/found": "stock",
    "/v1/nodes/{node_id}/transfers": "transfers",
    "/v1/nodes/{node_id}/work": "work",
    "/v1/orders": "orders",
    "/v1/orders/{order_id}/contact": "contacts",
    "/v1/orders/{order_id}/holds": "holds",
    "/v1/orders/{order_id}/timeline": "timelines",
    "/v1/partner-events": "work",
    "/v1/partner/work": "work",
    "/v1/pools": "items",
    "/v1/prices": "strategies",
    "/v1/promises": "availability",
    "/v1/quotes": "availability",
    "/v1/rejection-reasons": "reasons",
    "/v1/reservations": "reservations",
    "/v1/returns": "returns",
    "/v1/sessions": "sessions",
    "/v1/slots": "network",
    "/v1/stock": "stock",
    "/v1/strategies": "strategies",
    "/v1/strategy-rules": "strategies",
    "/v1/supply": "supply",
    "/v1/tariffs": "network",
    "/v1/transfers": "transfers",
    "/v1/webhook-endpoints": "webhooks",
    "/v1/zones": "network",
}
"""What each address and those below it are about; the longest that fits decides."""
ASKED_BY_POST = frozenset({"/v1/quotes", "/v1/promises", "/v1/availability"})
"""Addresses whose POST changes nothing: the question is too long for an address."""
PARAMETER_KIND = re.compile(r":[a-z]+}")
SCOPES = frozenset(f"{noun}:{way}" for noun in NOUNS.values() for way in ("read", "write"))


def scope_of(method: str, path: str) -> str | None:
    """Return the scope of a call, given its address as handlers have it; None for one unknown.

    Who adds an address adds its noun: until then no key that is limited to scopes may call it.
    """
    plain = PARAMETER_KIND.sub("}", path)
    at = plain
    while at and at not in NOUNS:
        at = at.rpartition("/")[0]
    if not at:
        return None
    reads = method == "GET" or plain in ASKED_BY_POST
    return f"{NOUNS[at]}:{'read' if reads else 'write'}"
