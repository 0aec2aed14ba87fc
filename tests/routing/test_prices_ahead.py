"""Orders like those that came put a price on what they share, and weights are put to the test."""

from datetime import date, timedelta

import msgspec
import numpy as np
import pytest

from routing.decided_again import cells_of, ready
from routing.hindsight_day import DayOrder
from routing.prices_ahead import Coming, Rooms, Shelves, prices_ahead
from routing.prices_replay import Believed, Flows, Period, chosen_weights, replayed_minor
from tests.routing.small import TODAY
from tests.routing.test_hindsight import NUMBERS, order

PLACES = {("north", "lamp"): 0, ("south", "lamp"): 1}
BY_SKU = cells_of(PLACES, NUMBERS)
FAR = {"north": 500, "south": 1_200}
NEAR = {"north": 500, "south": 600}
NOTHING = np.zeros(2, np.int64)
STEPS = 60


def lamp(prices: dict[str, int]) -> DayOrder:
    """Return an order of one lamp to where each node's parcel costs what `prices` say."""
    return order(prices, {("north", "lamp"): 1}, 500)


def coming(*orders: tuple[dict[str, int], float]) -> list[Coming]:
    """Return orders of one lamp, each expected so many times."""
    found = [(lamp(prices), expected) for prices, expected in orders]
    return [Coming(ready(each.terrain, each.asked, BY_SKU), expected) for each, expected in found]


def shelves(north: int, south: int, *places: float) -> Shelves:
    """Return lamps in the north and the south, and places in the north on each day from today on."""
    dates = tuple(TODAY + timedelta(days=n) for n in range(len(places)))
    rooms = {"north": Rooms(dates, places)} if places else {}
    return Shelves(PLACES, np.array([north, south]), 5_000, rooms)


def waiting(delay_minor: int, expected: float, days_later: int = 0) -> Coming:
    """Return an order of one lamp that pays so much for each day, expected so many times."""
    each = order(NEAR, {("north", "lamp"): 1}, 500, delay_minor)
    return Coming(ready(each.terrain, each.asked, BY_SKU), expected, days_later)


def wanted(by: date, expected: float) -> Coming:
    """Return an order of one lamp that has to be there by a date, expected so many times."""
    found = waiting(0, expected)
    asked = found.again.asked
    lines = tuple(msgspec.structs.replace(line, requested_by=by) for line in asked.lines)
    policy = msgspec.structs.replace(asked.policy, lateness_minor=300)
    return found._replace(
        again=found.again._replace(asked=asked._replace(lines=lines, policy=policy))
    )


def period(opening: int, orders: list[float], flows: Flows, believed: Believed) -> Period:
    """Return a period with lamps in the north, and orders for which the south is hardly dearer."""
    asked = lamp(NEAR)
    again = ready(asked.terrain, asked.asked, BY_SKU)
    return Period(np.array([opening, 9]), [(at, again) for at in orders], flows, PLACES, believed)


def walk_in(at: float) -> Flows:
    """Return one who wants a lamp in the north, and costs 3.00 where he finds none."""
    return Flows(np.array([at]), np.array([0]), np.array([-1]), np.array([300.0]))


def test_a_scarce_unit_is_worth_what_the_next_best_way_costs_more() -> None:
    """Two lamps in the north for four orders: each of two that go south instead pays 1.00 more."""
    found = prices_ahead(coming((NEAR, 3.0), (FAR, 1.0)), shelves(2, 9), STEPS, 10)
    assert found.worth_minor[0] == pytest.approx(100, abs=2)
    assert found.worth_minor[1] == 0
    assert found.steps == STEPS
    assert found.gap < 0.01


def test_what_is_there_for_everybody_has_no_price() -> None:
    """Prices of plenty would only send parcels around."""
    found = prices_ahead(coming((NEAR, 3.0), (FAR, 1.0)), shelves(4, 9), STEPS, 10)
    assert found.worth_minor.tolist() == [0, 0]


def test_a_few_steps_tell_what_is_scarce() -> None:
    """Prices that go only part of the way are right in direction, and fit no accident."""
    few = 2
    found = prices_ahead(coming((NEAR, 3.0), (FAR, 1.0)), shelves(2, 9), few, 10)
    assert 0 < found.worth_minor[0] < 200
    assert found.worth_minor[1] == 0


def test_a_node_that_cannot_make_all_that_is_wanted_of_it_has_a_price() -> None:
    """Stock for all, hands for half of them: a place is worth what going south costs more."""
    found = prices_ahead([waiting(500, 4.0)], shelves(9, 9, 2.0, 9.0), STEPS, 10)
    assert found.worth_minor.tolist() == [0, 0]
    assert found.room_minor["north"] == {TODAY: pytest.approx(100, abs=2)}


def test_a_place_is_worth_no_more_than_the_wait_for_the_next_day() -> None:
    """Going south costs 1.00 more, a day's wait 0.40, and tomorrow there is room for all."""
    found = prices_ahead([waiting(40, 4.0)], shelves(9, 9, 2.0, 9.0), STEPS, 10)
    assert found.room_minor["north"] == {TODAY: pytest.approx(40, abs=2)}
    assert found.gap < 0.01


