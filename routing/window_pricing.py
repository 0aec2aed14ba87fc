"""The cheapest whole-order plan of few parcels at given prices of stock and capacity, compiled.

A state is a number of units of each line, in mixed radix. First comes the cheapest parcel of every
state, then the cheapest two, three … parcels that make up a state, until no more are allowed or
more do not help. It is what `partition.py` does, with a count of parcels and without its remedies:
where the parts are no plan their sum is still a lower bound, and there is no plan.
"""

import heapq
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np

from routing.compiled import compiled
from routing.grid import Ints

__all__ = ["NEVER", "SUMS_MAX", "Answer", "Choices", "cost_of", "priced", "sums"]

SUMS_MAX = 400_000
"""Most sums of two states for an order to be looked at, some nanoseconds each and time of asking."""

PARTS_MAX = 200
"""Most parts of an order looked at where its cheapest parcels collide."""

NEVER = 1 << 60
"""Price of what cannot be."""


class Choices(NamedTuple):
    """Everything an order could do: K slots, I lines, T price steps of all slots."""

    most: Ints
    """`[K, I]`: units of the line that the slot could take."""
    there: Ints
    """`[K, I]`: units of it that its node has for all its slots together."""
    time_minor: Ints
    """`[K, I]`: waiting price of the line when its last unit comes from the slot."""
    slot_minor: Ints
    """`[K]`: price of a fulfillment, its split included."""
    unit_minor: Ints
    """`[K, I]`: price of a unit."""
    step_starts: Ints
    """`[K + 1]`: the price steps of slot k are those from `step_starts[k]` on."""
    step_grams: Ints
    step_minor: Ints
    nodes: Ints
    """`[K]`: slots of one node, which share its stock, have the same number; ascending."""
    wanted: Ints
    """`[I]`: units of the line, all to be sent."""
    grams: Ints
    """`[I]`: weight of one unit."""
    cells: Ints
    """`[K, I]`: which price of stock a unit pays."""
    order_rooms: Ints
    """`[K]`: which price of capacity a fulfillment pays."""
    unit_rooms: Ints
    """`[K]`: which price of capacity each of its units pays."""
    parcels_max: int


def sums(choices: Choices) -> int:
    """How many sums of two states a look at an order takes at most; none for a single parcel."""
    if choices.parcels_max == 1:
        return 0
    count = 1
    for units in choices.wanted.tolist():
        count *= (units + 1) * (units + 2) // 2
    return count


class Answer(NamedTuple):
    """What an order would do at some prices."""

    least: int
    """No plan costs less at these prices; `NEVER` where there is no plan."""
    minor: int
    """What the plan found costs at its own prices; `NEVER` where none was found."""
    paid: int
    """And what at these."""
    slots: Ints
    """`[n]`: the slots it opens."""
    units: Ints
    """`[n, I]`: what they send."""


class _Part(NamedTuple):
    """Some of the plans of an order: those in which some slots send exactly what is laid down."""

    least: int
    order: int
    """In which parts were made; decides between equals."""
    slots: tuple[int, ...]
    sent: tuple[tuple[int, ...], ...]
    """What these slots send."""
    most: Ints
    """What every other slot could send; nothing from those."""


def priced(choices: Choices, worth: Ints, rooms: Ints) -> Answer:
    """The cheapest plan of an order at these prices.

    `worth` is what a unit of each cell costs beside its own price, `rooms` what each capacity does.
    Usually the cheapest parts are the plan. Where they collide, one slot of theirs is given each
    number of units in turn, and the parts that promise least are looked at first, `PARTS_MAX` of
    them: after that the least of those that are left is still a bound.
    """
    least, minor, paid, slots, units = _priced(choices, worth, rooms)
    if minor < NEVER or least >= NEVER:
        return Answer(least, minor, paid, slots, units)
    count, width, floor = 0, len(choices.wanted), NEVER
    best = Answer(NEVER, NEVER, NEVER, slots[:0], units[:0])
    waiting = [_Part(least, 0, (), (), choices.most)]
    for _ in range(PARTS_MAX):
        if not waiting or waiting[0].least >= best.paid:
            break
        part = heapq.heappop(waiting)
        fixed = np.array(part.slots, np.int64), np.array(part.sent, np.int64).reshape(-1, width)
        total, slots, units = _parted(choices, part.most, fixed, worth, rooms)
        if total >= best.paid:
            continue
        collision = _collision(choices, slots, units)
        if collision < 0:
            minor, paid = cost_of(choices, slots, units, worth, rooms)
            floor = min(floor, total)
            if paid < best.paid:
                best = Answer(NEVER, minor, paid, slots, units)
            continue
        if collision in part.slots:
            # Those laid down fit, so another one of the node takes too much.
            same = choices.nodes[slots] == choices.nodes[collision]
            collision = next(k for k in slots[same].tolist() if k not in part.slots)
        for each in _ways(part, collision, choices, fixed[1].sum(axis=0)):
            count += 1
            heapq.heappush(waiting, each._replace(least=total, order=count))
    least = min([best.paid, floor, *(part.least for part in waiting)])
    return best._replace(least=least)


