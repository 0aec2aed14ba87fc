"""Whose turn it is: moving promises that wait for supply onto stock, and between supplies.

Pure: what changes is computed here from locked values and written by `book.py`.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from uuid import UUID, uuid5

import msgspec

from inventory.locks import SupplyRow


class Peg(msgspec.Struct, frozen=True):
    """A live reservation that waits for supply."""

    sku: str
    reservation_id: UUID
    node_id: str
    supply_id: str
    quantity: int
    promise_on: date
    created_at: datetime

    @property
    def turn(self) -> tuple[date, datetime, UUID]:
        """Promise order: the earliest date promised first, then who came first."""
        return (self.promise_on, self.created_at, self.reservation_id)


class Part(msgspec.Struct, frozen=True):
    """Units of a split peg; `supply_id` is None for units now on hand."""

    reservation_id: UUID
    supply_id: str | None
    quantity: int


class Repeg(msgspec.Struct, frozen=True):
    """What becomes of one peg: the first part keeps its name, the others are split off."""

    peg: Peg
    parts: tuple[Part, ...]


def settle(free: int, pegs: Sequence[Peg], supplies: Mapping[str, SupplyRow]) -> list[Repeg]:
    """Move the pegs of one stock record; `free` units on hand, `supplies` the record's own, by id.

    First what is free goes to the pegs, the earliest promise first, so that no later order can take
    it. Then pegs on a supply that has less to come than was promised from it move to supplies with
    room, the latest promise first, as long as the other supply is there by the date promised. What
    cannot move stays, and its supply is short.
    """
    left = {supply_id: row.free for supply_id, row in supplies.items()}
    changed: dict[UUID, dict[str | None, int]] = {}
    in_turn = sorted(pegs, key=lambda peg: peg.turn)
    for peg in in_turn:
        units = max(min(free, peg.quantity), 0)
        changed[peg.reservation_id] = {None: units, peg.supply_id: peg.quantity - units}
        free -= units
        left[peg.supply_id] += units
    by_date = sorted(supplies, key=lambda supply_id: (supplies[supply_id].expected_on, supply_id))
    for peg in reversed(in_turn):
        shares = changed[peg.reservation_id]
        for supply_id in by_date:
            units = min(-left[peg.supply_id], left[supply_id], shares[peg.supply_id])
            if units > 0 and supplies[supply_id].expected_on <= peg.promise_on:
                shares[peg.supply_id] -= units
                shares[supply_id] = shares.get(supply_id, 0) + units
                left[peg.supply_id] += units
                left[supply_id] -= units
    return [
        _repeg(peg, changed[peg.reservation_id])
        for peg in in_turn
        if changed[peg.reservation_id][peg.supply_id] != peg.quantity
    ]


def split_id(reservation_id: UUID, left: int, part: str) -> UUID:
    """Name a part split off a reservation of which `left` units keep the name.

    What is left shrinks with every split, so no name is given twice.
    """
    return uuid5(reservation_id, f"{left}/{part}")


def _repeg(peg: Peg, shares: Mapping[str | None, int]) -> Repeg:
    """Turn shares by source into parts; what still waits where it was keeps its name."""
    sources = sorted(
        (source for source, units in shares.items() if units),
        key=lambda source: (source != peg.supply_id, source is not None, source or ""),
    )
    kept = sources[0]
    parts = [Part(peg.reservation_id, kept, shares[kept])]
    for source in sources[1:]:
        name = split_id(peg.reservation_id, shares[kept], source or "")
        parts.append(Part(name, source, shares[source]))
    return Repeg(peg, tuple(parts))
