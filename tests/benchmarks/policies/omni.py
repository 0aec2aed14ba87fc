"""Omnichannel worlds: warehouses, thin stores, baskets from the web and people who walk in.

The parameters below were written down before any policy was run on them and stay as they are:
they are the benchmark. One period is the time between two replenishments.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.policies.world import (
    NO_WISH,
    ONLINE,
    UNLIMITED,
    Events,
    Floats,
    Ints,
    Network,
    Period,
    World,
)

Chance = np.random.Generator


class Omni(NamedTuple):
    """What an omnichannel world is drawn from."""

    warehouses: int = 8
    stores: int = 100
    zones: int = 20
    skus: int = 800
    days: int = 10
    orders_a_day: float = 160.0
    walk_ins_a_day: float = 320.0
    past_periods: int = 9
    told_periods: int = 1
    """More of the same kind for policies that are told the truth."""
    warehouse_share: float = 0.7
    """Chance that a warehouse carries a sku."""
    store_share: float = 0.2
    """The same of a store, multiplied by its size and by the sku's popularity, at most 1."""
    warehouse_cover: float = 0.6
    """Expected units of all warehouses together, as a share of online demand."""
    store_cover: float = 1.2
    """Expected units of a store as a share of its walk-in demand, beside `store_extra`."""
    store_extra: float = 0.3
    warehouse_parcels: int = UNLIMITED
    """A day."""
    store_parcels: int = UNLIMITED
    popularity: float = 0.8
    """Exponent of Zipf's law."""
    local_shape: float = 2.0
    """Tastes of a store's customers: a gamma number of this shape and mean 1 for each sku."""
    price_median_minor: int = 2_500
    price_spread: float = 0.6
    margin: float = 0.35
    goodwill_minor: int = 200
    """A lost walk-in costs the margin and this."""
    basket: tuple[float, ...] = (0.45, 0.25, 0.15, 0.10, 0.05)
    """Shares of baskets of 1, 2 … skus."""
    wish_share: float = 0.6
    wish_days: tuple[int, int] = (1, 4)
    releases: int = 4
    """A day: orders between two of them wait together."""


WORLDS: dict[str, Omni] = {
    "omni": Omni(),
    "towns": Omni(
        warehouses=3,
        stores=40,
        zones=12,
        skus=400,
        days=14,
        orders_a_day=80.0,
        walk_ins_a_day=240.0,
        store_share=0.5,
        store_cover=1.0,
        store_extra=0.5,
        warehouse_cover=0.5,
        margin=0.25,
    ),
    "online": Omni(walk_ins_a_day=0.0, store_cover=0.0, store_extra=0.9),
    "peak": Omni(
        days=4,
        orders_a_day=400.0,
        walk_ins_a_day=200.0,
        warehouse_cover=0.45,
        warehouse_parcels=32,
        store_parcels=2,
    ),
    "waves": Omni(
        days=3,
        orders_a_day=600.0,
        walk_ins_a_day=0.0,
        store_cover=0.0,
        store_extra=0.9,
        warehouse_parcels=60,
        store_parcels=4,
        releases=1,
    ),
}

SPLIT_MINOR, LATENESS_MINOR, SHORTAGE_MINOR = 100, 150, 3_000
AREA_KM = (650.0, 600.0)
BANDS_KM = (60.0, 200.0, 400.0)
BAND_DAYS = (1, 1, 2, 3)
BAND_MINOR = (450, 520, 600, 700)
BRACKETS = ((1_000, 0), (3_000, 120), (8_000, 300), (20_000, 650))
"""Grams, and what a parcel costs beyond its band's price."""
STORE_RATE = 1.15
"""A store pays its carrier so much more."""
HANDLING_MINOR = {"warehouse": (80, 20), "store": (150, 60)}
"""Of a parcel and of a unit."""
GRAMS_MEDIAN, GRAMS_SPREAD, GRAMS_MAX = 400.0, 0.8, 6_000


class Drawn(NamedTuple):
    """What stays the same over all periods of a world."""

    network: Network
    carried: Ints
    """`[N, S]`: 1 where the node carries the sku."""
    walk_ins: Floats
    """`[N, S]`: expected a day."""
    zone_share: Floats
    sku_share: Floats


def omni_world(name: str, seed: int, known: Omni | None = None) -> World:
    """The world of a name in `WORLDS`, or of other parameters; the same for the same seed."""
    known = known or WORLDS[name]
    place, told, past, now = (np.random.default_rng([seed, part]) for part in range(4))
    drawn = _drawn(known, place)
    return World(
        name=name,
        network=drawn.network,
        days=known.days,
        period=_period(known, drawn, now),
        past=tuple(_period(known, drawn, past) for _ in range(known.past_periods)),
        walk_in_rates=np.ascontiguousarray(drawn.walk_ins.T),
        told=tuple(_period(known, drawn, told) for _ in range(known.told_periods)),
        releases=known.releases,
    )