def test_those_who_can_wait_leave_the_day_to_those_who_cannot() -> None:
    """Going south costs two of them 1.00 more, a day's wait four others 0.05: any price between."""
    needing = prices_ahead([wanted(TODAY, 2.0)], shelves(9, 9, 2.0), STEPS, 10)
    assert not needing.room_minor
    found = prices_ahead([wanted(TODAY, 2.0), waiting(5, 4.0)], shelves(9, 9, 2.0, 9.0), STEPS, 10)
    assert [*found.room_minor["north"]] == [TODAY]
    assert 5 <= found.room_minor["north"][TODAY] <= 100
    assert found.gap < 0.01


def test_orders_stand_for_those_of_later_days() -> None:
    """What came a week ago today is expected today, and takes the places of today."""
    later = Rooms(tuple(TODAY + timedelta(days=n) for n in range(6, 9)), (9.0, 2.0, 9.0))
    few = shelves(9, 9)._replace(rooms={"north": later})
    found = prices_ahead([waiting(500, 4.0, days_later=7)], few, STEPS, 10)
    assert found.room_minor["north"] == {TODAY + timedelta(days=7): pytest.approx(100, abs=2)}


def test_a_date_without_a_place_is_not_on_offer() -> None:
    """Nobody can use what is full: they wait, or go elsewhere where there is no other date."""
    found = prices_ahead([waiting(40, 4.0)], shelves(9, 9, 0.0, 9.0), STEPS, 10)
    assert not found.room_minor
    never = prices_ahead([waiting(40, 4.0)], shelves(9, 9, 0.0), STEPS, 10)
    assert not never.room_minor
    assert never.gap < 0.01


def test_without_time_everything_is_free() -> None:
    """Prices of orders that were decided in part would be those of whoever came first."""
    found = prices_ahead(coming((NEAR, 3.0), (FAR, 1.0)), shelves(2, 9), STEPS, 0)
    assert found.worth_minor.tolist() == [0, 0]
    assert (found.steps, found.gap) == (0, 1)


def test_without_orders_everything_is_free() -> None:
    """A new shop has no past to learn from."""
    assert prices_ahead([], shelves(1, 1), STEPS, 10).worth_minor.tolist() == [0, 0]


def test_a_replay_charges_orders_and_lost_walk_ins() -> None:
    """The order takes the last lamp and the walk-in finds none, unless the lamp was worth too much.

    500 + 300 without prices; 600 with them.
    """
    believed = Believed(np.array([3.0, 0.0]), np.array([300, 0]), NOTHING)
    found = period(1, [1.0], walk_in(2.0), believed)
    assert replayed_minor(found, (0.0, 0.0)) == 800
    assert replayed_minor(found, (1.0, 0.0)) == 600


def test_what_comes_in_meanwhile_is_there_for_those_who_come_later() -> None:
    """A delivery between the order and the walk-in, who then finds his lamp."""
    flows = Flows(np.array([1.5, 2.0]), np.array([0, 0]), np.array([1, -1]), np.array([0.0, 300.0]))
    believed = Believed(np.zeros(2), np.array([300, 0]), NOTHING)
    assert replayed_minor(period(1, [1.0], flows, believed), (0.0, 0.0)) == 500


def test_prices_count_where_they_would_have_saved_something() -> None:
    """In each of these weeks a walk-in came for what an order had taken."""
    believed = Believed(np.array([3.0, 0.0]), np.array([300, 0]), NOTHING)
    weeks = [period(1, [1.0], walk_in(2.0), believed) for _ in range(3)]
    found = chosen_weights(weeks)
    assert found.walk_in > 0
    assert (found.cost_minor, found.free_minor) == (600, 800)


def test_prices_that_would_have_cost_more_do_not_count() -> None:
    """Walk-ins that were expected every week and never came."""
    believed = Believed(np.array([3.0, 0.0]), np.array([300, 0]), np.array([200, 0]))
    nobody = Flows(np.zeros(0), NOTHING[:0], NOTHING[:0], np.zeros(0))
    found = chosen_weights([period(1, [1.0], nobody, believed) for _ in range(3)])
    assert (found.walk_in, found.orders) == (0, 0)
    assert found.cost_minor == found.free_minor == 500


def test_prices_for_orders_to_come_count_where_the_last_ones_had_nowhere_to_go() -> None:
    """The lamp that the first order spared saves 6.00 on the second, which is far from the south."""
    believed = Believed(np.zeros(2), NOTHING, np.array([200, 0]))
    near, far = lamp(NEAR), lamp(FAR)
    orders = [
        (float(at), ready(each.terrain, each.asked, BY_SKU)) for at, each in enumerate((near, far))
    ]
    nobody = Flows(np.zeros(0), NOTHING[:0], NOTHING[:0], np.zeros(0))
    week = Period(np.array([1, 9]), orders, nobody, PLACES, believed)
    found = chosen_weights([week, week])
    assert found.orders > 0
    assert (found.cost_minor, found.free_minor) == (1_100, 1_700)
