"""What must not matter does not, and what can only help never costs."""

import random
from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest

from routing.assemble import objective_minor
from routing.candidates import candidates
from routing.check import check
from routing.greedy import quick, single_then_greedy
from routing.problem import Problem
from routing.solve import deadline_of, solve, solve_instance
from tests.routing.random_problems import any_problem, goal_problem, promised_problem

Maker = Callable[[int], Problem]
replace = msgspec.structs.replace
SEEDS = range(5_000, 5_160)
MAKERS = pytest.mark.parametrize("make", [any_problem, goal_problem])
"""Goals change nothing of this: every plan there was is still one, and comes to no more."""
LIFTED = (
    {"backorder": True},
    {"shipments_max": None},
    {"ship_complete": False},
    {"nodes_per_line_max": None},
    {"goals": ()},
)


def shuffled(problem: Problem, chance: random.Random) -> Problem:
    """The same problem with everything listed in another order."""

    def mixed(values: tuple[object, ...]) -> tuple[object, ...]:
        return tuple(chance.sample(values, len(values)))

    return replace(
        problem,
        lines=mixed(problem.lines),
        nodes=mixed(problem.nodes),
        stock=mixed(problem.stock),
        lanes=mixed(problem.lanes),
        calendars=mixed(problem.calendars),
        tariffs=mixed(problem.tariffs),
    )


def relabeled(problem: Problem, chance: random.Random) -> Problem:
    """The same problem with nodes, lines and skus named so that their order is another."""
    names = [node.node_id for node in problem.nodes]
    node_ids = dict(
        zip(names, chance.sample([f"x{n}" for n in range(99)], len(names)), strict=True)
    )
    skus = {line.sku: f"s{chance.random()}" for line in problem.lines}
    return replace(
        problem,
        nodes=tuple(replace(n, node_id=node_ids[n.node_id]) for n in problem.nodes),
        lanes=tuple(
            replace(n, node_id=node_ids[n.node_id], to_node=node_ids.get(n.to_node or ""))
            for n in problem.lanes
        ),
        stock=tuple(
            replace(s, node_id=node_ids[s.node_id], sku=skus.get(s.sku, s.sku))
            for s in problem.stock
        ),
        lines=tuple(
            replace(
                line,
                line_id=f"l{chance.random()}",
                sku=skus[line.sku],
                pickup_node=node_ids.get(line.pickup_node or ""),
                components=tuple(
                    replace(each, sku=skus.get(each.sku, each.sku)) for each in line.components
                ),
                together=line.together and "another name",
            )
            for line in problem.lines
        ),
    )


@MAKERS
@pytest.mark.parametrize("seed", range(8))
def test_a_shuffled_problem_gets_the_same_plan_bit_for_bit(seed: int, make: Maker) -> None:
    """The order in which rows come out of a database means nothing."""
    for number in range(seed, 400, 8):
        problem = make(5_000 + number)

        first = msgspec.msgpack.encode(solve(problem))

        assert msgspec.msgpack.encode(solve(problem)) == first
        mixed = shuffled(problem, random.Random(number))
        assert msgspec.msgpack.encode(solve(mixed)) == first, number


@MAKERS
def test_a_relabeled_problem_costs_the_same(make: Maker) -> None:
    """Names order ties, they do not change prices."""
    for seed in SEEDS:
        problem = make(seed)

        renamed = relabeled(problem, random.Random(seed))

        assert solve(renamed).objective_minor == solve(problem).objective_minor, seed


@MAKERS
def test_more_stock_never_costs_more(make: Maker) -> None:
    """A router that pays for having more would make planners hide stock."""
    for seed in SEEDS:
        problem = make(seed)
        richer = replace(
            problem,
            stock=tuple(
                replace(s, available=s.available + 1 + n % 2) for n, s in enumerate(problem.stock)
            ),
        )

        assert solve(richer).objective_minor <= solve(problem).objective_minor, seed


@MAKERS
def test_another_node_never_costs_more(make: Maker) -> None:
    """The delay price counts from the order's date, not from the earliest date on offer."""
    for seed in SEEDS:
        problem = make(seed)
        fewer = replace(problem, nodes=problem.nodes[1:])

        assert solve(problem).objective_minor <= solve(fewer).objective_minor, seed


