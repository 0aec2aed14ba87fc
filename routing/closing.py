"""Slots opened and price steps paid: the cheapest way to share the units, by branch and bound.

Every line has ways to be shared. Prices per gram say which of them can be part of a cheaper plan;
where that leaves more than one plan, one line is given each of its ways in turn, and prices move
again for the rest.
"""

from typing import NamedTuple

import numpy as np

from routing.climbing import begun, noted, stepped
from routing.compiled import compiled
from routing.facts import SLACK_MINOR, Facts, Floats
from routing.grid import Ints
from routing.sharing import CAP, GRAM, Best, Sharing, beaten, late, offer, spread_all
from routing.ways import CLOSED, UNDECIDED, Ways, listed

ROUNDS_FIRST, ROUNDS = 24, 8
"""Adjustments of the prices per gram for the whole choice, and for each part of it."""


class Tree(NamedTuple):
    """The parts on the way to the one looked at, by depth; each fixes a line more."""

    live: Ints
    """`[F + 1, W]`: ways that are left, line by line."""
    starts: Ints
    """`[F + 1, F + 1]`: where those of each line begin."""
    prices: Floats
    """`[F + 1, m]`: prices per gram to begin with."""
    line: Ints
    """`[F + 1]`: the line that is given each of its ways."""
    todo: Ints
    """`[F + 1, W]`: those it was not given yet, the most promising last."""
    left: Ints
    """`[F + 1]`: how many."""
    picked: Ints
    """`[F]`: the cheapest way of each line at the prices tried."""
    above: Floats
    """`[W]`: what a way costs more than that at the best prices."""


@compiled
def closed(
    facts: Facts, local: Sharing, best: Best, paid: float, parts_max: int
) -> tuple[bool, int]:
    """Look for the cheapest plan under the caps; `paid` are its slots and price steps.

    Returns whether no cheaper one than the incumbent is left, and the work done.
    """
    bound = paid + spread_all(local) - (local.numbers[GRAM] * local.numbers[CAP]).sum()
    alike = len(facts.bonds.most) == 0
    outcome, ways = listed(local, paid, best.objective[0] - 1 + SLACK_MINOR - bound, alike)
    work = 20 * len(local.wanted)
    if outcome != UNDECIDED:
        return outcome == CLOSED, work
    if len(ways.lines) == 0:
        offer(facts, local, best)
        return True, work
    tree = _tree(ways, local.numbers[GRAM])
    depth, parts = 0, 0
    while depth >= 0:
        parts += 1
        if parts > parts_max or late(best):
            return False, work
        rounds = ROUNDS if depth else ROUNDS_FIRST
        work += rounds * tree.starts[depth, len(ways.lines)] * len(local.slots) // 4
        line = bounded(facts, (local, ways, tree), best, depth, rounds)
        if line >= 0:
            ranked(tree, depth, line)
            depth += 1
        while depth > 0 and not given(ways, tree, depth):
            depth -= 1
        if depth == 0:
            break
    return True, work


@compiled
def _tree(ways: Ways, prices: Floats) -> Tree:
    """The whole choice as the only part."""
    depths, total, m = len(ways.lines) + 1, len(ways.cost), len(prices)
    tree = Tree(
        np.empty((depths, total), np.int64),
        np.empty((depths, depths), np.int64),
        np.empty((depths, m)),
        np.empty(depths, np.int64),
        np.empty((depths, total), np.int64),
        np.zeros(depths, np.int64),
        np.zeros(depths - 1, np.int64),
        np.empty(total),
    )
    tree.live[0] = np.arange(total)
    tree.starts[0] = ways.starts
    tree.prices[0] = prices
    return tree


@compiled
def ceiling(ways: Ways, tree: Tree, best: Best, depth: int) -> float:
    """The most that a cheaper plan of a part can cost.

    Costs of its plans differ by multiples of what the costs of every line's ways differ by.
    """
    live, starts = tree.live[depth], tree.starts[depth]
    step, some = 0, ways.paid[0]
    for f in range(len(ways.lines)):
        first = ways.cost[live[starts[f]]]
        some += first
        if step != 1:
            for place in range(starts[f] + 1, starts[f + 1]):
                rest = abs(ways.cost[live[place]] - first)
                while rest:
                    step, rest = rest, step % rest
    cheaper = best.objective[0] - 1
    if step:
        return float(cheaper - (cheaper - some) % step)
    return float(min(cheaper, some))


@compiled
def bounded(
    facts: Facts, state: tuple[Sharing, Ways, Tree], best: Best, depth: int, rounds: int
) -> int:
    """Bound a part by prices per gram and drop the ways that no cheaper plan has.

    Returns the line to branch on, -1 where the part is done. Plans met on the way that fit are
    offered.
    """
    local, ways, tree = state
    most = ceiling(ways, tree, best, depth) + SLACK_MINOR
    gram = tree.prices[depth].copy()
    climb, over, found = begun(gram), np.empty(len(gram)), -1e300
    for _ in range(rounds):
        value = ways.paid[0] + cheapest(ways, tree, depth, gram, over)
        for a in range(len(gram)):
            value -= gram[a] * ways.room[a]
        if over.max() <= 0:
            shared(facts, local, ways, tree, best)
        found = noted(climb, gram, value)
        if found > most or beaten(best, found):
            return -1
        if not stepped(climb, gram, over, best.objective[0]):
            break
    tree.prices[depth] = climb.keep
    most = min(most, best.objective[0] - 1 + SLACK_MINOR)
    return pruned(facts, state, best, depth, most - found)


