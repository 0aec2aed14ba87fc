"""The cheapest plan that opens exactly given slots, found and proven.

Whole price steps are chosen first, then units are shared so that each slot's load fits its step: a
bound by prices per gram shuts most choices, a search over single units closes what is left.
"""

from typing import NamedTuple

import numpy as np

from routing.compiled import compiled
from routing.facts import (
    MISSING,
    ORDERED,
    REAL,
    SHORTAGE,
    SLACK_MINOR,
    SPLIT,
    Facts,
    Floats,
    parcel_minor,
)
from routing.grid import Ints

SLOTS_MAX = 12
"""Most slots opened at once that are looked at."""

CHOICES_MAX = 2_000
"""Most ways to choose price steps for them."""

TURNS = 24
"""Adjustments of the prices per gram for one choice."""

TRIES_MAX = 20_000
"""Single units placed for one choice."""


class Local(NamedTuple):
    """Some slots opened, m of them, and how they could share the units; U flexible units."""

    slots: Ints
    """`[m]`"""
    most: Ints
    """`[m, I]`"""
    costs: Floats
    """`[m, I]`: a unit's handling and share of waiting."""
    share: Ints
    """`[m, I]`: the units of the plan being made."""
    base: Floats
    """`[m]`: grams that only the slot can take."""
    multipliers: Floats
    """`[m]`: prices per gram."""
    caps: Floats
    """`[m]`: most grams of the price steps chosen."""
    loads: Floats
    """`[m]`"""


class Best(NamedTuple):
    """The incumbent."""

    units: Ints
    """`[K, I]` of real slots."""
    objective: Ints
    """`[1]`"""


@compiled
def share_price(facts: Facts, local: Local) -> int:
    """The objective of the units shared in `local`."""
    opened, total = 0, facts.prices[ORDERED] * facts.prices[SHORTAGE]
    count, lines = local.share.shape
    for a in range(count):
        k = local.slots[a]
        if k < facts.prices[REAL]:
            units = load = 0
            for i in range(lines):
                units += local.share[a, i]
                load += local.share[a, i] * facts.weights_grams[i]
            if units:
                opened += 1
                total += parcel_minor(facts, k, load) + facts.slot_minor[k]
                total += units * (facts.unit_minor[k] - facts.prices[SHORTAGE])
    for i in range(lines):
        waits = 0
        for a in range(count):
            if local.share[a, i] and local.slots[a] < facts.prices[REAL]:
                waits = max(waits, facts.time_minor[local.slots[a], i])
        total += waits
    return total + facts.prices[SPLIT] * max(0, opened - 1)


@compiled
def offer(facts: Facts, local: Local, best: Best) -> bool:
    """Keep the units shared in `local` where they are the cheapest so far."""
    price = share_price(facts, local)
    if price >= best.objective[0]:
        return False
    best.objective[0] = price
    best.units[:] = 0
    for a in range(len(local.slots)):
        if local.slots[a] < facts.prices[REAL]:
            best.units[local.slots[a]] = local.share[a]
    return True


@compiled
def localized(facts: Facts, slots: Ints) -> Local:
    """Tables of the slots alone."""
    m, lines = len(slots), len(facts.wanted)
    most = np.zeros((m, lines), np.int64)
    costs = np.zeros((m, lines))
    for a in range(m):
        k = slots[a]
        for n in range(facts.starts[k], facts.starts[k + 1]):
            most[a, facts.lines[n]] = int(facts.most[n])
            costs[a, facts.lines[n]] = facts.costs[n]
    base = np.zeros(m)
    for i in range(lines):
        total = 0
        for a in range(m):
            total += most[a, i]
        for a in range(m):
            alone = int(facts.wanted[i]) - (total - most[a, i])
            if alone > 0:
                base[a] += alone * facts.grams[i]
    share = np.zeros((m, lines), np.int64)
    return Local(slots, most, costs, share, base, np.zeros(m), np.zeros(m), np.zeros(m))


