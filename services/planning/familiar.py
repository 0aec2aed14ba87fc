"""Questions about availability that came before, as they stand in an address.

A page of products asks the same with every visit. What it asks is made ready once, and from the
second time on the whole answer is kept, with all that it follows from. An answer that would be
written otherwise now is never given again, so no time is set and nothing needs to be told.
"""

from datetime import date
from weakref import ref

import msgspec

from inventory.slices import Ints
from inventory.view import StockView
from services.planning.availability import Query
from services.planning.prospects import Prospect

QUESTION_BYTES = 1_000
"""What a question takes beside its address and its answer."""
ADDRESS_SHARE = 8
"""Bytes that an address and what it says take together, for each byte of the address."""
STAMP_BYTES = 16
"""What an answer takes for each of its skus beside the text."""


class Whole(msgspec.Struct, frozen=True, eq=False):
    """An answer, and what it follows from."""

    prospect: "ref[Prospect]"
    """Weak: one that is out of date shall not stay for the sake of answers that are, too."""
    today: date
    slots: Ints
    """The skus by slot."""
    stamps: Ints
    """The stamps that these had when it was written."""
    rest: bytes
    """All of it but how old it is."""

    @property
    def bytes(self) -> int:
        """About how many bytes this takes."""
        return len(self.rest) + STAMP_BYTES * len(self.slots)

    def holds(self, prospect: Prospect, today: date, view: StockView) -> bool:
        """Tell whether the same would be written now."""
        return (
            self.prospect() is prospect
            and self.today == today
            and view.slices.have_stamps(self.slots, self.stamps)
        )


class Familiar:
    """A question that came before."""

    __slots__ = ("query", "whole")

    def __init__(self, query: Query) -> None:
        """Remember what is asked."""
        self.query = query
        self.whole: Whole | None = None


class Questions:
    """The familiar questions of one worker, by their address.

    They are kept in two generations. When the young one has half of the bytes allowed, it becomes
    the old one and what was old is forgotten, so that what is asked often stays.
    """

    def __init__(self, bytes_max: int) -> None:
        """Keep at most about `bytes_max`; with 0 nothing is kept."""
        self.bytes_max = bytes_max
        self.young: dict[bytes, Familiar] = {}
        self.old: dict[bytes, Familiar] = {}
        self.young_bytes = 0

    def find(self, address: bytes) -> Familiar | None:
        """Return the question of an address; one of the old generation is young again by that."""
        found = self.young.get(address)
        if found is None:
            found = self.old.pop(address, None)
            if found is not None:
                self.add(address, found)
        return found

    def add(self, address: bytes, question: Familiar) -> None:
        """Remember a question, unless it is known."""
        if not self.bytes_max or address in self.young:
            return
        size = QUESTION_BYTES + ADDRESS_SHARE * len(address)
        self.young[address] = question
        self.grow(size + (question.whole.bytes if question.whole else 0))

    def keep(self, question: Familiar, whole: Whole) -> None:
        """Keep the answer of a question, in place of the one that it had."""
        before = question.whole.bytes if question.whole else 0
        question.whole = whole
        self.grow(whole.bytes - before)

    def grow(self, more: int) -> None:
        """Count bytes more, and begin a generation where the young one has grown up."""
        self.young_bytes += more
        if self.young_bytes * 2 > self.bytes_max:
            self.old, self.young, self.young_bytes = self.young, {}, 0

    def forget(self) -> None:
        """Forget all."""
        self.young, self.old, self.young_bytes = {}, {}, 0
