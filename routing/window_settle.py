"""From prices to one plan for each order, and the proof that hardly any other choice is cheaper."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from routing.facts import Bools
from routing.window_choice import Limits, Rest, by_turns, chosen
from routing.window_ground import Column
from routing.window_master import priced_minor
from routing.window_plans import Plans
from routing.window_prices import Clock, Search
from routing.window_pricing import NEVER
from routing.window_whole import wanted

__all__ = ["settle"]

FIRST_CAPS, LAST_CAPS = 8, 60
"""How often an order is asked for other plans: before there is a choice, and then to prove it."""
LOOKS_MAX = 4
"""Most times that plans are looked for, because more turned out to be scarce."""
LOOKING_SHARE = 0.8
"""Share of the time after which no more plans are looked for."""
CHOICE_SHARE = 0.15
"""Share of the time that a choice may always take."""


def settle(search: Search, clock: Clock) -> tuple[list[Column], float]:
    """One plan for each order, and what no other choice is charged less than.

    A choice that is cheaper uses only plans charged less than the distance between the choice at
    hand and the bound beyond what their orders are charged at least. Those are looked for; where
    they all are found, the best choice of them is the best there is.
    """
    every = range(len(search.orders))
    _looked(search, clock, every, float(NEVER), FIRST_CAPS)
    picked, _ = _picked(search, clock)
    known: dict[int, Plans] = {}
    slack, concerned = _total(search, picked) - search.bound, set(every)
    for _ in range(LOOKS_MAX):
        if slack < 1:
            return picked, search.bound
        scarce = search.scarce()
        known |= _looked(search, clock, sorted(concerned), slack, LAST_CAPS)
        concerned = _users(search, scarce)
        if len(known) < len(every) or not concerned:
            break
    picked, bound = _picked(search, clock)
    if len(known) < len(every):
        return picked, search.bound
    slack = _total(search, picked) - search.bound
    # Those that take something which turned out to be scarce last may have other plans again.
    left = {n: 0.0 if n in concerned else each.open_minor for n, each in known.items()}
    rests = {n: rest_of(search, n, minor) for n, minor in left.items() if minor < slack}
    if rests:
        _, bound = _picked(search, clock, rests)
    return picked, bound - sum(each.inexact_minor for each in known.values())


def rest_of(search: Search, n: int, open_minor: float) -> Rest:
    """The plans of an order that were not looked for, by what they are charged at least."""
    order, prices = search.orders[n], search.best
    if order.whole is not None:
        needs = wanted(order.whole)
        cells = [[c for (_, own), c in order.whole.cells.items() if own == sku] for sku in needs]
        units, pieces = tuple(needs.values()), sum(needs.values())
    elif order.choices is not None:
        choices = order.choices
        most = [choices.most[:, i] > 0 for i in range(len(choices.wanted))]
        cells = [np.unique(choices.cells[some, i]).tolist() for i, some in enumerate(most)]
        units, pieces = tuple(choices.wanted.tolist()), int(choices.wanted.sum())
    else:
        raise ValueError(f"order {n} has no choices, so no plan of it is left out")
    _, rooms = search.touched[n]
    return Rest(
        minor=math.floor(search.least[n] + open_minor - prices.move),
        lines=tuple(
            tuple((c, int(prices.cells[c])) for c in sorted(own) if prices.cells[c] > 0)
            for own in cells
        ),
        wanted=units,
        rooms=tuple(
            (r, pieces, int(prices.rooms[r])) for r in rooms.tolist() if prices.rooms[r] > 0
        ),
    )


def _looked(
    search: Search, clock: Clock, orders: Iterable[int], slack: float, most: int
) -> dict[int, Plans]:
    """Look for plans of some orders while there is time."""
    scarce, found = search.scarce(), {}
    for n in orders:
        if clock.left_s(LOOKING_SHARE) < 0:
            break
        found[n] = search.add_plans(n, scarce, slack, most)
    return found


def _users(search: Search, before: tuple[Bools, Bools]) -> set[int]:
    """The orders with a plan that takes something scarce which was not scarce before."""
    found: set[int] = set()
    for users, new, old in zip(search.master.users, search.scarce(), before, strict=True):
        for place in np.flatnonzero(new & ~old).tolist():
            found.update(users[place])
    return found


def _total(search: Search, picked: Sequence[Column]) -> int:
    return sum(search.charged(each) for each in picked)


def _picked(
    search: Search, clock: Clock, rests: Mapping[int, Rest] | None = None
) -> tuple[list[Column], float]:
    """The best choice of the plans known, and what no other choice of them is charged less than.

    With `rests` the bound alone is of use. A plan whose order is charged too much with it for a choice better than the first is left out.
    """
    offered = [[(search.charged(each), each) for each in own] for own in search.master.columns]
    first = by_turns(offered, search.have, search.rules.moves_max)
    slack = sum(own[n][0] for own, n in zip(offered, first, strict=True)) - search.bound
    kept = [
        [
            n
            for n, (minor, each) in enumerate(own)
            if n in {0, first[order]} or _beyond(search, order, minor, each) < slack
        ]
        for order, own in enumerate(offered)
    ]
    time_s = max(clock.limit_s * CHOICE_SHARE, clock.left_s(LOOKING_SHARE))
    choice = chosen(
        [[own[n] for n in those] for own, those in zip(offered, kept, strict=True)],
        search.have,
        [those.index(n) for those, n in zip(kept, first, strict=True)],
        Limits(search.rules.moves_max, time_s, search.rules.seed),
        rests,
    )
    picked = [
        own[those[n]][1]
        for own, those, n in zip(offered, kept, choice.picked, strict=True)
        if n < len(those)
    ]
    return picked, choice.bound


def _beyond(search: Search, order: int, charged: int, column: Column) -> float:
    """What a plan is charged at the best prices beyond the least of its order."""
    moved = search.best.move if len(column.slots) else 0.0
    paid = priced_minor(column, search.best) - column.minor
    return float(charged + paid + moved - search.least[order])
