"""Prices of stock: chances, learned rates, duals and the weight they earn."""

import math

import numpy as np
import pytest

from routing.prices import poisson_tail, rationing_minor, tail_table
from routing.prices_chosen import blended_minor, chosen_weight
from routing.prices_learned import learned_rates


def slow_tail(mean: float, units: int) -> float:
    """P(N >= units), term by term with exact factorials."""
    below = sum(math.exp(-mean) * mean**k / math.factorial(k) for k in range(units))
    return max(0.0, 1 - below)


@pytest.mark.parametrize("mean", [0.0, 0.01, 0.5, 3.0, 40.0])
def test_the_chance_that_demand_reaches_units_is_that_of_poisson(mean: float) -> None:
    """The only formula behind rationing has to be right for slow and for fast movers."""
    units = np.arange(-1, 60)
    found = poisson_tail(np.full(len(units), mean), units)
    assert found == pytest.approx([slow_tail(mean, max(0, u)) for u in units.tolist()], abs=1e-9)


def test_the_chance_for_a_very_fast_mover_is_nearly_normal() -> None:
    """exp(-1000) is no number; the approximation must take over without a jump."""
    found = poisson_tail(
        np.array([1000.0, 1000.0, 1000.0, 700.5]), np.array([900, 1000, 1100, 700])
    )
    assert found == pytest.approx([0.9993, 0.508, 0.0009, 0.51], abs=0.01)


def test_a_table_says_the_same_as_the_formula() -> None:
    """A service looks chances up for each order; classes must be fine enough not to matter."""
    table = tail_table(rate_max=50.0, units_max=80)
    rates = np.random.default_rng(1).gamma(0.5, 4.0, 2_000)
    units = np.random.default_rng(2).integers(0, 12, 2_000)
    looked_up = table.at(table.classes(rates), units)
    assert np.abs(looked_up - poisson_tail(rates, units)).max() < 0.01
    assert table.at(table.classes(np.array([0.0])), np.array([1])).tolist() == [0.0]


def test_a_table_takes_more_units_and_demand_than_it_has() -> None:
    """What is out of range gets the nearest answer instead of another cell's."""
    table = tail_table(rate_max=5.0, units_max=10)
    classes = table.classes(np.array([1_000.0]))
    assert table.at(classes, np.array([500]))[0] == table.chances[-1, -1]
    with pytest.raises(ValueError, match="positive rate"):
        tail_table(0.0, 10)


def test_the_last_unit_is_worth_more_than_the_one_before() -> None:
    """A walk-in misses the last unit first: that is what makes one store cheaper than another."""
    worth = rationing_minor(np.full(4, 1.0), np.array([1, 2, 3, 0]), 1_000)
    assert worth.tolist() == [632, 264, 80, 1_000]
    both = rationing_minor(np.array([1.0]), np.array([2]), 1_000, taken=2)
    assert both.tolist() == [448]


def test_a_cell_that_sold_nothing_still_expects_something() -> None:
    """Nine of ten cells of a store sell nothing in a month, and yet are not worthless."""
    counts, days = np.array([0, 0, 6, 0]), np.full(4, 30.0)
    found = learned_rates(counts, days, [np.array([0, 0, 0, 0])])
    assert (found.per_day > 0).all()
    assert found.per_day[2] > found.prior_per_day[2] > found.per_day[0]


def test_days_without_stock_are_not_days_without_demand() -> None:
    """A shelf that was empty half of the time would have sold twice as much."""
    counts, days = np.array([10, 10]), np.array([30.0, 15.0])
    found = learned_rates(counts, days)
    assert found.per_day[1] > found.per_day[0]


def test_learned_rates_are_nearer_to_the_truth_than_counts_or_averages() -> None:
    """Drawing towards items and nodes has to beat both extremes, or it is not worth its trouble."""
    chance = np.random.default_rng(3)
    items, nodes = np.repeat(np.arange(200), 30), np.tile(np.arange(30), 200)
    size, taste = chance.lognormal(0, 0.6, 30), chance.lognormal(-4, 1.0, 200)
    truth = taste[items] * size[nodes] * chance.gamma(2.0, 0.5, 6_000)
    days = np.full(6_000, 60.0)
    counts = chance.poisson(truth * days)
    found = learned_rates(counts, days, [items, nodes])
    errors = {
        "learned": np.abs(found.per_day - truth).mean(),
        "groups": np.abs(found.prior_per_day - truth).mean(),
        "counts": np.abs(counts / days - truth).mean(),
    }
    assert errors["learned"] < 0.95 * min(errors["groups"], errors["counts"])
    assert found.shape == pytest.approx(2.0, rel=0.4)


def test_learning_from_nothing_is_refused() -> None:
    """A rate from no days would be a made-up number."""
    with pytest.raises(ValueError, match="exposed"):
        learned_rates(np.array([1]), np.array([0.0]))
    with pytest.raises(ValueError, match="belong together"):
        learned_rates(np.array([1]), np.array([1.0, 2.0]))


def test_what_walk_ins_leave_is_worth_its_price_to_later_orders() -> None:
    """Both uses count, but a unit is sold once: never more than the dearer of the two."""
    worth = blended_minor(1_000, np.array([0.0, 0.5, 1.0]), np.array([200.0, 200.0, 200.0]))
    assert worth.tolist() == [200, 600, 1_000]
    assert blended_minor(1_000, np.array([0.5]), np.array([0.0]), weight=0.5).tolist() == [250]


def test_prices_that_lost_in_the_past_get_no_weight() -> None:
    """No world may be worse than without prices; at a peak the past says so."""
    assert chosen_weight({0.0: [100, 90], 0.5: [101, 92], 1.0: [105, 99]}) == 0.0
    assert chosen_weight({0.0: [100, 90], 0.5: [95, 86], 1.0: [90, 85]}) == 1.0
    assert chosen_weight({0.0: [100, 100], 1.0: [50, 149]}) == 0.0
    with pytest.raises(ValueError, match="weight 0"):
        chosen_weight({1.0: [1]})
