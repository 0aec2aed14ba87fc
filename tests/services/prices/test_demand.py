"""What walk-ins want is learned from what they took, and drawn to what is usual."""

import numpy as np
import pytest

from services.prices.demand import Cells, Span, add, learned
from services.prices.records import CellsRow, Learned, StoreRow

SPAN = Span(window_days=91, half_life_days=28, replenish_days=7)
STORES = [StoreRow(f"ST-{number}", "US America/New_York") for number in range(8)]


def row(sku: str, sold: list[float], **changes: object) -> CellsRow:
    """Return the records of a sku at the first stores; sales are of today."""
    count = len(sold)
    fields: dict[str, object] = {
        "numbers": list(range(count)),
        "there": [True] * count,
        "sold": sold,
        "sold_units": [round(units) for units in sold],
        "quiet_days": [0.0 if units else None for units in sold],
        "due_days": [None] * count,
    }
    return CellsRow(sku, **(fields | changes))  # type: ignore[arg-type]


def learn(*rows: CellsRow) -> dict[str, Learned]:
    """Return what is learned of these records, by sku."""
    cells = Cells(STORES)
    for each in rows:
        add(cells, each, {}, SPAN)
    return {each.sku: each for each in learned(cells).values()}


def rates(found: Learned) -> dict[str, float]:
    """Return the rates of a sku by store."""
    return dict(zip(found.node_ids, found.per_day, strict=True))


def test_nothing_is_learned_where_nothing_was_sold() -> None:
    """Without a till's feed there is no demand to speak of, and no price."""
    assert learn(row("MUG", [0, 0, 0])) == {}


def test_a_store_that_sells_more_has_a_higher_rate() -> None:
    """And one that has sold none so far is not believed to sell none ever."""
    found = rates(learn(row("MUG", [40, 4, 0]), row("LAMP", [8, 6, 7]))["MUG"])
    assert found["ST-0"] > 3 * found["ST-1"] > 3 * found["ST-2"] > 0


def test_with_much_to_see_a_rate_is_sales_over_days() -> None:
    """Weights of sales and of days are the same, so they cancel out."""
    exposure = float(SPAN.exposure_days(np.zeros(1))[0])
    found = learn(*[row(f"SKU-{n}", [500.0 + n] * 8) for n in range(5)])
    assert rates(found["SKU-3"])["ST-2"] == pytest.approx(503 / exposure, rel=0.02)


def test_days_without_stock_are_not_days_without_demand() -> None:
    """A shelf that was sold out in a week would sell twice as many in two."""
    others = [row(f"SKU-{n}", [9.0] * 8) for n in range(4)]
    full = learn(row("MUG", [12.0] * 8), *others)["MUG"]
    sold_out = learn(row("MUG", [12.0] * 8, there=[False] * 8, quiet_days=[60.0] * 8), *others)
    assert rates(sold_out["MUG"])["ST-0"] > 1.5 * rates(full)["ST-0"]


def test_an_expected_delivery_shortens_the_wait() -> None:
    """Whoever gets more tomorrow can give away today's."""
    found = learn(row("MUG", [10, 10, 10], due_days=[1, None, 400]))["MUG"]
    assert found.days == [1.0, 7.0, 60.0]


def test_what_customers_collected_counts_as_wanted_there() -> None:
    """They came to that store for it, and nowhere else would do."""
    cells = Cells(STORES)
    add(cells, row("MUG", [0, 0]), {("MUG", "ST-1"): (5.0, 5)}, SPAN)
    found = rates(learned(cells)[0])
    assert found["ST-1"] > found["ST-0"]


def test_a_sale_counts_half_after_its_half_life() -> None:
    """The window's days lose weight as fast, so the exposure is their integral."""
    weights = 0.5 ** (np.arange(0, 91, 0.01) / 28)
    assert SPAN.exposure_days(np.zeros(1))[0] == pytest.approx(weights.sum() * 0.01, rel=1e-3)
    assert SPAN.exposure_days(np.array([91.0, 500.0])) == pytest.approx([0, 0])
