"""All money: what parcels, handling, splits, lateness, delay and shortage cost, in minor units.

The price of a parcel shipment is V(weight), the cheapest multiset of tariff brackets whose limits
sum to at least the weight. V is subadditive by construction (the union of two multisets covers the
sum of two weights), which is what makes merging shipments and dominance pruning exact.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import date
from functools import lru_cache

import msgspec
import numpy as np
from numpy.typing import NDArray

from routing.bundles import Bundle
from routing.compiled import compiled
from routing.plan import Cost
from routing.problem import Bracket, Line, Node, Policy, Stock
from routing.promise import line_days

Ints = NDArray[np.int64]

PARCELS_MAX = 2_000
"""Most parcels one shipment may need; `validate` refuses heavier orders."""


class Steps(msgspec.Struct, frozen=True):
    """V as a staircase: a shipment up to `weights_grams[l]` costs `prices_minor[l]`."""

    weights_grams: tuple[int, ...]
    prices_minor: tuple[int, ...]
    parcels: tuple[tuple[int, int], ...]
    """(weight, price) of the parcels it is made of."""

    def price_minor(self, weight_grams: int) -> int:
        """V(weight); a weight of nothing still needs a parcel.

        Raises `IndexError` above the weight the staircase was built for.
        """
        return self.prices_minor[bisect_left(self.weights_grams, weight_grams)]


NO_PARCEL = Steps((2**62,), (0,), ((2**62, 0),))
"""What a pickup costs to send: nothing at any weight."""


def span_grams(weight_grams: int) -> int:
    """The weight, above an order's own, up to which its staircases reach.

    A power of two, so that orders of similar weight share them.
    """
    return 1 << max(10, weight_grams.bit_length())


def parcel_steps(brackets: tuple[Bracket, ...], weight_grams: int) -> Steps:
    """V over weights up to at least `weight_grams`, in fact up to its `span_grams`."""
    return _steps(brackets, span_grams(weight_grams))


@lru_cache(maxsize=4096)
def _steps(brackets: tuple[Bracket, ...], span_grams: int) -> Steps:
    parcels = sorted((b.price_minor, b.weight_grams_max) for b in brackets)
    if parcels[0][0] == 0:
        return NO_PARCEL
    minor, grams = np.array(parcels, np.int64).T
    weights, prices = _staircase(minor.copy(), grams.copy(), span_grams)
    return Steps(tuple(weights.tolist()), tuple(prices.tolist()), tuple((w, p) for p, w in parcels))


@compiled
def _staircase(minor: Ints, grams: Ints, span_grams: int) -> tuple[Ints, Ints]:
    """Extend the staircase step by step: the price of one gram more, then its furthest weight.

    `minor` and `grams` `[B]` are the parcels by price. As weights and prices rise, so do the steps
    that what is left is looked up at, so each is found from where the one before was.
    """
    weights, prices = np.zeros(1024, np.int64), np.zeros(1024, np.int64)
    rests, reached = np.zeros(len(minor), np.int64), np.zeros(len(minor), np.int64)
    last = 0
    while weights[last] < span_grams:
        gram, price, reach = weights[last] + 1, np.int64(2**62), np.int64(0)
        for b in range(len(minor)):
            while weights[rests[b]] < gram - grams[b]:
                rests[b] += 1
            price = min(price, minor[b] + prices[rests[b]])
        for b in range(len(minor)):
            if minor[b] <= price:
                while reached[b] < last and prices[reached[b] + 1] <= price - minor[b]:
                    reached[b] += 1
                reach = max(reach, grams[b] + weights[reached[b]])
        last += 1
        if last == len(weights):
            weights = np.concatenate((weights, np.zeros(last, np.int64)))
            prices = np.concatenate((prices, np.zeros(last, np.int64)))
        weights[last], prices[last] = reach, price
    return weights[1 : last + 1].copy(), prices[1 : last + 1].copy()


def saving_min(steps: Sequence[Steps], weight_grams: int) -> Ints:
    """`[a, b]`: the least that sending by staircase b saves over a, at any weight of the span.

    Negative where b is dearer at some weight from 1 to `weight_grams`.
    """
    weights = [np.array(step.weights_grams, np.int64) for step in steps]
    limits = np.concatenate([each[each < weight_grams] for each in weights])
    grid = np.unique(np.concatenate([np.zeros(1, np.int64), limits])) + 1
    prices = [
        np.array(step.prices_minor, np.int64)[np.searchsorted(each, grid)]
        for step, each in zip(steps, weights, strict=True)
    ]
    # A pair at a time: those of heavy orders have a million steps each.
    return np.array([[(one - other).min() for other in prices] for one in prices], np.int64)


def handling_order_minor(nodes: Sequence[Node]) -> int:
    """Handling of one fulfillment at all nodes that handle it, whatever it takes."""
    return sum(node.handling_order_minor for node in nodes)


def handling_unit_minor(nodes: Sequence[Node]) -> int:
    """Handling of one unit at all nodes that handle it."""
    return sum(node.handling_unit_minor for node in nodes)


def opening_minor(node: Node) -> int:
    """Price of one more fulfillment at `node`, whatever it takes: handling and the surcharge."""
    return node.handling_order_minor + node.surcharge_minor


def unit_minor(node: Node, stock: Stock | None) -> int:
    """Price of a unit of `stock` taken at `node`: handling, what it may be worth, and the risk."""
    beyond = stock.worth_minor + stock.risk_minor if stock else 0
    return node.handling_unit_minor + beyond


def lateness_minor(policy: Policy, line: Line, promised: date) -> int:
    """Price of a line whose last unit is promised for `promised`, after its `requested_by`."""
    if line.requested_by is None:
        return 0
    return policy.lateness_minor * line_days(promised, line.requested_by)


def delay_minor(policy: Policy, promised: date, ordered_on: date) -> int:
    """Price of a line whose last unit is promised for `promised`, counted from the order's date.

    Counting from the order's date instead of the earliest feasible date adds the same constant to
    every plan that fulfills the same lines, but does not fall when a faster node is added to the
    network, so that adding a node never raises the objective.
    """
    return policy.delay_minor * line_days(promised, ordered_on)


def split_minor(policy: Policy, fulfillments: int) -> int:
    """Price of every fulfillment beyond the first."""
    return policy.split_minor * max(0, fulfillments - 1)


def waiting_minor(policy: Policy, bundle: Bundle, promised: date, ordered_on: date) -> int:
    """Price of a bundle whose last unit is promised for `promised`: of all its lines."""
    delay = len(bundle.members) * delay_minor(policy, promised, ordered_on)
    return delay + sum(lateness_minor(policy, line, promised) for line in bundle.members)


def shortage_minor(policy: Policy, units: int) -> int:
    """Price of units that no fulfillment takes."""
    return policy.shortage_minor * units


def fulfillment_cost(nodes: Sequence[Node], steps: Steps, units: int, weight_grams: int) -> Cost:
    """Parcels and handling of one fulfillment, at all nodes that handle it."""
    handling = handling_order_minor(nodes) + units * handling_unit_minor(nodes)
    return total_cost({"parcels": steps.price_minor(weight_grams), "handling": handling})


def total_cost(parts: Mapping[str, int]) -> Cost:
    """A `Cost` from components named without their unit, such as `split`."""
    return Cost(
        **{f"{name}_minor": value for name, value in parts.items()},
        total_minor=sum(parts.values()),
    )
