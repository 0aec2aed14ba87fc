"""Orders planned one by one and, before their release, anew together.

An order is planned and its stock taken when it comes, so that its promise stands; as often a day as
the world releases orders, all since the last time are rearranged by `routing.window_search`: no
promise gets worse. The window may have prices though the orders were planned without.
"""

from typing import NamedTuple

import numpy as np

from routing.plan import Plan
from routing.problem import Capacity
from routing.window import Rules, Waiting, Window
from routing.window_search import rearrange
from tests.benchmarks.policies.exact import SHIFT_MAX, Asked
from tests.benchmarks.policies.forecast import Prices
from tests.benchmarks.policies.optimizer import NOW, TODAY, Optimizer, line_of, on
from tests.benchmarks.policies.simulate import Running
from tests.benchmarks.policies.world import UNLIMITED, Floats, Ints, Network

RULES = Rules(time_limit_ms=60_000)
"""So long that the clock decides nothing, on a busy machine either; they take about a second."""


class Planned(NamedTuple):
    """An order that waits for its release."""

    asked: Asked
    at_days: float
    plan: Plan
    sent: tuple[Ints, Ints]


class Joint(Optimizer):
    """The shipped optimizer, and the shipped window behind it."""

    def __init__(self, network: Network, prices: Prices, released_at: Prices | None = None) -> None:
        """Decide on a network at some prices, and rearrange at the same unless told others."""
        super().__init__(network, prices)
        self.released_at = released_at or prices
        self.waiting: list[Planned] = []

    def renew(self, running: Running, day: int) -> None:
        """Renew the prices."""
        super().renew(running, day)
        if self.released_at is not self.prices:
            self.released_at.renew(running, day)

    def decide(self, running: Running, asked: Asked, at_days: float) -> tuple[Ints, Ints]:
        """The plan for now."""
        plan = self.plan(running, asked, at_days)
        self.waiting.append(Planned(asked, at_days, plan, self.sent(asked, plan)))
        return self.waiting[-1].sent

    def release(self, running: Running) -> list[tuple[Ints, Ints] | None]:
        """What each waiting order gets instead of its plan, none where it keeps it; forgets all."""
        waiting, self.waiting = self.waiting, []
        if not any(_movable(each.plan) for each in waiting):
            return [None] * len(waiting)
        told = rearrange(self.window(running, waiting), RULES)
        found: list[tuple[Ints, Ints] | None] = [None] * len(waiting)
        for move in told.moves:
            number = int(move.order_id)
            found[number] = self.sent(waiting[number].asked, move.plan)
        return found

    def window(self, running: Running, waiting: list[Planned]) -> Window:
        """The orders with what is left beside them, at the prices of the moment."""
        at, day = waiting[-1].at_days, waiting[-1].asked.day
        skus = np.unique(np.concatenate([each.asked.skus for each in waiting]))
        every = Asked(skus, 0, day, -1)
        worth = np.rint(self.released_at.worth_minor(_before(running, waiting), every, at))
        nodes = np.arange(len(running.network.names))
        names = [self.ground.skus[s] for s in skus.tolist()]
        surcharge: Floats = self.released_at.surcharge_minor(running)[:, day]
        return Window(
            now=NOW,
            orders=tuple(
                self.order(running, n, each)
                for n, each in enumerate(waiting)
                if _movable(each.plan)
            ),
            left={
                name: (nodes, running.stock[s])
                for name, s in zip(names, skus.tolist(), strict=True)
            },
            prices={
                name: (prices, np.zeros_like(prices))
                for name, prices in zip(names, worth.astype(np.int64), strict=True)
            },
            surcharges={
                running.network.names[n]: round(surcharge[n])
                for n in np.flatnonzero(surcharge > 0).tolist()
            },
            room={
                running.network.names[n]: tuple(
                    Capacity(work_on=on(shift), remaining=int(running.room[n, day + shift]))
                    for shift in range(SHIFT_MAX + 1)
                )
                for n in np.flatnonzero(running.network.capacity < UNLIMITED).tolist()
            },
        )

    def order(self, running: Running, number: int, planned: Planned) -> Waiting:
        """An order as the window knows it."""
        asked = planned.asked
        return Waiting(
            order_id=str(number),
            terrain=self.ground.terrains[asked.zone],
            lines=tuple(
                line_of(self.ground.skus[s], i, int(running.network.grams[s]), asked.wish)
                for i, s in enumerate(asked.skus.tolist())
            ),
            policy=self.ground.policy,
            plan=planned.plan,
        )


def _before(running: Running, waiting: list[Planned]) -> Running:
    """The period as if one unit were back wherever waiting orders hold some.

    What a held unit is worth is what it was worth before it was taken. Priced by what is left now,
    the last unit of a store would seem to be the one that is missing, and each order that holds one
    would be sent away for no good reason.
    """
    stock = running.stock.copy()
    for each in waiting:
        nodes, _ = each.sent
        there = nodes >= 0
        stock[each.asked.skus[there], nodes[there]] = (
            running.stock[each.asked.skus[there], nodes[there]] + 1
        )
    return running._replace(stock=stock)


def _movable(plan: Plan) -> bool:
    """Whether the window should look at an order.

    One that lacks something would have to be planned with what it lacks. One that was put off
    would be called back, as the window knows the price of a node's next day of work alone.
    """
    return not plan.shortfalls and all(each.work_on == TODAY for each in plan.fulfillments)
