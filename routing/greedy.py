"""Good plans quickly: what rules would do, and a local search over which slots to open.

Everything here is deterministic and bounded by counts of evaluations, never by a clock.
"""

from collections.abc import Iterable

import msgspec
import numpy as np

from routing.assemble import assemble, objective_minor
from routing.candidates import candidates
from routing.cost import handling_minor, shortage_minor, split_minor
from routing.instance import Assignment, Instance
from routing.plan import Plan
from routing.problem import Problem

EVALUATIONS_MAX = 600
"""Plans tried by the local search of one order."""

LINES_TRIED_MAX = 12_000
"""Lines in all plans tried, so that long orders try fewer."""


class Index(msgspec.Struct, frozen=True):
    """Which limits each slot and (slot, line) pair counts against."""

    unit_limits: dict[tuple[int, int], tuple[int, ...]]
    open_limits: dict[int, tuple[int, ...]]


def index(instance: Instance) -> Index:
    """Turn the limits of an instance around, from pairs to the limits they count against."""
    units: dict[tuple[int, int], list[int]] = {}
    for number, limit in enumerate(instance.unit_limits):
        for pair in limit.pairs:
            units.setdefault(pair, []).append(number)
    opens: dict[int, list[int]] = {}
    for number, most in enumerate(instance.open_limits):
        for k in most.slots:
            opens.setdefault(k, []).append(number)
    return Index(
        {pair: tuple(numbers) for pair, numbers in units.items()},
        {k: tuple(numbers) for k, numbers in opens.items()},
    )


class Draft:
    """A plan being filled: what is still wanted and what every limit still allows."""

    def __init__(self, instance: Instance, indexed: Index) -> None:
        self.instance = instance
        self.units: Assignment = {}
        self.wanted = [line.quantity for line in instance.lines]
        self._index = indexed
        self._room = [limit.units_max for limit in instance.unit_limits]
        self._openings = [limit.slots_max for limit in instance.open_limits]
        self._time = [0] * len(instance.lines)

    def takes(self, k: int) -> dict[int, int]:
        """The units of each line that slot `k` could take now, in line order."""
        if any(self._openings[limit] < 1 for limit in self._index.open_limits.get(k, ())):
            return {}
        limits = self._index.unit_limits
        used: dict[int, int] = {}
        found: dict[int, int] = {}
        for i, most in enumerate(self.instance.units_max[k]):
            units = min(most, self.wanted[i])
            if units < 1:
                continue
            numbers = limits.get((k, i), ())
            for number in numbers:
                units = min(units, self._room[number] - used.get(number, 0))
            if units > 0:
                found[i] = units
                for number in numbers:
                    used[number] = used.get(number, 0) + units
        return found

    def price_minor(self, k: int, taken: dict[int, int]) -> int:
        """What opening `k` for `taken` adds to the objective, its shortage aside."""
        instance = self.instance
        weight = sum(instance.lines[i].weight_grams * u for i, u in taken.items())
        slot, time = instance.slots[k], instance.time_minor[k]
        opened = len(self.units)
        return (
            slot.steps.price_minor(weight)
            + handling_minor(slot.node, sum(taken.values()))
            + split_minor(instance.policy, opened + 1)
            - split_minor(instance.policy, opened)
            + sum(max(0, time[i] - self._time[i]) for i in taken)
        )

    def open(self, k: int, taken: dict[int, int]) -> None:
        """Take `taken`, an answer of `takes(k)`, for a slot not yet opened."""
        self.units[k] = taken
        for limit in self._index.open_limits.get(k, ()):
            self._openings[limit] -= 1
        for i, units in taken.items():
            self.wanted[i] -= units
            self._time[i] = max(self._time[i], self.instance.time_minor[k][i])
            for number in self._index.unit_limits.get((k, i), ()):
                self._room[number] -= units

    def finished(self) -> Assignment:
        """The assignment, or nothing when the order must be complete and is not."""
        if self.instance.policy.ship_complete and any(self.wanted):
            return {}
        return self.units


