"""Where the nodes of the demonstration network stand and what a pair of hands costs there."""

from datetime import time
from typing import Any, Literal

import msgspec
import numpy as np

from inventory.nodes import Node
from services.demo import places
from services.demo.places import City, slug

COUNTRY = "US"

Kind = Literal["warehouse", "store"]


def warehouse_sites(cities: list[City], choices: dict[str, Any]) -> list[Node]:
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
    store_ids: list[int],
    cities: list[City],
    warehouses: list[Node],
    choices: dict[str, Any],
    seed: int,
) -> list[Node]:
    """Return the stores on cities drawn by population; nodes that share a city are moved apart."""
    chance = np.random.default_rng([seed, 1])
    people = np.array([city.population for city in cities], dtype=np.float64)
    drawn = chance.choice(len(cities), size=len(store_ids), p=people / people.sum())
    classes = chance.integers(len(choices["store"]["handling_unit_minor"]), size=len(store_ids))
    jitter = chance.normal(scale=choices["sites"]["store_jitter_km"] / 2, size=(len(drawn), 2))
    taken = {(node.latitude, node.longitude) for node in warehouses}
    stores = []
    for store_id, index, cost_class, (east, north) in zip(
        store_ids, drawn.tolist(), classes.tolist(), jitter.tolist(), strict=True
    ):
        here = cities[index]
        if (here.latitude, here.longitude) in taken:
            latitude, longitude = places.moved(here, east, north)
            here = msgspec.structs.replace(here, latitude=latitude, longitude=longitude)
        taken.add((here.latitude, here.longitude))
        stores.append(site("store", str(store_id), here, choices["store"], cost_class))
    return stores


def site(kind: Kind, number: str, city: City, choices: dict[str, Any], cost_class: int) -> Node:
    """Return one node on a city."""
    return Node(
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
        capacity_unit="orders" if "capacity_orders" in choices else None,
        capacity_maximum=choices.get("capacity_orders"),
    )