@compiled
def cheapest(ways: Ways, tree: Tree, depth: int, gram: Floats, over: Floats) -> float:
    """Pick the cheapest way of every line at prices per gram; what they cost, grams included.

    Sets the grams above the caps.
    """
    live, starts, picked = tree.live[depth], tree.starts[depth], tree.picked
    cost, load, room = ways.cost, ways.load, ways.room
    total, m = 0.0, len(gram)
    for a in range(m):
        over[a] = -room[a]
    for f in range(len(picked)):
        least, chosen = 1e300, 0
        for place in range(starts[f], starts[f + 1]):
            way = live[place]
            price = float(cost[way])
            for a in range(m):
                price += gram[a] * load[way, a]
            if price < least:
                least, chosen = price, way
        total += least
        picked[f] = chosen
        for a in range(m):
            over[a] += load[chosen, a]
    return total


@compiled
def shared(facts: Facts, local: Sharing, ways: Ways, tree: Tree, best: Best) -> None:
    """Offer the plan of the ways picked."""
    for f in range(len(ways.lines)):
        local.share[:, ways.lines[f]] = ways.counts[tree.picked[f]]
    offer(facts, local, best)


@compiled
def pruned(
    facts: Facts, state: tuple[Sharing, Ways, Tree], best: Best, depth: int, room: float
) -> int:
    """Drop the ways that cost more than `room` above the cheapest at the best prices.

    Returns the heaviest line with several ways left, -1 where the part is done.
    """
    local, ways, tree = state
    m, gram, starts, live = len(ways.room), tree.prices[depth], tree.starts[depth], tree.live[depth]
    cost, load, above, lines, grams = ways.cost, ways.load, tree.above, ways.lines, local.grams
    needed = np.zeros(m)
    count, chosen, most = 0, -1, -1.0
    for f in range(len(lines)):
        least, first = 1e300, count
        for place in range(starts[f], starts[f + 1]):
            way = live[place]
            price = float(cost[way])
            for a in range(m):
                price += gram[a] * load[way, a]
            above[way] = price
            least = min(least, price)
        before, starts[f] = starts[f], count
        for place in range(before, starts[f + 1]):
            way = live[place]
            above[way] -= least
            if above[way] <= room:
                live[count] = way
                count += 1
        lightest(load, live[first:count], needed)
        tree.picked[f] = live[first]
        if count > first + 1 and grams[lines[f]] > most:
            chosen, most = f, grams[lines[f]]
    starts[len(lines)] = count
    if (needed > ways.room).any():
        return -1
    if chosen < 0:
        shared(facts, local, ways, tree, best)
    return chosen


@compiled
def lightest(load: Floats, ways: Ints, needed: Floats) -> None:
    """Add to what each slot needs at least the least grams of it in any of a line's ways."""
    for a in range(len(needed)):
        low = load[ways[0], a]
        for place in range(1, len(ways)):
            low = min(low, load[ways[place], a])
        needed[a] += low


@compiled
def ranked(tree: Tree, depth: int, line: int) -> None:
    """Note the ways to give a line at a depth, the most promising last."""
    tree.line[depth] = line
    count = 0
    for place in range(tree.starts[depth, line], tree.starts[depth, line + 1]):
        way, before = tree.live[depth, place], count
        while before > 0 and tree.above[tree.todo[depth, before - 1]] < tree.above[way]:
            tree.todo[depth, before] = tree.todo[depth, before - 1]
            before -= 1
        tree.todo[depth, before] = way
        count += 1
    tree.left[depth] = count


@compiled
def given(ways: Ways, tree: Tree, depth: int) -> bool:
    """Give the line of the depth above its next way, for the part at this depth; whether there is.

    Lines that cannot be told apart take their ways in ascending order, since any plan can be put so.
    """
    above = depth - 1
    line, lines = tree.line[above], len(ways.lines)
    begun, starts, live = tree.starts[above], tree.starts[depth], tree.live[depth]
    former, first, twins = tree.live[above], ways.starts, ways.twins
    while tree.left[above] > 0:
        tree.left[above] -= 1
        way, count, empty = tree.todo[above, tree.left[above]], 0, False
        for f in range(lines):
            starts[f] = count
            rank = way - first[line] + first[f]
            twin = twins[f] == twins[line]
            for place in range(begun[f], begun[f + 1]):
                other = former[place]
                if f == line:
                    fits = other == way
                else:
                    fits = not twin or (other <= rank if f < line else other >= rank)
                if fits:
                    live[count] = other
                    count += 1
            empty = empty or count == starts[f]
        if not empty:
            starts[lines] = count
            tree.prices[depth] = tree.prices[above]
            return True
    return False