def _drawn(known: Omni, chance: Chance) -> Drawn:
    """Places, tariffs, assortments and tastes."""
    centers = chance.uniform((0, 0), AREA_KM, (known.zones, 2))
    people = chance.lognormal(0, 0.9, known.zones)
    zone_share = people / people.sum()
    kept = chance.choice(known.zones, known.warehouses, replace=False)
    homes = chance.choice(known.zones, known.stores, p=zone_share)
    spots = np.concatenate([centers[kept], centers[homes]])
    spots += chance.normal(0, 12, spots.shape)
    popular = 1.0 / np.arange(1, known.skus + 1) ** known.popularity
    sku_share = chance.permutation(popular / popular.sum())
    stores = np.arange(len(spots)) >= known.warehouses
    size = chance.lognormal(0, 0.5, len(spots))
    relative = np.sqrt(sku_share * known.skus)
    likely = np.where(stores[:, None], known.store_share * size[:, None] * relative, 0.0)
    likely[~stores] = known.warehouse_share
    carried = (chance.random(likely.shape) < np.minimum(likely, 1)).astype(np.int64)
    taste = chance.gamma(known.local_shape, 1 / known.local_shape, carried.shape)
    walk_ins = carried * stores[:, None] * size[:, None] * sku_share * taste
    total = max(walk_ins.sum(), 1e-12)
    network = _network(known, chance, np.linalg.norm(spots[:, None] - centers, axis=2), stores)
    return Drawn(network, carried, walk_ins * known.walk_ins_a_day / total, zone_share, sku_share)


def _network(known: Omni, chance: Chance, far_km: Floats, stores: NDArray[np.bool_]) -> Network:
    """What costs what; `far_km` is `[N, Z]`."""
    band = np.searchsorted(BANDS_KM, far_km)
    rates = [(1.0, minor) for minor in BAND_MINOR] + [(STORE_RATE, minor) for minor in BAND_MINOR]
    price = chance.lognormal(np.log(known.price_median_minor), known.price_spread, known.skus)
    kinds = ["store" if store else "warehouse" for store in stores.tolist()]
    return Network(
        tariffs=tuple(
            tuple((grams, round(rate * (minor + more))) for grams, more in BRACKETS)
            for rate, minor in rates
        ),
        tariff=band + len(BAND_MINOR) * stores[:, None],
        days=np.array(BAND_DAYS)[band],
        order_minor=np.array([HANDLING_MINOR[kind][0] for kind in kinds]),
        unit_minor=np.array([HANDLING_MINOR[kind][1] for kind in kinds]),
        capacity=np.where(stores, known.store_parcels, known.warehouse_parcels),
        stores=stores,
        grams=np.clip(
            chance.lognormal(np.log(GRAMS_MEDIAN), GRAMS_SPREAD, known.skus), 50, GRAMS_MAX
        ).astype(np.int64),
        value_minor=np.rint(known.goodwill_minor + known.margin * price).astype(np.int64),
        split_minor=SPLIT_MINOR,
        lateness_minor=LATENESS_MINOR,
        shortage_minor=SHORTAGE_MINOR,
        names=tuple(f"node-{n:03}" for n in range(len(stores))),
    )


def _period(known: Omni, drawn: Drawn, chance: Chance) -> Period:
    """Stock after a replenishment, and the events until the next."""
    stores, carried = drawn.network.stores, drawn.carried
    lines = known.days * known.orders_a_day * (np.arange(len(known.basket)) + 1) @ known.basket
    sent = lines * drawn.sku_share * known.warehouse_cover
    carriers = np.maximum(1, carried[~stores].sum(axis=0))
    expected = np.where(
        stores[:, None],
        known.store_cover * known.days * drawn.walk_ins + known.store_extra,
        sent / carriers,
    )
    stock = chance.poisson(expected)
    if known.walk_ins_a_day > 0:
        # A shop shows at least one of all it carries.
        stock = np.where(stores[:, None], np.maximum(1, stock), stock)
    return Period(np.ascontiguousarray((stock * carried).T), _events(known, drawn, chance))


def _events(known: Omni, drawn: Drawn, chance: Chance) -> Events:
    """Online orders and walk-ins of a period."""
    orders = chance.poisson(known.days * known.orders_a_day)
    sizes = chance.choice(len(known.basket), orders, p=known.basket) + 1
    baskets = [chance.choice(known.skus, size, replace=False, p=drawn.sku_share) for size in sizes]
    wish = chance.integers(known.wish_days[0], known.wish_days[1] + 1, orders)
    wish[chance.random(orders) >= known.wish_share] = NO_WISH
    counts = chance.poisson(known.days * drawn.walk_ins)
    nodes, skus = np.nonzero(counts)
    times = counts[nodes, skus]
    nodes, skus = np.repeat(nodes, times), np.repeat(skus, times)
    at = chance.uniform(0, known.days, orders + len(nodes))
    order = np.argsort(at, kind="stable")
    sizes = np.concatenate([sizes, np.ones(len(nodes), np.int64)])
    starts = np.concatenate([[0], np.cumsum(sizes)])
    flat = np.concatenate([*baskets, skus])
    zones = chance.choice(known.zones, orders, p=drawn.zone_share)
    none = np.full(len(nodes), NO_WISH)
    return Events(
        at_days=at[order],
        node=np.concatenate([np.full(orders, ONLINE), nodes])[order],
        zone=np.concatenate([zones, none])[order],
        wish=np.concatenate([wish, none])[order],
        starts=np.concatenate([[0], np.cumsum(sizes[order])]),
        skus=np.concatenate([flat[starts[e] : starts[e + 1]] for e in order.tolist()]),
    )
