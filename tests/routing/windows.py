"""Small random windows, every joint choice of theirs, and a judge of what was rearranged.

Nothing here shares code with `routing/window*.py`: plans come from handing units out one by one,
their prices from the judge of single plans and from recursion over parcels.
"""

import itertools
import random
from collections import Counter
from collections.abc import Collection, Iterator
from datetime import date, timedelta

import msgspec
import numpy as np

from routing.basket import Basket, Numbers, held
from routing.check import check
from routing.destination import Destination, destination
from routing.grid import Ints
from routing.plan import Plan
from routing.plan_basket import plan_basket
from routing.problem import Bracket, Capacity, Lane, Line, Node, Policy, Problem, Stock, Tariff
from routing.terrain import prepare
from routing.window import Rearranged, Waiting, Window
from tests.routing import small
from tests.routing.exhaustive_options import Option, options, parcels

SKUS = ("a", "b", "c")
LIMIT_MS = 2_000

Taken = Counter[tuple[str, str]]
"""Units by node id and sku."""


class World(msgspec.Struct, frozen=True, kw_only=True):
    """A window, and what it was made of."""

    window: Window
    served: tuple[Destination, ...]
    """By order."""
    nodes: tuple[Node, ...]
    left: Counter[tuple[str, str]]
    worth: Counter[tuple[str, str]]
    capacity: dict[str, tuple[Capacity, ...]]
    """By node id: what is left beside the plans."""


class Shop(msgspec.Struct, frozen=True, kw_only=True):
    """What orders find."""

    nodes: tuple[Node, ...]
    numbers: dict[str, int]
    left: Counter[tuple[str, str]]
    worth: Counter[tuple[str, str]]
    surcharges: dict[str, int]
    policy: Policy
    full: dict[str, tuple[Capacity, ...]]
    """By node id: the dates on which nothing could be done when the orders came."""


def world(seed: int, orders: int = 3, nodes: int = 4) -> World:
    """Orders that came one after another, each planned alone on what those before it left."""
    chance = random.Random(seed)
    shop = opened(chance, nodes)
    found, served = [], []
    for number in range(orders):
        place = places(shop.nodes, chance)
        waiting = ordered(shop, place, f"order-{number}", chance)
        if not waiting.plan.shortfalls:
            shop.left.subtract(taken_by(waiting.plan))
            found.append(waiting)
            served.append(place)
    # Somebody has brought a unit, or what an order left alone was taken back.
    names = [each.node_id for each in shop.nodes]
    shop.left.update({(chance.choice(names), chance.choice(SKUS)): 1 for _ in range(2)})
    capacity = limits(names, chance, always=shop.full)
    stock, prices = by_number(shop.left, shop.worth, shop.numbers)
    return World(
        window=Window(
            now=small.NOW,
            orders=tuple(found),
            left=stock,
            prices=prices,
            room=capacity,
            surcharges=shop.surcharges,
        ),
        served=tuple(served),
        nodes=shop.nodes,
        left=shop.left,
        worth=shop.worth,
        capacity=capacity,
    )


def opened(chance: random.Random, nodes: int) -> Shop:
    """Nodes with little stock; what is taken may be worth something, and work may cost more."""
    made = tuple(node(n, chance) for n in range(nodes))
    names = [each.node_id for each in made]
    left: Taken = Counter(
        {(name, sku): chance.choice((0, 1, 1, 2, 3)) for name in names for sku in SKUS}
    )
    worth: Counter[tuple[str, str]] = Counter()
    if chance.random() < 0.3:
        worth.update({place: chance.choice((0, 0, 90, 200)) for place in left})
    return Shop(
        nodes=made,
        numbers={name: n for n, name in enumerate(chance.sample(names, len(names)))},
        left=left,
        worth=worth,
        surcharges={name: 70 for name in names if chance.random() < 0.15},
        policy=Policy(split_minor=chance.choice((0, 60, 250)), delay_minor=5),
        full=put_off(names, chance),
    )


def put_off(names: list[str], chance: random.Random) -> dict[str, tuple[Capacity, ...]]:
    """Some nodes are full today, some tomorrow too."""
    return {
        name: tuple(
            Capacity(work_on=small.TODAY + timedelta(days=day), remaining=0)
            for day in range(chance.choice((1, 1, 2)))
        )
        for name in names
        if chance.random() < 0.3
    }


