"""Prices per gram that climb to the best bound."""

import numpy as np
import pytest

from routing.climbing import begun, noted, returned, stepped

TARGET = 10


def test_the_best_prices_come_back() -> None:
    """Later ones that prove less are forgotten, however many they were."""
    prices = np.array([0.0])
    climb = begun(prices)
    for price, value in enumerate((1.0, 3.0, 2.0, 2.5, 2.9, 2.8)):
        prices[0] = price
        found = noted(climb, prices, value)
    assert found == 3
    assert returned(climb, prices)
    assert prices.tolist() == [1]


def test_the_last_prices_stay_where_they_are_the_best() -> None:
    """What was worked out at them needs not be worked out again."""
    prices = np.array([0.0, 0.0])
    climb = begun(prices)
    for price, value in enumerate((1.0, 2.0, 3.0)):
        prices[:] = price
        noted(climb, prices, value)
    assert not returned(climb, prices)
    assert prices.tolist() == [2, 2]


@pytest.mark.parametrize(("vain", "share"), [(0, 1.0), (2, 1.0), (3, 0.5), (5, 0.5), (6, 0.25)])
def test_steps_grow_shorter_when_prices_prove_no_more(vain: int, share: float) -> None:
    """Half as long after every three, in proportion to what the bound lacks."""
    prices = np.array([0.0])
    climb = begun(prices)
    for _ in range(1 + vain):
        noted(climb, prices, 4.0)
    assert stepped(climb, prices, np.array([2.0]), TARGET)
    assert prices.tolist() == [share * (TARGET - 4.0) / 2.0]


def test_a_price_of_nothing_does_not_fall() -> None:
    """Where every load is below its cap and nothing has a price, there is nowhere to go."""
    prices = np.zeros(2)
    climb = begun(prices)
    noted(climb, prices, 1.0)
    assert not stepped(climb, prices, np.array([-1.0, -3.0]), TARGET)
    prices[0] = 1e-3
    assert stepped(climb, prices, np.array([-1.0, -3.0]), TARGET)
    assert prices.tolist() == [0, 0]


def test_prices_climb_to_the_top() -> None:
    """The least of two lines is highest where they cross."""
    prices = np.array([0.0])
    climb = begun(prices)
    for _ in range(60):
        rising, falling = 2 * prices[0], 6 - prices[0]
        found = noted(climb, prices, min(rising, falling))
        stepped(climb, prices, np.array([2.0 if rising < falling else -1.0]), TARGET)
    returned(climb, prices)
    assert found == pytest.approx(4, abs=0.05)
    assert prices[0] == pytest.approx(2, abs=0.05)