def quick(instance: Instance) -> Assignment:
    """The best of what simple rules find, or nothing at all where that is cheaper."""
    if instance.unit_limits or instance.open_limits or not instance.slots:
        indexed = index(instance)
        plans = [_by_rule(instance, indexed, cheapest=cheapest) for cheapest in (True, False)]
    else:
        plans = [_by_rule_alone(instance, cheapest=cheapest) for cheapest in (True, False)]
    return min([*plans, {}], key=lambda units: objective_minor(instance, units))


def greedy(instance: Instance) -> Assignment:
    """A feasible assignment: the best of several rules, improved by local search."""
    return polished(instance, quick(instance))


def polished(instance: Instance, best: Assignment) -> Assignment:
    """A feasible assignment improved by local search: other slots, then lines elsewhere."""
    if len(instance.slots) == 1:
        return best
    indexed = index(instance)
    return _exchange(instance, indexed, _search(instance, indexed, best))


def filled(instance: Instance) -> Assignment:
    """A plan that opens every slot that finds units, the cheapest per unit first."""
    return _fill(instance, index(instance), range(len(instance.slots)))


def moved(instance: Instance, units: Assignment) -> Assignment:
    """An assignment with lines moved between its slots while that lowers the objective."""
    return _exchange(instance, index(instance), units)


def _by_rule(instance: Instance, indexed: Index, *, cheapest: bool) -> Assignment:
    """Open the slot that is best per unit, or that takes most units, until nothing is wanted."""
    draft = Draft(instance, indexed)
    closed = list(range(len(instance.slots)))
    while closed and any(draft.wanted):
        ranked: list[tuple[float, float, int, dict[int, int]]] = []
        for k in closed:
            taken = draft.takes(k)
            if taken:
                units = sum(taken.values())
                price = draft.price_minor(k, taken)
                worth = instance.policy.ship_complete or price < shortage_minor(
                    instance.policy, units
                )
                if worth:
                    first, second = (price / units, -units) if cheapest else (-units, price)
                    ranked.append((first, second, k, taken))
        if not ranked:
            break
        _, _, k, taken = min(ranked, key=lambda entry: entry[:3])
        draft.open(k, taken)
        closed.remove(k)
    return draft.finished()


def _by_rule_alone(instance: Instance, *, cheapest: bool) -> Assignment:
    """The same plan as `_by_rule` where no limits couple slots, for all slots at once."""
    policy, slots = instance.policy, instance.slots
    most = np.array(instance.units_max, np.int64).reshape(len(slots), len(instance.lines))
    time = np.array(instance.time_minor, np.int64).reshape(most.shape)
    grams = np.array([line.weight_grams for line in instance.lines], np.int64)
    opening = np.array([handling_minor(slot.node, 0) for slot in slots], np.int64)
    handling = np.array([handling_minor(slot.node, 1) for slot in slots], np.int64) - opening
    wanted = np.array([line.quantity for line in instance.lines], np.int64)
    waited = np.zeros(len(wanted), np.int64)
    units: Assignment = {}
    while wanted.any():
        takes = np.minimum(most, wanted)
        counts = takes.sum(axis=1)
        loads = (takes @ grams).tolist()
        parcels = [slot.steps.price_minor(load) for slot, load in zip(slots, loads, strict=True)]
        split = split_minor(policy, len(units) + 1) - split_minor(policy, len(units))
        longer = np.where(takes > 0, np.maximum(time - waited, 0), 0).sum(axis=1)
        prices = np.array(parcels, np.int64) + opening + handling * counts + split + longer
        worth = (counts > 0) & (policy.ship_complete | (prices < policy.shortage_minor * counts))
        able = np.flatnonzero(worth)
        if not len(able):
            break
        counted, paid = counts[able], prices[able]
        order = (-counted, paid / counted) if cheapest else (paid, -counted)
        k = int(able[np.lexsort((able, *order))[0]])
        units[k] = {i: n for i, n in enumerate(takes[k].tolist()) if n}
        waited = np.where(takes[k] > 0, np.maximum(waited, time[k]), waited)
        wanted = wanted - takes[k]
        most[k] = 0
    return {} if policy.ship_complete and wanted.any() else units


