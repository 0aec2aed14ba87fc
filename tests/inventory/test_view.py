"""The stock view in memory: whatever order values arrive in, the newest stands."""

import random
from datetime import date

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from inventory.buffers import EXCLUDED, buffer_at
from inventory.view import DailyDefault, StockView
from inventory.viewed import Loaded

TODAY = date(2030, 6, 1)
skus = st.sampled_from(["lamp", "mug", "rug"])
nodes = st.sampled_from([f"n{i}" for i in range(9)])
units = st.integers(0, 30)
writes = st.lists(st.tuples(skus, nodes, units, units, units), max_size=60)
places = st.tuples(st.sampled_from(["lamp", "*"]), st.sampled_from(["n1", "*"]))
rules = st.dictionaries(
    st.tuples(places, st.sampled_from(["w", "a", "*", EXCLUDED]))
    .map(lambda rule: (*rule[0], rule[1]))
    # An exclusion is always of some node.
    .filter(lambda key: key[1:] != ("*", EXCLUDED)),
    st.integers(0, 5),
    max_size=6,
)


def held(view: StockView, sku: str, channel: str = "w") -> dict[str, int]:
    """Return what the view offers by node."""
    numbers, available = view.held(sku, channel)
    assert numbers.tolist() == sorted(numbers.tolist())
    return {
        view.node_ids[n]: each for n, each in zip(numbers.tolist(), available.tolist(), strict=True)
    }


@settings(deadline=None)
@given(writes, rules, st.integers())
def test_rows_in_any_order_leave_the_newest_of_each_record(
    written: list[tuple[str, str, int, int, int]],
    kept: dict[tuple[str, str, str], int],
    seed: int,
) -> None:
    """Own commits, polls and refreshes overlap; an older read that arrives last must not win."""
    rows = [(*row, version) for version, row in enumerate(written)]
    newest = {row[:2]: row for row in rows}
    chance = random.Random(seed)
    chance.shuffle(rows)
    view = StockView()
    view.apply_buffers(kept, [(*key, quantity) for key, quantity in kept.items()])
    while rows:
        size = chance.randint(1, 9)
        view.apply_stock(rows[:size])
        # Between changes, so that a slice that grows meets a resolved buffer of the old length.
        view.held("lamp", "w")
        rows = rows[size:]
    for sku in ("lamp", "mug", "rug"):
        expected = {}
        for node_id in {key[1] for key in newest if key[0] == sku}:
            _, _, on_hand, reserved, unavailable, _ = newest[sku, node_id]
            buffer = buffer_at(kept, sku, node_id, "w")
            assert view.buffer(sku, node_id, "w") == buffer
            free = on_hand - reserved - unavailable - buffer[0]
            if free > 0:
                expected[node_id] = free
        assert held(view, sku) == expected


@settings(deadline=None)
@given(writes, rules)
def test_the_stock_of_a_basket_is_that_of_its_skus_one_after_another(
    written: list[tuple[str, str, int, int, int]], kept: dict[tuple[str, str, str], int]
) -> None:
    """An order is planned on the one and availability is told from the other."""
    view = StockView()
    view.apply_stock([(*row, version) for version, row in enumerate(written)])
    view.apply_buffers(kept, [(*key, quantity) for key, quantity in kept.items()])
    skus = ("lamp", "mug", "rug", "unheard of")
    counts, numbers, units = view.held_of(skus, "w")
    each = [view.held(sku, "w") for sku in skus]
    assert counts.tolist() == [len(found) for found, _ in each]
    assert numbers.tolist() == [number for found, _ in each for number in found.tolist()]
    assert units.tolist() == [unit for _, found in each for unit in found.tolist()]


def test_a_slice_that_moves_takes_what_is_pending_with_it() -> None:
    """A plan under way would otherwise give back units that it no longer seems to hold."""
    view = StockView()
    view.apply_stock([("lamp", "n0", 10, 0, 0, 1)])
    taking = view.take([("lamp", "n0", 4), ("lamp", "nowhere", 1)])
    view.apply_stock([("lamp", f"n{i}", 1, 0, 0, 1) for i in range(1, 40)])
    assert held(view, "lamp")["n0"] == 6
    assert view.slices.pending().tolist() == [[0, 0, 4]]
    view.give_back(taking)
    assert held(view, "lamp")["n0"] == 10


