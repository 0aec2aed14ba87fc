"""Seeded random problems in which every constraint can bind."""

import random
from datetime import UTC, date, datetime, time, timedelta

import msgspec

from routing.problem import (
    Bracket,
    Calendar,
    Capacity,
    Component,
    Goal,
    Lane,
    Line,
    Measure,
    Method,
    Node,
    Policy,
    Problem,
    Soft,
    SoftRule,
    Stock,
    Supply,
    Tariff,
)

replace = msgspec.structs.replace

ZONES = ("Europe/Warsaw", "America/New_York", "Asia/Tokyo", "UTC", "America/Los_Angeles")
MOMENTS = (
    datetime(2026, 5, 13, 12, 0, tzinfo=UTC),
    datetime(2026, 3, 28, 23, 30, tzinfo=UTC),
    datetime(2026, 10, 24, 21, 59, tzinfo=UTC),
    datetime(2026, 12, 23, 15, 0, tzinfo=UTC),
    datetime(2026, 11, 1, 5, 45, tzinfo=UTC),
)


def random_problem(seed: int, *, lines_max: int = 5, nodes_max: int = 7) -> Problem:
    """A small problem with all constraints in play, the same for the same seed.

    Half of them have prices beyond money on units, on fulfillments, or on both.
    """
    problem = priced(_random_problem(seed, lines_max, nodes_max), random.Random(seed))
    return _with_strategy(problem, random.Random(seed + 1))


def _with_strategy(problem: Problem, chance: random.Random) -> Problem:
    """The problem with carriers' own times, groups, distances, emissions and what is made of them."""
    if chance.random() < 0.5:
        return problem
    nodes = tuple(
        replace(
            node,
            groups=tuple(name for name in ("outlet", "north") if chance.random() < 0.3),
            distance_km=chance.choice((None, 5, 40, 200)),
        )
        for node in problem.nodes
    )
    lanes = tuple(
        replace(
            lane,
            cut_off=time(chance.choice((9, 13, 18, 23))) if chance.random() < 0.3 else None,
            co2_grams=chance.choice((0, 300, 2_000)),
            co2_grams_per_kg=chance.choice((0, 500, 4_000)),
        )
        for lane in problem.lanes
    )
    policy = replace(
        problem.policy,
        radius_km=chance.choice((None, None, None, 30, 100)),
        groups_only=chance.choice(((), (), (), ("outlet", "north"))),
        groups_never=chance.choice(((), (), ("outlet",))),
        services=chance.choice(((), (), ("standard", "express"))),
        soft=tuple(_soft(chance) for _ in range(chance.choice((0, 1, 3)))),
        co2_minor_per_kg=chance.choice((0, 0, 15, 90)),
    )
    lines = tuple(
        replace(line, dimensional_grams=chance.choice((0, 0, 600, 2_500))) for line in problem.lines
    )
    return replace(problem, lines=lines, nodes=nodes, lanes=lanes, policy=policy)


def _soft(chance: random.Random) -> Soft:
    rule: SoftRule = chance.choice(("radius_km", "groups_never", "services"))
    return Soft(
        rule=rule,
        minor=chance.choice((5, 40, 150)),
        radius_km=chance.choice((10, 100)),
        names=("north",) if rule == "groups_never" else ("standard",),
    )


def any_problem(seed: int, *, lines_max: int = 5, nodes_max: int = 7) -> Problem:
    """A random problem that may have kits, lines that go together, and few nodes per line."""
    problem = random_problem(seed, lines_max=lines_max, nodes_max=nodes_max)
    chance = random.Random(seed)
    replace = msgspec.structs.replace
    few = replace(problem.policy, nodes_per_line_max=chance.choice((None, None, 1, 2)))
    skus = sorted({stock.sku for stock in problem.stock})
    kits = replace(problem, policy=few, lines=_with_kits(chance, problem.lines, skus))
    return replace(kits, lines=_in_groups(chance, kits.lines))


SCALES: dict[Measure, int] = {
    "cost_minor": 400,
    "parcels_minor": 300,
    "handling_minor": 40,
    "delivery_days": 1,
    "late_days": 1,
    "fulfillments": 1,
    "shipments": 1,
    "distance_km": 60,
    "co2_grams": 1_500,
    "group_units": 1,
}
"""What a small change of each measure is."""


