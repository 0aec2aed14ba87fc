"""Counting while selling: what was counted is compared with the stock of that moment.

A count never stops a sale. Each figure carries the instant at which it was true; what has moved
since is added to it, so the order in which sales, dispatches and figures arrive does not matter.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Meta

from inventory.snapshots import Cause, Finding, SnapshotRecord, bring_to, newest
from services.goods import records
from services.ids import new_id
from services.planning.masterdata import verify_distinct
from services.planning.stock import verify_places
from services.problems import Refused
from services.records import Event, database_now, insert_events
from services.shortages import tell_shortages

LINES_MAX = 2_000
"""Skus of one count, because it is settled in one transaction."""
Outcome = Literal["agrees", "corrected", "overtaken", "uncounted"]


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody found of one sku."""

    sku: str
    quantity: int
    unavailable: int | None
    counted_at: datetime | None


class CountLineAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One sku of a count."""

    sku: str
    expected_at_begin: Annotated[
        int | None, Meta(description="On hand when the count began; hidden while it is blind.")
    ]
    counted: int | None
    unavailable: int | None
    counted_at: datetime | None
    counted_by: str | None
    expected: Annotated[
        int | None, Meta(description="On hand at the moment of counting; known at the end.")
    ]
    difference: Annotated[int | None, Meta(description="Counted less expected.")]
    outcome: Annotated[
        Outcome | None,
        Meta(description="`overtaken`: a later count or snapshot of the record came first."),
    ]


class CountAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A count with its lines."""

    count_id: UUID
    node_id: str
    state: Literal["open", "closed", "cancelled"]
    blind: bool
    actor: str
    begun_at: datetime
    ended_at: datetime | None
    gained: Annotated[int, Meta(description="Units that were found beyond what was expected.")]
    lost: Annotated[int, Meta(description="Units that were expected and not found.")]
    lines: list[CountLineAnswer]


async def begin(
    connection: asyncpg.Connection,
    node_id: str,
    skus: Sequence[str] | None,
    *,
    blind: bool,
    actor: str,
) -> CountAnswer:
    """Begin a count of some skus, or of all that have a stock record at the node.

    Raises `duplicate-entry`, `unknown-sku`, `unknown-node`, and `too-many-lines` for a node with
    more skus than one count may have.
    """
    await verify_places(connection, {(sku, node_id) for sku in skus or ()})
    if skus is None:
        skus = await records.find_skus(connection, node_id, LINES_MAX + 1)
        if len(skus) > LINES_MAX:
            raise Refused(
                "too-many-lines",
                f"{node_id} has more than {LINES_MAX} skus; count it in parts, by naming skus.",
            )
    verify_distinct("sku", skus)
    count_id = new_id()
    begun_at = await database_now(connection)
    await records.insert_count(connection, count_id, node_id, begun_at, actor, blind=blind)
    await records.insert_expected(connection, count_id, node_id, skus)
    told = await find(connection, count_id)
    await tell(connection, "count.begun", told, actor)
    return told


async def add(
    connection: asyncpg.Connection, count_id: UUID, found: Sequence[Counted], *, actor: str
) -> CountAnswer:
    """Note what was counted, also of skus nobody expected; a figure counted later replaces one.

    Several people may count at once. Raises `not-found`, `illegal-state`, `duplicate-entry`,
    `unknown-sku`, `too-many-lines`, and `invalid-field` for what was counted before the count began.
    """
    count = verify_open(await records.share_count(connection, count_id), count_id)
    verify_distinct("sku", (each.sku for each in found))
    await verify_places(connection, {(each.sku, count["node_id"]) for each in found})
    now = await database_now(connection)
    for each in found:
        if each.counted_at is not None and each.counted_at < count["begun_at"]:
            raise Refused(
                "invalid-field",
                f"{each.sku} was counted at {each.counted_at.isoformat()}, before the count began "
                f"at {count['begun_at'].isoformat()}; count it again.",
                field="counted_at",
            )
    columns: list[list[object]] = [
        [each.sku for each in found],
        [each.quantity for each in found],
        [each.unavailable for each in found],
        [min(each.counted_at or now, now) for each in found],
    ]
    await records.put_counted(connection, count_id, columns, actor)
    told = await find(connection, count_id)
    if len(told.lines) > LINES_MAX:
        raise Refused("too-many-lines", f"A count has at most {LINES_MAX} skus; begin another one.")
    return told


