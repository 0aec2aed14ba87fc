"""Orders of one kind taken together: the same basket to the same zone, with how many to expect."""

from collections.abc import Sequence

import numpy as np

from routing.prices_learned import learned_rates
from tests.benchmarks.policies.exact import Asked, State, Table, cheapest, money
from tests.benchmarks.policies.hindsight import Demand
from tests.benchmarks.policies.program import Duals, Way, whole_order_duals
from tests.benchmarks.policies.world import Floats, Ints

Kind = tuple[int, tuple[int, ...]]
"""Zone and skus, where neither dates nor capacity matter."""


def counted(demand: Demand) -> dict[Kind, float]:
    """How many orders of each kind there are."""
    found: dict[Kind, float] = {}
    bounds = zip(demand.starts[:-1].tolist(), demand.starts[1:].tolist(), strict=True)
    for order, (first, last) in enumerate(bounds):
        kind = int(demand.zone[order]), tuple(demand.skus[first:last].tolist())
        found[kind] = found.get(kind, 0.0) + float(demand.weight[order])
    return found


def expected(demands: Sequence[Demand]) -> dict[Kind, float]:
    """How many orders of each kind a period like these has; baskets and zones are drawn together."""
    seen: dict[Kind, float] = {}
    for demand in demands:
        for kind, count in counted(demand).items():
            seen[kind] = seen.get(kind, 0.0) + count
    zones = sorted({zone for zone, _ in seen})
    baskets = sorted({skus for _, skus in seen})
    cells = [(zone, skus) for zone in zones for skus in baskets]
    counts = np.array([round(seen.get(kind, 0.0)) for kind in cells])
    labels = [
        np.repeat(np.arange(len(zones)), len(baskets)),
        np.tile(np.arange(len(baskets)), len(zones)),
    ]
    rates = learned_rates(counts, np.full(len(cells), float(len(demands))), labels).per_day
    return dict(zip(cells, rates.tolist(), strict=True))


def duals_of(
    table: Table,
    stock: Ints,
    expected: dict[Kind, float],
    first: Sequence[Way] = (),
    gap: float = 2e-4,
) -> Duals:
    """Prices of stock `[S, N]`, sku after sku, for so many orders of each kind."""
    kinds = list(expected)
    nodes = stock.shape[1]
    room = np.full((nodes, 1), 1 << 40)
    nothing = np.zeros((nodes, 1))

    def way(number: int, kind: Kind, prices: Floats) -> Way:
        asked = Asked(np.array(kind[1]), kind[0], 0, -1)
        state = State(stock[asked.skus], room, prices[asked.skus], nothing)
        made = cheapest(table, state, asked)
        minor, _, _ = money(table, asked, made.nodes, made.days)
        short = int((made.nodes < 0).sum())
        uses = tuple(
            (s * nodes + n, 1) for s, n in zip(kind[1], made.nodes.tolist(), strict=True) if n >= 0
        )
        return Way(number, minor + short * table.shortage_minor, uses)

    def propose(prices: Floats) -> list[Way]:
        cells = prices.reshape(stock.shape)
        return [way(number, kind, cells) for number, kind in enumerate(kinds)]

    nothing_sent = [
        Way(number, len(kind[1]) * table.shortage_minor, ()) for number, kind in enumerate(kinds)
    ]
    demand = np.array([expected[kind] for kind in kinds])
    begun = [*nothing_sent, *first, *propose(np.zeros(stock.size))]
    supply = stock.ravel().astype(float)
    return whole_order_duals(supply, demand, begun, propose, gap=gap)
