"""Prices that move by steps: bounds hold at every one of them, and scarcity is found."""

import numpy as np
import pytest

from routing.prices_stepwise import Chosen, Prices, Shared, Stepping, reach_minor, stepwise

STEPPING = Stepping(60, 100.0)
COSTS = np.array([[500.0, 600.0], [500.0, 1_200.0], [400.0, 900.0]])
"""What each kind of order costs from each of two cells."""
OFTEN = np.array([3.0, 1.0, 2.0])
SHORT = 3_000.0


def shared(stock: list[float], walk_ins: float = 0.0, room: float = np.inf) -> Shared:
    """Two cells of one place each; walk-ins want what is in the first and cost 7.00 there."""
    return Shared(
        np.array(stock),
        np.array([room, np.inf]),
        np.array([walk_ins, 0.0]),
        np.array([700.0, 0.0]),
        SHORT,
    )


def proposed(prices: Prices) -> Chosen:
    """Each kind of order goes where it is cheapest, or nowhere."""
    paid = COSTS + prices.stock + prices.room
    at = paid.argmin(axis=1)
    best = paid[range(3), at]
    served = best < SHORT
    taken = np.bincount(at[served], OFTEN[served], 2).astype(float)
    money = np.where(served, COSTS[range(3), at], SHORT)
    return Chosen(float(OFTEN @ np.minimum(best, SHORT)), float(OFTEN @ money), taken, taken.copy())


def least(stock: tuple[int, int]) -> float:
    """The cost of the best way to share the stock, by looking at all of them."""
    found = np.inf
    for a in range(4):
        for b in range(2):
            for c in range(3):
                near = a + b + c
                if near <= stock[0] and 6 - near <= stock[1]:
                    counts = np.array([[a, 3 - a], [b, 1 - b], [c, 2 - c]])
                    found = min(found, float((counts * COSTS).sum()))
    return found


@pytest.mark.parametrize("stock", [(2, 9), (4, 9), (3, 3), (0, 6)])
def test_the_bound_is_below_what_the_best_way_to_share_costs(stock: tuple[int, int]) -> None:
    """However early steps end; and after many it is near."""
    for steps in (0, 1, 3, 10, 60):
        found = stepwise(proposed, shared([*stock]), STEPPING._replace(steps_max=steps))
        assert found.bound_minor <= least(stock) + 1e-6
        assert found.steps == steps
    assert found.bound_minor == pytest.approx(least(stock), rel=0.02)
    assert found.estimate_minor >= found.bound_minor


def test_what_is_scarce_is_worth_what_the_last_who_goes_elsewhere_pays_more() -> None:
    """Three units for six orders: the three of the first kind go elsewhere, for 1.00 more each."""
    found = stepwise(proposed, shared([2, 9]), STEPPING)
    assert 100 <= found.prices.stock[0] <= 500
    assert found.prices.stock[1] == 0


def test_places_have_a_price_where_hands_are_short() -> None:
    """Units for all, hands for half: the same price, of places instead of units."""
    found = stepwise(proposed, shared([9, 9], room=2.0), STEPPING)
    assert found.prices.stock.tolist() == [0, 0]
    assert 100 <= found.prices.room[0] <= 500


def test_walk_ins_compete_for_units() -> None:
    """Four units are enough for those who have no second choice, unless three walk in for them."""
    alone = stepwise(proposed, shared([6, 9]), STEPPING)
    beside = stepwise(proposed, shared([6, 9], walk_ins=3.0), STEPPING)
    assert alone.prices.stock[0] == 0
    assert beside.prices.stock[0] >= 95
    assert beside.bound_minor > alone.bound_minor


def test_units_that_only_walk_ins_want_begin_at_what_these_lose() -> None:
    """A shelf that they empty anyway is worth their margin from the first step on."""
    found = stepwise(proposed, shared([1, 9], walk_ins=2.0), STEPPING._replace(steps_max=0))
    assert found.prices.stock.tolist() == [700, 0]


def test_steps_go_on_from_prices_known_before() -> None:
    """A renewal needs few steps where little has changed."""
    before = stepwise(proposed, shared([2, 9]), STEPPING)
    again = stepwise(proposed, shared([2, 9]), STEPPING._replace(steps_max=1), before.prices)
    assert again.bound_minor >= before.bound_minor


def test_whole_prices_are_whole_and_their_bound_holds() -> None:
    """The optimizer knows whole minor units only."""
    found = stepwise(proposed, shared([3, 3]), STEPPING._replace(whole=True))
    assert found.prices.stock.tolist() == np.rint(found.prices.stock).tolist()
    assert found.bound_minor <= least((3, 3)) + 1e-6


def test_who_runs_out_of_time_keeps_the_best_prices_until_then() -> None:
    """Proposals may end at any step, or never begin."""
    left = [proposed] * 4

    def hurried(prices: Prices) -> Chosen | None:
        return left.pop()(prices) if left else None

    found = stepwise(hurried, shared([2, 9]), STEPPING)
    assert found.steps == 3
    assert found.prices.stock[0] > 0
    none = stepwise(lambda _: None, shared([2, 9]), STEPPING)
    assert (none.steps, none.prices.stock.tolist()) == (0, [0, 0])
    assert none.gap == np.inf


def test_a_first_step_goes_as_far_as_orders_cost() -> None:
    """In yen or dinars prices have to move by other amounts than in cents."""
    assert reach_minor([400, 400, 90_000]) == 100
    assert reach_minor([40_000, 40_000]) == 10_000
    assert reach_minor([]) == 1
