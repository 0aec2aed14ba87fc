"""What a unit is worth follows the shelf of the moment, for any order at the price of one look."""

from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inventory.view import StockView
from routing.prices import poisson_tail
from services.planning.network import Network, build
from services.planning.playbook import Weights, weights_of
from services.planning.records import NetworkRows
from services.planning.strategy_documents import Strategy
from services.prices.book import Book, Parts, in_order
from services.prices.pages import Item, packed, read_page
from services.prices.pricing import Pricing, asked_of
from services.prices.records import Priced, Version

NOW = datetime(2026, 5, 12, 15, tzinfo=UTC)
VALUE = 1_000


def version() -> Version:
    """Return a version of prices."""
    return Version(
        version=1,
        since_at=NOW,
        started_at=NOW,
        published_at=NOW,
        valid_until_at=NOW,
        sold_units=1,
        asked_lines=0,
        walk_in_records=1,
        refusal_cells=0,
        pace_nodes=0,
    )


def protecting() -> Weights:
    """Return the weights of a strategy that looks at walk-ins alone."""
    weights = weights_of(Strategy(worth_percent=100))
    if weights is None:
        raise RuntimeError("the strategy weighs no prices")
    return weights


def stocked(units: dict[str, dict[str, int]]) -> StockView:
    """Return a view with units on hand by sku and node."""
    view = StockView()
    for sku, by_node in units.items():
        view.apply_items([(sku, 100, ())], replace=True)
        view.apply_stock([(sku, node_id, on_hand, 0, 0, 1) for node_id, on_hand in by_node.items()])
    return view


def book(view: StockView, wanted: dict[str, dict[str, float]]) -> Book:
    """Return prices of units wanted by sku and node."""
    parts = Parts(view)
    rows = [
        (
            sku,
            Item("", VALUE),
            [Priced(node_id, mean / 7, 7.0, 0) for node_id, mean in sorted(own.items())],
        )
        for sku, own in sorted(wanted.items())
    ]
    parts.add(read_page(packed(rows)))
    return Book(version(), *in_order(parts), parts.items, {}, {}, {})


def nowhere() -> Network:
    """Return a network without any node."""
    return build(NetworkRows())


def worth(view: StockView, prices: Book, sku: str, quantity: int = 1) -> dict[str, int]:
    """Return what a unit is worth at each node, in an order of so many."""
    counts, numbers, _ = view.held_of([sku], "web")
    asked = asked_of([(sku, quantity, 0)], [sku], counts, numbers)
    found = Pricing(view).worth(prices, asked, protecting(), nowhere(), NOW).minor
    if not found.size:
        return {}
    return {view.node_ids[n]: int(w) for n, w in zip(numbers, found, strict=True)}


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from("ABCDEFG"), st.integers(1, 60), min_size=1),
    st.dictionaries(st.sampled_from("ABCDEFG"), st.floats(0.01, 80), min_size=1),
    st.integers(1, 9),
)
def test_a_worth_is_the_mean_chance_that_the_units_taken_are_wanted(
    units: dict[str, int], wanted: dict[str, float], quantity: int
) -> None:
    """The table is a shorter way to the formula of rationing, and may be off by a class of it."""
    view = stocked({"OTHER": {"C": 3, "Z": 1}, "MUG": units})
    found = worth(view, book(view, {"MUG": wanted, "OTHER": {"B": 1.0}}), "MUG", quantity)
    for node_id, on_hand in units.items():
        mean, taken = wanted.get(node_id, 0.0), min(quantity, on_hand)
        tails = [poisson_tail(np.array([mean]), np.array([on_hand - k]))[0] for k in range(taken)]
        expected = VALUE * float(np.mean(tails)) if mean else 0
        assert found.get(node_id, 0) == pytest.approx(expected, abs=VALUE * 0.03 + 1)


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from("ABCDEFG"), st.integers(1, 60), min_size=1),
    st.dictionaries(st.sampled_from("ABCDEFG"), st.floats(0.01, 80), min_size=1),
)
def test_prices_that_count_for_nothing_are_no_prices(
    units: dict[str, int], wanted: dict[str, float]
) -> None:
    """An order is then asked as it is without them, and its plan is the same."""
    view = stocked({"MUG": units})
    found = book(view, {"MUG": wanted})
    none = msgspec.structs.replace(found.version, walk_in_weight=0.0, order_weight=0.0)
    assert worth(view, msgspec.structs.replace(found, version=none), "MUG") == {}


@settings(deadline=None)
@given(st.integers(1, 40), st.floats(0.01, 500))
def test_the_more_there_is_the_less_a_unit_is_worth(on_hand: int, mean: float) -> None:
    """More stock never makes an order dearer."""
    values = []
    for units in (on_hand, on_hand + 1):
        view = stocked({"MUG": {"A": units}})
        values.append(worth(view, book(view, {"MUG": {"A": mean}}), "MUG").get("A", 0))
    assert values[0] >= values[1]


def test_of_what_sells_by_the_thousand_it_is_the_weeks_of_supply_that_count() -> None:
    """The table ends at some hundred units, and great stores sell more in a week."""
    view = stocked({"MUG": {"A": 900, "B": 3_000}})
    found = worth(view, book(view, {"MUG": {"A": 2_000.0, "B": 2_000.0}}), "MUG")
    assert found == {"A": VALUE, "B": 0}


def test_worth_follows_what_orders_take_and_give_back() -> None:
    """The second to last unit is cheap, and becomes the last one by an order under way."""
    view = stocked({"MUG": {"A": 2}})
    prices = book(view, {"MUG": {"A": 0.5}})
    before = worth(view, prices, "MUG")["A"]
    taking = view.take([("MUG", "A", 1)])
    assert worth(view, prices, "MUG")["A"] > 3 * before
    view.give_back(taking)
    assert worth(view, prices, "MUG")["A"] == before


def test_units_kept_back_from_orders_are_there_for_walk_ins() -> None:
    """A buffer protects a shop already; what is above it would otherwise be protected twice."""
    view = stocked({"MUG": {"A": 3}})
    prices = book(view, {"MUG": {"A": 0.5}})
    without = worth(view, prices, "MUG")
    view.apply_buffers([], [("MUG", "A", "*", 2)])
    assert worth(view, prices, "MUG") == without


def test_items_and_nodes_that_came_after_the_prices_are_worth_nothing() -> None:
    """A new shop is not known to sell anything yet."""
    view = stocked({"MUG": {"A": 1}})
    prices = book(view, {"MUG": {"A": 2.0}})
    for sku, node_id in (("MUG", "Z"), ("NEW", "A")):
        view.apply_items([(sku, 100, ())], replace=True)
        view.apply_stock([(sku, node_id, 1, 0, 0, 1)])
    assert worth(view, prices, "NEW") == {}
    assert worth(view, prices, "MUG").keys() == {"A", "Z"}
    assert worth(view, prices, "MUG")["Z"] == 0


def test_an_item_without_a_margin_is_worth_a_share_of_its_price() -> None:
    """And nothing where the order does not say what it is sold for."""
    view = stocked({"MUG": {"A": 1}})
    made = book(view, {"MUG": {"A": 50.0}})
    prices = msgspec.structs.replace(made, items={"MUG": Item("", None)})
    counts, numbers, _ = view.held_of(["MUG"], "web")
    for unit_price_minor, expected in ((2_000, [600]), (0, [])):
        asked = asked_of([("MUG", 1, unit_price_minor)], ["MUG"], counts, numbers)
        found = Pricing(view).worth(prices, asked, protecting(), nowhere(), NOW)
        assert found.minor.tolist() == expected
