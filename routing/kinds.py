"""Nodes that an order can tell apart by nothing but their stock, and prices it brings with it."""

from itertools import pairwise

import numpy as np

from routing.grid import Ints

__all__ = ["kinds_of", "samples"]


def kinds_of(own: tuple[Ints, ...], lane_starts: Ints, ways: tuple[Ints, ...]) -> tuple[Ints, Ints]:
    """The kind of each row, `[R]`, and a row of each kind.

    Rows of a kind are alike in all columns of `own`, each `[R]`, and lane by lane in those of
    `ways`, each `[L]`.
    """
    different: dict[tuple[int, ...], int] = {}
    lanes = [different.setdefault(way, len(different)) for way in _tuples(ways)]
    found: dict[tuple[int, ...], int] = {}
    spans = pairwise(lane_starts.tolist())
    kinds = [
        found.setdefault((*each, *lanes[first:last]), len(found))
        for each, (first, last) in zip(_tuples(own), spans, strict=True)
    ]
    kind = np.array(kinds, np.int64)
    return kind, samples(kind)


def samples(kind: Ints) -> Ints:
    """A row of each kind; 0 for a kind without rows."""
    found = np.zeros(int(kind.max(initial=-1)) + 1, np.int64)
    found[kind] = np.arange(len(kind))
    return found


def _tuples(columns: tuple[Ints, ...]) -> list[tuple[int, ...]]:
    return [*zip(*(column.tolist() for column in columns), strict=True)]
