"""Which slots prices suggest to open: one after another, the one that costs least for its worth."""

from routing.ascent import FORCED, FREE, Ascent
from routing.compiled import compiled
from routing.facts import REAL, Bools, Bytes, Facts, Floats, parcel_minor

__all__ = ["needed", "suggested"]


@compiled
def suggested(facts: Facts, room: Ascent, status: Bytes, without: int) -> Bools:
    """The forced slots and, until all is held, the free ones that cost least for what is worth most.

    None without slots enough.
    """
    likely: Bools = status == FORCED
    left = facts.wanted.copy()
    for k in range(facts.prices[REAL]):
        if likely[k]:
            for n in range(facts.starts[k], facts.starts[k + 1]):
                left[facts.lines[n]] -= facts.most[n]
    while left.max() > 0:
        chosen, least = -1, 1e300
        for k in range(facts.prices[REAL]):
            if status[k] == FREE and not likely[k] and k != without:
                share = costs_for(facts, room, k, left)
                if share < least:
                    chosen, least = k, share
        if chosen < 0:
            break
        likely[chosen] = True
        for n in range(facts.starts[chosen], facts.starts[chosen + 1]):
            left[facts.lines[n]] -= facts.most[n]
    spared(facts, status, likely, left)
    return likely


@compiled
def spared(facts: Facts, status: Bytes, likely: Bools, left: Floats) -> None:
    """Leave out free slots that the others of a set can do without, of which `left` is not held."""
    for k in range(facts.prices[REAL]):
        if likely[k] and status[k] == FREE and not needed(facts, k, facts.wanted - left):
            likely[k] = False
            for n in range(facts.starts[k], facts.starts[k + 1]):
                left[facts.lines[n]] += facts.most[n]


@compiled
def costs_for(facts: Facts, room: Ascent, k: int, left: Floats) -> float:
    """What a slot costs for the units still left, by what they are worth."""
    worth, costs, load = 0.0, facts.opening[k], 0.0
    for n in range(facts.starts[k], facts.starts[k + 1]):
        i = facts.lines[n]
        new = min(facts.most[n], left[i])
        if new > 0:
            worth += room.prices[i] * new
            costs += facts.costs[n] * new
            load += facts.grams[i] * new
    if worth <= 0:
        return 1e300
    price: float = (costs + parcel_minor(facts, k, int(load))) / worth
    return price


@compiled
def needed(facts: Facts, k: int, held: Floats) -> bool:
    """Whether without slot `k` too few of the units `held` in all would be left."""
    for n in range(facts.starts[k], facts.starts[k + 1]):
        i = facts.lines[n]
        if held[i] - facts.most[n] < facts.wanted[i]:
            return True
    return False
