"""What a strategy leaves out, and what it only has a price for."""

import pytest

from routing.check import check
from routing.explain import explain, replay, why_not
from routing.plan import Broken
from routing.problem import Policy, Problem, ProblemError, Soft
from routing.solve import solve, validate
from tests.routing import small
from tests.routing.baskets import decided

replace = small.replace


def case(**policy: object) -> Problem:
    """A lamp at an outlet nearby, at a store farther away, and at a depot across the country."""
    nodes = (
        small.node("depot", "warehouse", distance_km=900, handling_order_minor=300),
        small.node("outlet", groups=("outlet", "north"), distance_km=10),
        small.node("store", groups=("north",), distance_km=80, handling_order_minor=200),
    )
    return small.problem(
        (small.line("a", "lamp"),),
        nodes,
        tuple(small.stock(node.node_id, "lamp", 1) for node in nodes),
        lanes=tuple(
            small.lane(node.node_id, service=service, days=days)
            for node in nodes
            for service, days in (("express", 1), ("standard", 3))
        ),
        policy=replace(Policy(time_limit_ms=5_000), **policy),
    )


CASES: dict[str, tuple[dict[str, object], str, str, str]] = {
    "groups that take no part": (
        {"groups_never": ("outlet",)},
        "store",
        "outlet",
        "belongs to no group of nodes that the strategy wants, or to one it does not want",
    ),
    "the only groups that do": (
        {"groups_only": ("elsewhere", "north")},
        "outlet",
        "depot",
        "group",
    ),
    "a radius": ({"radius_km": 5}, "", "store", "is farther from the destination than"),
    "services": ({"services": ("sled",)}, "", "depot", "no carrier service that the strategy"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_a_strategy_does_not_want_is_left_out_and_said(name: str) -> None:
    """A planner who asks why the outlet was not used reads which rule it was."""
    policy, chosen, other, why = CASES[name]
    problem = case(**policy)
    validate(problem)

    decision = decided(problem)

    assert decision.plan == solve(problem)
    assert [f.node_id for f in decision.plan.fulfillments] == [chosen][: bool(chosen)]
    assert check(problem, decision.plan) == []
    assert replay(decision) == decision.plan
    assert why in why_not(decision, other)


@pytest.mark.parametrize("rule", ["groups_never", "groups_only", "radius_km", "services"])
def test_the_judge_finds_a_node_or_service_that_is_not_wanted(rule: str) -> None:
    """One mutation for each filter: the plan of a strategy that has none of them."""
    wanted = {
        "groups_never": ("outlet",),
        "groups_only": ("south",),
        "radius_km": 5,
        "services": ("standard",),
    }
    plan = solve(case())
    assert (plan.fulfillments[0].node_id, plan.fulfillments[0].service) == ("outlet", "express")

    assert rule in {each.rule for each in check(case(**{rule: wanted[rule]}), plan)}


def test_a_distance_that_nobody_knows_is_near_enough() -> None:
    """A node without a place is not lost because a strategy has a radius."""
    problem = case(radius_km=5)
    nodes = tuple(replace(node, distance_km=None) for node in problem.nodes)

    assert solve(replace(problem, nodes=nodes)).fulfillments[0].node_id == "outlet"


def test_what_is_collected_comes_from_any_distance() -> None:
    """The radius is for parcels to the door; who wants to drive there may."""
    problem = case(radius_km=5)
    line = replace(problem.lines[0], methods=("pickup",), pickup_node="store")

    assert solve(replace(problem, lines=(line,))).fulfillments[0].node_id == "store"


def test_a_soft_rule_is_kept_where_that_is_cheaper_and_broken_where_it_is_not() -> None:
    """The outlet is worth avoiding for a little, not for a lot."""
    for price, chosen in ((50, "outlet"), (150, "store")):
        soft = Soft(rule="groups_never", names=("outlet",), minor=price)
        problem = case(soft=(soft,))
        decision = decided(problem)
        plan = decision.plan

        assert plan == solve(problem)
        assert check(problem, plan) == []
        assert plan.fulfillments[0].node_id == chosen
        broken = (Broken("groups_never", "outlet", 50),) if chosen == "outlet" else ()
        assert plan.broken == broken
        assert plan.prices.soft_minor == sum(each.price_minor for each in broken)
        assert plan.cost == solve(case(groups_never=("outlet",) * (chosen == "store"))).cost
        told = " ".join(explain(decision)["sentences"])
        assert ("0.50 for rules that were broken" in told) == (chosen == "outlet")


def test_rules_of_distance_and_service_have_prices_too() -> None:
    """Each fulfillment pays for each rule that it breaks."""
    soft = (
        Soft(rule="radius_km", radius_km=5, minor=7),
        Soft(rule="services", names=("standard",), minor=30),
        Soft(rule="services", names=("sled",), minor=2),
    )
    problem = case(soft=soft)

    plan = solve(problem)

    assert [each.rule for each in plan.broken] == ["radius_km", "services"]
    assert (plan.fulfillments[0].service, plan.prices.soft_minor) == ("standard", 9)
    assert check(problem, plan) == []
    for wrong in (
        replace(plan, broken=()),
        replace(plan, prices=replace(plan.prices, soft_minor=0)),
        replace(plan, objective_minor=plan.objective_minor - 1),
    ):
        assert check(problem, wrong)


def test_prices_and_distances_below_zero_are_refused() -> None:
    """A rule that pays for being broken would be broken on purpose."""
    below = Soft(rule="radius_km", minor=-1)
    for policy in ({"radius_km": -1}, {"co2_minor_per_kg": -1}, {"soft": (below,)}):
        with pytest.raises(ProblemError, match="-1"):
            validate(case(**policy))
