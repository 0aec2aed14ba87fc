"""Nodes that an order can tell apart by nothing but their stock, and prices it brings with it."""

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from routing.grid import Ints

__all__ = ["NONE", "Kinds", "apart", "kinds_of"]

NONE: Ints = np.zeros(0, np.int64)


class Kinds(NamedTuple):
    """The kinds of R rows."""

    kind: Ints = NONE
    """`[R]`: its number."""
    kind_rows: Ints = NONE
    """A row of each kind; any for a kind without rows."""
    kind_starts: Ints = NONE
    """Where the rows of each kind begin among those by kind; empty where that is not known."""
    rows_by_kind: Ints = NONE
    """`[R]`: rows by kind, ascending in each."""


def kinds_of(own: tuple[Ints, ...], lane_starts: Ints, ways: tuple[Ints, ...]) -> Kinds:
    """The kinds of rows: of one are those alike in all columns of `own`, and lane by lane of `ways`.

    Columns of `own` are `[R]`, those of `ways` `[L]`.
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
    starts = np.concatenate([[0], np.cumsum(np.bincount(kind))]).astype(np.int64)
    return Kinds(kind, _samples(kind), starts, np.argsort(kind, kind="stable").astype(np.int64))


def apart(kind: Ints, rows: Iterable[int]) -> Kinds:
    """Kinds in which each of `rows` is one of its own: less work than to find all kinds anew."""
    found, count = kind.copy(), int(kind.max(initial=-1)) + 1
    for number, row in enumerate(rows):
        found[row] = count + number
    return Kinds(found, _samples(found))


def _samples(kind: Ints) -> Ints:
    found = np.zeros(int(kind.max(initial=-1)) + 1, np.int64)
    found[kind] = np.arange(len(kind))
    return found


def _tuples(columns: tuple[Ints, ...]) -> list[tuple[int, ...]]:
    return [*zip(*(column.tolist() for column in columns), strict=True)]
