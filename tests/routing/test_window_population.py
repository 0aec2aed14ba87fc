"""Windows over random populations: kits, groups, prices of its own for each order, few moves allowed.

Whatever comes together, an order keeps what it was promised, and nothing is given twice.
"""

import random
from collections import Counter
from datetime import date

import msgspec
import numpy as np
import pytest

from routing.basket import Basket, held
from routing.bundles import needs_of, parts_of
from routing.check import check
from routing.explain import replay
from routing.grid import Ints
from routing.plan import Plan
from routing.plan_basket import plan_basket
from routing.problem import Component, Line, Policy, Problem, Soft, Stock
from routing.record import expand
from routing.terrain import prepare
from routing.window import Rearranged, Rules, Waiting, Window
from routing.window_record import recorded
from routing.window_search import rearrange
from tests.routing import small
from tests.routing.windows import (
    LIMIT_MS,
    SKUS,
    Shop,
    by_number,
    limits,
    opened,
    places,
    promised,
    taken_by,
    work_of,
)

SEEDS = range(40)
ORDERS = 10

Prices = dict[str, tuple[Ints, Ints]]


def lines(chance: random.Random) -> tuple[Line, ...]:
    """A kit, lines that go together, a sku on two lines, or an ordinary basket."""
    kind = chance.choice(("kit", "together", "twice", "plain", "plain"))
    if kind == "kit":
        parts = (Component("a", 1), Component("b", chance.choice((1, 2))))
        return (small.line("1", "set", components=parts), small.line("2", "c"))
    if kind == "together":
        return tuple(small.line(sku, sku, together="pair") for sku in ("a", "b"))
    if kind == "twice":
        return (small.line("1", "a"), small.line("2", "a"), small.line("3", "c"))
    skus = sorted(chance.sample(SKUS, chance.choice((1, 2, 3))))
    return tuple(small.line(sku, sku, chance.choice((1, 2))) for sku in skus)


def policy_of(shop: Shop, chance: random.Random) -> Policy:
    """The shop's policy, with rules of this order's strategy."""
    names = [each.node_id for each in shop.nodes]
    soft = (Soft(rule="services", minor=120, names=("express",)),) if chance.random() < 0.3 else ()
    return msgspec.structs.replace(
        shop.policy,
        soft=soft,
        nodes_per_line_max=1 if chance.random() < 0.2 else None,
        shipments_max=chance.choice((None, None, len(names))),
    )


