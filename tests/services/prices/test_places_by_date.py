"""Which date of a node an order takes, by what places and waiting cost, and what it leaves to others."""

from datetime import date, timedelta

import pytest

from inventory.nodes import CapacityLeft
from routing.dates import Start
from routing.problem import Capacity
from services.orders.loads import Dated, chosen, kept_back
from services.orders.room import narrowed
from services.prices.load import Load

FRIDAY = date(2026, 11, 27)


def on(days: int) -> date:
    """Return the date so many days after Friday."""
    return FRIDAY + timedelta(days=days)


def load(days: int, remaining: int) -> Load:
    """Return a day on which so many more orders can be taken."""
    left = CapacityLeft(
        node_id="store",
        work_on=on(days),
        slot="day",
        unit="orders",
        remaining=remaining,
        planned_remaining=None,
    )
    return Load(over=False, chance=1.0, left=left)


def dates(*offered: tuple[int, int]) -> tuple[Dated, ...]:
    """Return dates from Friday on, each with its price and how many more orders it takes."""
    return tuple(
        Dated(Start(on(n), (on(n + 1), on(n))), minor, load(n, remaining))
        for n, (minor, remaining) in enumerate(offered)
    )


def waits(promised: date) -> int:
    """Return 0.30 for each day until what is promised."""
    return 30 * (promised - FRIDAY).days


@pytest.mark.parametrize(
    ("offered", "at"),
    [
        ([(100, 3), (0, 9)], 1),
        ([(20, 3), (0, 9)], 0),
        ([(100, 3), (90, 9), (0, 9)], 2),
        ([(30, 3), (0, 9)], 0),
        ([(0, 0), (80, 1), (0, 9)], 2),
        ([(200, 0), (10, 1), (0, 9)], 1),
        ([(200, 0), (200, 0)], 0),
    ],
    ids=["dear", "cheap", "dear twice", "the same", "full", "full and dear", "all full"],
)
def test_an_order_takes_the_date_that_comes_to_least(
    offered: list[tuple[int, int]], at: int
) -> None:
    """Price and wait together, 0.30 a day; the earliest of those; none that is full."""
    assert chosen(dates(*offered), waits) == at


def test_places_before_it_stay_for_others() -> None:
    """To this order the day is full; what is left is told beside it."""
    assert kept_back(load(0, 3)) == Capacity(work_on=FRIDAY, remaining=0, kept=3)
    assert kept_back(load(0, -1)) == Capacity(work_on=FRIDAY, remaining=-1)


def test_what_is_kept_takes_the_place_of_what_is_left() -> None:
    """A node that may be full on other dates keeps those as they are."""
    kept = {"store": (Capacity(work_on=FRIDAY, remaining=0, kept=3),)}
    tight = {
        "store": tuple(Capacity(work_on=on(n), remaining=3 - n) for n in range(3)),
        "other": (Capacity(work_on=FRIDAY, remaining=1),),
    }
    assert narrowed(tight, {}) is tight
    found = narrowed(tight, kept)
    assert found["other"] == tight["other"]
    assert found["store"] == (*kept["store"], *tight["store"][1:])
