"""Which sets of slots could still beat the incumbent: a search under the bound by prices.

Each step forces a slot open or shuts it, and moves prices again for what is left. A part is given
up only when its bound reaches the incumbent, so the plans not looked at are none that are cheaper.
"""

from typing import NamedTuple

import numpy as np

from routing.ascent import FORCED, FREE, SHUT, Ascent, ascend
from routing.bonds import Bonds
from routing.compiled import compiled
from routing.facts import MISSING, REAL, Bools, Bytes, Facts, Floats
from routing.grid import Ints
from routing.likely import needed, suggested
from routing.settle import settle
from routing.sharing import Best, ascending, beaten, late, wide

PARTS_MAX = 4_096
"""Parts waiting at a time."""

STUCK_MAX = 64
"""Sets of slots not closed that are told apart."""

PARTS_MANY = PARTS_MAX * 3 // 4
"""With so many, the last one is taken, whose own parts are soonest done with, so that none is lost."""

TRIED_MAX = 4_096
"""Sets of slots remembered as tried, a power of two."""

CLOSING, GUESS_CLOSING = 100, 10
"""Parts looked at to share units among a set of slots, and among one that is a guess."""

GUESS_SLOTS_MAX = 12
"""Slots opened at once by a plan worth trying for the sake of the incumbent."""

ROUNDS_FIRST, ROUNDS_SECOND, ROUNDS = 24, 60, 20
"""Price adjustments for the whole order, for what is left of it then, and for each part."""

ROUNDS_LEAST, PAIRS_LEAST = 16, 200_000
"""Adjustments for the whole order whatever the time, as long as they look at no more pairs of a slot
and a line than that, some nanoseconds each."""


class Parts(NamedTuple):
    """What is left to explore, P parts at most; and what could not be closed."""

    status: Bytes
    """`[P, K]`: SHUT, FREE or FORCED."""
    prices: Floats
    """`[P, I]`: prices to begin with."""
    value: Floats
    """`[P]`: no plan of the part has a smaller objective."""
    stuck_status: Bytes
    """`[S, K]`: sets of slots that could not be closed."""
    stuck_value: Floats
    """`[S]`"""
    tried: Ints
    """`[H]`: a mark for every set of slots tried for the sake of the incumbent."""
    counts: Ints
    """`[4]`: parts waiting, parts looked at, sets stuck, whether parts were lost for want of room."""
    least: Floats
    """`[K]`: no plan at all that opens the slot has a smaller objective, from the whole order."""


WAITING, SEEN, STUCK, LOST = range(4)


@compiled
def whole(facts: Facts, prices: Floats, least: float) -> Parts:
    """The whole order as the only part, of which no cheaper plan costs less than `least`."""
    slots, lines = len(facts.opening), len(facts.wanted)
    parts = Parts(
        np.empty((PARTS_MAX, slots), np.int8),
        np.empty((PARTS_MAX, lines)),
        np.empty(PARTS_MAX),
        np.empty((STUCK_MAX, slots), np.int8),
        np.empty(STUCK_MAX),
        np.zeros(TRIED_MAX, np.int64),
        np.zeros(4, np.int64),
        np.zeros(slots),
    )
    parts.status[0] = FREE
    for k in range(facts.prices[REAL], slots):
        parts.status[0, k] = FORCED
    parts.prices[0] = prices
    parts.value[0] = max(least, float(facts.prices[MISSING]))
    parts.counts[WAITING] = 1
    return parts


@compiled
def advance(facts: Facts, room: Ascent, parts: Parts, best: Best, hopeful_until: float) -> bool:
    """Explore parts until nothing is left or the time is over; the whole order in any case.

    Its bound is what is told of an order that there was no time for. False when the rest was given
    up, as after `hopeful_until` wherever the gap is wide.
    """
    status = np.empty(len(facts.opening), np.int8)
    while parts.counts[WAITING] > 0 and not (parts.counts[SEEN] and late(best)):
        place = parts.counts[WAITING] - 1
        if place < PARTS_MANY:
            for other in range(place, -1, -1):
                if parts.value[other] < parts.value[place]:
                    place = other
        value = parts.value[place]
        if parts.counts[SEEN] and wide(best, value, hopeful_until):
            return False
        status[:] = parts.status[place]
        room.trial[:] = parts.prices[place]
        last = parts.counts[WAITING] - 1
        parts.counts[WAITING] = last
        parts.status[place] = parts.status[last]
        parts.prices[place] = parts.prices[last]
        parts.value[place] = parts.value[last]
        if not beaten(best, value) and rationed(facts.bonds, status):
            explore(facts, room, parts, best, (status, value))
    return True


