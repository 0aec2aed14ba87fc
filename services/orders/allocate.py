"""The allocator: arrivals queue while a lane is busy, and the next batch takes them all.

There is no timer: an idle worker decides an order as soon as it arrives, and the busier it is the
larger its batches become. Each lane works on one batch at a time.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from math import ceil
from time import monotonic

import asyncpg
import structlog
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from services import records as shared_records
from services.database import Database, DatabaseAwayError
from services.ids import new_id
from services.keys import Principal
from services.observe import (
    allocations_total,
    batch_orders,
    bisections_total,
    lost_races_total,
    queue_orders,
)
from services.orders import batch
from services.orders.answers import QuoteAnswer, quote_answer
from services.orders.batch import Decided, Order
from services.orders.commit import Settled, commit
from services.orders.idempotency import Answer, Claim, refusal, replay
from services.orders.planned import commitments
from services.orders.request import AllocationRequest, QuoteRequest, verify
from services.orders.translate import Reading
from services.planning.network import NetworkCache
from services.problems import Refused, from_exception
from services.settings import Settings

Outcome = tuple[Order, Settled]
"""An order with how it came out of its commit."""

log = structlog.get_logger()

PACE_S = 1.0
"""Time over which the pace of answers is measured."""
RETRY_AFTER_MAX_S = 30
"""Longest time after which a refused caller is asked to come again."""
NOT_THE_ORDERS_FAULT = (
    DatabaseAwayError,
    PoolTimeoutError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
)


class Pace:
    """How many orders a second have been answered of late."""

    def __init__(self, now_s: float) -> None:
        """Begin to count at `now_s`, on the monotonic clock."""
        self.since_s = now_s
        self.answered = 0
        self.per_s = 0.0

    def count(self, now_s: float) -> None:
        """Take note of one answer."""
        self.answered += 1
        past_s = now_s - self.since_s
        if past_s >= PACE_S:
            self.per_s = self.answered / past_s
            self.since_s = now_s
            self.answered = 0

    def seconds_for(self, orders: int) -> int:
        """Return how long so many orders take, in whole seconds from 1 to `RETRY_AFTER_MAX_S`."""
        if self.per_s == 0:
            return 1
        return min(RETRY_AFTER_MAX_S, max(1, ceil(orders / self.per_s)))


class Allocator:
    """Decides and holds orders for one worker process."""

    def __init__(self, database: Database, network: NetworkCache, settings: Settings) -> None:
        """Prepare; orders are taken from `open` on."""
        self.database = database
        self.network = network
        self.settings = settings
        self.waiting: deque[Order] = deque()
        self.arrival = asyncio.Event()
        self.under_way: dict[bytes, Order] = {}
        self.lanes: list[asyncio.Task[None]] = []
        self.threads = ThreadPoolExecutor(settings.solver_threads, thread_name_prefix="solver")
        self.closing = False
        self.pace = Pace(monotonic())

    @property
    def full(self) -> bool:
        """Whether no further order is taken: the queue is at its limit, or the worker stops."""
        return self.closing or len(self.waiting) >= self.settings.queue_orders_max

    @property
    def busy(self) -> bool:
        """Whether orders need all there is, so that reads should wait: the queue is half full."""
        return self.closing or len(self.waiting) * 2 > self.settings.queue_orders_max

    @property
    def retry_after_s(self) -> int:
        """Seconds until what waits now will be answered, at the pace of late; at least one."""
        return self.pace.seconds_for(len(self.waiting))

    async def open(self) -> None:
        """Start the lanes."""
        self.lanes = [asyncio.create_task(self.lane()) for _ in range(self.settings.lanes)]

    async def close(self) -> None:
        """Answer the orders that have arrived, then stop the lanes."""
        self.closing = True
        self.arrival.set()
        await asyncio.gather(*self.lanes)
        self.threads.shutdown()

    async def allocate(
        self, request: AllocationRequest, claim: Claim, *, principal: Principal, hold_s: int
    ) -> Answer:
        """Return the answer to an allocation: its plan held, or why not.

        A repeated request that arrives while the first is under way waits for the same answer.
        Raises what `verify` raises; `too-many-requests` when the queue is full; `unavailable` and
        `deadline-exceeded`, after which nothing is held or the same key tells the truth.
        """
        first = self.under_way.get(claim.scope)
        if first is not None:
            if first.claim.request_hash != claim.request_hash:
                raise Refused("idempotency-key-reused", "Another body is under way with this key.")
            return await self.answer_of(first)
        order = self.enqueue(request, claim, principal=principal, hold_s=hold_s)
        order.answered.add_done_callback(lambda _done: self.under_way.pop(claim.scope, None))
        return await self.answer_of(order)

    async def answer_of(self, order: Order) -> Answer:
        """Wait for an order's answer until its deadline.

        Whether the caller goes or the deadline passes, the order is settled all the same, and its
        key gives the answer later.
        """
        left_s = max(0.0, order.deadline_at - monotonic())
        try:
            return await asyncio.wait_for(asyncio.shield(order.answered), left_s)
        except TimeoutError:
            raise self.too_late() from None

    def too_late(self) -> Refused:
        """Return the refusal of an order that is not answered by its deadline."""
        return Refused(
            "deadline-exceeded",
            f"There was no answer within {self.settings.deadline_ms} ms. Send the order again with "
            "the same key: it gets the answer of this one, or a new try.",
        )

    def enqueue(
        self, request: AllocationRequest, claim: Claim, *, principal: Principal, hold_s: int
    ) -> Order:
        """Check a request and put it into the queue."""
        if self.full:
            raise too_many(len(self.waiting), self.retry_after_s)
        zone = verify(request, self.network.current, datetime.now(UTC))
        arrived_at = monotonic()
        order = Order(
            request=request,
            claim=claim,
            principal=principal,
            zone=zone,
            allocation_id=new_id(),
            hold_s=hold_s,
            arrived_at=arrived_at,
            deadline_at=arrived_at + self.settings.deadline_ms / 1000,
            answered=asyncio.get_running_loop().create_future(),
        )
        self.under_way[claim.scope] = order
        self.waiting.append(order)
        queue_orders.set(len(self.waiting))
        self.arrival.set()
        return order

    async def quote(self, request: QuoteRequest) -> QuoteAnswer:
        """Return the plan an allocation would get now; nothing is held or stored."""
        network = self.network.current
        zone = verify(request, network, datetime.now(UTC))
        async with self.database.transaction(readonly=True) as connection:
            reading = await batch.read(connection, [request], network)
        decision, elapsed_us = await asyncio.get_running_loop().run_in_executor(
            self.threads, batch.decide_one, request, zone, reading, self.settings.decision_ms
        )
        return quote_answer(decision.plan, elapsed_us, self.settings.currency)

    async def lane(self) -> None:
        """Work on one batch after another until the allocator closes and the queue is empty."""
        while True:
            while not self.waiting:
                if self.closing:
                    return
                self.arrival.clear()
                await self.arrival.wait()
            orders = self.next_batch()
            try:
                await self.work(orders)
            except Exception as error:
                log.error("batch failed", orders=len(orders), exc_info=error)
                self.refuse(orders, error)

    def next_batch(self) -> list[Order]:
        """Take what waits, up to the limits of orders and lines, in arrival order.

        A second request for the same order waits for a later batch, where it sees the first's
        allocation.
        """
        orders: list[Order] = []
        later: list[Order] = []
        seen: set[str] = set()
        lines = 0
        while self.waiting and len(orders) < self.settings.batch_orders_max:
            lines += len(self.waiting[0].request.lines)
            if orders and lines > self.settings.batch_lines_max:
                break
            order = self.waiting.popleft()
            if order.request.order_id in seen:
                later.append(order)
            else:
                seen.add(order.request.order_id)
                orders.append(order)
        self.waiting.extendleft(reversed(later))
        queue_orders.set(len(self.waiting))
        return orders

    async def work(self, orders: Sequence[Order]) -> None:
        """Read, decide and commit one batch; put the orders that lost a race back at the head."""
        batch_orders.observe(len(orders))
        network = self.network.current
        async with self.database.connect() as connection:
            scopes = [order.claim.scope for order in orders]
            before = await shared_records.find_answers(connection, scopes)
            orders = [order for order in orders if not self.answer_known(order, before)]
            if not orders:
                return
            reading = await batch.read(connection, [order.request for order in orders], network)
        decided = await asyncio.get_running_loop().run_in_executor(
            self.threads, batch.decide_all, orders, reading, self.settings
        )
        settled = await self.commit(decided, reading)
        again = []
        for order, how in settled:
            if how.answer is None:
                order.attempts += 1
                again.append(order)
                lost_races_total.inc()
            else:
                self.finish(order, how.answer, how.outcome)
        self.waiting.extendleft(reversed(again))

    def answer_known(self, order: Order, before: dict[bytes, shared_records.StoredAnswer]) -> bool:
        """Answer an order whose key has an answer, or whose time is over; true when that is so."""
        if order.claim.scope in before:
            self.finish(order, retold(before[order.claim.scope], order.claim), "known")
            return True
        if monotonic() >= order.deadline_at:
            self.finish(order, refusal(self.too_late()), "refused")
            return True
        return False

    async def commit(self, decided: Sequence[Decided], reading: Reading) -> list[Outcome]:
        """Commit a batch; when one order's statement fails, find it by halves and commit the rest.

        When the connection dies at the commit, what became of it is looked up by key.
        """
        try:
            done = await commit(
                self.database, commitments(decided, reading, self.settings), self.settings
            )
            return list(zip((each.order for each in decided), done.settled, strict=True))
        except DatabaseAwayError as error:
            return await self.look_up(decided, error)
        except NOT_THE_ORDERS_FAULT as error:
            return [unsettled(each.order, error) for each in decided]
        except Exception as error:
            if len(decided) == 1:
                log.exception("order failed", order_id=decided[0].order.request.order_id)
                return [unsettled(decided[0].order, error)]
            bisections_total.inc()
            half = len(decided) // 2
            return [
                *await self.commit(decided[:half], reading),
                *await self.commit(decided[half:], reading),
            ]

    async def look_up(self, decided: Sequence[Decided], error: Exception) -> list[Outcome]:
        """Return the stored answers of orders whose commit may or may not have happened.

        Taking the keys' locks first waits for a server process that is still committing.
        """
        scopes = [each.order.claim.scope for each in decided]
        stored: dict[bytes, shared_records.StoredAnswer] = {}
        with suppress(*NOT_THE_ORDERS_FAULT):
            async with self.database.transaction() as connection:
                await shared_records.lock_names(connection, scopes)
                stored = await shared_records.find_answers(connection, scopes)
        return [
            (
                each.order,
                Settled("known", retold(stored[each.order.claim.scope], each.order.claim)),
            )
            if each.order.claim.scope in stored
            else unsettled(each.order, error)
            for each in decided
        ]

    def finish(self, order: Order, given: Answer, outcome: str) -> None:
        """Hand an order its answer."""
        allocations_total.labels(outcome).inc()
        self.pace.count(monotonic())
        if not order.answered.done():
            order.answered.set_result(given)

    def refuse(self, orders: Sequence[Order], error: Exception) -> None:
        """Answer every order of a batch that could not be worked on."""
        for order in orders:
            self.finish(order, refusal(from_exception(error)), "refused")


def too_many(waiting: int, retry_after_s: int) -> Refused:
    """Return the refusal of a request that comes while `waiting` orders are all that fit."""
    after = "a second" if retry_after_s == 1 else f"{retry_after_s} seconds"
    refused = Refused(
        "too-many-requests",
        f"{waiting} orders are waiting. Send the request again with the same key after {after}.",
    )
    refused.retry_after_s = retry_after_s
    return refused


def retold(before: shared_records.StoredAnswer, claimed: Claim) -> Answer:
    """Return the answer a key had before, or the refusal when that was for another body."""
    try:
        return replay(before, claimed)
    except Refused as refused:
        return refusal(refused)


def unsettled(order: Order, error: Exception) -> Outcome:
    """Return how an order stands whose transaction failed."""
    return order, Settled("refused", refusal(from_exception(error)))
