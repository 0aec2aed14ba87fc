"""The cheapest plan that opens exactly given slots, found and proven.

Whole price steps are chosen first, then units are shared so that each slot's load fits its step: a
bound by prices per gram shuts most choices, a search over the lines closes what is left.
"""

import numpy as np

from routing.compiled import compiled
from routing.facts import MISSING, SLACK_MINOR, SPLIT, Facts, Floats
from routing.grid import Ints
from routing.sharing import (
    CAP,
    GRAM,
    LOAD,
    UNIT,
    Best,
    Sharing,
    beaten,
    by_gram,
    offer,
    polish,
    sharing,
    spread,
    spread_all,
)

SLOTS_MAX = 12
"""Most slots opened at once that are looked at."""

CHOICES_MAX = 2_000
"""Most ways to choose price steps for them."""

TURNS = 24
"""Adjustments of the prices per gram for one choice."""

TRIES_LEAST = 200
"""Ways to share a line tried for a choice, at least, when others have used up what there was."""

WORK_LEAST, WORK_MAX = 100_000, 600_000
"""Work after which no further choice is looked at, with few and with many tries."""

SEEN_MAX = 8_192
"""Loads remembered while lines are shared, a power of two."""

WAYS_MAX = 4_096
"""Most ways to share all lines of one choice, each line on its own."""


@compiled
def settle(facts: Facts, slots: Ints, best: Best, tries_max: int) -> tuple[float, int]:
    """Look for the cheapest plan that opens exactly `slots` and fulfills all that is wanted.

    Returns a bound on those cheaper than the incumbent, which may be new, infinite when there are
    none, and the work done. At most about `tries_max` ways to share a line are tried.
    """
    if len(slots) > SLOTS_MAX:
        return -1e300, 1
    local = sharing(facts, slots)
    m, lines = local.most.shape
    units = spread_all(local)
    work = 4 * m * lines
    if units > 1e299:
        return 1e300, work
    offer(facts, local, best)
    fixed = float(facts.prices[MISSING] - facts.prices[SPLIT])
    for a in range(m):
        fixed += facts.opening[slots[a]]
    steps, prices = choices(facts, local, best.objective[0] - 1 + SLACK_MINOR - fixed - units)
    if len(steps) == CHOICES_MAX:
        return -1e300, work + 20 * CHOICES_MAX
    lowest, work_max = 1e300, min(WORK_MAX, WORK_LEAST + 100 * tries_max)
    for c in range(len(steps)):
        paid = fixed + prices[c]
        if beaten(best, paid + units):
            break
        if work > work_max:
            return min(lowest, paid + units), work
        for a in range(m):
            local.numbers[CAP, a] = facts.limits[steps[c, a]]
        bound, tries, more = decided(facts, local, best, paid, tries_max)
        lowest = min(lowest, bound)
        tries_max = max(tries_max - tries, TRIES_LEAST)
        work += more
    return lowest, work


@compiled
def decided(
    facts: Facts, local: Sharing, best: Best, paid: float, tries_max: int
) -> tuple[float, int, int]:
    """Look for the cheapest plan whose loads fit the caps; `paid` are its slots and price steps.

    Returns a bound on those cheaper than the incumbent, infinite when there are none, the ways
    tried and the work done.
    """
    m, lines = local.most.shape
    bound = by_gram(facts, local, best, paid, TURNS)
    work = TURNS * m * lines
    if beaten(best, bound):
        return 1e300, 0, work
    spread_all(local)
    work += polish(facts, local, best)
    if beaten(best, bound):
        return 1e300, 0, work
    closed, tries = tried(facts, local, best, paid, tries_max)
    return 1e300 if closed else bound, tries, work + tries * m


@compiled
def choices(facts: Facts, local: Sharing, ceiling: float) -> tuple[Ints, Floats]:
    """Every choice of price steps that could hold all units for less than `ceiling`.

    Steps `[C, m]`, their prices `[C]` in ascending order; `CHOICES_MAX` when there are more.
    """
    m = len(local.slots)
    steps = np.empty((CHOICES_MAX, m), np.int64)
    prices = np.empty(CHOICES_MAX)
    total, base = _weights(local)
    low, cheapest, widest = _ends(facts, local, base)
    count, depth, tries = 0, 0, 0
    place = low.copy()
    paid, held = np.zeros(m + 1), np.zeros(m + 1)
    while depth >= 0 and count < CHOICES_MAX:
        tries += 1
        if tries > 20 * CHOICES_MAX:
            count = CHOICES_MAX
            break
        step = place[depth]
        if step >= facts.limit_starts[local.slots[depth] + 1] or (
            paid[depth] + facts.parcels[step] + cheapest[depth + 1] > ceiling
        ):
            place[depth] = low[depth]
            depth -= 1
            place[depth] += 1
        elif held[depth] + facts.limits[step] + widest[depth + 1] < total:
            place[depth] += 1
        elif depth == m - 1:
            steps[count] = place
            prices[count] = paid[depth] + facts.parcels[step]
            count += 1
            place[depth] += 1
        else:
            paid[depth + 1] = paid[depth] + facts.parcels[step]
            held[depth + 1] = held[depth] + facts.limits[step]
            depth += 1
    order = np.argsort(prices[:count], kind="mergesort")
    return steps[order], prices[order]


