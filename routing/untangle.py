"""The cheapest parcels of a short order where the cheapest parts alone collide.

Parts collide when two of them want the same few units of a slot, or when a line that is split waits
longer than its parts were charged for. Here parcels are added one after another, each from a slot
that has none yet and each with a unit of the first line still wanted, always to the set of parcels
that promises least: what it costs plus what parting the rest costs at least.
"""

import heapq
from typing import NamedTuple

import numpy as np

from routing.clock import now_s
from routing.compiled import compiled
from routing.grid import Ints

__all__ = ["Money", "States", "cost", "untangled", "within_nodes"]

PARCELS_MAX = 30_000
"""Most parcels put into any set; what needs more is left to the search."""

PRICED_MAX = 400_000
"""Most parcels priced, some nanoseconds each, for the same reason."""


class Money(NamedTuple):
    """What parcels cost; the arrays of a `Grid`."""

    time_minor: Ints
    slot_minor: Ints
    """`[K]`: price of a fulfillment, parcels aside, and the split."""
    unit_minor: Ints
    step_starts: Ints
    step_grams: Ints
    step_minor: Ints
    weights_grams: Ints
    split_minor: int
    shortage_minor: Ints
    """`[I]`: price of a unit left out, or more than anything where none may be."""


class States(NamedTuple):
    """What is to be parted; a state is a number of units of each line, as one number."""

    most: Ints
    """`[K, I]`: units of the line the slot could take, at most those wanted."""
    wanted: Ints
    """`[I]`: units of the line that all nodes together can give, at most those ordered."""
    places: Ints
    """`[I]`: what one unit of the line adds to a state."""
    nodes: Ints
    """`[K]`, as in the grid."""


class Sets(NamedTuple):
    """Sets of parcels, each a set before it and one parcel more."""

    before: Ints
    slot: Ints
    """Of the parcel added; -1 for a unit left out."""
    rest: Ints
    """The state that is still wanted."""
    paid: Ints
    """What the parcels cost, each line charged by units for its waiting."""
    priced: Ints
    """`[1]`: how many parcels were looked at so far."""


@compiled
def untangled(
    money: Money, states: States, total: Ints, limit: int, until: float
) -> tuple[bool, Ints, int]:
    """Whether the search came to its end, the cheapest plan below `limit`, and what it costs.

    `total` is by state the least that parts of it cost; `until`, a reading of `now_s`, is when the
    search is given up. Without such a plan the units are none and
    the cost is `limit`.
    """
    room = PARCELS_MAX + 1
    before, slot = np.full(room, -1, np.int64), np.full(room, -1, np.int64)
    rest, paid = np.empty(room, np.int64), np.empty(room, np.int64)
    sets = Sets(before, slot, rest, paid, np.zeros(1, np.int64))
    sets.rest[0], sets.paid[0] = len(total) - 1, 0
    best = np.zeros_like(states.most)
    count = 1
    waiting = [(total[len(total) - 1], np.int64(0))]
    while len(waiting) > 0:
        least, number = heapq.heappop(waiting)
        if least >= limit + money.split_minor:
            break
        if sets.rest[number] == 0:
            units = _units(states, sets, int(number))
            found = cost(money, states.wanted, units)
            if found < limit and within_nodes(units, states.most, states.nodes):
                best, limit = units, found
            continue
        fresh = count
        count = _followed(money, states, sets, (int(number), count), (total, limit))
        if count == room or sets.priced[0] > PRICED_MAX or (until < np.inf and now_s() > until):
            return False, best, limit
        for new in range(fresh, count):
            heapq.heappush(waiting, (sets.paid[new] + total[sets.rest[new]], np.int64(new)))
    return True, best, limit


@compiled
def _followed(
    money: Money, states: States, sets: Sets, at: tuple[int, int], known: tuple[Ints, int]
) -> int:
    """Put down every set with one parcel more that may lead below the limit; how many there are."""
    number, count = at
    total, limit = known
    rest = sets.rest[number]
    closed = np.ones(len(states.nodes), np.bool_)
    link = number
    while link >= 0:
        if sets.slot[link] >= 0:
            closed[sets.slot[link]] = False
        link = sets.before[link]
    have = rest // states.places % (states.wanted + 1)
    first = 0
    while have[first] == 0:
        first += 1
    one = states.places[first]
    for k in range(-1, len(states.nodes)):
        if k < 0:
            taken, prices = np.array([one]), np.array([money.shortage_minor[first]])
        elif closed[k] and states.most[k, first]:
            taken, prices = parcels(money, states, k, np.minimum(states.most[k], have))
        else:
            continue
        sets.priced[0] += len(taken)
        for n in range(len(taken)):
            left, paid = rest - taken[n], sets.paid[number] + prices[n]
            promising = taken[n] >= one and paid + total[left] < limit + money.split_minor
            if promising and count < len(sets.rest):
                sets.before[count], sets.slot[count] = number, k
                sets.rest[count], sets.paid[count] = left, paid
                count += 1
    return count


@compiled
def parcels(money: Money, states: States, k: int, most: Ints) -> tuple[Ints, Ints]:
    """Every parcel that slot `k` could send of at most these units, and its price.

    A line waits for its last unit; each unit is charged its share, rounded down.
    """
    held = np.flatnonzero(most)
    digits = np.zeros(len(held), np.int64)
    count = np.prod(most + 1) - 1
    found, prices = np.empty(count, np.int64), np.empty(count, np.int64)
    first = money.step_starts[k]
    state, weight, step, price = 0, 0, first, money.slot_minor[k]
    for n in range(count):
        place = len(held) - 1
        while digits[place] == most[held[place]]:
            i, units = held[place], digits[place]
            state -= units * states.places[i]
            weight -= units * money.weights_grams[i]
            price -= units * money.unit_minor[k, i]
            price -= money.time_minor[k, i] * units // states.wanted[i]
            digits[place], step = 0, first
            place -= 1
        i, units = held[place], digits[place]
        digits[place] += 1
        state += states.places[i]
        weight += money.weights_grams[i]
        waits, wanted = money.time_minor[k, i], states.wanted[i]
        price += money.unit_minor[k, i]
        price += waits * (units + 1) // wanted - waits * units // wanted
        while money.step_grams[step] < weight:
            step += 1
        found[n], prices[n] = state, price + money.step_minor[step]
    return found, prices


@compiled
def _units(states: States, sets: Sets, number: int) -> Ints:
    """The units `[K, I]` of a set of parcels."""
    units = np.zeros_like(states.most)
    while sets.before[number] >= 0:
        before = sets.before[number]
        if sets.slot[number] >= 0:
            taken = sets.rest[before] - sets.rest[number]
            units[sets.slot[number]] += taken // states.places % (states.wanted + 1)
        number = before
    return units


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
def cost(money: Money, wanted: Ints, units: Ints) -> int:
    """What units `[K, I]` cost as they are, with the price of those left out."""
    total, opened = 0, 0
    waits = np.zeros(len(wanted), np.int64)
    for k in range(len(units)):
        count = weight = 0
        for i in range(len(wanted)):
            if units[k, i]:
                count += units[k, i]
                weight += units[k, i] * money.weights_grams[i]
                waits[i] = max(waits[i], money.time_minor[k, i])
                total += units[k, i] * money.unit_minor[k, i]
        if count:
            step = money.step_starts[k]
            while money.step_grams[step] < weight:
                step += 1
            total += money.step_minor[step] + money.slot_minor[k]
            opened = 1
    short = ((wanted - units.sum(axis=0)) * money.shortage_minor).sum()
    return int(total + waits.sum() + short - opened * money.split_minor)
