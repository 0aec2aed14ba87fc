"""How likely a node refuses is learned from its own answers, and believed as far as they go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.tables import ANY
from services.prices.refusals import ALL_DAY, PRIOR_LINES, Seen, day_part, learned

COUNTS = st.floats(0, 1_000)
SEEN = st.lists(
    st.builds(
        lambda node, category, part, asked, share: Seen(node, category, part, asked, asked * share),
        st.sampled_from("ABC"),
        st.sampled_from(["mugs", "lamps", ANY]),
        st.integers(0, 3),
        COUNTS,
        st.floats(0, 1),
    ),
    unique_by=lambda each: (each.node_id, each.category, each.day_part),
)


def chances(*seen: Seen) -> dict[tuple[str, str, int], float]:
    """Return what is learned, by key."""
    return {(each.node_id, each.category, each.day_part): each.chance for each in learned(seen)}


def test_nothing_is_learned_from_nothing() -> None:
    """A new installation has no prices, and decides as it did before there were any."""
    assert learned([]) == []


def test_a_few_answers_are_believed_a_little_and_many_nearly_entirely() -> None:
    """A node that refused its first line is unlucky more often than it is bad."""
    usual = Seen("GOOD", "mugs", 1, 2_000, 20)
    few = chances(usual, Seen("NEW", "mugs", 1, 2, 2))["NEW", ANY, ALL_DAY]
    many = chances(usual, Seen("BAD", "mugs", 1, 900, 450))["BAD", ANY, ALL_DAY]
    assert few < 0.12
    assert many == pytest.approx(0.5, abs=0.02)


def test_the_mean_is_that_of_the_beta_distribution() -> None:
    """The formula of the docstring, by hand."""
    found = chances(Seen("A", "mugs", 2, 10, 4))
    network = (4 + 0.5) / (10 + 1)
    node = (4 + PRIOR_LINES * network) / (10 + PRIOR_LINES)
    category = (4 + PRIOR_LINES * node) / (10 + PRIOR_LINES)
    assert found["*", "*", ALL_DAY] == pytest.approx(network)
    assert found["A", "*", ALL_DAY] == pytest.approx(node)
    assert found["A", "mugs", ALL_DAY] == pytest.approx(category)
    assert found["A", "mugs", 2] == pytest.approx((4 + PRIOR_LINES * category) / (10 + PRIOR_LINES))


def test_what_a_node_refuses_at_night_says_little_of_its_afternoons() -> None:
    """One person on the late shift is no reason to spare a shop at noon."""
    found = chances(Seen("A", "mugs", 0, 400, 300), Seen("A", "mugs", 2, 400, 4))
    assert found["A", "mugs", 0] > 0.7
    assert found["A", "mugs", 2] < 0.05


@given(SEEN)
def test_every_chance_lies_between_what_is_usual_and_what_was_seen(seen: list[Seen]) -> None:
    """A mean of two figures with positive weights can lie nowhere else; and so it is a chance."""
    for each in learned(seen):
        assert 0 <= each.chance <= 1
        if each.node_id != ANY and each.asked:
            parents = [one.chance for one in learned(seen)]
            own = each.refused / each.asked
            assert min([own, *parents]) - 1e-9 <= each.chance <= max([own, *parents]) + 1e-9


@given(SEEN)
def test_more_refusals_never_make_a_node_look_better(seen: list[Seen]) -> None:
    """Else a shop could earn trust by saying no."""
    before = {(e.node_id, e.category, e.day_part): e.chance for e in learned(seen)}
    worse = [Seen(e.node_id, e.category, e.day_part, e.asked, e.asked) for e in seen]
    for each in learned(worse):
        key = each.node_id, each.category, each.day_part
        assert each.chance >= before[key] - 1e-9


def test_a_day_has_four_parts_of_six_hours() -> None:
    """Half past five in the morning is still night."""
    assert [day_part(hour) for hour in (0, 5, 6, 11, 12, 17, 18, 23)] == [0, 0, 1, 1, 2, 2, 3, 3]
