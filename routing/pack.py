"""The cheapest way to share units between two opened slots, exactly.

A knapsack over grams: the price of parcels depends on the weights alone, so it is enough to know,
for every weight that one slot could carry, the least that waiting and handling come to.
"""

import math
import time
from itertools import combinations

import msgspec
import numpy as np
from numpy.typing import NDArray

from routing.assemble import objective_minor
from routing.cost import Steps, handling_minor
from routing.instance import Assignment, Instance

CELLS_MAX = 2_000_000
"""Most weights times ways to share a line in one table; a heavier pair is left as it is."""

ROUNDS_MAX = 3
"""Times every pair of an assignment is packed anew."""

Ints = NDArray[np.int64]

_NEVER = 2**50


class _Ways(msgspec.Struct, frozen=True):
    """How units of one line may be shared: (units in the first slot, price) each."""

    line: int
    units: int
    choices: tuple[tuple[int, int], ...]


def packed(
    instance: Instance, units: Assignment, deadline: float = math.inf
) -> tuple[Assignment, bool]:
    """An assignment in which no two slots could share their units more cheaply between them.

    And whether every pair was small enough and met before the deadline. Only for slots without limits in common, see
    `coupled`. Of plans that open exactly two slots and fulfill as much, none is cheaper.
    """
    price = objective_minor(instance, units)
    all_tried = True
    for _ in range(ROUNDS_MAX):
        before = price
        for one, other in combinations(range(len(instance.slots)), 2):
            if one in units or other in units:
                timely = time.perf_counter() < deadline
                found = shared(instance, units, one, other) if timely else None
                all_tried = all_tried and found is not None
                cheaper = price if found is None else objective_minor(instance, found)
                if found is not None and cheaper < price:
                    units, price = found, cheaper
        if price == before:
            break
    return units, all_tried


def coupled(instance: Instance) -> bool:
    """Whether limits couple slots or lines, which packing does not see."""
    return bool(instance.unit_limits or instance.open_limits)


def shared(instance: Instance, units: Assignment, one: int, other: int) -> Assignment | None:
    """The assignment with the units of two slots shared anew between them, at the least objective.

    The other slots keep theirs. None where the table would be too large.
    """
    ways = [_ways(instance, units, (one, other), i) for i in _lines(units, one, other)]
    ways.sort(key=lambda way: len(way.choices))
    weights = [instance.lines[way.line].weight_grams for way in ways]
    grams = math.gcd(*weights) or 1
    heavy = [weight // grams for weight in weights]
    span = 1 + sum(
        (way.choices[-1][0] - way.choices[0][0]) * weight
        for way, weight in zip(ways, heavy, strict=True)
    )
    if span * sum(len(way.choices) for way in ways if len(way.choices) > 1) > CELLS_MAX:
        return None
    least = np.zeros(1, np.int64)
    tables = []
    for way, weight in zip(ways, heavy, strict=True):
        least, chosen = _spread(least, way, weight)
        tables.append(chosen)
    base = sum(way.choices[0][0] * weight for way, weight in zip(ways, heavy, strict=True))
    total = sum(way.units * weight for way, weight in zip(ways, heavy, strict=True))
    carried = np.arange(base, base + len(least), dtype=np.int64) * grams
    least = least + _prices(instance.slots[one].steps, carried)
    least += _prices(instance.slots[other].steps, total * grams - carried)
    # The table makes even an empty slot pay for a parcel, so putting all in one is tried apart.
    plans = [_traced(units, (one, other), list(zip(ways, heavy, tables, strict=True)), least)]
    for k, all_in in ((one, True), (other, False)):
        if all(_end(way, last=all_in) == (way.units if all_in else 0) for way in ways):
            others = {o: taken for o, taken in units.items() if o not in (one, other)}
            whole = {way.line: way.units for way in ways}
            plans.append(dict(sorted({**others, k: dict(sorted(whole.items()))}.items())))
    return min(plans, key=lambda plan: objective_minor(instance, plan))


def _end(way: _Ways, *, last: bool) -> int:
    return way.choices[-1 if last else 0][0]


def _lines(units: Assignment, one: int, other: int) -> list[int]:
    return sorted({*units.get(one, {}), *units.get(other, {})})


def _ways(instance: Instance, units: Assignment, pair: tuple[int, int], i: int) -> _Ways:
    """Every number of units of a line that the first of two slots may take of what both have."""
    one, other = pair
    together = units.get(one, {}).get(i, 0) + units.get(other, {}).get(i, 0)
    waiting = instance.time_minor
    elsewhere = max(
        (waiting[k][i] for k, taken in units.items() if i in taken and k not in pair), default=0
    )
    dearer = _unit_minor(instance, one) - _unit_minor(instance, other)
    choices = []
    least = max(0, together - instance.units_max[other][i])
    for n in range(least, min(together, instance.units_max[one][i]) + 1):
        waits = max(
            elsewhere, waiting[one][i] if n else 0, waiting[other][i] if n < together else 0
        )
        choices.append((n, n * dearer + waits))
    return _Ways(i, together, tuple(choices))


def _unit_minor(instance: Instance, k: int) -> int:
    node = instance.slots[k].node
    return handling_minor(node, 1) - handling_minor(node, 0)


def _spread(least: Ints, way: _Ways, weight: int) -> tuple[Ints, NDArray[np.int16]]:
    """The least price of each weight with one line more, and the choice that gives it.

    Weights count from the least that the first slot must carry.
    """
    fewest = way.choices[0][0]
    if len(way.choices) == 1:
        return least + way.choices[0][1], np.zeros(0, np.int16)
    wider = np.full(len(least) + (way.choices[-1][0] - fewest) * weight, _NEVER, np.int64)
    chosen = np.zeros(len(wider), np.int16)
    for number, (n, price) in enumerate(way.choices):
        first = (n - fewest) * weight
        part, dearer = wider[first : first + len(least)], least + price
        better = dearer < part
        np.copyto(part, dearer, where=better)
        np.copyto(chosen[first : first + len(least)], number, where=better, casting="unsafe")
    return wider, chosen


def _prices(steps: Steps, carried: Ints) -> Ints:
    prices = np.array(steps.prices_minor, np.int64)
    found: Ints = prices[np.searchsorted(np.array(steps.weights_grams, np.int64), carried)]
    return found


def _traced(
    units: Assignment,
    pair: tuple[int, int],
    tables: list[tuple[_Ways, int, NDArray[np.int16]]],
    least: Ints,
) -> Assignment:
    """The assignment that the tables say gives the least price."""
    place = int(least.argmin())
    changed = {k: taken for k, taken in units.items() if k not in pair}
    first: dict[int, int] = {}
    second: dict[int, int] = {}
    for way, weight, chosen in reversed(tables):
        n = way.choices[chosen[place] if len(chosen) else 0][0]
        place -= (n - way.choices[0][0]) * weight
        if n:
            first[way.line] = n
        if n < way.units:
            second[way.line] = way.units - n
    for k, taken in zip(pair, (first, second), strict=True):
        if taken:
            changed[k] = dict(sorted(taken.items()))
    return dict(sorted(changed.items()))