def goal_problem(seed: int, *, lines_max: int = 4, nodes_max: int = 6) -> Problem:
    """A random problem of any kind with one to three goals, some with limits.

    In some a line was promised before, so that it may not come later.
    """
    problem = any_problem(seed, lines_max=lines_max, nodes_max=nodes_max)
    chance = random.Random(f"goals {seed}")
    problem = _promised(problem, chance, 0.1)
    if all(node.distance_km is None for node in problem.nodes):
        nodes = (
            replace(n, distance_km=chance.choice((None, 5, 40, 200)), groups=_some_groups(chance))
            for n in problem.nodes
        )
        lanes = (
            replace(
                lane,
                co2_grams=chance.choice((0, 300, 2_000)),
                co2_grams_per_kg=chance.choice((0, 500, 4_000)),
            )
            for lane in problem.lanes
        )
        problem = replace(problem, nodes=tuple(nodes), lanes=tuple(lanes))
    if chance.random() < 0.6:
        problem = _with_plenty(problem, chance)
    goals = tuple(_goal(chance) for _ in range(chance.choice((1, 1, 2, 3))))
    return replace(problem, policy=replace(problem.policy, goals=goals))


def promised_problem(seed: int, *, lines_max: int = 4, nodes_max: int = 6) -> Problem:
    """A random problem of any kind in which most lines were promised before."""
    problem = any_problem(seed, lines_max=lines_max, nodes_max=nodes_max)
    return _promised(problem, random.Random(f"promised {seed}"), 0.6)


def _promised(problem: Problem, chance: random.Random, share: float) -> Problem:
    """The problem with a share of its lines promised before, so that they may not come later."""
    lines = tuple(
        replace(line, promised_by=problem.now.date() + timedelta(days=chance.randint(0, 5)))
        if chance.random() < share
        else line
        for line in problem.lines
    )
    return replace(problem, lines=lines)


def _with_plenty(problem: Problem, chance: random.Random) -> Problem:
    """The problem with more stock and fewer wishes, so that goals decide and not what is short."""
    stock = (replace(s, available=s.available + chance.randint(0, 2)) for s in problem.stock)
    policy = replace(
        problem.policy, shipments_max=None, radius_km=None, groups_only=(), groups_never=()
    )
    lines = (replace(line, requires=()) for line in problem.lines)
    return replace(problem, stock=tuple(stock), policy=policy, lines=tuple(lines))


def _some_groups(chance: random.Random) -> tuple[str, ...]:
    return tuple(name for name in ("outlet", "north") if chance.random() < 0.4)


def _goal(chance: random.Random) -> Goal:
    measure = chance.choice(list(SCALES))
    scale = SCALES[measure]
    target = scale * chance.choice((0, 1, 1, 2, 3))
    limited = chance.random() < 0.4
    price = 0 if limited and chance.random() < 0.4 else chance.choice((20, 90, 300, 2_000))
    return Goal(
        measure=measure,
        target=target,
        limit=target + scale * chance.choice((0, 1, 2)) if limited else None,
        minor=price,
        per=scale * chance.choice((1, 1, 3)),
        names=("outlet", "north")[: chance.choice((1, 2))] if measure == "group_units" else (),
    )


def _with_kits(chance: random.Random, lines: tuple[Line, ...], skus: list[str]) -> tuple[Line, ...]:
    """Lines of which some are kits of one or two skus, which other lines may be of as well."""
    found = []
    for line in lines:
        if not skus or chance.random() < 0.7:
            found.append(line)
            continue
        inside = chance.sample(skus, min(len(skus), chance.choice((1, 2, 2))))
        components = tuple(Component(sku, chance.choice((1, 1, 2))) for sku in inside)
        kit = msgspec.structs.replace(line, sku=f"kit-{line.line_id}", components=components)
        found.append(msgspec.structs.replace(kit, quantity=min(2, line.quantity)))
    return tuple(found)


def _in_groups(chance: random.Random, lines: tuple[Line, ...]) -> tuple[Line, ...]:
    """Lines of which some go together, by carrier where nothing else suits all of them."""
    if chance.random() < 0.6:
        return lines
    group = chance.sample(lines, min(len(lines), chance.choice((1, 2, 2, 3))))
    wishes = {(line.methods, line.pickup_node) for line in group}
    changes = {} if len(wishes) == 1 else {"methods": ("ship",), "pickup_node": None}
    return tuple(
        msgspec.structs.replace(line, together="set", **changes) if line in group else line
        for line in lines
    )