def _ways(part: _Part, slot: int, choices: Choices, sent: Ints) -> Iterator[_Part]:
    """The part once for every number of units that a slot could send of what is left."""
    left = np.minimum(part.most[slot], choices.wanted - sent)
    same = choices.nodes == choices.nodes[slot]
    there = choices.there[slot].copy()
    for n, row in zip(part.slots, part.sent, strict=True):
        there -= np.array(row, np.int64) * same[n]
    for units in product(*(range(int(most) + 1) for most in np.minimum(left, there))):
        most = part.most.copy()
        most[same] = np.minimum(most[same], there - np.array(units, np.int64))
        most[slot] = 0
        if any(units):
            yield _Part(0, 0, (*part.slots, slot), (*part.sent, units), most)
        else:
            yield _Part(0, 0, part.slots, part.sent, most)


@compiled
def _priced(choices: Choices, worth: Ints, rooms: Ints) -> tuple[int, int, int, Ints, Ints]:
    """The least that parts cost, and where they are a plan its costs, slots and units."""
    width = len(choices.wanted)
    fixed = np.zeros(0, np.int64), np.zeros((0, width), np.int64)
    if choices.parcels_max == 1:
        least, slot = _whole(choices, worth, rooms)
        slots, units = np.full(1, slot), choices.wanted.copy().reshape((1, width))
    else:
        least, slots, units = _parted(choices, choices.most, fixed, worth, rooms)
    if least >= NEVER or _collision(choices, slots, units) >= 0:
        return least, NEVER, NEVER, slots, units
    minor, paid = cost_of(choices, slots, units, worth, rooms)
    return least, minor, paid, slots, units


@compiled
def _parted(
    choices: Choices, most: Ints, fixed: tuple[Ints, Ints], worth: Ints, rooms: Ints
) -> tuple[int, Ints, Ints]:
    """The least that parts cost which send everything, their slots and their units.

    `fixed` slots send what is laid down, the others at most `most`.
    """
    opened, sent = fixed
    places, digits = _numbered(choices.wanted)
    cheapest, slot = _singles(choices, most, (places, digits), worth, rooms)
    rest, paid = len(digits) - 1, 0
    for n in range(len(opened)):
        state = (sent[n] * places).sum()
        price = _single(choices, opened[n], sent[n], worth, rooms)
        if state > rest or price >= NEVER:
            return NEVER, opened[:0], sent[:0]
        rest, paid = rest - state, paid + price
    layers = min(choices.parcels_max - len(opened), choices.wanted.sum())
    if rest == 0:
        return paid, opened, sent
    if layers < 1:
        return NEVER, opened[:0], sent[:0]
    least, slots, states = _joined(digits, places, (cheapest, slot), rest, layers)
    if least >= NEVER:
        return NEVER, opened[:0], sent[:0]
    slots, units = _merged(np.concatenate((opened, slots)), np.concatenate((sent, digits[states])))
    return paid + least, slots, units


@compiled
def _whole(choices: Choices, worth: Ints, rooms: Ints) -> tuple[int, int]:
    """The slot that sends everything for least, the first of equals; -1 for none."""
    wanted = choices.wanted
    width, weight = len(wanted), (wanted * choices.grams).sum()
    least, slot = NEVER, -1
    for k in range(len(choices.nodes)):
        price = choices.slot_minor[k] + rooms[choices.order_rooms[k]]
        each = rooms[choices.unit_rooms[k]]
        for i in range(width):
            if choices.most[k, i] < wanted[i]:
                price = NEVER
                break
            unit = choices.unit_minor[k, i] + each + worth[choices.cells[k, i]]
            price += unit * wanted[i] + choices.time_minor[k, i]
        if price < least:
            step = choices.step_starts[k]
            while choices.step_grams[step] < weight:
                step += 1
            price += choices.step_minor[step]
            if price < least:
                least, slot = price, k
    return least, slot


@compiled
def _numbered(wanted: Ints) -> tuple[Ints, Ints]:
    """What a unit of each line adds to a state, and the units `[S, I]` of every state."""
    width = len(wanted)
    places = np.ones(width, np.int64)
    for i in range(width - 2, -1, -1):
        places[i] = places[i + 1] * (wanted[i + 1] + 1)
    digits = np.empty((places[0] * (wanted[0] + 1), width), np.int64)
    for state in range(len(digits)):
        for i in range(width):
            digits[state, i] = state // places[i] % (wanted[i] + 1)
    return places, digits


@compiled
def _single(choices: Choices, k: int, units: Ints, worth: Ints, rooms: Ints) -> int:
    """What one parcel of these units costs from a slot.

    A line waits for its last unit; each unit is charged its share, rounded down.
    """
    each = rooms[choices.unit_rooms[k]]
    price, weight = choices.slot_minor[k] + rooms[choices.order_rooms[k]], 0
    for i in range(len(units)):
        if units[i]:
            unit = choices.unit_minor[k, i] + each + worth[choices.cells[k, i]]
            price += units[i] * unit + choices.time_minor[k, i] * units[i] // choices.wanted[i]
            weight += units[i] * choices.grams[i]
    step = choices.step_starts[k]
    while choices.step_grams[step] < weight:
        step += 1
    return int(price + choices.step_minor[step])


