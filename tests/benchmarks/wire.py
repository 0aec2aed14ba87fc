"""Requests as bytes, made before a run: the generator only fills in a fresh token."""

from collections.abc import Iterable, Sequence

import msgspec

from tests.benchmarks.generator import MARK
from tests.benchmarks.shop import COUNTRY, Basket

TOKEN = MARK.decode()


JSON = "application/json"


def post(path: str, key: str, body: object, content_type: str = JSON) -> bytes:
    """Return a POST with an idempotency key of its own."""
    encoded = msgspec.json.encode(body)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
        f"Idempotency-Key: {TOKEN}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(encoded)}\r\n\r\n"
    )
    return head.encode() + encoded


def get(path: str, key: str) -> bytes:
    """Return a GET."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\r\n"
    ).encode()


def allocation(basket: Basket) -> dict[str, object]:
    """Return the body of an allocation; its order id is the token."""
    return {"order_id": TOKEN, **quote(basket)}


def quote(basket: Basket) -> dict[str, object]:
    """Return the body of a quote."""
    return {
        "channel": "web",
        "destination": {"country": COUNTRY, "postal_code": f"{basket.zone}0001"},
        "lines": [
            {"line_id": str(number), "sku": sku, "quantity": quantity}
            for number, (sku, quantity) in enumerate(basket.lines, start=1)
        ],
    }


def allocations(baskets: Iterable[Basket], key: str, content_type: str = JSON) -> list[bytes]:
    """Return a request for each basket."""
    return [post("/v1/allocations", key, allocation(each), content_type) for each in baskets]


def quotes(baskets: Iterable[Basket], key: str) -> list[bytes]:
    """Return a quote for each basket."""
    return [post("/v1/quotes", key, quote(basket)) for basket in baskets]


def availability(
    skus: Sequence[str], key: str, *, matrix: bool = False, channel: str | None = None
) -> bytes:
    """Return a read of these skus at all nodes, with every cell or for a channel."""
    parts = [f"sku={sku}" for sku in skus]
    parts += ["matrix=true"] if matrix else []
    parts += [f"channel={channel}"] if channel else []
    return get(f"/v1/availability?{'&'.join(parts)}", key)


def unheard(skus: Sequence[str], key: str) -> bytes:
    """Return a read of which nothing can have been answered before: its channel is the token."""
    return availability(skus, key, channel=TOKEN)
