"""Moves of an order before its release, explained and decided again from their own records."""

import zlib
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from routing.explain import Decision, explain, nodes_told
from routing.plan import Fulfillment
from routing.record import digest_of, expand
from routing.voice import Voice, counted, listed
from services.orders import rearranged_records, records
from services.orders.rearranged_records import Rearranged

TOLD = ("solver", "plan", "policy", "candidates", "ruled_out", "stale_feeds")
"""What is told of the decision of a move, as of any other."""


class Known(msgspec.Struct, frozen=True, eq=False):
    """A move with the facts that its record refers to."""

    move: Rearranged
    body: bytes


async def read_moves(connection: asyncpg.Connection, allocation_id: UUID) -> list[Known]:
    """Return the moves of an allocation, the first first."""
    found = []
    for move in await rearranged_records.find_rearranged(connection, allocation_id):
        body = await records.find_terrain(connection, digest_of(move.record))
        if body is None:
            raise RuntimeError(f"a move of {allocation_id} refers to facts that are not kept")
        found.append(Known(move, zlib.decompress(body)))
    return found


def decisions_of(known: list[Known]) -> list[Decision]:
    """Return the decisions that moves stand for."""
    return [expand(each.move.record, each.body) for each in known]


def named_by(known: list[Known], decisions: list[Decision]) -> list[str]:
    """Return the nodes that moves name."""
    before = [each.node_id for one in known for each in one.move.before]
    return sorted({*before, *(name for each in decisions for name in nodes_told(each))})


def told(known: Known, decision: Decision, voice: Voice) -> dict[str, Any]:
    """Return one move for a reader: its window, the old plan, the new one, and why."""
    move = known.move
    said = explain(decision, voice=voice)
    return {
        "window_id": str(move.window_id),
        "moved_at": move.created_at,
        "saving_minor": move.saving_minor,
        "window": msgspec.to_builtins(move.seen),
        "before": msgspec.to_builtins(move.before),
        "sentences": [*opening(move, decision, voice), *said["sentences"]],
        **{key: said[key] for key in TOLD},
    }


def opening(move: Rearranged, decision: Decision, voice: Voice) -> list[str]:
    """Return what happened, before why: when, in which company, from where to where."""
    seen, minor, after = move.seen, move.saving_minor, decision.plan.fulfillments
    price = (
        f"which costs {voice.money(minor)} less"
        if minor >= 0
        else f"which costs {voice.money(-minor)} more and made room for others"
    )
    return [
        (
            f"Before its release, at {move.created_at:%Y-%m-%d %H:%M} UTC, the order was planned anew"
            f" together with {counted(seen.orders - 1, 'other order')};"
            f" {counted(seen.moved, 'order')} moved, which saves {voice.money(seen.saving_minor)} in"
            f" all, and no other moves would save more than {voice.money(seen.bound_minor)} beyond."
        ),
        (
            f"{went(move.before, after, voice)}, {price}; nothing comes later than was promised, nor"
            " in more parcels."
        ),
        *sooner(move.before, after),
        "Of what other orders left, this is its plan now.",
    ]


def went(before: Sequence[Fulfillment], after: Sequence[Fulfillment], voice: Voice) -> str:
    """Return where an order went, or on which other day the same nodes work on it."""
    left, there = (
        {each.node_id: voice.node(each.node_id) for each in own} for own in (before, after)
    )
    if left.keys() != there.keys():
        return f"It went from {listed([*left.values()])} to {listed([*there.values()])}"
    old, new = (sorted({each.work_on.isoformat() for each in own}) for own in (before, after))
    how = (
        f"is worked on {listed(new)} instead of {listed(old)}"
        if old != new
        else "is sent otherwise"
    )
    return f"It stays with {listed([*there.values()])} and {how}"


def sooner(before: Sequence[Fulfillment], after: Sequence[Fulfillment]) -> list[str]:
    """Return by how much the promise is better, where it is."""
    old, new = (max(each.promise.latest for each in own) for own in (before, after))
    return [f"The last of it is promised for {new} instead of {old}."] if new < old else []
