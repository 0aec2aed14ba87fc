"""Machine code loaded, or compiled where that was never done, before the first order needs it."""

import time as clock
from datetime import UTC, datetime, time

import msgspec
import numpy as np

from routing.basket import Basket, held, seen
from routing.destination import destination
from routing.gather import gather
from routing.plan_basket import plan_basket
from routing.problem import Bracket, Calendar, Lane, Line, Node, Policy, Tariff
from routing.search import bounded, search
from routing.terrain import Terrain, prepare
from routing.window import Waiting, Window
from routing.window_search import rearrange

NOW = datetime(2026, 5, 12, 9, tzinfo=UTC)
SEARCH_S = 1.0
"""Time for the search of the small order made for it; it ends by itself long before."""


def warm() -> None:
    """Run every compiled function once, on small orders made for it.

    Takes a second or so where the machine code is kept (see `kept_code.py`), about a minute where
    everything is compiled. Call it at the start of a process that plans; later calls cost microseconds.
    """
    terrain = _terrain()
    for units in (3, 1):
        basket = _basket(3, units)
        plan_basket(terrain, basket, 1_000)
        gathered = gather(terrain, seen(terrain, basket), basket.lines, basket.policy)
        found = search(gathered.grid, clock.perf_counter() + SEARCH_S)
        # With a plan to begin with it does not stop at plans of few slots.
        search(gathered.grid, clock.perf_counter() + SEARCH_S, found.units)
        bounded(gathered.grid, found.units, found.objective_minor)
    plan_basket(terrain, _basket(9, 2), 1_000)
    basket = _basket(2, 1)
    twice = tuple(msgspec.structs.replace(line, sku="sku-0") for line in basket.lines)
    one = held(twice, {"sku-0": (basket.held.numbers[:3], basket.held.units[:3])})
    plan_basket(terrain, msgspec.structs.replace(basket, lines=twice, held=one), 1_000)
    few = Policy(shipments_max=2, nodes_per_line_max=2)
    plan_basket(terrain, msgspec.structs.replace(_basket(3, 1), policy=few), 1_000)


def warm_windows() -> None:
    """Run every compiled function that only windows need, as `warm` does for orders."""
    terrain = _terrain()
    orders = []
    for number, units in enumerate((3, 1)):
        basket = _basket(3, units)
        plan = plan_basket(terrain, basket, 1_000).plan
        orders.append(
            Waiting(
                order_id=str(number),
                terrain=terrain,
                lines=basket.lines,
                policy=basket.policy,
                plan=plan,
            )
        )
    rearrange(Window(now=NOW, orders=tuple(orders), left={}))


def _terrain() -> Terrain:
    """Six nodes with two services each."""
    names = [f"node-{n}" for n in range(6)]
    nodes = [
        Node(
            node_id=name,
            kind="store",
            time_zone="UTC",
            calendar_id="always",
            cut_off=time(14),
            handling_days=0,
            capabilities=("ship", "pickup"),
            handling_order_minor=50 + 10 * n,
            handling_unit_minor=5,
        )
        for n, name in enumerate(names)
    ]
    lanes = [
        Lane(
            node_id=name,
            service=service,
            tariff_id=f"{service}-{n % 2}",
            transit_days_min=days,
            transit_days_max=days,
        )
        for n, name in enumerate(names)
        for service, days in (("express", 1), ("standard", 3))
    ]
    tariffs = [
        Tariff(
            tariff_id=f"{service}-{zone}",
            brackets=tuple(
                Bracket(weight_grams_max=grams, price_minor=price + grams // 10 + 30 * zone)
                for grams in (1_000, 5_000)
            ),
        )
        for service, price in (("express", 500), ("standard", 300))
        for zone in range(2)
    ]
    calendars = [Calendar(calendar_id="always", weekdays=(1, 2, 3, 4, 5, 6, 7))]
    served = destination(nodes, lanes, calendars, tariffs, "UTC")
    return prepare(served, {name: n for n, name in enumerate(names)}, NOW)


def _basket(lines: int, units: int) -> Basket:
    """An order for two of each sku, of which each node has `units` of every other one."""
    skus = [f"sku-{i}" for i in range(lines)]
    asked = tuple(
        Line(line_id=sku, sku=sku, quantity=2, weight_grams=300 + 70 * i)
        for i, sku in enumerate(skus)
    )
    stock = {
        sku: (np.arange(i % 2, 6, 2), np.full(3, units, np.int64)) for i, sku in enumerate(skus)
    }
    return Basket(now=NOW, lines=asked, policy=Policy(), held=held(asked, stock))


if __name__ == "__main__":
    warm()
    warm_windows()
