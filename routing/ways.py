"""The ways to share each line among some slots that can be part of a cheaper plan."""

from typing import NamedTuple

import numpy as np

from routing.compiled import compiled
from routing.facts import Floats
from routing.grid import Ints
from routing.sharing import CAP, GRAM, Sharing, Tables, ascending, spread, tables_of

WAYS_MAX = 4_096
"""Most ways to share all lines of one choice, each line on its own."""

STEPS_MAX = 16 * WAYS_MAX
"""Most steps to list them. Hundreds of units of a line have more ways than anybody can look at, few
of which may be cheap enough."""

MOTE_MINOR = 1e-6
"""What sums of prices may differ by for want of digits."""

OPEN, CLOSED, UNDECIDED = range(3)
"""What is known of a choice by the ways of its lines alone."""


class Ways(NamedTuple):
    """The lines that can be shared in several ways: F lines, W ways, m slots."""

    lines: Ints
    """`[F]`"""
    starts: Ints
    """`[F + 1]`: the ways of the f-th of them are those from `starts[f]` on."""
    counts: Ints
    """`[W, m]`: units in each slot."""
    cost: Ints
    """`[W]`: price of the units and waiting."""
    load: Floats
    """`[W, m]`: grams."""
    twins: Ints
    """`[F]`: the first line that is like it in weight, units, slots and prices there."""
    room: Floats
    """`[m]`: grams under the caps that the other lines leave."""
    paid: Ints
    """`[1]`: what slots, price steps and the other lines cost."""


@compiled
def listed(local: Sharing, paid: float, room: float, alike: bool) -> tuple[int, Ways]:
    """The ways of every line that cost at most `room` more than its cheapest.

    `CLOSED` when the caps leave no plan, `OPEN` when there are too many ways or steps to them. Lines with only one
    way are shared at once. Lines may be `alike` where limits do not tell them apart.
    """
    m, lines = local.most.shape
    chosen, starts = np.empty(lines, np.int64), np.zeros(lines + 1, np.int64)
    counts, above, steps = (
        np.empty((WAYS_MAX, m), np.int64),
        np.empty(WAYS_MAX),
        np.zeros(1, np.int64),
    )
    free, fixed = local.numbers[CAP].copy(), np.array([round(paid)])
    found, outcome = 0, UNDECIDED
    for i in range(lines):
        if local.wanted[i] > 0:
            last, all_noted = ways_of(local, i, room, (counts, above, steps), starts[found])
            if not all_noted:
                outcome = OPEN
                break
            if last == starts[found]:
                # Too few nodes may share the line.
                outcome = CLOSED
                break
            if last == starts[found] + 1:
                local.share[:, i] = counts[last - 1]
                free -= counts[last - 1] * local.grams[i]
                fixed[0] += way_cost(local, i, counts[last - 1])
            else:
                chosen[found] = i
                found += 1
                starts[found] = last
    if outcome == UNDECIDED and (free < 0).any():
        outcome = CLOSED
    total = starts[found]
    cost, load = np.empty(total, np.int64), np.empty((total, m))
    for f in range(found):
        for way in range(starts[f], starts[f + 1]):
            cost[way] = way_cost(local, chosen[f], counts[way])
            load[way] = counts[way] * local.grams[chosen[f]]
    kept = chosen[:found].copy()
    twins = twins_of(local, kept) if alike else np.arange(found)
    return outcome, Ways(
        kept, starts[: found + 1].copy(), counts[:total].copy(), cost, load, twins, free, fixed
    )


@compiled
def _ways_of_one(
    tables: Tables, gram: Floats, line: tuple[int, int], room: float, found: tuple[Ints, Floats]
) -> int:
    """As `ways_of` for a line of one unit; `line` are the line and where its ways begin."""
    _, most, times, each, _, grams = tables
    i, first = line
    ways, extra = found
    m, end, lowest = len(gram), first, 1e300
    for a in range(m):
        if most[a, i] > 0:
            lowest = min(lowest, each[a, i] + times[a, i] + gram[a] * grams[i])
    for a in range(m - 1, -1, -1):
        more = each[a, i] + times[a, i] + gram[a] * grams[i] - lowest
        if most[a, i] > 0 and more <= room:
            place = end
            while place > first and extra[place - 1] > more:
                extra[place] = extra[place - 1]
                ways[place] = ways[place - 1]
                place -= 1
            extra[place] = more
            ways[place] = 0
            ways[place, a] = 1
            end += 1
    return end


@compiled
def ways_of(
    local: Sharing, i: int, room: float, tables: tuple[Ints, Floats, Ints], first: int
) -> tuple[int, bool]:
    """Note every way to share a line that costs at most `room` more than the cheapest.

    Units `[W, m]` and what they cost more `[W]`, ascending, go into the tables from `first` on; the
    third counts the steps of all lines. Returns where they end and whether there were space and
    steps enough.
    """
    ways, extra, _ = tables
    gram = local.numbers[GRAM]
    if local.wanted[i] == 1 and first + len(gram) <= WAYS_MAX:
        return _ways_of_one(tables_of(local), gram, (i, first), room, (ways, extra)), True
    return _ways_of_many(local, i, room, tables, first)


