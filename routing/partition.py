"""The exact shortcut for short orders: every sub-basket to its cheapest slot, then the best parts.

A state is a number of units of each line, written as one number in mixed radix, line 0 its highest
digit. First comes the cheapest parcel of every state: the slot that sends exactly these units for
least. Then the cheapest parcels that together make up a state, adding one kind of parcel after
another. README.md has the proof that this is a lower bound, and when it is the optimum; where it is
not, `untangle.py` goes on from it.
"""

import math

import msgspec
import numpy as np

from routing.clock import reading_s
from routing.compiled import compiled
from routing.facts import facts, reachable
from routing.grid import Grid, Ints
from routing.rules import quickest
from routing.untangle import Money, States, cost, parcels, untangled, within_nodes

__all__ = [
    "COLLIDE",
    "PROVEN",
    "SUMS_MAX",
    "TOO_LONG",
    "UNPAYABLE",
    "Parted",
    "parting",
    "partition",
]

SUMS_MAX = 1_500_000
"""Most sums of two states, of a nanosecond or two each; longer orders are left to the search."""

GRACE_S = 0.003
"""Beyond the deadline, for sets of parcels: most end soon, with a plan that is proven."""

UNPAYABLE = 1 << 60
"""Price of a unit that may not be left out."""

PROVEN, COLLIDE, TOO_LONG = range(3)
"""What became of parting an order."""


class Parted(msgspec.Struct, frozen=True, eq=False):
    """A plan that is proven to be cheapest."""

    units: Ints
    """`[K, I]`"""
    objective_minor: int
    found_by: str


def partition(grid: Grid, deadline: float = math.inf) -> Parted | None:
    """A cheapest plan of a grid, none for an order of too many states or sets of parcels.

    None either where the sets take longer than until `deadline`, a reading of `time.perf_counter`.
    No slots have limits in common but those of one node, which share its stock.
    """
    money = Money(
        grid.time_minor,
        grid.slot_minor + grid.split_minor,
        grid.unit_minor,
        grid.step_starts,
        grid.step_grams,
        grid.step_minor,
        grid.weights_grams,
        grid.split_minor,
        np.full_like(grid.shortage_minor, UNPAYABLE) if grid.complete else grid.shortage_minor,
    )
    outcome, units, minor, states, total = parting(
        money, grid.units_max, grid.quantities, (grid.nodes, grid.nodes_max), grid.shortage_minor
    )
    if outcome == PROVEN:
        return Parted(units, int(minor), "partition")
    if outcome == TOO_LONG:
        return None
    missing = int(grid.shortage_minor @ (grid.quantities - states.wanted))
    until = reading_s(deadline) + GRACE_S
    return _untangled(grid, money, (states, total), missing, until)


@compiled
def parting(
    money: Money,
    units_max: Ints,
    quantities: Ints,
    by_node: tuple[Ints, int],
    shortage_minor: Ints,
) -> tuple[int, Ints, int, States, Ints]:
    """The cheapest parts of an order: `PROVEN` with the plan they are and its objective.

    `COLLIDE` where they are no plan, with the states and the least by state; `TOO_LONG` where there
    are too many states to look at. `by_node` are the node of each slot and the most nodes that may
    share a line, `shortage_minor` the prices of units that nobody has.
    """
    nodes, nodes_max = by_node
    wanted, most = reachable(units_max, quantities, nodes, nodes_max)
    ordered, found = quantities.sum(), wanted.sum()
    complete = money.shortage_minor[0] == UNPAYABLE
    nothing = (quantities * shortage_minor).sum()
    places = np.ones_like(wanted)
    states = States(most, wanted, places, nodes)
    none = np.zeros_like(most)
    if found == 0 or (complete and found < ordered):
        return PROVEN, none, nothing, states, wanted
    sums = 1
    for i in range(len(wanted) - 1, -1, -1):
        if i < len(wanted) - 1:
            places[i] = places[i + 1] * (wanted[i + 1] + 1)
        sums *= (wanted[i] + 1) * (wanted[i] + 2) // 2
        if sums > SUMS_MAX:
            return TOO_LONG, none, nothing, states, wanted
    settled, units, minor, total = _parted(money, states)
    if not settled:
        return COLLIDE, none, nothing, states, total
    if complete and nothing < minor:
        return PROVEN, none, nothing, states, total
    missing = ((quantities - wanted) * shortage_minor).sum()
    return PROVEN, units, minor + missing, states, total


