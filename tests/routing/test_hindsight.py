"""What a day's orders would have cost with all of them known: bounds that can be checked by hand."""

import itertools
import random
from collections.abc import Mapping
from datetime import date, timedelta

import numpy as np

from routing.destination import destination
from routing.grid import Ints
from routing.hindsight import Answer, look_back
from routing.hindsight_day import DayOrder, look_back_on
from routing.hindsight_rooms import Place, Room
from routing.problem import Bracket, CapacityUnit, Policy, Tariff
from routing.record import Asked
from routing.terrain import Terrain, prepare
from tests.routing.small import ALWAYS, NOW, TODAY, lane, line, node

LAMPS = {("north", "lamp"): 9, ("south", "lamp"): 9}
NUMBERS = {"north": 0, "south": 1, "west": 2}
Prices = Mapping[str, int]


def terrain(prices: Prices) -> Terrain:
    """Return a destination to which each node's parcel costs what `prices` say."""
    nodes = [node(name, handling_order_minor=0, handling_unit_minor=0) for name in prices]
    tariffs = [
        Tariff(tariff_id=name, brackets=(Bracket(weight_grams_max=50_000, price_minor=minor),))
        for name, minor in prices.items()
    ]
    lanes = [lane(name, name) for name in prices]
    return prepare(destination(nodes, lanes, [ALWAYS], tariffs, "UTC"), NUMBERS, NOW)


def order(
    prices: Prices,
    taken: Mapping[tuple[str, str], int],
    cost_minor: int,
    delay_minor: int = 0,
) -> DayOrder:
    """Return an order of what it took, to where each node's parcel costs what `prices` say."""
    units: dict[str, int] = {}
    for (_, sku), quantity in taken.items():
        units[sku] = units.get(sku, 0) + quantity
    lines = tuple(line(sku, sku, quantity) for sku, quantity in sorted(units.items()))
    policy = Policy(delay_minor=delay_minor, split_minor=0, time_limit_ms=5_000)
    work: dict[tuple[str, date], tuple[int, int]] = {}
    for (node_id, _), quantity in taken.items():
        _, total = work.get((node_id, TODAY), (0, 0))
        work[node_id, TODAY] = 1, total + quantity
    asked = Asked(NOW, lines, policy, {}, dict(taken), cost_minor, is_weighed=False, work=work)
    return DayOrder(terrain(prices), asked, cost_minor)


def test_a_day_whose_regret_is_known_by_hand() -> None:
    """The first took the last unit in the north, which the second had no good way around.

    North is 500 for both. South is 600 for the first and 1,200 for the second. Decided one by one
    they cost 500 + 1,200; in hindsight 600 + 500.
    """
    first = order({"north": 500, "south": 600}, {("north", "lamp"): 1}, 500)
    second = order({"north": 500, "south": 1_200}, {("south", "lamp"): 1}, 1_200)
    seen = look_back_on([first, second], {("south", "lamp"): 5}, NUMBERS, 60)
    assert (seen.bound_minor, seen.best_minor, seen.converged) == (1_100, 1_100, True)


def test_a_day_on_which_every_order_got_its_best_has_no_regret() -> None:
    """Stock for all of them: one round tells."""
    both = [order({"north": 500, "south": 600}, {("north", "lamp"): 1}, 500) for _ in range(2)]
    seen = look_back_on(both, {}, NUMBERS, 60)
    assert (seen.bound_minor, seen.rounds, seen.converged) == (1_000, 1, True)


def test_whole_orders_are_priced_with_their_parcels() -> None:
    """Two items in one parcel: by single items the bound would be lower than any plan.

    Both were ordered by both. West has one of each, north the lamp and south the bulb, at 400 a
    parcel. Whoever gets west pays one parcel, the other two: 400 + 800, whatever one knows.
    """
    prices = {"north": 400, "south": 400, "west": 400}
    west = {("west", "lamp"): 1, ("west", "bulb"): 1}
    apart = {("north", "lamp"): 1, ("south", "bulb"): 1}
    seen = look_back_on([order(prices, west, 400), order(prices, apart, 800)], {}, NUMBERS, 60)
    assert seen.best_minor == 1_200
    assert 1_190 <= seen.bound_minor <= 1_200


def full(node_id: str, unit: CapacityUnit, dates: int, remaining: int = 0) -> dict[Place, Room]:
    """Return a node that can do no more on so many dates from today, or so much."""
    days = (TODAY + timedelta(days=n) for n in range(dates))
    return {(node_id, day): Room(unit, remaining) for day in days}


def both_from_north(delay_minor: int) -> list[DayOrder]:
    """Return two orders, the first of which took the last room in the north.

    North is 500 for both. South is 600 for the first and 1,200 for the second, which went there.
    """
    north, south = {("north", "lamp"): 1}, {("south", "lamp"): 1}
    wait = delay_minor
    return [
        order({"north": 500, "south": 600}, north, 500 + wait, delay_minor),
        order({"north": 500, "south": 1_200}, south, 1_200 + wait, delay_minor),
    ]