@compiled
def spread(facts: Facts, local: Local, i: int) -> tuple[float, float]:
    """Share the units of a line by cost plus price per gram; what that comes to, and the price of
    the dearest unit. No price where the slots cannot take them all.
    """
    left, total, dearest = int(facts.wanted[i]), 0.0, 0.0
    m = len(local.slots)
    for a in range(m):
        local.share[a, i] = 0
    while left > 0:
        chosen, lowest = -1, 1e300
        for a in range(m):
            if local.share[a, i] == 0 and local.most[a, i] > 0:
                price = local.costs[a, i] + local.multipliers[a] * facts.grams[i]
                if price < lowest:
                    chosen, lowest = a, price
        if chosen < 0:
            return 1e300, 0.0
        units = min(left, local.most[chosen, i])
        local.share[chosen, i] = units
        local.loads[chosen] += units * facts.grams[i]
        total += units * lowest
        dearest = lowest
        left -= units
    return total, dearest


@compiled
def shared_cost(facts: Facts, local: Local) -> float:
    """Share all units by cost plus price per gram; the sum of that. Fills `share` and `loads`."""
    total = 0.0
    local.loads[:] = 0.0
    for i in range(len(facts.wanted)):
        price, _ = spread(facts, local, i)
        if price > 1e299:
            return price
        total += price
    return total


@compiled
def priced_gram(facts: Facts, local: Local, best: Best, fixed: float) -> float:
    """The best bound found on plans whose loads fit `caps`; leaves the multipliers that prove it.

    `fixed` is what they pay besides the units.
    """
    m = len(local.slots)
    found, scale, stalled = -1e300, 1.0, 0
    kept = local.multipliers.copy()
    target = float(best.objective[0])
    for _ in range(TURNS):
        value = fixed + shared_cost(facts, local)
        for a in range(m):
            value -= local.multipliers[a] * local.caps[a]
        fits, length = True, 0.0
        for a in range(m):
            over = local.loads[a] - local.caps[a]
            fits = fits and over <= 0
            if over > 0 or local.multipliers[a] > 0:
                length += over * over
        if fits:
            offer(facts, local, best)
        stalled += 1
        if value > found + 1e-3:
            found, stalled = value, 0
            kept[:] = local.multipliers
        elif stalled == 3:
            scale, stalled = scale / 2, 0
        target = float(best.objective[0])
        if found > target - 1 + SLACK_MINOR or length < 1e-9:
            break
        step = scale * max(1.0, target - value) / length
        for a in range(m):
            over = local.loads[a] - local.caps[a]
            local.multipliers[a] = max(0.0, local.multipliers[a] + step * over)
    local.multipliers[:] = kept
    return found


@compiled
def choices(facts: Facts, local: Local, ceiling: float) -> tuple[Ints, Floats, bool]:
    """Every choice of price steps that could hold all units for less than `ceiling`.

    Steps `[C, m]`, their prices `[C]` in ascending order, and whether these are all.
    """
    m = len(local.slots)
    steps = np.empty((CHOICES_MAX, m), np.int64)
    prices = np.empty(CHOICES_MAX)
    total = 0.0
    for i in range(len(facts.wanted)):
        total += facts.wanted[i] * facts.grams[i]
    low = np.empty(m, np.int64)
    cheapest, widest = np.zeros(m + 1), np.zeros(m + 1)
    for a in range(m - 1, -1, -1):
        k = local.slots[a]
        low[a] = facts.limit_starts[k]
        while facts.limits[low[a]] < local.base[a]:
            low[a] += 1
        cheapest[a] = cheapest[a + 1] + facts.parcels[low[a]]
        widest[a] = widest[a + 1] + facts.limits[facts.limit_starts[k + 1] - 1]
    count, depth, tries = 0, 0, 0
    place = np.empty(m, np.int64)
    paid, held = np.zeros(m + 1), np.zeros(m + 1)
    place[0] = low[0]
    while depth >= 0:
        tries += 1
        k = local.slots[depth]
        step = place[depth]
        if step >= facts.limit_starts[k + 1] or (
            paid[depth] + facts.parcels[step] + cheapest[depth + 1] > ceiling
        ):
            depth -= 1
            if depth >= 0:
                place[depth] += 1
            continue
        if held[depth] + facts.limits[step] + widest[depth + 1] < total:
            place[depth] += 1
            continue
        if depth == m - 1:
            if count == CHOICES_MAX or tries > 20 * CHOICES_MAX:
                return steps[:0], prices[:0], False
            steps[count] = place
            prices[count] = paid[depth] + facts.parcels[step]
            count += 1
            place[depth] += 1
            continue
        paid[depth + 1] = paid[depth] + facts.parcels[step]
        held[depth + 1] = held[depth] + facts.limits[step]
        depth += 1
        place[depth] = low[depth]
    order = np.argsort(prices[:count], kind="mergesort")
    return steps[order], prices[order], True


