"""How many connections each worker holds, told to the others, so that none takes more than its share.

Whoever wakes first takes all connections that wait, and a checkout opens its own all at once and
keeps them: one worker would decide every order while the others have nothing to do.
"""

import mmap
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

NUMBER_BYTES = 8
SLACK = 8
"""One in so many connections a worker may hold beyond another, so that a burst is taken fast."""


@contextmanager
def shared(workers: int) -> Iterator[int]:
    """Yield the descriptor of a file with a number for each worker, for them to inherit."""
    with tempfile.TemporaryFile() as file:
        file.truncate(workers * NUMBER_BYTES)
        yield file.fileno()


class Share:
    """The place of one worker among those of a service."""

    def __init__(self, file: int, place: int, held: Callable[[], int]) -> None:
        """Take the place, counted from 0, in the file of `shared`; nothing is told yet.

        `held` says how many connections the worker holds.
        """
        self.numbers = memoryview(mmap.mmap(file, 0)).cast("q")
        """By worker, the connections it holds and one more; 0 of one that takes none."""
        self.place = place
        self.held = held

    def leave(self) -> None:
        """Say that this worker takes no more."""
        self.numbers[self.place] = 0

    def ahead(self, begun: int = 0) -> bool:
        """Tell whether another worker holds so many fewer connections that the next is its.

        It also says how many this worker holds, with those `begun` which it does not count yet.
        """
        held = self.held() + begun
        self.numbers[self.place] = held + 1
        places = enumerate(self.numbers)
        others = [number - 1 for place, number in places if number and place != self.place]
        return bool(others) and held - min(others) > held // SLACK