@compiled
def _ends(facts: Facts, local: Sharing, base: Floats) -> tuple[Ints, Floats, Floats]:
    """The lowest step of each slot; from each on, what these cost and the most grams there are."""
    m = len(local.slots)
    low = np.empty(m, np.int64)
    cheapest, widest = np.zeros(m + 1), np.zeros(m + 1)
    for a in range(m - 1, -1, -1):
        k = local.slots[a]
        low[a] = facts.limit_starts[k]
        while facts.limits[low[a]] < base[a]:
            low[a] += 1
        cheapest[a] = cheapest[a + 1] + facts.parcels[low[a]]
        widest[a] = widest[a + 1] + facts.limits[facts.limit_starts[k + 1] - 1]
    return low, cheapest, widest


@compiled
def _weights(local: Sharing) -> tuple[float, Floats]:
    """The weight of all units, and of those that only each slot can take."""
    m, lines = local.most.shape
    total, base = 0.0, np.zeros(m)
    for i in range(lines):
        units = 0
        for a in range(m):
            units += local.most[a, i]
        for a in range(m):
            alone = local.wanted[i] - (units - local.most[a, i])
            base[a] += max(0, alone) * local.grams[i]
        total += local.wanted[i] * local.grams[i]
    return total, base


@compiled
def ways_of(
    local: Sharing, i: int, room: float, tables: tuple[Ints, Floats], first: int
) -> tuple[int, bool]:
    """Note every way to share a line that costs at most `room` more than the cheapest.

    Units `[W, m]` and what they cost more `[W]`, ascending, go into the tables from `first` on.
    Returns where they end and whether there was space.
    """
    ways, extra = tables
    m = len(local.slots)
    lowest = spread(local, i)
    counts = np.zeros(m, np.int64)
    wanted, placed, end, a = local.wanted[i], 0, first, 0
    # an odometer: all but the last slot count up, the last takes the rest
    while a >= 0:
        rest = wanted - placed
        if 0 <= rest <= local.most[m - 1, i]:
            counts[m - 1] = rest
            more = max(0.0, way_price(local, i, counts) - lowest)
            if more <= room:
                if end == WAYS_MAX:
                    return end, False
                ways[end] = counts
                extra[end] = more
                end += 1
        a = m - 2
        while a >= 0 and (counts[a] == local.most[a, i] or placed >= wanted):
            placed -= counts[a]
            counts[a] = 0
            a -= 1
        if a >= 0:
            counts[a] += 1
            placed += 1
    order = np.argsort(extra[first:end], kind="mergesort")
    ways[first:end] = ways[first:end][order]
    extra[first:end] = extra[first:end][order]
    return end, True


@compiled
def way_price(local: Sharing, i: int, counts: Ints) -> float:
    """Handling, waiting and price of the grams of a line shared so."""
    price, waits = 0.0, 0
    for a in range(len(counts)):
        if counts[a]:
            each = local.numbers[UNIT, a] + local.numbers[GRAM, a] * local.grams[i]
            price += counts[a] * each
            waits = max(waits, local.times[a, i])
    return price + waits


