"""The exact shortcut for short orders: every sub-basket to its cheapest slot, then the best parts.

A state is a number of units of each line, written as one number in mixed radix, line 0 its highest
digit. First comes the cheapest parcel of every state: the slot that sends exactly these units for
least. Then the cheapest parcels that together make up a state, adding one kind of parcel after
another. README.md has the proof that this is a lower bound, and when it is the optimum.
"""

from typing import NamedTuple

import numpy as np

from routing.compiled import compiled
from routing.facts import reachable
from routing.grid import Grid, Ints

__all__ = ["partition", "within_nodes"]

SUMS_MAX = 1_500_000
"""Most sums of two states, of a nanosecond or two each; longer orders are left to the search."""

_INFINITE = 1 << 60


class Money(NamedTuple):
    """What parcels cost; the arrays of a `Grid`."""

    time_minor: Ints
    slot_minor: Ints
    """`[K]`: handling of a fulfillment and the split."""
    unit_minor: Ints
    step_starts: Ints
    step_grams: Ints
    step_minor: Ints
    weights_grams: Ints
    shortage_minor: int
    """Price of a unit left out, or more than anything where none may be."""


class States(NamedTuple):
    """What is to be parted."""

    most: Ints
    """`[K, I]`: units of the line the slot could take, at most those wanted."""
    wanted: Ints
    """`[I]`: units of the line that all nodes together can give, at most those ordered."""
    places: Ints
    """`[I]`: what one unit of the line adds to a state."""
    nodes: Ints
    """`[K]`, as in the grid."""


def partition(grid: Grid) -> tuple[Ints, int] | None:
    """The units `[K, I]` of a cheapest plan and its objective, where it is found and proven here.

    None for an order of too many states, and where the cheapest parts take more of a node than it
    has or make a line wait longer than they were charged for.
    """
    if not len(grid.nodes):
        return None
    wanted, most = reachable(grid.units_max, grid.quantities, grid.nodes)
    ordered, found = int(grid.quantities.sum()), int(wanted.sum())
    nothing = np.zeros_like(most), ordered * grid.shortage_minor
    if grid.complete and found < ordered:
        return nothing
    money = Money(
        grid.time_minor,
        grid.slot_minor + grid.split_minor,
        grid.unit_minor,
        grid.step_starts,
        grid.step_grams,
        grid.step_minor,
        grid.weights_grams,
        _INFINITE if grid.complete else grid.shortage_minor,
    )
    proven, units, minor = _parted(money, most, wanted, grid.nodes, grid.split_minor)
    objective = int(minor) + (ordered - found) * grid.shortage_minor
    if not proven:
        return None
    return nothing if grid.complete and nothing[1] < objective else (units, objective)


@compiled
def _parted(
    money: Money, most: Ints, wanted: Ints, nodes: Ints, split_minor: int
) -> tuple[bool, Ints, int]:
    """Whether the cheapest parts are a plan, its units, and what it costs."""
    lines = len(wanted)
    places = np.empty(lines, np.int64)
    count = sums = 1
    for i in range(lines - 1, -1, -1):
        places[i] = count
        count *= wanted[i] + 1
        sums *= (wanted[i] + 1) * (wanted[i] + 2) // 2
        if sums > SUMS_MAX:
            return False, most, 0
    states = States(most, wanted, places, nodes)
    least, slot = _cheapest(money, states, count)
    total, part = _joined(states, least)
    units, parcels = _traced(states, slot, part)
    paid = total[count - 1] - (split_minor if parcels else 0)
    if parcels == 0 and split_minor > 0 and count > 1:
        return False, units, 0
    return (
        within_nodes(units, most, nodes) and _cost(money, units, split_minor, wanted) == paid,
        units,
        paid,
    )


@compiled
def _cheapest(money: Money, states: States, count: int) -> tuple[Ints, Ints]:
    """By state: the least that one parcel of exactly these units costs and the slot that sends it.

    The first of equal slots; -1 for a single unit that is left out.
    """
    least = np.full(count, _INFINITE, np.int64)
    slot = np.full(count, -1, np.int64)
    for k in range(len(states.nodes)):
        _offer(money, states, k, least, slot)
    for i in range(len(states.wanted)):
        one = states.places[i]
        if states.wanted[i] and money.shortage_minor < least[one]:
            least[one], slot[one] = money.shortage_minor, -1
    return least, slot


