"""Distances, sites and holidays of the demonstration network."""

from datetime import date

import numpy as np
import pytest

from services.demo.holidays import holiday, holidays
from services.demo.places import City, cities, distances_km, medians, moved

NEW_YORK = (40.7128, -74.0060)
LOS_ANGELES = (34.0522, -118.2437)


def test_a_distance_is_that_of_the_great_circle() -> None:
    """New York to Los Angeles is 3,936 km; flat degrees would say something else."""
    distance = distances_km(np.array([NEW_YORK]), np.array([LOS_ANGELES, NEW_YORK]))
    assert distance.tolist() == [[pytest.approx(3936, abs=2), 0]]


def test_sites_go_where_the_people_are() -> None:
    """Two crowds far apart get one site each, however many candidates lie between them."""
    crowds = np.array([(40.0, -74.0), (41.0, -75.0), (34.0, -118.0)])
    candidates = np.array([(40.0, -74.0), (38.0, -95.0), (34.0, -118.0)])
    people = np.array([5.0, 5.0, 8.0])
    assert sorted(medians(2, candidates, crowds, people)) == [0, 2]


def test_more_sites_than_candidates_is_refused() -> None:
    """Silently building fewer warehouses would show nowhere."""
    with pytest.raises(ValueError, match="3 sites cannot be put on 2"):
        medians(3, np.zeros((2, 2)), np.zeros((1, 2)), np.ones(1))


def test_a_store_is_moved_by_the_kilometers_given() -> None:
    """Degrees of longitude shrink to the north, kilometers do not."""
    city = City(name="X", state="MN", latitude=45.0, longitude=-93.0, population=1, time_zone="UTC")
    there = moved(city, east_km=3.0, north_km=4.0)
    distance = distances_km(np.array([(45.0, -93.0)]), np.array([there]))
    assert distance[0, 0] == pytest.approx(5.0, abs=0.01)


def test_every_city_is_real_reached_by_ground_and_counted_once() -> None:
    """Manhattan inside New York City would count its people twice."""
    found = cities()
    assert len(found) > 3_000
    assert found[0].name == "New York City"
    assert not {city.state for city in found} & {"AK", "HI"}
    assert "Manhattan" not in {city.name for city in found}


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("New Year", date(2026, 1, 1)),
        ("Memorial Day", date(2026, 5, 25)),
        ("Independence Day", date(2026, 7, 4)),
        ("Labor Day", date(2026, 9, 7)),
        ("Thanksgiving", date(2026, 11, 26)),
        ("Christmas", date(2026, 12, 25)),
        ("Memorial Day", date(2027, 5, 31)),
    ],
)
def test_a_holiday_falls_on_its_day(*, name: str, day: date) -> None:
    """Promise dates stand on these; the dates are those of the federal calendar."""
    assert holiday(name, day.year) == day


def test_holidays_come_in_order_and_unknown_ones_are_refused() -> None:
    """A misspelled holiday would have carriers driving on it."""
    assert holidays(["Christmas", "New Year"], [2026, 2027]) == [
        date(2026, 1, 1), date(2026, 12, 25), date(2027, 1, 1), date(2027, 12, 25),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="'Boxing Day' is not a holiday"):
        holidays(["Boxing Day"], [2026])
