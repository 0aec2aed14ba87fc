"""The benchmark of policies measures what it says: small worlds on which every part is checked."""

from collections.abc import Callable

import numpy as np
import pytest

from tests.benchmarks.policies.exact import SHIFT_MAX, Asked, State, cheapest, money
from tests.benchmarks.policies.forecast import Blend, Free, Rationing, belief, learned
from tests.benchmarks.policies.hindsight import Demand, demand_of, hindsight
from tests.benchmarks.policies.joint import Joint
from tests.benchmarks.policies.kinds import counted, duals_of
from tests.benchmarks.policies.omni import WORLDS as OMNI
from tests.benchmarks.policies.omni import Omni, omni_world
from tests.benchmarks.policies.optimizer import Optimizer
from tests.benchmarks.policies.picture import draw
from tests.benchmarks.policies.policies import Exact, Rule
from tests.benchmarks.policies.report import told, written
from tests.benchmarks.policies.simulate import (
    Policy,
    Running,
    asked_for,
    begin,
    books,
    simulate,
)
from tests.benchmarks.policies.suite import BEST, MYOPIC, TOLD, Bounded, forecast, policies, ran
from tests.benchmarks.policies.traps import traps_world
from tests.benchmarks.policies.world import Floats, Ints, World, online

SMALL = Omni(
    warehouses=2,
    stores=12,
    zones=5,
    skus=40,
    days=4,
    orders_a_day=25.0,
    walk_ins_a_day=50.0,
    past_periods=3,
)
CROWDED = Omni(
    warehouses=2,
    stores=12,
    zones=5,
    skus=40,
    days=4,
    orders_a_day=40.0,
    walk_ins_a_day=30.0,
    past_periods=3,
    warehouse_parcels=8,
    store_parcels=1,
)
WORLDS: dict[str, Callable[[int], World]] = {
    "omni": lambda seed: omni_world("omni", seed, SMALL),
    "peak": lambda seed: omni_world("peak", seed, CROWDED),
    "traps": traps_world,
}


class Priced(Free):
    """Prices drawn at random, in whole minor units."""

    def __init__(self, world: World) -> None:
        """Draw them for a world."""
        chance = np.random.default_rng(7)
        self.worth = chance.integers(0, 900, world.period.stock.shape).astype(float)
        self.worth[chance.random(self.worth.shape) < 0.3] = 0

    def worth_minor(self, _running: Running, asked: Asked, _at_days: float) -> Floats:
        """What was drawn."""
        return self.worth[asked.skus]


@pytest.mark.parametrize("name", ["omni", "peak"])
def test_no_policy_beats_the_bound(name: str) -> None:
    """A bound that can be beaten is no bound, and every share of a gap would be made up."""
    world = WORLDS[name](1)
    bound = hindsight(world.network, world.period, world.days, 30)
    world = world._replace(told=world.past)
    made = {policy: make() for policy, make in policies(world).items()}
    made["hindsight"] = Exact(Priced(world))
    for policy in made.values():
        outcome, _ = simulate(world.network, world.period, world.days, policy)
        assert outcome.total_minor >= bound.bound_minor
    assert bound.estimate_minor >= bound.bound_minor


def test_the_bound_of_a_few_kinds_is_met_by_program_and_prices_alike() -> None:
    """Two ways to the same number: the linear program over whole orders, and moving prices."""
    world = traps_world(2)
    start = begin(world.network, world.period, world.days)
    demand = demand_of(world.period.events, *world.period.stock.shape)
    solved = duals_of(start.table, world.period.stock, counted(demand), gap=1e-5)
    moved = hindsight(world.network, world.period, world.days, 60)
    assert solved.bound_minor == pytest.approx(solved.cost_minor, rel=1e-4)
    assert moved.bound_minor <= solved.cost_minor + 1
    assert moved.bound_minor == pytest.approx(solved.bound_minor, rel=0.01)
    for policy in (Rule(nearest=True), Rule(nearest=False), Optimizer(world.network, Free())):
        outcome, _ = simulate(world.network, world.period, world.days, policy)
        assert outcome.total_minor >= solved.bound_minor - 1


