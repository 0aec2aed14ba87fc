"""The open book: locked stock records, the movements to write on them, and their new counters.

Every change of `on_hand` and `unavailable` goes through here, so that a movement and the counters
it changes are written by one statement, and a promise that waited for goods gets them in the same
transaction in which they come in.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID, uuid5

import asyncpg
import msgspec

from inventory import records
from inventory.locks import Locked, StockKey, SupplyKey, lock
from inventory.pegging import Peg, Repeg, settle

KINDS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "receive": (1, 0),
        "return": (1, 0),
        "dispatch": (-1, 0),
        "sale": (-1, 0),
        "count_gain": (1, 0),
        "count_loss": (-1, 0),
        "feed_gain": (1, 0),
        "feed_loss": (-1, 0),
        "adjust_gain": (1, 0),
        "adjust_loss": (-1, 0),
        "damage": (0, 1),
        "restore": (0, -1),
        "scrap": (-1, -1),
        "transfer_in": (1, 0),
        "transfer_out": (-1, 0),
    }
)
"""What one unit of each kind of movement adds to `on_hand` and to `unavailable`."""


MOVEMENT_FIELDS = (
    "sku",
    "movement_id",
    "node_id",
    "kind",
    "quantity",
    "happened_at",
    "reference",
    "reason",
    "source",
    "actor",
)


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """One immutable change of a stock record; its kind carries the direction."""

    movement_id: UUID | None
    """Named by whoever records it, so that a retry is the same movement; the database names the
    corrections that a snapshot leads to."""
    sku: str
    node_id: str
    kind: str
    quantity: int
    happened_at: datetime | None
    """When goods moved; now when absent, and never later than now."""
    actor: str
    reference: str | None = None
    """What caused it, such as a shipment or a purchase order."""
    reason: str | None = None
    source: str | None = None
    """The feed that reported it; none for what we recorded ourselves."""


class Shortage(msgspec.Struct, frozen=True, kw_only=True):
    """A stock record of which more is promised than is there, after a count or a feed said so."""

    sku: str
    node_id: str
    shortage: int
    before: int


class Balance(msgspec.Struct):
    """A stock record's counters as the book stands."""

    on_hand: int
    unavailable: int
    reserved: int

    @property
    def free(self) -> int:
        """Units neither promised nor unavailable."""
        return self.on_hand - self.unavailable - self.reserved