@compiled
def settle(facts: Facts, slots: Ints, best: Best) -> tuple[bool, int]:
    """Look for the cheapest plan that opens exactly `slots` and fulfills all that is wanted.

    Returns whether none cheaper than the incumbent, which may be new, is left, and the work done.
    """
    if len(slots) > SLOTS_MAX:
        return False, 1
    local = localized(facts, slots)
    m, lines = local.most.shape
    units = shared_cost(facts, local)
    if units > 1e299:
        return True, m * lines
    offer(facts, local, best)
    fixed = float(facts.prices[MISSING] - facts.prices[SPLIT])
    for a in range(m):
        fixed += facts.opening[slots[a]]
    ceiling = best.objective[0] - 1 + SLACK_MINOR - fixed - units
    steps, prices, all_seen = choices(facts, local, ceiling)
    work = 4 * m * lines
    for c in range(len(steps)):
        if prices[c] > best.objective[0] - 1 + SLACK_MINOR - fixed - units:
            break
        for a in range(m):
            local.caps[a] = facts.limits[steps[c, a]]
        if c == 0:
            local.multipliers[:] = 0.0
        bound = priced_gram(facts, local, best, fixed + prices[c])
        work += TURNS * m * lines
        if bound <= best.objective[0] - 1 + SLACK_MINOR:
            closed, tries = placed(facts, local, best, fixed + prices[c])
            all_seen = all_seen and closed
            work += tries * m
    return all_seen, work


@compiled
def placed(facts: Facts, local: Local, best: Best, fixed: float) -> tuple[bool, int]:
    """Search single units for a plan cheaper than the incumbent whose loads fit `caps`.

    Only ways within the room that the multipliers leave are tried. Returns whether all were, and
    how many units were placed.
    """
    m, lines = local.most.shape
    paid = fixed + shared_cost(facts, local)
    for a in range(m):
        paid -= local.multipliers[a] * local.caps[a]
    room = best.objective[0] - 1 + SLACK_MINOR - paid
    local.loads[:] = 0.0
    extra = np.zeros((m, lines))
    order = np.argsort(-facts.grams, kind="mergesort")
    flexible = np.empty(lines, np.int64)
    count, grams = 0, 0.0
    for i in order:
        if facts.wanted[i] > 0:
            total, free = _ways(facts, local, (i, room), extra)
            if free:
                paid -= total
                flexible[count] = i
                count += 1
                grams += facts.wanted[i] * facts.grams[i]
                paid += facts.wanted[i] * extra[0, i]
    spare = -grams
    for a in range(m):
        spare += local.caps[a] - local.loads[a]
        if local.loads[a] > local.caps[a]:
            return True, lines
    for place in range(count):
        i = flexible[place]
        lowest = extra[0, i]
        extra[0, i] = local.costs[0, i] + local.multipliers[0] * facts.grams[i]
        for a in range(m):
            extra[a, i] -= lowest
    if spare < 0:
        return True, lines
    return _tried(facts, local, best, (flexible[:count], extra), (paid, spare))


@compiled
def _ways(facts: Facts, local: Local, line: tuple[int, float], extra: Floats) -> tuple[float, bool]:
    """Whether units of a line may go elsewhere within the room; if not, its units stay as shared.

    Sets `extra[a]` of the line to its price in slot a, but that of the first slot to the lowest.
    """
    i, room = line
    m = len(local.slots)
    total, dearest = spread(facts, local, i)
    free, lowest = False, 1e300
    for a in range(m):
        price = local.costs[a, i] + local.multipliers[a] * facts.grams[i]
        extra[a, i] = price
        spare = min(local.most[a, i], int(facts.wanted[i])) - local.share[a, i]
        free = free or (spare > 0 and price - dearest <= room)
        if local.most[a, i] > 0:
            lowest = min(lowest, price)
    if free:
        for a in range(m):
            local.loads[a] -= local.share[a, i] * facts.grams[i]
            local.share[a, i] = 0
        extra[0, i] = lowest
    return total, free


