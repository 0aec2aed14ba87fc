"""Dates of whole networks over many zones, carriers and holidays, against the slow reading.

Every node alone holds one item, so a plan has to use each of them, and shows what each promises.
"""

import random
from datetime import date, datetime, time, timedelta

import pytest

from routing.check import check
from routing.plan import Fulfillment, Plan
from routing.plan_basket import plan_basket
from routing.problem import Calendar, Lane, Line, Node, Policy, Problem, Stock, Supply
from routing.promise import local_date
from routing.solve import solve
from routing.terrain import Terrain, prepare
from tests.routing import slow_dates, small
from tests.routing.baskets import basket, on_terrain
from tests.routing.clocks import CHANGES, ZONES, calendar

TICK = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
replace = small.replace


def world(seed: int, now: datetime, *, expected: bool = False) -> Problem:
    """An order of one line from each of four nodes in zones of their own, shipped or collected.

    With `expected`, half of the units are on order, for dates that may be holidays of the node.
    """
    chance = random.Random(seed)
    calendars = [small.ALWAYS, *(_calendar(chance, now.date(), n) for n in range(3))]
    nodes = tuple(_node(chance, n, calendars) for n in range(4))
    lines = tuple(_line(chance, n, now.date()) for n in range(4))
    return Problem(
        now=now,
        destination_time_zone=chance.choice(ZONES),
        lines=lines,
        nodes=nodes,
        stock=tuple(_stock(chance, n, now.date(), expected=expected) for n in range(4)),
        lanes=tuple(_lane(chance, node.node_id, calendars) for node in nodes),
        calendars=tuple(calendars),
        tariffs=(small.NEAR, small.FAR),
        policy=Policy(backorder=expected, time_limit_ms=10_000),
    )


def _calendar(chance: random.Random, day: date, n: int) -> Calendar:
    weekdays = set(chance.sample(range(1, 8), chance.randint(2, 7)))
    return calendar(weekdays, day, set(chance.sample(range(-2, 9), 4)), f"drawn-{n}")


def _node(chance: random.Random, n: int, calendars: list[Calendar]) -> Node:
    return small.node(
        f"n{n}",
        time_zone=chance.choice(ZONES),
        calendar_id=chance.choice(calendars).calendar_id,
        cut_off=time(chance.choice((0, 2, 14, 23)), chance.choice((0, 30, 59))),
        handling_days=chance.choice((0, 0, 1, 2)),
    )


def _line(chance: random.Random, n: int, day: date) -> Line:
    collected = chance.random() < 0.3
    return small.line(
        f"l{n}",
        f"sku-{n}",
        methods=("pickup",) if collected else ("ship",),
        pickup_node=f"n{n}" if collected else None,
        requested_by=day + timedelta(days=chance.randint(0, 6)) if chance.random() < 0.6 else None,
    )


def _stock(chance: random.Random, n: int, day: date, *, expected: bool) -> Stock:
    if not expected or chance.random() < 0.5:
        return small.stock(f"n{n}", f"sku-{n}", 1)
    coming = Supply(
        supply_id=f"po-{n}",
        available_on=day + timedelta(days=chance.randint(-2, 9)),
        quantity=1,
    )
    return Stock(node_id=f"n{n}", sku=f"sku-{n}", available=0, supply=(coming,))


def _lane(chance: random.Random, node_id: str, calendars: list[Calendar]) -> Lane:
    first = chance.randint(0, 3)
    return small.lane(
        node_id,
        transit_days_min=first,
        transit_days_max=first + chance.randint(0, 3),
        calendar_id=chance.choice((None, chance.choice(calendars).calendar_id)),
    )


def slow_promise(
    problem: Problem, node: Node, lane: Lane | None, there_on: date, now: datetime
) -> tuple[date, date, datetime, tuple[date, date]]:
    """Start, work date, `ship_by` and promise of a node, read off clocks and calendars."""
    calendars = {each.calendar_id: each for each in problem.calendars}
    works = calendars[node.calendar_id]
    start_on = slow_dates.start(node, works, now, there_on)
    work_on, ship_by = slow_dates.dispatch(node, works, start_on)
    promised = work_on, work_on
    if lane is not None:
        moves = calendars[lane.calendar_id] if lane.calendar_id else None
        promised = slow_dates.delivery(lane, moves, ship_by, problem.destination_time_zone)
    return start_on, work_on, ship_by, promised


