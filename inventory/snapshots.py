"""Snapshots: stock records brought to what was seen at an instant, and what has moved there since.

A feed's snapshot and a person's count are the same thing: a figure that was true at an instant.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import asyncpg
import msgspec

from inventory import records
from inventory.book import KINDS, Book, Movement, Shortage, open_book, transpose
from inventory.locks import StockKey


class SnapshotRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody says lay at a node at the instant `as_of`."""

    sku: str
    node_id: str
    on_hand: int
    as_of: datetime
    unavailable: int | None = None
    """How much of it cannot be sold; as before when absent."""


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """Who saw it, for the movements that correct the records."""

    actor: str
    source: str | None = None
    """The feed that reported it; none for what our own people counted."""
    reference: str | None = None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot found at one record."""

    sku: str
    node_id: str
    expected: int
    """On hand at the instant of the snapshot, as far as the movements tell."""
    on_hand: int
    """What was seen."""
    moved_since: int
    """What has come in since, less what has left."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What snapshots led to; records that a newer one has overtaken are left out."""

    findings: tuple[Finding, ...] = ()
    shortages: tuple[Shortage, ...] = ()


def newest(snapshot: Sequence[SnapshotRecord]) -> dict[StockKey, SnapshotRecord]:
    """Return one snapshot for each record: the newest, of equally old ones the last."""
    latest: dict[StockKey, SnapshotRecord] = {}
    for each in snapshot:
        kept = latest.get((each.sku, each.node_id))
        if kept is None or each.as_of >= kept.as_of:
            latest[each.sku, each.node_id] = each
    return latest


async def bring_to(
    connection: asyncpg.Connection, latest: Mapping[StockKey, SnapshotRecord], cause: Cause
) -> Seen:
    """Set records to what was seen, and add what has moved there since.

    Records with a newer snapshot stay as they are. Live reservations are not touched: finding less
    than is promised is a shortage, returned. Raises asyncpg.SerializationError: try again.
    """
    if not latest:
        return Seen()
    book, made = await open_book(connection, latest)
    current = await _current(connection, book, latest, made)
    since = await _since(connection, [each for each in current if _key(each) not in made])
    findings = tuple(_finding(book, each, since.get(_key(each), (0, 0))[0]) for each in current)
    for each in current:
        _correct(book, each, since.get(_key(each), (0, 0)), cause)
    return Seen(findings=findings, shortages=tuple(await book.write(connection)))


def _finding(book: Book, each: SnapshotRecord, moved_since: int) -> Finding:
    return Finding(
        sku=each.sku,
        node_id=each.node_id,
        expected=book.balances[_key(each)].on_hand - moved_since,
        on_hand=each.on_hand,
        moved_since=moved_since,
    )


async def _current(
    connection: asyncpg.Connection,
    book: Book,
    latest: Mapping[StockKey, SnapshotRecord],
    made: set[StockKey],
) -> list[SnapshotRecord]:
    """Return the records that no newer snapshot has overtaken, in key order.

    What happened after an instant must still be there to be added, so an instant from before the
    movements that retention has folded away is too old as well.
    """
    current = []
    for key in sorted(latest):
        as_of = book.rows[key].as_of
        if as_of is None or latest[key].as_of >= as_of:
            current.append(latest[key])
    old = [(*_key(each), each.as_of) for each in current if _key(each) not in made]
    if not old:
        return current
    folded = {tuple(row) for row in await records.find_folded(connection, transpose(old))}
    return [each for each in current if _key(each) not in folded]


async def _since(
    connection: asyncpg.Connection, snapshot: Sequence[SnapshotRecord]
) -> dict[StockKey, tuple[int, int]]:
    """Return what has moved at each record since its snapshot was taken."""
    if not snapshot:
        return {}
    rows = await records.sum_movements_after(
        connection,
        transpose([(*_key(each), each.as_of) for each in snapshot]),
        min(each.as_of for each in snapshot),
        transpose([(kind, *signs) for kind, signs in KINDS.items()]),
    )
    return {(row[0], row[1]): (row[2], row[3]) for row in rows}


def _correct(book: Book, each: SnapshotRecord, since: tuple[int, int], cause: Cause) -> None:
    """Write the movements that bring a record to its snapshot plus what has moved since."""
    key = _key(each)
    balance = book.balances[key]
    book.as_of[key] = each.as_of
    corrections = [("count_gain", "count_loss", each.on_hand + since[0] - balance.on_hand)]
    if each.unavailable is not None:
        target = max(each.unavailable + since[1], 0)
        corrections.append(("damage", "restore", target - balance.unavailable))
    for gain, loss, difference in corrections:
        if difference:
            book.correct(
                Movement(
                    movement_id=None,
                    sku=each.sku,
                    node_id=each.node_id,
                    kind=gain if difference > 0 else loss,
                    quantity=abs(difference),
                    happened_at=each.as_of,
                    actor=cause.actor,
                    source=cause.source,
                    reference=cause.reference,
                )
            )


def _key(each: SnapshotRecord) -> StockKey:
    return (each.sku, each.node_id)