def _untangled(
    grid: Grid, money: Money, parted: tuple[States, Ints], missing: int, until: float
) -> Parted | None:
    states, total = parted
    units, objective = quickest(facts(grid, 0), grid.complete)
    if not within_nodes(units, states.most, states.nodes):
        units = np.zeros_like(states.most)
        objective = int(grid.quantities @ grid.shortage_minor)
    ended, better, minor = untangled(money, states, total, int(objective) - missing, until)
    if not ended:
        return None
    if int(minor) + missing < int(objective):
        return Parted(better, int(minor) + missing, "partition")
    return Parted(units, int(objective), "greedy")


@compiled
def _parted(money: Money, states: States) -> tuple[bool, Ints, int, Ints]:
    """Whether the cheapest parts are a plan, its units, what it costs, and the least by state."""
    least, slot = _cheapest(money, states)
    total, part = _joined(states, least)
    units, sent = _traced(states, slot, part)
    paid = total[len(total) - 1] - (money.split_minor if sent else 0)
    settled = (
        (sent > 0 or money.split_minor == 0 or len(total) == 1)
        and within_nodes(units, states.most, states.nodes)
        and cost(money, states.wanted, units) == paid
    )
    return settled, units, paid, total


@compiled
def _cheapest(money: Money, states: States) -> tuple[Ints, Ints]:
    """By state: the least that one parcel of exactly these units costs and the slot that sends it.

    The first of equal slots; -1 for a single unit that is left out.
    """
    count = np.prod(states.wanted + 1)
    least = np.full(count, UNPAYABLE, np.int64)
    slot = np.full(count, -1, np.int64)
    for k in range(len(states.nodes)):
        found, prices = parcels(money, states, k, states.most[k])
        for n in range(len(found)):
            if prices[n] < least[found[n]]:
                least[found[n]], slot[found[n]] = prices[n], k
    for i in range(len(states.wanted)):
        one = states.places[i]
        if states.wanted[i] and money.shortage_minor[i] < least[one]:
            least[one], slot[one] = money.shortage_minor[i], -1
    return least, slot


@compiled
def _joined(states: States, least: Ints) -> tuple[Ints, Ints]:
    """By state: the least that parcels cost which make it up, and the last of them.

    A state that one parcel can make up stays whole unless parting it is strictly cheaper. Parcels
    are added in ascending order, so every set of them is met in the order of its own.
    """
    count = len(least)
    total, part = least.copy(), np.arange(count)
    total[0] = 0
    ceiling, lowest = least[count - 1], least[1:].min() if count > 1 else 0
    offsets = np.empty(count, np.int64)
    for state in range(1, count - 1):
        price = least[state]
        if price == UNPAYABLE or total[state] < price or price + lowest >= ceiling:
            continue
        for rest in range(1, _rests(states, state, offsets)):
            other = offsets[rest]
            if total[other] + price < total[other + state]:
                total[other + state] = total[other] + price
                part[other + state] = state
    return total, part


@compiled
def _rests(states: States, state: int, offsets: Ints) -> int:
    """Fill `offsets` with the states that can join `state`, ascending; return how many.

    Only lines from the first of `state` on: what has units of an earlier line is made up by
    parcels that have, and those come later.
    """
    offsets[0], count, left, first = 0, 1, state, 0
    while states.places[first] > state or not states.wanted[first]:
        first += 1
    for i in range(len(states.wanted) - 1, first - 1, -1):
        radix = states.wanted[i] + 1
        digit = left % radix
        left //= radix
        before = count
        for units in range(1, radix - digit):
            for smaller in range(before):
                offsets[count] = offsets[smaller] + units * states.places[i]
                count += 1
    return count


@compiled
def _traced(states: States, slot: Ints, part: Ints) -> tuple[Ints, int]:
    """The units `[K, I]` of the parcels that make up the last state, and how many are sent."""
    units = np.zeros_like(states.most)
    sent, state = 0, len(part) - 1
    while state > 0:
        taken = part[state]
        state -= taken
        if slot[taken] >= 0:
            sent += 1
            units[slot[taken]] += taken // states.places % (states.wanted + 1)
    return units, sent