def priced(problem: Problem, chance: random.Random) -> Problem:
    """The problem with worth, risk and surcharges, each in play in some."""
    worths, risks, surcharges = (chance.random() < 0.3 for _ in range(3))
    if not (worths or risks or surcharges):
        return problem
    replace = msgspec.structs.replace
    return replace(
        problem,
        stock=tuple(
            replace(
                stock,
                worth_minor=chance.choice((0, 10, 35, 120)) if worths else 0,
                risk_minor=chance.choice((0, 0, 8, 60)) if risks else 0,
            )
            for stock in problem.stock
        ),
        nodes=tuple(
            replace(node, surcharge_minor=chance.choice((0, 0, 25, 90, 300)) if surcharges else 0)
            for node in problem.nodes
        ),
    )


def _random_problem(seed: int, lines_max: int, nodes_max: int) -> Problem:
    chance = random.Random(seed)
    now = chance.choice(MOMENTS) + timedelta(minutes=chance.randint(-600, 600))
    nodes = [_node(chance, n, now) for n in range(chance.randint(2, nodes_max))]
    node_ids = [node.node_id for node in nodes]
    count = chance.randint(1, lines_max)
    skus = [f"sku-{s}" for s in range(max(1, count - chance.randint(0, 1)))]
    lines = [_line(chance, i, skus, node_ids, now.date(), few=count > 3) for i in range(count)]
    chance.shuffle(lines)
    return _sent_to_stores(chance, _problem(chance, now, lines, nodes, skus))


def _problem(
    chance: random.Random, now: datetime, lines: list[Line], nodes: list[Node], skus: list[str]
) -> Problem:
    node_ids = [node.node_id for node in nodes]
    return Problem(
        now=now,
        destination_time_zone=chance.choice(ZONES),
        lines=tuple(lines),
        nodes=tuple(nodes),
        stock=tuple(
            _stock(chance, node_id, sku, now.date())
            for node_id in node_ids
            for sku in skus
            if chance.random() < 0.75
        ),
        lanes=tuple(lane for node_id in node_ids for lane in _lanes(chance, node_id)),
        calendars=_calendars(now.date()),
        tariffs=_tariffs(chance),
        policy=_policy(chance, len(lines)),
    )


def _sent_to_stores(chance: random.Random, problem: Problem) -> Problem:
    """The problem in which some of what is collected may be sent there, in half of all cases."""
    if chance.random() < 0.5:
        return problem
    stores = [node.node_id for node in problem.nodes if "pickup" in node.capabilities]
    lines = tuple(_collected(chance, line, stores) for line in problem.lines)
    nodes = tuple(
        replace(node, capabilities=(*node.capabilities, "ship_to_store"))
        if chance.random() < 0.7
        else node
        for node in problem.nodes
    )
    lanes = tuple(
        replace(lane, to_node=store)
        for store in sorted({line.pickup_node for line in lines if line.pickup_node})
        for node in nodes
        if node.node_id != store
        for lane in _lanes(chance, node.node_id)
    )
    return replace(problem, lines=lines, nodes=nodes, lanes=problem.lanes + lanes)


def _collected(chance: random.Random, line: Line, stores: list[str]) -> Line:
    """A line that may be sent to a store, more often than not one that can hand it over."""
    if stores and chance.random() < 0.6:
        pickup_node = chance.choice(stores)
        methods: tuple[Method, ...] = chance.choice((("ship_to_store",), ("pickup",), line.methods))
        line = replace(line, pickup_node=pickup_node, methods=methods)
    if line.pickup_node is None or "ship_to_store" in line.methods:
        return line
    return replace(line, methods=(*line.methods, "ship_to_store"))


def _calendars(day: date) -> tuple[Calendar, ...]:
    return (
        Calendar(calendar_id="always", weekdays=(1, 2, 3, 4, 5, 6, 7)),
        Calendar(
            calendar_id="week",
            weekdays=(1, 2, 3, 4, 5),
            holidays=(day + timedelta(days=1), date(2026, 12, 25)),
        ),
        Calendar(calendar_id="six", weekdays=(1, 2, 3, 4, 5, 6), holidays=(day,)),
        Calendar(calendar_id="never", weekdays=()),
    )


