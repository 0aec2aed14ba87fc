"""What a period costs at least, for somebody who knows everything that will be asked.

The bound of `routing.prices_stepwise`, whatever the prices and in whatever order things happen.
Hindsight may refuse anybody. The cheapest plan of each order is looked for among all of them
(`exact.cheapest`), at prices of units by node and of parcels by node and day.
"""

from typing import NamedTuple

import numpy as np

from routing.prices_stepwise import Chosen, Prices, Shared, Stepping, stepwise
from tests.benchmarks.policies.exact import Asked, State, Table, cheapest, compiled, money
from tests.benchmarks.policies.simulate import begin
from tests.benchmarks.policies.world import UNLIMITED, Events, Floats, Ints, Network, Period, online

STEPS_MAX = 60
REACH = 80.0
"""Minor units by which a price moves when it first moves."""


class Hindsight(NamedTuple):
    """A lower bound on what a period can cost."""

    bound_minor: float
    estimate_minor: float
    """Cost of the averaged plans, with what they take too much at its full value."""
    worth: Floats
    """`[S, N]`: the prices of stock."""
    surcharge: Floats
    """`[N, D]`: the prices of capacity."""

    @property
    def gap(self) -> float:
        """Distance between the bound and the estimate."""
        return (self.estimate_minor - self.bound_minor) / max(1.0, self.bound_minor)


class Demand(NamedTuple):
    """What is asked, without its order in time. O online orders."""

    starts: Ints
    """`[O + 1]`"""
    skus: Ints
    zone: Ints
    day: Ints
    wish: Ints
    weight: Floats
    """`[O]`: how often each order counts."""
    walk_ins: Floats
    """`[S, N]`"""


def demand_of(events: Events, skus: int, nodes: int) -> Demand:
    """The demand of a period, each order once."""
    orders = online(events)
    starts, ends = events.starts[orders], events.starts[orders + 1]
    walk_ins = np.zeros((skus, nodes))
    walked = np.flatnonzero(events.node >= 0)
    np.add.at(walk_ins, (events.skus[events.starts[walked]], events.node[walked]), 1.0)
    flat = [events.skus[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
    return Demand(
        starts=np.concatenate([[0], np.cumsum(ends - starts)]),
        skus=np.concatenate([np.zeros(0, np.int64), *flat]),
        zone=events.zone[orders],
        day=events.at_days[orders].astype(np.int64),
        wish=events.wish[orders],
        weight=np.ones(len(orders)),
        walk_ins=walk_ins,
    )


def hindsight(network: Network, period: Period, days: int, steps_max: int = STEPS_MAX) -> Hindsight:
    """The bound of a period."""
    running = begin(network, period, days)
    demand = demand_of(period.events, *period.stock.shape)
    return priced(
        running.table,
        network.value_minor,
        demand,
        (running.stock, running.room),
        Stepping(steps_max, REACH),
    )


def priced(
    table: Table,
    value_minor: Ints,
    demand: Demand,
    limits: tuple[Ints, Ints],
    stepping: Stepping,
    first: tuple[Floats, Floats] | None = None,
) -> Hindsight:
    """Bound and prices of a demand against stock `[S, N]` and capacity `[N, D]`."""
    stock, room = limits
    shared = Shared(
        stock.astype(float),
        np.where(room < UNLIMITED // 2, room, np.inf),
        demand.walk_ins,
        value_minor.astype(float)[:, None],
        table.shortage_minor,
    )

    def propose(prices: Prices) -> Chosen:
        return Chosen(*_orders(table, demand, limits, (prices.stock, prices.room)))

    found = stepwise(propose, shared, stepping, None if first is None else Prices(*first))
    return Hindsight(found.bound_minor, found.estimate_minor, found.prices.stock, found.prices.room)


@compiled
def _orders(
    table: Table, demand: Demand, limits: tuple[Ints, Ints], prices: tuple[Floats, Floats]
) -> tuple[float, float, Floats, Floats]:
    """All orders: priced cost, money, units and parcels taken."""
    stock, room = limits
    worth, surcharge = prices
    taken, sent = np.zeros(stock.shape), np.zeros(room.shape)
    paid, spent = 0.0, 0.0
    for order in range(len(demand.zone)):
        skus = demand.skus[demand.starts[order] : demand.starts[order + 1]]
        asked = Asked(skus, demand.zone[order], demand.day[order], demand.wish[order])
        state = State(stock[skus], room, worth[skus], surcharge)
        made = cheapest(table, state, asked)
        weight = demand.weight[order]
        paid += weight * made.priced
        minor, _, _ = money(table, asked, made.nodes, made.days)
        short = 0
        for i in range(len(skus)):
            node = made.nodes[i]
            if node < 0:
                short += 1
                continue
            taken[skus[i], node] += weight
            first = True
            for j in range(i):
                if made.nodes[j] == node and made.days[j] == made.days[i]:
                    first = False
            if first:
                sent[node, made.days[i]] += weight
        spent += weight * (minor + short * table.shortage_minor)
    return paid, spent, taken, sent
