"""Where the nodes of the demonstration network stand and what a pair of hands costs there."""

from datetime import time
from typing import Any

import msgspec
import numpy as np

from services.demo import places
from services.demo.places import City, slug

COUNTRY = "US"


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """A node of the demonstration, with the fields of `PUT /v1/nodes/{node_id}`."""

    node_id: str
    kind: str
    name: str
    country: str
    latitude: float
    longitude: float
    time_zone: str
    calendar_id: str
    cut_off: time
    handling_days: int
    capabilities: tuple[str, ...]
    handling_order_minor: int
    handling_unit_minor: int
    capacity_orders: int | None = None
    """Orders a day; unlimited when absent."""


def warehouse_sites(cities: list[City], choices: dict[str, Any]) -> list[Site]:
    """Return the warehouses, where they bring all people nearest to one (greedy k-median)."""
    smallest = choices["sites"]["warehouse_city_population_min"]
    candidates = [city for city in cities if city.population >= smallest]
    chosen = places.medians(
        choices["sites"]["warehouses"],
        places.coordinates(candidates),
        places.coordinates(cities),
        np.array([city.population for city in cities], dtype=np.float64),
    )
    return [
        site("warehouse", slug(candidates[index].name), candidates[index], choices["warehouse"], 0)
        for index in chosen
    ]


def store_sites(
    store_ids: list[int], cities: list[City], choices: dict[str, Any], seed: int
) -> list[Site]:
    """Return the stores on cities drawn by population; those that share a city are moved apart."""
    chance = np.random.default_rng([seed, 1])
    people = np.array([city.population for city in cities], dtype=np.float64)
    drawn = chance.choice(len(cities), size=len(store_ids), p=people / people.sum())
    classes = chance.integers(len(choices["store"]["handling_unit_minor"]), size=len(store_ids))
    jitter = chance.normal(scale=choices["sites"]["store_jitter_km"] / 2, size=(len(drawn), 2))
    taken: set[int] = set()
    stores = []
    for store_id, index, cost_class, (east, north) in zip(
        store_ids, drawn.tolist(), classes.tolist(), jitter.tolist(), strict=True
    ):
        here = cities[index]
        if index in taken:
            latitude, longitude = places.moved(here, east, north)
            here = msgspec.structs.replace(here, latitude=latitude, longitude=longitude)
        taken.add(index)
        stores.append(site("store", str(store_id), here, choices["store"], cost_class))
    return stores


def site(kind: str, number: str, city: City, choices: dict[str, Any], cost_class: int) -> Site:
    """Return one node on a city."""
    return Site(
        node_id=f"{kind}-{number}",
        kind=kind,
        name=f"{city.name}, {city.state}",
        country=COUNTRY,
        latitude=city.latitude,
        longitude=city.longitude,
        time_zone=city.time_zone,
        calendar_id=choices["calendar"],
        cut_off=time.fromisoformat(choices["cut_off"]),
        handling_days=choices["handling_days"],
        capabilities=tuple(choices["capabilities"]),
        handling_order_minor=choices["handling_order_minor"][cost_class],
        handling_unit_minor=choices["handling_unit_minor"][cost_class],
        capacity_orders=choices["capacity_orders"],
    )