@compiled
def tried(
    facts: Facts, local: Sharing, best: Best, fixed: float, tries_max: int
) -> tuple[bool, int]:
    """Search the ways to share each line for a plan cheaper than the incumbent that fits the caps.

    Only ways within the room that prices per gram leave can be part of one. Returns whether all
    were tried, and how many.
    """
    m, lines = local.most.shape
    paid = fixed + spread_all(local)
    for a in range(m):
        paid -= local.numbers[GRAM, a] * local.numbers[CAP, a]
    room = best.objective[0] - 1 + SLACK_MINOR - paid
    order = np.argsort(-local.grams, kind="mergesort")
    flexible = np.empty(lines, np.int64)
    starts = np.zeros(lines + 1, np.int64)
    ways = np.empty((WAYS_MAX, m), np.int64)
    extra = np.empty(WAYS_MAX)
    count = 0
    local.numbers[LOAD] = 0.0
    for i in order:
        if local.wanted[i] > 0:
            last, all_noted = ways_of(local, i, room, (ways, extra), starts[count])
            if not all_noted:
                return False, lines
            if last == starts[count] + 1:
                for a in range(m):
                    local.share[a, i] = ways[last - 1, a]
                    local.numbers[LOAD, a] += local.share[a, i] * local.grams[i]
            else:
                flexible[count] = i
                count += 1
                starts[count] = last
    for a in range(m):
        if local.numbers[LOAD, a] > local.numbers[CAP, a]:
            return True, lines
    if count == 0:
        offer(facts, local, best)
        return True, lines
    tables = flexible[:count], starts, ways, extra
    return _searched(facts, local, best, tables, (paid, tries_max))


@compiled
def _ahead(local: Sharing, tables: tuple[Ints, Ints, Ints, Floats]) -> tuple[Floats, Floats]:
    """By flexible line and slot, the least and the most grams that lines from it on bring."""
    flexible, starts, ways, _ = tables
    m, count = len(local.slots), len(flexible)
    least, most = np.zeros((count + 1, m)), np.zeros((count + 1, m))
    for place in range(count - 1, -1, -1):
        grams = local.grams[flexible[place]]
        for a in range(m):
            low = high = ways[starts[place], a]
            for way in range(starts[place], starts[place + 1]):
                low, high = min(low, ways[way, a]), max(high, ways[way, a])
            least[place, a] = least[place + 1, a] + low * grams
            most[place, a] = most[place + 1, a] + high * grams
    return least, most


@compiled
def fresh(local: Sharing, seen: tuple[Ints, Floats], depth: int, cost: float) -> bool:
    """Whether the same loads were not met before at this depth for as little; notes them."""
    marks, states = seen
    m = len(local.slots)
    mark = np.int64(depth + 1)
    for a in range(m):
        mark = mark * np.int64(1_000_003) + np.int64(local.numbers[LOAD, a])
    place = (mark ^ (mark >> np.int64(17))) & np.int64(SEEN_MAX - 1)
    if marks[place] == depth + 1 and states[place, m] <= cost:
        same = True
        for a in range(m):
            same = same and states[place, a] == local.numbers[LOAD, a]
        if same:
            return False
    marks[place] = depth + 1
    states[place, :m] = local.numbers[LOAD]
    states[place, m] = cost
    return True


@compiled
def _searched(
    facts: Facts,
    local: Sharing,
    best: Best,
    tables: tuple[Ints, Ints, Ints, Floats],
    start: tuple[float, int],
) -> tuple[bool, int]:
    """Try the ways of the flexible lines, heavy lines first, the cheapest way of each first."""
    flexible, starts, ways, extra = tables
    least, most = _ahead(local, tables)
    m, count = len(local.slots), len(flexible)
    way = np.full(count, -1, np.int64)
    paid = np.empty(count + 1)
    paid[0] = start[0]
    depth, tries, way[0] = 0, 0, starts[0] - 1
    seen = np.zeros(SEEN_MAX, np.int64), np.empty((SEEN_MAX, m + 1))
    while depth >= 0:
        i = flexible[depth]
        grams = local.grams[i]
        if way[depth] >= starts[depth]:
            for a in range(m):
                local.numbers[LOAD, a] -= ways[way[depth], a] * grams
        way[depth] += 1
        number = way[depth]
        if number == starts[depth + 1] or beaten(best, paid[depth] + extra[number]):
            depth -= 1
            continue
        tries += 1
        if tries > start[1]:
            return False, tries
        lost, fits = 0.0, True
        for a in range(m):
            local.numbers[LOAD, a] += ways[number, a] * grams
            left = local.numbers[CAP, a] - local.numbers[LOAD, a]
            fits = fits and left >= least[depth + 1, a]
            lost += max(0.0, left - most[depth + 1, a]) * local.numbers[GRAM, a]
        cost = paid[depth] + extra[number]
        if fits and not beaten(best, cost + lost) and fresh(local, seen, depth, cost):
            for a in range(m):
                local.share[a, i] = ways[number, a]
            depth += 1
            if depth == count:
                offer(facts, local, best)
                depth -= 1
            else:
                paid[depth] = cost
                way[depth] = starts[depth] - 1
    return True, tries