@pytest.mark.parametrize("name", ["omni", "traps"])
def test_the_optimizer_and_a_look_at_all_plans_agree_order_by_order(name: str) -> None:
    """The judge is independent of the judged: same least sum of money and prices every time."""
    world = WORLDS[name](3)
    prices = Priced(world)
    optimizer = Optimizer(world.network, prices)
    running, events = begin(world.network, world.period, world.days), world.period.events
    running.stock[np.random.default_rng(5).random(running.stock.shape) < 0.4] = 0
    for event in online(events)[:150].tolist():
        asked = asked_for(events, event)
        state = State(
            running.stock[asked.skus],
            running.room,
            prices.worth_minor(running, asked, 0.0),
            prices.surcharge_minor(running),
        )
        made = cheapest(running.table, state, asked)
        plan = optimizer.plan(running, asked, 0.0)
        assert plan.status == "optimal"
        assert plan.objective_minor == round(made.priced)
        paid, _, _ = money(running.table, asked, *optimizer.decide(running, asked, 0.0))
        assert paid == plan.cost.total_minor


@pytest.mark.parametrize("policy", [Rule(nearest=True), Rule(nearest=False), Exact(Free())])
def test_units_are_sold_sent_or_still_there(policy: Policy) -> None:
    """A simulator that makes or loses stock would pay some policies for nothing."""
    world = omni_world("peak", 4, CROWDED)
    outcome, running = simulate(world.network, world.period, world.days, policy)
    events = world.period.events
    lines = sum(len(asked_for(events, event).skus) for event in online(events).tolist())
    sent = world.period.stock.sum() - running.stock.sum() - running.sold.sum()
    assert sent == lines - outcome.short
    assert running.sold.sum() == outcome.walk_ins - outcome.lost
    assert (running.stock >= 0).all()
    assert (running.room >= 0).all()


def test_orders_rearranged_before_their_release_are_sent_once_and_no_later() -> None:
    """A move gives back what it took before; a unit or a day gained on paper is none."""
    jammed = CROWDED._replace(
        orders_a_day=200.0, days=2, past_periods=1, warehouse_parcels=40, store_parcels=3
    )
    world = omni_world("peak", 3, jammed)
    joint = Joint(world.network, Free())
    promised: list[tuple[Asked, Ints, Ints]] = []
    moved = joint.release

    def release(running: Running) -> list[tuple[Ints, Ints] | None]:
        waiting, found = joint.waiting, moved(running)
        for each, other in zip(waiting, found, strict=True):
            if other is not None:
                promised.append(
                    (
                        each.asked,
                        latest(world, each.asked, each.sent),
                        latest(world, each.asked, other),
                    )
                )
        return found

    joint.release = release  # type: ignore[method-assign]
    outcome, running = simulate(world.network, world.period, world.days, joint)
    events = world.period.events
    lines = sum(len(asked_for(events, event).skus) for event in online(events).tolist())
    sent = world.period.stock.sum() - running.stock.sum() - running.sold.sum()
    assert sent == lines - outcome.short
    assert promised
    assert all((after <= before).all() for _, before, after in promised)


def latest(world: World, asked: Asked, sent: tuple[Ints, Ints]) -> Ints:
    """The day on which each line is there."""
    nodes, days = sent
    found: Ints = days + world.network.days[nodes, asked.zone]
    return found


class Cheat:
    """Sends everything from node 0 today, whether it is there or not."""

    def renew(self, _running: Running, _day: int) -> None:
        """Nothing to do."""

    def decide(self, _running: Running, asked: Asked, _at_days: float) -> tuple[Ints, Ints]:
        """The same for every order."""
        return np.zeros(len(asked.skus), np.int64), np.full(len(asked.skus), asked.day)


def test_a_plan_that_takes_what_is_not_there_is_refused() -> None:
    """A policy that sells the same unit twice would win every comparison."""
    world = omni_world("omni", 1, SMALL)
    with pytest.raises(ValueError, match="node 0 has"):
        simulate(world.network, world.period, world.days, Cheat())


def test_the_same_seed_gives_the_same_figures() -> None:
    """Whoever repeats the benchmark has to get the same table."""
    totals = []
    for _ in range(2):
        world = omni_world("peak", 6, CROWDED)
        policy = Optimizer(world.network, forecast(world, world.past).prices())
        totals.append(simulate(world.network, world.period, world.days, policy)[0].total_minor)
    assert totals[0] == totals[1]
    assert omni_world("peak", 7, CROWDED).period.stock.sum() != world.period.stock.sum()


