"""Baskets built to trap rules, and to trap whoever looks at one order alone.

Each trap has skus and zones of its own, so that each order falls into the trap meant for it:

- *decoy*: one distant node has the whole basket, two near ones have a part each and cost less;
- *cover*: one node has four of six lines, and whoever takes them first needs two more parcels,
  where two other nodes of three lines each would have done;
- *crumbs*: the nearest nodes have one line each, one a little farther has all;
- *greed*: a node is a little cheaper for one kind of basket, and the only near one for another; its
  stock is enough for the second kind alone.

Parameters were written down before any policy was run on them.
"""

import numpy as np

from tests.benchmarks.policies.world import (
    NO_WISH,
    UNLIMITED,
    Events,
    Ints,
    Network,
    Period,
    World,
    of_rows,
)

Chance = np.random.Generator

COPIES = 6
"""Of each trap, with prices and skus of its own."""
ORDERS = 1_500
"""Expected in a period."""
DAYS = 10
PLENTY, SCARCE = 10_000, 0.9
"""Stock where it is not the trap; and as a share of the demand that has no second choice."""
NEAR, MIDDLE, FAR = (400, 450), (520, 600), (1_100, 1_400)
"""Ranges of prices of a parcel."""
SPLIT_MINOR, SHORTAGE_MINOR, GRAMS, GRAMS_MAX = 50, 5_000, 500, 10_000

PARCELS: dict[str, tuple[tuple[tuple[int, int], tuple[int, ...]], ...]] = {
    "decoy": ((FAR, (0, 1)), (NEAR, (0,)), (NEAR, (1,))),
    "cover": ((NEAR, (1, 2, 3, 4)), (NEAR, (0, 1, 2)), (NEAR, (3, 4, 5))),
    "crumbs": ((NEAR, (0,)), (NEAR, (1,)), (NEAR, (2,)), (MIDDLE, (0, 1, 2, 3))),
}
"""Nodes of a trap: the range of its parcels' price, and what it has of the basket."""
BASKETS = {"decoy": 2, "cover": 6, "crumbs": 4}


def traps_world(seed: int) -> World:
    """All traps, mixed; the past and what is told have the same kinds as often."""
    place, past, now, told = (np.random.default_rng([seed, 20 + part]) for part in range(4))
    kinds, network, stock = _drawn(place)
    return World(
        name="traps",
        network=network,
        days=DAYS,
        period=Period(stock, _events(kinds, now)),
        past=tuple(Period(stock, _events(kinds, past)) for _ in range(3)),
        walk_in_rates=np.zeros(stock.shape),
        told=tuple(Period(stock, _events(kinds, told)) for _ in range(20)),
    )


class Drawing:
    """A network being drawn, trap by trap."""

    def __init__(self, chance: Chance) -> None:
        """Begin with nothing."""
        self.chance = chance
        self.prices: list[dict[int, int]] = []
        self.stock: list[dict[int, int]] = []
        self.kinds: list[tuple[int, tuple[int, ...]]] = []
        self.zones = 0
        self.skus = 0

    def node(self, prices: dict[int, tuple[int, int]], stock: dict[int, int]) -> None:
        """A node with a range of prices by zone, and units by sku."""
        drawn = {zone: int(self.chance.integers(*each)) for zone, each in prices.items()}
        self.prices.append(drawn)
        self.stock.append(stock)

    def basket(self, zone: int, skus: tuple[int, ...]) -> None:
        """A kind of order."""
        self.kinds.append((zone, skus))

    def simple(self, name: str) -> None:
        """A trap for rules."""
        for price, has in PARCELS[name]:
            self.node({self.zones: price}, {self.skus + i: PLENTY for i in has})
        self.basket(self.zones, tuple(self.skus + i for i in range(BASKETS[name])))
        self.zones, self.skus = self.zones + 1, self.skus + BASKETS[name]

    def greed(self, each: float) -> None:
        """A trap for the myopic: zone b has no second choice near by, zone a has."""
        a, b, sku = self.zones, self.zones + 1, self.skus
        self.node({a: NEAR, b: NEAR}, {sku: round(SCARCE * each)})
        self.node({a: MIDDLE, b: FAR}, {sku: PLENTY})
        self.basket(a, (sku,))
        self.basket(b, (sku,))
        self.zones, self.skus = self.zones + 2, self.skus + 1


def _drawn(chance: Chance) -> tuple[list[tuple[int, tuple[int, ...]]], Network, Ints]:
    """Kinds of orders, all as frequent; the network; stock `[S, N]`."""
    drawing = Drawing(chance)
    each = ORDERS / (COPIES * (len(PARCELS) + 2))
    for _ in range(COPIES):
        for name in PARCELS:
            drawing.simple(name)
        drawing.greed(each)
    nodes = len(drawing.prices)
    tariff = np.full((nodes, drawing.zones), -1)
    tariffs: list[tuple[tuple[int, int], ...]] = []
    for n, prices in enumerate(drawing.prices):
        for zone, minor in prices.items():
            tariff[n, zone] = len(tariffs)
            tariffs.append(((GRAMS_MAX, minor),))
    stock = np.zeros((drawing.skus, nodes), np.int64)
    for n, units in enumerate(drawing.stock):
        for sku, count in units.items():
            stock[sku, n] = count
    return drawing.kinds, _network(tuple(tariffs), tariff, drawing.skus), stock


def _network(tariffs: tuple[tuple[tuple[int, int], ...], ...], tariff: Ints, skus: int) -> Network:
    """What costs what: parcels and splits alone."""
    nodes = len(tariff)
    free = np.zeros(nodes, np.int64)
    return Network(
        tariffs=tariffs,
        tariff=tariff,
        days=np.ones(tariff.shape, np.int64),
        order_minor=free,
        unit_minor=free,
        capacity=np.full(nodes, UNLIMITED),
        stores=np.zeros(nodes, np.bool_),
        grams=np.full(skus, GRAMS),
        value_minor=np.zeros(skus, np.int64),
        split_minor=SPLIT_MINOR,
        lateness_minor=0,
        shortage_minor=SHORTAGE_MINOR,
        names=tuple(f"node-{n:03}" for n in range(nodes)),
    )


def _events(kinds: list[tuple[int, tuple[int, ...]]], chance: Chance) -> Events:
    """Orders of all kinds, mixed."""
    count = chance.poisson(ORDERS)
    chosen = chance.integers(0, len(kinds), count).tolist()
    at = chance.uniform(0, DAYS, count).tolist()
    return of_rows(
        [(when, -1, kinds[k][0], NO_WISH, kinds[k][1]) for when, k in zip(at, chosen, strict=True)]
    )