def own_prices(shop: Shop, chance: random.Random) -> tuple[Prices, Counter[tuple[str, str]]]:
    """Prices of units for one order, by sku and by cell; mostly none."""
    worth: Counter[tuple[str, str]] = Counter()
    if chance.random() < 0.6:
        worth.update({place: chance.choice((0, 40, 150, 400)) for place in shop.left})
    return by_number(shop.left, worth, shop.numbers)[1], worth


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A waiting order, and the problem of its own that it poses."""

    waiting: Waiting
    problem: Problem
    """Without stock."""
    worth: Counter[tuple[str, str]]


def asked(shop: Shop, number: int, chance: random.Random) -> Asked | None:
    """An order with a plan as cheap as it can be, or any: none where there is not enough."""
    served, basket_lines = places(shop.nodes, chance), lines(chance)
    terrain, policy = prepare(served, shop.numbers, small.NOW), policy_of(shop, chance)
    prices, worth = own_prices(shop, chance)
    stock, _ = by_number(shop.left, Counter(), shop.numbers)
    basket = Basket(
        now=small.NOW,
        lines=basket_lines,
        policy=policy,
        held=held(basket_lines, stock),
        capacity=shop.full,
    )
    plan = plan_basket(terrain, basket, LIMIT_MS).plan
    if plan.shortfalls:
        return None
    capped = [each.node_id for each in shop.nodes if chance.random() < 0.15]
    waiting = Waiting(
        order_id=f"order-{number}",
        terrain=terrain,
        lines=basket_lines,
        policy=policy,
        plan=plan,
        beside=chance.choice((0, 0, 1)),
        barred=frozenset(each.node_id for each in shop.nodes if chance.random() < 0.05),
        prices=prices,
        surcharges={each.node_id: 90 for each in shop.nodes if chance.random() < 0.1},
        capped=frozenset(capped),
        stale=dict.fromkeys(capped, 7_200),
    )
    problem = Problem(
        now=small.NOW,
        destination_time_zone="UTC",
        lines=basket_lines,
        nodes=shop.nodes,
        stock=(),
        lanes=served.lanes,
        calendars=served.calendars,
        tariffs=served.tariffs,
        policy=policy,
    )
    return Asked(waiting=waiting, problem=problem, worth=worth)


class Population(msgspec.Struct, frozen=True, kw_only=True):
    """Orders with what is left beside their plans."""

    orders: tuple[Asked, ...]
    window: Window
    left: Counter[tuple[str, str]]
    rules: Rules


def population(seed: int) -> Population:
    """Orders that came one after another, each planned by itself, then some stock came in."""
    chance = random.Random(seed)
    shop = opened(chance, 5)
    shop.left.update(dict.fromkeys(list(shop.left), 2))
    found = []
    for number in range(ORDERS):
        one = asked(shop, number, chance)
        if one is not None:
            shop.left.subtract(taken_by(one.waiting.plan))
            found.append(one)
    names = [each.node_id for each in shop.nodes]
    shop.left.update({(chance.choice(names), chance.choice(SKUS)): 2 for _ in range(4)})
    return Population(
        orders=tuple(found),
        window=Window(
            now=small.NOW,
            orders=tuple(each.waiting for each in found),
            left=by_number(shop.left, Counter(), shop.numbers)[0],
            room=limits(names, chance, always=shop.full),
        ),
        left=Counter(shop.left),
        rules=Rules(
            moves_max=chance.choice((None, 1, 3)),
            saving_min_minor=chance.choice((1, 1, 50)),
            time_limit_ms=20_000,
        ),
    )


@pytest.fixture(scope="module")
def found() -> list[tuple[Population, Rearranged]]:
    """Random populations, rearranged."""
    made = [population(seed) for seed in SEEDS]
    return [(each, rearrange(each.window, each.rules)) for each in made]


def test_the_populations_are_worth_looking_at(
    found: list[tuple[Population, Rearranged]],
) -> None:
    """All kinds of orders move, and none is left out for being out of the ordinary."""
    moved = {
        kind
        for each, told in found
        for move in told.moves
        for order in each.orders
        if order.waiting.order_id == move.order_id
        for kind in kinds(order.waiting)
    }
    assert moved == {"kit", "together", "twice", "plain", "priced"}
    assert sum(told.kept for _, told in found) == 0


def kinds(waiting: Waiting) -> set[str]:
    """What an order stands for."""
    named = {"priced"} if waiting.prices else set()
    if any(line.components for line in waiting.lines):
        return named | {"kit"}
    if any(line.together for line in waiting.lines):
        return named | {"together"}
    several = len({line.sku for line in waiting.lines}) < len(waiting.lines)
    return named | ({"twice"} if several else {"plain"})


def test_no_promise_gets_worse_whatever_is_in_a_window(
    found: list[tuple[Population, Rearranged]],
) -> None:
    """No unit later, no more parcels, the same kind of method, all units, no barred node."""
    for seed, (each, told) in zip(SEEDS, found, strict=True):
        of = {order.waiting.order_id: order.waiting for order in each.orders}
        for move in told.moves:
            waiting = of[move.order_id]
            before, after = promised(waiting.plan), promised(move.plan)
            for line_id, days in before.items():
                pairs = zip(after[line_id], days, strict=True)
                assert all(new <= old for new, old in pairs), seed
            assert len(move.plan.fulfillments) <= len(waiting.plan.fulfillments), seed
            assert units(move.plan) == wanted(waiting), seed
            assert {f.method for f in move.plan.fulfillments} == {"ship"}, seed
            assert not waiting.barred & {f.node_id for f in move.plan.fulfillments}, seed


def test_a_node_whose_feed_has_stopped_gets_nothing_that_it_had_not(
    found: list[tuple[Population, Rearranged]],
) -> None:
    """What was promised from it stays promised; on its last word nobody promises more."""
    for seed, (each, told) in zip(SEEDS, found, strict=True):
        of = {order.waiting.order_id: order.waiting for order in each.orders}
        for move in told.moves:
            waiting = of[move.order_id]
            before, after = taken_by(waiting.plan), taken_by(move.plan)
            for place in after:
                if place[0] in waiting.capped:
                    assert after[place] <= before[place], seed


def test_the_record_of_a_move_names_the_feeds_that_were_too_old(
    found: list[tuple[Population, Rearranged]],
) -> None:
    """Who reads why it went elsewhere finds the nearer node among those left out."""
    told = 0
    for each, answer in found[:10]:
        of = {order.waiting.order_id: order.waiting for order in each.orders}
        for move, record, served in recorded(each.window, answer):
            decision = expand(record, msgspec.msgpack.encode(served))
            assert dict(decision.stale).keys() <= of[move.order_id].stale.keys()
            out = [one for one in decision.verdicts if one.reason == "stale"]
            told += len(out)
            assert check(decision.whole, decision.plan) == []
            assert replay(decision) == decision.plan
    assert told > 0


def room_after(at: Population, plans: dict[str, Plan]) -> dict[tuple[str, date, str], int]:
    """What is left of capacity once all plans are made."""
    room: Counter[tuple[str, date, str]] = Counter(
        {
            (name, limit.work_on, limit.unit): limit.remaining
            for name, own in at.window.room.items()
            for limit in own
        }
    )
    for order in at.orders:
        room.update({k: n for k, n in work_of(order.waiting.plan).items() if k in room})
    for plan in plans.values():
        room.subtract({k: n for k, n in work_of(plan).items() if k in room})
    return dict(room)


def units(plan: Plan) -> Counter[tuple[str, str]]:
    """Units by line and sku."""
    sent: Counter[tuple[str, str]] = Counter()
    for each in plan.fulfillments:
        for line in each.lines:
            sent[line.line_id, line.sku] += line.quantity
    return sent


def wanted(waiting: Waiting) -> Counter[tuple[str, str]]:
    """Units by line and sku that an order asks, of kits those of its components."""
    return Counter(
        {
            (line.line_id, sku): count * line.quantity
            for line in waiting.lines
            for sku, count in parts_of(line)
        }
    )


def test_no_more_move_than_may_and_each_budget_is_earned(
    found: list[tuple[Population, Rearranged]],
) -> None:
    """Churn costs trust: few moves, and what all of them save is what they have to save."""
    for seed, (each, told) in zip(SEEDS, found, strict=True):
        most = each.rules.moves_max
        assert most is None or len(told.moves) <= most, seed
        saved = sum(move.saving_minor for move in told.moves)
        assert saved == told.before_minor - told.after_minor, seed
        assert saved >= each.rules.saving_min_minor * len(told.moves), seed
        assert told.charged_minor == each.rules.saving_min_minor * len(told.moves), seed
        assert told.bound_minor <= told.after_minor + told.charged_minor, seed


def test_new_plans_are_what_they_claim_and_fit_together_after_every_group(
    found: list[tuple[Population, Rearranged]],
) -> None:
    """The judge of single plans looks at each, and all of them share what there is."""
    for seed, (each, told) in zip(SEEDS, found, strict=True):
        of = {order.waiting.order_id: order for order in each.orders}
        plans = {name: order.waiting.plan for name, order in of.items()}
        there = Counter(each.left)
        for plan in plans.values():
            there.update(taken_by(plan))
        for group in told.groups:
            plans |= {move.order_id: move.plan for move in group}
            assert over(each, there, plans) == [], seed
        for move in told.moves:
            problem = problem_of(each, of[move.order_id], there)
            assert check(problem, move.plan) == [], seed


def problem_of(at: Population, order: Asked, there: Counter[tuple[str, str]]) -> Problem:
    """What an order asks, on all that there is, at its prices."""
    surcharges = order.waiting.surcharges or {}
    return msgspec.structs.replace(
        order.problem,
        nodes=tuple(
            msgspec.structs.replace(node, surcharge_minor=surcharges.get(node.node_id, 0))
            for node in order.problem.nodes
        ),
        stock=tuple(
            Stock(node_id=node_id, sku=sku, available=n, worth_minor=order.worth[node_id, sku])
            for (node_id, sku), n in sorted(there.items())
            if n > 0 and sku in needs_of(order.problem.lines)
        ),
    )


def over(
    at: Population, there: Counter[tuple[str, str]], plans: dict[str, Plan]
) -> list[tuple[object, int]]:
    """What plans take together beyond what there is."""
    stock: Counter[tuple[str, str]] = Counter(there)
    for plan in plans.values():
        stock.subtract(taken_by(plan))
    room = room_after(at, plans)
    return [(key, n) for key, n in [*stock.items(), *room.items()] if n < 0]


def test_a_window_of_all_kinds_is_rearranged_in_the_same_way() -> None:
    """A job that is run again must not shuffle what it did before."""
    at = population(7)
    assert rearrange(at.window, at.rules) == rearrange(at.window, at.rules)


def test_orders_without_stock_beside_their_plans_stay() -> None:
    """Nothing is left anywhere: nobody can move alone, and what is there is given once."""
    at = population(3)
    empty = {
        sku: (numbers, np.zeros_like(counts)) for sku, (numbers, counts) in at.window.left.items()
    }
    full = {
        name: tuple(msgspec.structs.replace(each, remaining=0) for each in own)
        for name, own in at.window.room.items()
    }
    window = msgspec.structs.replace(at.window, left=empty, room=full)
    told = rearrange(window, Rules(moves_max=1))
    assert told.groups == ()
