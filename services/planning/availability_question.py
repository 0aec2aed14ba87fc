"""Some of the skus of a question about availability, judged together over arrays and written down."""

from collections.abc import Mapping
from datetime import date, datetime
from itertools import pairwise

import msgspec
import numpy as np

from inventory.availability import Cell, SupplyCell
from inventory.buffers import PRECEDENCE
from inventory.slices import Ints
from inventory.view import NO_SUPPLY, NOTHING_KEPT, ItemFacts, StockView
from services.planning.availability import (
    Dates,
    Query,
    judge_sku,
    matrix_cell,
    sku_columns,
    verify_size,
)
from services.planning.kits import kit_cells
from services.planning.prospects import Prospect
from services.planning.written import (
    BEST_MAX,
    ENTRY_BYTES,
    KEPT_FROM,
    KEPT_STEP,
    NEEDS,
    NO_RULE,
    NUMBER_BYTES,
    RULE_STARTS,
    RULES,
    SKU_COLUMNS,
    SLOT,
    STANDING,
    TEXT_FROM,
    TEXT_TO,
    Asked,
    Bytes,
    Out,
    Places,
    Stock,
    joined,
    write_cells,
    write_columns,
    write_skus,
)

Buffer = bytes | memoryview

NO_MATRIX: tuple[Buffer, ...] = (b',"matrix":null,"columns":null}',)
"""How an answer ends without either."""
RULE_PLACES = {name: place for place, (name, _) in enumerate(PRECEDENCE)}
NUMBERS_MAX = 8
"""Numbers in the widest entry."""
ROOM_BYTES_MAX = 4_000_000
"""Room that is kept to write in; a larger question has its own."""
NOTHING: Ints = np.zeros(0, np.int64)
UNRULED: Ints = np.full(1, NO_RULE, np.int64)


