"""The store that receives what another node sends is paid for its work like for a pickup."""

import random
from collections.abc import Callable

import pytest

from routing.basket import seen
from routing.candidates import choose, look
from routing.check import check
from routing.cost import total_cost
from routing.explain import replay
from routing.gather import gather
from routing.plan import Plan
from routing.plan_basket import plan_basket
from routing.problem import Component, Goal, Policy, Problem
from routing.solve import solve, validate
from routing.whatif import changes
from tests.routing import small
from tests.routing.baskets import decided, on_terrain
from tests.routing.exhaustive import cheapest
from tests.routing.random_problems import any_problem, goal_problem, random_problem

replace = small.replace
SENDS = ("ship", "ship_to_store")
TO_SHOP = ("pickup", "ship_to_store")
TILL = "till"
PATIENT_MS = 10_000


def paid(problem: Problem, node_id: str, order_minor: int, unit_minor: int) -> Problem:
    """The problem in which one node is paid so much for an order and for a unit."""
    nodes = tuple(
        replace(node, handling_order_minor=order_minor, handling_unit_minor=unit_minor)
        if node.node_id == node_id
        else node
        for node in problem.nodes
    )
    return replace(problem, nodes=nodes)


def case(**changed: object) -> Problem:
    """Two lamps for the shop, which has none; the depot is paid 100 and 10 a unit for its part."""
    given = small.problem(
        (small.line("a", "lamp", 2, methods=TO_SHOP, pickup_node="shop"),),
        (small.node("depot", "warehouse", capabilities=SENDS), small.node("shop")),
        (small.stock("depot", "lamp", 4),),
        lanes=(small.lane("depot", to_node="shop"), small.lane("depot", service="post")),
    )
    return paid(replace(given, **changed), "shop", 130, 7)


def test_the_store_that_receives_is_paid_as_if_the_goods_were_its_own() -> None:
    """It unpacks, shelves and hands over, and that is no less work than to pick from its shelf."""
    problem = case()
    own = replace(problem, stock=(small.stock("shop", "lamp", 4),))

    (sent,) = solve(problem).fulfillments
    (shelf,) = solve(own).fulfillments

    assert shelf.cost.handling_minor == 130 + 2 * 7
    assert sent.cost.handling_minor == (100 + 2 * 10) + (130 + 2 * 7)
    assert sent.cost.parcels_minor == 500
    decision = decided(problem)
    assert decision.plan == replay(decision) == solve(problem)


def test_a_kit_is_handled_piece_by_piece_at_both_ends() -> None:
    """Three pieces are three to pick, and three to put behind the counter."""
    lines = case().lines
    kit = replace(lines[0], quantity=1, components=(Component("lamp", 1), Component("bulb", 2)))
    stocks = small.stock("depot", "lamp", 1), small.stock("depot", "bulb", 2)
    problem = case(lines=(kit,), stock=stocks)

    plan = solve(problem)

    assert check(problem, plan) == []
    assert plan.cost.handling_minor == (100 + 3 * 10) + (130 + 3 * 7)


def door_or_counter() -> Problem:
    """A lamp to be sent to the door, or 300 cheaper to the shop; a day of waiting costs nothing."""
    line = small.line("a", "lamp", methods=("ship", "ship_to_store"), pickup_node="shop")
    lanes = small.lane("depot", to_node="shop"), small.lane("depot", tariff_id="dear")
    dear, free = replace(small.FAR, tariff_id="dear"), Policy(delay_minor=0)
    dear = replace(dear, brackets=(replace(dear.brackets[0], price_minor=800),))
    return case(lines=(line,), lanes=lanes, tariffs=(small.NEAR, dear), policy=free)


def test_receiving_decides_between_the_door_and_the_counter() -> None:
    """The parcel to the shop is 300 cheaper, until the shop is paid more than that for it."""
    problem = door_or_counter()

    for order_minor, unit_minor, method in (
        (299, 0, "ship_to_store"),
        (301, 0, "ship"),
        (290, 9, "ship_to_store"),
        (290, 11, "ship"),
    ):
        asked = paid(problem, "shop", order_minor, unit_minor)
        for plan in (solve(asked), decided(asked).plan):
            assert [f.method for f in plan.fulfillments] == [method]
            assert check(asked, plan) == []


def test_a_goal_for_handling_counts_what_the_store_is_paid() -> None:
    """Else a shop that watches its work would send it to those who are not counted."""
    goal = Goal(measure="handling_minor", target=264, minor=2)

    assert solve(case(policy=Policy(goals=(goal,)))).broken == ()
    (missed,) = solve(paid(case(policy=Policy(goals=(goal,))), "shop", 131, 7)).broken
    assert (missed.measured, missed.price_minor) == (265, 2)
    for limit, units_short in ((264, 0), (263, 1), (247, 1), (246, 2)):
        hard = replace(goal, minor=0, target=0, limit=limit)
        asked = case(policy=Policy(goals=(hard,)))
        plan = solve(asked)
        assert sum(short.quantity for short in plan.shortfalls) == units_short
        assert check(asked, plan) == []


def told(plan: Plan, handling_minor: int) -> Plan:
    """A plan of one fulfillment that claims another price of handling, and adds up."""
    (sent,) = plan.fulfillments
    less = plan.cost.handling_minor - handling_minor
    own = {"parcels": sent.cost.parcels_minor, "handling": handling_minor}
    return replace(
        plan,
        fulfillments=(replace(sent, cost=total_cost(own)),),
        cost=total_cost(own),
        objective_minor=plan.objective_minor - less,
        bound_minor=plan.bound_minor - less,
    )


