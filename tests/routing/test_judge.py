"""The judge finds every rule that is broken on purpose, and nothing in a right plan."""

import re
from collections.abc import Callable
from datetime import date, time, timedelta
from pathlib import Path

import msgspec
import pytest

from routing.check import check
from routing.plan import Broken, Cost, Fulfillment, Plan, Promise, Shortfall
from routing.problem import Capacity, CapacityUnit, Policy, Problem, Supply
from routing.solve import solve
from tests.routing import small

replace = msgspec.structs.replace


def case() -> tuple[Problem, Plan]:
    """A problem whose plan ships from two nodes, hands over at a third and uses supply."""
    supply = (Supply(supply_id="po-1", available_on=small.TODAY + timedelta(days=2), quantity=5),)
    lines = (
        small.line("a", "apple", 2, requested_by=small.TODAY),
        small.line("b", "bread"),
        small.line("c", "cheese", methods=("pickup",), pickup_node="shop"),
        small.line("d", "dates", requires=("hazmat",)),
    )
    hazmat = ("ship", "pickup", "hazmat")
    nodes = (
        small.node("east", capacity=(Capacity(work_on=small.TODAY, remaining=1),)),
        small.node("shop"),
        small.node("west", capabilities=hazmat, surcharge_minor=40),
    )
    stocks = (
        replace(small.stock("east", "apple", 2), worth_minor=30),
        replace(small.stock("shop", "cheese", 3), risk_minor=7),
        replace(small.stock("west", "bread", 0), supply=supply),
        small.stock("west", "dates", 1),
    )
    policy = Policy(backorder=True, shipments_max=3, time_limit_ms=5_000)
    problem = small.problem(lines, nodes, stocks, policy=policy)
    return problem, solve(problem)


def test_a_right_plan_breaks_no_rule() -> None:
    """Otherwise the mutations below would prove nothing."""
    problem, plan = case()

    assert check(problem, plan) == []
    assert [f.node_id for f in plan.fulfillments] == ["east", "shop", "west"]
    assert plan.cost.lateness_minor > 0


def changed(plan: Plan, node_id: str, **changes: object) -> Plan:
    """The plan with the fulfillment of a node changed."""
    return replace(
        plan,
        fulfillments=tuple(
            replace(f, **changes) if f.node_id == node_id else f for f in plan.fulfillments
        ),
    )


def moved(plan: Plan, node_id: str, other: str) -> Plan:
    """The plan with the fulfillment of a node ascribed to another."""
    return replace(
        plan,
        fulfillments=tuple(
            replace(f, node_id=other) if f.node_id == node_id else f for f in plan.fulfillments
        ),
    )


def part(plan: Plan, node_id: str, **changes: object) -> Plan:
    """The plan with the first line of a node's fulfillment changed."""
    f = next(f for f in plan.fulfillments if f.node_id == node_id)
    return changed(plan, node_id, lines=(replace(f.lines[0], **changes), *f.lines[1:]))


def twice(plan: Plan) -> Plan:
    """The plan with its first fulfillment repeated."""
    return replace(plan, fulfillments=(*plan.fulfillments, plan.fulfillments[0]))


def beyond(plan: Plan, **changes: int) -> Plan:
    """The plan with other prices beyond money."""
    return replace(plan, prices=replace(plan.prices, **changes))


def later(day: Promise) -> Promise:
    """A promise a day later."""
    return replace(day, latest=day.latest + timedelta(days=1))


def east(plan: Plan) -> Fulfillment:
    """The fulfillment at east."""
    return plan.fulfillments[0]


