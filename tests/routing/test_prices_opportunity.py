"""What shipping from one store rather than another costs a merchant, by hand and in its limits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.prices_opportunity import broken_run_minor, markdown_minor, stockout_minor

chances = st.lists(st.floats(0, 1), min_size=1, max_size=9)


def test_the_unit_that_will_be_marked_down_is_the_cheapest() -> None:
    """It loses 10.00 for certain there, half as likely next door, and nothing at the warehouse."""
    assert markdown_minor(1_000, np.array([1.0, 0.5, 0.0])).tolist() == [0, 500, 1_000]


@given(chances, st.integers(0, 100_000))
def test_a_markdown_never_makes_a_price_negative_and_always_leaves_one_unit_free(
    left: list[float], loss: int
) -> None:
    """Prices below 0 would make shipping for nothing look like a gain."""
    found = markdown_minor(loss, np.array(left))
    assert found.min() == 0
    assert found.max() <= loss


def test_the_price_of_a_stock_out_falls_with_the_weeks_of_supply_that_stay() -> None:
    """Seven a week: with none left the premium, with a week of two the half, from two on nothing."""
    per_day = np.array([1.0, 1.0, 1.0, 1.0, 0.0])
    found = stockout_minor(300, 2, np.array([0, 7, 14, 70, 0]), per_day)
    assert found.tolist() == [300, 150, 0, 0, 0]
    assert stockout_minor(300, 0, np.array([0]), np.array([1.0])).tolist() == [0]


def test_a_run_of_sizes_that_is_broken_already_costs_nothing_to_break() -> None:
    """Four sizes: all three others there, one of them, and none."""
    assert broken_run_minor(600, np.array([3, 1, 0]), 4).tolist() == [600, 200, 0]
    with pytest.raises(ValueError, match="1 sizes"):
        broken_run_minor(600, np.array([0]), 1)