def test_what_was_settled_shows_the_committed_values_at_once() -> None:
    """The next order of the same process must not wait for a poll to see its predecessor."""
    view = StockView()
    view.apply_stock([("lamp", "n0", 10, 0, 0, 1)])
    taking = view.take([("lamp", "n0", 4)])
    view.apply_stock([("lamp", "n0", 10, 5, 0, 2)])
    view.settle([taking])
    view.apply_stock([("lamp", "n0", 10, 0, 0, 1)])
    assert held(view, "lamp") == {"n0": 5}


def test_a_load_keeps_what_was_applied_and_pending_meanwhile() -> None:
    """A load takes seconds; commits during it are newer than its snapshot."""
    view = StockView()
    view.apply_stock([("rug", "n7", 3, 0, 0, 1), ("lamp", "n0", 10, 0, 0, 1)])
    taking = view.take([("lamp", "n0", 4)])
    view.begin_load()
    loaded = Loaded(
        slots=[np.array([view.slot("mug"), view.slot("lamp")], np.int32)],
        cells=[np.array([[view.number("n0"), 7, 0, 0], [view.number("n0"), 10, 0, 0]], np.int32)],
        versions=[np.array([3, 1])],
        records=2,
        items=[("lamp", 500, ["bulky"])],
    )
    view.apply_stock([("lamp", "n0", 10, 1, 0, 2), ("lamp", "n1", 2, 0, 0, 1)])
    view.finish_load(loaded, loaded.build())
    assert held(view, "lamp") == {"n0": 5, "n1": 2}
    assert (held(view, "mug"), held(view, "rug")) == ({"n0": 7}, {})
    view.give_back(taking)
    assert held(view, "lamp") == {"n0": 9, "n1": 2}
    facts = view.item("lamp")
    assert facts is not None
    assert (facts.weight_grams, facts.requires, view.item("rug")) == (500, ("bulky",), None)


def test_counters_beyond_four_bytes_offer_less_and_never_more() -> None:
    """The view keeps four bytes a counter; what does not fit must err on the safe side."""
    view = StockView()
    view.apply_stock(
        [("lamp", "n0", 5_000_000_000, 0, 0, 1), ("lamp", "n1", 5_000_000_000, 4_999_999_999, 0, 1)]
    )
    assert held(view, "lamp") == {"n0": 2**31 - 1}


def test_supply_is_offered_by_date_less_what_waits_or_is_under_way() -> None:
    """A later order never overtakes an earlier backorder, nor a plan that is about to commit."""
    view = StockView()
    view.apply_stock([("lamp", "n0", 0, 0, 0, 1)])
    later, late, gone = date(2030, 6, 20), date(2030, 5, 30), date(2030, 5, 1)
    view.apply_supply(
        [
            ("lamp", "po-1", "n0", later, 10, 100, 0, 3, 1),
            ("lamp", "po-2", "n0", late, 8, 50, 2, 0, 1),
            ("lamp", "po-3", "n0", gone, 9, 100, 0, 0, 1),
            ("lamp", "po-4", "elsewhere", later, 9, 100, 0, 0, 1),
        ]
    )
    taking = view.take([], [("lamp", "po-2", 1)])
    (cells,) = view.supply("lamp", TODAY).values()
    assert [(c.supply_id, c.expected_on, c.quantity_promisable) for c in cells] == [
        ("po-2", TODAY, 2),
        ("po-1", later, 7),
    ]
    view.apply_supply([("lamp", "po-2", "n0", late, 8, 50, 2, 3, 2)])
    view.settle([taking])
    (cells,) = view.supply("lamp", TODAY).values()
    assert [c.supply_id for c in cells] == ["po-1"]


def test_capacity_has_its_defaults_and_what_plans_under_way_take() -> None:
    """Two plans of one batch must not count on the same last hour of a store."""
    view = StockView()
    daily = DailyDefault("orders", None, 5)
    tomorrow = date(2030, 6, 2)
    view.apply_capacity([("n0", tomorrow, "day", "units", 8, 20, 4, 1)])
    taking = view.take([], [], [("n0", TODAY, "day", 1, 6), ("n0", tomorrow, "day", 1, 6)])
    left = view.capacities.left("n0", daily, TODAY, 3)
    assert [(each.unit, each.remaining, each.planned_remaining) for each in left] == [
        ("orders", 4, None),
        ("units", 10, -2),
        ("orders", 5, None),
    ]
    assert view.capacities.left("n0", daily, TODAY, 3) is left
    view.give_back(taking)
    assert [each.remaining for each in view.capacities.left("n0", daily, TODAY, 3)] == [5, 16, 5]
    view.forget_before(date(2030, 6, 3))
    assert [each.remaining for each in view.capacities.left("n0", daily, TODAY, 3)] == [5, 5, 5]
