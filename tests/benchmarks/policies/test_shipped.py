"""What the service says a unit is worth is what the benchmark says, for the same orders and stock."""

import msgspec
import numpy as np
import pytest

from routing.prices_stepwise import Stepping, reach_minor
from services.prices.ahead import Samples, priced
from services.settings import Settings
from tests.benchmarks.policies import hindsight
from tests.benchmarks.policies.exact import Asked, State, cheapest, money
from tests.benchmarks.policies.forecast import from_day
from tests.benchmarks.policies.hindsight import Demand, demand_of
from tests.benchmarks.policies.omni import Omni, omni_world
from tests.benchmarks.policies.optimizer import ground
from tests.benchmarks.policies.shipped import (
    places_of,
    rooms_of,
    rows_of,
    sample_of,
    settings_of,
    worth_of,
)
from tests.benchmarks.policies.simulate import Running, begin
from tests.benchmarks.policies.world import Floats, World

LITTLE = Omni(
    warehouses=2,
    stores=12,
    zones=5,
    skus=40,
    days=3,
    orders_a_day=25.0,
    walk_ins_a_day=50.0,
    past_periods=3,
    warehouse_parcels=20,
    store_parcels=2,
    # Of one line: the service takes an order as a whole where it weighs waiting, and of several lines
    # some may change parcels at no cost, so that plans differ.
    basket=(1.0,),
)


def without_ties(world: World) -> World:
    """The same in thousandths, and no two nodes alike: of plans that cost the same either is right."""
    network, chance = world.network, np.random.default_rng(1)
    nodes = len(network.order_minor)
    return world._replace(
        network=network._replace(
            tariffs=tuple(tuple((g, 1_000 * p) for g, p in each) for each in network.tariffs),
            order_minor=1_000 * network.order_minor + chance.integers(0, 20_000, nodes),
            unit_minor=1_000 * network.unit_minor + chance.integers(0, 20_000, nodes),
            split_minor=1_000 * network.split_minor,
            lateness_minor=1_000 * network.lateness_minor,
            shortage_minor=1_000 * network.shortage_minor,
        )
    )


def reach_of(running: Running, demand: Demand) -> float:
    """How far a first step goes: by what every order costs alone."""
    table, costs = running.table, []
    for order in range(len(demand.zone)):
        skus = demand.skus[demand.starts[order] : demand.starts[order + 1]]
        asked = Asked(skus, int(demand.zone[order]), 0, int(demand.wish[order]))
        free = np.zeros((len(skus), running.stock.shape[1]))
        everywhere = np.full((len(running.room), 1), 1_000)
        state = State(running.stock[skus], everywhere, free, np.zeros((len(running.room), 1)))
        made = cheapest(table, state, asked)
        costs.append(money(table, asked, made.nodes, made.days)[0])
    return reach_minor(costs)


def by_benchmark(world: World, settings: Settings) -> tuple[Floats, Floats]:
    """The benchmark's mean prices of units and of places, with the service's steps."""
    running = begin(world.network, world.period, world.days)
    nothing = np.zeros(len(running.stock), np.int64)
    found = []
    for period in world.past:
        demand = from_day(demand_of(period.events, *running.stock.shape), 0)
        stepping = Stepping(settings.prices_steps, reach_of(running, demand), whole=True)
        limits = running.stock, running.room
        found.append(hindsight.priced(running.table, nothing, demand, limits, stepping))
    worth = np.mean([each.worth for each in found], axis=0)
    return np.rint(worth), np.rint(np.mean([each.surcharge for each in found], axis=0))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_service_and_the_benchmark_find_the_same_prices(seed: int) -> None:
    """One decides by the optimizer, the other looks at all plans; what moves prices is one function."""
    world = without_ties(omni_world("peak", seed, LITTLE))
    settings = msgspec.structs.replace(settings_of(world.network), prices_periods=3)
    known, running = ground(world.network), begin(world.network, world.period, world.days)
    demands = [demand_of(each.events, *running.stock.shape) for each in world.past]
    samples = [sample_of(known, running, from_day(each, 0), (500, 0)) for each in demands]
    rooms = rooms_of(running, 0)
    found = priced(settings, Samples(samples, known.numbers), rows_of(known, running), rooms)
    worth, places = by_benchmark(world, settings)
    assert (worth > 0).sum() > 20
    assert worth_of(found, known, running).tolist() == worth.tolist()
    assert (places > 0).any()
    assert places_of(found, known, running).tolist() == places.tolist()
