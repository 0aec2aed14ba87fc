"""The ledger: recording movements, and the snapshots and deltas that other systems send.

A count or a feed may find less than has been promised. That is a shortage: written beside the
counters, returned to the caller, and neither refused nor hidden.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid5

import asyncpg
import msgspec

from inventory import records
from inventory.book import (
    KINDS,
    Balance,
    Movement,
    Shortage,
    open_book,
    transpose,
)
from inventory.node_feeds import note_nodes
from inventory.snapshots import Cause, SnapshotRecord, bring_to, newest

__all__ = [
    "KINDS",
    "DeltaRecord",
    "FeedResult",
    "Movement",
    "MovementRefused",
    "Recorded",
    "Shortage",
    "SnapshotRecord",
    "apply_deltas",
    "apply_snapshot",
    "forget_messages",
    "record",
]

RECORDS_MAX = 5_000
"""Most records in one call; a file is applied in chunks, each its own transaction."""
SHORT_KINDS = frozenset({"count_loss", "feed_loss", "damage"})
"""Kinds that state a fact, and so may leave less than has been promised."""
FEED = UUID("6f1a3c52-4f0e-5a67-9c1d-2b7e8d90a4f3")
"""Names the movements of deltas, so that one delta is one movement."""
DISTANT_PAST = datetime(1970, 1, 1, tzinfo=UTC)


class MovementRefused(ValueError):  # noqa: N818 - refusing is an answer, not a defect
    """A movement that the record cannot bear; nothing of its batch was recorded."""

    def __init__(self, movement: Movement, reason: str, available: int) -> None:
        super().__init__(
            f"cannot record {movement.kind} of {movement.quantity} {movement.sku} at "
            f"{movement.node_id}: {reason}"
        )
        self.movement = movement
        self.available = available


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """What recording led to."""

    recorded: tuple[UUID, ...]
    repeated: tuple[UUID, ...]
    """Recorded by an earlier call; nothing was done for them."""
    shortages: tuple[Shortage, ...]


class DeltaRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What another system says came in or went out."""

    sku: str
    node_id: str
    delta: int
    reference: str | None = None
    """What caused it; a movement of our own with the same reference is not applied again."""
    happened_at: datetime | None = None
    """On arrival when absent. What happened before the record's last snapshot is not applied."""


class FeedResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a feed's message led to."""

    applied: int
    ignored_old: int = 0
    """Records overtaken by a newer snapshot."""
    recognized: int = 0
    """Deltas that we had recorded ourselves."""
    shortages: tuple[Shortage, ...] = ()
    gap: int = 0
    """Messages of the source that are missing below the highest sequence seen."""
    duplicate: bool = False
    """The message had been applied before, and nothing was done."""


async def record(connection: asyncpg.Connection, movements: Sequence[Movement]) -> Recorded:
    """Record movements in the order given, all of them or none.

    A movement recorded before, by its id, has no second effect. Whatever raises on hand first
    serves the promises that wait there for supply.

    Raises ValueError for a kind that does not exist, a quantity below 1, an unnamed movement or one
    named twice, or an id that belongs to another movement. Then MovementRefused where on hand would
    fall below zero, more would be unavailable than is there, or goods would leave that are
    promised, unless the kind states a fact (`SHORT_KINDS`). asyncpg.SerializationError: try again.
    """
    if not movements:
        return Recorded(recorded=(), repeated=(), shortages=())
    _check_movements(movements)
    book, _ = await open_book(connection, {(each.sku, each.node_id) for each in movements})
    repeated = await repeated_ids(connection, movements)
    fresh = [each for each in movements if each.movement_id not in repeated]
    for movement in fresh:
        before = msgspec.structs.replace(book.balances[movement.sku, movement.node_id])
        book.add(movement)
        _refuse(movement, before, book.balances[movement.sku, movement.node_id])
    shortages = await book.write(connection)
    return Recorded(
        recorded=tuple(each.movement_id for each in fresh if each.movement_id),
        repeated=tuple(repeated),
        shortages=tuple(shortages),
    )


async def apply_snapshot(
    connection: asyncpg.Connection,
    source: str,
    sequence: int,
    snapshot: Sequence[SnapshotRecord],
    actor: str,
) -> FeedResult:
    """Set records to what a source saw at `as_of`, and add what has moved there since.

    A record older than the last snapshot of its stock record is ignored; of two for one stock
    record in a message the newer counts, and of two equally old ones the later. `as_of` in the
    future means now. Applying a message again changes nothing. A person's count is a snapshot too.

    `sequence` counts the source's messages of either kind. Raises ValueError for more than
    `RECORDS_MAX` records or figures that cannot be; asyncpg.SerializationError: try again.
    """
    _check_snapshot(snapshot)
    fresh = await records.claim_message(connection, source, sequence, "snapshot", len(snapshot))
    seen = await bring_to(connection, newest(snapshot), Cause(actor=actor, source=source))
    told: dict[str, datetime | None] = {}
    for each in sorted(snapshot, key=lambda each: each.as_of):
        told[each.node_id] = each.as_of
    await note_nodes(connection, source, told)
    return FeedResult(
        applied=len(seen.findings),
        ignored_old=len(snapshot) - len(seen.findings),
        shortages=seen.shortages,
        gap=await records.advance_feed(connection, source, sequence) if fresh else 0,
    )