@pytest.mark.parametrize(
    "handling_minor",
    [100 + 20, 130 + 14, 100 + 20 + 130, 100 + 20 + 14, 100 + 20 + 130 + 7, 2 * (100 + 20)],
)
def test_the_judge_refuses_a_plan_that_does_not_pay_the_store(handling_minor: int) -> None:
    """Not for the order, not for the units, not for one of them, or at the sender's prices."""
    problem = case()
    plan = solve(problem)

    assert told(plan, 100 + 20 + 130 + 14) == plan
    assert [each.rule for each in check(problem, told(plan, handling_minor))] == ["cost"] * 2 + [
        "objective"
    ]


def busy(make: Callable[[int], Problem], seed: int) -> Problem | None:
    """A random problem with goods sent to stores that are paid well; none where none are sent."""
    problem = make(seed)
    stores = {lane.to_node for lane in problem.lanes if lane.to_node}
    if not stores:
        return None
    chance = random.Random(seed)
    nodes = tuple(
        replace(
            node,
            capabilities=tuple(sorted({*node.capabilities, "ship_to_store"})),
            handling_order_minor=chance.choice((0, 90, 350)),
            handling_unit_minor=chance.choice((0, 25, 140)),
        )
        for node in problem.nodes
    )
    lines = tuple(
        replace(line, methods=("ship_to_store",))
        if "ship_to_store" in line.methods and chance.random() < 0.5
        else line
        for line in problem.lines
    )
    policy = replace(problem.policy, shipments_max=problem.policy.shipments_max or None)
    return replace(problem, nodes=nodes, lines=lines, policy=policy)


@pytest.mark.parametrize("make", [random_problem, any_problem, goal_problem])
@pytest.mark.parametrize("shard", range(3))
def test_no_plan_costs_less_however_stores_are_paid(
    make: Callable[[int], Problem], shard: int
) -> None:
    """The optimum and the judge agree with a search of all plans that has prices of its own."""
    sent = 0
    for seed in range(7_000 + shard, 7_300, 3):
        problem = busy(make, seed)
        if problem is None:
            continue
        validate(problem)

        plan = solve(problem)

        assert check(problem, plan) == [], seed
        assert plan.status == "optimal", seed
        assert cheapest(problem, plan.objective_minor) == plan.objective_minor, seed
        terrain, asked = on_terrain(problem, random.Random(seed))
        planned = plan_basket(terrain, asked, PATIENT_MS).plan
        assert check(problem, planned) == [], seed
        assert planned.objective_minor == plan.objective_minor, seed
        sent += any(f.method == "ship_to_store" for f in plan.fulfillments)
    assert sent > 5


def at_the_till(problem: Problem, order_minor: int, unit_minor: int) -> Problem:
    """The problem in which all that is sent to stores goes to one that has no stock of its own."""
    till = small.node(TILL, capabilities=("pickup", "hazmat"))
    ample = tuple(replace(node, capacity=()) for node in problem.nodes)
    lines = tuple(
        replace(line, pickup_node=TILL if "ship_to_store" in line.methods else line.pickup_node)
        for line in problem.lines
    )
    ways = {
        (lane.node_id, TILL if lane.to_node else None, lane.service): lane for lane in problem.lanes
    }
    lanes = tuple(replace(lane, to_node=to) for (_, to, _), lane in ways.items())
    moved = replace(problem, lines=lines, nodes=(*ample, till), lanes=lanes)
    return paid(moved, TILL, order_minor, unit_minor)


def test_what_a_store_is_paid_tells_nothing_of_those_who_send_there() -> None:
    """All who send to one store pay it the same: it cannot make one of them needless, or needed."""
    left_out = 0
    for seed in range(400):
        problem = busy(any_problem, seed) or any_problem(seed)
        free, dear = at_the_till(problem, 0, 0), at_the_till(problem, 900, 300)

        needless = choose(look(free)).needless
        assert choose(look(dear)).needless == needless, seed
        if len({line.sku for line in dear.lines if not line.components}) == len(dear.lines):
            assert offered(dear) == offered(free), seed
        left_out += any(each.to_node == TILL for each in needless)
    assert left_out > 20


def offered(problem: Problem) -> list[tuple[int, int]]:
    """Row and lane of the slots that an order without supply would be offered."""
    policy = replace(problem.policy, backorder=False, goals=())
    terrain, asked = on_terrain(replace(problem, policy=policy))
    found = gather(terrain, seen(terrain, asked), asked.lines, policy)
    return [*zip(found.slots.rows.tolist(), found.slots.lanes.tolist(), strict=True)]


def test_no_cheaper_work_is_asked_of_a_store_that_receives_anyway() -> None:
    """Less for its work would make the same plan cheaper, which is no reason to choose another."""
    spare = small.stock("shop", "lamp", 1)
    problem = case(stock=(small.stock("depot", "lamp", 4), spare), policy=Policy(split_minor=2_000))
    plan = solve(problem)
    assert [(f.node_id, f.pickup_node) for f in plan.fulfillments] == [("depot", "shop")]

    answer = changes(problem, plan, "shop")

    assert answer.proven
    assert [(each.what, each.units) for each in answer.found] == [("stock", (("lamp", 1),))]


def test_less_for_receiving_brings_the_counter_into_the_plan() -> None:
    """The door won by a minor unit; at two less, what the shop is paid is the reason to go there."""
    problem = paid(door_or_counter(), "shop", 301, 0)
    plan = solve(problem)

    answer = changes(problem, plan, "shop")

    assert [f.method for f in plan.fulfillments] == ["ship"]
    assert [(each.what, each.less_minor) for each in answer.found if each.what == "handling"] == [
        ("handling", 2)
    ]
    assert answer.found[0].objective_minor == plan.objective_minor - 1
