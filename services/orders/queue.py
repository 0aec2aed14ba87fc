"""Orders that wait for a lane: who is next, who has waited too long, and when to send new ones.

Time here is monotonic seconds. Nothing here touches the database, so it can be reasoned about, and
tested, as a value.
"""

import asyncio
from collections import deque
from math import ceil
from time import monotonic
from uuid import UUID

import msgspec

from services.keys import Principal
from services.observe import queue_orders
from services.orders.idempotency import Answer, Claim
from services.orders.request import AllocationRequest
from services.planning.network import Zone
from services.problems import Refused
from services.settings import Settings

SWEEP_S = 0.05
"""How late a deadline may be noticed."""
PACE_S = 0.5
"""Time over which the pace of answers is measured."""
RETRY_AFTER_MAX_S = 30
"""Longest time after which a refused caller is asked to come again."""


class Order(msgspec.Struct, kw_only=True, eq=False):
    """An order on its way through the batches of one worker."""

    request: AllocationRequest
    claim: Claim
    principal: Principal
    zone: Zone | None
    allocation_id: UUID
    hold_s: int
    arrived_at: float
    deadline_at: float
    waiters: list[asyncio.Future[Answer]]
    """Everyone who waits for the answer: the first to ask, and whoever repeated the request."""
    attempts: int = 0
    """Races lost so far."""


class Pace:
    """How many orders a second are answered while others wait; an idle worker shows nothing."""

    def __init__(self, now_s: float) -> None:
        """Begin to count at `now_s`, on the monotonic clock."""
        self.since_s = now_s
        self.answered = 0
        self.per_s = 0.0

    def count(self, now_s: float, *, others_wait: bool) -> None:
        """Take note of one answer; where nobody waits behind it, the worker could have done more."""
        if not others_wait:
            self.since_s = now_s
            self.answered = 0
            return
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


class Queue:
    """The orders of one worker that have arrived and are not answered yet, in arrival order."""

    def __init__(self, settings: Settings) -> None:
        """Start empty."""
        self.settings = settings
        self.waiting: deque[Order] = deque()
        self.under_way: dict[bytes, Order] = {}
        """Every order without its answer, waiting or in a batch, by the scope of its key."""
        self.arrival = asyncio.Event()
        self.closing = False
        self.pace = Pace(monotonic())

    @property
    def room(self) -> int:
        """How many orders may wait: as many as are answered within `queue_wait_ms`.

        No fewer than it takes to bring the optimizer's time down to its least, or a worker with
        long baskets would refuse orders that it only has to think less about.
        """
        settings = self.settings
        if self.pace.per_s == 0:
            return settings.queue_orders_max
        in_time = int(self.pace.per_s * settings.queue_wait_ms / 1000)
        least = settings.queue_ms // settings.decision_min_ms
        return min(settings.queue_orders_max, max(least, in_time))

    @property
    def full(self) -> bool:
        """Whether no further order is taken: as many wait as may, or the worker stops."""
        return self.closing or len(self.waiting) >= self.room

    @property
    def busy(self) -> bool:
        """Whether orders need all there is, so that reads should wait: the queue is half full."""
        return self.closing or len(self.waiting) * 2 > self.room

    @property
    def retry_after_s(self) -> int:
        """Seconds until what waits now will be answered, at the pace of late; at least one."""
        return self.pace.seconds_for(len(self.waiting))

    def close(self) -> None:
        """Take no further order."""
        self.closing = True
        self.arrival.set()

    def put(self, order: Order) -> None:
        """Add an order at the end; raises `too-many-requests` when there is no room."""
        if self.full:
            raise too_many(len(self.waiting), self.retry_after_s)
        self.under_way[order.claim.scope] = order
        self.waiting.append(order)
        self.arrival.set()

    def put_back(self, orders: list[Order]) -> None:
        """Put orders that must be decided again at the head, in their order."""
        self.waiting.extendleft(reversed(orders))
        if orders:
            self.arrival.set()

    async def next_batch(self) -> list[Order]:
        """Take what waits, as soon as something does; nothing once the queue is closed and empty."""
        while not self.waiting:
            if self.closing:
                return []
            self.arrival.clear()
            await self.arrival.wait()
        return self.take()

    def take(self) -> list[Order]:
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
        return orders

    def answer(self, order: Order, given: Answer) -> None:
        """Hand an order its answer; those who have gone meanwhile are passed over."""
        self.under_way.pop(order.claim.scope, None)
        self.pace.count(monotonic(), others_wait=bool(self.waiting))
        for waiter in order.waiters:
            if not waiter.done():
                waiter.set_result(given)

    def budget_ms(self, order: Order, now: float) -> int:
        """Milliseconds the optimizer may take for an order.

        The time allowed to an idle service, shared among those who wait once they are too many for
        it, but no less than `decision_min_ms`; never beyond the order's deadline.
        """
        settings = self.settings
        share = settings.decision_ms
        if self.waiting:
            share = min(share, settings.queue_ms // len(self.waiting))
        left_ms = int((order.deadline_at - now) * 1000)
        return max(1, min(left_ms, max(settings.decision_min_ms, share)))

    async def sweep(self) -> None:
        """Tell those whose deadline has passed, and the metrics how many wait, for ever.

        Their orders are settled all the same, and their keys give the answers later.
        """
        while True:
            await asyncio.sleep(SWEEP_S)
            self.give_up(monotonic())
            queue_orders.set(len(self.waiting))

    def give_up(self, now: float) -> None:
        """Answer everyone whose deadline is over; orders stand in the order of their deadlines."""
        for order in self.under_way.values():
            if order.deadline_at > now:
                return
            for waiter in order.waiters:
                if not waiter.done():
                    waiter.set_exception(too_late(self.settings))


def too_many(waiting: int, retry_after_s: int) -> Refused:
    """Return the refusal of a request that comes while `waiting` orders are all that fit."""
    after = "a second" if retry_after_s == 1 else f"{retry_after_s} seconds"
    refused = Refused(
        "too-many-requests",
        f"{waiting} orders are waiting. Send the request again with the same key after {after}.",
    )
    refused.retry_after_s = retry_after_s
    return refused


def too_late(settings: Settings) -> Refused:
    """Return the refusal of an order that is not answered by its deadline."""
    return Refused(
        "deadline-exceeded",
        f"There was no answer within {settings.deadline_ms} ms. Send the order again with the same "
        "key: it gets the answer of this one, or a new try.",
    )
