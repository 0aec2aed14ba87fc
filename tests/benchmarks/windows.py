"""How well and how fast many unreleased orders are planned anew together.

Run as `python -m tests.benchmarks.windows [orders]`. The network is the sparse one of the tests: 457
stores and 6 warehouses on a map of 4,000 by 2,000 km. Of some skus one store in eight has one or two
units, and each warehouse has half of them, two to seven of each. Orders of one to six lines for 40
places come one after another; each is decided alone, and who cannot be served in full is turned
away. The fewer skus, the more orders want the same units. Figures depend on the machine, so nothing
here passes or fails.
"""

import sys
import time
from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import numpy as np

from routing.basket import Basket, held
from routing.destination import destination
from routing.grid import Ints
from routing.plan_basket import plan_basket
from routing.problem import Line, Policy
from routing.terrain import Terrain, prepare
from routing.warm import warm, warm_windows
from routing.window import Rearranged, Rules, Waiting, Window
from routing.window_search import rearrange
from tests.routing.sparse_network import WEEK, ZONE_KM, ZONES, Network

NOW = datetime(2026, 5, 12, 14, 30, tzinfo=UTC)
ORDERS = 1_000
SKUS = (3_000, 1_000, 300)
SEEDS = (1, 2, 3)
PLACES = 40
STORE_SHARE, WAREHOUSE_SHARE = 0.12, 0.5
LIMIT_MS = 1_000
RULES = Rules(time_limit_ms=600_000)
"""Time enough to count what it takes: on a busy machine ten seconds of the clock are not ten."""

Stock = dict[str, tuple[Ints, Ints]]


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One window."""

    skus: int
    seed: int
    orders: int
    turned_away: int
    found: Rearranged
    cpu_s: float
    wall_s: float


def places(network: Network, seed: int) -> list[Terrain]:
    """Return destinations strewn over the map."""
    chance = np.random.default_rng(seed)
    numbers = {node.node_id: n for n, node in enumerate(network.nodes)}
    found = []
    for _ in range(PLACES):
        place = chance.random(2) * (4_000, 2_000)
        km = np.hypot(*(network.places - place).T)
        lanes = network._lanes([bisect_left(ZONE_KM, each) for each in km.tolist()])
        time_zone = ZONES[3 - int(place[0] // 1_000)]
        served = destination(network.nodes, lanes, (WEEK,), network.tariffs, time_zone)
        found.append(prepare(served, numbers, NOW))
    return found


def shelves(network: Network, skus: int, seed: int) -> Ints:
    """Return units by node and sku: thin in stores, a little more in warehouses."""
    chance = np.random.default_rng(seed)
    stores = network.count - 6
    units = np.zeros((network.count, skus), np.int64)
    there = chance.random((stores, skus)) < STORE_SHARE
    units[:stores] = there * chance.integers(1, 3, there.shape)
    there = chance.random((6, skus)) < WAREHOUSE_SHARE
    units[stores:] = there * chance.integers(2, 8, there.shape)
    return units


def lines_of(network: Network, skus: int, chance: np.random.Generator) -> tuple[Line, ...]:
    """Return the lines of an order: popular skus more often, mostly one unit."""
    popularity = network.popularity[:skus] / network.popularity[:skus].sum()
    count = min(6, 1 + int(chance.geometric(0.42))) if chance.random() < 0.6 else 1
    chosen = chance.choice(skus, count, replace=False, p=popularity)
    return tuple(
        Line(
            line_id=str(n),
            sku=name(sku),
            quantity=1 if chance.random() < 0.8 else int(chance.integers(2, 4)),
            weight_grams=int(network.weights[sku]),
        )
        for n, sku in enumerate(chosen.tolist())
    )


def name(sku: int) -> str:
    """Return the name of a sku."""
    return f"sku-{sku:05}"


def window(orders: int, skus: int, seed: int) -> Window:
    """Return so many orders with the plans that they got one after another."""
    network, chance = Network(seed), np.random.default_rng(seed)
    terrains, units = places(network, seed), shelves(network, skus, seed)
    number_of = {node.node_id: n for n, node in enumerate(network.nodes)}
    waiting: list[Waiting] = []
    for order in range(orders):
        lines = lines_of(network, skus, chance)
        terrain = terrains[int(chance.integers(PLACES))]
        left = {line.sku: cells(units, int(line.sku[4:])) for line in lines}
        basket = Basket(now=NOW, lines=lines, policy=Policy(), held=held(lines, left))
        plan = plan_basket(terrain, basket, LIMIT_MS).plan
        if plan.shortfalls:
            continue
        for each in plan.fulfillments:
            for line in each.lines:
                units[number_of[each.node_id], int(line.sku[4:])] -= line.quantity
        order_id = f"order-{order:05}"
        waiting.append(
            Waiting(order_id=order_id, terrain=terrain, lines=lines, policy=Policy(), plan=plan)
        )
    left = {name(sku): cells(units, sku) for sku in range(skus)}
    return Window(now=NOW, orders=tuple(waiting), left=left)


def cells(units: Ints, sku: int) -> tuple[Ints, Ints]:
    """Return the nodes that have a sku, and how much."""
    nodes = np.flatnonzero(units[:, sku] > 0)
    return nodes, units[nodes, sku]


def measure(orders: int, skus: int, seed: int) -> Measured:
    """Plan one window anew."""
    given = window(orders, skus, seed)
    cpu, wall = time.process_time(), time.perf_counter()
    found = rearrange(given, RULES)
    return Measured(
        skus=skus,
        seed=seed,
        orders=len(given.orders),
        turned_away=orders - len(given.orders),
        found=found,
        cpu_s=time.process_time() - cpu,
        wall_s=time.perf_counter() - wall,
    )


def table(measured: Sequence[Measured]) -> str:
    """Return the figures as a table in Markdown."""
    rows = [
        "| skus | seed | orders | turned away | CPU s | wall s | gap | saving | moved | groups | largest |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for each in measured:
        found = each.found
        saving = (found.before_minor - found.after_minor) / found.before_minor
        largest = max((len(group) for group in found.groups), default=0)
        rows.append(
            f"| {each.skus:,} | {each.seed} | {each.orders} | {each.turned_away}"
            f" | {each.cpu_s:.1f} | {each.wall_s:.1f} | {found.gap:.2%} | {saving:.2%}"
            f" | {len(found.moves)} | {len(found.groups)} | {largest} |"
        )
    return "\n".join(rows)


def main(orders: int) -> None:
    """Measure every kind of window and print a table."""
    warm()
    warm_windows()
    found = [measure(orders, skus, seed) for skus in SKUS for seed in SEEDS]
    print(table(found))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ORDERS)
