"""Work that was put off to a later day comes forward in a window, and may be put off for others."""

from datetime import UTC, date, datetime, timedelta

import msgspec
import numpy as np
import pytest

from routing.basket import Basket, held
from routing.check import check
from routing.destination import destination
from routing.explain import replay
from routing.plan import Plan
from routing.plan_basket import plan_basket
from routing.problem import Capacity, Policy
from routing.record import expand
from routing.terrain import prepare
from routing.window import Move, Rearranged, Waiting, Window
from routing.window_record import recorded
from routing.window_search import rearrange
from tests.routing import small
from tests.routing.test_window_population import Population, population, room_after

SEEDS = range(100, 130)
NAMES = ("node-east", "node-west")
NUMBERS = {name: n for n, name in enumerate(NAMES)}
POLICY = Policy(delay_minor=5)
TODAY = small.TODAY


@pytest.fixture(scope="module")
def found() -> list[tuple[Population, Rearranged]]:
    """Random populations, rearranged."""
    made = [population(seed) for seed in SEEDS]
    return [(each, rearrange(each.window, each.rules)) for each in made]


def capacity(day: date, remaining: int) -> Capacity:
    """What a node can still do on a day, in orders."""
    return Capacity(work_on=day, remaining=remaining)


def days(*remaining: int) -> tuple[Capacity, ...]:
    """What a node can still do from today on."""
    return tuple(capacity(TODAY + timedelta(days=n), left) for n, left in enumerate(remaining))


def order(
    order_id: str, full: dict[str, tuple[Capacity, ...]], stock: dict[str, int], **changes: object
) -> Waiting:
    """An order of a mug, decided while nodes were as full as told; the west is far away."""
    lanes = (small.lane("node-east", "near"), small.lane("node-west", "far"))
    nodes = tuple(small.node(name) for name in NAMES)
    served = destination(nodes, lanes, (small.ALWAYS,), (small.NEAR, small.FAR), "UTC")
    terrain, lines = prepare(served, NUMBERS, small.NOW), (small.line("1", "mug"),)
    units = np.array([stock.get(name, 0) for name in NAMES], np.int64)
    basket = Basket(
        now=small.NOW,
        lines=lines,
        policy=POLICY,
        held=held(lines, {"mug": (np.arange(2), units)}),
        capacity=full,
    )
    plan = plan_basket(terrain, basket, 1_000).plan
    waiting = Waiting(order_id=order_id, terrain=terrain, lines=lines, policy=POLICY, plan=plan)
    return msgspec.structs.replace(waiting, **changes)


def window(
    *orders: Waiting, left: dict[str, int] | None = None, **room: tuple[Capacity, ...]
) -> Window:
    """A window of these orders; `east` and `west` are what nodes can still do."""
    units = np.array([(left or {}).get(name, 0) for name in NAMES], np.int64)
    return Window(
        now=small.NOW,
        orders=orders,
        left={"mug": (np.arange(2), units)},
        room={f"node-{side}": limits for side, limits in room.items()},
    )


def moves(at: Window) -> dict[str, tuple[str, date]]:
    """Where and when orders are worked on that moved, each recorded and replayed."""
    found = rearrange(at)
    before = {each.order_id: each.plan for each in at.orders}
    for move, record, served in recorded(at, found):
        decision = expand(record, msgspec.msgpack.encode(served))
        assert check(decision.whole, decision.plan) == []
        assert replay(decision) == decision.plan
        assert keeps(before[move.order_id], move)
    return {each.order_id: at_work(each.plan) for each in found.moves}


def keeps(before: Plan, move: Move) -> bool:
    """Whether nothing comes later than it was promised."""
    latest = max(each.promise.latest for each in before.fulfillments)
    return all(each.promise.latest <= latest for each in move.plan.fulfillments)


def at_work(plan: Plan) -> tuple[str, date]:
    """The node and the work date of a plan of one parcel."""
    (part,) = plan.fulfillments
    return part.node_id, part.work_on


def after(count: int) -> date:
    """A date so many days from today."""
    return TODAY + timedelta(days=count)


def test_work_that_was_put_off_comes_forward_once_there_is_room() -> None:
    """Somebody cancelled: the customer need not wait for tomorrow any more."""
    put_off = order("o-1", {"node-east": days(0)}, {"node-east": 1})
    assert at_work(put_off.plan) == ("node-east", after(1))
    assert moves(window(put_off, east=days(1, 0))) == {"o-1": ("node-east", TODAY)}
    assert moves(window(put_off, east=days(0, 0))) == {}


