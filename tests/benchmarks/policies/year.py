"""A year of real baskets on the demonstration's network: some become online orders, others walk in.

The year is cut into thirteen periods of four weeks, the time for which stores hold stock. A seed
decides one of them, with the periods before it as its past, and draws which baskets are sent home
instead of carried there; every other basket of these four weeks walks into the store where it was
bought, and takes its units one by one. Only skus that some online order asks for are looked at.

What is not in the data: where customers live and what dates they wish (drawn as the demonstration
does), what a lost sale costs (`VALUE_MINOR` a unit). Each line of an online order asks for one unit.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from services.demo import places
from services.demo.network import DemoNetwork, build
from tests.benchmarks.policies.world import (
    NO_WISH,
    ONLINE,
    UNLIMITED,
    Events,
    Ints,
    Network,
    Period,
    World,
)

NETWORK_SEED = 1
PERIOD_DAYS = 28
PERIODS = 13
PAST = 3
"""Periods before the one that is decided."""
ORDERS = 250
"""Expected in a period."""
WISH_SHARE, WISH_DAYS = 0.3, (2, 5)
VALUE_MINOR = 150
SPLIT_MINOR, LATENESS_MINOR, SHORTAGE_MINOR = 250, 100, 1_000


class Known(NamedTuple):
    """The demonstration's network and sales, by numbers."""

    network: DemoNetwork
    names: tuple[str, ...]
    """Node ids in alphabetical order."""
    skus: Ints
    """Product ids, ascending."""
    starts: Ints
    """Where each basket begins in the sales; and their end."""
    day: Ints
    """Of each basket, since the year began."""


@lru_cache(maxsize=1)
def known() -> Known:
    """Read the data. Raises `MissingPackageError` where the extra `demo` is not installed."""
    network = build(NETWORK_SEED)
    sales = network.sales
    changes = np.flatnonzero(np.r_[True, sales.basket_ids[1:] != sales.basket_ids[:-1]])
    dates = sales.sold_at[changes].astype("datetime64[D]")
    return Known(
        network=network,
        names=tuple(sorted(node.node_id for node in network.nodes)),
        skus=np.unique(sales.product_ids),
        starts=np.append(changes, len(sales.basket_ids)),
        day=(dates - dates.min()).astype(np.int64),
    )


def year_world(seed: int) -> World:
    """Four weeks of the year, by turns, with the weeks before them as past."""
    data = known()
    number = PAST + seed % (PERIODS - PAST)
    drawn = {n: _drawn(data, np.random.default_rng([seed, 30, n]), n) for n in range(PERIODS)}
    shown = range(number - PAST, number + 1)
    chosen = np.unique(np.concatenate([_skus(data, drawn[n][0]) for n in shown]))
    stock = _stock(data, chosen)
    periods = [Period(stock, _events(data, chosen, n, drawn[n])) for n in shown]
    return World(
        name="year",
        network=_network(data, chosen),
        days=PERIOD_DAYS,
        period=periods[-1],
        past=tuple(periods[:-1]),
        walk_in_rates=np.zeros(stock.shape),
        told=(),
    )