@compiled
def _singles(
    choices: Choices, most: Ints, numbered: tuple[Ints, Ints], worth: Ints, rooms: Ints
) -> tuple[Ints, Ints]:
    """By state: the least that one parcel of exactly these units costs, and its slot."""
    places, digits = numbered
    count, width = digits.shape
    least, slot = np.full(count, NEVER, np.int64), np.full(count, -1, np.int64)
    for k in range(len(choices.nodes)):
        reach = 1
        for i in range(width):
            reach *= most[k, i] + 1
        state = 0
        # States of what the slot has, the last line counting fastest.
        for _ in range(reach - 1):
            i = width - 1
            while digits[state, i] == most[k, i]:
                state -= digits[state, i] * places[i]
                i -= 1
            state += places[i]
            price = _single(choices, k, digits[state], worth, rooms)
            if price < least[state]:
                least[state], slot[state] = price, k
    return least, slot


@compiled
def _joined(
    digits: Ints, places: Ints, singles: tuple[Ints, Ints], full: int, layers: int
) -> tuple[int, Ints, Ints]:
    """The least that as many parcels of a state cost as are allowed, their slots and states."""
    single, slot = singles
    totals = np.full((layers, full + 1), NEVER, np.int64)
    parts = np.full((layers, full + 1), -1, np.int64)
    totals[0], parts[0] = single[: full + 1], np.arange(full + 1)
    last = 0
    for layer in range(1, layers):
        better = False
        for state in range(full if layer == layers - 1 else 1, full + 1):
            totals[layer, state] = totals[layer - 1, state]
            found, part = _best_part((digits, places), state, single, totals[layer - 1])
            if found < totals[layer, state]:
                totals[layer, state], parts[layer, state] = found, part
                better = True
        last = layer
        if not better:
            break
    slots, states = np.empty(layers, np.int64), np.empty(layers, np.int64)
    sent, state = 0, full
    if totals[last, full] >= NEVER:
        return NEVER, slots[:0], states[:0]
    for layer in range(last, -1, -1):
        if state and parts[layer, state] >= 0:
            part = parts[layer, state]
            slots[sent], states[sent] = slot[part], part
            state -= part
            sent += 1
    return totals[last, full], slots[:sent].copy(), states[:sent].copy()


@compiled
def _best_part(
    numbered: tuple[Ints, Ints], state: int, single: Ints, total: Ints
) -> tuple[int, int]:
    """The parcel to go with the cheapest rest of a state; it has a unit of its first line."""
    digits, places = numbered
    width = digits.shape[1]
    least, found = NEVER, -1
    first = 0
    while digits[state, first] == 0:
        first += 1
    part = 0
    while True:
        i = width - 1
        while i >= first and digits[part, i] == digits[state, i]:
            part -= digits[part, i] * places[i]
            i -= 1
        if i < first:
            return least, found
        part += places[i]
        if part == state:
            return least, found
        if digits[part, first] and single[part] < NEVER:
            price = single[part] + total[state - part]
            if price < least:
                least, found = price, part


@compiled
def _merged(slots: Ints, units: Ints) -> tuple[Ints, Ints]:
    """The same, with the parts of one slot in one parcel, in order of slots."""
    order = np.argsort(slots)
    kept, sent = -1, np.zeros_like(units)
    names = np.empty_like(slots)
    for n in order:
        if kept < 0 or names[kept] != slots[n]:
            kept += 1
            names[kept] = slots[n]
        sent[kept] += units[n]
    return names[: kept + 1].copy(), sent[: kept + 1].copy()


@compiled
def _collision(choices: Choices, slots: Ints, units: Ints) -> int:
    """A slot that gives more than it, or its node, has; -1 for none."""
    for i in range(units.shape[1]):
        taken = 0
        for n in range(len(slots)):
            if n and choices.nodes[slots[n]] != choices.nodes[slots[n - 1]]:
                taken = 0
            k, own = slots[n], units[n, i]
            taken += own
            if own and (own > choices.most[k, i] or taken > choices.there[k, i]):
                return int(k)
    return -1


@compiled
def cost_of(
    choices: Choices, slots: Ints, units: Ints, worth: Ints, rooms: Ints
) -> tuple[int, int]:
    """What parcels cost at their own prices, and with those asked."""
    total = asked = 0
    waits = np.zeros(len(choices.wanted), np.int64)
    for n in range(len(slots)):
        k, weight = slots[n], 0
        asked += rooms[choices.order_rooms[k]]
        for i in range(len(waits)):
            if units[n, i]:
                total += units[n, i] * choices.unit_minor[k, i]
                asked += units[n, i] * (worth[choices.cells[k, i]] + rooms[choices.unit_rooms[k]])
                weight += units[n, i] * choices.grams[i]
                waits[i] = max(waits[i], choices.time_minor[k, i])
        step = choices.step_starts[k]
        while choices.step_grams[step] < weight:
            step += 1
        total += choices.slot_minor[k] + choices.step_minor[step]
    total += waits.sum()
    return total, total + asked
