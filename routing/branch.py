"""Which sets of slots could still beat the incumbent: a search under the bound by prices.

Each step forces a slot open or shuts it, and moves prices again for what is left. A set is given up
only when its bound reaches the incumbent, so the plans not looked at are none that are cheaper.
"""

import math
import time
from collections.abc import Iterator

import msgspec
import numpy as np

from routing.assemble import objective_minor
from routing.bound import SLACK_MINOR, Bools, Floats, Ints, Relaxation, ascend, opened_bound
from routing.greedy import filled, moved
from routing.instance import Assignment, Instance, restrict
from routing.pack import coupled, packed

PARTS_MAX = 1_500
"""Parts bounded for one order."""

DEPTH_FIRST = 80
"""How many of them follow the most promising line, for the sake of the incumbent; later ones are
those of the least bound, for the sake of the proof."""

SEARCH_SHARE = 0.9
"""Of the time left; the rest is for the exact model."""

ROUNDS = 14
"""Price adjustments for each of them."""


PACKED_EXACTLY = 2
"""Slots whose cheapest plan packing finds for certain."""


PACKED_WITHIN = 1.08
"""Plans dearer than this share of the incumbent are not packed."""


class Searched(msgspec.Struct, frozen=True, eq=False):
    """What is left to look at after the search."""

    units: Assignment
    """The best plan found, the incumbent when there is none cheaper."""
    objective_minor: int
    slots: tuple[int, ...]
    """No cheaper plan opens any other slot; none at all when the plan is proven."""
    bound_minor: int


class _Part(msgspec.Struct, frozen=True, eq=False):
    """Plans that open all forced slots and none but these."""

    slots: Ints
    forced: Bools
    prices: Floats
    value: float


class _Search:
    """The incumbent, what is left to explore and what could not be closed."""

    def __init__(
        self, instance: Instance, relaxed: Relaxation, best: Assignment, until: float
    ) -> None:
        self.instance, self.relaxed = instance, relaxed
        self.best, self.objective = best, objective_minor(instance, best)
        self.until = until
        self.open: list[_Part] = []
        self.tried: set[tuple[int, ...]] = set()

    def beaten(self, value: float) -> bool:
        """Whether no plan of at least this objective is cheaper than the incumbent."""
        return value > self.objective - 1 + SLACK_MINOR

    def fill(self, slots: Ints) -> None:
        """Try a plan that opens these slots and takes units where they are cheapest."""
        chosen = tuple(slots.tolist())
        if chosen not in self.tried:
            self.tried.add(chosen)
            small = restrict(self.instance, chosen)
            found = filled(small)
            close = objective_minor(small, found) < PACKED_WITHIN * self.objective
            if close and not coupled(small):
                found, _ = packed(small, found, self.until)
            self.offer(small, chosen, found)

    def close(self, part: _Part) -> None:
        """Try plans that open exactly these slots; keep the part unless that settled it."""
        ceiling = float(self.objective)
        if self.beaten(opened_bound(taken_alone(self.relaxed, part.slots), ceiling)):
            return
        chosen = tuple(part.slots.tolist())
        small = restrict(self.instance, chosen)
        found = filled(small)
        few = len(chosen) <= PACKED_EXACTLY
        exact = few and not coupled(small)
        if coupled(small):
            found = moved(small, found)
        elif few or objective_minor(small, found) < PACKED_WITHIN * self.objective:
            found, all_tried = packed(small, found, self.until)
            exact = exact and all_tried
        self.offer(small, chosen, found)
        if not exact and not self.beaten(part.value):
            self.open.append(part)

    def offer(self, small: Instance, chosen: tuple[int, ...], found: Assignment) -> None:
        """Keep an assignment of the chosen slots where it is the cheapest so far."""
        price = objective_minor(small, found)
        if price < self.objective:
            self.objective = price
            self.best = {chosen[k]: taken for k, taken in found.items()}


