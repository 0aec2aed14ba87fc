"""A seeded network of 457 sparse stores and 6 warehouses, and baskets of a chosen length.

Popular skus are in many stores, rare ones in few, as in a grocer's real sales; warehouses carry
half of the skus each. Distances are drawn on a map, tariffs go by distance.
"""

import math
from bisect import bisect_left
from datetime import UTC, datetime, time

import numpy as np

from routing.problem import (
    Bracket,
    Calendar,
    Lane,
    Line,
    Node,
    Policy,
    Problem,
    Stock,
    Tariff,
)

SKUS = 20_000
LIMITS_GRAMS = (1_000, 2_000, 5_000, 10_000, 20_000, 31_500)
FACTORS = (1.0, 1.15, 1.5, 1.9, 2.5, 3.2)
ZONE_KM = (240, 970, 2_250)
BASES_MINOR = (620, 740, 890, 1_150)
ZONES = (
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
)
WEEK = Calendar(calendar_id="week", weekdays=(1, 2, 3, 4, 5, 6))


class Network:
    """Nodes on a map with the stock of every sku, all drawn from one seed."""

    def __init__(self, seed: int, stores: int = 457, warehouses: int = 6) -> None:
        self.chance = np.random.default_rng(seed)
        self.count = stores + warehouses
        self.places = self.chance.random((self.count, 2)) * (4_000, 2_000)
        popularity = 1 / np.arange(1, SKUS + 1) ** 0.85
        self.popularity = popularity / popularity.sum()
        sizes = np.minimum(2_300, self.chance.lognormal(math.log(330), 1.0, stores))
        held = 1 - np.exp(-sizes[:, None] * 2.2 * self.popularity)
        self.stock = np.zeros((self.count, SKUS), np.int64)
        self.stock[:stores] = (self.chance.random(held.shape) < held) * self.chance.integers(
            1, 5, held.shape
        )
        carried = self.chance.random((warehouses, SKUS)) < 0.5
        self.stock[stores:] = carried * 500
        self.weights = np.round(self.chance.lognormal(math.log(450), 0.7, SKUS)).astype(int)
        self.nodes = tuple(self._node(n, stores) for n in range(self.count))
        self.tariffs = tuple(
            Tariff(
                tariff_id=f"zone-{zone}",
                brackets=tuple(
                    Bracket(weight_grams_max=limit, price_minor=round(base * factor))
                    for limit, factor in zip(LIMITS_GRAMS, FACTORS, strict=True)
                ),
            )
            for zone, base in enumerate(BASES_MINOR)
        )

    def _node(self, n: int, stores: int) -> Node:
        store = n < stores
        return Node(
            node_id=f"store-{n:03}" if store else f"warehouse-{n - stores}",
            kind="store" if store else "warehouse",
            time_zone=ZONES[3 - int(self.places[n][0] // 1_000)],
            calendar_id="week",
            cut_off=time(15) if store else time(18),
            handling_days=1 if store else 0,
            capabilities=("ship", "pickup"),
            handling_order_minor=int(self.chance.choice((120, 150, 180))) if store else 60,
            handling_unit_minor=int(self.chance.choice((30, 40, 50))) if store else 15,
        )

    def problem(self, seed: int, lines: int, policy: Policy) -> Problem:
        """A basket of popular skus, 80 % of lines for one unit, for a place on the map."""
        chance = np.random.default_rng(seed)
        chosen = chance.choice(SKUS, lines, replace=False, p=self.popularity)
        quantities = np.where(chance.random(lines) < 0.8, 1, chance.integers(2, 5, lines))
        place = chance.random(2) * (4_000, 2_000)
        distances = np.hypot(*(self.places - place).T)
        zones = [bisect_left(ZONE_KM, km) for km in distances.tolist()]
        rows, columns = np.nonzero(self.stock[:, chosen])
        return Problem(
            now=datetime(2026, 5, 12, 14, 30, tzinfo=UTC),
            destination_time_zone=ZONES[3 - int(place[0] // 1_000)],
            lines=tuple(
                Line(
                    line_id=f"{i:03}",
                    sku=f"sku-{sku}",
                    quantity=int(quantities[i]),
                    weight_grams=int(self.weights[sku]),
                )
                for i, sku in enumerate(chosen)
            ),
            nodes=self.nodes,
            stock=tuple(
                Stock(
                    node_id=self.nodes[n].node_id,
                    sku=f"sku-{chosen[i]}",
                    available=int(self.stock[n, chosen[i]]),
                )
                for n, i in zip(rows.tolist(), columns.tolist(), strict=True)
            ),
            lanes=self._lanes(zones),
            calendars=(WEEK,),
            tariffs=self.tariffs,
            policy=policy,
        )

    def _lanes(self, zones: list[int]) -> tuple[Lane, ...]:
        return tuple(
            Lane(
                node_id=node.node_id,
                service="standard",
                tariff_id=f"zone-{zone}",
                transit_days_min=1 + zone // 2,
                transit_days_max=1 + zone,
                calendar_id="week",
            )
            for node, zone in zip(self.nodes, zones, strict=True)
        )