def _drawn(data: Known, chance: np.random.Generator, number: int) -> tuple[Ints, Ints, Ints]:
    """The baskets of a period that are sent home, to which zones, and the days wished for."""
    there = np.flatnonzero(data.day // PERIOD_DAYS == number)
    sent = there[chance.random(len(there)) < ORDERS / len(there)]
    wish = chance.integers(WISH_DAYS[0], WISH_DAYS[1] + 1, len(sent))
    wish[chance.random(len(sent)) >= WISH_SHARE] = NO_WISH
    return sent, _homes(data, chance, len(sent)), wish


def _skus(data: Known, baskets: Ints) -> Ints:
    """What some baskets ask for."""
    sales, starts = data.network.sales, data.starts
    lines = [sales.product_ids[starts[b] : starts[b + 1]] for b in baskets.tolist()]
    return np.concatenate(lines)


def _homes(data: Known, chance: np.random.Generator, count: int) -> Ints:
    """Zones of customers, who live in cities by population and near a zone's center."""
    cities, zones = data.network.cities, data.network.zones
    centers = np.array([(zone.latitude, zone.longitude) for zone in zones])
    nearest = places.distances_km(places.coordinates(cities), centers).argmin(axis=1)
    people = np.array([city.population for city in cities], float)
    found: Ints = nearest[chance.choice(len(cities), count, p=people / people.sum())]
    return found.astype(np.int64)


def _stock(data: Known, chosen: Ints) -> Ints:
    """Opening stock `[S, N]` of the chosen skus."""
    opening = data.network.stock
    number = {name: n for n, name in enumerate(data.names)}
    row = {str(sku): s for s, sku in enumerate(chosen.tolist())}
    stock = np.zeros((len(chosen), len(data.names)), np.int64)
    rows = zip(opening.skus, opening.node_ids, opening.quantities, strict=True)
    for sku, node_id, units in rows:
        s = row.get(sku)
        if s is not None:
            stock[s, number[node_id]] = units
    return stock


def _events(data: Known, chosen: Ints, number: int, online: tuple[Ints, Ints, Ints]) -> Events:
    """The baskets of a period: those sent home as orders, all others as walk-ins, unit by unit."""
    sent, zones, wish = online
    sales = data.network.sales
    there = np.flatnonzero(data.day // PERIOD_DAYS == number)
    first, last = data.starts[there[0]], data.starts[there[-1] + 1]
    basket = np.repeat(there, np.diff(data.starts)[there])
    place = np.searchsorted(chosen, sales.product_ids[first:last]).clip(max=len(chosen) - 1)
    known_here = chosen[place] == sales.product_ids[first:last]
    walks = known_here & ~np.isin(basket, sent)
    # Baskets are in order of time; within a day one comes after another.
    at = (data.day[basket] - number * PERIOD_DAYS) + _share_of_day(data, basket)
    stores = {name: n for n, name in enumerate(data.names)}
    node_of = {store: stores[f"store-{store}"] for store in np.unique(sales.store_ids).tolist()}
    nodes = np.array([node_of[store] for store in sales.store_ids[first:last][walks].tolist()])
    units = sales.quantities[first:last][walks]
    offset = data.starts[sent] - first
    flat = [
        place[o : o + n][known_here[o : o + n]]
        for o, n in zip(offset.tolist(), np.diff(data.starts)[sent].tolist(), strict=True)
    ]
    return _merged(
        (at[offset], zones, wish, flat),
        (np.repeat(at[walks], units), np.repeat(nodes, units), np.repeat(place[walks], units)),
    )


def _share_of_day(data: Known, basket: Ints) -> Ints:
    """How far into its day each line's basket comes."""
    first = np.searchsorted(data.day, data.day[basket], side="left")
    last = np.searchsorted(data.day, data.day[basket], side="right")
    found: Ints = (basket - first) / (last - first)
    return found


def _merged(
    orders: tuple[Ints, Ints, Ints, list[Ints]], walk_ins: tuple[Ints, Ints, Ints]
) -> Events:
    """Orders and walk-ins in order of time."""
    ordered_at, zones, wish, baskets = orders
    walked_at, nodes, skus = walk_ins
    at = np.concatenate([ordered_at, walked_at])
    order = np.argsort(at, kind="stable")
    sizes = np.array([*(len(each) for each in baskets), *([1] * len(skus))], np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    flat = np.concatenate([*baskets, skus]).astype(np.int64)
    none = np.full(len(nodes), NO_WISH)
    return Events(
        at_days=at[order],
        node=np.concatenate([np.full(len(zones), ONLINE), nodes]).astype(np.int64)[order],
        zone=np.concatenate([zones, none])[order],
        wish=np.concatenate([wish, none])[order],
        starts=np.concatenate([[0], np.cumsum(sizes[order])]).astype(np.int64),
        skus=np.concatenate([flat[starts[e] : starts[e + 1]] for e in order.tolist()]),
    )


def _network(data: Known, chosen: Ints) -> Network:
    """The demonstration's ground lanes and tariffs."""
    network = data.network
    number = {name: n for n, name in enumerate(data.names)}
    zone = {each.zone_id: z for z, each in enumerate(network.zones)}
    tariffs = {each.tariff_id: t for t, each in enumerate(network.tariffs)}
    tariff = np.full((len(number), len(zone)), -1)
    days = np.zeros(tariff.shape, np.int64)
    for lane in network.lanes:
        if lane.service == "ground":
            cell = number[lane.node_id], zone[lane.zone_id]
            tariff[cell], days[cell] = tariffs[lane.tariff_id], lane.transit_days_max
    nodes = sorted(network.nodes, key=lambda node: node.node_id)
    weights = {item.sku: item.weight_grams for item in network.items}
    return Network(
        tariffs=tuple(
            tuple((each.weight_grams_max, each.price_minor) for each in known.brackets)
            for known in network.tariffs
        ),
        tariff=tariff,
        days=days,
        order_minor=np.array([node.handling_order_minor for node in nodes]),
        unit_minor=np.array([node.handling_unit_minor for node in nodes]),
        capacity=np.full(len(nodes), UNLIMITED),
        stores=np.array([node.kind == "store" for node in nodes]),
        grams=np.array([weights[str(sku)] for sku in chosen.tolist()]),
        value_minor=np.full(len(chosen), VALUE_MINOR),
        split_minor=SPLIT_MINOR,
        lateness_minor=LATENESS_MINOR,
        shortage_minor=SHORTAGE_MINOR,
        names=data.names,
    )