class Book:
    """Locked stock records and what is to be written on them.

    Waiting promises are served from what comes in: at most as many units as on hand has risen by,
    and never more than are free.
    """

    def __init__(
        self, locked: Locked, pegs: Collection[Peg] = (), made: Collection[StockKey] = ()
    ) -> None:
        """Open the book on locked rows; `made` are the records that did not exist before."""
        self.rows = locked.stock
        self.balances = {
            key: Balance(row.on_hand, row.unavailable, row.reserved)
            for key, row in locked.stock.items()
        }
        self.supply = dict(locked.supply)
        self.as_of: dict[StockKey, datetime] = {}
        """What `write` sets as the instant of a record's last snapshot."""
        self._supply_before = locked.supply
        self._made = made
        self._movements: list[Movement] = []
        self._pegs: dict[StockKey, list[Peg]] = defaultdict(list)
        for peg in pegs:
            self._pegs[peg.sku, peg.node_id].append(peg)

    def add(self, movement: Movement) -> None:
        """Write one movement into the book.

        What happened before the record's last snapshot is in that figure already. It is written
        together with its counterpart, so that on hand is the same in whatever order they arrive.
        """
        self.correct(movement)
        row = self.rows[movement.sku, movement.node_id]
        sign = KINDS[movement.kind][0]
        if sign and self.is_counted(movement) and movement.movement_id is not None:
            self.correct(
                msgspec.structs.replace(
                    movement,
                    movement_id=uuid5(movement.movement_id, "counted"),
                    kind="count_loss" if sign > 0 else "count_gain",
                    happened_at=row.as_of,
                    reference=None,
                    reason="in the last snapshot already",
                )
            )

    def correct(self, movement: Movement) -> None:
        """Write a movement that no earlier snapshot can contain, because it corrects to one."""
        on_hand, unavailable = KINDS[movement.kind]
        balance = self.balances[movement.sku, movement.node_id]
        balance.on_hand += on_hand * movement.quantity
        balance.unavailable += unavailable * movement.quantity
        self._movements.append(movement)

    def is_counted(self, movement: Movement) -> bool:
        """Tell whether the movement happened before its record's last snapshot was taken."""
        as_of = self.rows[movement.sku, movement.node_id].as_of
        happened_at = movement.happened_at
        return as_of is not None and happened_at is not None and happened_at <= as_of

    def receive(self, source: SupplyKey, quantity: int) -> None:
        """Note that units of a supply have come in; their movement is added apart."""
        row = self.supply[source]
        self.supply[source] = msgspec.structs.replace(row, received=row.received + quantity)

    def replan(
        self, source: SupplyKey, expected_on: date, quantity: int, trust_percent: int
    ) -> None:
        """Note what is now known of a supply."""
        self.supply[source] = msgspec.structs.replace(
            self.supply[source],
            expected_on=expected_on,
            quantity=quantity,
            trust_percent=trust_percent,
        )

    async def write(self, connection: asyncpg.Connection) -> list[Shortage]:
        """Serve waiting promises, write everything, return shortages that are new or larger."""
        repegs = [repeg for key in self._pegs for repeg in self._settle(key)]
        stock = [self._stock_change(key) for key in self._changed()]
        if stock:
            await records.post(connection, transpose(stock), self._movement_columns())
        if repegs:
            await records.split_pegs(connection, *_repeg_columns(repegs))
        supply = [
            (*key, row.received, row.promised, max(-row.free, 0))
            for key, row in self.supply.items()
            if row != self._supply_before.get(key)
        ]
        if supply:
            await records.set_supply(connection, transpose(supply))
        return [
            Shortage(sku=sku, node_id=node_id, shortage=shortage, before=before)
            for sku, node_id, *_, shortage, _ in stock
            if shortage > (before := self.rows[sku, node_id].shortage)
        ]

    def _changed(self) -> list[StockKey]:
        """Return the records that are new or moved, or whose snapshot has changed, in order.

        What moved there may come to nothing, as goods that the last snapshot has counted already.
        """
        moved = {(each.sku, each.node_id) for each in self._movements}
        return sorted(
            key
            for key, balance in self.balances.items()
            if key in self.as_of
            or key in self._made
            or key in moved
            or (balance.on_hand, balance.unavailable, balance.reserved)
            != (self.rows[key].on_hand, self.rows[key].unavailable, self.rows[key].reserved)
        )

    def _stock_change(self, key: StockKey) -> tuple[str, str, int, int, int, int, datetime | None]:
        row, balance = self.rows[key], self.balances[key]
        return (
            *key,
            balance.on_hand - row.on_hand,
            balance.unavailable - row.unavailable,
            balance.reserved - row.reserved,
            max(-balance.free, 0),
            self.as_of.get(key),
        )

    def _settle(self, key: StockKey) -> list[Repeg]:
        """Serve the promises that wait at one record, and move their supplies' counters along."""
        row, balance = self.rows[key], self.balances[key]
        risen = (balance.on_hand - balance.unavailable) - (row.on_hand - row.unavailable)
        own = {source: row for source, row in self.supply.items() if source[0] == key[0]}
        repegs = settle(
            min(balance.free, risen),
            self._pegs[key],
            {source[1]: row for source, row in own.items() if row.node_id == key[1]},
        )
        for repeg in repegs:
            self._promise((key[0], repeg.peg.supply_id), -repeg.peg.quantity)
            for part in repeg.parts:
                if part.supply_id is None:
                    balance.reserved += part.quantity
                else:
                    self._promise((key[0], part.supply_id), part.quantity)
        return repegs

    def _promise(self, source: SupplyKey, quantity: int) -> None:
        row = self.supply[source]
        self.supply[source] = msgspec.structs.replace(row, promised=row.promised + quantity)

    def _movement_columns(self) -> list[list[object]]:
        return [[getattr(each, name) for each in self._movements] for name in MOVEMENT_FIELDS]


async def open_book(
    connection: asyncpg.Connection,
    keys: Collection[StockKey],
    supplies: Collection[SupplyKey] = (),
) -> tuple[Book, set[StockKey]]:
    """Lock stock records, the promises that wait there and their supplies; make missing records.

    Returns the book and the records that were made: nothing has ever moved there. Raises
    asyncpg.SerializationError when a promise came to wait while we did; try again.
    """
    columns = transpose(list(keys))
    known = {row["reservation_id"] for row in await records.lock_pegs(connection, *columns)}
    made = {(row[0], row[1]) for row in await records.ensure_stock(connection, *columns)}
    stock = await lock(connection, stock=keys)
    # From here on no promise can come to wait at these records: that takes the lock we hold.
    pegs = [Peg(*row) for row in await records.find_pegs(connection, *columns)]
    if any(peg.reservation_id not in known for peg in pegs):
        raise asyncpg.SerializationError("a promise came to wait for supply meanwhile; try again")
    sources = set(supplies) | {(peg.sku, peg.supply_id) for peg in pegs}
    waiting = {(peg.sku, peg.node_id) for peg in pegs}
    if waiting:
        open_rows = await records.find_supply(connection, *transpose(list(waiting)))
        sources |= {(row[0], row[1]) for row in open_rows}
    supply = await lock(connection, supply=sources)
    return Book(Locked(stock.stock, supply.supply, {}), pegs, made), made


def transpose(rows: Sequence[Sequence[object]]) -> list[list[Any]]:
    """Turn at least one row into columns."""
    return [list(column) for column in zip(*rows, strict=True)]


def _repeg_columns(repegs: Collection[Repeg]) -> tuple[list[list[Any]], list[list[Any]]]:
    """Return what keeps its name and what is split off, each as columns."""
    kept = [
        (
            repeg.peg.sku,
            repeg.parts[0].reservation_id,
            repeg.parts[0].quantity,
            repeg.parts[0].supply_id,
        )
        for repeg in repegs
    ]
    split = [
        (
            repeg.peg.sku,
            repeg.peg.reservation_id,
            part.reservation_id,
            part.quantity,
            part.supply_id,
        )
        for repeg in repegs
        for part in repeg.parts[1:]
    ]
    return transpose(kept), transpose(split) if split else [[]] * 5