@MAKERS
def test_a_later_wish_never_costs_more(make: Maker) -> None:
    """Nor does having no wish at all."""
    for seed in SEEDS:
        problem = make(seed)
        patient = replace(
            problem,
            lines=tuple(
                replace(line, requested_by=line.requested_by and line.requested_by + timedelta(2))
                for line in problem.lines
            ),
        )
        easy = replace(
            problem, lines=tuple(replace(line, requested_by=None) for line in problem.lines)
        )

        strict = solve(problem).objective_minor
        assert solve(easy).objective_minor <= solve(patient).objective_minor <= strict, seed


@MAKERS
def test_lower_prices_of_units_and_nodes_never_cost_more(make: Maker) -> None:
    """Every plan costs no more then, so the best one does not either; and money is money alone."""
    weighed = 0
    for seed in SEEDS:
        problem = make(seed)
        dear = solve(problem)
        price = dear.objective_minor
        for name in ("worth_minor", "risk_minor"):
            stock = tuple(replace(s, **{name: getattr(s, name) // 2}) for s in problem.stock)
            assert solve(replace(problem, stock=stock)).objective_minor <= price, (seed, name)
        nodes = tuple(replace(n, surcharge_minor=0) for n in problem.nodes)
        assert solve(replace(problem, nodes=nodes)).objective_minor <= price, seed
        beyond = dear.prices.worth_minor + dear.prices.risk_minor + dear.prices.surcharge_minor
        weighed += beyond > 0
    assert weighed > 40


@MAKERS
def test_lines_that_need_not_go_together_never_cost_more(make: Maker) -> None:
    """Every plan that keeps them together is still one where they need not be."""
    for seed in SEEDS:
        problem = make(seed)
        loose = replace(
            problem, lines=tuple(replace(line, together=None) for line in problem.lines)
        )

        assert solve(loose).objective_minor <= solve(problem).objective_minor, seed


@MAKERS
def test_backorders_shipments_and_partial_orders_only_help(make: Maker) -> None:
    """Each constraint lifted is a larger choice."""
    for seed in SEEDS:
        problem = make(seed)
        price = solve(problem).objective_minor
        for lifted in LIFTED:
            policy = replace(problem.policy, **lifted)
            assert solve(replace(problem, policy=policy)).objective_minor <= price, (seed, lifted)


@MAKERS
def test_rules_are_feasible_and_never_beat_a_proven_optimum(make: Maker) -> None:
    """Rules that cost less than the optimum would mean that one of them is wrong."""
    for seed in SEEDS:
        problem = make(seed)
        plan, rule = solve(problem), single_then_greedy(problem)

        assert check(problem, rule) == [], seed
        assert plan.status == "optimal"
        assert rule.objective_minor >= plan.objective_minor, seed
        instance = candidates(problem)
        for found in (quick(instance),):
            assert objective_minor(instance, found) >= plan.objective_minor, seed


def well_stocked(problem: Problem) -> Problem:
    """The problem with every other node able, open and full of stock, so that much is pruned."""
    names = {node.node_id for node in problem.nodes[::2]}
    return replace(
        problem,
        nodes=tuple(
            replace(
                node,
                capabilities=("ship", "pickup", "ship_to_store", "hazmat"),
                capacity=node.capacity[:1],
                calendar_id="always",
                handling_unit_minor=0,
            )
            if node.node_id in names
            else node
            for node in problem.nodes
        ),
        stock=tuple(
            replace(s, available=s.available + 6) if s.node_id in names else s
            for s in problem.stock
        ),
    )


@pytest.mark.parametrize("make", [any_problem, promised_problem])
def test_pruning_does_not_change_the_optimum(make: Maker) -> None:
    """The proof in the README, by experiment."""
    pruned = 0
    for seed in range(6_000, 6_500):
        problem = well_stocked(make(seed))
        whole = candidates(problem, prune=False)
        pruned += len(whole.slots) > len(candidates(problem).slots)

        optimum = solve_instance(whole, deadline_of(problem)).plan.objective_minor
        assert optimum == solve(problem).objective_minor, seed
    assert pruned > 40