PLANS: dict[str, tuple[str, Callable[[Plan], Plan]]] = {
    "the same fulfillment twice": ("shape", twice),
    "a node nobody knows": ("shape", lambda p: moved(p, "east", "north")),
    "a service the node lacks": ("shape", lambda p: changed(p, "east", service="rocket")),
    "a pickup by carrier": ("shape", lambda p: changed(p, "shop", service="standard")),
    "a fulfillment of nothing": ("shape", lambda p: changed(p, "east", lines=())),
    "a line nobody ordered": ("shape", lambda p: part(p, "east", line_id="z")),
    "another sku than ordered": ("shape", lambda p: part(p, "east", sku="bread")),
    "no units": ("shape", lambda p: part(p, "east", quantity=0)),
    "a shortfall of nothing": (
        "shape",
        lambda p: replace(p, shortfalls=(Shortfall(line_id="a", quantity=0),)),
    ),
    "fewer units than ordered": ("balance", lambda p: part(p, "east", quantity=1)),
    "more units than ordered": ("balance", lambda p: part(p, "shop", quantity=2)),
    "a unit both taken and short": (
        "balance",
        lambda p: replace(p, shortfalls=(Shortfall(line_id="b", quantity=1),)),
    ),
    "units that are not there": ("stock", lambda p: part(p, "east", quantity=3)),
    "supply nobody expects": ("stock", lambda p: part(p, "west", supply_id="po-2")),
    "supply before it comes": ("stock", lambda p: part(p, "west", available_on=small.TODAY)),
    "on hand on another day": ("stock", lambda p: part(p, "east", available_on=date(2026, 5, 1))),
    "a pickup line shipped": (
        "method",
        lambda p: changed(p, "shop", method="ship", service="standard", pickup_node=None),
    ),
    "work on a date already past": (
        "work date",
        lambda p: changed(p, "east", work_on=small.TODAY - timedelta(days=1)),
    ),
    "goods sent before they come": (
        "work date",
        lambda p: changed(p, "west", work_on=small.TODAY + timedelta(days=1)),
    ),
    "a wrong ship_by": (
        "ship_by",
        lambda p: changed(p, "east", ship_by=east(p).ship_by + timedelta(minutes=1)),
    ),
    "a wrong promise": (
        "promise",
        lambda p: changed(p, "east", promise=later(east(p).promise)),
    ),
    "a wrong weight": ("cost", lambda p: changed(p, "east", weight_grams=1)),
    "a wrong fulfillment cost": ("cost", lambda p: changed(p, "east", cost=Cost())),
    "a wrong order cost": ("cost", lambda p: replace(p, cost=replace(p.cost, split_minor=0))),
    "a wrong objective": (
        "objective",
        lambda p: replace(
            p, objective_minor=p.objective_minor - 1, bound_minor=p.objective_minor - 1
        ),
    ),
    "delay that is not told": ("prices", lambda p: beyond(p, delay_minor=0)),
    "a shortage nobody has": ("prices", lambda p: beyond(p, shortage_minor=1)),
    "worth that is not told": ("prices", lambda p: beyond(p, worth_minor=0)),
    "worth told as risk": (
        "prices",
        lambda p: beyond(p, worth_minor=0, risk_minor=p.prices.risk_minor + 60),
    ),
    "risk that is not told": ("prices", lambda p: beyond(p, risk_minor=0)),
    "a surcharge that is not told": ("prices", lambda p: beyond(p, surcharge_minor=0)),
    "emissions nobody prices": ("prices", lambda p: beyond(p, emissions_minor=1)),
    "a soft rule nobody set": (
        "prices",
        lambda p: replace(p, broken=(Broken("near", None, 5),)),
    ),
    "prices that are money": (
        "cost",
        lambda p: replace(p, cost=replace(p.cost, handling_minor=p.cost.handling_minor + 60)),
    ),
    "a bound above the objective": (
        "bound",
        lambda p: replace(p, bound_minor=p.objective_minor + 1),
    ),
    "a proof that is none": ("status", lambda p: replace(p, bound_minor=p.objective_minor - 1)),
    "a proof that is denied": ("status", lambda p: replace(p, status="feasible")),
}


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_changed_for_the_worse_is_found(name: str) -> None:
    """One mutation per rule about the plan itself."""
    problem, plan = case()
    rule, mutate = PLANS[name]

    rules = {violation.rule for violation in check(problem, mutate(plan))}

    assert rule in rules, rules


def node_changed(problem: Problem, node_id: str, **changes: object) -> Problem:
    """The problem with one node changed."""
    nodes = tuple(replace(n, **changes) if n.node_id == node_id else n for n in problem.nodes)
    return replace(problem, nodes=nodes)


def line_changed(problem: Problem, line_id: str, **changes: object) -> Problem:
    """The problem with one line changed."""
    lines = tuple(replace(n, **changes) if n.line_id == line_id else n for n in problem.lines)
    return replace(problem, lines=lines)


def stock_changed(problem: Problem, sku: str, **changes: object) -> Problem:
    """The problem with the stock of a sku changed."""
    stock = tuple(replace(s, **changes) if s.sku == sku else s for s in problem.stock)
    return replace(problem, stock=stock)


