"""A caller of the API with a key of each role."""

import itertools
from collections.abc import Mapping
from typing import Any

import httpx

from services.runtime import Runtime

numbers = itertools.count(1)


class Caller:
    """Sends requests the way a checkout, a store or a planner would."""

    def __init__(
        self, client: httpx.AsyncClient, keys: Mapping[str, str], runtime: Runtime
    ) -> None:
        """Keep one key per role."""
        self.client = client
        self.runtime = runtime
        self.keys = dict(keys)

    async def catch_up(self) -> None:
        """Let the application see what others have changed now instead of at its next poll."""
        await self.runtime.network.refresh()
        await self.runtime.stock.poll()
        await self.runtime.prices.refresh()

    def headers(self, role: str, key: str | None = None) -> dict[str, str]:
        """Return the headers of a call, with a new idempotency key unless one is given."""
        return {
            "Authorization": f"Bearer {self.keys[role]}",
            "Idempotency-Key": key or f"test-{next(numbers)}",
        }

    async def post(
        self, path: str, body: object = None, *, role: str = "checkout", key: str | None = None
    ) -> httpx.Response:
        """Send a POST."""
        return await self.client.post(path, headers=self.headers(role, key), json=body)

    async def put(self, path: str, body: object, *, role: str = "planner") -> httpx.Response:
        """Send a PUT."""
        return await self.client.put(path, headers=self.headers(role), json=body)

    async def get(self, path: str, *, role: str = "checkout", params: Any = None) -> httpx.Response:
        """Send a GET."""
        return await self.client.get(path, headers=self.headers(role), params=params)


def basket(order_id: str, *lines: tuple[str, int], **changes: object) -> dict[str, Any]:
    """Return an order to New York of (sku, quantity) lines, with changes to its top level."""
    return {
        "order_id": order_id,
        "destination": {"country": "US", "postal_code": "10001"},
        "lines": [
            {"line_id": str(number), "sku": sku, "quantity": quantity}
            for number, (sku, quantity) in enumerate(lines, 1)
        ],
    } | changes


def problem_type(response: httpx.Response) -> str:
    """Return the last part of a problem's type."""
    kind: str = response.json()["type"]
    return kind.rpartition(":")[2]