def assert_reads_like_clocks(problem: Problem, terrain: Terrain, at: datetime) -> None:
    """Compare every date of a terrain with what an order at an instant would read."""
    assert terrain.ordered_on == local_date(at, problem.destination_time_zone)
    for row, node in enumerate(terrain.destination.nodes):
        first = terrain.dispatches[row]
        assert first is not None
        found = slow_promise(problem, node, None, date.min, at)
        assert tuple(first) == found[:3], (node, at)
        assert terrain.todays[row] == local_date(at, node.time_zone)
    rows = terrain.row_of
    for lane, promised in zip(terrain.lanes, terrain.promises, strict=True):
        node = terrain.destination.nodes[rows[lane.node_id]]
        dates = slow_promise(problem, node, lane, date.min, at)[3]
        assert (promised.earliest, promised.latest) == dates, (lane, at)


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_a_window_reads_like_clocks_at_its_edges_and_anywhere_between(change: datetime) -> None:
    """Nobody may be promised by yesterday's dates, and a window is used by all orders in it."""
    for seed in range(12):
        chance = random.Random(seed)
        problem = world(seed, change + chance.randint(-1_500, 1_500) * timedelta(minutes=1))
        terrain, _ = on_terrain(problem)
        length = terrain.until_at - terrain.from_at
        assert terrain.from_at <= problem.now < terrain.until_at

        for at in (
            terrain.from_at,
            terrain.from_at + length * chance.random(),
            problem.now,
            terrain.until_at - TICK,
        ):
            assert terrain.covers(at)
            assert_reads_like_clocks(problem, terrain, at)
        for at in (terrain.from_at - TICK, terrain.until_at):
            assert not terrain.covers(at)
            assert_reads_like_clocks(problem, prepare(terrain.destination, {}, at), at)


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_windows_follow_each_other_without_a_gap(change: datetime) -> None:
    """Walking from window to window over three days meets every cut-off and every midnight."""
    for seed in range(12, 16):
        problem = world(seed, change)
        terrain, _ = on_terrain(replace(problem, now=change - 36 * HOUR))
        served, windows = terrain.destination, 0
        while terrain.until_at < change + 36 * HOUR:
            following = prepare(served, {}, terrain.until_at)
            assert following.from_at == terrain.until_at
            assert_reads_like_clocks(problem, following, terrain.until_at)
            terrain, windows = following, windows + 1
        assert windows >= 6, "three days have midnights and cut-offs of four nodes"


def assert_promises_read_like_clocks(problem: Problem, plan: Plan) -> None:
    """Compare every date of a plan, and what is paid for waiting, with the slow reading."""
    nodes = {node.node_id: node for node in problem.nodes}
    lanes = {lane.node_id: lane for lane in problem.lanes}
    assert len(plan.fulfillments) == len(problem.lines)
    assert check(problem, plan) == []
    for f in plan.fulfillments:
        lane = lanes[f.node_id] if f.method == "ship" else None
        there_on = max(part.available_on for part in f.lines)
        _, *dates = slow_promise(problem, nodes[f.node_id], lane, there_on, problem.now)
        assert (f.work_on, f.ship_by, (f.promise.earliest, f.promise.latest)) == tuple(dates), f
        assert f.ship_by >= problem.now
    late, waited = waiting(problem, plan.fulfillments)
    assert plan.cost.lateness_minor == late * problem.policy.lateness_minor
    delay = waited * problem.policy.delay_minor
    assert plan.objective_minor == plan.cost.total_minor + delay


def waiting(problem: Problem, fulfillments: tuple[Fulfillment, ...]) -> tuple[int, int]:
    """Days after `requested_by`, and days from the order's date to the promise, over all lines."""
    promised = {part.line_id: f.promise.latest for f in fulfillments for part in f.lines}
    ordered_on = local_date(problem.now, problem.destination_time_zone)
    late = waited = 0
    for line in problem.lines:
        if line.requested_by is not None:
            late += max(0, (promised[line.line_id] - line.requested_by).days)
        waited += max(0, (promised[line.line_id] - ordered_on).days)
    return late, waited


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_a_plan_made_at_the_edge_of_a_window_promises_what_clocks_say(change: datetime) -> None:
    """The last order before a cut-off leaves today, the first one after it does not."""
    for seed in range(20, 28):
        minutes = random.Random(seed).randint(-900, 900)
        problem = world(seed, change + minutes * timedelta(minutes=1))
        terrain, _ = on_terrain(problem)
        numbers = {node.node_id: n for n, node in enumerate(problem.nodes)}
        for at in (terrain.from_at, terrain.until_at - TICK):
            then = replace(problem, now=at)
            plan = plan_basket(terrain, basket(then, numbers), 10_000).plan
            assert_promises_read_like_clocks(then, plan)


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_expected_goods_leave_on_the_first_worked_date_from_the_one_they_come(
    change: datetime,
) -> None:
    """A delivery to a closed warehouse waits until somebody is there; one that came is there."""
    for seed in range(40, 52):
        minutes = random.Random(seed).randint(-900, 900)
        problem = world(seed, change + minutes * timedelta(minutes=1), expected=True)
        plan = solve(problem)
        assert_promises_read_like_clocks(problem, plan)
        terrain, asked = on_terrain(problem)
        assert plan_basket(terrain, asked, 10_000).plan == plan
