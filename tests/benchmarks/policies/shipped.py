"""Prices as the service finds them: its own job on the orders of earlier periods, and its blend.

What the service reads from its records is put together from a world, and `services.prices.ahead`
does the rest: it draws a sample, decides its orders again by the optimizer and moves prices. They are
begun anew each time, as the service does.
"""

from collections.abc import Sequence

import numpy as np

from routing.hindsight_day import DayOrder
from routing.prices_ahead import Rooms
from routing.record import Asked as Recorded
from services.prices.ahead import Prices, Sample, Samples, priced
from services.settings import Settings
from tests.benchmarks.policies.forecast import RENEWALS, Belief, Rationing, from_day
from tests.benchmarks.policies.hindsight import Demand
from tests.benchmarks.policies.optimizer import NOW, TODAY, Ground, ground, line_of, on
from tests.benchmarks.policies.simulate import Running
from tests.benchmarks.policies.world import UNLIMITED, Floats, Ints, Network

ORDERS_MAX = 500
"""Orders between two renewals, about; at least `RENEWALS` times a period prices are found anew. The
service does so every hour."""


class Shipped(Rationing):
    """Rationing for walk-ins, and what the service says of orders to come.

    A place of a node on a day counts in full: how full the day is, which the service weighs it by, is
    left out.
    """

    def __init__(
        self, network: Network, known: Belief, weight: float, demands: Sequence[Demand]
    ) -> None:
        """Prices by a belief in walk-ins, and by orders of earlier periods."""
        super().__init__(known, weight)
        self.ground = ground(network)
        self.settings = settings_of(network)
        self.demands = demands
        orders = float(np.mean([len(each.zone) for each in demands]))
        self.renewals = max(RENEWALS, int(orders / ORDERS_MAX))
        self.worth: Floats = np.zeros((0, 0))
        self.places: Floats = np.zeros((0, 0))

    def renew(self, running: Running, day: int) -> None:
        """Prices for the rest of the period, on what is left."""
        if day % max(1, running.days // self.renewals) == 0:
            found = found_by(self.settings, self.ground, running, self.demands, day)
            self.worth = worth_of(found, self.ground, running)
            self.places = places_of(found, self.ground, running)

    def duals(self, skus: Ints) -> Floats:
        """Those of the last renewal."""
        return self.worth[skus]

    def surcharge_minor(self, _running: Running) -> Floats:
        """What a parcel costs beyond its money, `[N, D]`."""
        return self.places


def settings_of(network: Network) -> Settings:
    """The defaults, but for what a shortfall costs in a world, and time for all steps.

    On a machine that does nothing else they take a sixth of the time that they have by default.
    """
    return Settings(prices_short_minor=network.shortage_minor, prices_orders_s=3_600)


def found_by(
    settings: Settings, known: Ground, running: Running, demands: Sequence[Demand], day: int
) -> Prices:
    """What the service finds on a day by earlier periods' orders from that day on."""
    limit = settings.prices_orders_max // len(demands)
    samples = [
        sample_of(known, running, from_day(demand, day), (limit, number))
        for number, demand in enumerate(demands)
    ]
    rooms = rooms_of(running, day)
    return priced(settings, Samples(samples, known.numbers), rows_of(known, running), rooms)


def rooms_of(running: Running, day: int) -> dict[str, Rooms]:
    """What nodes with a limit can do from a day on, until nothing can be put off any further."""
    dates = tuple(on(each) for each in range(day, running.room.shape[1]))
    return {
        running.network.names[n]: Rooms(dates, tuple(running.room[n, day:].astype(float).tolist()))
        for n in np.flatnonzero(running.network.capacity < UNLIMITED).tolist()
    }


def rows_of(known: Ground, running: Running) -> list[tuple[str, str, int, int]]:
    """What is on the shelves, as the service reads it; nothing is due."""
    return [
        (running.network.names[n], known.skus[s], int(running.stock[s, n]), 0)
        for s, n in np.argwhere(running.stock > 0).tolist()
    ]


def sample_of(known: Ground, running: Running, demand: Demand, drawn: tuple[int, int]) -> Sample:
    """At most so many of the orders of a demand, by a lot of that number."""
    limit, lot = drawn
    count = len(demand.zone)
    chosen = np.random.default_rng(lot).permutation(count)[:limit]
    orders = []
    for order in chosen.tolist():
        skus = demand.skus[demand.starts[order] : demand.starts[order + 1]].tolist()
        lines = tuple(
            line_of(known.skus[s], i, int(running.network.grams[s]), int(demand.wish[order]))
            for i, s in enumerate(skus)
        )
        asked = Recorded(NOW, lines, known.policy, {}, {}, 0, is_weighed=False)
        orders.append(DayOrder(known.terrains[demand.zone[order]], asked, 0))
    # All are asked as of the same day.
    return Sample(NOW, orders, [], demand.day[chosen].tolist(), count)


def places_of(found: Prices, known: Ground, running: Running) -> Floats:
    """`[N, D]`: the prices of places."""
    places = np.zeros(running.room.shape)
    for node_id, minor in found.rooms.items():
        days = [(day - TODAY).days for day in minor]
        places[known.numbers[node_id], days] = list(minor.values())
    return places


def worth_of(found: Prices, known: Ground, running: Running) -> Floats:
    """`[S, N]`: the prices of units."""
    worth = np.zeros(running.stock.shape)
    numbers = {sku: s for s, sku in enumerate(known.skus)}
    for each in found.units:
        nodes = [known.numbers[node_id] for node_id in each.node_ids]
        worth[numbers[each.sku], nodes] = each.worth_minor
    return worth