def test_it_comes_forward_to_a_day_in_between() -> None:
    """Today is still full, and tomorrow is better than the day after."""
    put_off = order("o-1", {"node-east": days(0, 0)}, {"node-east": 1})
    assert at_work(put_off.plan) == ("node-east", after(2))
    assert moves(window(put_off, east=days(0, 1, 0))) == {"o-1": ("node-east", after(1))}


def test_it_moves_to_a_later_date_of_another_node_within_the_promise() -> None:
    """What came in nearby is full today, and was promised for the day after anyway."""
    full = {"node-west": days(0, 0), "node-east": days(0, 0)}
    put_off = order("o-1", full, {"node-west": 1})
    assert at_work(put_off.plan) == ("node-west", after(2))
    at = window(put_off, left={"node-east": 1}, east=days(0, 1, 1), west=days(0, 0, 0))
    assert moves(at) == {"o-1": ("node-east", after(1))}


def test_one_makes_room_for_another_as_long_as_its_own_promise_holds() -> None:
    """Who was promised the day after tomorrow can wait a day for whoever has to leave today."""
    patient = order("o-1", {"node-east": days(0, 0)}, {"node-east": 1})
    today = order("o-0", {}, {"node-east": 1})
    patient = msgspec.structs.replace(
        patient,
        plan=msgspec.structs.replace(
            today.plan,
            fulfillments=tuple(
                msgspec.structs.replace(each, promise=own.promise)
                for each, own in zip(
                    today.plan.fulfillments, patient.plan.fulfillments, strict=True
                )
            ),
        ),
    )
    urgent = order("o-2", {}, {"node-west": 1})
    at = window(patient, urgent, left={"node-east": 1}, east=days(0, 1, 1))
    assert moves(at) == {"o-1": ("node-east", after(1)), "o-2": ("node-east", TODAY)}


def test_nothing_is_given_to_a_node_that_is_asked_when_it_should_have_left() -> None:
    """Work is submitted at its release; a parcel of this afternoon is then a broken promise."""
    evening = datetime.combine(TODAY, datetime.max.time(), UTC)
    put_off = order("o-1", {"node-east": days(0)}, {"node-east": 1}, released_at=evening)
    assert moves(window(put_off, east=days(1, 0))) == {}
    further = order("o-1", {"node-east": days(0, 0)}, {"node-east": 1}, released_at=evening)
    assert moves(window(further, east=days(1, 1, 0))) == {"o-1": ("node-east", after(1))}


def test_a_kit_comes_forward_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders that the optimizer is asked of see the same dates."""
    monkeypatch.setattr("routing.window_orders.SUMS_MAX", -1)
    put_off = order("o-1", {"node-east": days(0, 0)}, {"node-east": 1})
    assert moves(window(put_off, east=days(0, 1, 0))) == {"o-1": ("node-east", after(1))}
    assert moves(window(put_off, east=days(1, 1, 0))) == {"o-1": ("node-east", TODAY)}
    assert moves(window(put_off, east=days(0, 0, 0))) == {}


def test_work_of_all_kinds_comes_forward(
    found: list[tuple[Population, Rearranged]],
) -> None:
    """A full day is full for the time being; a date is a promise to the customer, not to the node."""
    sooner = 0
    for each, told in found:
        before = {order.waiting.order_id: days_of(order.waiting.plan) for order in each.orders}
        for move in told.moves:
            for place, day in days_of(move.plan).items():
                old = before[move.order_id].get(place, day)
                sooner += day < old
    assert sooner > 0


def days_of(plan: Plan) -> dict[tuple[str, str | None], date]:
    """The work date of each node and service."""
    return {(each.node_id, each.service): each.work_on for each in plan.fulfillments}


def test_nothing_new_waits_for_a_date_while_an_earlier_one_has_room(
    found: list[tuple[Population, Rearranged]],
) -> None:
    """Whoever reads the record would ask why, and there would be no answer."""
    for seed, (each, told) in zip(SEEDS, found, strict=True):
        plans = {order.waiting.order_id: order.waiting.plan for order in each.orders}
        plans |= {move.order_id: move.plan for move in told.moves}
        room = room_after(each, plans)
        for move in told.moves:
            for part in move.plan.fulfillments:
                units = sum(line.quantity for line in part.lines)
                needed = {"orders": 1, "units": units}
                days = [day for name, day, _ in room if name == part.node_id]
                for day in {day for day in days if small.TODAY < day < part.work_on}:
                    limits = {
                        u: n
                        for (name, on, u), n in room.items()
                        if (name, on) == (part.node_id, day)
                    }
                    assert any(n < needed[unit] for unit, n in limits.items()), seed