class Room:
    """Where the texts of skus are written before each is copied out.

    New memory for each would be asked of the system page by page, which takes as long as the
    writing.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self.bytes: Bytes = np.empty(0, np.uint8)

    def of(self, size: int) -> Bytes:
        """Return room for `size` bytes, which is good until the next call."""
        if size > ROOM_BYTES_MAX:
            return np.empty(size, np.uint8)
        if size > len(self.bytes):
            self.bytes = np.empty(size, np.uint8)
        return self.bytes


class Question:
    """Some of the skus of one query, with all that the answer follows from."""

    def __init__(
        self,
        query: Query,
        items: Mapping[str, ItemFacts],
        view: StockView,
        prospect: Prospect,
        now: datetime,
    ) -> None:
        """Put the skus of `items` into arrays.

        Those with expected supply, and those that pools have a right to, are left for the rules.
        """
        self.query = query
        self.items = items
        self.view = view
        self.prospect = prospect
        self.now = now
        self.on: date = query.on or now.date()
        self.skus = list(items)
        self.expected = {
            sku: found
            for sku in self.skus
            if sku in view.supplies and (found := view.supply(sku, now.date()))
        }
        shared = view.quotas.by_sku.keys() & items
        self.expected.update((sku, NO_SUPPLY) for sku in shared - self.expected.keys())
        # What a kit comes to changes with its components, which have stamps of their own.
        self.expected.update((sku, NO_SUPPLY) for sku in self.skus if items[sku].components)
        self.plain = [sku for sku in self.skus if sku not in self.expected]
        numbers = [view.numbers[each] for each in query.node_ids] if query.node_ids else None
        table = prospect.among(numbers, [view.number(each) for each in query.stale])
        self.places = Places(table, prospect.tenths_km(query.place), prospect.texts)
        arrays = view.slices.arrays
        self.arrays = Stock(arrays.bounds, arrays.cells)
        self.asked = self.ask()
        rows = self.asked.skus
        longest = (rows[:, TEXT_TO] - rows[:, TEXT_FROM]).max(initial=0)
        self.text_bytes = prospect.text_bytes + int(longest)
        self.expected_cells = {sku: self.cells(sku, found) for sku, found in self.expected.items()}

    @property
    def records(self) -> int:
        """How many stock records the skus have."""
        return sum(self.view.slices.length(self.view.slots[sku]) for sku in self.skus)

    @property
    def lasting(self) -> list[str]:
        """The skus of which the answer stays the same until their stamp changes."""
        # What is expected counts from a date on, whether or not anything changes.
        return [sku for sku in self.plain if not self.view.supplies.get(sku)]

    def summaries(self, room: Room) -> dict[str, bytes]:
        """Return totals and best nodes of each sku as JSON, written in `room` first."""
        entry = ENTRY_BYTES + self.text_bytes + NUMBERS_MAX * NUMBER_BYTES
        written = room.of(entry * (BEST_MAX + 2) * len(self.plain))
        out = Out(written, np.zeros(len(self.plain), np.int64))
        write_skus(self.arrays, self.asked, self.places, out)
        found = dict(zip(self.plain, cut(out), strict=True))
        if self.expected:
            dates = Dates(self.prospect.network, self.query, self.now)
            for sku, cells in self.expected_cells.items():
                requires = self.items[sku].requires
                found[sku] = msgspec.json.encode(judge_sku(sku, requires, cells, dates, on=self.on))
        return found

    def end(self) -> tuple[Buffer, ...]:
        """Return the rest of an answer about these skus, from the matrix on, in parts.

        Raises `invalid-parameter` for a matrix that is too large.
        """
        query = self.query
        if not query.matrix and not query.columns:
            return NO_MATRIX
        verify_size(query, self.records)
        matrix = self.matrix() if query.matrix else (b"null",)
        columns = self.columns() if query.columns else (b"null",)
        return (b',"matrix":', *matrix, b',"columns":', *columns, b"}")

    def ask(self) -> Asked:
        """Return the plain skus as arrays, with the buffers of their records."""
        view, items, needs = self.view, self.items, self.prospect.needs
        encoded = [msgspec.json.encode(sku) for sku in self.plain]
        texts, starts = joined(encoded)
        rows = np.zeros((len(self.plain), SKU_COLUMNS), np.int64)
        rows[:, SLOT] = [view.slots[sku] for sku in self.plain]
        rows[:, NEEDS] = [
            needs(requires) if (requires := items[sku].requires) else 0 for sku in self.plain
        ]
        rows[:, TEXT_FROM], rows[:, TEXT_TO] = starts[:-1], starts[1:]
        if not view.rules.by_sku:
            return Asked(rows, NOTHING_KEPT, UNRULED, texts, RULES, RULE_STARTS)
        kept = [view.kept(sku, self.query.channel) for sku in self.plain]
        sizes = np.array([units.size for units in kept], np.int64)
        rows[:, KEPT_FROM] = np.cumsum(sizes) - sizes
        rows[:, KEPT_STEP] = sizes > 1
        rules = [self.rules(sku, units.size) for sku, units in zip(self.plain, kept, strict=True)]
        units, places = np.concatenate([NOTHING, *kept]), np.concatenate([NOTHING, *rules])
        return Asked(rows, units, places, texts, RULES, RULE_STARTS)

    def rules(self, sku: str, size: int) -> Ints:
        """Return which rule set each buffer of a sku; only the matrix tells."""
        if not self.query.matrix:
            return np.full(size, NO_RULE, np.int64)
        node_ids = [self.view.node_ids[cell[0]] for cell in self.view.cells(sku).tolist()]
        names = [self.view.buffer(sku, each, self.query.channel)[1] for each in node_ids[:size]]
        places = [NO_RULE if name is None else RULE_PLACES[name] for name in names]
        return np.array(places or [NO_RULE], np.int64)

    def matrix(self) -> tuple[Buffer, ...]:
        """Return every record of every sku."""
        entry = ENTRY_BYTES + self.text_bytes + NUMBERS_MAX * NUMBER_BYTES
        out = self.out(entry * self.records)
        write_cells(self.arrays, self.asked, self.places, out)
        others = {
            sku: b",".join(msgspec.json.encode(matrix_cell(cell, self.on)) for cell in own)
            for sku, own in self.expected_cells.items()
        }
        return (b"[", self.pieces(out, others), b"]")

    def columns(self) -> tuple[Buffer, ...]:
        """Return every record of every sku as columns."""
        per_record = NUMBERS_MAX * (NUMBER_BYTES + 1)
        size = per_record * self.records
        out = self.out(size + (ENTRY_BYTES + self.text_bytes) * len(self.skus))
        write_columns(self.arrays, self.asked, self.places, out)
        numbers = np.flatnonzero(self.places.table[:, STANDING]).tolist()
        node_ids = [self.view.node_ids[number] for number in numbers]
        places = {node_id: place for place, node_id in enumerate(node_ids)}
        others = {
            sku: msgspec.json.encode(sku_columns(sku, own, places, self.on))
            for sku, own in self.expected_cells.items()
        }
        listed = self.pieces(out, others)
        return (b'{"node_ids":', msgspec.json.encode(node_ids), b',"skus":[', listed, b"]}")

    def cells(self, sku: str, supply: Mapping[str, tuple[SupplyCell, ...]]) -> list[Cell]:
        """Return the records of a sku at open nodes as the rules take them, of a kit as kits."""
        parts = self.items[sku].components if sku in self.items else ()
        if parts:
            today = self.now.date()
            own = {part: self.cells(part, self.view.supply(part, today)) for part, _ in parts}
            return kit_cells(sku, parts, own)
        found = []
        for number, on_hand, reserved, unavailable, pending in self.view.cells(sku).tolist():
            if not self.places.table[number, STANDING]:
                continue
            node_id = self.view.node_ids[number]
            buffer, rule = self.view.buffer(sku, node_id, self.query.channel)
            free = on_hand - reserved - unavailable - pending
            protected = self.view.quotas.protected(sku, node_id, self.query.channel, free - buffer)
            found.append(
                Cell(
                    sku=sku,
                    node_id=node_id,
                    on_hand=on_hand,
                    reserved=reserved + pending,
                    unavailable=unavailable,
                    shortage=max(-free, 0),
                    buffer=buffer,
                    buffer_rule=rule,
                    available=max(free - buffer - protected, 0),
                    supply=supply.get(node_id, ()),
                    protected=protected,
                )
            )
        return found

    def pieces(self, out: Out, others: Mapping[str, bytes]) -> Buffer:
        """Return the parts of all skus in the order asked for, commas between them."""
        if not others:
            # As it was written: copied once, into the answer.
            return out.bytes[: max(out.end - 1, 0)].data
        found = {**dict(zip(self.plain, cut(out), strict=True)), **others}
        return b",".join(part for sku in self.skus if (part := found[sku]))

    def out(self, size: int) -> Out:
        """Return room for an answer; what is not written to costs nothing."""
        return Out(np.empty(size, np.uint8), np.zeros(len(self.plain), np.int64))


def cut(out: Out) -> list[bytes]:
    """Return what was written for each sku, without the comma after it."""
    written = out.bytes[: out.end].tobytes()
    ends = out.ends.tolist()
    return [written[start : end - 1] for start, end in pairwise([0, *ends])]
