"""Goals of a plan as a whole: what they measure and cost, where they forbid, and who finds that."""

from dataclasses import dataclass

import msgspec
import pytest

from routing.check import check
from routing.destination import body
from routing.explain import explain, replay
from routing.plan import Broken, Plan
from routing.plan_basket import plan_basket
from routing.problem import Goal, Measure, Policy, Problem, ProblemError
from routing.record import expand
from routing.solve import solve, validate
from tests.routing import small
from tests.routing.baskets import decided, on_terrain
from tests.routing.random_problems import goal_problem, random_problem

replace = msgspec.structs.replace


def case(*goals: Goal) -> Problem:
    """Two lines: a store far away has both, two near ones have one each and send sooner."""
    nodes = (
        small.node("depot", distance_km=500, groups=("far",)),
        small.node("north", distance_km=20),
        small.node("south", distance_km=30),
    )
    stocks = (
        small.stock("depot", "apple", 1),
        small.stock("depot", "bread", 1),
        small.stock("north", "apple", 1),
        small.stock("south", "bread", 1),
    )
    lanes = (
        small.lane("depot", days=3, co2_grams=900, co2_grams_per_kg=100),
        small.lane("north", co2_grams=50, co2_grams_per_kg=20),
        small.lane("south", co2_grams=50, co2_grams_per_kg=20),
    )
    wanted = small.TODAY
    lines = (
        small.line("a", "apple", requested_by=wanted),
        small.line("b", "bread", requested_by=wanted),
    )
    policy = Policy(goals=goals, time_limit_ms=5_000, lateness_minor=10)
    return small.problem(lines, nodes, stocks, lanes=lanes, policy=policy)


APART, TOGETHER = ["north", "south"], ["depot"]


@dataclass(frozen=True)
class Told:
    """What a measure comes to for both plans, by hand."""

    together: int
    apart: int


BY_HAND: dict[Measure, Told] = {
    # A parcel of 500, or two; handling 100 and 10 a unit; a split of 250; lines late by a date each.
    "cost_minor": Told(500 + 120 + 60, 1_000 + 220 + 250 + 20),
    "parcels_minor": Told(500, 1_000),
    "handling_minor": Told(120, 220),
    "delivery_days": Told(3, 1),
    "late_days": Told(6, 2),
    "fulfillments": Told(1, 2),
    "shipments": Told(1, 2),
    "distance_km": Told(500, 50),
    "co2_grams": Told(900 + 2 * 50, 2 * (50 + 10)),
    "group_units": Told(2, 0),
}


def nodes_of(plan: Plan) -> list[str]:
    """The nodes of a plan."""
    return [f.node_id for f in plan.fulfillments]


def goal(measure: Measure, **changes: int | None) -> Goal:
    """A goal of a measure, of the group of the depot where groups count."""
    names = ("far",) if measure == "group_units" else ()
    return replace(Goal(measure=measure, names=names), **changes)


@pytest.mark.parametrize("measure", BY_HAND)
def test_a_goal_measures_what_one_counts_by_hand(measure: Measure) -> None:
    """Without goals one parcel from the depot is cheapest; a dear goal of less drives it apart."""
    told = BY_HAND[measure]
    assert nodes_of(solve(case())) == TOGETHER
    best = min(told.together, told.apart)

    plan = solve(case(goal(measure, target=best, minor=10_000)))

    assert plan.broken == ()
    assert nodes_of(plan) == (TOGETHER if told.together == best else APART)
    for target in (told.together - 1, told.together, told.together + 1):
        if target < 0:
            continue
        problem = case(goal(measure, target=target, minor=3))
        plan = solve(problem)
        over = max(0, told.together - target)
        if nodes_of(plan) == TOGETHER:
            missed = (Broken(measure, None, 3 * over, told.together, target),)
            assert plan.broken == missed[: bool(over)]
            assert plan.prices.soft_minor == 3 * over
        assert check(problem, plan) == []