def branch(
    instance: Instance,
    relaxed: Relaxation,
    start: tuple[Assignment, tuple[int, ...], Floats],
    deadline: float,
) -> Searched:
    """Search the sets of slots that could be cheaper than the incumbent.

    `start` are the incumbent, the slots not priced out and the prices to begin with. Needs an
    incumbent that no plan with more units short can beat, see `covers_all`.
    """
    best, slots, prices = start
    everything = np.array(slots, np.int64)
    parts = [_Part(everything, np.zeros(len(slots), np.bool_), prices, -math.inf)]
    now = time.perf_counter()
    until = deadline if deadline == math.inf else now + SEARCH_SHARE * (deadline - now)
    search = _Search(instance, relaxed, best, until)
    for number in range(PARTS_MAX):
        if not parts or time.perf_counter() > until:
            break
        part = parts.pop(-1 if number < DEPTH_FIRST else _lowest(parts))
        if not search.beaten(part.value):
            parts.extend(_children(search, part))
    left = [part for part in (*parts, *search.open) if not search.beaten(part.value)]
    opened = sorted({k for part in left for k in part.slots.tolist()})
    lowest = min((part.value for part in left), default=float(search.objective))
    proven = max(0, math.ceil(lowest - SLACK_MINOR)) if lowest > -math.inf else 0
    return Searched(search.best, search.objective, tuple(opened), proven)


def covers_all(relaxed: Relaxation, objective: int) -> bool:
    """Whether every cheaper plan fulfills all units that can be: one more short costs too much."""
    return objective <= relaxed.missing_minor + relaxed.short_minor


def _lowest(parts: list[_Part]) -> int:
    """The place of the part of the least bound, the last of several."""
    values = [part.value for part in reversed(parts)]
    return len(parts) - 1 - values.index(min(values))


def _children(search: _Search, part: _Part) -> Iterator[_Part]:
    """Bound a part and split it, the most promising last; nothing when it is given up."""
    small = taken_alone(search.relaxed, part.slots)
    if (small.most.sum(axis=0) < small.wanted).any():
        return
    until = float(search.objective), ROUNDS, search.until
    ascent = ascend(small, part.prices, part.forced, until)
    if search.beaten(ascent.value):
        return
    kept = part.forced | (ascent.least <= search.objective - 1 + SLACK_MINOR)
    must = part.forced | (ascent.value - ascent.rest > search.objective - 1 + SLACK_MINOR)
    most = small.most * kept[:, None]
    must |= kept & (most.sum(axis=0) - most < small.wanted).any(axis=1)
    likely = kept & (must | (ascent.rest < 0))
    if (most[likely].sum(axis=0) >= small.wanted).all():
        search.fill(part.slots[likely])
    slots = part.slots[kept]
    rest = ascent.rest[kept]
    part = _Part(slots, must[kept], ascent.prices, max(part.value, ascent.value))
    if part.forced.all():
        search.close(part)
        return
    yield from _split(part, most[kept], small.wanted, rest)


def _split(part: _Part, most: Floats, wanted: Ints, rest: Floats) -> Iterator[_Part]:
    """Every plan of a part is in one of these: by who serves a line, else by a slot."""
    free = ~part.forced
    missing = np.flatnonzero(most[part.forced].sum(axis=0) < wanted)
    if len(missing):
        holders = (most[:, missing] > 0) & free[:, None]
        line = missing[holders.sum(axis=0).argmin()]
        ranked = np.flatnonzero((most[:, line] > 0) & free)
    else:
        ranked = np.flatnonzero(free)
    ranked = ranked[np.argsort(rest[ranked], kind="stable")]
    if not len(missing):
        ranked = ranked[:1]
        yield _without(part, ranked, None)
    for place in range(len(ranked) - 1, -1, -1):
        yield _without(part, ranked[:place], int(ranked[place]))


def _without(part: _Part, shut: Ints, opened: int | None) -> _Part:
    """The part without some slots and with one forced open."""
    kept = np.ones(len(part.slots), np.bool_)
    kept[shut] = False
    forced = part.forced.copy()
    if opened is not None:
        forced[opened] = True
    return _Part(part.slots[kept], forced[kept], part.prices, part.value)


def taken_alone(relaxed: Relaxation, slots: Ints) -> Relaxation:
    """The relaxation of these slots alone."""
    return msgspec.structs.replace(
        relaxed,
        most=relaxed.most[slots],
        unit=relaxed.unit[slots],
        opening=relaxed.opening[slots],
        limits=relaxed.limits[slots],
        parcels=relaxed.parcels[slots],
    )
