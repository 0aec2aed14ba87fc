"""Open slots share their units at the least price, and prices per unit bound what they cost."""

import math
from itertools import combinations, product

import numpy as np

from routing.ascent import FREE, ascent, lower, weigh
from routing.candidates import candidates
from routing.facts import REAL, STEPS_MAX, Facts, facts, objective_of, parcel_minor
from routing.greedy import coupled
from routing.grid import Ints, grid
from routing.instance import Instance, restrict
from routing.settle import settle
from routing.sharing import Best, beaten
from tests.routing.random_problems import random_problem
from tests.routing.small import lane, line, node, problem, stock

DEAR = 2**60
WAYS_MAX = 4_000
TRIES = 1_000_000


def every_share(known: Facts, slots: tuple[int, ...]) -> list[list[tuple[int, ...]]]:
    """By line, every way to take all that is wanted from these slots."""
    found = []
    for i, wanted in enumerate(known.wanted.astype(int).tolist()):
        ways = product(*(range(int(known.units_max[k, i]) + 1) for k in slots))
        found.append([way for way in ways if sum(way) == wanted])
    return found


def cheapest(known: Facts, slots: tuple[int, ...]) -> int | None:
    """The least objective over all ways to share the units, none where there are too many."""
    lines = every_share(known, slots)
    if np.prod([len(ways) for ways in lines]) > WAYS_MAX:
        return None
    least = DEAR
    for ways in product(*lines):
        units = np.zeros_like(known.units_max)
        units[list(slots)] = np.array(ways, np.int64).reshape(len(lines), len(slots)).T
        least = min(least, objective_of(known, units))
    return least


def chosen(slots: int, size: int) -> list[tuple[int, ...]]:
    """Some sets of so many slots."""
    return list(combinations(range(slots), size))[::3]


def settled(known: Facts, slots: tuple[int, ...]) -> tuple[bool, Best]:
    """The cheapest plan that opens any of the slots, and whether all sets of them were settled."""
    units: Ints = np.zeros_like(known.units_max)
    best = Best(units, np.array([DEAR], np.int64), np.array([np.inf]))
    closed = True
    for size in range(1, len(slots) + 1):
        for some in combinations(slots, size):
            lowest, _ = settle(known, np.array(some, np.int64), best, TRIES)
            closed = closed and beaten(best, lowest)
    return closed, best


def compare(instance: Instance, sizes: tuple[int, ...]) -> int:
    """Compare sets of slots of an instance with brute force; how many were."""
    known, compared = facts(grid(instance), 0), 0
    for size in sizes:
        for slots in chosen(len(instance.slots), size):
            least = cheapest(known, slots)
            if least is None:
                continue
            closed, best = settled(known, slots)
            compared += 1
            assert closed, "a set as small as this is settled"
            assert best.objective[0] == least, (slots, least)
            if least < DEAR:
                assert objective_of(known, best.units) == least
    return compared


def test_two_three_and_four_slots_share_units_at_the_least_price() -> None:
    """With odd tariffs, weightless units, days that differ by line, and lines of several units."""
    compared = 0
    for seed in range(12_000, 12_700):
        instance = candidates(random_problem(seed), prune=False)
        if not coupled(instance) and len(instance.slots) > 1:
            compared += compare(instance, (1, 2, 3, 4))
    assert compared > 400


def test_thousands_of_units_are_given_up_instead_of_counted_one_by_one() -> None:
    """Three lines of thousands of units at twelve nodes have more ways than there are atoms."""
    lines = tuple(line(f"{i}", f"s{i}", 4_000, weight_grams=100 + i) for i in range(3))
    names = tuple(f"n{i:02}" for i in range(12))
    nodes = tuple(node(name, handling_unit_minor=n % 5) for n, name in enumerate(names))
    stocks = tuple(stock(name, each.sku, 390 + n) for n, name in enumerate(names) for each in lines)
    lanes = tuple(lane(name) for name in names)
    instance = candidates(problem(lines, nodes, stocks, lanes=lanes), prune=False)
    ships = tuple(k for k, slot in enumerate(instance.slots) if slot.method == "ship")
    known = facts(grid(restrict(instance, ships)), 0)
    best = Best(np.zeros_like(known.units_max), np.array([DEAR], np.int64), np.array([np.inf]))

    lowest, _ = settle(known, np.arange(len(ships)), best, TRIES)

    assert best.units.sum() == 12_000
    assert not beaten(best, lowest), "not proven, and not said to be"


