"""Sharing units between two opened slots finds the cheapest way there is."""

from itertools import product

from routing.assemble import objective_minor
from routing.candidates import candidates
from routing.greedy import filled
from routing.instance import Assignment, Instance, restrict
from routing.pack import coupled, packed, shared
from tests.routing.random_problems import random_problem


def every_sharing(instance: Instance, units: Assignment) -> int:
    """The least objective over all ways to share the units of slots 0 and 1 between them."""
    total = {i: sum(t.get(i, 0) for t in units.values()) for t in units.values() for i in t}
    lines = sorted(total)
    least = objective_minor(instance, units)
    for numbers in product(*(range(total[i] + 1) for i in lines)):
        first = {i: n for i, n in zip(lines, numbers, strict=True) if n}
        second = {i: total[i] - first.get(i, 0) for i in lines if total[i] > first.get(i, 0)}
        fits = all(
            taken.get(i, 0) <= instance.units_max[k][i]
            for k, taken in ((0, first), (1, second))
            for i in lines
        )
        if fits:
            shares = {k: taken for k, taken in ((0, first), (1, second)) if taken}
            least = min(least, objective_minor(instance, shares))
    return least


def test_two_slots_share_their_units_at_the_least_price() -> None:
    """With odd tariffs, days that differ by line, and lines of several units."""
    compared = 0
    for seed in range(12_000, 13_600):
        instance = candidates(random_problem(seed), prune=False)
        for first in range(0, len(instance.slots) - 1, 2):
            pair = restrict(instance, (first, first + 1))
            units = filled(pair)
            if coupled(pair) or not units:
                continue
            compared += 1

            found, all_tried = packed(pair, units)

            assert all_tried
            assert objective_minor(pair, found) == every_sharing(pair, units), seed
    assert compared > 500


def test_sharing_keeps_every_unit_and_what_slots_can_take() -> None:
    """The other slots keep theirs, and no unit is lost or made."""
    for seed in range(13_600, 13_800):
        instance = candidates(random_problem(seed), prune=False)
        units = filled(instance)
        if coupled(instance) or len(units) < 2:
            continue
        one, other, *rest = sorted(units)

        found = shared(instance, units, one, other)

        assert found is not None
        assert all(found[k] == units[k] for k in rest)
        for i in range(len(instance.lines)):
            taken = [sum(t.get(i, 0) for t in each.values()) for each in (units, found)]
            assert taken[0] == taken[1]
            assert all(t.get(i, 0) <= instance.units_max[k][i] for k, t in found.items())
