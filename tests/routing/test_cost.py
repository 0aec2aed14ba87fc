"""Prices of parcels: the cheapest multiset of brackets, whatever the tariff looks like."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.cost import parcel_steps, saving_min
from routing.problem import Bracket
from tests.routing.exhaustive_options import parcels

BRACKETS = st.lists(
    st.builds(Bracket, weight_grams_max=st.integers(1, 40), price_minor=st.integers(0, 60)),
    min_size=1,
    max_size=4,
).map(tuple)


def plain(brackets: tuple[Bracket, ...]) -> tuple[tuple[int, int], ...]:
    """Brackets as pairs for the reference recursion."""
    return tuple((b.weight_grams_max, b.price_minor) for b in brackets)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(BRACKETS, st.integers(0, 160))
def test_the_price_of_a_weight_is_that_of_its_cheapest_parcels(
    brackets: tuple[Bracket, ...], weight: int
) -> None:
    """Odd tariffs, in which two light parcels beat one heavy one, included."""
    assert parcel_steps(brackets, weight).price_minor(weight) == parcels(plain(brackets), weight)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(BRACKETS, st.integers(1, 120), st.integers(1, 120))
def test_one_shipment_never_costs_more_than_two(
    brackets: tuple[Bracket, ...], first: int, second: int
) -> None:
    """Subadditivity is what the pruning proof stands on."""
    steps = parcel_steps(brackets, first + second)

    together = steps.price_minor(first + second)
    assert together <= steps.price_minor(first) + steps.price_minor(second)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(BRACKETS, min_size=2, max_size=3), st.integers(1, 100))
def test_the_least_saving_between_tariffs_is_exact(
    tariffs: list[tuple[Bracket, ...]], weight: int
) -> None:
    """A dominator that is dearer at a single gram does not dominate."""
    steps = [parcel_steps(brackets, weight) for brackets in tariffs]

    saving = saving_min(steps, weight)

    for a, one in enumerate(steps):
        for b, other in enumerate(steps):
            differences = [
                one.price_minor(gram) - other.price_minor(gram) for gram in range(1, weight + 1)
            ]
            assert saving[a, b] == min(differences)


@pytest.mark.parametrize(
    ("weight", "price"), [(0, 5), (1, 5), (1000, 5), (1001, 8), (5000, 8), (5001, 13), (6001, 16)]
)
def test_a_weight_on_a_bracket_limit_still_fits_it(weight: int, price: int) -> None:
    """One gram decides; and nothing at all still needs a parcel."""
    brackets = (
        Bracket(weight_grams_max=1_000, price_minor=5),
        Bracket(weight_grams_max=5_000, price_minor=8),
    )

    assert parcel_steps(brackets, weight).price_minor(weight) == price