def test_brackets_are_filled_to_the_gram() -> None:
    """Ten lines whose weights fit two brackets of 1,000 g in one way only: 499 + 501 and so on."""
    weights = (499, 501, 333, 334, 333, 250, 249, 251, 250, 1000)
    lines = tuple(line(f"{i}", f"s{i}", weight_grams=w) for i, w in enumerate(weights))
    nodes = tuple(node(name) for name in "abcd")
    stocks = tuple(stock(name, f"s{i}", 1) for name in "abcd" for i in range(len(weights)))
    lanes = tuple(lane(name) for name in "abcd")
    instance = candidates(problem(lines, nodes, stocks, lanes=lanes), prune=False)
    ships = tuple(k for k, slot in enumerate(instance.slots) if slot.method == "ship")

    known = facts(grid(restrict(instance, ships)), 0)
    closed, best = settled(known, (0, 1, 2, 3))

    assert closed
    loads = best.units @ known.weights_grams
    assert sorted(loads.tolist()) in ([0, 0, 0, 4_000], [1_000] * 4)


def test_opening_a_slot_costs_at_least_what_prices_leave_of_it() -> None:
    """For any prices of units, against every load the slot could take.

    Also where prices moved a little, and slots that cost enough are not looked at closer.
    """
    chance = np.random.default_rng(1)
    compared = 0
    for seed in range(12_300, 12_500):
        known = facts(grid(candidates(random_problem(seed), prune=False)), 2**40)
        if not len(known.opening):
            continue
        room = ascent(known)
        status = np.full(len(known.opening), FREE, np.int8)
        room.trial[:] = chance.random(len(known.wanted)) * 400
        for turn in range(6):
            anew = turn < 3
            apart = (0.5, 2.0) if anew else (0.95, 1.1)
            prices = room.trial * chance.uniform(*apart, len(room.trial))
            room.risen[:] = np.maximum(prices - room.trial, 0)
            room.trial[:] = prices
            if anew:
                room.rest[:] = -math.inf
            else:
                lower(known, room, status)
            weigh(known, room, status, 1e300 if anew else 0.0)
            for k in range(known.prices[REAL]):
                compared += 1
                assert room.rest[k] <= least_rest(known, k, room.trial) + 1e-6, (seed, k)
    assert compared > 1_000


def least_rest(known: Facts, k: int, prices: np.ndarray) -> float:
    """The least of price less worth over every load, a line's waiting shared by its units."""
    pairs = range(known.starts[k], known.starts[k + 1])
    lowest = float(parcel_minor(known, k, 0))
    for counts in product(*(range(int(known.most[n]) + 1) for n in pairs)):
        load = worth = 0.0
        for n, count in zip(pairs, counts, strict=True):
            load += count * known.grams[known.lines[n]]
            worth += count * (prices[known.lines[n]] - known.costs[n])
        lowest = min(lowest, parcel_minor(known, k, int(load)) - worth)
    return lowest + float(known.opening[k])


def test_price_steps_told_apart_lie_below_the_tariff() -> None:
    """A step above the staircase at one weight would make the bound a lie."""
    for grams in (97, 1_000, 2_345, 4_999):
        heavy = (line("0", "s0", quantity=400, weight_grams=grams),)
        asked = problem(heavy, (node("a"),), (stock("a", "s0", 400),))
        known = facts(grid(candidates(asked, prune=False)), 0)

        for k in range(known.prices[REAL]):
            steps = slice(known.limit_starts[k], known.limit_starts[k + 1])
            limits, parcels = known.limits[steps], known.parcels[steps]
            assert 1 <= len(limits) <= STEPS_MAX
            for count in range(401):
                step = int(np.searchsorted(limits, count * grams))
                assert parcels[step] <= parcel_minor(known, k, count * grams)