def test_room_that_is_short_for_long_counts_like_stock() -> None:
    """Lamps are everywhere: without room both would have come from the north, for 1,000."""
    orders = both_from_north(0)
    assert look_back_on(orders, LAMPS, NUMBERS, 60).bound_minor == 1_000
    units: tuple[CapacityUnit, ...] = ("orders", "units")
    for unit in units:
        seen = look_back_on(orders, LAMPS, NUMBERS, 60, full("north", unit, 30))
        assert 1_099 <= seen.bound_minor <= 1_100
        assert (seen.best_minor, seen.converged) == (1_100, True)


def test_room_that_is_there_tomorrow_is_worth_a_day_of_waiting() -> None:
    """The second could have come from the north a day later; nothing dearer can be said."""
    seen = look_back_on(both_from_north(40), LAMPS, NUMBERS, 60, full("north", "orders", 1))
    assert 500 + 40 + 500 + 80 - 2 <= seen.bound_minor <= 500 + 40 + 500 + 80
    free = look_back_on(both_from_north(0), LAMPS, NUMBERS, 60, full("north", "orders", 1))
    assert free.bound_minor == 1_000


def test_bounds_on_days_of_little_room_are_below_the_best_of_all_arrangements() -> None:
    """Random small days against every way to give each order a node and a date."""
    tight = 0
    for seed in range(30):
        chance = random.Random(seed)
        delay = chance.choice((0, 15, 60))
        names = ("north", "south", "west")[: chance.choice((2, 3))]
        count, dates = chance.randint(2, 4), chance.choice((1, 2))
        left = {(name, "lamp"): count for name in names}
        rooms: dict[Place, Room] = {}
        for name in names[1:]:
            rooms |= full(name, "orders", dates, chance.choice((0, 0, 1)))
        costs = [{name: chance.randint(10, 90) * 10 for name in names} for _ in range(count)]
        orders = [
            order(each, {("north", "lamp"): 1}, each["north"] + delay, delay) for each in costs
        ]
        ways = [
            [
                ((name, TODAY + timedelta(days=day)), each[name] + delay * (1 + day))
                for name in names
                for day in range(dates + 1)
            ]
            for each in costs
        ]
        least = min(
            sum(minor for _, minor in way)
            for way in itertools.product(*ways)
            if all(
                sum(at == place for at, _ in way) <= room.remaining for place, room in rooms.items()
            )
        )

        seen = look_back_on(orders, left, NUMBERS, 60, rooms)

        without = look_back_on(orders, left, NUMBERS, 60)
        assert without.bound_minor <= seen.bound_minor <= least <= seen.best_minor, seed
        tight += seen.bound_minor > without.bound_minor
    assert tight > 10


def test_the_bound_is_never_above_the_best_of_all_assignments() -> None:
    """Random small days against every way to hand out their stock."""
    for seed in range(25):
        chance = random.Random(seed)
        cells, orders = chance.randint(2, 4), chance.randint(2, 5)
        supply = np.array([chance.randint(0, 2) for _ in range(cells)] + [orders], np.int64)
        costs = [[chance.randint(1, 30) for _ in range(cells)] + [100] for _ in range(orders)]
        ways = list(itertools.product(range(cells + 1), repeat=orders))
        within = [way for way in ways if (np.bincount(way, minlength=cells + 1) <= supply).all()]
        least = min(sum(costs[n][cell] for n, cell in enumerate(way)) for way in within)
        first = sum(costs[n][cell] for n, cell in enumerate(within[-1]))
        seen = look_back(supply, first, answering(costs))
        assert seen.bound_minor <= least <= seen.best_minor
        # An assignment problem has no gap of its own, and prices are whole.
        assert least - seen.bound_minor <= max(orders, 0.05 * least)


def answering(costs: list[list[int]]) -> "Answering":
    """Return who decides orders that each take one unit of one cell."""
    return Answering(costs)


class Answering:
    """Decides orders that each take one unit of one cell, at its cost and price."""

    def __init__(self, costs: list[list[int]]) -> None:
        """Know what each order costs from each cell."""
        self.costs = costs

    def __call__(self, prices: Ints) -> list[Answer]:
        """Return the cheapest cell of each order."""
        found = []
        for row in self.costs:
            totals = [cost + int(price) for cost, price in zip(row, prices, strict=True)]
            cell = int(np.argmin(totals))
            one = np.ones(1, np.int64)
            found.append(Answer(totals[cell], row[cell], np.array([cell]), one))
        return found


def test_shortfalls_that_nobody_could_avoid_do_not_hide_the_rest() -> None:
    """Three want two lamps: one is short whoever decides, and the others could be had for less."""
    costs = [[500, 600, 1_000_000], [500, 1_200, 1_000_000], [900, 900, 1_000_000]]
    supply, start = np.array([1, 1, 3]), np.array([1_000_000, 1_000_000, 0])
    seen = look_back(supply, 1_001_700, answering(costs), start, 1_700)
    assert 1_001_100 - 17 <= seen.bound_minor <= 1_001_100
    assert seen.converged


def test_when_time_runs_out_the_bound_is_what_was_reached() -> None:
    """A weaker bound is still a bound; and it says that it was not proven."""
    rounds = itertools.count()
    decide = answering([[10, 12], [10, 30], [10, 40]])

    def answer(prices: Ints) -> list[Answer] | None:
        return None if next(rounds) == 1 else decide(prices)

    seen = look_back(np.array([1, 9]), 10 + 30 + 40, answer)
    assert (seen.bound_minor, seen.rounds, seen.converged) == (30, 1, False)
