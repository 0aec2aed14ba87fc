"""Stock records as PostgreSQL's binary COPY sends them, turned into arrays.

A million records take a second this way and tens of them as rows: nothing is made for a record but
its entries in the arrays, and a sku is looked up once for all its records that follow each other.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from inventory.slices import atomic
from inventory.viewed import Loaded

HEADER_BYTES = 19
"""Signature, flags and an empty extension."""
PIECE_BYTES = 1 << 19
"""Parsed at once; the event loop gets its turn in between."""
RECORD_BYTES = 70
"""Least length of a record: six fields with their lengths, four of them numbers of 8 bytes, and
texts of at least a byte."""


@atomic
def read_number(data: Any, place: int, length: int) -> int:
    """Return the big-endian number of so many bytes at a place."""
    value: Any = np.int64(0)
    for k in range(length):
        value = (value << 8) | np.int64(data[place + k])
    return value  # type: ignore[no-any-return]


@atomic
def are_same(data: Any, one: int, other: int, length: int) -> bool:
    """Tell whether two stretches of so many bytes are equal."""
    same = 0
    while same < length and data[one + same] == data[other + same]:
        same += 1
    return same == length


@atomic
def parse(data: Any, texts: Any, numbers: Any) -> tuple[int, int]:
    """Read whole records from `data` and return how many there were and how many bytes they took.

    `texts` gets where the sku and the node's id begin and end, and 1 where the sku is that of the
    record before; `numbers` on hand, reserved, unavailable and version.
    """
    count, at = 0, 0
    while count < texts.shape[0] and at + 2 <= data.size and data[at] != 255:
        place = at + 2
        for field in range(6):
            if place + 4 > data.size:
                return count, at
            length = read_number(data, place, 4)
            place += 4 + length
            if place > data.size:
                return count, at
            if field < 2:
                texts[count, 2 * field], texts[count, 2 * field + 1] = place - length, place
            else:
                numbers[count, field - 2] = read_number(data, place - length, length)
        start, length = texts[count, 0], texts[count, 1] - texts[count, 0]
        before = texts[max(count - 1, 0), 0]
        alike = count > 0 and texts[max(count - 1, 0), 1] - before == length
        texts[count, 4] = 1 if alike and are_same(data, before, start, length) else 0
        count += 1
        at = place
    return count, at


class StockParser:
    """Takes the pieces of a binary COPY of stock and adds its records to what is loaded."""

    def __init__(
        self, loaded: Loaded, slot: Callable[[str], int], number: Callable[[str], int]
    ) -> None:
        """Ask `slot` for each sku's slot and `number` for each node's number."""
        self.loaded = loaded
        self.slot = slot
        self.number = number
        self.nodes: dict[bytes, int] = {}
        self.rest = bytearray()
        self.header = HEADER_BYTES

    async def take(self, piece: bytes) -> None:
        """Take the next piece, however it is cut."""
        self.rest += piece
        if self.header and len(self.rest) >= self.header:
            del self.rest[: self.header]
            self.header = 0
        if not self.header and len(self.rest) >= PIECE_BYTES:
            self.parse()

    def parse(self) -> None:
        """Add the whole records among what has come; call it once more at the end."""
        data = bytes(self.rest)
        room = len(data) // RECORD_BYTES + 1
        texts, numbers = np.empty((room, 5), np.int64), np.empty((room, 4), np.int64)
        count, used = parse(np.frombuffer(data, np.uint8), texts, numbers)
        del self.rest[:used]
        slots, nodes = np.empty(count, np.int32), []
        slot, known = 0, self.nodes
        for at, (sku_from, sku_to, node_from, node_to, same) in enumerate(texts[:count].tolist()):
            if not same:
                slot = self.slot(data[sku_from:sku_to].decode())
            slots[at] = slot
            name = data[node_from:node_to]
            number = known.get(name)
            if number is None:
                number = known[name] = self.number(name.decode())
            nodes.append(number)
        self.loaded.add(slots, np.array(nodes, np.int64), numbers[:count])
