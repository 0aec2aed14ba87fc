"""What carriers do in the demonstration network: zones, lanes, tariffs and calendars."""

from typing import Any

import numpy as np

from inventory.nodes import Node
from routing.problem import Bracket, Calendar, Tariff
from services.demo import places
from services.demo.holidays import holidays
from services.demo.places import City, Floats, slug
from services.demo.sites import COUNTRY
from services.planning.records import Zone, ZoneLane

HOLIDAY_YEARS = range(2024, 2036)
EXPRESS_DAYS_MIN = 3
"""Where ground takes this long, a warehouse also offers express."""


def zone(center: dict[str, Any], cities: list[City]) -> Zone:
    """Return the zone around a named city; raises `ValueError` for a city that is not there."""
    for city in cities:
        if (city.name, city.state) == (center["city"], center["state"]):
            return Zone(
                zone_id=f"{slug(city.name)}-{city.state.lower()}",
                country=COUNTRY,
                postal_prefixes=tuple(center["postal_prefixes"]),
                latitude=city.latitude,
                longitude=city.longitude,
                time_zone=city.time_zone,
            )
    raise ValueError(f"network.toml centers a zone on {center}, which is no city known here")


def ground_lanes(
    sites: list[Node], zones: list[Zone], bands: list[dict[str, Any]]
) -> list[ZoneLane]:
    """Return a ground lane from every site to every zone, by distance band."""
    distances = places.distances_km(positions(sites), positions(zones))
    return [
        lane(each.node_id, to.zone_id, "ground", *band_of(bands, km))
        for each, row in zip(sites, distances.tolist(), strict=True)
        for to, km in zip(zones, row, strict=True)
    ]


def express_lanes(
    warehouses: list[Node], zones: list[Zone], parcels: dict[str, Any], ground: list[ZoneLane]
) -> list[ZoneLane]:
    """Return express lanes from the warehouses to the zones that ground reaches only slowly."""
    slow = {
        (each.node_id, each.zone_id) for each in ground if each.transit_days_max >= EXPRESS_DAYS_MIN
    }
    distances = places.distances_km(positions(warehouses), positions(zones))
    return [
        lane(each.node_id, to.zone_id, "express", *band_of(parcels["express"], km))
        for each, row in zip(warehouses, distances.tolist(), strict=True)
        for to, km in zip(zones, row, strict=True)
        if (each.node_id, to.zone_id) in slow
    ]


def positions(of: list[Node] | list[Zone]) -> Floats:
    """Return latitude and longitude of each, one row each, in degrees."""
    return np.array([(each.latitude, each.longitude) for each in of], dtype=np.float64)


def band_of(bands: list[dict[str, Any]], km: float) -> tuple[int, dict[str, Any]]:
    """Return the number, from 1, of the distance band that `km` is in, and the band.

    Raises `ValueError` beyond the last band.
    """
    for number, band in enumerate(bands, start=1):
        if km <= band["km_max"]:
            return number, band
    raise ValueError(f"{km:.0f} km is beyond the last distance band of {bands[-1]['km_max']} km")


def lane(node_id: str, zone_id: str, service: str, number: int, band: dict[str, Any]) -> ZoneLane:
    """Return the lane of one carrier service in one distance band."""
    return ZoneLane(
        zone_id=zone_id,
        node_id=node_id,
        service=service,
        tariff_id=f"{service}-{number}",
        transit_days_min=band["transit_days"][0],
        transit_days_max=band["transit_days"][1],
        calendar_id="carrier",
    )


def tariffs(parcels: dict[str, Any]) -> list[Tariff]:
    """Return one tariff for each service and distance band."""
    weights = parcels["weights_grams_max"]
    return [
        Tariff(
            tariff_id=f"{service}-{number}",
            brackets=tuple(
                Bracket(weight_grams_max=weight, price_minor=price)
                for weight, price in zip(weights, band["prices_minor"], strict=True)
            ),
        )
        for service in ("ground", "express")
        for number, band in enumerate(parcels[service], start=1)
    ]


def calendars(named: dict[str, Any]) -> list[Calendar]:
    """Return the calendars with the dates of their holidays."""
    return [
        Calendar(
            calendar_id=name,
            weekdays=tuple(chosen["weekdays"]),
            holidays=tuple(holidays(chosen["holidays"], HOLIDAY_YEARS)),
        )
        for name, chosen in named.items()
    ]
