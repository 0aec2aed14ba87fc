"""Good plans quickly: what rules would do."""

import msgspec

from routing.assemble import assemble, objective_minor
from routing.candidates import candidates
from routing.cost import shortage_minor, split_minor
from routing.facts import facts
from routing.goals import within_goals
from routing.grid import assignment, grid
from routing.instance import Assignment, Instance
from routing.plan import Plan
from routing.problem import Problem
from routing.rules import quickest


class Index(msgspec.Struct, frozen=True):
    """Which limits each slot and (slot, line) pair counts against."""

    unit_limits: dict[tuple[int, int], tuple[tuple[int, int], ...]]
    """With what one unit counts."""
    open_limits: dict[int, tuple[int, ...]]


def index(instance: Instance) -> Index:
    """Turn the limits of an instance around, from pairs to the limits they count against."""
    units: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for number, limit in enumerate(instance.unit_limits):
        for k, i, count in limit.terms:
            units.setdefault((k, i), []).append((number, count))
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
        self._nodes: list[set[str]] = [set() for _ in instance.lines]

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
            more = self._nodes_left(k, i)
            if more < 1 or (more == 1 and units < self.wanted[i]):
                # The last node that may share a line takes all that is left of it or none.
                continue
            numbers = limits.get((k, i), ())
            for number, count in numbers:
                units = min(units, (self._room[number] - used.get(number, 0)) // count)
            if units > 0:
                found[i] = units
                for number, count in numbers:
                    used[number] = used.get(number, 0) + count * units
        if self.instance.policy.goals and found:
            return found if within_goals(self.instance, {**self.units, k: found}) else {}
        return found

    def _nodes_left(self, k: int, i: int) -> int:
        """How many nodes may share the line, that of the slot included, beside those that do."""
        most = self.instance.policy.nodes_per_line_max
        others = self._nodes[i] - {self.instance.slots[k].node.node_id}
        return len(self.instance.slots) + 1 if most is None else most - len(others)

    def shortage_minor(self, taken: dict[int, int]) -> int:
        """What it would cost to leave `taken` out."""
        lines = self.instance.lines
        units = sum(lines[i].short * units for i, units in taken.items())
        return shortage_minor(self.instance.policy, units)

    def price_minor(self, k: int, taken: dict[int, int]) -> int:
        """What opening `k` for `taken` adds to the objective, its shortage aside."""
        instance = self.instance
        weight = sum(instance.lines[i].priced_grams * u for i, u in taken.items())
        slot, time, each = instance.slots[k], instance.time_minor[k], instance.unit_minor[k]
        opened = len(self.units)
        return (
            slot.steps.price_minor(weight)
            + instance.opening_minor[k]
            + sum(each[i] * units for i, units in taken.items())
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
            self._nodes[i].add(self.instance.slots[k].node.node_id)
            for number, count in self._index.unit_limits.get((k, i), ()):
                self._room[number] -= count * units

    def finished(self) -> Assignment:
        """The assignment, or nothing when the order must be complete and is not."""
        if self.instance.policy.ship_complete and any(self.wanted):
            return {}
        return self.units


def coupled(instance: Instance) -> bool:
    """Whether limits or goals couple slots or lines, which a grid knows nothing of."""
    few = instance.policy.nodes_per_line_max is not None
    return bool(instance.unit_limits or instance.open_limits or few or instance.policy.goals)


def quick(instance: Instance) -> Assignment:
    """The best of what simple rules find, or nothing at all where that is cheaper."""
    if not coupled(instance):
        known = grid(instance)
        return assignment(quickest(facts(known, 0), known.complete)[0])
    indexed = index(instance)
    plans = [_by_rule(instance, indexed, cheapest=cheapest) for cheapest in (True, False)]
    return min([*plans, {}], key=lambda units: objective_minor(instance, units))


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
                if instance.policy.ship_complete or price < draft.shortage_minor(taken):
                    first, second = (price / units, -units) if cheapest else (-units, price)
                    ranked.append((first, second, k, taken))
        if not ranked:
            break
        _, _, k, taken = min(ranked, key=lambda entry: entry[:3])
        draft.open(k, taken)
        closed.remove(k)
    return draft.finished()


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