@pytest.mark.parametrize("measure", BY_HAND)
def test_a_limit_is_kept_even_if_units_are_short(measure: Measure) -> None:
    """The plan of nothing keeps every limit; the judge finds what does not."""
    told = BY_HAND[measure]
    limit = min(told.together, told.apart)
    strict, free = case(goal(measure, limit=limit)), solve(case())

    plan = solve(strict)

    assert plan.status == "optimal"
    assert check(strict, plan) == []
    if told.together > limit:
        assert nodes_of(plan) == APART
        assert "goal" in {each.rule for each in check(strict, free)}
    if limit:
        tight = case(goal(measure, limit=limit - 1))
        fewer = solve(tight)
        assert check(tight, fewer) == []
        assert fewer.shortfalls
        assert "goal" in {each.rule for each in check(tight, plan)}


@pytest.mark.parametrize("measure", BY_HAND)
def test_the_judge_finds_a_goal_that_is_not_told_or_told_wrongly(measure: Measure) -> None:
    """One mutation for each figure of each measure."""
    problem = case(goal(measure, minor=1))
    plan = solve(problem)
    (told,) = plan.broken or (None,)
    if told is None:
        # Nothing of a group is the cheapest already; the plan of another problem misses it.
        assert "prices" in {each.rule for each in check(problem, solve(case()))}
        return
    assert check(problem, plan) == []
    for wrong in (
        (),
        (replace(told, measured=(told.measured or 0) + 1),),
        (replace(told, target=1),),
        (replace(told, price_minor=told.price_minor + 1),),
        (replace(told, rule="weight"),),
        (told, told),
    ):
        assert "prices" in {each.rule for each in check(problem, replace(plan, broken=wrong))}
    less = replace(plan, prices=replace(plan.prices, soft_minor=0))
    assert "prices" in {each.rule for each in check(problem, less)}
    cheaper = plan.objective_minor - plan.prices.soft_minor
    found = check(problem, replace(plan, objective_minor=cheaper, bound_minor=cheaper))
    assert "objective" in {each.rule for each in found}


def test_a_price_is_for_every_so_many_and_parts_are_left_out() -> None:
    """1,000 g beyond 130 g, at 7 for every 200 g: 870 * 7 / 200 is 30.45."""
    plan = solve(case(Goal(measure="co2_grams", target=130, minor=7, per=200)))

    assert nodes_of(plan) == TOGETHER
    assert plan.broken == (Broken("co2_grams", None, 30, 1_000, 130),)


def test_more_parcels_than_wanted_each_cost_the_same() -> None:
    """The soft rule on parcels is a goal: five parcels, of which two are free."""
    names = [f"node-{n}" for n in range(5)]
    problem = small.problem(
        tuple(small.line(name, name) for name in names),
        tuple(small.node(name) for name in names),
        tuple(small.stock(name, name, 1) for name in names),
        policy=Policy(goals=(Goal(measure="shipments", target=2, minor=40),), time_limit_ms=5_000),
    )

    plan = solve(problem)

    assert plan.broken == (Broken("shipments", None, 3 * 40, 5, 2),)
    assert (plan.status, check(problem, plan)) == ("optimal", [])


def test_goals_that_are_met_cost_nothing_and_change_nothing() -> None:
    """The plan is that of the same order without them, bit for bit."""
    loose = [goal(name, target=100_000, limit=200_000, minor=50) for name in BY_HAND]

    assert solve(case(*loose)) == solve(case())


def test_a_basket_with_goals_gets_the_cheapest_plan_whichever_way_it_goes() -> None:
    """Goals that the cheapest plan without them meets change nothing, and must not slow it down.

    Such an order goes the short way, which the step that found its plan tells.
    """
    short_ways = 0
    for seed in range(20_200, 20_400):
        problem = random_problem(seed)
        goals = goal_problem(seed).policy.goals
        problem = replace(problem, policy=replace(problem.policy, goals=goals, time_limit_ms=9_000))
        terrain, asked = on_terrain(problem)

        planned = plan_basket(terrain, asked, 9_000)

        proven = solve(problem)
        assert check(problem, planned.plan) == [], seed
        assert planned.plan.status == proven.status == "optimal", seed
        assert planned.plan.objective_minor == proven.objective_minor, seed
        without = replace(problem.policy, goals=())
        free = plan_basket(terrain, replace(asked, policy=without), 9_000).plan
        if not planned.plan.broken and free.objective_minor == proven.objective_minor:
            assert replay(expand(planned.record, body(terrain.destination))) == planned.plan, seed
            short_ways += planned.plan == free
    assert short_ways > 50


