"""The linear program of whole orders finds prices and a bound on which others can be judged."""

import numpy as np
import pytest

from tests.benchmarks.policies.program import Way, whole_order_duals


def two_nodes(prices: np.ndarray) -> list[Way]:
    """Kind 0 ships from node 0 at 5 or from node 1 at 7; kind 1 from node 0 at 5 or 1 at 12."""
    offers = [[(5, 0), (7, 1)], [(5, 0), (12, 1)]]
    return [
        Way(kind, *min(((c, ((r, 1),)) for c, r in each), key=lambda w: w[0] + prices[w[1][0][0]]))
        for kind, each in enumerate(offers)
    ]


def test_a_unit_is_worth_what_the_next_order_would_pay_more_without_it() -> None:
    """Ten units near both kinds: those who have a second choice at 2 more should take it."""
    first = [Way(0, 100, ()), Way(1, 100, ())]
    found = whole_order_duals(np.array([10.0, 50.0]), np.array([8.0, 8.0]), first, two_nodes)
    assert found.gap < 1e-3
    assert found.cost_minor == pytest.approx(8 * 5 + 2 * 5 + 6 * 7)
    assert found.prices_minor.tolist() == pytest.approx([2.0, 0.0])


def test_stock_that_suffices_is_worth_nothing() -> None:
    """Prices are for what runs out; a price on plenty would only make plans dearer."""
    first = [Way(0, 100, ()), Way(1, 100, ())]
    found = whole_order_duals(np.array([99.0, 99.0]), np.array([8.0, 8.0]), first, two_nodes)
    assert found.prices_minor.tolist() == [0.0, 0.0]
    assert found.cost_minor == found.bound_minor == 80


def test_a_bound_holds_however_early_the_rounds_end() -> None:
    """Prices from a job that ran out of time are still prices, with a gap that says how good."""
    first = [Way(0, 100, ()), Way(1, 100, ())]
    short = whole_order_duals(np.array([10.0, 50.0]), np.array([8.0, 8.0]), first, two_nodes, 1)
    assert short.bound_minor <= 92 <= short.cost_minor
    with pytest.raises(ValueError, match="uses no resource"):
        whole_order_duals(np.array([1.0]), np.array([1.0]), [], two_nodes)