def policy_changed(problem: Problem, **changes: object) -> Problem:
    """The problem with another policy."""
    return replace(problem, policy=replace(problem.policy, **changes))


def full(remaining: int, unit: CapacityUnit) -> tuple[Capacity, ...]:
    """A capacity of today."""
    return (Capacity(work_on=small.TODAY, remaining=remaining, unit=unit),)


PROBLEMS: dict[str, tuple[str, Callable[[Problem], Problem]]] = {
    "orders at a node that is full": (
        "capacity",
        lambda p: node_changed(p, "east", capacity=full(0, "orders")),
    ),
    "units beyond a node's capacity": (
        "capacity",
        lambda p: node_changed(p, "east", capacity=full(1, "units")),
    ),
    "a node that may not ship": ("capability", lambda p: node_changed(p, "east", capabilities=())),
    "a node that may not handle the item": (
        "capability",
        lambda p: node_changed(p, "west", capabilities=("ship",)),
    ),
    "a pickup elsewhere": ("pickup", lambda p: line_changed(p, "c", pickup_node="east")),
    "a method the customer excluded": (
        "method",
        lambda p: line_changed(p, "b", methods=("pickup",), pickup_node="west"),
    ),
    "supply although nobody asked for backorders": (
        "backorder",
        lambda p: policy_changed(p, backorder=False),
    ),
    "more shipments than allowed": ("shipments_max", lambda p: policy_changed(p, shipments_max=1)),
    "units later than they were promised before": (
        "promised_by",
        lambda p: line_changed(p, "a", promised_by=small.TODAY),
    ),
    "an order after the cut-off": (
        "work date",
        lambda p: node_changed(p, "east", cut_off=time(8)),
    ),
    "a node closed on the work date": (
        "calendar",
        lambda p: replace(p, calendars=(replace(small.ALWAYS, holidays=(small.TODAY,)),)),
    ),
    "another split price": ("cost", lambda p: policy_changed(p, split_minor=1)),
    "another lateness price": ("cost", lambda p: policy_changed(p, lateness_minor=1)),
    "another delay price": ("objective", lambda p: policy_changed(p, delay_minor=1)),
    "another worth": ("prices", lambda p: stock_changed(p, "apple", worth_minor=31)),
    "another risk": ("prices", lambda p: stock_changed(p, "cheese", risk_minor=8)),
    "risk of units that had none": (
        "objective",
        lambda p: stock_changed(p, "bread", risk_minor=1),
    ),
    "another surcharge": ("prices", lambda p: node_changed(p, "west", surcharge_minor=0)),
    "a surcharge on a pickup": ("objective", lambda p: node_changed(p, "shop", surcharge_minor=9)),
    "another tariff": (
        "cost",
        lambda p: replace(p, lanes=tuple(replace(n, tariff_id="far") for n in p.lanes)),
    ),
    "another transit time": (
        "promise",
        lambda p: replace(p, lanes=tuple(replace(n, transit_days_max=4) for n in p.lanes)),
    ),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_plan_for_another_problem_is_found(name: str) -> None:
    """One mutation per rule of the problem that the plan then breaks."""
    problem, plan = case()
    rule, mutate = PROBLEMS[name]

    rules = {violation.rule for violation in check(mutate(problem), plan)}

    assert rule in rules, rules


def test_every_rule_of_the_judge_is_broken_on_purpose_somewhere() -> None:
    """A rule that no mutation breaks might as well not be there."""
    here = Path(__file__).parent
    judged = "".join(file.read_text() for file in here.parents[1].glob("routing/check*.py"))
    names = ("test_judge.py", "test_judge_bundles.py", "test_filters.py", "test_goals.py")
    broken = "".join((here / name).read_text() for name in names)

    rules = set(re.findall(r'Violation\(\s*"([a-z_ ]+)"', judged))

    assert len(rules) > 25
    assert [rule for rule in sorted(rules) if f'"{rule}"' not in broken] == []


def test_a_partial_plan_of_an_order_that_must_be_complete_is_found() -> None:
    """ship_complete is everything or nothing."""
    problem, plan = case()
    short = replace(
        plan,
        fulfillments=plan.fulfillments[:2],
        shortfalls=(Shortfall(line_id="b", quantity=1), Shortfall(line_id="d", quantity=1)),
    )

    rules = {v.rule for v in check(policy_changed(problem, ship_complete=True), short)}

    assert "ship_complete" in rules
