"""Orders decided from memory: the stock view, the ground, the optimizer; no database, no lock."""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from time import monotonic, perf_counter

import msgspec
import numpy as np

from routing.basket import Basket, cells_of
from routing.bundles import needs_of
from routing.plan import Plan
from routing.plan_basket import Planned, plan_at_length, plan_basket, plan_soon
from routing.problem import Policy
from routing.terrain import Terrain
from services.observe import solves, tally
from services.orders.beyond import Beyond, count
from services.orders.ground import Ground, Grounds
from services.orders.request import AllocationRequest, QuoteRequest
from services.orders.room import Room, narrowed
from services.orders.slots import planned_for
from services.orders.strategies import strategy_of
from services.orders.translate import basket, stocked, stores_of, without_stale
from services.planning.network import Network, Zone
from services.planning.stock_view import StockFollower
from services.prices.follower import PriceFollower
from services.settings import Settings

LIGHT_LINES_MAX = 6
"""Lines up to which an order is decided at once: a matter of microseconds."""
SHORT_MS = 5
"""Time to decide in up to which any number of lines is decided at once."""
Planner = Callable[[Terrain, Basket, int, float], Planned]
REREAD_MAX = 10_000
"""Skus of which it is remembered when they were read again."""


class Clock:
    """The database's clock as this process knows it; state decides what expires, not clocks."""

    def __init__(self) -> None:
        """Trust the own clock until the database has told its own."""
        self.ahead = timedelta()

    def set(self, now: datetime) -> None:
        """Take note of the database's clock at this moment."""
        self.ahead = now - datetime.now(UTC)

    def now(self) -> datetime:
        """Return the database's clock at this moment, as well as it is known."""
        return datetime.now(UTC) + self.ahead


class Decision(msgspec.Struct, frozen=True):
    """A plan and how it came about."""

    plan: Plan
    record: bytes
    ground: Ground
    asked: Basket
    """With the stock that was seen."""
    now: datetime
    elapsed_us: int
    budget_ms: int


