"""What one more fulfillment costs a node that has much to do: overload, and places others will want.

Beyond what a node plans for a date every fulfillment has a price. Below its maximum a place has one,
too, when orders still to come will want more than there are left: without it the prices of stock
send a scarce day's first orders to where only its last ones can go.
"""

from datetime import datetime, timedelta

import msgspec
import numpy as np

from inventory.nodes import CapacityLeft
from routing.prices import poisson_tail
from routing.promise import local_instant
from services.planning.network import Network
from services.planning.playbook import Weights
from services.prices.records import Pace

BOOKING = timedelta(days=1)
"""How long before its cut-off the work of a date comes in."""
ELAPSED_MIN = 0.25
"""Share of that time after which what has come in says how much will."""
CHANCE_MIN = 0.001
"""A chance below it has no price."""
SPREADS = 6.0
"""Standard deviations beyond its mean at which no demand is expected any more."""


class Load(msgspec.Struct, frozen=True):
    """How full a node is on a date."""

    over: bool
    """All that is planned is taken."""
    chance: float
    """How likely orders still to come want all that is left of the maximum."""
    left: CapacityLeft
    """What it can still do."""
    place_minor: int = 0
    """What a place of the date is worth to them, as far as that was learned."""


def load_of(
    left: CapacityLeft, maximum: int, pace: Pace | None, cut_off_at: datetime, now: datetime
) -> Load:
    """Return how full a node is on a date whose work comes in until `cut_off_at`."""
    over = left.planned_remaining is not None and left.planned_remaining <= 0
    if pace is None:
        return Load(over=over, chance=0.0, left=left)
    per_day = pace.orders_per_day if left.unit == "orders" else pace.units_per_day
    chance = chance_wanted(left.remaining, maximum, per_day, cut_off_at - now)
    place_minor = pace.places.get(left.work_on, 0)
    return Load(over=over, chance=chance, left=left, place_minor=place_minor)


def chance_wanted(remaining: int, maximum: int, per_day: float, time_left: timedelta) -> float:
    """Return the chance that what is still to come of a day's work takes all that remains.

    Formula: P(N >= remaining), N Poisson with the mean of the day's usual work, or of the pace at
    which this day's has come in where that is faster, times the share of time that is left.
    """
    share = min(max(time_left / BOOKING, 0.0), 1.0)
    used = max(maximum - remaining, 0)
    mean = share * max(per_day, used / max(1 - share, ELAPSED_MIN) if share < 1 else 0.0)
    if remaining <= 0:
        return 1.0
    if mean <= 0 or remaining > mean + SPREADS * (mean + 1) ** 0.5:
        return 0.0
    return float(poisson_tail(np.array([mean]), np.array([remaining]))[0])


def node_minor(
    left: CapacityLeft, network: Network, pace: Pace | None, weights: Weights | None, now: datetime
) -> int:
    """Return the price of one more fulfillment at a node of the network, on a date of its work.

    Where more is left than the node's default, that counts as its maximum: how much was set for the
    date is not read.
    """
    node, daily = network.nodes[left.node_id], network.daily.get(left.node_id)
    maximum = max(daily.maximum if daily else 0, left.remaining)
    starts_on = left.work_on - timedelta(days=node.handling_days)
    cut_off_at = local_instant(starts_on, node.cut_off, node.time_zone)
    load = load_of(left, maximum, pace, cut_off_at, now)
    return surcharge_minor(load, weights, network.overloads.get(left.node_id))


def surcharge_minor(load: Load, weights: Weights | None, own_minor: int | None) -> int:
    """Return the price of one more fulfillment; `own_minor` is the node's own price of overload.

    A place counts by the chance that it is wanted times what it is worth: what was learned of that,
    see `ahead`, by `order_worth_percent`, and at least `capacity_minor`.
    """
    overload = own_minor if own_minor is not None else weights.overload_minor if weights else 0
    place = 0.0
    if weights is not None:
        learned = load.place_minor * weights.order_worth_percent / 100
        place = min(max(weights.capacity_minor, learned), weights.worth_max_minor)
    capacity = round(place * load.chance)
    return (overload if load.over else 0) + capacity