@compiled
def _ways_of_many(
    local: Sharing, i: int, room: float, tables: tuple[Ints, Floats, Ints], first: int
) -> tuple[int, bool]:
    """As `ways_of` for a line of several units."""
    ways, extra, steps = tables
    m = len(local.slots)
    lowest = spread(tables_of(local), local.numbers[GRAM], i)
    reach = _reach(local, i)
    counts, last = np.zeros(m, np.int64), np.zeros(m, np.int64)
    left, spare = np.zeros(m + 1, np.int64), np.zeros(m + 1)
    left[0], spare[0] = local.wanted[i], lowest + room + MOTE_MINOR
    counts[0], last[0] = _span(local, i, reach, 0, (left[0], spare[0]))
    end, a = first, 0
    while a >= 0:
        steps[0] += 1
        if steps[0] > STEPS_MAX:
            return end, False
        if counts[a] > last[a]:
            counts[a] = 0
            a -= 1
            if a >= 0:
                counts[a] += 1
        elif a + 1 < m:
            left[a + 1] = left[a] - counts[a]
            spare[a + 1] = spare[a] - counts[a] * reach[0, a]
            a += 1
            counts[a], last[a] = _span(local, i, reach, a, (left[a], spare[a]))
        else:
            more = max(0.0, way_price(local, i, counts) - lowest)
            if more <= room and few_nodes(local, counts):
                if end == WAYS_MAX:
                    return end, False
                ways[end] = counts
                extra[end] = more
                end += 1
            counts[a] += 1
    order = ascending(extra[first:end])
    ways[first:end] = ways[first:end][order]
    extra[first:end] = extra[first:end][order]
    return end, True


@compiled
def _reach(local: Sharing, i: int) -> Floats:
    """By slot the price of a unit of a line; from each slot on, the least one and all units there are.

    `[3, m + 1]`, nothing beyond the last slot.
    """
    m = len(local.slots)
    found = np.zeros((3, m + 1))
    found[1, m] = 1e300
    for a in range(m - 1, -1, -1):
        price = local.each[a, i] + local.numbers[GRAM, a] * local.grams[i]
        found[0, a] = price
        found[1, a] = min(price, found[1, a + 1]) if local.most[a, i] else found[1, a + 1]
        found[2, a] = found[2, a + 1] + local.most[a, i]
    found[1, m] = 0.0
    return found


@compiled
def _span(
    local: Sharing, i: int, reach: Floats, a: int, rest: tuple[int, float]
) -> tuple[int, int]:
    """The fewest and the most units of a line in a slot: later ones take the others, at a price.

    `rest` are the units left for this slot and later ones, and what they may cost.
    """
    left, spare = rest
    low = max(0, left - int(reach[2, a + 1]))
    high = min(left, local.most[a, i])
    if low > high:
        return 0, -1
    later = reach[1, a + 1] if reach[2, a + 1] else reach[0, a]
    spare, rate = spare - left * later, reach[0, a] - later
    if rate > 0 and spare < rate * high:
        high = int(np.floor(spare / rate))
    elif rate < 0 and spare < rate * low:
        low = int(np.ceil(spare / rate))
    elif rate == 0 and spare < 0:
        high = -1
    return low, high


@compiled
def few_nodes(local: Sharing, counts: Ints) -> bool:
    """Whether no more nodes share a line so than may."""
    if local.nodes_max == 0:
        return True
    found, before = 0, -1
    for a in range(len(counts)):
        if counts[a] and local.nodes[a] != before:
            before = local.nodes[a]
            found += before >= 0
    return found <= local.nodes_max


@compiled
def way_price(local: Sharing, i: int, counts: Ints) -> float:
    """Price of the units of a line shared so, of its waiting and of its grams."""
    price = float(way_cost(local, i, counts))
    for a in range(len(counts)):
        price += counts[a] * local.numbers[GRAM, a] * local.grams[i]
    return price


@compiled
def way_cost(local: Sharing, i: int, counts: Ints) -> int:
    """Price of the units of a line shared so, and of its waiting."""
    cost, waits = 0, 0
    for a in range(len(counts)):
        if counts[a]:
            cost += counts[a] * local.each[a, i]
            waits = max(waits, local.times[a, i])
    return int(cost + waits)


@compiled
def twins_of(local: Sharing, lines: Ints) -> Ints:
    """The place of the first line that cannot be told from each of some lines."""
    twins = np.arange(len(lines))
    for f in range(len(lines)):
        i = lines[f]
        for g in range(f):
            j = lines[g]
            same = local.grams[i] == local.grams[j] and local.wanted[i] == local.wanted[j]
            for a in range(len(local.slots)):
                same = same and local.most[a, i] == local.most[a, j]
                same = same and local.times[a, i] == local.times[a, j]
                same = same and local.each[a, i] == local.each[a, j]
            if same:
                twins[f] = g
                break
    return twins