class Decider:
    """Plans baskets for one worker process."""

    def __init__(self, stock: StockFollower, prices: PriceFollower, settings: Settings) -> None:
        """Prepare; nothing is read before the first basket."""
        self.stock = stock
        self.view = stock.view
        self.settings = settings
        self.clock = Clock()
        self.grounds = Grounds()
        self.room = Room(self.view)
        self.beyond = Beyond(prices, self.view)
        self.reread_at: dict[str, float] = {}
        """Monotonic seconds at which skus were last read again."""
        self.threads = ThreadPoolExecutor(settings.solver_threads, thread_name_prefix="solver")

    async def quote(self, request: QuoteRequest, network: Network, zone: Zone | None) -> Decision:
        """Return the plan an allocation would get now; raises what `decide` raises."""
        arrived_at = monotonic()
        found = await self.decide(request, network, zone, self.settings.decision_ms)
        if await self.short_of_more(request, found, arrived_at):
            found = await self.decide(request, network, zone, self.settings.decision_ms)
        return found

    async def short_of_more(
        self, request: AllocationRequest | QuoteRequest, found: Decision, arrived_at: float
    ) -> bool:
        """Tell whether there is other stock now of what a plan is short of, and it should be made anew.

        Nobody is told that something is gone which came in before they asked: what was not seen since
        the request arrived is read again.
        """
        if not found.plan.shortfalls:
            return False
        skus = stocked(short_skus(request, found.plan), self.view)
        seen_at = self.view.seen_at or 0.0
        unseen = any(max(seen_at, self.reread_at.get(sku, 0.0)) < arrived_at for sku in skus)
        if unseen:
            now = monotonic()
            await self.stock.refresh(skus)
            if len(self.reread_at) > REREAD_MAX:
                self.reread_at.clear()
            self.reread_at.update(dict.fromkeys(skus, now))
        # Supply was read as well, and is not compared.
        return (unseen and request.policy.backorder) or any(
            self.differs(found.asked, sku, request.channel) for sku in skus
        )

    def differs(self, asked: Basket, sku: str, channel: str) -> bool:
        """Tell whether nodes can give other units of a sku now than a basket says."""
        if sku not in asked.held.skus:
            return False
        numbers, units = cells_of(asked.held, sku)
        numbers_now, units_now = self.view.held(sku, channel)
        return not (np.array_equal(numbers, numbers_now) and np.array_equal(units, units_now))

    async def decide(
        self,
        request: AllocationRequest | QuoteRequest,
        network: Network,
        zone: Zone | None,
        budget_ms: int,
    ) -> Decision:
        """Return the best plan found within `budget_ms`, on stock less what is under way.

        Raises `unknown-sku` after the database has been asked for the item, and
        `quantity-too-large` for an order that is too much to be planned at once.
        """
        if self.stock.is_stale or not self.view.has_items([line.sku for line in request.lines]):
            await self.reread([request])
        stores = stores_of(request) if network.senders else ()
        ahead = self.clock.now(), stores
        await self.grounds.make_ready(network, zone, self.view, ahead, self.threads)
        now = self.clock.now()
        ground = self.grounds.find(network, zone, self.view, now, stores)
        asked = self.asked(request, ground, strategy_of(request, network, zone), now)
        started = perf_counter()
        planned, ended = await self.plan(ground, asked, budget_ms, started)
        elapsed_s = ended - started
        tally.observe(solves(planned.plan.status), elapsed_s)
        count(planned.plan)
        return Decision(
            planned.plan,
            planned.record,
            ground,
            asked,
            now,
            round(elapsed_s * 1_000_000),
            budget_ms,
        )

    def asked(
        self,
        request: AllocationRequest | QuoteRequest,
        ground: Ground,
        strategy: Policy,
        now: datetime,
    ) -> Basket:
        """Return the basket with what is known of its stock, and its prices; raises as `basket` does."""
        network = ground.network
        found = basket(
            request,
            self.view,
            strategy,
            now,
            sends=bool(network.senders),
            divisor=self.settings.dimensional_divisor,
        )
        if request.slots:
            found = planned_for(found, request, network)
        weights = network.playbook.weights.get(strategy.strategy)
        if weights is not None or network.overloads:
            found = self.beyond.priced(found, request, ground, weights)
        rule = network.playbook.feeds.get(strategy.strategy)
        stale = self.stock.feeds.stale(rule, now, self.view)
        if rule is not None and stale is not None:
            found = without_stale(found, rule, stale)
        if not network.limited:
            return found
        tight = self.room.tight(network, sum(needs_of(found.lines).values()), now)
        return msgspec.structs.replace(found, capacity=narrowed(tight, found.capacity))

    async def plan(
        self, ground: Ground, asked: Basket, budget_ms: int, since: float
    ) -> tuple[Planned, float]:
        """Plan a basket: here when that is sure to be soon, else in a thread.

        The time counts from `since`, a reading of `perf_counter`: what a thread waits for its turn
        is part of it. Returns when it was planned, too, since the event loop may be at work for
        others when a thread is done.
        """
        plan: Planner = plan_basket
        if at_once(len(asked.lines), budget_ms):
            soon = plan_soon(ground.terrain, asked, budget_ms, since)
            if soon is not None:
                return soon, perf_counter()
            plan = plan_at_length
        return await asyncio.get_running_loop().run_in_executor(
            self.threads, timed, plan, ground, asked, budget_ms, since
        )

    async def reread(self, requests: Iterable[AllocationRequest | QuoteRequest]) -> None:
        """Read the rows of these baskets' skus again, and put them into the view."""
        skus = {line.sku for each in requests for line in each.lines}
        await self.stock.refresh(skus | stocked(skus, self.view))

    async def catch_up(self, requests: Iterable[AllocationRequest]) -> None:
        """Learn all that has changed, and what these baskets' skus are now, after a lost race."""
        await self.stock.poll()
        await self.reread(requests)

    def close(self) -> None:
        """Let go of the threads."""
        self.threads.shutdown()


def at_once(lines: int, budget_ms: int) -> bool:
    """Tell whether so many lines are decided on the event loop, and not in a thread beside it.

    A thread brings a second processor to a search that may take long. With little time for each,
    orders come so thick that other work wants that processor, and waiting for a thread's turn, and
    for the interpreter after it, takes longer than the search.
    """
    return lines <= LIGHT_LINES_MAX or budget_ms <= SHORT_MS


def timed(
    plan: Planner, ground: Ground, asked: Basket, budget_ms: int, since: float
) -> tuple[Planned, float]:
    """Return a plan, and when it was made."""
    return plan(ground.terrain, asked, budget_ms, since), perf_counter()


def short_skus(request: AllocationRequest | QuoteRequest, plan: Plan) -> set[str]:
    """Return the skus of which a plan leaves units unfilled."""
    short = {each.line_id for each in plan.shortfalls}
    return {line.sku for line in request.lines if line.line_id in short}
