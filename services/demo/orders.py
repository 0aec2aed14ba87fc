"""Real baskets as orders: the same lines and quantities, in the order in which they were bought.

What the grocer does not know is drawn by seed, for each basket by itself, so that a longer replay
begins with exactly the orders of a shorter one: how it reaches the customer, where the customer
lives, whether a date is wished for and whether the order is confirmed in the end.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from itertools import accumulate
from random import Random
from typing import Literal

import msgspec
import numpy as np

from services.demo import places
from services.demo.grocer import Sales
from services.demo.network import DemoNetwork
from services.demo.places import City
from services.demo.sites import COUNTRY
from services.orders.request import AllocationRequest, Destination, RequestLine
from services.planning.records import Zone

Kind = Literal["delivery", "pickup", "mixed"]

KIND_SHARES: dict[Kind, float] = {"delivery": 0.6, "pickup": 0.2, "mixed": 0.2}
PICKED_UP_SHARE = 1 / 3
"""Chance of each line of a mixed basket to be picked up, beyond the first, which always is."""
DATED_SHARE = 0.3
"""Orders with shipped lines that wish for a date."""
WISHED_DAYS = (2, 5)
RELEASED_SHARE = 0.1
"""Orders that are released after the allocation instead of confirmed."""


class DemoOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One basket as it is sent to `POST /v1/allocations`, and what is done with it afterwards."""

    number: int = 0
    """Place in the replay, from 0."""
    kind: Kind
    request: AllocationRequest
    confirmed: bool
    """Whether the order is confirmed; released when not."""


class Baskets(msgspec.Struct, frozen=True):
    """Where each basket's lines begin and end in the sales, in time order."""

    starts: list[int]
    ends: list[int]


class Homes:
    """Where customers live: real cities, drawn by population."""

    def __init__(self, cities: list[City], zones: list[Zone]) -> None:
        """Find the zone of every city: the one whose center is nearest."""
        centers = np.array([(zone.latitude, zone.longitude) for zone in zones])
        nearest = places.distances_km(places.coordinates(cities), centers).argmin(axis=1)
        self.cities = cities
        self.people = list(accumulate(city.population for city in cities))
        self.codes = [postal_code(zones[index]) for index in nearest.tolist()]

    def draw(self, chance: Random) -> Destination:
        """Return one customer's address.

        The gazetteer has no postal codes, so the code is that of the center of the city's zone; the
        coordinates are the city's own.
        """
        index = chance.choices(range(len(self.cities)), cum_weights=self.people)[0]
        city = self.cities[index]
        return Destination(
            country=COUNTRY,
            postal_code=self.codes[index],
            latitude=city.latitude,
            longitude=city.longitude,
        )


def postal_code(zone: Zone) -> str:
    """Return a full postal code within a zone."""
    prefix = zone.postal_prefixes[0]
    return prefix + "00001"[len(prefix) :]


def baskets(sales: Sales) -> Baskets:
    """Return the baskets of sales that are in order of time and basket."""
    ids = sales.basket_ids
    starts = np.flatnonzero(np.r_[True, ids[1:] != ids[:-1]])
    return Baskets(starts.tolist(), [*starts[1:].tolist(), len(ids)])


def orders(network: DemoNetwork, count: int, today: date, *, run: str) -> Iterator[DemoOrder]:
    """Yield the first `count` baskets of the year as orders, in time order.

    Wished dates count from `today`, since the service takes no orders for the past. `run` makes the
    order ids of one replay its own, so that the same baskets can be sent to one service again.
    """
    homes = Homes(network.cities, network.zones)
    found = baskets(network.sales)
    for number in range(min(count, len(found.starts))):
        lines = slice(found.starts[number], found.ends[number])
        made = order(network, lines, homes, today, run)
        yield msgspec.structs.replace(made, number=number)


def order(network: DemoNetwork, lines: slice, homes: Homes, today: date, run: str) -> DemoOrder:
    """Return one basket as an order, not yet numbered."""
    sales = network.sales
    basket_id = int(sales.basket_ids[lines.start])
    store = f"store-{sales.store_ids[lines.start]}"
    chance = Random(f"{network.seed}-{basket_id}")  # noqa: S311 - wanted the same again
    skus, quantities = sales.product_ids[lines].tolist(), sales.quantities[lines].tolist()
    picked_up = draw_picked_up(chance, len(skus))
    wished = draw_wished(chance, today)
    destination = homes.draw(chance)
    return DemoOrder(
        kind=kind_of(picked_up),
        confirmed=chance.random() >= RELEASED_SHARE,
        request=AllocationRequest(
            order_id=f"{run}-{basket_id}",
            channel="web",
            destination=None if all(picked_up) else destination,
            lines=tuple(
                RequestLine(
                    line_id=str(index),
                    sku=str(sku),
                    quantity=quantity,
                    method="pickup" if here else "ship",
                    pickup_node=store if here else None,
                    requested_by=None if here else wished,
                )
                for index, (sku, quantity, here) in enumerate(
                    zip(skus, quantities, picked_up, strict=True), start=1
                )
            ),
        ),
    )


def draw_picked_up(chance: Random, lines: int) -> list[bool]:
    """Return for each line whether the customer collects it; a mixed basket has both ways."""
    kind = chance.choices(list(KIND_SHARES), list(KIND_SHARES.values()))[0]
    if kind == "pickup":
        return [True] * lines
    if kind == "delivery" or lines == 1:
        return [False] * lines
    drawn = [chance.random() < PICKED_UP_SHARE for _ in range(lines)]
    drawn[0], drawn[-1] = True, False
    return drawn


def kind_of(picked_up: list[bool]) -> Kind:
    """Return what a basket is, by which of its lines are picked up."""
    if all(picked_up):
        return "pickup"
    return "mixed" if any(picked_up) else "delivery"


def draw_wished(chance: Random, today: date) -> date | None:
    """Return the date by which shipped lines are wished for, if any."""
    if chance.random() >= DATED_SHARE:
        return None
    return today + timedelta(days=chance.randint(*WISHED_DAYS))