@compiled
def rationed(bonds: Bonds, status: Bytes) -> bool:
    """Shut the slots that limits on slots opened leave no room for; whether all forced have some."""
    for limit in range(len(bonds.open_most)):
        slots = bonds.open_slots[bonds.open_starts[limit] : bonds.open_starts[limit + 1]]
        forced = (status[slots] == FORCED).sum()
        if forced > bonds.open_most[limit]:
            return False
        if forced == bonds.open_most[limit]:
            for k in slots:
                if status[k] == FREE:
                    status[k] = SHUT
    return True


@compiled
def explore(
    facts: Facts, room: Ascent, parts: Parts, best: Best, part: tuple[Bytes, float]
) -> None:
    """Bound a part and split it; nothing more when it is given up."""
    status, value = part
    if not covers(facts, status, FREE):
        return
    seen = parts.counts[SEEN]
    parts.counts[SEEN] = seen + 1
    rounds = ROUNDS_FIRST if seen == 0 else ROUNDS_SECOND if seen == 1 else ROUNDS
    rounds_least = min(ROUNDS_LEAST, 1 + PAIRS_LEAST // len(facts.lines)) if seen == 0 else 1
    found = ascend(facts, room, status, best, (rounds, rounds_least))
    value = max(value, found)
    if seen < 2:
        # The second look is at what can still beat the incumbent; all else costs at least as much.
        most = 1e300 if seen == 0 else float(best.objective[0])
        parts.least[:] = np.maximum(parts.least, np.minimum(room.least, most))
    if beaten(best, value):
        return
    if late(best):
        wait(parts, room, status, value)
        return
    guessed(facts, room, parts, best, status)
    if beaten(best, value) or not narrowed(facts, room, best, status, found):
        return
    if seen == 0 or late(best):
        wait(parts, room, status, value)
        return
    if covers(facts, status, FORCED):
        slots = np.flatnonzero(status == FORCED)
        lowest, _ = settle(facts, slots, best, CLOSING)
        if not beaten(best, max(value, lowest)):
            stick(
                parts, np.where(status == FORCED, status, SHUT).astype(np.int8), max(value, lowest)
            )
        ranked = by_rest(room, status)
    else:
        ranked = keenest(
            facts, room, by_rest(room, status), status, float(best.objective[0]) - found
        )
    split(parts, room, best, (status, value, ranked), found)


@compiled
def covers(facts: Facts, status: Bytes, least: int) -> bool:
    """Whether the slots of at least this status hold all that is wanted."""
    held = np.zeros(len(facts.wanted))
    for k in range(len(status)):
        if status[k] >= least:
            for n in range(facts.starts[k], facts.starts[k + 1]):
                held[facts.lines[n]] += facts.most[n]
    return bool((held >= facts.wanted).all())


@compiled
def narrowed(facts: Facts, room: Ascent, best: Best, status: Bytes, found: float) -> bool:
    """Shut slots that no cheaper plan opens and force those every cheaper one does, in `status`.

    Returns whether what is left can hold all that is wanted.
    """
    held = np.zeros(len(facts.wanted))
    for k in range(len(status)):
        if status[k] == FREE:
            if beaten(best, room.least[k]):
                status[k] = SHUT
            elif beaten(best, found - room.rest[k]):
                status[k] = FORCED
        if status[k] != SHUT:
            for n in range(facts.starts[k], facts.starts[k + 1]):
                held[facts.lines[n]] += facts.most[n]
    if (held < facts.wanted).any():
        return False
    for k in range(len(status)):
        if status[k] == FREE and needed(facts, k, held):
            status[k] = FORCED
    return True


@compiled
def by_rest(room: Ascent, status: Bytes) -> Ints:
    """The free slots, those first that cost least beyond the worth of their units."""
    free = np.flatnonzero(status == FREE)
    ranked: Ints = free[ascending(room.rest[free])]
    return ranked


@compiled
def keenest(facts: Facts, room: Ascent, free: Ints, status: Bytes, dearest: float) -> Ints:
    """The free slots that have units of the line whose parts look soonest done with.

    `free` are ranked by rest, and so are those returned, each a part that shuts those before it. What
    that raises the bound by, of `dearest` at most, says how much is left of the part.
    """
    lines = len(facts.wanted)
    held, raised, left = np.zeros(lines), np.zeros(lines), np.zeros(lines)
    for k in range(len(status)):
        if status[k] == FORCED:
            for n in range(facts.starts[k], facts.starts[k + 1]):
                held[facts.lines[n]] += facts.most[n]
    for k in free:
        more, less = max(0.0, room.rest[k]), max(0.0, -room.rest[k])
        for n in range(facts.starts[k], facts.starts[k + 1]):
            i = facts.lines[n]
            left[i] += max(0.0, 1.0 - (raised[i] + more) / dearest) ** 2
            raised[i] += less
    line = -1
    for i in range(lines):
        if held[i] < facts.wanted[i] and (line < 0 or left[i] < left[line]):
            line = i
    found, count = np.empty(len(free), np.int64), 0
    for k in free:
        if (facts.lines[facts.starts[k] : facts.starts[k + 1]] == line).any():
            found[count] = k
            count += 1
    return found[:count]


@compiled
def split(
    parts: Parts, room: Ascent, best: Best, part: tuple[Bytes, float, Ints], found: float
) -> None:
    """Note the plans that open one of the ranked slots and none ranked before, for each of them.

    Prices prove `found` for the part, and what shutting a slot that is worth opening raises that by.
    """
    status, value, ranked = part
    raised = 0.0
    for k in ranked:
        raised += max(0.0, -room.rest[k])
    for place in range(len(ranked) - 1, -1, -1):
        k = ranked[place]
        raised -= max(0.0, -room.rest[k])
        lowest = max(value, room.least[k], found + raised + max(0.0, room.rest[k]))
        if beaten(best, lowest):
            continue
        number = parts.counts[WAITING]
        if number == PARTS_MAX - 1:
            status[k] = FORCED
            stick(parts, status, lowest)
            status[k] = FREE
            parts.counts[LOST] = 1
            continue
        wait(parts, room, status, lowest)
        for before in range(place):
            parts.status[number, ranked[before]] = SHUT
        parts.status[number, k] = FORCED


@compiled
def wait(parts: Parts, room: Ascent, status: Bytes, value: float) -> None:
    """Put a part with those waiting, to begin with the best prices of now."""
    number = parts.counts[WAITING]
    parts.status[number] = status
    parts.prices[number] = room.prices
    parts.value[number] = value
    parts.counts[WAITING] = number + 1


@compiled
def stick(parts: Parts, status: Bytes, value: float) -> None:
    """Note a set of slots that could not be closed; beyond a limit, as one with the last noted."""
    number = parts.counts[STUCK]
    if number == STUCK_MAX:
        number -= 1
        for k in range(len(status)):
            parts.stuck_status[number, k] = max(status[k], parts.stuck_status[number, k])
        parts.stuck_value[number] = min(value, parts.stuck_value[number])
        return
    parts.stuck_status[number] = status
    parts.stuck_value[number] = value
    parts.counts[STUCK] = number + 1


@compiled
def guessed(facts: Facts, room: Ascent, parts: Parts, best: Best, status: Bytes) -> None:
    """Try the plan that prices suggest; for the whole order those without each of its slots too."""
    likely = suggested(facts, room, status, -1)
    tried(facts, parts, best, likely)
    if parts.counts[SEEN] <= 2:
        for without in range(len(likely)):
            if likely[without] and status[without] == FREE and not late(best):
                tried(facts, parts, best, suggested(facts, room, status, without))


@compiled
def tried(facts: Facts, parts: Parts, best: Best, likely: Bools) -> None:
    """Look for a cheaper plan that opens a set of slots, unless it was looked at before."""
    if 0 < likely.sum() <= GUESS_SLOTS_MAX and fresh_set(parts, likely):
        settle(facts, np.flatnonzero(likely), best, GUESS_CLOSING)


@compiled
def fresh_set(parts: Parts, likely: Bools) -> bool:
    """Whether a set of slots was not tried before; only the incumbent hangs on the answer."""
    mark = np.int64(1469598103934665603)
    for k in range(len(likely)):
        if likely[k]:
            mark = (mark ^ (k + 1)) * np.int64(1099511628211)
    place = mark & (TRIED_MAX - 1)
    if parts.tried[place] == mark:
        return False
    parts.tried[place] = mark
    return True
