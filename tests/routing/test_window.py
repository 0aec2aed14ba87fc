"""Orders planned anew together: the best joint choice, no promise worse, moves one can make."""

from datetime import date

import msgspec
import numpy as np
import pytest

from routing.basket import Basket, held
from routing.check import check
from routing.destination import destination
from routing.explain import replay
from routing.grid import Ints
from routing.plan import Plan
from routing.plan_basket import plan_basket
from routing.problem import CapacityUnit, Policy
from routing.record import expand
from routing.terrain import Terrain, prepare
from routing.window import Rearranged, Rules, Waiting, Window
from routing.window_ground import loads
from routing.window_pricing import SUMS_MAX
from routing.window_record import recorded
from routing.window_search import rearrange
from tests.routing import small
from tests.routing.windows import least, world, wrong

SEEDS = 60
ALL_SEEDS = range(SEEDS)


@pytest.fixture(scope="module")
def found() -> list[Rearranged]:
    """Small random windows, rearranged."""
    return [rearrange(world(seed).window) for seed in ALL_SEEDS]


def test_no_joint_choice_is_cheaper(found: list[Rearranged]) -> None:
    """Every joint choice of every plan of these orders is looked at, slowly."""
    for seed, each in zip(ALL_SEEDS, found, strict=True):
        assert each.after_minor + each.charged_minor == least(world(seed), 1), seed


def test_the_bound_is_none_that_a_choice_undercuts(found: list[Rearranged]) -> None:
    """A gap of nothing would be told of any choice if the bound were wrong."""
    for seed, each in zip(ALL_SEEDS, found, strict=True):
        assert each.bound_minor <= least(world(seed), 1), seed
    assert sum(each.gap == 0 for each in found) >= 0.9 * SEEDS