@compiled
def _ahead(facts: Facts, local: Local, tables: tuple[Ints, Floats]) -> tuple[Floats, Floats]:
    """From each flexible line on: the least extra to pay, and by slot the most grams to come."""
    lines, extra = tables
    m, count = len(local.slots), len(lines)
    rest = np.zeros(count + 1)
    able = np.zeros((count + 1, m))
    for place in range(count - 1, -1, -1):
        i = lines[place]
        rest[place] = rest[place + 1]
        left = int(facts.wanted[i])
        used = np.zeros(m, np.bool_)
        while left > 0:
            chosen, lowest = 0, 1e300
            for a in range(m):
                if not used[a] and local.most[a, i] > 0 and extra[a, i] < lowest:
                    chosen, lowest = a, extra[a, i]
            units = min(left, local.most[chosen, i])
            used[chosen] = True
            rest[place] += units * lowest
            left -= units
        for a in range(m):
            able[place, a] = able[place + 1, a] + local.most[a, i] * facts.grams[i]
    return rest, able


@compiled
def _tried(
    facts: Facts,
    local: Local,
    best: Best,
    tables: tuple[Ints, Floats],
    start: tuple[float, float],
) -> tuple[bool, int]:
    """Place the units of flexible lines one by one, the cheapest way first, heavy lines first."""
    lines, extra = tables
    rest, able = _ahead(facts, local, tables)
    m, count = len(local.slots), 0
    for i in lines:
        count += int(facts.wanted[i])
    if count == 0:
        offer(facts, local, best)
        return True, 1
    # by unit: its place among the lines, the slots by price, the way taken and what is paid before
    owner, ways = np.empty(count, np.int64), np.empty((count, m), np.int64)
    count = 0
    for place in range(len(lines)):
        ranked = np.argsort(extra[:, lines[place]].copy(), kind="mergesort")
        for _ in range(int(facts.wanted[lines[place]])):
            owner[count] = place
            ways[count] = ranked
            count += 1
    way = np.full(count, -1, np.int64)
    paid = np.zeros(count + 1)
    paid[0] = start[0]
    depth, tries, placed_now = 0, 0, False
    while depth >= 0:
        i = lines[owner[depth]]
        grams = facts.grams[i]
        if placed_now:
            a = ways[depth, way[depth]]
            local.share[a, i] -= 1
            local.loads[a] -= grams
            placed_now = False
        way[depth] += 1
        if way[depth] >= m:
            depth -= 1
            placed_now = depth >= 0
            continue
        tries += 1
        if tries > TRIES_MAX:
            return False, tries
        a = ways[depth, way[depth]]
        if local.share[a, i] >= local.most[a, i] or local.loads[a] + grams > local.caps[a]:
            continue
        later = depth + 1
        cost = paid[depth] + extra[a, i]
        ended = later == count or owner[later] != owner[depth]
        if cost + rest[owner[depth] + 1] > best.objective[0] - 1 + SLACK_MINOR:
            way[depth] = m
            continue
        local.share[a, i] += 1
        local.loads[a] += grams
        placed_now = True
        if later == count:
            offer(facts, local, best)
            continue
        if ended:
            lost, idle = 0.0, 0.0
            for b in range(m):
                empty = local.caps[b] - local.loads[b] - able[owner[later], b]
                if empty > 0:
                    idle += empty
                    lost += empty * local.multipliers[b]
            least = cost + rest[owner[later]] + lost
            if idle > start[1] or least > best.objective[0] - 1 + SLACK_MINOR:
                continue
        paid[later] = cost
        # units of a line go to slots in the order of their price, so no sharing is tried twice
        way[later] = -1 if ended else way[depth] - 1
        depth = later
        placed_now = False
    return True, tries
