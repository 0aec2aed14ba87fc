"""The demonstration network: a real grocer's stores, items and stock, on real cities.

Everything here is values: the same seed gives the same network, on any machine. The choices that
are not data stand in `network.toml`. What it is not: the grocer does not say where its stores are,
so they stand on cities drawn by population; and the panel of households behind the data barely sees
most stores (269 of the 457 have fewer than fifty lines in the year), so most stores are small.
"""

import tomllib
from pathlib import Path

import msgspec
import numpy as np

from inventory.items import Item
from inventory.nodes import Node
from routing.problem import Calendar, Tariff
from services.demo import carriers, grocer, places
from services.demo.goods import OpeningStock, goods, opening_stock, printed_weight_grams
from services.demo.grocer import Year
from services.demo.places import City
from services.demo.sites import store_sites, warehouse_sites
from services.planning.records import Zone, ZoneLane

CHOICES = Path(__file__).parent / "network.toml"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the network was made of, counted, for the report to say."""

    stores: int
    stores_below_50_lines: int
    warehouses: int
    zones: int
    lanes: int
    items: int
    items_with_size: int
    """Items whose package size tells their weight."""
    items_size_without_weight: int
    """Items with a size that tells no weight, such as a count; they take their category's median."""
    items_without_size: int
    """Items without any size; they take their category's median."""
    stock_records: int
    stock_units: int
    lines: int
    lines_quantity_zero: int
    lines_quantity_above_max: int
    lines_not_goods: int
    lines_kept: int
    baskets: int
    baskets_kept: int


class DemoNetwork(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is loaded, and the sales that are replayed over it."""

    seed: int
    nodes: list[Node]
    items: list[Item]
    stock: OpeningStock
    zones: list[Zone]
    lanes: list[ZoneLane]
    tariffs: list[Tariff]
    calendars: list[Calendar]
    cities: list[City]
    facts: Facts
    sales: grocer.Sales


def build(seed: int) -> DemoNetwork:
    """Return the demonstration network of a seed.

    Raises `MissingPackageError` where the extra `demo` is not installed.
    """
    choices = tomllib.loads(CHOICES.read_text())
    cities = places.cities()
    year = grocer.year()
    warehouses = warehouse_sites(cities, choices)
    stores = store_sites(year.store_ids, cities, warehouses, choices, seed)
    zones = [carriers.zone(center, cities) for center in choices["zones"]["centers"]]
    lanes = [*carriers.ground_lanes([*warehouses, *stores], zones, choices["parcels"]["ground"])]
    lanes += carriers.express_lanes(warehouses, zones, choices["parcels"], lanes)
    items = goods(year.products)
    stock = opening_stock(year, warehouses, choices["sites"], seed)
    return DemoNetwork(
        seed=seed,
        nodes=[*warehouses, *stores],
        items=items,
        stock=stock,
        zones=zones,
        lanes=lanes,
        tariffs=carriers.tariffs(choices["parcels"]),
        calendars=carriers.calendars(choices["calendars"]),
        cities=cities,
        facts=facts(year, stock, zones=len(zones), lanes=len(lanes), warehouses=len(warehouses)),
        sales=year.sales,
    )


def facts(year: Year, stock: OpeningStock, *, zones: int, lanes: int, warehouses: int) -> Facts:
    """Return what the network was made of, counted."""
    weighed = [printed_weight_grams(product) is not None for product in year.products]
    sized = [product.size != "" for product in year.products]
    return Facts(
        stores=len(year.store_ids),
        stores_below_50_lines=year.stores_below_50_lines,
        warehouses=warehouses,
        zones=zones,
        lanes=lanes,
        items=len(year.products),
        items_with_size=sum(weighed),
        items_size_without_weight=sum(sized) - sum(weighed),
        items_without_size=len(sized) - sum(sized),
        stock_records=len(stock.quantities),
        stock_units=sum(stock.quantities),
        lines=year.lines,
        lines_quantity_zero=year.dropped.quantity_zero,
        lines_quantity_above_max=year.dropped.quantity_above_max,
        lines_not_goods=year.dropped.not_goods,
        lines_kept=len(year.sales.quantities),
        baskets=year.baskets,
        baskets_kept=len(np.unique(year.sales.basket_ids)),
    )
