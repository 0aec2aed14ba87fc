"""Random multi-item instances after Jasin and Sinha (Operations Research 63, 2015).

Parameters are those of the published experiments of Ma (Order-optimal correlated rounding, M&SOM
2023), which repeat theirs: 5 fulfillment centers, the 10 largest metropolitan areas of the USA, 20
items, 5 order types of each size from 1 to 5, 10,000 periods, each center carrying an item with
chance 0.75. A parcel costs 8.759 dollars, a unit in it 0.423 and 0.000541 a mile; what no center
has is sent from nowhere at twice the fixed price and twice the farthest unit's. Stock is the demand
of the regions to which a center is the nearest that carries the item, and half a standard deviation
more. Nothing else matters: no dates, no walk-ins, no capacity. Money is in tenths of a cent.
"""

from typing import NamedTuple

import numpy as np

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

CENTERS = (
    ("OAK4", 37.7448, -121.3985),
    ("IND1", 39.9797, -86.3833),
    ("AVP3", 41.2776, -75.4973),
    ("CAE1", 33.9114, -81.0501),
    ("DFW7", 32.9709, -97.3348),
)
REGIONS = (
    ("New York", 40.6943, -73.9249, 18_680_025),
    ("Los Angeles", 34.1141, -118.4068, 12_531_334),
    ("Chicago", 41.8375, -87.6866, 8_586_888),
    ("Miami", 25.784, -80.2101, 6_076_316),
    ("Dallas", 32.7935, -96.7667, 5_910_669),
    ("Houston", 29.786, -95.3885, 5_724_418),
    ("Philadelphia", 40.0077, -75.1339, 5_540_199),
    ("Atlanta", 33.7628, -84.422, 5_151_496),
    ("Washington", 38.9047, -77.0163, 5_066_973),
    ("Boston", 42.3188, -71.0852, 4_465_966),
)
ITEMS, SIZE_MAX, TYPES_EACH, PERIODS, CARRIES = 20, 5, 5, 10_000, 0.75
FIXED_MINOR, UNIT_MINOR, MILE_MINOR = 8_759, 423, 0.541
MARGIN_DEVIATIONS = 0.5
EARTH_MILES = 6_371 / 1.61
GRAMS = 1_000
"""Of every item, so that a parcel's weight tells its units."""
NOWHERE = 10_000_000
"""Units of each item that are nowhere, at twice the price."""
DAYS = 20
"""The periods are told off into so many stretches; policies renew their prices at each."""


class Drawn(NamedTuple):
    """An instance: what stays the same over sequences of arrivals."""

    types: tuple[tuple[int, ...], ...]
    chances: Floats
    """`[T]`: chance of each type in a period; the rest is no order."""
    people: Floats
    """`[Z]`: share of each region."""
    stock: Ints
    """`[S, N]`"""


def jasin_sinha_world(seed: int) -> World:
    """A small instance, one sequence to learn from and one to decide."""
    place, past, now, told = (np.random.default_rng([seed, 10 + part]) for part in range(4))
    miles = _miles()
    drawn = _drawn(place, miles)
    return World(
        name="jasin-sinha",
        network=_network(miles),
        days=DAYS,
        period=Period(drawn.stock, _events(drawn, now)),
        past=(Period(drawn.stock, _events(drawn, past)),),
        walk_in_rates=np.zeros(drawn.stock.shape),
        # Enough to know the chances, which is all there is to know.
        told=tuple(Period(drawn.stock, _events(drawn, told)) for _ in range(20)),
    )


def _miles() -> Floats:
    """`[N, Z]`: great circles from centers to regions."""
    here = np.radians([center[1:] for center in CENTERS])[:, None]
    there = np.radians([region[1:3] for region in REGIONS])[None]
    half = np.sin((there - here) / 2) ** 2
    a = half[..., 0] + np.cos(here[..., 0]) * np.cos(there[..., 0]) * half[..., 1]
    found: Floats = 2 * EARTH_MILES * np.arcsin(np.sqrt(a))
    return found


def _network(miles: Floats) -> Network:
    """A tariff for each lane, whose brackets are units; nowhere comes last."""
    unit = UNIT_MINOR + MILE_MINOR * miles
    fixed = np.repeat([FIXED_MINOR, 2 * FIXED_MINOR], [len(miles), 1])
    unit = np.vstack([unit, 2 * unit.max(axis=0)])
    nodes, zones = unit.shape
    free = np.zeros(nodes, np.int64)
    return Network(
        tariffs=tuple(
            tuple(
                (GRAMS * units, round(fixed[n] + units * unit[n, z]))
                for units in range(1, SIZE_MAX + 1)
            )
            for n in range(nodes)
            for z in range(zones)
        ),
        tariff=np.arange(nodes * zones).reshape(nodes, zones),
        days=np.zeros((nodes, zones), np.int64),
        order_minor=free,
        unit_minor=free,
        capacity=np.full(nodes, UNLIMITED),
        stores=np.zeros(nodes, np.bool_),
        grams=np.full(ITEMS, GRAMS),
        value_minor=np.zeros(ITEMS, np.int64),
        split_minor=0,
        lateness_minor=0,
        shortage_minor=1_000_000,
        names=(*(f"{n}-{center[0]}" for n, center in enumerate(CENTERS)), "9-nowhere"),
        nowhere=len(CENTERS),
    )


def _drawn(chance: Chance, miles: Floats) -> Drawn:
    """Types, their chances, who carries what and how much of it."""
    types = tuple(
        tuple(chance.permutation(ITEMS)[:size].tolist())
        for size in range(1, SIZE_MAX + 1)
        for _ in range(TYPES_EACH)
    )
    sizes = chance.random(SIZE_MAX + 1)
    each = chance.random((SIZE_MAX, TYPES_EACH))
    chances = (sizes[1:, None] / sizes.sum() * each / each.sum(axis=1, keepdims=True)).ravel()
    people = np.array([region[3] for region in REGIONS], float)
    people /= people.sum()
    stock = np.zeros((ITEMS, len(CENTERS) + 1), np.int64)
    stock[:, -1] = NOWHERE
    for item in range(ITEMS):
        carries = chance.random(len(CENTERS)) < CARRIES
        asked = sum(chances[t] for t, items in enumerate(types) if item in items)
        if carries.any():
            nearest = np.where(carries[:, None], miles, np.inf).argmin(axis=0)
            due = np.bincount(nearest, asked * people, len(CENTERS))
            deviation = np.sqrt(PERIODS * due * (1 - due))
            stock[item, :-1] = np.rint(PERIODS * due + MARGIN_DEVIATIONS * deviation)
    return Drawn(types, chances, people, stock)


def _events(drawn: Drawn, chance: Chance) -> Events:
    """A sequence of arrivals; periods without one are left out."""
    count = len(drawn.types)
    types = chance.choice(count + 1, PERIODS, p=[*drawn.chances, max(0.0, 1 - drawn.chances.sum())])
    zones = chance.choice(len(drawn.people), PERIODS, p=drawn.people)
    came = np.flatnonzero(types < count)
    sizes = [len(drawn.types[t]) for t in types[came].tolist()]
    return Events(
        at_days=came * DAYS / PERIODS,
        node=np.full(len(came), ONLINE),
        zone=zones[came],
        wish=np.full(len(came), NO_WISH),
        starts=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        skus=np.array([s for t in types[came].tolist() for s in drawn.types[t]], np.int64),
    )
