"""The shipped optimizer as a policy: a world's network as its values, one decision for each order.

All nodes share one clock and work every day, so the dates of a day look like those of any other.
Every order is therefore asked as of the same instant, on a terrain prepared once for each zone, and
what nodes can still take is told by days from then.
"""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from routing.basket import Basket, Held
from routing.destination import destination
from routing.plan import Plan
from routing.plan_basket import plan_basket
from routing.problem import Bracket, Calendar, Capacity, Lane, Line, Node, Policy, Tariff
from routing.terrain import Terrain, prepare
from tests.benchmarks.policies.exact import SHIFT_MAX, Asked
from tests.benchmarks.policies.forecast import Prices
from tests.benchmarks.policies.simulate import Running
from tests.benchmarks.policies.world import Floats, Ints, Network

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
TODAY = NOW.date()
EVERY_DAY = Calendar(calendar_id="every-day", weekdays=(1, 2, 3, 4, 5, 6, 7))
TIME_LIMIT_MS = 50


class Ground(NamedTuple):
    """A world's network as the optimizer knows it."""

    terrains: tuple[Terrain, ...]
    """By zone."""
    policy: Policy
    skus: tuple[str, ...]
    """Names in the order of numbers."""
    numbers: dict[str, int]
    """Of node ids."""


def ground(network: Network) -> Ground:
    """Prepare every zone of a network."""
    nodes = [_node(network, n) for n in range(len(network.names))]
    tariffs = [
        Tariff(
            tariff_id=f"tariff-{t:04}",
            brackets=tuple(Bracket(weight_grams_max=g, price_minor=p) for g, p in each),
        )
        for t, each in enumerate(network.tariffs)
    ]
    numbers = {name: n for n, name in enumerate(network.names)}
    terrains = []
    for zone in range(network.tariff.shape[1]):
        lanes = [_lane(network, n, zone) for n in range(len(nodes)) if network.tariff[n, zone] >= 0]
        used = {lane.tariff_id for lane in lanes}
        known = [each for each in tariffs if each.tariff_id in used]
        terrains.append(prepare(destination(nodes, lanes, [EVERY_DAY], known, "UTC"), numbers, NOW))
    policy = Policy(
        split_minor=network.split_minor,
        lateness_minor=network.lateness_minor,
        # Waiting costs nothing beyond lateness here: policies are compared by money alone.
        delay_minor=0,
        shortage_minor=network.shortage_minor,
    )
    skus = tuple(f"sku-{s:05}" for s in range(len(network.grams)))
    return Ground(tuple(terrains), policy, skus, numbers)


def _node(network: Network, n: int) -> Node:
    return Node(
        node_id=network.names[n],
        kind="store" if network.stores[n] else "warehouse",
        time_zone="UTC",
        calendar_id=EVERY_DAY.calendar_id,
        cut_off=time(23, 59),
        handling_days=0,
        capabilities=("ship",),
        handling_order_minor=int(network.order_minor[n]),
        handling_unit_minor=int(network.unit_minor[n]),
    )


def _lane(network: Network, n: int, zone: int) -> Lane:
    days = int(network.days[n, zone])
    return Lane(
        node_id=network.names[n],
        service="ground",
        tariff_id=f"tariff-{network.tariff[n, zone]:04}",
        transit_days_min=days,
        transit_days_max=days,
    )


class Optimizer:
    """The cheapest plan of each order in money and prices, by the optimizer that is shipped."""

    def __init__(self, network: Network, prices: Prices) -> None:
        """Decide on a network at some prices."""
        self.ground = ground(network)
        self.prices = prices

    def renew(self, running: Running, day: int) -> None:
        """Renew the prices."""
        self.prices.renew(running, day)

    def decide(self, running: Running, asked: Asked, at_days: float) -> tuple[Ints, Ints]:
        """Where and when each line is sent from."""
        return self.sent(asked, self.plan(running, asked, at_days))

    def sent(self, asked: Asked, plan: Plan) -> tuple[Ints, Ints]:
        """The node and the day of each line in a plan."""
        nodes, days = np.full(len(asked.skus), -1), np.full(len(asked.skus), -1)
        for each in plan.fulfillments:
            for line in each.lines:
                nodes[int(line.line_id)] = self.ground.numbers[each.node_id]
                days[int(line.line_id)] = asked.day + (each.work_on - TODAY).days
        return nodes, days

    def plan(self, running: Running, asked: Asked, at_days: float) -> Plan:
        """The plan of an order on the stock of the moment."""
        worth = np.rint(self.prices.worth_minor(running, asked, at_days)).astype(np.int64)
        soonest, surcharge = _days(running, asked, self.prices.surcharge_minor(running))
        basket = Basket(
            now=NOW,
            lines=tuple(
                line_of(self.ground.skus[s], i, int(running.network.grams[s]), asked.wish)
                for i, s in enumerate(asked.skus.tolist())
            ),
            policy=self.ground.policy,
            held=_held(self.ground, running, asked, worth),
            capacity=_room(running, asked, soonest),
            surcharges={
                running.network.names[n]: round(surcharge[n])
                for n in np.flatnonzero(surcharge > 0).tolist()
            },
        )
        return plan_basket(self.ground.terrains[asked.zone], basket, TIME_LIMIT_MS).plan


@lru_cache(maxsize=100_000)
def line_of(sku: str, i: int, grams: int, wish: int) -> Line:
    """Line `i` of an order."""
    return Line(
        line_id=str(i),
        sku=sku,
        quantity=1,
        weight_grams=grams,
        requested_by=on(wish) if wish >= 0 else None,
    )


@lru_cache(maxsize=64)
def on(days: int) -> date:
    """The date so many days after that of every order."""
    return TODAY + timedelta(days=days)


def _held(known: Ground, running: Running, asked: Asked, worth: Ints) -> Held:
    """What nodes hold of the order's skus, in order of name, which is that of numbers."""
    order = np.argsort(asked.skus, kind="stable")
    has = running.stock[asked.skus[order]] > 0
    lines, nodes = np.nonzero(has)
    return Held(
        tuple(known.skus[s] for s in asked.skus[order].tolist()),
        has.sum(axis=1),
        nodes,
        np.ones(len(nodes), np.int64),
        worth[order][lines, nodes],
    )


def _days(running: Running, asked: Asked, surcharge: Floats) -> tuple[Ints, Floats]:
    """By node, how many days after the order's it should send it, and the surcharge of that day.

    An order that can wait leaves today's room to those that cannot: the day is that of the least
    surcharge and lateness of the whole order, among those with room.
    """
    network, shifts = running.network, np.arange(SHIFT_MAX + 1)
    ahead = slice(asked.day, asked.day + SHIFT_MAX + 1)
    paid = np.where(running.room[:, ahead] > 0, surcharge[:, ahead], np.inf)
    if asked.wish >= 0:
        late = (network.days[:, asked.zone][:, None] + shifts - asked.wish).clip(0)
        paid = paid + late * network.lateness_minor * len(asked.skus)
    best = paid.argmin(axis=1)
    return best, surcharge[np.arange(len(best)), asked.day + best]


def _room(running: Running, asked: Asked, soonest: Ints) -> dict[str, tuple[Capacity, ...]]:
    """What nodes that should not send the order today can take, from when they should."""
    return {
        running.network.names[n]: tuple(
            Capacity(
                work_on=on(shift),
                remaining=int(running.room[n, asked.day + shift]) if shift >= soonest[n] else 0,
            )
            for shift in range(SHIFT_MAX + 1)
        )
        for n in np.flatnonzero((soonest > 0) | (running.room[:, asked.day] < 1)).tolist()
    }
