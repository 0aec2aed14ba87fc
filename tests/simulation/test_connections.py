"""What a worker's connections carry, how many there may be, and what they may make it hold."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest

from tests.services.caller import basket, problem_type
from tests.services.test_failures import PATIENCE_MS, stock_locked
from tests.simulation.served import Served, database_of, furnished
from tests.simulation.test_attacks import raw

CONNECTIONS = 30
QUEUE = 1
ORDERS = 10
REFUSED = 200
REFUSED_AT_ONCE = 20
LARGE = "x" * 900_000
GROWTH_BYTES_MAX = 40_000_000
"""A fifth of what the refused bodies would take."""
HEAD = "HEAD /docs/assets/stylesheets/swagger-ui.css HTTP/1.1\r\nHost: nom\r\n"
LIVE = "GET /health/live HTTP/1.1\r\nHost: nom\r\n"
LAST = "Connection: close\r\n\r\n"


@pytest.fixture(scope="module")
async def narrow() -> AsyncIterator[Served]:
    """Yield a service that takes few connections and hardly any orders."""
    async with furnished(
        NOM_CONNECTIONS_MAX=str(CONNECTIONS),
        NOM_QUEUE_ORDERS_MAX=str(QUEUE),
        NOM_DEADLINE_MS=PATIENCE_MS,
        NOM_LOCK_TIMEOUT_MS=PATIENCE_MS,
        NOM_STATEMENT_TIMEOUT_MS=PATIENCE_MS,
    ) as service:
        yield service


async def test_an_answer_without_a_body_is_sent(service: Served) -> None:
    """A head is kept until its body comes; here none ever does."""
    answer = await raw(service, (HEAD + LAST).encode())
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\n")


async def test_requests_sent_ahead_are_answered_in_their_order(service: Served) -> None:
    """A caller need not wait for an answer before it asks the next question."""
    answer = await raw(service, f"{LIVE}\r\n{HEAD}\r\n{LIVE}{LAST}".encode())
    heads = [part for part in answer.split(b"HTTP/1.1 200 OK\r\n") if part]
    assert [b"swagger-ui.css" in head for head in heads] == [False, True, False]


async def test_who_asks_before_sending_a_body_is_told_to_go_on(service: Served) -> None:
    """Clients do so with large bodies, and wait for the answer."""
    body = b'{"lines": []}'
    request = (
        "POST /v1/quotes HTTP/1.1\r\nHost: nom\r\nExpect: 100-continue\r\n"
        f"Authorization: Bearer {service.secrets['checkout']}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{LAST}"
    )
    host, _, port = service.address.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        async with asyncio.timeout(int(PATIENCE_MS) / 1000):
            writer.write(request.encode())
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(body)
            assert (await reader.read()).startswith(b"HTTP/1.1 422 ")
    finally:
        writer.close()


async def test_one_connection_too_many_is_told_so_but_for_health(narrow: Served) -> None:
    """Each costs memory before anybody has shown a key; the watchman must still get through."""
    host, _, port = narrow.address.removeprefix("http://").partition(":")
    async with AsyncExitStack() as stack:
        for _ in range(CONNECTIONS):
            reader, writer = await asyncio.open_connection(host, int(port))
            stack.callback(writer.close)
            writer.write(f"{LIVE}\r\n".encode())
            await reader.readuntil(b"\r\n\r\n")
        async with httpx.AsyncClient(base_url=narrow.address) as client:
            answer = await client.get("/v1/items/MUG", headers=narrow.headers("checkout", "-"))
            assert (answer.status_code, problem_type(answer)) == (503, "unavailable")
            assert answer.headers["retry-after"] == "1"
            assert answer.headers["connection"] == "close"
            assert (await client.get("/health/ready")).status_code == 200
            metrics = await client.get("/metrics", headers=narrow.headers("operator", "-"))
            assert metrics.status_code == 200
    # The service notices the farewells in its own time.
    async with asyncio.timeout(int(PATIENCE_MS) / 1000):
        while (await item(narrow)).status_code != 200:
            await asyncio.sleep(0.05)


async def item(service: Served) -> httpx.Response:
    """Ask for an item on a connection of its own."""
    async with httpx.AsyncClient(base_url=service.address) as client:
        return await client.get("/v1/items/MUG", headers=service.headers("checkout", "-"))


async def test_what_is_refused_for_overload_is_not_held_in_memory(narrow: Served) -> None:
    """Overload with large bodies must not become overload of memory."""
    limits = httpx.Limits(max_connections=REFUSED_AT_ONCE)
    async with (
        database_of(narrow) as database,
        httpx.AsyncClient(
            base_url=narrow.address, limits=limits, timeout=int(PATIENCE_MS) / 1000
        ) as client,
    ):
        async with stock_locked(database, "MUG"):
            waiting = await fill(narrow, client)
            await refuse(narrow, client, REFUSED_AT_ONCE)
            (worker,) = narrow.http_workers()
            before = worker.memory_info().rss
            await refuse(narrow, client, REFUSED)
            grown = worker.memory_info().rss - before
        assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {201}
        assert grown < GROWTH_BYTES_MAX, f"{grown} bytes"
        answer = await order(narrow, client, "after")
        assert answer.status_code == 201


async def fill(service: Served, client: httpx.AsyncClient) -> list[asyncio.Task[httpx.Response]]:
    """Send orders that wait, until one is refused; return those that wait."""
    waiting: list[asyncio.Task[httpx.Response]] = []
    for number in range(ORDERS):
        task = asyncio.create_task(order(service, client, f"fill-{number}"))
        done, _ = await asyncio.wait([task], timeout=1)
        if done:
            assert task.result().status_code == 429
            return waiting
        waiting.append(task)
    raise AssertionError(f"none of {ORDERS} orders was refused")


async def order(
    service: Served, client: httpx.AsyncClient, order_id: str, **changes: object
) -> httpx.Response:
    """Send an order for a mug, under its own id as key."""
    return await client.post(
        "/v1/allocations",
        json=basket(order_id, ("MUG", 1), **changes),
        headers=service.headers("checkout", order_id),
    )


async def refuse(service: Served, client: httpx.AsyncClient, number: int) -> None:
    """Send so many large orders, each of which must be refused."""
    answers = await asyncio.gather(
        *(order(service, client, f"large-{each}", note=LARGE) for each in range(number))
    )
    for answer in answers:
        assert (answer.status_code, problem_type(answer)) == (429, "too-many-requests")
