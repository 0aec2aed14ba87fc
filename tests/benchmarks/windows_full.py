"""How well and how fast orders are planned anew where days are full and some of them become free.

Run as `python -m tests.benchmarks.windows_full`. The orders and the network of `windows`, in which a
store sends two parcels a day and a warehouse 15: most orders are put off, some for days. Then one in
ten is cancelled, and the rest is planned anew together. Figures depend on the machine, so nothing
here passes or fails.
"""

import time
from collections.abc import Mapping
from datetime import date, timedelta

import numpy as np

from routing.basket import Basket, held
from routing.grid import Ints
from routing.plan import Fulfillment, Plan
from routing.plan_basket import plan_basket
from routing.problem import Capacity, Policy
from routing.warm import warm, warm_windows
from routing.window import Rearranged, Rules, Waiting, Window
from routing.window_search import rearrange
from tests.benchmarks import windows
from tests.benchmarks.windows import LIMIT_MS, NOW, PLACES
from tests.routing.sparse_network import Network

ORDERS, SEED = 1_000, 1
SKUS = (1_000, 300)
A_STORE, A_WAREHOUSE = 2, 15
"""Parcels a day."""
SHORT = 6
"""An order is told of days with room for fewer parcels than this."""
CANCELLED_SHARE = 0.1
DAYS = tuple(NOW.date() + timedelta(days=ahead) for ahead in range(-1, 14))
POLICY = Policy(delay_minor=20)
LIMITS_MS = (10_000, 600_000)

Left = dict[tuple[str, date], int]
"""By node id and work date: parcels that it can still send."""


def window(skus: int, seed: int) -> Window:
    """Return the orders that are left, with the plans that they got one after another."""
    network, chance = Network(seed), np.random.default_rng(seed)
    terrains, units = windows.places(network, seed), windows.shelves(network, skus, seed)
    number_of = {node.node_id: n for n, node in enumerate(network.nodes)}
    stores = network.count - 6
    left = {
        (name, day): A_STORE if n < stores else A_WAREHOUSE
        for name, n in number_of.items()
        for day in DAYS
    }
    waiting = []
    for order in range(ORDERS):
        lines = windows.lines_of(network, skus, chance)
        basket = Basket(
            now=NOW,
            lines=lines,
            policy=POLICY,
            held=held(lines, {line.sku: windows.cells(units, int(line.sku[4:])) for line in lines}),
            capacity=short(left),
        )
        terrain = terrains[int(chance.integers(PLACES))]
        plan = plan_basket(terrain, basket, LIMIT_MS).plan
        if not plan.shortfalls:
            take(plan, units, left, number_of, 1)
            name = f"order-{order:05}"
            waiting.append(
                Waiting(order_id=name, terrain=terrain, lines=lines, policy=POLICY, plan=plan)
            )
    gone = [each for each in waiting if chance.random() < CANCELLED_SHARE]
    for each in gone:
        take(each.plan, units, left, number_of, -1)
    kept = tuple(each for each in waiting if each not in gone)
    return Window(
        now=NOW,
        orders=kept,
        left={windows.name(sku): windows.cells(units, sku) for sku in range(skus)},
        room=rooms(left),
    )


def take(plan: Plan, units: Ints, left: Left, number_of: Mapping[str, int], times: int) -> None:
    """Take what a plan needs of stock and capacity, so many times."""
    for each in plan.fulfillments:
        left[each.node_id, each.work_on] -= times
        for line in each.lines:
            units[number_of[each.node_id], int(line.sku[4:])] -= times * line.quantity


def short(left: Left) -> dict[str, tuple[Capacity, ...]]:
    """Return the capacities that may be too small for an order."""
    return rooms({place: count for place, count in left.items() if count < SHORT})


def rooms(left: Left) -> dict[str, tuple[Capacity, ...]]:
    """Return capacities by node."""
    found: dict[str, tuple[Capacity, ...]] = {}
    for (node_id, day), count in left.items():
        limit = Capacity(work_on=day, remaining=count)
        found[node_id] = (*found.get(node_id, ()), limit)
    return found


def last(parts: tuple[Fulfillment, ...]) -> date:
    """Return the last date on which any of a plan is worked on."""
    return max(each.work_on for each in parts)


def row(skus: int, limit_ms: int, given: Window) -> str:
    """Plan a window anew and return its figures as a row of a table."""
    cpu = time.process_time()
    found: Rearranged = rearrange(given, Rules(time_limit_ms=limit_ms))
    cpu_s = time.process_time() - cpu
    before = {each.order_id: each.plan.fulfillments for each in given.orders}
    sooner = sum(last(each.plan.fulfillments) < last(before[each.order_id]) for each in found.moves)
    saving = (found.before_minor - found.after_minor) / found.before_minor
    return (
        f"| {skus:,} | {limit_ms // 1_000} | {len(given.orders)} | {cpu_s:.1f} | {found.gap:.2%}"
        f" | {saving:.2%} | {len(found.moves)} | {sooner} |"
    )


def main() -> None:
    """Measure windows with days that are full and print a table."""
    warm()
    warm_windows()
    print("| skus | limit s | orders | CPU s | gap | saving | moved | sooner |")
    print("|---|---|---|---|---|---|---|---|")
    for skus in SKUS:
        given = window(skus, SEED)
        for limit_ms in LIMITS_MS:
            print(row(skus, limit_ms, given))


if __name__ == "__main__":
    main()