async def apply_deltas(
    connection: asyncpg.Connection,
    source: str,
    sequence: int,
    deltas: Sequence[DeltaRecord],
    actor: str,
) -> FeedResult:
    """Add what a source says came in or went out; one message has one effect.

    Messages may come late and in any order: a gap in `sequence` is reported and holds nothing up,
    and on hand may stay below zero until the missing message comes. Raises ValueError for more than
    `RECORDS_MAX` records; asyncpg.SerializationError: try again.
    """
    _check_size(deltas)
    if not await records.claim_message(connection, source, sequence, "delta", len(deltas)):
        return FeedResult(applied=0, duplicate=True)
    moved = [each for each in deltas if each.delta]
    applied = ignored = recognized = 0
    shortages: list[Shortage] = []
    if moved:
        book, _ = await open_book(connection, {(each.sku, each.node_id) for each in moved})
        ours = await _recorded_by_us(connection, moved)
        for index, each in enumerate(moved):
            movement = _delta_movement(each, uuid5(FEED, f"{source}/{sequence}/{index}"))
            if book.is_counted(movement):
                ignored += 1
            elif (each.sku, each.node_id, each.reference, each.delta > 0) in ours:
                recognized += 1
            else:
                applied += 1
                book.add(msgspec.structs.replace(movement, source=source, actor=actor))
        shortages = await book.write(connection)
    # A delta of nothing says that the feed is alive.
    await note_nodes(connection, source, {each.node_id: None for each in deltas})
    return FeedResult(
        applied=applied,
        ignored_old=ignored,
        recognized=recognized,
        shortages=tuple(shortages),
        gap=await records.advance_feed(connection, source, sequence),
    )


async def forget_messages(connection: asyncpg.Connection, before: datetime) -> int:
    """Forget feed messages from before an instant, some thousands a call; say how many.

    A delta that old, sent again, would count again: keep messages as long as movements are kept.
    """
    return await records.delete_messages(connection, before, RECORDS_MAX)


async def repeated_ids(connection: asyncpg.Connection, movements: Sequence[Movement]) -> list[UUID]:
    """Return the ids of those movements that are recorded already, whose records are locked.

    Raises ValueError when an id belongs to another movement than the one given.
    """
    found = await records.find_movements(
        connection,
        [each.sku for each in movements],
        [each.movement_id for each in movements if each.movement_id],
    )
    given = {each.movement_id: (each.node_id, each.kind, each.quantity) for each in movements}
    for row in found:
        stored = (row["node_id"], row["kind"], row["quantity"])
        if given[row["movement_id"]] != stored:
            raise ValueError(
                f"movement {row['movement_id']} is recorded as {stored}, not as "
                f"{given[row['movement_id']]}; name a new movement"
            )
    return [row["movement_id"] for row in found]


def _refuse(movement: Movement, before: Balance, after: Balance) -> None:
    """Raise MovementRefused where a movement leaves its record in a state that cannot be."""
    if after.on_hand < min(before.on_hand, 0):
        raise MovementRefused(
            movement, f"only {before.on_hand} are on hand; count the record first", before.on_hand
        )
    if after.unavailable < 0:
        raise MovementRefused(
            movement, f"only {before.unavailable} are unavailable", before.unavailable
        )
    sound = before.on_hand - before.unavailable
    if after.on_hand - after.unavailable < min(sound, 0):
        raise MovementRefused(movement, f"only {sound} are fit for sale", sound)
    if movement.kind not in SHORT_KINDS and after.free < min(before.free, 0):
        free = max(before.free, 0)
        raise MovementRefused(
            movement,
            f"{before.reserved} are promised and only {free} are free; release a promise, or "
            "record a count when the goods are not there",
            free,
        )


def _delta_movement(each: DeltaRecord, movement_id: UUID) -> Movement:
    return Movement(
        movement_id=movement_id,
        sku=each.sku,
        node_id=each.node_id,
        kind="feed_gain" if each.delta > 0 else "feed_loss",
        quantity=abs(each.delta),
        happened_at=each.happened_at,
        actor="",
        reference=each.reference,
    )


async def _recorded_by_us(
    connection: asyncpg.Connection, deltas: Iterable[DeltaRecord]
) -> set[tuple[str, str, str | None, bool]]:
    """Return record, reference and direction (true for in) of our own movements among these."""
    named = [(each.sku, each.node_id, each.reference) for each in deltas if each.reference]
    if not named:
        return set()
    rows = await records.find_references(connection, *transpose(named))
    return {(row[0], row[1], row[2], KINDS[row[3]][0] > 0) for row in rows}


def _check_movements(movements: Sequence[Movement]) -> None:
    _check_size(movements)
    named: set[UUID | None] = {None}
    for each in movements:
        if each.kind not in KINDS or each.kind == "dispatch":
            raise ValueError(
                f"{each.kind!r} is not a movement to record; use one of "
                f"{', '.join(sorted(KINDS.keys() - {'dispatch'}))}, or consume a reservation"
            )
        if each.quantity < 1:
            raise ValueError(f"movement {each.movement_id} moves {each.quantity}; at least 1")
        if each.movement_id in named:
            raise ValueError(f"movement {each.movement_id} must have a name of its own")
        named.add(each.movement_id)


def _check_snapshot(snapshot: Sequence[SnapshotRecord]) -> None:
    _check_size(snapshot)
    for each in snapshot:
        if each.on_hand < 0 or not 0 <= (each.unavailable or 0) <= each.on_hand:
            raise ValueError(
                f"snapshot of {each.sku} at {each.node_id} says {each.on_hand} on hand, "
                f"{each.unavailable} of them unavailable; neither can be negative nor the second "
                "larger than the first"
            )


def _check_size(batch: Sequence[object]) -> None:
    if len(batch) > RECORDS_MAX:
        raise ValueError(f"{len(batch)} records in one call; send at most {RECORDS_MAX}")