def _calendar_id(chance: random.Random) -> str:
    return chance.choices(("always", "week", "six", "never"), (10, 6, 6, 1))[0]


def _tariffs(chance: random.Random) -> tuple[Tariff, ...]:
    """Concave, convex and plain odd tariffs, so that several parcels can beat one."""
    tariffs = []
    for name in ("near", "far", "odd"):
        limits = sorted(chance.sample(range(300, 4000, 100), chance.randint(1, 3)))
        prices = [chance.randint(30, 300) for _ in limits]
        if name != "odd":
            prices.sort()
        brackets = zip(limits, prices, strict=True)
        tariffs.append(
            Tariff(
                tariff_id=name,
                brackets=tuple(Bracket(weight_grams_max=w, price_minor=p) for w, p in brackets),
            )
        )
    return tuple(tariffs)


def _node(chance: random.Random, n: int, now: datetime) -> Node:
    capabilities = [name for name in ("ship", "pickup", "hazmat") if chance.random() < 0.8]
    capacity = [
        Capacity(
            work_on=now.date() + timedelta(days=ahead),
            remaining=chance.randint(0, 3),
            unit=chance.choice(("orders", "units")),
        )
        for ahead in range(-1, 4)
        if chance.random() < 0.2
    ]
    return Node(
        node_id=f"n{n}",
        kind=chance.choice(("warehouse", "store", "supplier", "partner")),
        time_zone=chance.choice(ZONES),
        calendar_id=_calendar_id(chance),
        cut_off=time(chance.choice((0, 2, 11, 14, 23)), chance.choice((0, 30, 59))),
        handling_days=chance.choice((0, 0, 0, 1, 2)),
        capabilities=tuple(capabilities),
        handling_order_minor=chance.choice((0, 20, 60)),
        handling_unit_minor=chance.choice((0, 5, 15)),
        capacity=tuple(capacity),
    )


def _line(
    chance: random.Random, i: int, skus: list[str], node_ids: list[str], day: date, *, few: bool
) -> Line:
    ways: tuple[tuple[Method, ...], ...] = (("ship",), ("pickup",), ("ship", "pickup"))
    methods = chance.choices(ways, (6, 2, 3))[0]
    return Line(
        line_id=f"line-{i}",
        sku=chance.choice(skus),
        quantity=chance.choice((1, 1, 2) if few else (1, 1, 2, 3)),
        weight_grams=chance.choice((0, 150, 400, 900, 1700)),
        methods=methods,
        pickup_node=chance.choice(node_ids) if "pickup" in methods else None,
        requested_by=day + timedelta(days=chance.randint(0, 4)) if chance.random() < 0.5 else None,
        requires=("hazmat",) if chance.random() < 0.2 else (),
    )


def _stock(chance: random.Random, node_id: str, sku: str, day: date) -> Stock:
    supply = [
        Supply(
            supply_id=f"{node_id}-{sku}-{s}",
            available_on=day + timedelta(days=chance.randint(-1, 3)),
            quantity=chance.randint(1, 2),
        )
        for s in range(chance.choice((0, 0, 1, 2)))
    ]
    return Stock(
        node_id=node_id, sku=sku, available=chance.choice((0, 1, 1, 2, 4)), supply=tuple(supply)
    )


def _lanes(chance: random.Random, node_id: str) -> list[Lane]:
    lanes = []
    for service in ("standard", "express", "freight"):
        if chance.random() < 0.5:
            days = chance.randint(0, 3)
            lanes.append(
                Lane(
                    node_id=node_id,
                    service=service,
                    tariff_id=chance.choice(("near", "far", "odd")),
                    transit_days_min=days,
                    transit_days_max=days + chance.randint(0, 2),
                    calendar_id=chance.choice((None, _calendar_id(chance))),
                )
            )
    return lanes


def _policy(chance: random.Random, count: int) -> Policy:
    return Policy(
        ship_complete=chance.random() < 0.2,
        shipments_max=chance.choice((None, None, 0, 1, 2)),
        backorder=chance.random() < 0.5,
        split_minor=chance.choice((0, 40, 250)),
        lateness_minor=chance.choice((0, 30, 100)),
        delay_minor=chance.choice((0, 5, 20)),
        shortage_minor=chance.choice((100, 400, 1_000_000, 1_000_000)),
        time_limit_ms=10_000,
        seed=count,
    )
