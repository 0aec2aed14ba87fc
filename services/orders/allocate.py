"""The allocator: arrivals queue while a lane is busy, and the next batch takes them all.

There is no timer: an idle worker decides an order as soon as it arrives, and the busier it is the
larger its batches become. Each lane works on one batch at a time: it decides every order from
memory, each on what the ones before it leave, commits them in one transaction, and tells the stock
view what became of them. Lanes decide one after the other: two that share a processor would both be
done late, and then wait for the database together while the processor has nothing to do.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from time import monotonic

import asyncpg
import structlog

from services import records as shared_records
from services.database import Database, DatabaseAwayError, PoolTimeoutError
from services.ids import new_id
from services.keys import Principal
from services.observe import batch_orders, bisections_total, lost_races_total, outcomes, tally
from services.orders import records
from services.orders.answers import QuoteAnswer, quote_answer
from services.orders.choices import PromisesAnswer, choices
from services.orders.commit import Settled, commit
from services.orders.decide import Decider, Decision, at_once, short_skus
from services.orders.idempotency import Answer, Claim, refusal, replay
from services.orders.planned import Decided, decided, refused
from services.orders.queue import Order, Queue, too_late
from services.orders.request import AllocationRequest, QuoteRequest, verify
from services.orders.slots import have_places, verify_kept, verify_slots
from services.planning.network import Network, NetworkCache, Zone
from services.planning.stock_view import StockFollower
from services.prices.follower import PriceFollower
from services.problems import Refused, from_exception
from services.settings import Settings

log = structlog.get_logger()

BREATH_S = 0.002
"""How long a lane decides before it lets the event loop take care of callers."""

NOT_THE_ORDERS_FAULT = (
    DatabaseAwayError,
    PoolTimeoutError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
)


class Allocator:
    """Decides and holds orders for one worker process."""

    def __init__(
        self,
        database: Database,
        network: NetworkCache,
        stock: StockFollower,
        prices: PriceFollower,
        settings: Settings,
    ) -> None:
        """Prepare; orders are taken from `open` on."""
        self.database = database
        self.network = network
        self.stock = stock
        self.view = stock.view
        self.settings = settings
        self.decider = Decider(stock, prices, settings)
        self.queue = Queue(settings)
        self.tasks: list[asyncio.Task[None]] = []
        self.sweeper: asyncio.Task[None] | None = None
        self.gate = asyncio.Lock()
        """Held by the lane that waits for orders or decides them."""
        self.turn = asyncio.Event()
        """Set, and replaced, whenever a lane has committed a batch."""

    async def open(self) -> None:
        """Start the lanes."""
        self.tasks = [asyncio.create_task(self.lane()) for _ in range(self.settings.lanes)]
        self.sweeper = asyncio.create_task(self.queue.sweep())

    async def close(self) -> None:
        """Answer the orders that have arrived, then stop the lanes."""
        self.queue.close()
        await asyncio.gather(*self.tasks)
        if self.sweeper is not None:
            self.sweeper.cancel()
            with suppress(asyncio.CancelledError):
                await self.sweeper
        self.decider.close()

    async def allocate(
        self, request: AllocationRequest, claim: Claim, *, principal: Principal, hold_s: int
    ) -> Answer:
        """Return the answer to an allocation: its plan held, or why not.

        A repeated request that arrives while the first is under way waits for the same answer.
        Raises what `verify` raises; `too-many-requests` when the queue is full; `unavailable` and
        `deadline-exceeded`, after which nothing is held or the same key tells the truth.
        """
        waiter: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        first = self.queue.under_way.get(claim.scope)
        if first is None:
            zone = self.verify(request, self.network.current)
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
                waiters=[waiter],
            )
            self.queue.put(order)
        elif first.claim.request_hash != claim.request_hash:
            raise Refused("idempotency-key-reused", "Another body is under way with this key.")
        else:
            first.waiters.append(waiter)
        return await waiter

    async def quote(self, request: QuoteRequest) -> QuoteAnswer:
        """Return the plan an allocation would get now; nothing is held or stored."""
        network = self.network.current
        zone = self.verify(request, network)
        arrived_at = monotonic()
        found = await self.decider.quote(request, network, zone)
        if request.slots:
            await self.keeps_slots(request, found, zone, arrived_at)
        return quote_answer(found.plan, found.elapsed_us, found.budget_ms, self.settings.currency)

    async def choices(self, request: QuoteRequest) -> PromisesAnswer:
        """Return what a customer could choose between now; nothing is held or stored."""
        network = self.network.current
        zone = self.verify(request, network)
        return await choices(self.decider, request, network, zone, self.settings.currency)

    def verify(self, request: AllocationRequest | QuoteRequest, network: Network) -> Zone | None:
        """Return the destination's zone; raises what `verify` and `verify_slots` raise."""
        now = datetime.now(UTC)
        zone = verify(request, network, now)
        if request.slots:
            verify_slots(request, network, zone, now)
        return zone

    async def keeps_slots(
        self,
        request: AllocationRequest | QuoteRequest,
        found: Decision,
        zone: Zone | None,
        arrived_at: float,
    ) -> bool:
        """Tell whether a plan keeps its order's slots and they have a place nobody is about to take.

        Raises `slot-impossible` and `slot-full`.
        """
        network = found.ground.network
        verify_kept(request, found.plan, network, zone)
        return await have_places(request, network, self.stock, arrived_at)

    async def lane(self) -> None:
        """Work on one batch after another until the allocator closes and the queue is empty."""
        while True:
            async with AsyncExitStack() as gate:
                await gate.enter_async_context(self.gate)
                orders = await self.queue.next_batch()
                if not orders:
                    return
                try:
                    await self.work(orders, gate)
                except Exception as error:
                    log.error("batch failed", orders=len(orders), exc_info=error)
                    for order in orders:
                        self.finish(order, refusal(from_exception(error)), "refused")

    async def work(self, orders: Sequence[Order], gate: AsyncExitStack) -> None:
        """Decide and commit one batch; put back at the head what must be decided again.

        It leaves the gate once it has decided, or before that where threads decide, which may do so
        side by side.
        """
        batch_orders.observe(len(orders))
        turn = self.turn
        again = [order.request for order in orders if order.attempts]
        if again:
            await self.decider.catch_up(again)
        if not self.at_once(orders):
            await gate.aclose()
        batch, later = await self.decide(orders)
        await gate.aclose()
        if batch:
            try:
                later += await self.settle(batch)
            finally:
                self.turn.set()
                self.turn = asyncio.Event()
        elif later:
            # Another lane holds what these want; it is not gone before that lane's commit.
            await turn.wait()
        self.queue.put_back(sorted(later, key=arrival))

    def at_once(self, orders: Sequence[Order]) -> bool:
        """Tell whether none of these orders will be decided in a thread, as it looks now."""
        now = monotonic()
        return all(
            at_once(len(order.request.lines), self.queue.budget_ms(order, now)) for order in orders
        )

    async def decide(self, orders: Sequence[Order]) -> tuple[list[Decided], list[Order]]:
        """Decide orders in their order; return what is to be committed, and what has to wait."""
        batch: list[Decided] = []
        later: list[Order] = []
        breath_at = monotonic()
        for order in orders:
            now = monotonic()
            if now >= order.deadline_at:
                self.finish(order, refusal(too_late(self.settings)), "refused")
                continue
            if now - breath_at > BREATH_S:
                await asyncio.sleep(0)
                breath_at = monotonic()
            try:
                found = await self.decide_one(order)
                if found is None:
                    later.append(order)
                else:
                    batch.append(decided(order, found, self.view, self.settings))
            except Refused as reason:
                batch.append(refused(order, reason))
            except Exception as error:
                # Whatever is wrong with one order harms no other.
                log.exception("order failed", order_id=order.request.order_id)
                self.finish(order, refusal(from_exception(error)), "refused")
        return batch, later

    async def decide_one(self, order: Order) -> Decision | None:
        """Return the decision for one order; none when what it lacks is only under way elsewhere.

        An order that comes out short is decided anew where rows that are no older than it say
        something else of what it is short of.
        """
        network = self.network.current
        budget_ms = self.queue.budget_ms(order, monotonic())
        found = await self.decider.decide(order.request, network, order.zone, budget_ms)
        if await self.decider.short_of_more(order.request, found, order.arrived_at):
            found = await self.decider.decide(order.request, network, order.zone, budget_ms)
        if order.request.slots and not await self.keeps_slots(
            order.request, found, order.zone, order.arrived_at
        ):
            return None
        if not found.plan.shortfalls:
            return found
        short = short_skus(order.request, found.plan)
        return None if any(self.view.is_pending(sku) for sku in short) else found

    async def settle(self, batch: Sequence[Decided]) -> list[Order]:
        """Commit a batch, answer its orders, and return those that lost their race."""
        takings = [each.taking for each in batch if each.taking is not None]
        try:
            await self.store_grounds(batch)
            settled = await self.commit(batch)
        finally:
            # What was written is applied by now: a unit must not look free between the two.
            self.view.settle(takings)
        again = []
        for each, how in zip(batch, settled, strict=True):
            if how.answer is None:
                each.order.attempts += 1
                again.append(each.order)
                lost_races_total.inc()
            else:
                self.finish(each.order, how.answer, how.outcome)
        return again

    async def store_grounds(self, batch: Sequence[Decided]) -> None:
        """Keep the facts that decision records refer to, before the first record does."""
        used = [each.decision.ground for each in batch if each.decision is not None]
        fresh = self.decider.grounds.unstored(used)
        if fresh and self.settings.decision_records:
            async with self.database.connect() as connection:
                await records.insert_terrains(
                    connection, [(each.terrain.digest, each.facts()) for each in fresh]
                )
            self.decider.grounds.stored.update(each.terrain.digest for each in fresh)

    async def commit(self, batch: Sequence[Decided]) -> list[Settled]:
        """Commit a batch, and put what it left of the stock into the view.

        When one order's statement fails, it is found by halves and the rest is committed. When the
        connection dies at the commit, what became of it is looked up by key.
        """
        try:
            done = await commit(self.database, [each.commitment for each in batch], self.settings)
        except DatabaseAwayError as error:
            return await self.look_up(batch, error)
        except NOT_THE_ORDERS_FAULT as error:
            return [unsettled(error) for _ in batch]
        except Exception as error:
            if len(batch) == 1:
                log.exception("order failed", order_id=batch[0].order.request.order_id)
                return [unsettled(error)]
            bisections_total.inc()
            half = len(batch) // 2
            return [*await self.commit(batch[:half]), *await self.commit(batch[half:])]
        self.decider.clock.set(done.clock)
        self.stock.wrote(done.stock, done.writer)
        return done.settled

    async def look_up(self, batch: Sequence[Decided], error: Exception) -> list[Settled]:
        """Return the stored answers of orders whose commit may or may not have happened.

        Taking the keys' locks first waits for a server process that is still committing.
        """
        claims = [each.order.claim for each in batch]
        scopes = [claim.scope for claim in claims]
        stored: dict[bytes, shared_records.StoredAnswer] = {}
        with suppress(*NOT_THE_ORDERS_FAULT):
            async with self.database.transaction() as connection:
                await shared_records.lock_names(connection, scopes)
                stored = await shared_records.find_answers(connection, scopes)
        return [
            Settled("known", retold(stored[claim.scope], claim))
            if claim.scope in stored
            else unsettled(error)
            for claim in claims
        ]

    def finish(self, order: Order, given: Answer, outcome: str) -> None:
        """Hand an order its answer."""
        tally.count(outcomes(outcome))
        self.queue.answer(order, given)


def arrival(order: Order) -> float:
    """Return when an order came."""
    return order.arrived_at


def retold(before: shared_records.StoredAnswer, claimed: Claim) -> Answer:
    """Return the answer a key had before, or the refusal when that was for another body."""
    try:
        return replay(before, claimed)
    except Refused as reason:
        return refusal(reason)


def unsettled(error: Exception) -> Settled:
    """Return how an order stands whose transaction failed."""
    return Settled("refused", refusal(from_exception(error)))
