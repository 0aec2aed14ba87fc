"""The shop of the stories: two warehouses and two stores, in the east and in the west.

Parcels go by ground: near ones take a day and cost 5.00 up to 5 kg and 15.00 up to 31.5 kg, far ones
take four and cost 12.00 and 36.00. A warehouse handles an order for 1.00 and a unit for 0.10, a
store an order for 2.00. Everybody works every day until two in the afternoon, carriers too; what a
story needs otherwise it says.
"""

from collections.abc import Mapping
from typing import Any

from tests.services.caller import Caller

NEWARK, RENO, FIFTH_AVENUE, SUNSET = "newark", "reno", "fifth-avenue", "sunset"
NAMES = {
    NEWARK: "Newark",
    RENO: "Reno",
    FIFTH_AVENUE: "Fifth Avenue",
    SUNSET: "Sunset Boulevard",
}
EAST, WEST = (NEWARK, FIFTH_AVENUE), (RENO, SUNSET)
STORES = (FIFTH_AVENUE, SUNSET)
TIME_ZONES = {"EAST": "America/New_York", "WEST": "America/Los_Angeles"}
PLACES = {"EAST": (40.7, -74.0), "WEST": (34.0, -118.2)}
CITIES: Mapping[str, dict[str, Any]] = {
    "New York": {"country": "US", "postal_code": "10001"},
    "Los Angeles": {"country": "US", "postal_code": "90001"},
    "Honolulu": {"country": "US", "postal_code": "96801"},
}
ITEMS = {
    "MUG": ("Mug", 400),
    "LAMP": ("Lamp", 2_000),
    "SOFA": ("Sofa", 30_000),
    "GAS": ("Camping gas", 900),
}


def side_of(node_id: str) -> str:
    """Return on which side of the country a node is."""
    return "EAST" if node_id in EAST else "WEST"


def node(node_id: str, **changes: object) -> dict[str, Any]:
    """Return the body of a node."""
    store = node_id in STORES
    latitude, longitude = PLACES[side_of(node_id)]
    return {
        "kind": "store" if store else "warehouse",
        "name": NAMES[node_id],
        "latitude": latitude,
        "longitude": longitude,
        "time_zone": TIME_ZONES[side_of(node_id)],
        "cut_off": "14:00:00",
        "capabilities": ["ship", "pickup"] if store else ["ship"],
        "handling_order_minor": 200 if store else 100,
        "handling_unit_minor": 10,
        **changes,
    }


def lane(node_id: str, zone_id: str, **changes: object) -> dict[str, Any]:
    """Return a lane by ground."""
    near = side_of(node_id) == zone_id
    return {
        "zone_id": zone_id,
        "node_id": node_id,
        "service": "ground",
        "tariff_id": "near" if near else "far",
        "transit_days_min": 1 if near else 4,
        "transit_days_max": 1 if near else 4,
        **changes,
    }


def tariff(name: str, price_minor: int) -> dict[str, Any]:
    """Return a tariff of two brackets, the heavier at three times the price."""
    return {
        "tariff_id": name,
        "brackets": [
            {"weight_grams_max": 5_000, "price_minor": price_minor},
            {"weight_grams_max": 31_500, "price_minor": 3 * price_minor},
        ],
    }


def zone(zone_id: str, prefix: str) -> dict[str, Any]:
    """Return one of the two zones."""
    latitude, longitude = PLACES[zone_id]
    return {
        "zone_id": zone_id,
        "country": "US",
        "postal_prefixes": [prefix],
        "latitude": latitude,
        "longitude": longitude,
        "time_zone": TIME_ZONES[zone_id],
    }


async def furnish(caller: Caller) -> None:
    """Tell the service of the shop, as its planner would."""
    lanes = [lane(node_id, zone_id) for node_id in NAMES for zone_id in TIME_ZONES]
    for path, body in (
        ("/v1/zones", {"zones": [zone("EAST", "1"), zone("WEST", "90")]}),
        ("/v1/tariffs", {"tariffs": [tariff("near", 500), tariff("far", 1_200)]}),
        *((f"/v1/nodes/{node_id}", node(node_id)) for node_id in NAMES),
        ("/v1/lanes", {"lanes": lanes}),
        *(
            (f"/v1/items/{sku}", {"name": name, "weight_grams": grams})
            for sku, (name, grams) in ITEMS.items()
        ),
    ):
        answer = await caller.put(path, body)
        assert answer.status_code < 300, f"{path}: {answer.text}"
