"""The judge finds kits that are not whole, groups that are parted, and lines that are scattered."""

from collections.abc import Callable

import msgspec
import pytest

from routing.check import check
from routing.plan import Cost, FulfillmentLine, Plan, Shortfall
from routing.problem import Capacity, Component, Policy, Problem
from routing.solve import solve
from tests.routing import small

replace = msgspec.structs.replace


def case() -> tuple[Problem, Plan]:
    """Two kits and a line shared by both nodes, and two lines that go together from one."""
    kit = (Component("bolt", 2), Component("nut", 1))
    lines = (
        small.line("kit", "shelf", 2, components=kit),
        small.line("plate", "plate", together="set"),
        small.line("cup", "cup", 2, together="set"),
        small.line("spoon", "spoon", 3),
    )
    stocks = (
        small.stock("east", "bolt", 3),
        small.stock("east", "nut", 1),
        replace(small.stock("west", "bolt", 2), worth_minor=10),
        small.stock("west", "nut", 5),
        small.stock("west", "plate", 1),
        small.stock("west", "cup", 2),
        small.stock("east", "spoon", 2),
        small.stock("west", "spoon", 1),
    )
    policy = Policy(nodes_per_line_max=2, time_limit_ms=5_000)
    nodes = small.node("east"), small.node("west")
    problem = small.problem(lines, nodes, stocks, policy=policy)
    return problem, solve(problem)


def test_a_right_plan_breaks_no_rule() -> None:
    """Kits count as one, their components are what is taken, handled and worth something."""
    problem, plan = case()

    assert check(problem, plan) == []
    assert [f.node_id for f in plan.fulfillments] == ["east", "west"]
    assert plan.shortfalls == ()
    assert [f.weight_grams for f in plan.fulfillments] == [1_500, 2_500]
    assert plan.fulfillments[0].cost.handling_minor == 100 + 10 * (2 + 1 + 2)
    assert plan.prices.worth_minor == 2 * 10


def parts(plan: Plan, node: int, change: Callable[[FulfillmentLine], FulfillmentLine]) -> Plan:
    """The plan with all parts of a fulfillment changed, those of no units left out."""
    f = plan.fulfillments[node]
    lines = tuple(part for part in map(change, f.lines) if part.quantity)
    made = [*plan.fulfillments]
    made[node] = replace(f, lines=lines)
    return replace(plan, fulfillments=tuple(made))


def counted(sku: str, quantity: int) -> Callable[[FulfillmentLine], FulfillmentLine]:
    """A change that takes so many units of a sku."""
    return lambda part: replace(part, quantity=quantity) if part.sku == sku else part


def moved(plan: Plan, sku: str) -> Plan:
    """The plan with all of a sku at west sent from east."""
    east, west = plan.fulfillments
    there = tuple(part for part in west.lines if part.sku == sku)
    rest = tuple(part for part in west.lines if part.sku != sku)
    both = replace(east, lines=east.lines + there), replace(west, lines=rest)
    return replace(plan, fulfillments=both)


def short(plan: Plan, **units: int) -> Plan:
    """The plan with units short by line."""
    return replace(
        plan,
        shortfalls=tuple(Shortfall(line_id=name, quantity=n) for name, n in units.items()),
    )


MUTATIONS: dict[str, tuple[str, Callable[[Plan], Plan]]] = {
    "a kit without a component": ("kit", lambda p: parts(p, 0, counted("nut", 0))),
    "a kit with too few of a component": ("kit", lambda p: parts(p, 0, counted("bolt", 1))),
    "a kit with too many of a component": ("kit", lambda p: parts(p, 0, counted("bolt", 3))),
    "a kit with something else": (
        "shape",
        lambda p: parts(p, 0, lambda n: replace(n, sku="plate") if n.sku == "nut" else n),
    ),
    "a kit sent as if it were one piece": (
        "shape",
        lambda p: parts(p, 0, lambda n: replace(n, sku="shelf") if n.sku == "nut" else n),
    ),
    "a kit from two nodes": ("kit", lambda p: moved(p, "nut")),
    "half a kit short": ("balance", lambda p: short(parts(p, 0, counted("nut", 0)), kit=2)),
    "pieces short instead of kits": (
        "balance",
        lambda p: short(
            parts(p, 0, lambda n: replace(n, quantity=0) if n.line_id == "kit" else n), kit=3
        ),
    ),
    "a kit handled as one piece": (
        "cost",
        lambda p: replace(
            p,
            fulfillments=(
                replace(
                    p.fulfillments[0],
                    cost=Cost(
                        parcels_minor=p.fulfillments[0].cost.parcels_minor,
                        handling_minor=130,
                        total_minor=p.fulfillments[0].cost.parcels_minor + 130,
                    ),
                ),
                p.fulfillments[1],
            ),
        ),
    ),
    "a kit worth nothing": (
        "prices",
        lambda p: replace(p, prices=replace(p.prices, worth_minor=0)),
    ),
    "a group from two nodes": ("together", lambda p: moved(p, "plate")),
    "a group of which one line is short": (
        "together",
        lambda p: short(parts(p, 1, counted("plate", 0)), plate=1),
    ),
    "a group of which one unit is short": (
        "together",
        lambda p: short(parts(p, 1, counted("cup", 1)), cup=1),
    ),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_plan_that_breaks_up_what_belongs_together_is_found(name: str) -> None:
    """One mutation per way to do so."""
    problem, plan = case()
    rule, mutate = MUTATIONS[name]

    rules = {violation.rule for violation in check(problem, mutate(plan))}

    assert rule in rules, rules


def line_changed(problem: Problem, line_id: str, **changes: object) -> Problem:
    """The problem with one line changed."""
    lines = tuple(replace(n, **changes) if n.line_id == line_id else n for n in problem.lines)
    return replace(problem, lines=lines)


def units_left(problem: Problem, remaining: int) -> Problem:
    """The problem with a capacity of both nodes in units."""
    full = (Capacity(work_on=small.TODAY, remaining=remaining, unit="units"),)
    return replace(problem, nodes=tuple(replace(n, capacity=full) for n in problem.nodes))


PROBLEMS: dict[str, tuple[str, Callable[[Problem], Problem]]] = {
    "another kit": (
        "kit",
        lambda p: line_changed(p, "kit", components=(Component("bolt", 2), Component("nut", 2))),
    ),
    "a kit of one more": (
        "kit",
        lambda p: line_changed(
            p, "kit", components=(*p.lines[0].components, Component("washer", 1))
        ),
    ),
    "no kit at all": ("shape", lambda p: line_changed(p, "kit", components=())),
    "lines that were free": ("together", lambda p: line_changed(p, "spoon", together="set")),
    "kits that go with others": ("together", lambda p: line_changed(p, "kit", together="set")),
    "a line that may not be shared": (
        "nodes_per_line_max",
        lambda p: replace(p, policy=replace(p.policy, nodes_per_line_max=1)),
    ),
    "components that a capacity counts": ("capacity", lambda p: units_left(p, 4)),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_plan_for_lines_that_belong_together_otherwise_is_found(name: str) -> None:
    """One mutation per rule of the problem that the plan then breaks."""
    problem, plan = case()
    rule, mutate = PROBLEMS[name]

    rules = {violation.rule for violation in check(mutate(problem), plan)}

    assert rule in rules, rules
