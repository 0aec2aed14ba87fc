"""Price steps of some slots: bounds against every plan, choices against every product of steps."""

from itertools import combinations, product

import numpy as np

from routing.candidates import candidates
from routing.facts import MISSING, SPLIT, Facts, Floats, facts, objective_of
from routing.greedy import coupled
from routing.grid import grid
from routing.instance import restrict
from routing.sharing import GRAM, Best, Sharing, sharing, spread_all
from routing.step_choices import Stairs, by_stairs, choices, priced, stairs
from tests.routing.random_problems import random_problem
from tests.routing.small import lane, line, node, problem, stock
from tests.routing.test_settle import WAYS_MAX, every_share

SEEDS = range(12_000, 12_700)
DEAR = 2**50
PRODUCTS_MAX = 3_000


def sets_of_slots() -> list[tuple[Facts, tuple[int, ...]]]:
    """Sets of two to four slots of orders of any kind."""
    found = []
    for seed in SEEDS:
        instance = candidates(random_problem(seed), prune=False)
        if not coupled(instance) and len(instance.slots) > 1:
            known = facts(grid(instance), 0)
            for size in (2, 3, 4):
                sets = list(combinations(range(len(instance.slots)), size))
                found += [(known, slots) for slots in sets if holds_all(known, slots)]
    return found


def holds_all(known: Facts, slots: tuple[int, ...]) -> bool:
    """Whether the slots have all units wanted."""
    return bool((known.units_max[list(slots)].sum(axis=0) >= known.wanted).all())


def least_of_all(known: Facts, slots: tuple[int, ...]) -> int | None:
    """The least objective of plans that use each of the slots, none where there are too many."""
    lines = every_share(known, slots)
    if not 0 < np.prod([len(ways) for ways in lines]) <= WAYS_MAX:
        return None
    least = DEAR
    for ways in product(*lines):
        units = np.zeros_like(known.units_max)
        units[list(slots)] = np.array(ways, np.int64).reshape(len(lines), len(slots)).T
        if units[list(slots)].sum(axis=1).all():
            least = min(least, objective_of(known, units))
    return least


def bound(known: Facts, slots: tuple[int, ...], least: int, turns: int) -> float:
    """What trying so many prices proves, where the incumbent costs a fifth more than the least."""
    incumbent = np.array([least + least // 5 + 1], np.int64)
    best = Best(np.zeros_like(known.units_max), incumbent, np.array([np.inf]))
    local = sharing(known, np.array(slots))
    fixed = known.opening[list(slots)].sum() + float(known.prices[MISSING] - known.prices[SPLIT])
    return by_stairs(known, local, stairs(known, local, 0.0), best, (fixed, turns))


def test_no_plan_that_opens_slots_costs_less_than_their_stairs() -> None:
    """However many prices are tried; more of them never prove less, and often more."""
    compared = closer = 0
    for known, slots in sets_of_slots():
        least = least_of_all(known, slots)
        if least is None or least == DEAR:
            continue
        bounds = [bound(known, slots, least, turns) for turns in (1, 4, 12, 40)]
        assert bounds == sorted(bounds)
        assert bounds[-1] <= least + 1e-3, (slots, least)
        compared += 1
        closer += bounds[-1] > bounds[0] + 1
    print(f"{compared} compared, {closer} of them closer with more prices")
    assert compared > 300
    assert closer > 100


def prices_tried(local: Sharing) -> list[Floats]:
    """No price per gram, and two that tell slots apart."""
    count = len(local.slots)
    return [np.zeros(count), np.linspace(0.0, 0.2, count), np.linspace(0.3, 0.05, count)]


def brute(known: Facts, local: Sharing, stair: Stairs, total: int) -> dict[tuple[int, ...], float]:
    """Every choice of steps that holds the grams, with what it costs less their price."""
    gram, found = local.numbers[GRAM], {}
    ends = [range(low, end) for low, end in zip(stair.low, stair.end, strict=True)]
    for steps in product(*ends):
        grains = sum(-(-int(known.limits[step]) // stair.grain) for step in steps)
        if grains >= -(-total // stair.grain):
            limits = known.limits[list(steps)]
            found[steps] = float(known.parcels[list(steps)].sum() - (gram * limits).sum())
    return found


def test_choices_are_all_that_hold_the_weight_and_are_cheap_enough() -> None:
    """At any prices per gram, and none costs less than the least that was told."""
    compared = 0
    for known, slots in sets_of_slots():
        local = sharing(known, np.array(slots))
        stair = stairs(known, local, 0.0)
        total = int((local.wanted * local.grams).sum())
        if np.prod(stair.end - stair.low) > PRODUCTS_MAX:
            continue
        for gram in prices_tried(local):
            local.numbers[GRAM] = gram
            every = brute(known, local, stair, total)
            least = priced(known, stair, local.numbers[GRAM])
            assert every
            assert abs(least - min(every.values())) < 1e-6
            ceiling = float(np.quantile(list(every.values()), 0.4)) + 1e-6
            steps, prices, whole = choices(known, local, stair, ceiling)
            cheap = {each: price for each, price in every.items() if price <= ceiling}
            assert whole
            assert sorted(map(tuple, steps.tolist())) == sorted(cheap)
            assert np.allclose(prices, sorted(cheap.values()))
            compared += 1
    assert compared > 300


def test_steps_with_room_to_spare_hold_that_much_more() -> None:
    """First plans are looked for among choices that can be filled."""
    compared = 0
    for known, slots in sets_of_slots():
        local = sharing(known, np.array(slots))
        total = int((local.wanted * local.grams).sum())
        stair = stairs(known, local, 0.25)
        if priced(known, stair, local.numbers[GRAM]) > DEAR:
            continue
        steps, _, _ = choices(known, local, stair, float(DEAR))
        room = known.limits[steps].sum(axis=1)
        assert (room + len(slots) * stair.grain >= 1.25 * total - 1).all()
        compared += len(steps)
    assert compared > 1_000


def test_too_many_choices_are_not_said_to_be_all() -> None:
    """Eight slots in thousands of parcels have more choices of steps than are ever looked at."""
    lines = (line("1", "s", 1_600),)
    nodes = tuple(node(name) for name in "abcdefgh")
    stocks = tuple(stock(each.node_id, "s", 400) for each in nodes)
    lanes = tuple(lane(each.node_id) for each in nodes)
    instance = candidates(problem(lines, nodes, stocks, lanes=lanes), prune=False)
    ships = tuple(k for k, slot in enumerate(instance.slots) if slot.method == "ship")
    known = facts(grid(restrict(instance, ships)), 0)
    slots = np.arange(len(ships))
    local = sharing(known, slots)
    assert spread_all(local) < DEAR
    stair = stairs(known, local, 0.0)
    priced(known, stair, local.numbers[GRAM])
    tried = []

    for ceiling in range(0, 300_000, 3_000):
        steps, prices, whole = choices(known, local, stair, float(ceiling))
        tried.append((len(steps), whole))
        assert (known.parcels[steps].sum(axis=1) == prices).all()
        assert (known.limits[steps].sum(axis=1) >= 1_600 * 500).all()

    assert (0, True) in tried
    assert any(count and not whole for count, whole in tried), tried[-5:]