def test_orders_asked_as_wholes_come_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kits and long orders are asked of the optimizer; ordinary ones, so asked, cost the same."""
    monkeypatch.setattr("routing.window_orders.SUMS_MAX", 0)
    closed = 0
    for seed in range(SEEDS // 2):
        at = world(seed)
        each = rearrange(at.window)
        assert each.kept == 0, seed
        assert each.bound_minor <= least(at, 1) <= each.after_minor + each.charged_minor, seed
        assert wrong(at, each) == [], seed
        closed += each.gap == 0
    assert closed >= 0.8 * (SEEDS // 2)


def test_a_move_is_recorded_and_replayed(found: list[Rearranged]) -> None:
    """Whoever asks later why an order moved sees what was left for it, and the same plan again."""
    proven = 0
    for seed, each in zip(ALL_SEEDS, found, strict=True):
        window = world(seed).window
        for move, record, served in recorded(window, each):
            decision = expand(record, msgspec.msgpack.encode(served))
            assert decision.plan.fulfillments == move.plan.fulfillments
            assert check(decision.whole, decision.plan) == []
            assert replay(decision) == decision.plan
            proven += decision.plan.status == "optimal"
    assert proven >= 0.9 * sum(len(each.moves) for each in found)


def test_promises_stock_and_capacity_are_kept_after_every_group(found: list[Rearranged]) -> None:
    """Groups are made one after another, and anyone may look in between."""
    assert [wrong(world(seed), each) for seed, each in zip(ALL_SEEDS, found, strict=True)] == [
        [] for _ in ALL_SEEDS
    ]
    assert sum(len(each.moves) for each in found) > SEEDS // 4


def test_larger_windows_keep_promises_too() -> None:
    """More orders share more, and wait for each other in longer rings."""
    moved = 0
    for seed in range(200, 212):
        at = world(seed, orders=14, nodes=7)
        each = rearrange(at.window)
        assert wrong(at, each) == [], seed
        assert each.after_minor <= each.before_minor
        moved += len(each.moves)
    assert moved > 12


def test_the_same_window_is_rearranged_in_the_same_way() -> None:
    """A job that is run again must not shuffle what it did before."""
    at = world(205, orders=14, nodes=7)
    assert rearrange(at.window) == rearrange(at.window)


def test_what_was_rearranged_stays_as_it_is() -> None:
    """Stability: without a gain nothing moves, so a second look changes nothing."""
    for seed in range(220, 232):
        at = world(seed, orders=8, nodes=5)
        first = rearrange(at.window)
        if first.gap:
            continue
        again = rearrange(settled(at.window, first))
        assert again.groups == ()
        assert again.before_minor == again.after_minor == first.after_minor


def test_two_orders_that_hold_what_the_other_needs_change_places() -> None:
    """Neither can move alone: both are in one group, which is made in one step."""
    window = swapped()
    found = rearrange(window)
    assert [[move.order_id for move in group] for group in found.groups] == [["east", "west"]]
    assert {move.order_id: nodes_of(move.plan) for move in found.moves} == {
        "east": ["node-east"],
        "west": ["node-west"],
    }
    assert found.before_minor - found.after_minor == 2 * 700
    assert found.gap == 0


def test_an_order_moves_to_what_another_leaves() -> None:
    """A chain: whoever moves into what is free comes first, then who takes what was freed."""
    window = swapped(left=(("node-west", 1),))
    found = rearrange(window)
    assert [[move.order_id for move in group] for group in found.groups] == [["west"], ["east"]]


def test_no_more_orders_move_than_the_budget_allows() -> None:
    """Of two gains the greater is taken."""
    window = swapped(left=(("node-west", 1), ("node-east", 1)))
    assert len(rearrange(window).moves) == 2
    one = rearrange(window, Rules(moves_max=1))
    assert len(one.moves) == 1
    assert one.bound_minor <= one.after_minor + one.charged_minor
    assert rearrange(window, Rules(moves_max=0)).groups == ()
    assert rearrange(swapped(), Rules(moves_max=1)).groups == ()


def test_a_move_saves_what_it_has_to() -> None:
    """Work that is announced somewhere else again and again costs trust."""
    window = swapped(left=(("node-west", 1), ("node-east", 1)))
    assert len(rearrange(window, Rules(saving_min_minor=699)).moves) == 2
    assert rearrange(window, Rules(saving_min_minor=701)).groups == ()


def test_no_unit_comes_later_though_that_were_cheaper() -> None:
    """A promise is a date the customer was told, not a wish."""
    slow = swapped(left=(("node-slow", 2),))
    for order in rearrange(slow).moves:
        assert nodes_of(order.plan) != ["node-slow"]


def test_a_barred_node_gets_nothing() -> None:
    """A node that gave up an order is never asked for it again."""
    window = swapped()
    orders = tuple(
        msgspec.structs.replace(order, barred=frozenset({"node-east"})) for order in window.orders
    )
    assert rearrange(msgspec.structs.replace(window, orders=orders)).groups == ()


def test_what_is_held_at_a_capped_node_stays_while_the_rest_moves() -> None:
    """A node whose feed has stopped keeps what was promised from it, and is given nothing else."""
    names = ("node-east", "node-mid", "node-west")
    numbers = {name: n for n, name in enumerate(names)}
    lanes = [small.lane("node-west", "far")]
    lanes += [small.lane(name, "near") for name in names[:2]]
    served = destination(
        tuple(small.node(name) for name in names),
        lanes,
        (small.ALWAYS,),
        (small.NEAR, small.FAR),
        "UTC",
    )
    terrain = prepare(served, numbers, small.NOW)
    asked = (small.line("1", "mug"), small.line("2", "lamp"))
    own = {
        "mug": (np.array([0]), np.array([1], np.int64)),
        "lamp": (np.array([2]), np.array([1], np.int64)),
    }
    basket = Basket(now=small.NOW, lines=asked, policy=Policy(), held=held(asked, own))
    waiting = Waiting(
        order_id="order",
        terrain=terrain,
        lines=asked,
        policy=Policy(),
        plan=plan_basket(terrain, basket, 1_000).plan,
        capped=frozenset({"node-east"}),
    )
    left = {
        "mug": (np.arange(3), np.array([0, 0, 0], np.int64)),
        "lamp": (np.arange(3), np.array([1, 1, 0], np.int64)),
    }
    (move,) = rearrange(Window(now=small.NOW, orders=(waiting,), left=left)).moves
    assert nodes_of(move.plan) == ["node-east", "node-mid"]


def test_a_strategy_leaves_out_here_what_it_leaves_out_for_one_order() -> None:
    """A service that a strategy does not use is not used because it is cheaper for all."""
    window = swapped()
    policy = Policy(services=("express",))
    orders = tuple(msgspec.structs.replace(order, policy=policy) for order in window.orders)
    assert rearrange(msgspec.structs.replace(window, orders=orders)).groups == ()


def test_no_more_long_orders_are_looked_at_than_there_is_time_for() -> None:
    """It says how many were not looked at, so that nobody takes the bound for theirs."""
    window = swapped()
    chosen = window.orders[0]
    count = 14
    assert 3**count > SUMS_MAX
    lines = tuple(small.line(f"{n:02}", f"sku-{n}") for n in range(count))
    half = [lines[: count // 2], lines[count // 2 :]]
    plan = msgspec.structs.replace(
        chosen.plan,
        fulfillments=tuple(
            msgspec.structs.replace(
                chosen.plan.fulfillments[0],
                service=service,
                lines=tuple(
                    msgspec.structs.replace(
                        chosen.plan.fulfillments[0].lines[0], line_id=line.line_id, sku=line.sku
                    )
                    for line in own
                ),
            )
            for service, own in zip(("standard", "express"), half, strict=True)
        ),
    )
    long = msgspec.structs.replace(chosen, lines=lines, plan=plan)
    both = msgspec.structs.replace(window, orders=(long, window.orders[1]))
    found = rearrange(both, Rules(wholes_max=0))
    assert found.kept == 1
    assert found.groups == ()
    assert rearrange(both).kept == 0


def test_a_window_without_orders_is_left_alone() -> None:
    """A quiet night."""
    found = rearrange(msgspec.structs.replace(swapped(), orders=()))
    assert (found.groups, found.before_minor, found.after_minor) == ((), 0, 0)


def settled(window: Window, found: Rearranged) -> Window:
    """The window after all moves were made."""
    plans = {move.order_id: move.plan for move in found.moves}
    left = {
        sku: (numbers.astype(np.int64), units.copy())
        for sku, (numbers, units) in window.left.items()
    }
    room = {
        (node_id, each.work_on, each.unit): each.remaining
        for node_id, own in window.room.items()
        for each in own
    }
    for order in window.orders:
        if order.order_id in plans:
            freed(order, order.plan, left, room, 1)
            freed(order, plans[order.order_id], left, room, -1)
    return msgspec.structs.replace(
        window,
        orders=tuple(
            msgspec.structs.replace(order, plan=plans.get(order.order_id, order.plan))
            for order in window.orders
        ),
        left=left,
        room={
            node_id: tuple(
                msgspec.structs.replace(each, remaining=room[node_id, each.work_on, each.unit])
                for each in own
            )
            for node_id, own in window.room.items()
        },
    )


def freed(
    order: Waiting,
    plan: Plan,
    left: dict[str, tuple[Ints, Ints]],
    room: dict[tuple[str, date, CapacityUnit], int],
    times: int,
) -> None:
    """Put what a plan takes back, so many times."""
    rows = order.terrain.rows.row_of.tolist()
    for each in plan.fulfillments:
        number = rows.index(order.terrain.row_of[each.node_id])
        for line in each.lines:
            numbers, units = left[line.sku]
            units[numbers == number] += times * line.quantity
        for unit, taken in loads(each):
            if (each.node_id, each.work_on, unit) in room:
                room[each.node_id, each.work_on, unit] += times * taken


def swapped(left: tuple[tuple[str, int], ...] = ()) -> Window:
    """An order in the east with the last unit in the west, and the reverse."""
    names = ("node-east", "node-slow", "node-west")
    numbers = {name: n for n, name in enumerate(names)}
    nodes = tuple(small.node(name) for name in names)
    orders = []
    for here, far in (("east", "west"), ("west", "east")):
        lanes = (
            small.lane(f"node-{here}", "near"),
            small.lane(f"node-{far}", "far"),
            small.lane("node-slow", "near", 4),
        )
        served = destination(nodes, lanes, (small.ALWAYS,), (small.NEAR, small.FAR), "UTC")
        terrain = prepare(served, numbers, small.NOW)
        orders.append(
            Waiting(
                order_id=here,
                terrain=terrain,
                lines=(small.line("1", "mug"),),
                policy=Policy(),
                plan=planned(terrain, f"node-{far}", numbers),
            )
        )
    units = dict(left)
    return Window(
        now=small.NOW,
        orders=tuple(orders),
        left={"mug": (np.arange(3), np.array([units.get(name, 0) for name in names], np.int64))},
    )


def planned(terrain: Terrain, node_id: str, numbers: dict[str, int]) -> Plan:
    """The plan that takes the only mug from a node."""
    lines = (small.line("1", "mug"),)
    stock = {"mug": (np.array([numbers[node_id]]), np.array([1], np.int64))}
    basket = Basket(now=small.NOW, lines=lines, policy=Policy(), held=held(lines, stock))
    return plan_basket(terrain, basket, 1_000).plan


def nodes_of(plan: Plan) -> list[str]:
    """The nodes that fulfill a plan."""
    return [each.node_id for each in plan.fulfillments]
