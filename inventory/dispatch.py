"""Goods leave: reservations are consumed, and on hand and reserved go down together."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from inventory import records
from inventory.book import Book, Movement, transpose
from inventory.ledger import MovementRefused, repeated_ids
from inventory.locks import StockKey, lock
from inventory.pegging import split_id
from inventory.pools import QuotaKey, change_quotas


class Consumption(msgspec.Struct, frozen=True, kw_only=True):
    """Units of one line of a holder that leave one node."""

    movement_id: UUID
    """Named by the caller; the same dispatch reported twice leaves once."""
    line_id: str
    sku: str
    node_id: str
    """Where they leave, which may be another node than the one they were reserved at."""
    quantity: int


class Promised(msgspec.Struct):
    """A confirmed reservation, as far as it has not been used up."""

    sku: str
    reservation_id: UUID
    node_id: str
    line_id: str
    quantity: int
    supply_id: str | None
    pool_id: str | None
    pool_units: int


class Use(msgspec.Struct, frozen=True):
    """Units of one reservation that one movement uses."""

    promise: Promised
    movement_id: UUID
    quantity: int
    pool_units: int = 0
    """Of them, units from the reservation's pool."""
    elsewhere: bool = False
    """Whether they leave another node than the one they were reserved at."""


async def consume(
    connection: asyncpg.Connection,
    holder: UUID,
    takes: Sequence[Consumption],
    *,
    actor: str,
    reference: str | None = None,
    happened_at: datetime | None = None,
) -> list[UUID]:
    """Dispatch what a holder has confirmed; return the movements recorded, all or none.

    A line's reservations at the node it leaves are used first, then those elsewhere: both nodes end
    right, the one giving back what it kept and the other losing what it gave. Part of a reservation
    may leave; the rest keeps its name. A movement recorded before has no second effect.

    Raises ValueError for a quantity below 1 or a movement named twice; MovementRefused where the
    holder has less confirmed and on hand, less is there, or what is there is promised to others.
    """
    movements = {each.movement_id: _movement(each, actor, reference, happened_at) for each in takes}
    if len(movements) < len(takes) or any(each.quantity < 1 for each in takes):
        raise ValueError("every movement needs a name of its own and a quantity of at least 1")
    await records.lock_reservations(connection, [holder], ("confirmed",))
    promises = [Promised(*row) for row in await records.find_confirmed(connection, holder)]
    repeated = await repeated_ids(connection, list(movements.values())) if takes else []
    fresh = [each for each in takes if each.movement_id not in repeated]
    uses = [use for each in fresh for use in _use(each, promises, movements[each.movement_id])]
    if not uses:
        return []
    reserved_at = {(use.promise.sku, use.promise.node_id) for use in uses}
    leaves_from = {(each.sku, each.node_id) for each in fresh}
    locked = await lock(connection, stock=reserved_at | leaves_from)
    book = Book(locked)
    for use in uses:
        book.balances[use.promise.sku, use.promise.node_id].reserved -= use.quantity
    for each in fresh:
        _dispatch(book, movements[each.movement_id])
    await book.write(connection)
    await records.consume_reservations(connection, *_columns(uses))
    await _settle_quotas(connection, uses)
    return [each.movement_id for each in fresh]


def _use(each: Consumption, promises: Sequence[Promised], movement: Movement) -> list[Use]:
    """Use up promises for one consumption; raises MovementRefused when there are not enough."""
    left = each.quantity
    uses = []
    own = [
        promise
        for promise in promises
        if (promise.line_id, promise.sku, promise.supply_id) == (each.line_id, each.sku, None)
    ]
    for promise in sorted(own, key=lambda promise: promise.node_id != each.node_id):
        units = min(promise.quantity, left)
        if units:
            shared = min(promise.pool_units, units)
            promise.quantity -= units
            promise.pool_units -= shared
            left -= units
            elsewhere = promise.node_id != each.node_id
            uses.append(Use(promise, each.movement_id, units, shared, elsewhere))
    if left:
        raise MovementRefused(
            movement,
            f"line {each.line_id} has {each.quantity - left} confirmed on hand; what waits for "
            "supply has to be received first",
            each.quantity - left,
        )
    return uses


async def _settle_quotas(connection: asyncpg.Connection, uses: Sequence[Use]) -> None:
    """Use rights up for good with the goods that left, and return those that were not needed.

    A right is to units of one stock record: where others left instead, it is free again.
    """
    used: Counter[QuotaKey] = Counter()
    consumed: Counter[QuotaKey] = Counter()
    for use in uses:
        promise = use.promise
        if promise.pool_id is not None and use.pool_units:
            key = (promise.sku, promise.node_id, promise.pool_id)
            used[key] -= use.pool_units
            if not use.elsewhere:
                consumed[key] += use.pool_units
    await change_quotas(connection, used, consumed)


def _dispatch(book: Book, movement: Movement) -> None:
    """Write one dispatch into the book; raises MovementRefused where goods are not there to go."""
    key: StockKey = (movement.sku, movement.node_id)
    if key not in book.balances:
        raise MovementRefused(movement, "there is no such stock record", 0)
    balance = book.balances[key]
    on_hand, free = balance.on_hand, balance.free
    book.add(movement)
    if balance.on_hand < min(on_hand, 0):
        raise MovementRefused(
            movement, f"only {on_hand} are on hand; count the record first", on_hand
        )
    # What leaves may not have been promised to others: at the node of the reservation its own
    # promise has just been given up, anywhere else the units have to be free. A record that is
    # short already may still dispatch, since that does not make it shorter.
    before = book.rows[key].free
    if balance.free < min(before, 0):
        raise MovementRefused(
            movement, f"only {max(free, 0)} are not promised to others", max(free, 0)
        )


def _columns(uses: Sequence[Use]) -> tuple[list[list[object]], list[list[object]]]:
    """Return what is kept by its name and what is split off, each as columns.

    A reservation that is used up is consumed by the last movement that used it; one that is not
    keeps its name for what is left. Every other use is split off.
    """
    by_reservation: dict[UUID, list[Use]] = defaultdict(list)
    for use in uses:
        by_reservation[use.promise.reservation_id].append(use)
    kept: list[tuple[object, ...]] = []
    split: list[tuple[object, ...]] = []
    for name, used in by_reservation.items():
        sku, left = used[0].promise.sku, used[0].promise.quantity
        by_movement: Counter[UUID] = Counter()
        shared: Counter[UUID] = Counter()
        for use in used:
            by_movement[use.movement_id] += use.quantity
            # A right that was not needed is the pool's again, and no longer this reservation's.
            shared[use.movement_id] += 0 if use.elsewhere else use.pool_units
        apart = list(by_movement.items())
        if left:
            kept.append((sku, name, left, None, used[0].promise.pool_units))
        else:
            movement_id, left = apart.pop()
            kept.append((sku, name, left, movement_id, shared[movement_id]))
        split += [
            (sku, name, split_id(name, left, str(each)), units, each, shared[each])
            for each, units in apart
        ]
    return transpose(kept), transpose(split) if split else [[]] * 6


def _movement(
    each: Consumption, actor: str, reference: str | None, happened_at: datetime | None
) -> Movement:
    return Movement(
        movement_id=each.movement_id,
        sku=each.sku,
        node_id=each.node_id,
        kind="dispatch",
        quantity=each.quantity,
        happened_at=happened_at,
        actor=actor,
        reference=reference,
    )
