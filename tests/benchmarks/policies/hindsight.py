"""What a period costs at least, for somebody who knows everything that will be asked.

Stock and capacity are given prices, and each order and each walk-in then chooses for itself:

    sum over orders of the cheapest plan in money and prices
    + sum over walk-ins of min(price of the unit, what it costs to lose them)
    - sum of price x stock - sum of price x capacity

is at most the cost of any plan that keeps to stock and capacity, whatever the prices, in whatever
order things happen (Lagrangian relaxation). Hindsight may refuse anybody. Prices move along what is
taken too much. The plans of all steps, averaged with falling weights, come near to a solution of the
linear program (the volume algorithm, Barahona and Anbil, Mathematical Programming 87, 2000), so
besides the bound there is an estimate from above, and the distance tells whether prices have settled.
"""

from typing import NamedTuple

import numpy as np

from tests.benchmarks.policies.exact import Asked, State, Table, cheapest, compiled, money
from tests.benchmarks.policies.simulate import begin
from tests.benchmarks.policies.world import UNLIMITED, Events, Floats, Ints, Network, Period, online

STEPS_MAX = 60
AVERAGED = 0.1
"""Weight of the newest plans in the average, at least."""
REACH = 80.0
"""Minor units by which a price moves when it first moves; later ones are shorter, each divided by
the root of the sum of squares of all slopes of its own (Duchi, Hazan and Singer, Journal of Machine
Learning Research 12, 2011)."""
CLOSER = 3.0
"""In the last third steps are so much shorter and begin at the best prices found."""
SENT_MINOR = 1_000
"""What a parcel beyond capacity is taken to cost in the estimate from above."""


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


class Chosen(NamedTuple):
    """What all choose at some prices."""

    bound_minor: float
    money_minor: float
    stock: Floats
    """`[S, N]`: units taken."""
    room: Floats
    """`[N, D]`: parcels sent."""


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
        running.table, network.value_minor, demand, (running.stock, running.room), steps_max
    )


def priced(
    table: Table,
    value_minor: Ints,
    demand: Demand,
    limits: tuple[Ints, Ints],
    steps_max: int,
    first: tuple[Floats, Floats] | None = None,
) -> Hindsight:
    """Bound and prices of a demand against stock `[S, N]` and capacity `[N, D]`."""
    stock, room = limits
    finite = room < UNLIMITED // 2
    value = value_minor.astype(float)[:, None]
    most = np.maximum(value, table.shortage_minor)
    if first is None:
        # A unit that walk-ins want at least as many of as there are is worth what they lose.
        wanted = demand.walk_ins >= np.maximum(stock, 1)
        first = np.where(wanted, value, 0.0), np.zeros(room.shape)
    prices = best = first
    found = mean = chosen(table, value, demand, (stock, room), prices)
    bound, estimate = found.bound_minor, np.inf
    past = [np.full(each.shape, 1e-9) for each in prices]
    for step in range(steps_max):
        if step == steps_max * 2 // 3:
            prices, found = best, chosen(table, value, demand, (stock, room), best)
            past = [each * CLOSER**2 for each in past]
        over = found.stock - stock, np.where(finite, found.room - room, 0.0)
        prices = moved(prices, over, past, (value, most))
        found = chosen(table, value, demand, (stock, room), prices)
        mean = averaged(mean, found, step)
        estimate = min(estimate, _estimate(table, mean, value, demand, (stock, room)))
        if found.bound_minor > bound:
            bound, best = found.bound_minor, prices
    return Hindsight(bound, estimate, best[0], best[1])


def moved(
    prices: tuple[Floats, Floats],
    over: tuple[Floats, Floats],
    past: list[Floats],
    kinks: tuple[Floats, Floats],
) -> tuple[Floats, Floats]:
    """Prices after a step along what is taken too much; `past` sums its squares, see `REACH`."""
    value, most = kinks
    made = []
    for price, slope, squares in zip(prices, over, past, strict=True):
        up = np.where((slope < 0) & (price <= 0), 0, slope)
        np.add(squares, up**2, out=squares)
        made.append(np.maximum(0, price + REACH * up / np.sqrt(squares)))
    # At the value of a walk-in the bound has a kink, where many prices belong.
    crossed = (made[0] - value) * (prices[0] - value) < 0
    return np.where(crossed, value, np.minimum(made[0], most)), made[1]


def _estimate(
    table: Table, mean: Chosen, value: Floats, demand: Demand, limits: tuple[Ints, Ints]
) -> float:
    """What the averaged plans cost with what they take too much: walk-ins are refused first."""
    over, sent = (mean.stock - limits[0]).clip(0), (mean.room - limits[1]).clip(0)
    refused = np.minimum(over, demand.walk_ins)
    short = float((over - refused).sum()) * table.shortage_minor
    return (
        mean.money_minor + float((refused * value).sum()) + short + float(sent.sum()) * SENT_MINOR
    )


def averaged(mean: Chosen, found: Chosen, step: int) -> Chosen:
    """The average of all plans, the newest counting most; the first are soon forgotten."""
    new = max(AVERAGED, 1 / (step + 1))
    keep = 1 - new
    return Chosen(
        found.bound_minor,
        keep * mean.money_minor + new * found.money_minor,
        keep * mean.stock + new * found.stock,
        keep * mean.room + new * found.room,
    )


def chosen(
    table: Table,
    value: Floats,
    demand: Demand,
    limits: tuple[Ints, Ints],
    prices: tuple[Floats, Floats],
) -> Chosen:
    """What all choose, and the bound that follows."""
    stock, room = limits
    worth, surcharge = prices
    paid, spent, taken, sent = _orders(table, demand, (stock, room), prices)
    # At the very price of losing them walk-ins are indifferent and take what orders leave.
    served = np.where(worth < value, demand.walk_ins, 0.0)
    served = np.where(worth == value, np.clip(stock - taken, 0, demand.walk_ins), served)
    walked = np.minimum(value, worth) * demand.walk_ins
    dual = float((worth * stock).sum() + (surcharge * np.where(surcharge > 0, room, 0)).sum())
    return Chosen(
        paid + float(walked.sum()) - dual,
        spent + float((value * (demand.walk_ins - served)).sum()),
        taken + served,
        sent,
    )


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