def _fill(instance: Instance, indexed: Index, slots: Iterable[int]) -> Assignment:
    """Open exactly these slots as far as they find units, the cheapest per unit first."""
    draft = Draft(instance, indexed)
    ranked = []
    for k in slots:
        taken = draft.takes(k)
        if taken:
            time = sum(instance.time_minor[k][i] for i in taken)
            per_unit = instance.slots[k].node.handling_unit_minor + time / sum(taken.values())
            ranked.append((per_unit, k))
    for _, k in sorted(ranked):
        taken = draft.takes(k)
        if taken:
            draft.open(k, taken)
    return draft.finished()


def _budget(instance: Instance) -> int:
    return min(EVALUATIONS_MAX, LINES_TRIED_MAX // len(instance.lines))


def _search(instance: Instance, indexed: Index, best: Assignment) -> Assignment:
    """Drop, add or swap one slot at a time while that lowers the objective."""
    price = objective_minor(instance, best)
    budget = _budget(instance)
    improved = True
    while improved and budget > 0:
        improved = False
        for slots in _neighbors(frozenset(best), len(instance.slots)):
            budget -= 1
            if budget < 0:
                break
            units = _fill(instance, indexed, sorted(slots))
            found = objective_minor(instance, units)
            if found < price:
                best, price, improved = units, found, True
                break
    return best


def _neighbors(opened: frozenset[int], slots: int) -> Iterable[frozenset[int]]:
    yield opened
    for k in sorted(opened):
        yield opened - {k}
    others = [k for k in range(slots) if k not in opened]
    for k in others:
        yield opened | {k}
    for k in others:
        for out in sorted(opened):
            yield (opened - {out}) | {k}


def _exchange(instance: Instance, indexed: Index, best: Assignment) -> Assignment:
    """Move one line's units from one opened slot to another while that lowers the objective."""
    price = objective_minor(instance, best)
    budget = _budget(instance)
    improved = True
    while improved and budget > 0:
        improved = False
        for source in sorted(best):
            for i in sorted(best[source]):
                for target in sorted(best):
                    budget -= 1
                    moved = _moved(instance, indexed, best, (source, i, target))
                    if budget > 0 and moved is not None:
                        found = objective_minor(instance, moved)
                        if found < price:
                            best, price, improved = moved, found, True
                            break
                if improved:
                    break
            if improved:
                break
    return best


def _moved(
    instance: Instance, indexed: Index, units: Assignment, move: tuple[int, int, int]
) -> Assignment | None:
    """The assignment with all units of a line moved between slots, none where limits forbid."""
    source, i, target = move
    moving = units[source][i]
    room = instance.units_max[target][i] - units[target].get(i, 0)
    if source == target or moving > room:
        return None
    changed = {k: dict(taken) for k, taken in units.items()}
    del changed[source][i]
    if not changed[source]:
        del changed[source]
    changed[target][i] = changed[target].get(i, 0) + moving
    for number in indexed.unit_limits.get((target, i), ()):
        limit = instance.unit_limits[number]
        if sum(changed.get(k, {}).get(line, 0) for k, line in limit.pairs) > limit.units_max:
            return None
    return changed


def single_then_greedy(problem: Problem) -> Plan:
    """What rule engines do: the cheapest single fulfillment that has everything, else most lines.

    The baseline the optimizer is compared with; its plan is feasible and claims no bound. Raises
    `ProblemError` as `candidates` does.
    """
    instance = candidates(problem, prune=False)
    draft = Draft(instance, index(instance))
    closed = list(range(len(instance.slots)))
    while closed and any(draft.wanted):
        ranked = []
        for k in closed:
            taken = draft.takes(k)
            if taken:
                ranked.append((-len(taken), -sum(taken.values()), draft.price_minor(k, taken), k))
        if not ranked:
            break
        k = min(ranked)[-1]
        draft.open(k, draft.takes(k))
        closed.remove(k)
    return assemble(instance, draft.finished(), bound_minor=0, found_by="single-then-greedy")
