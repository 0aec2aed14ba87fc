"""Questions about availability that came before, as they stand in an address.

A page of products asks the same with every visit. What it asks is made ready once, and from the
second time on the texts of its answer are kept together, with all that they follow from. Those that
would be written otherwise now are found by their stamps and written anew, so no time is set and
nothing needs to be told.
"""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple
from weakref import ref

import numpy as np

from inventory.slices import Ints
from inventory.view import StockView
from services.planning.availability import Query
from services.planning.prospects import Prospect

QUESTION_BYTES = 600
"""What a question takes beside its address and its answer."""
ADDRESS_SHARE = 6
"""Bytes that an address and what it says take together, for each byte of the address."""
SKU_BYTES = 100
"""What an answer takes for each of its skus beside the text."""


class Told(NamedTuple):
    """What an answer tells without matrix and columns, and without its age."""

    about: bytes
    """What comes before the skus."""
    skus: list[str]
    texts: list[bytes]
    """Of each sku."""
    lasts: bool
    """Whether others may have the same until a stamp changes."""


class Whole:
    """An answer, and what it follows from."""

    __slots__ = ("bytes", "prospect", "slots", "stamps", "today", "told")

    def __init__(self, told: Told, prospect: Prospect, today: date, view: StockView) -> None:
        """Keep what was told a moment ago of skus that `view` knows."""
        self.told = told
        self.prospect = ref(prospect)
        """Weak: one that is out of date shall not stay for the sake of answers that are, too."""
        self.today = today
        self.slots: Ints = np.array([view.slots[sku] for sku in told.skus], np.int64)
        self.stamps = view.slices.stamps(self.slots)
        self.bytes = sum(map(len, told.texts)) + SKU_BYTES * len(told.skus)
        """About how many it takes, as if nobody else kept the same texts."""

    def is_of(self, prospect: Prospect, today: date) -> bool:
        """Tell whether the dates in it are those of now."""
        return self.prospect() is prospect and self.today == today

    def changed(self, view: StockView) -> list[int]:
        """Return the places of skus of which something else may be written now."""
        slices, slots, stamps = view.slices, self.slots, self.stamps
        found = []
        place = slices.next_changed(slots, stamps, 0)
        while place < len(slots):
            found.append(place)
            place = slices.next_changed(slots, stamps, place + 1)
        return found

    def renew(self, places: Sequence[int], texts: Sequence[bytes], view: StockView) -> int:
        """Put texts in that were written a moment ago; return how many bytes they take more."""
        kept = self.told.texts
        before = sum(len(kept[place]) for place in places)
        for place, text in zip(places, texts, strict=True):
            kept[place] = text
        self.stamps = view.slices.stamps(self.slots)
        more = sum(map(len, texts)) - before
        self.bytes += more
        return more


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

    def keep(self, question: Familiar, whole: Whole | None) -> None:
        """Keep the answer of a question, or none, in place of the one that it had."""
        before = question.whole.bytes if question.whole else 0
        question.whole = whole
        self.grow((whole.bytes if whole else 0) - before)

    def grow(self, more: int) -> None:
        """Count bytes more, and begin a generation where the young one has grown up."""
        self.young_bytes += more
        if self.young_bytes * 2 > self.bytes_max:
            self.old, self.young, self.young_bytes = self.young, {}, 0

    def forget(self) -> None:
        """Forget all."""
        self.young, self.old, self.young_bytes = {}, {}, 0