def test_prices_of_orders_to_come_are_the_mean_over_earlier_periods() -> None:
    """One period's orders are an accident: a sku that nobody happened to ask for is not worthless."""
    world = omni_world("peak", 5, CROWDED)
    demands = [demand_of(each.events, *each.stock.shape) for each in world.past]
    known = belief(world.walk_in_rates)

    def priced(*chosen: Demand) -> Blend:
        """Prices by some periods, on the opening stock."""
        found = Blend(known, 1.0, chosen, {})
        found.renew(begin(world.network, world.period, world.days), 0)
        return found

    every = priced(*demands)
    alone = [priced(each) for each in demands]
    assert every.worth == pytest.approx(np.mean([each.worth for each in alone], axis=0))
    assert every.surcharge == pytest.approx(np.mean([each.surcharge for each in alone], axis=0))
    assert (every.worth > 0).sum() > max((each.worth > 0).sum() for each in alone)
    assert forecast(world, world.past).demands[-1].zone.tolist() == demands[-1].zone.tolist()


def test_no_weight_is_no_price() -> None:
    """Where prices lost in the past, orders are decided as if there were none."""
    world = omni_world("omni", 2, SMALL)
    known = belief(world.walk_in_rates)
    priced, _ = simulate(world.network, world.period, world.days, Exact(Rationing(known, 0.0)))
    free, _ = simulate(world.network, world.period, world.days, Exact(Free()))
    assert priced.total_minor == free.total_minor


def test_who_knows_the_demand_pays_less_than_who_looks_at_one_order() -> None:
    """True prices have to help, or the worlds have nothing to find."""
    towns = omni_world("towns", 2, OMNI["towns"]._replace(past_periods=1))
    traps = traps_world(1)
    rationed = Exact(Rationing(belief(towns.walk_in_rates)))
    duals = Exact(forecast(traps, traps.told[:2]).prices())
    for world, policy in ((towns, rationed), (traps, duals)):
        paid, _ = simulate(world.network, world.period, world.days, policy)
        free, _ = simulate(world.network, world.period, world.days, Exact(Free()))
        assert paid.total_minor < 0.97 * free.total_minor


def test_what_is_learned_from_books_is_near_the_truth() -> None:
    """Sales are cut short by empty shelves; rates must not be."""
    world = omni_world("omni", 3, SMALL)
    ended = [simulate(world.network, each, world.days, Exact(Free()))[1] for each in world.past]
    found = learned(world.network, [books(running) for running in ended]).rates
    shown = world.walk_in_rates > 0
    assert found[shown].sum() == pytest.approx(world.walk_in_rates.sum(), rel=0.25)
    assert np.corrcoef(found[shown], world.walk_in_rates[shown])[0, 1] > 0.6


def test_an_order_that_can_wait_leaves_today_to_others() -> None:
    """Capacity has a price by day: without a wish the cheaper day is taken, with one it is not."""
    world = omni_world("peak", 1, CROWDED)

    class Dear(Free):
        """Sending today costs more than lateness."""

        def surcharge_minor(self, running: Running) -> Floats:
            """A price on the first day alone."""
            found = np.zeros(running.room.shape)
            found[:, 0] = 10_000
            return found

    optimizer = Optimizer(world.network, Dear())
    running = begin(world.network, world.period, world.days)
    sku = int(running.stock.sum(axis=1).argmax())
    _, days = optimizer.decide(running, Asked(np.array([sku]), 0, 0, -1), 0.0)
    assert 0 < days[0] <= SHIFT_MAX


def test_the_report_tells_each_policy_beside_the_optimum_per_order() -> None:
    """The table is what people read: paired figures, intervals and the verdict on targets."""
    rows, bounds = [], []
    for seed in (1, 2, 3):
        world = omni_world("omni", seed, SMALL)
        found = hindsight(world.network, world.period, world.days, 30)
        bounds.append(Bounded("omni", seed, found.bound_minor, 0.001))
        made = policies(world)
        for name in (MYOPIC, "fewest splits", BEST, TOLD):
            outcome, _ = simulate(world.network, world.period, world.days, made[name]())
            rows.append(ran("omni", seed, name, outcome))
    base, best = told(rows, bounds, "omni", MYOPIC), told(rows, bounds, "omni", BEST)
    assert base.change == base.closed == 0
    assert best.low <= best.change <= best.high
    text, picture = written(rows, bounds), draw(rows, bounds)
    assert f"| {BEST} |" in text
    assert "closes at least 40 % of the gap" in text
    assert picture.startswith("<svg")
    assert picture.count("<rect") == 1 + len({row.policy for row in rows})