def ordered(shop: Shop, place: Destination, order_id: str, chance: random.Random) -> Waiting:
    """An order with its cheapest plan on what there is."""
    terrain, asked = prepare(place, shop.numbers, small.NOW), lines(chance)
    stock, prices = by_number(shop.left, shop.worth, shop.numbers)
    basket = Basket(
        now=small.NOW,
        lines=asked,
        policy=shop.policy,
        held=held(asked, stock, prices),
        capacity=shop.full,
        surcharges=shop.surcharges,
    )
    return Waiting(
        order_id=order_id,
        terrain=terrain,
        lines=asked,
        policy=shop.policy,
        plan=plan_basket(terrain, basket, LIMIT_MS).plan,
        beside=chance.choice((0, 0, 1)),
        barred=frozenset(each.node_id for each in shop.nodes if chance.random() < 0.05),
    )


def node(number: int, chance: random.Random) -> Node:
    """A node that ships; some not before tomorrow."""
    return small.node(
        f"node-{number}",
        handling_days=chance.choice((0, 0, 1)),
        handling_order_minor=chance.choice((50, 100, 180)),
        handling_unit_minor=chance.choice((0, 10, 40)),
    )


def places(nodes: tuple[Node, ...], chance: random.Random) -> Destination:
    """A destination with one or two services from each node, at tariffs of its own."""
    lanes: list[Lane] = []
    for each in nodes:
        lanes.append(small.lane(each.node_id, chance.choice(("near", "far")), 2))
        if chance.random() < 0.4:
            lanes.append(small.lane(each.node_id, "fast", 1, service="express"))
    tariffs = [
        Tariff(
            tariff_id=name,
            brackets=(
                Bracket(weight_grams_max=1_000, price_minor=price),
                Bracket(weight_grams_max=5_000, price_minor=price + price // 2),
            ),
        )
        for name, price in (("near", 300), ("far", 520), ("fast", 700))
    ]
    return destination(nodes, lanes, (small.ALWAYS,), tariffs, "UTC")


def lines(chance: random.Random) -> tuple[Line, ...]:
    """One to three lines of one or two units; some wanted by a date."""
    skus = sorted(chance.sample(SKUS, chance.choice((1, 1, 2, 3))))
    return tuple(
        small.line(
            sku,
            sku,
            chance.choice((1, 1, 2)),
            requested_by=small.TODAY + timedelta(days=1) if chance.random() < 0.2 else None,
        )
        for sku in skus
    )


def limits(
    names: list[str], chance: random.Random, always: Collection[str] = ()
) -> dict[str, tuple[Capacity, ...]]:
    """Capacity of some nodes on the dates of their work, of those that were full `always`."""
    return {
        name: tuple(
            Capacity(
                work_on=small.TODAY + timedelta(days=day),
                remaining=chance.choice((0, 0, 1, 2)),
                unit=chance.choice(("orders", "units")),
            )
            for day in range(chance.choice((2, 3)))
        )
        for name in names
        if chance.random() < 0.3 or name in always
    }


def by_number(
    left: Taken, worth: Counter[tuple[str, str]], numbers: dict[str, int]
) -> tuple[dict[str, tuple[Numbers, Ints]], dict[str, tuple[Ints, Ints]]]:
    """Stock and its prices as a window has them."""
    names = sorted(numbers, key=numbers.__getitem__)
    places = np.arange(len(names))
    stock: dict[str, tuple[Numbers, Ints]] = {
        sku: (places, np.array([left[name, sku] for name in names], np.int64)) for sku in SKUS
    }
    prices = {
        sku: (np.array([worth[name, sku] for name in names], np.int64), np.zeros(len(names), int))
        for sku in SKUS
    }
    return stock, prices if any(worth.values()) else {}


def taken_by(plan: Plan) -> Taken:
    """Units that a plan takes."""
    taken: Taken = Counter()
    for each in plan.fulfillments:
        for line in each.lines:
            taken[each.node_id, line.sku] += line.quantity
    return taken


def work_of(plan: Plan) -> Counter[tuple[str, date, str]]:
    """Capacity that a plan takes."""
    taken: Counter[tuple[str, date, str]] = Counter()
    for each in plan.fulfillments:
        taken[each.node_id, each.work_on, "orders"] += 1
        taken[each.node_id, each.work_on, "units"] += sum(line.quantity for line in each.lines)
    return taken


def problem_of(at: World, number: int) -> Problem:
    """An order of the world as a problem of its own, on all stock that it could be given."""
    waiting, served = at.window.orders[number], at.served[number]
    stock = Counter(at.left)
    for order in at.window.orders:
        stock.update(taken_by(order.plan))
    surcharges = at.window.surcharges
    return Problem(
        now=at.window.now,
        destination_time_zone=served.time_zone,
        lines=waiting.lines,
        nodes=tuple(
            msgspec.structs.replace(each, surcharge_minor=surcharges.get(each.node_id, 0))
            for each in at.nodes
        ),
        stock=tuple(
            Stock(node_id=name, sku=sku, available=units, worth_minor=at.worth[name, sku])
            for (name, sku), units in sorted(stock.items())
            if units > 0
        ),
        lanes=served.lanes,
        calendars=served.calendars,
        tariffs=served.tariffs,
        policy=waiting.policy,
    )


def promised(plan: Plan) -> dict[str, list[date]]:
    """By line: the latest date of every unit, the earliest first."""
    dates: dict[str, list[date]] = {}
    for each in plan.fulfillments:
        for line in each.lines:
            dates.setdefault(line.line_id, []).extend([each.promise.latest] * line.quantity)
    return {line_id: sorted(own) for line_id, own in dates.items()}


def wrong(at: World, found: Rearranged) -> list[str]:
    """Everything that a rearranged window breaks, in words."""
    number_of = {order.order_id: n for n, order in enumerate(at.window.orders)}
    plans = [order.plan for order in at.window.orders]
    said: list[str] = []
    for group in found.groups:
        for move in group:
            number = number_of[move.order_id]
            said += worse(at, number, move.plan)
            plans[number] = move.plan
        said += over(at, plans)
    cost = sum(priced(at, n, plan) for n, plan in enumerate(plans))
    if cost != found.after_minor:
        said.append(f"plans cost {cost}, told were {found.after_minor}")
    return said


def worse(at: World, number: int, plan: Plan) -> list[str]:
    """In which ways a plan is no plan for an order, or keeps less than was promised."""
    waiting = at.window.orders[number]
    said = [
        f"{waiting.order_id}: {each.rule} {each.message}"
        for each in check(problem_of(at, number), plan)
    ]
    before, after = promised(waiting.plan), promised(plan)
    for line_id, dates in before.items():
        later = [new > old for new, old in zip(after.get(line_id, []), dates, strict=True)]
        if any(later):
            said.append(f"{waiting.order_id}: a unit of {line_id} comes later")
    if plan.shortfalls or len(plan.fulfillments) > len(waiting.plan.fulfillments):
        said.append(f"{waiting.order_id}: more parcels, or fewer units")
    if any(each.method != "ship" or each.node_id in waiting.barred for each in plan.fulfillments):
        said.append(f"{waiting.order_id}: another method, or a node that is barred")
    return said


def over(at: World, plans: list[Plan]) -> list[str]:
    """What plans take together beyond what there is."""
    stock, room = Counter(at.left), room_of(at)
    for order in at.window.orders:
        stock.update(taken_by(order.plan))
        room.update({k: v for k, v in work_of(order.plan).items() if k in room})
    for plan in plans:
        stock.subtract(taken_by(plan))
        room.subtract({k: v for k, v in work_of(plan).items() if k in room})
    return [f"{key} is short of {-n}" for key, n in [*stock.items(), *room.items()] if n < 0]


def room_of(at: World) -> Counter[tuple[str, date, str]]:
    """Capacity beside what plans hold."""
    return Counter(
        {
            (name, each.work_on, each.unit): each.remaining
            for name, own in at.capacity.items()
            for each in own
        }
    )


def priced(at: World, number: int, plan: Plan) -> int:
    """The objective of a plan, from its units alone, with what was beside it."""
    waiting = at.window.orders[number]
    problem = problem_of(at, number)
    found = {
        (option.node.node_id, option.lane.service, option.work_on): option
        for option in options(problem, every_date=True)
        if option.lane is not None
    }
    loads = {}
    for each in plan.fulfillments:
        option = found[each.node_id, each.service or "", each.work_on]
        loads[option] = {line.line_id: line.quantity for line in each.lines}
    return cost(at, waiting, loads)


def cost(at: World, waiting: Waiting, loads: dict[Option, dict[str, int]]) -> int:
    """What parcels of an order cost in all."""
    policy = waiting.policy
    line_of = {line.line_id: line for line in waiting.lines}
    total = policy.split_minor * (len(loads) - (0 if waiting.beside else 1))
    latest: dict[str, date] = {}
    for option, units in loads.items():
        grams = sum(line_of[line_id].weight_grams * n for line_id, n in units.items())
        total += parcels(option.brackets, grams) + option.node.handling_order_minor
        total += at.window.surcharges.get(option.node.node_id, 0)
        for line_id, n in units.items():
            worth = at.worth[option.node.node_id, line_of[line_id].sku]
            total += n * (option.node.handling_unit_minor + worth)
            latest[line_id] = max(latest.get(line_id, option.latest), option.latest)
    for line_id, day in latest.items():
        requested_by = line_of[line_id].requested_by
        total += policy.delay_minor * max(0, (day - small.TODAY).days)
        if requested_by is not None:
            total += policy.lateness_minor * max(0, (day - requested_by).days)
    return total


def ways(at: World, number: int) -> Iterator[tuple[int, Taken, Counter[tuple[str, date, str]]]]:
    """Every plan of an order that keeps its promise: price, units and capacity it takes."""
    waiting = at.window.orders[number]
    offered = [
        option
        for option in options(problem_of(at, number), every_date=True)
        if option.lane is not None and option.node.node_id not in waiting.barred
    ]
    limits = {line_id: dates[0] for line_id, dates in promised(waiting.plan).items()}
    handed = [
        list(
            itertools.combinations_with_replacement(
                [option for option in offered if option.latest <= limits[line.line_id]],
                line.quantity,
            )
        )
        for line in waiting.lines
    ]
    for each in itertools.product(*handed):
        loads: dict[Option, dict[str, int]] = {}
        taken: Taken = Counter()
        for line, chosen in zip(waiting.lines, each, strict=True):
            for option in chosen:
                load = loads.setdefault(option, {})
                load[line.line_id] = load.get(line.line_id, 0) + 1
                taken[option.node.node_id, line.sku] += 1
        if len(loads) > len(waiting.plan.fulfillments):
            continue
        work: Counter[tuple[str, date, str]] = Counter()
        for option, load in loads.items():
            work[option.node.node_id, option.work_on, "orders"] += 1
            work[option.node.node_id, option.work_on, "units"] += sum(load.values())
        yield cost(at, waiting, loads), taken, work


def least(at: World, move_minor: int) -> int:
    """The least that any joint choice costs, with what each order that changes has to save."""
    offered = []
    for number, waiting in enumerate(at.window.orders):
        own = [(priced(at, number, waiting.plan), taken_by(waiting.plan), work_of(waiting.plan))]
        own += [(minor + move_minor, taken, work) for minor, taken, work in ways(at, number)]
        offered.append(sorted(own, key=lambda way: way[0]))
    stock, room = Counter(at.left), room_of(at)
    for waiting in at.window.orders:
        stock.update(taken_by(waiting.plan))
        room.update({k: v for k, v in work_of(waiting.plan).items() if k in room})
    floors = [sum(own[0][0] for own in offered[n:]) for n in range(len(offered) + 1)]
    best = sum(priced(at, n, waiting.plan) for n, waiting in enumerate(at.window.orders))
    return searched(offered, floors, (stock, room), 0, best)


def searched(
    offered: list[list[tuple[int, Taken, Counter[tuple[str, date, str]]]]],
    floors: list[int],
    left: tuple[Taken, Counter[tuple[str, date, str]]],
    paid: int,
    best: int,
) -> int:
    """The least of all choices for the orders that follow, depth first."""
    depth = len(floors) - 1 - len(offered)
    if not offered:
        return min(best, paid)
    stock, room = left
    for minor, taken, work in offered[0]:
        if paid + minor + floors[depth + 1] >= best:
            break
        if any(stock[key] < n for key, n in taken.items()):
            continue
        if any(key in room and room[key] < n for key, n in work.items()):
            continue
        after = stock - taken, Counter({k: n - work[k] for k, n in room.items()})
        best = searched(offered[1:], floors, after, paid + minor, best)
    return best
