"""How likely a node refuses a line: its own answers, weighed against what is usual.

A node that has answered ten times and refused once is not known to refuse one in ten. So every
chance is drawn towards the one above it, the more so the fewer answers there are: all nodes, the
node, the node for a category, the node for a category at a time of day.
"""

from collections.abc import Mapping, Sequence

import msgspec

from inventory.tables import ANY

DAY_PARTS = 4
"""Night, morning, afternoon and evening: staff and their work change with them."""
ALL_DAY = -1
PRIOR_LINES = 20.0
"""Answers of its own that count as much as what is usual in the group above."""
UNSEEN = (0.5, 0.5)
"""Refused and taken on of all nodes before anything was seen (Jeffreys' prior)."""

Key = tuple[str, str, int]
"""Node, category and part of the day; `ANY` and `ALL_DAY` for all of them."""


class Seen(msgspec.Struct, frozen=True):
    """Lines that nodes have answered; older ones count less, so these are no whole numbers."""

    node_id: str
    category: str
    day_part: int
    asked: float
    refused: float


class Refusal(msgspec.Struct, frozen=True):
    """How likely a node refuses a line of a category at a part of its local day."""

    node_id: str
    category: str
    day_part: int
    asked: float
    refused: float
    chance: float


def learned(seen: Sequence[Seen], prior_lines: float = PRIOR_LINES) -> list[Refusal]:
    """Return the chances of all nodes, of each node, and of what each has answered for, by key.

    Formula: refusals of n lines are binomial, their chance has a Beta distribution with the mean p
    of the group above and the weight k of `prior_lines`; what is left after r of n were refused has
    the mean (r + k p) / (n + k). Gelman and others, Bayesian Data Analysis, 3rd edition, sections
    2.4 and 5.3; the chances of the groups are estimates themselves, as in empirical Bayes. Nothing
    is returned where nothing was seen.
    """
    if not seen:
        return []
    sums = summed(seen)
    asked, refused = sums[ANY, ANY, ALL_DAY]
    chances = {(ANY, ANY, ALL_DAY): (refused + UNSEEN[0]) / (asked + sum(UNSEEN))}
    # A group comes after the one above it: there are more parts of the key that are not for all.
    for key in sorted(sums, key=depth):
        if depth(key):
            asked, refused = sums[key]
            usual = chances[above(key)]
            chances[key] = (refused + prior_lines * usual) / (asked + prior_lines)
    return [Refusal(*key, *sums[key], chances[key]) for key in sorted(sums)]


def summed(seen: Sequence[Seen]) -> Mapping[Key, tuple[float, float]]:
    """Return lines asked and refused of each group."""
    sums: dict[Key, tuple[float, float]] = {}
    for each in seen:
        key: Key = each.node_id, each.category, each.day_part
        while True:
            asked, refused = sums.get(key, (0.0, 0.0))
            sums[key] = asked + each.asked, refused + each.refused
            if not depth(key):
                break
            key = above(key)
    return sums


def depth(key: Key) -> int:
    """Return how many groups are above this one.

    The part of the day decides first: an item may be in a category that is called `*`.
    """
    node_id, category, day_part = key
    if day_part != ALL_DAY:
        return 3
    return 0 if node_id == ANY else 1 if category == ANY else 2


def above(key: Key) -> Key:
    """Return the group above one that is not for all nodes."""
    node_id, category, _ = key
    return (
        (ANY, ANY, ALL_DAY),
        (node_id, ANY, ALL_DAY),
        (node_id, category, ALL_DAY),
    )[depth(key) - 1]


def day_part(hour: int) -> int:
    """Return the part of the day that an hour from 0 to 23 is in."""
    return hour * DAY_PARTS // 24