async def close(
    connection: asyncpg.Connection, count_id: UUID, *, absent: bool, actor: str
) -> CountAnswer:
    """End a count: records are corrected by what was counted, as of when it was counted.

    What was not counted stays as it is, or with `absent` counts as gone when the count began.
    Raises `not-found`, `illegal-state`.
    """
    count = verify_open(await records.lock_count(connection, count_id), count_id)
    lines = await records.find_count_lines(connection, count_id)
    seen_at = {
        line["sku"]: line["counted_at"] or count["begun_at"]
        for line in lines
        if absent or line["counted_at"] is not None
    }
    snapshot = [
        SnapshotRecord(
            sku=line["sku"],
            node_id=count["node_id"],
            on_hand=line["counted"] or 0,
            unavailable=line["unavailable"],
            as_of=seen_at[line["sku"]],
        )
        for line in lines
        if line["sku"] in seen_at
    ]
    cause = Cause(actor=actor, reference=str(count_id))
    seen = await bring_to(connection, newest(snapshot), cause)
    findings = {each.sku: each for each in seen.findings}
    outcomes = [ended(line, findings, seen_at) for line in lines]
    await records.set_outcomes(connection, count_id, list(zip(*outcomes, strict=True)) or [()] * 5)
    await records.end_count(connection, count_id, "closed")
    told = await find(connection, count_id)
    await tell(connection, "count.closed", told, actor)
    await tell_shortages(connection, seen.shortages, actor)
    return told


async def cancel(connection: asyncpg.Connection, count_id: UUID, *, actor: str) -> CountAnswer:
    """End a count that corrects nothing; raises `not-found`, `illegal-state`."""
    verify_open(await records.lock_count(connection, count_id), count_id)
    await records.end_count(connection, count_id, "cancelled")
    told = await find(connection, count_id)
    await tell(connection, "count.cancelled", told, actor)
    return told


async def find(connection: asyncpg.Connection, count_id: UUID) -> CountAnswer:
    """Return a count; raises `not-found`."""
    count = await records.find_count(connection, count_id)
    if count is None:
        raise unknown(count_id)
    hidden = count["blind"] and count["state"] == "open"
    lines = [
        line_answer(line, hidden=hidden)
        for line in await records.find_count_lines(connection, count_id)
    ]
    settled = [each.difference or 0 for each in lines if each.outcome == "corrected"]
    return CountAnswer(
        **count,
        gained=sum(units for units in settled if units > 0),
        lost=-sum(units for units in settled if units < 0),
        lines=lines,
    )


def ended(
    line: asyncpg.Record, findings: dict[str, Finding], seen_at: dict[str, datetime]
) -> tuple[str, int | None, datetime | None, int | None, Outcome]:
    """Return what a line is at the end: sku, counted, when, expected then, and what became of it."""
    sku = line["sku"]
    if sku not in seen_at:
        return sku, None, None, None, "uncounted"
    counted = line["counted"] or 0
    finding = findings.get(sku)
    if finding is None:
        return sku, counted, seen_at[sku], None, "overtaken"
    agrees = finding.expected == finding.on_hand
    return sku, counted, seen_at[sku], finding.expected, "agrees" if agrees else "corrected"


def line_answer(line: asyncpg.Record, *, hidden: bool) -> CountLineAnswer:
    """Return a line as it is told; `hidden` keeps what was expected from who counts."""
    known = line["expected"] is not None and line["counted"] is not None
    fields = dict(line)
    if hidden:
        fields["expected_at_begin"] = None
    return CountLineAnswer(
        **fields, difference=line["counted"] - line["expected"] if known else None
    )


def verify_open(count: asyncpg.Record | None, count_id: UUID) -> asyncpg.Record:
    """Return a count that goes on; raises `not-found`, `illegal-state`."""
    if count is None:
        raise unknown(count_id)
    if count["state"] != "open":
        raise Refused(
            "illegal-state",
            f"The count is {count['state']} since {count['ended_at']:%Y-%m-%dT%H:%M:%SZ}; begin "
            "another one.",
            state=count["state"],
            allowed=(),
        )
    return count


def unknown(count_id: UUID) -> Refused:
    """Return the refusal for a count that does not exist."""
    return Refused("not-found", f"There is no count {count_id}.")


async def tell(connection: asyncpg.Connection, kind: str, count: CountAnswer, actor: str) -> None:
    """Append an event of a count."""
    payload: dict[str, object] = {"count_id": str(count.count_id), "node_id": count.node_id}
    if kind == "count.closed":
        payload |= {"skus": len(count.lines), "gained": count.gained, "lost": count.lost}
    await insert_events(connection, [Event(new_id(), kind, str(count.count_id), actor, payload)])