@compiled
def _offer(money: Money, states: States, k: int, least: Ints, slot: Ints) -> None:
    """Price every parcel that slot `k` could send.

    A line waits for its last unit; each unit is charged its share, rounded down.
    """
    most, wanted = states.most[k], states.wanted
    held = np.flatnonzero(most)
    digits = np.zeros(len(held), np.int64)
    first = money.step_starts[k]
    state, weight, step, price = 0, 0, first, money.slot_minor[k]
    while True:
        place = len(held) - 1
        while place >= 0 and digits[place] == most[held[place]]:
            i, units = held[place], digits[place]
            state -= units * states.places[i]
            weight -= units * money.weights_grams[i]
            price -= units * money.unit_minor[k] + money.time_minor[k, i] * units // wanted[i]
            digits[place], step = 0, first
            place -= 1
        if place < 0:
            break
        i, units = held[place], digits[place]
        digits[place] += 1
        state += states.places[i]
        weight += money.weights_grams[i]
        waits = money.time_minor[k, i]
        price += money.unit_minor[k] + waits * (units + 1) // wanted[i] - waits * units // wanted[i]
        while money.step_grams[step] < weight:
            step += 1
        if price + money.step_minor[step] < least[state]:
            least[state], slot[state] = price + money.step_minor[step], k


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
        if price == _INFINITE or total[state] < price or price + lowest >= ceiling:
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
    offsets[0], count, left = 0, 1, state
    first = 0
    while states.places[first] > state or not states.wanted[first]:
        first += 1
    for i in range(len(states.wanted) - 1, first - 1, -1):
        place, radix = states.places[i], states.wanted[i] + 1
        digit = left % radix
        left //= radix
        before = count
        for units in range(1, states.wanted[i] - digit + 1):
            for place_before in range(before):
                offsets[count] = offsets[place_before] + units * place
                count += 1
    return count


@compiled
def _traced(states: States, slot: Ints, part: Ints) -> tuple[Ints, int]:
    """The units `[K, I]` of the parcels that make up the last state, and how many parcels."""
    units = np.zeros_like(states.most)
    parcels, state = 0, len(part) - 1
    while state > 0:
        taken = part[state]
        state -= taken
        k = slot[taken]
        if k >= 0:
            parcels += 1
            for i in range(len(states.wanted)):
                units[k, i] += taken // states.places[i] % (states.wanted[i] + 1)
    return units, parcels


@compiled
def within_nodes(units: Ints, most: Ints, nodes: Ints) -> bool:
    """Whether units `[K, I]` take no more of a line from a slot, or a node, than it could give."""
    slots, lines = units.shape
    for i in range(lines):
        taken = has = 0
        for k in range(slots):
            if k and nodes[k] != nodes[k - 1]:
                taken = has = 0
            taken += units[k, i]
            has = max(has, most[k, i])
            if taken > has or units[k, i] > most[k, i]:
                # Slots of a node are in order of their start: nothing more is there by then.
                return False
    return True


@compiled
def _cost(money: Money, units: Ints, split_minor: int, wanted: Ints) -> int:
    """What the units cost as they are, with the price of those left out."""
    total, opened = 0, 0
    waits = np.zeros(len(wanted), np.int64)
    for k in range(len(units)):
        count = weight = 0
        for i in range(len(wanted)):
            if units[k, i]:
                count += units[k, i]
                weight += units[k, i] * money.weights_grams[i]
                waits[i] = max(waits[i], money.time_minor[k, i])
        if count:
            step = money.step_starts[k]
            while money.step_grams[step] < weight:
                step += 1
            total += money.step_minor[step] + money.slot_minor[k] + money.unit_minor[k] * count
            opened = 1
    short = (wanted.sum() - units.sum()) * money.shortage_minor
    return int(total + waits.sum() + short - opened * split_minor)
