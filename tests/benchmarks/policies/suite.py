"""What is run: which policies in which worlds, and what becomes of each."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import NamedTuple

import msgspec
import numpy as np

from routing.prices_chosen import chosen_weight
from tests.benchmarks.policies.forecast import (
    SCENARIOS,
    Belief,
    Blend,
    Free,
    Prices,
    Rationing,
    belief,
    learned,
)
from tests.benchmarks.policies.hindsight import Demand, demand_of, hindsight
from tests.benchmarks.policies.jasin_sinha import jasin_sinha_world
from tests.benchmarks.policies.joint import Joint
from tests.benchmarks.policies.kinds import Kind, counted, duals_of, expected
from tests.benchmarks.policies.omni import WORLDS, omni_world
from tests.benchmarks.policies.optimizer import Optimizer
from tests.benchmarks.policies.policies import Exact, Rule
from tests.benchmarks.policies.shipped import Shipped
from tests.benchmarks.policies.simulate import (
    Outcome,
    Policy,
    asked_for,
    begin,
    books,
    simulate,
)
from tests.benchmarks.policies.traps import traps_world
from tests.benchmarks.policies.world import Period, World, online
from tests.benchmarks.policies.year import year_world

MAKERS: Mapping[str, Callable[[int], World]] = {
    **{name: (lambda seed, name=name: omni_world(name, seed)) for name in WORLDS},  # type: ignore[misc]
    "jasin-sinha": jasin_sinha_world,
    "traps": traps_world,
    "year": year_world,
}
STEPS = {"omni": 40, "online": 30, "peak": 40, "towns": 200, "waves": 30}
"""Of the hindsight bound."""
YEAR = "year"
RECURRING = {"jasin-sinha", "traps"}
"""Worlds in which the same few kinds of orders come again and again."""
TELLING = {"omni", "towns", "jasin-sinha"}
"""Worlds in which the best policy is also run with the true demand."""
WINDOWED = {"peak", "waves"}
"""Worlds in which orders wait for a release and are rearranged."""
WEIGHTS = (0.25, 0.5, 0.75, 1.0, 1.25)
"""Of rationing, tried beside 0 on the last periods of the past."""
VALIDATED = 4
NOT_SETTLED = 1e9
"""In place of a distance from above where none is known."""
BOUND_GAP = 1e-5
MYOPIC, BEST, TOLD = "optimum", "prices, learned", "prices, told"
SHIPPED, SHIPPED_TOLD = "service, learned", "service, told"


class Ran(msgspec.Struct, frozen=True):
    """One policy in one world of one seed."""

    world: str
    seed: int
    policy: str
    total_minor: int
    online_minor: int
    orders: int
    split: int
    late: int
    short: int
    walk_ins: int
    lost: int
    p50_us: float
    p99_us: float


class Bounded(msgspec.Struct, frozen=True):
    """The bound of one world of one seed."""

    world: str
    seed: int
    bound_minor: float
    gap: float
    """Distance from an estimate from above, as a share; `NOT_SETTLED` where there is none."""


def names_of(world: str) -> list[str]:
    """The policies that are run in a world, in the order of the report."""
    found = ["nearest", "fewest splits", MYOPIC]
    found += ["rationing, learned"] * (world in {"omni", "towns", "peak"})
    found += [BEST] + [TOLD] * (world in TELLING)
    found += [SHIPPED] + [SHIPPED_TOLD] * (world in TELLING - RECURRING)
    return found + ["window", "window at prices", "window, prices, learned"] * (world in WINDOWED)


def run(name: str, seed: int, left_out: Collection[str] = ()) -> Iterator[Ran | Bounded]:
    """Run the policies of a world but those left out, and find its bound unless some are."""
    world = MAKERS[name](seed)
    if not left_out:
        yield bounded(world, seed)
    made = policies(world)
    for policy in names_of(name):
        if policy in left_out:
            continue
        outcome, _ = simulate(
            world.network, world.period, world.days, made[policy](), world.releases
        )
        yield ran(world.name, seed, policy, outcome)


def policies(world: World) -> dict[str, Callable[[], Policy]]:
    """All policies on a world, each made when its turn comes."""
    known = forecast(world, world.past)
    rationing = Rationing(known.belief, known.weight)
    return {
        "nearest": lambda: Rule(nearest=True),
        "fewest splits": lambda: Rule(nearest=False),
        MYOPIC: lambda: Optimizer(world.network, Free()),
        "rationing, learned": lambda: Optimizer(world.network, rationing),
        BEST: lambda: Optimizer(world.network, known.prices()),
        TOLD: lambda: Optimizer(world.network, told_truly(world, known).prices()),
        SHIPPED: lambda: Optimizer(world.network, shipped(world, known)),
        SHIPPED_TOLD: lambda: Optimizer(world.network, shipped(world, told_truly(world, known))),
        "window": lambda: Joint(world.network, Free()),
        "window at prices": lambda: Joint(world.network, Free(), known.prices()),
        "window, prices, learned": lambda: Joint(world.network, known.prices()),
    }


class Forecast(NamedTuple):
    """What is expected of a period."""

    belief: Belief
    weight: float
    """Of the chance that a walk-in comes, by what it was worth in the past."""
    demands: tuple[Demand, ...]
    """Orders of past periods that stand for those to come."""
    kinds: dict[Kind, float]
    """Orders of each kind in a period, where the same kinds come again and again; else empty."""

    def prices(self) -> Blend:
        """Prices by this forecast."""
        return Blend(self.belief, self.weight, self.demands, self.kinds)


def forecast(world: World, past: tuple[Period, ...]) -> Forecast:
    """What the books of some periods say, which went as they do without prices."""
    demands = tuple(demand_of(each.events, *each.stock.shape) for each in past)
    if world.name in RECURRING:
        return Forecast(belief(world.walk_in_rates), 1.0, (), expected(demands))
    ended = [simulate(world.network, each, world.days, fast(world, Free())) for each in past]
    known = [books(running) for _, running in ended]
    weight = 1.0
    if any(each.sold.any() for each in known):
        held_out = VALIDATED if len(past) > VALIDATED + 1 else 1
        earlier = learned(world.network, known[:-held_out])
        free = [float(outcome.total_minor) for outcome, _ in ended[-held_out:]]
        costs = {
            each: tested(world, past[-held_out:], Rationing(earlier, each)) for each in WEIGHTS
        }
        weight = chosen_weight({0.0: free, **costs})
    return Forecast(learned(world.network, known), weight, demands[-SCENARIOS:], {})


def shipped(world: World, known: Forecast) -> Shipped:
    """What the service says by the same books; it knows no kinds of orders."""
    past = (demand_of(each.events, *each.stock.shape) for each in world.past[-SCENARIOS:])
    return Shipped(world.network, known.belief, known.weight, known.demands or tuple(past))


def told_truly(world: World, known: Forecast) -> Forecast:
    """The same forecast with the true rates, and orders never seen in place of the oldest."""
    if world.name in RECURRING:
        return forecast(world, world.told)
    told = tuple(demand_of(each.events, *each.stock.shape) for each in world.told)
    demands = (*known.demands, *told)[-SCENARIOS:]
    return known._replace(belief=belief(world.walk_in_rates), demands=demands)


def tested(world: World, past: tuple[Period, ...], prices: Prices) -> list[float]:
    """What past periods would have cost at some prices."""
    runs = [simulate(world.network, each, world.days, fast(world, prices)) for each in past]
    return [float(outcome.total_minor) for outcome, _ in runs]


def fast(world: World, prices: Prices) -> Policy:
    """The cheapest plans at some prices; real baskets are too long to look at all plans."""
    return Optimizer(world.network, prices) if world.name == YEAR else Exact(prices)


def bounded(world: World, seed: int) -> Bounded:
    """The hindsight bound of a world: a linear program over kinds where they recur."""
    if world.name == YEAR:
        return Bounded(world.name, seed, free_bound(world), NOT_SETTLED)
    if world.name not in RECURRING:
        found = hindsight(world.network, world.period, world.days, STEPS[world.name])
        return Bounded(world.name, seed, found.bound_minor, found.gap)
    start = begin(world.network, world.period, world.days)
    demand = demand_of(world.period.events, *world.period.stock.shape)
    solved = duals_of(start.table, world.period.stock, counted(demand), gap=BOUND_GAP)
    return Bounded(world.name, seed, solved.bound_minor, solved.gap)


def free_bound(world: World) -> float:
    """What a period costs where every order has all the opening stock to itself.

    The bound at prices of nothing: real baskets are too long for more.
    """
    start = begin(world.network, world.period, world.days)
    events, stock = world.period.events, world.period.stock
    optimizer = Optimizer(world.network, Free())
    alone = [
        optimizer.plan(start, asked_for(events, event), float(events.at_days[event])).bound_minor
        for event in online(events).tolist()
    ]
    over = (demand_of(events, *stock.shape).walk_ins - stock).clip(0)
    return float(sum(alone)) + float((over * world.network.value_minor[:, None]).sum())


def ran(world: str, seed: int, policy: str, outcome: Outcome) -> Ran:
    """An outcome as a row."""
    p50, p99 = np.percentile(outcome.times_us, (50, 99)).tolist()
    return Ran(
        world=world,
        seed=seed,
        policy=policy,
        total_minor=outcome.total_minor,
        online_minor=outcome.online_minor,
        orders=outcome.orders,
        split=outcome.split,
        late=outcome.late,
        short=outcome.short,
        walk_ins=outcome.walk_ins,
        lost=outcome.lost,
        p50_us=p50,
        p99_us=p99,
    )
