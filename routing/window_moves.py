"""In which order moves can be made, each finding what it takes free when its turn comes."""

from collections.abc import Sequence

from routing.grid import Ints
from routing.window_ground import Column

__all__ = ["grouped"]


def grouped(
    moves: Sequence[tuple[Column, Column]], free: tuple[Ints, Ints]
) -> tuple[tuple[int, ...], ...]:
    """Groups of moves, by position: each fits into what is free once those before it are made.

    A move is what an order has and what it gets. What fits alone is a group of its own, in the
    order given. Where none does they wait for each other, in a ring or a chain into one: then the
    one that lacks least takes along those that free what it lacks, as few as that takes.
    `free` is by cell and by capacity, and is used up.
    """
    waiting = list(range(len(moves)))
    groups: list[tuple[int, ...]] = []
    while waiting:
        alone = [n for n in waiting if not _lacking([moves[n]], free)]
        if alone:
            group = [alone[0]]
        else:
            group = min((_ring(n, moves, waiting, free) for n in waiting), key=len)
        for n in group:
            _make(moves[n], free)
            waiting.remove(n)
        groups.append(tuple(sorted(group)))
    return tuple(groups)


def _ring(
    start: int,
    moves: Sequence[tuple[Column, Column]],
    waiting: Sequence[int],
    free: tuple[Ints, Ints],
) -> list[int]:
    """A move and those it needs, made in one step: whoever frees what is lacking is taken along."""
    group = [start]
    while lacking := _lacking([moves[n] for n in group], free):
        kind, place = lacking
        group.append(
            next(n for n in waiting if n not in group and _freed(moves[n], kind, place) > 0)
        )
    return group


def _balance(moves: Sequence[tuple[Column, Column]]) -> dict[tuple[int, int], int]:
    """What moves take in all of each cell and capacity; negative where they free more."""
    taken: dict[tuple[int, int], int] = {}
    for before, after in moves:
        for column, sign in ((before, -1), (after, 1)):
            for kind, places in enumerate((column.cells, column.rooms)):
                for place, units in places:
                    taken[kind, place] = taken.get((kind, place), 0) + sign * units
    return taken


def _lacking(
    moves: Sequence[tuple[Column, Column]], free: tuple[Ints, Ints]
) -> tuple[int, int] | None:
    """The first cell or capacity of which moves made in one step take more than there is."""
    return next(
        (
            key
            for key, units in sorted(_balance(moves).items())
            if units > 0 and units > free[key[0]][key[1]]
        ),
        None,
    )


def _freed(move: tuple[Column, Column], kind: int, place: int) -> int:
    return -_balance([move]).get((kind, place), 0)


def _make(move: tuple[Column, Column], free: tuple[Ints, Ints]) -> None:
    for (kind, place), units in _balance([move]).items():
        free[kind][place] -= units
