"""A world: a network, what it holds, and everything that will be asked of it, as arrays.

N nodes, Z zones where customers live, S skus, E events in order of time. An event is an online
order (a basket, shipped to a zone) or a walk-in, who wants one unit at one node and leaves without
it if it is not there. Every line of a basket wants one unit, and its skus differ.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

UNLIMITED = 1 << 40
ONLINE = -1
"""In place of an event's node: it is an online order."""
NO_WISH = -1


class Network(NamedTuple):
    """What costs what, and how long it takes. Money in minor units."""

    tariffs: tuple[tuple[tuple[int, int], ...], ...]
    """T tariffs of brackets: a parcel up to so many grams for that price."""
    tariff: Ints
    """`[N, Z]`: the tariff of the lane, -1 where there is none."""
    days: Ints
    """`[N, Z]`: from the order's date to the promise."""
    order_minor: Ints
    """`[N]`: handling of a parcel."""
    unit_minor: Ints
    """`[N]`: handling of a unit."""
    capacity: Ints
    """`[N]`: parcels a day, `UNLIMITED` where there is no limit."""
    stores: NDArray[np.bool_]
    """`[N]`: whether people walk in."""
    grams: Ints
    """`[S]`"""
    value_minor: Ints
    """`[S]`: what a walk-in who finds nothing costs."""
    split_minor: int
    """Each parcel of an order beyond its first."""
    lateness_minor: int
    """Each line and day after the wish."""
    shortage_minor: int
    """Each unit of an online order that nobody sends."""
    names: tuple[str, ...]
    """Of the nodes, in alphabetical order."""
    nowhere: int = -1
    """The node that stands for nobody having it, if there is one: rules turn to it last."""


class Events(NamedTuple):
    """What is asked, in order of time."""

    at_days: Floats
    """`[E]`: since the period began."""
    node: Ints
    """`[E]`: where somebody walks in, or `ONLINE`."""
    zone: Ints
    """`[E]`: of an online order."""
    wish: Ints
    """`[E]`: days from the order's date to the wished date, or `NO_WISH`."""
    starts: Ints
    """`[E + 1]`: the event's skus are those from its start to the next."""
    skus: Ints


class Period(NamedTuple):
    """The time between two replenishments: what is there when it begins, and what is asked."""

    stock: Ints
    """`[S, N]`"""
    events: Events


class World(NamedTuple):
    """A period to be decided, and the past from which to learn."""

    name: str
    network: Network
    days: int
    period: Period
    past: tuple[Period, ...]
    """Earlier periods of the same kind and length."""
    walk_in_rates: Floats
    """`[S, N]`: the true expectation of walk-ins per day, for policies that are told it."""
    told: tuple[Period, ...]
    """More periods drawn from the true distribution, for policies that are told it."""
    releases: int = 4
    """How often a day orders are released, for policies that plan anew before."""


def of_rows(
    rows: list[tuple[float, int, int, int, tuple[int, ...]]],
) -> Events:
    """Events from rows of time, node, zone, wish and skus, in any order."""
    rows = sorted(rows)
    counts = [len(row[4]) for row in rows]
    return Events(
        at_days=np.array([row[0] for row in rows], float),
        node=np.array([row[1] for row in rows], np.int64),
        zone=np.array([row[2] for row in rows], np.int64),
        wish=np.array([row[3] for row in rows], np.int64),
        starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        skus=np.array([sku for row in rows for sku in row[4]], np.int64),
    )


def online(events: Events) -> Ints:
    """The numbers of the online orders."""
    return np.flatnonzero(events.node == ONLINE)