def test_a_missed_goal_is_said_in_words_and_replayed_from_the_record() -> None:
    """From the record alone, with the goals that were in force."""
    for problem in (
        case(Goal(measure="delivery_days", target=2, minor=15)),
        case(Goal(measure="distance_km", target=0, limit=500, minor=1, per=10)),
        case(Goal(measure="group_units", names=("far",), minor=200)),
    ):
        decision = decided(problem)

        assert decision.plan == solve(problem)
        assert replay(decision) == decision.plan
        told = " ".join(explain(decision)["sentences"])
        assert "for goals that were missed" in told
        assert "with a goal of" in told
    assert "It comes to 2 units from nodes to be spared, with a goal of 0 units" in told


def test_decisions_of_random_orders_with_goals_are_replayed() -> None:
    """Records keep goals and what was seen; reading them again proves the same plan."""
    missed = 0
    for seed in range(20_000, 20_060):
        problem = goal_problem(seed)
        decision = decided(problem)

        assert check(problem, decision.plan) == [], seed
        assert replay(decision) == decision.plan, seed
        missed += any(each.node_id is None for each in decision.plan.broken)
    assert missed > 5


def test_an_order_without_time_still_gets_a_plan_within_the_limits() -> None:
    """What is not proven is not called so, and a limit is a limit."""
    for seed in range(20_100, 20_160):
        problem = goal_problem(seed)
        hurried = replace(problem, policy=replace(problem.policy, time_limit_ms=0))

        plan = solve(hurried)

        assert check(hurried, plan) == [], seed
        assert plan.bound_minor <= solve(problem).objective_minor <= plan.objective_minor, seed


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (Goal(measure="shipments", target=-1), "has the target -1; give 0 or more"),
        (Goal(measure="shipments", target=3, limit=2), "limit of 2 below its target 3"),
        (Goal(measure="shipments", minor=-5), "costs -5"),
        (Goal(measure="shipments", per=0), "priced per 0"),
        (Goal(measure="group_units"), "only group_units counts groups, and needs one"),
        (Goal(measure="co2_grams", names=("far",)), "only group_units counts groups"),
    ],
)
def test_goals_that_make_no_sense_are_refused(wrong: Goal, why: str) -> None:
    """Each with a sentence that says what to change."""
    with pytest.raises(ProblemError, match=why):
        validate(case(wrong))
    with pytest.raises(ProblemError, match="there are 11 goals; give at most 10"):
        validate(case(*[goal("shipments")] * 11))


def test_goals_are_proven_on_a_large_network() -> None:
    """Two hundred stores; prices on measures leave little to the exact model."""
    problem = wide()

    plan = solve(problem)

    assert plan.status == "optimal"
    assert check(problem, plan) == []


def wide() -> Problem:
    """Four lines and 200 stores that hold some of them, at all distances and prices."""
    names = [f"store-{n:03}" for n in range(200)]
    nodes = tuple(
        small.node(name, distance_km=(37 * n) % 400, handling_order_minor=60 + (53 * n) % 97)
        for n, name in enumerate(names)
    )
    lines = tuple(small.line(sku, sku) for sku in ("apple", "bread", "cheese", "dates"))
    stocks = tuple(
        small.stock(name, line.sku, 1)
        for n, name in enumerate(names)
        for i, line in enumerate(lines)
        if (n * 7 + i * 11) % 13 < 3
    )
    lanes = tuple(
        small.lane(name, days=1 + n % 4, co2_grams=100 + (71 * n) % 800)
        for n, name in enumerate(names)
    )
    goals = (
        Goal(measure="distance_km", target=60, minor=4),
        Goal(measure="co2_grams", target=300, limit=2_000, minor=30, per=100),
        Goal(measure="delivery_days", target=2, minor=100),
    )
    return small.problem(
        lines, nodes, stocks, lanes=lanes, policy=Policy(goals=goals, time_limit_ms=20_000)
    )
