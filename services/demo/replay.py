"""Orders sent to a running service, as checkouts would: allocate, then confirm or release.

Orders are taken up in time order by a number of callers at once. With one caller the same seed
gives the same answers; with more, orders overtake each other on the way, as they do in life.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from time import perf_counter
from typing import Literal

import msgspec

from services.demo.client import Connection, Response
from services.demo.orders import DemoOrder
from services.orders.answers import AllocationAnswer

ATTEMPTS_MAX = 12
"""Times one request is sent before the replay gives up."""
PAUSE_S = 0.05
"""Before the second attempt; doubled for each further one."""
PAUSE_MAX_S = 2.0
BUSY = frozenset({429, 503})
"""Answers after which nothing is held and the same request may be sent again."""

Ended = Literal["confirmed", "released"]
Watch = Callable[[int], None]
"""Is told how many orders are done."""


class ReplayError(RuntimeError):
    """The service did not answer as it should; the message says to what and how."""


class Call(msgspec.Struct, frozen=True):
    """One request until its final answer."""

    status_code: int
    body: bytes
    latency_ms: float
    """From the first attempt to the final answer, pauses included."""
    attempts: int


class Replayed(msgspec.Struct, kw_only=True):
    """What became of one order."""

    order: DemoOrder
    sent_at: datetime
    latency_ms: float
    attempts: int
    answer: AllocationAnswer | None = None
    """The plan held; none when it was refused."""
    refused: str | None = None
    """The problem's type when it was refused."""
    ended: Ended | None = None
    end_latency_ms: float | None = None


class Event(msgspec.Struct, frozen=True):
    """Something the replay did or learned, in the order in which it happened."""

    kind: Literal["sent", "held", "released"]
    number: int
    """Of the order."""


class Replay(msgspec.Struct, frozen=True):
    """All orders by number, and the events that tell what each could know."""

    orders: list[Replayed]
    events: list[Event]
    elapsed_s: float


class Caller:
    """What the callers of one replay share."""

    def __init__(self, orders: Iterator[DemoOrder], watch: Watch) -> None:
        """Send `orders` in turn."""
        self.orders = orders
        self.watch = watch
        self.done: list[Replayed] = []
        self.events: list[Event] = []

    async def work(self, connection: Connection) -> None:
        """Send one order after another until there are none."""
        for order in self.orders:
            await self.send(connection, order)
            self.watch(len(self.done))

    async def send(self, connection: Connection, order: DemoOrder) -> None:
        """Allocate one order, then confirm or release it."""
        self.events.append(Event("sent", order.number))
        sent_at = datetime.now(UTC)
        body = msgspec.json.encode(order.request)
        call = await insist(connection, "/v1/allocations", body, order.request.order_id)
        replayed = Replayed(
            order=order,
            sent_at=sent_at,
            latency_ms=call.latency_ms,
            attempts=call.attempts,
        )
        self.done.append(replayed)
        if call.status_code == 409:
            replayed.refused = problem_type(call)
            return
        if call.status_code != 201:
            raise unexpected("/v1/allocations", order, call)
        replayed.answer = msgspec.json.decode(call.body, type=AllocationAnswer)
        self.events.append(Event("held", order.number))
        await self.end(connection, replayed, replayed.answer)

    async def end(
        self, connection: Connection, replayed: Replayed, answer: AllocationAnswer
    ) -> None:
        """Confirm or release an allocation, as the order's draw says."""
        step = "confirm" if replayed.order.confirmed else "release"
        path = f"/v1/allocations/{answer.allocation_id}/{step}"
        call = await insist(connection, path, b"", replayed.order.request.order_id)
        if call.status_code != 200:
            raise unexpected(path, replayed.order, call)
        replayed.end_latency_ms = call.latency_ms
        replayed.ended = "confirmed" if replayed.order.confirmed else "released"
        if replayed.ended == "released":
            self.events.append(Event("released", replayed.order.number))


async def replay(
    address: tuple[str, int],
    key: str,
    orders: Iterable[DemoOrder],
    *,
    concurrency: int,
    watch: Watch,
) -> Replay:
    """Send every order to the service at `address` (host, port) and return what became of each.

    The order's id is the idempotency key of its calls, as each call makes a scope of its own.
    Raises `ReplayError` at the first answer that is neither a plan nor a refusal of the order.
    """
    caller = Caller(iter(orders), watch)
    started = perf_counter()
    connections = [Connection(*address, key) for _ in range(concurrency)]
    try:
        async with asyncio.TaskGroup() as group:
            for connection in connections:
                group.create_task(caller.work(connection))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    finally:
        for connection in connections:
            connection.close()
    return Replay(
        sorted(caller.done, key=lambda each: each.order.number),
        caller.events,
        perf_counter() - started,
    )


async def insist(connection: Connection, path: str, body: bytes, key: str) -> Call:
    """Send a request until it has a final answer, always with the same idempotency key.

    Raises `ReplayError` when there is none after `ATTEMPTS_MAX` attempts.
    """
    started = perf_counter()
    last = ""
    for attempt in range(ATTEMPTS_MAX):
        try:
            response = await connection.post(path, body, key)
        except (OSError, EOFError, TimeoutError) as error:
            last = repr(error)
        else:
            if response.status_code not in BUSY:
                elapsed_ms = (perf_counter() - started) * 1000
                return Call(response.status_code, response.body, elapsed_ms, attempt + 1)
            last = f"{response.status_code} {response.body.decode(errors='replace')}"
        await asyncio.sleep(pause_s(attempt))
    raise ReplayError(f"{path} had no final answer in {ATTEMPTS_MAX} attempts; the last: {last}")


def pause_s(attempt: int) -> float:
    """Return how long to wait after attempt number `attempt`, from 0."""
    return float(min(PAUSE_S * 2**attempt, PAUSE_MAX_S))


def problem_type(call: Call) -> str:
    """Return the type of a problem answer, such as `insufficient-stock`."""
    problem = msgspec.json.decode(call.body, type=dict[str, object])
    return str(problem.get("type", "unknown")).rsplit("/", 1)[-1].rsplit(":", 1)[-1]


def unexpected(path: str, order: DemoOrder, call: Call | Response) -> ReplayError:
    """Return the error for an answer the replay cannot go on from."""
    said = call.body.decode(errors="replace")
    return ReplayError(
        f"POST {path} for {order.request.order_id} was answered {call.status_code}: {said}"
    )
