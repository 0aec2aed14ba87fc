"""What can be sold, answered from the view of a worker without asking the database."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from itertools import pairwise
from time import monotonic

import msgspec
import numpy as np

from inventory.availability import Cell, SupplyCell
from inventory.buffers import PRECEDENCE
from inventory.slices import Ints
from inventory.view import NOTHING_KEPT, ItemFacts, StockView
from services.database import Database
from services.planning.availability import (
    Dates,
    Query,
    availability,
    judge_sku,
    matrix_cell,
    sku_columns,
    verified_date,
    verify_size,
)
from services.planning.network import NetworkCache
from services.planning.prospects import Prospect, Prospects
from services.planning.stock_view import StockFollower
from services.planning.written import (
    BEST_MAX,
    ENTRY_BYTES,
    KEPT_FROM,
    KEPT_STEP,
    NEEDS,
    NO_RULE,
    NUMBER_BYTES,
    SKU_COLUMNS,
    SLOT,
    STANDING,
    TEXT_FROM,
    TEXT_TO,
    Asked,
    Out,
    Places,
    Stock,
    joined,
    write_cells,
    write_columns,
    write_skus,
)

RULE_PLACES = {name: place for place, (name, _) in enumerate(PRECEDENCE)}
NUMBERS_MAX = 8
"""Numbers in the widest entry."""
NOTHING: Ints = np.zeros(0, np.int64)
UNRULED: Ints = np.full(1, NO_RULE, np.int64)


class Shelf:
    """Answers questions about availability in one worker."""

    def __init__(self, database: Database, network: NetworkCache, stock: StockFollower) -> None:
        """Answer from `stock` while it is young enough, else from the database."""
        self.database = database
        self.network = network
        self.stock = stock
        self.prospects = Prospects()

    async def open(self) -> None:
        """Have everything compiled, so that no question waits for the compiler."""
        await self.look(Query(skus=(), channel="", matrix=True, columns=True))

    async def look(self, query: Query) -> bytes:
        """Return the `AvailabilityAnswer` to a query as JSON.

        Raises as `availability` does. Rows are read where the view is stale or does not know what
        is asked for: it may have been added a moment ago.
        """
        network, view = self.network.current, self.stock.view
        items = {sku: facts for sku in query.skus if (facts := view.item(sku)) is not None}
        known = all(node_id in network.places for node_id in query.node_ids or ())
        if self.stock.is_stale or not known or len(items) < len(set(query.skus)):
            return msgspec.json.encode(await availability(self.database, network, query))
        age_s = view.seen_age_s(monotonic())
        now = datetime.now(UTC)
        verified_date(query, now)
        for node_id in query.node_ids or ():
            view.number(node_id)
        prospect = self.prospects.find(network, query.zone, view.node_ids, now)
        return Question(query, items, view, prospect, now).answer(round(age_s * 1000))


class Question:
    """One query with all that its answer follows from."""

    def __init__(
        self,
        query: Query,
        items: Mapping[str, ItemFacts],
        view: StockView,
        prospect: Prospect,
        now: datetime,
    ) -> None:
        """Put the query's skus into arrays; those with expected supply are left for the rules."""
        self.query = query
        self.items = items
        self.view = view
        self.prospect = prospect
        self.now = now
        self.on: date = query.on or now.date()
        self.skus = list(dict.fromkeys(query.skus))
        self.expected = {
            sku: found
            for sku in self.skus
            if sku in view.supplies and (found := view.supply(sku, now.date()))
        }
        self.plain = [sku for sku in self.skus if sku not in self.expected]
        numbers = [view.numbers[each] for each in query.node_ids] if query.node_ids else None
        table = prospect.among(numbers)
        self.places = Places(table, prospect.tenths_km(query.place), prospect.texts)
        arrays = view.slices.arrays
        self.arrays = Stock(arrays.bounds, arrays.cells)
        self.asked = self.ask()
        rows = self.asked.skus
        longest = (rows[:, TEXT_TO] - rows[:, TEXT_FROM]).max(initial=0)
        self.text_bytes = prospect.text_bytes + int(longest)

    @property
    def records(self) -> int:
        """How many stock records the skus have."""
        return sum(self.view.slices.length(self.view.slots[sku]) for sku in self.skus)

    def answer(self, age_ms: int) -> bytes:
        """Return the whole answer; raises `invalid-parameter` for a matrix that is too large."""
        query = self.query
        verify_size(query, self.records if query.matrix or query.columns else 0)
        dates = Dates(self.prospect.network, query, self.now) if self.expected else None
        cells = {sku: self.cells(sku, found) for sku, found in self.expected.items()}
        judged = {
            sku: msgspec.json.encode(
                judge_sku(sku, self.items[sku].requires, own, dates, on=self.on)
            )
            for sku, own in cells.items()
            if dates is not None
        }
        head = msgspec.json.encode(
            {
                "age_ms": age_ms,
                "channel": query.channel,
                "on": self.on,
                "zone_id": query.zone.zone_id if query.zone else None,
            }
        )
        parts = [head[:-1], b',"skus":[', self.pieces(self.summaries(), judged), b'],"matrix":']
        parts.append(self.matrix(cells) if query.matrix else b"null")
        parts += [b',"columns":', self.columns(cells) if query.columns else b"null", b"}"]
        return b"".join(parts)

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
            return Asked(rows, NOTHING_KEPT, UNRULED, texts)
        kept = [view.kept(sku, self.query.channel) for sku in self.plain]
        sizes = np.array([units.size for units in kept], np.int64)
        rows[:, KEPT_FROM] = np.cumsum(sizes) - sizes
        rows[:, KEPT_STEP] = sizes > 1
        rules = [self.rules(sku, units.size) for sku, units in zip(self.plain, kept, strict=True)]
        return Asked(
            rows, np.concatenate([NOTHING, *kept]), np.concatenate([NOTHING, *rules]), texts
        )

    def rules(self, sku: str, size: int) -> Ints:
        """Return which rule set each buffer of a sku; only the matrix tells."""
        if not self.query.matrix:
            return np.full(size, NO_RULE, np.int64)
        node_ids = [self.view.node_ids[cell[0]] for cell in self.view.cells(sku).tolist()]
        names = [self.view.buffer(sku, each, self.query.channel)[1] for each in node_ids[:size]]
        places = [NO_RULE if name is None else RULE_PLACES[name] for name in names]
        return np.array(places or [NO_RULE], np.int64)

    def summaries(self) -> list[bytes]:
        """Return totals and best nodes of each plain sku, with a comma after each."""
        entry = ENTRY_BYTES + self.text_bytes + NUMBERS_MAX * NUMBER_BYTES
        out = self.out(entry * (BEST_MAX + 2) * len(self.plain))
        write_skus(self.arrays, self.asked, self.places, out)
        return self.cut(out)

    def matrix(self, expected: Mapping[str, Sequence[Cell]]) -> bytes:
        """Return every record of every sku."""
        entry = ENTRY_BYTES + self.text_bytes + NUMBERS_MAX * NUMBER_BYTES
        out = self.out(entry * self.records)
        write_cells(self.arrays, self.asked, self.places, out)
        others = {
            sku: b",".join(msgspec.json.encode(matrix_cell(cell, self.on)) for cell in own)
            for sku, own in expected.items()
        }
        return b"[" + self.pieces(self.cut(out), others) + b"]"

    def columns(self, expected: Mapping[str, Sequence[Cell]]) -> bytes:
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
            for sku, own in expected.items()
        }
        listed = self.pieces(self.cut(out), others)
        return b'{"node_ids":' + msgspec.json.encode(node_ids) + b',"skus":[' + listed + b"]}"

    def cells(self, sku: str, supply: Mapping[str, tuple[SupplyCell, ...]]) -> list[Cell]:
        """Return the records of a sku at open nodes as the rules take them."""
        found = []
        for number, on_hand, reserved, unavailable, pending in self.view.cells(sku).tolist():
            if not self.places.table[number, STANDING]:
                continue
            node_id = self.view.node_ids[number]
            buffer, rule = self.view.buffer(sku, node_id, self.query.channel)
            free = on_hand - reserved - unavailable - pending
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
                    available=max(free - buffer, 0),
                    supply=supply.get(node_id, ()),
                )
            )
        return found

    def pieces(self, plain: Sequence[bytes], others: Mapping[str, bytes]) -> bytes:
        """Return the parts of all skus in the order asked for, commas between them."""
        if not others:
            return b"".join(plain)[:-1]
        own = iter(plain)
        parts = [others[sku] if sku in others else next(own)[:-1] for sku in self.skus]
        return b",".join(part for part in parts if part)

    def out(self, size: int) -> Out:
        """Return room for an answer; what is not written to costs nothing."""
        return Out(np.empty(size, np.uint8), np.zeros(len(self.plain), np.int64))

    def cut(self, out: Out) -> list[bytes]:
        """Return what was written: as one part, or a part for each sku where others come between."""
        end = int(out.ends[-1]) if len(out.ends) else 0
        written = out.bytes[:end].tobytes()
        if not self.expected:
            return [written]
        starts = [0, *out.ends.tolist()]
        return [written[start:end] for start, end in pairwise(starts)]
