"""Plans whose loads nearly fit, mended by moving and swapping single units."""

import numpy as np

from routing.compiled import compiled
from routing.facts import Facts, Floats
from routing.grid import Ints
from routing.sharing import CAP, LOAD, Best, Sharing, Tables, late, offer, tables_of

__all__ = ["polish"]

OVER_MINOR = 1.0
"""Price of a gram above a cap while units are moved."""

POLISH_TURNS = 12
"""Times all units are looked at for a better place."""


@compiled
def polish(facts: Facts, local: Sharing, best: Best) -> int:
    """Move and swap single units until all loads fit their caps, cheaply; offer what comes of it.

    Returns how many moves were looked at.
    """
    m, lines = local.most.shape
    units = tables_of(local)
    over = local.numbers[LOAD] - local.numbers[CAP]
    looked = 0
    for _ in range(POLISH_TURNS):
        looked += m * m * lines
        changed = moved(units, over)
        for a in range(m):
            if not changed and over[a] > 0 and not late(best):
                looked += m * lines * lines // 4
                changed = swapped(units, over, a)
        if not changed:
            break
    local.numbers[LOAD] = over + local.numbers[CAP]
    if (over <= 0).all():
        offer(facts, local, best)
    return looked


@compiled
def moved(units: Tables, over: Floats) -> bool:
    """Move units of any line wherever that saves something; whether any were.

    `over` are the grams of each slot above its cap.
    """
    share, most, _, _, _, grams = units
    m, lines = share.shape
    changed = False
    for i in range(lines):
        for a in range(m):
            for b in range(m):
                if a != b and share[a, i] > 0 and share[b, i] < most[b, i]:
                    gain = lighter(over[a], over[b], grams[i]) + gained(units, i, a, b)
                    if gain > 1e-6:
                        move(share, over, (i, a, b), grams[i])
                        changed = True
    return changed


@compiled
def swapped(units: Tables, over: Floats, a: int) -> bool:
    """Make the best swap of a unit in slot `a` with one elsewhere; whether there was any."""
    share, grams = units[0], units[5]
    found, best_b, best_i, best_j = 1e-6, -1, -1, -1
    for b in range(len(share)):
        if b == a:
            continue
        there, back = leaving(units, a, b), leaving(units, b, a)
        for i in np.flatnonzero(there > -1e299):
            for j in np.flatnonzero(back > -1e299):
                gain = there[i] + back[j] + lighter(over[a], over[b], grams[i] - grams[j])
                if gain > found and j != i:
                    found, best_b, best_i, best_j = gain, b, int(i), int(j)
    if best_b < 0:
        return False
    move(share, over, (best_i, a, best_b), grams[best_i])
    move(share, over, (best_j, best_b, a), grams[best_j])
    return True


@compiled
def leaving(units: Tables, a: int, b: int) -> Floats:
    """`[I]`: what moving a unit from slot `a` to slot `b` saves, its grams aside; -1e300 if none can."""
    share, most = units[0], units[1]
    found = np.full(share.shape[1], -1e300)
    for i in range(len(found)):
        if share[a, i] > 0 and share[b, i] < most[b, i]:
            found[i] = gained(units, i, a, b)
    return found


@compiled
def gained(units: Tables, i: int, a: int, b: int) -> float:
    """What moving a unit of a line from one slot to another saves, its grams aside."""
    share, _, times, each, wanted, _ = units
    saved = each[a, i] - each[b, i]
    if wanted[i] == 1:
        return float(saved + times[a, i] - times[b, i])
    before, after = 0, times[b, i]
    for c in range(len(share)):
        if share[c, i] > 0:
            before = max(before, times[c, i])
            if c != a or share[c, i] > 1:
                after = max(after, times[c, i])
    return float(saved + before - after)


@compiled
def lighter(first: float, second: float, grams: float) -> float:
    """What is saved on load above the caps when some grams move from one slot to another."""
    before = max(0.0, first) + max(0.0, second)
    return OVER_MINOR * (before - max(0.0, first - grams) - max(0.0, second + grams))


@compiled
def move(share: Ints, over: Floats, what: tuple[int, int, int], grams: float) -> None:
    """Move one unit of line `i` from slot `a` to slot `b`; `what` is these three."""
    i, a, b = what
    share[a, i] -= 1
    share[b, i] += 1
    over[a] -= grams
    over[b] += grams
