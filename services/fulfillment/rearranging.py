"""Work that is not released yet is planned anew together, and moved where that costs less.

Planned outside of any transaction. Then one group of moves after another is made, each in a
transaction of its own in which everything is looked at again: whoever has changed meanwhile stays
where it is, and so does everyone it would have changed places with.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from inventory.give_back import Exchange, Part, exchange, move
from routing.plan import Plan
from routing.window import Move, Rules
from routing.window_search import rearrange
from services import records as shared_records
from services.database import Database
from services.fulfillment import records
from services.fulfillment.events import event, units_of, whole
from services.fulfillment.exceptions import ABOUT_WORK, resolve_cause
from services.fulfillment.moves import (
    LostRaceError,
    Means,
    after_loss,
    demand_of,
    new_work,
    spared_by,
    write_new,
)
from services.fulfillment.rearranged import Kept, keep, kept_of
from services.fulfillment.records import Work
from services.fulfillment.resource import Found
from services.fulfillment.sweeps import Resourcing
from services.fulfillment.waiting import Shelf, Waited, is_movable, read_shelves
from services.fulfillment.waiting_window import window_of
from services.ids import new_id
from services.settings import Settings

ACTOR = "system:rearrange"


class Rearranging:
    """The job that plans waiting orders anew."""

    def __init__(self, settings: Settings, resourcing: Resourcing) -> None:
        """Prepare; `resourcing` knows the newest network."""
        self.settings = settings
        self.resourcing = resourcing

    async def run(self, database: Database) -> int:
        """Move what is cheaper elsewhere; say how many orders moved.

        Orders that wait for supply come first, in order of their promises and one by one, so that
        what has come in goes to whom it was promised first.
        """
        if not self.settings.release_window_s:
            return 0
        means = await self.resourcing.means(database)
        moved = 0
        for shelf in await shelves(means):
            for each in sorted(filter(waits_for_supply, shelf.waited), key=promised):
                moved += await self.rearranged(means, each.allocation_id)
        for shelf in await shelves(means):
            moved += await settle(means, shelf)
        return moved

    async def rearranged(self, means: Means, allocation_id: UUID) -> int:
        """Move one order, if it is better off elsewhere, on what there is now."""
        for shelf in await shelves(means):
            alone = tuple(each for each in shelf.waited if each.allocation_id == allocation_id)
            if alone:
                return await settle(means, msgspec.structs.replace(shelf, waited=alone))
        return 0


async def shelves(means: Means) -> list[Shelf]:
    """Return the orders that are not released too soon to be moved, by channel."""
    settings = means.settings
    async with means.database.transaction(isolation="repeatable_read", readonly=True) as connection:
        now = await shared_records.database_now(connection)
        from_at = now + timedelta(milliseconds=2 * settings.rearrange_limit_ms)
        return await read_shelves(connection, means.network, from_at, settings.rearrange_orders_max)


def waits_for_supply(each: Waited) -> bool:
    """Tell whether an order was promised what has not come in."""
    return any(line.supply_id is not None for work in each.works for line in work.lines)


def promised(each: Waited) -> tuple[datetime, UUID]:
    """Return what orders that wait are served by: the promise, then who came first."""
    latest = max(work.order.promise_latest for work in each.works)
    return datetime.combine(latest, datetime.min.time()), each.allocation_id


async def settle(means: Means, shelf: Shelf) -> int:
    """Plan a shelf's orders anew and make the moves; say how many orders moved."""
    settings = means.settings
    if not shelf.waited:
        return 0
    rules = Rules(
        moves_max=settings.rearrange_moves_max or None,
        saving_min_minor=settings.rearrange_saving_minor,
        time_limit_ms=settings.rearrange_limit_ms,
    )
    divisor = settings.dimensional_divisor
    window = await asyncio.to_thread(window_of, means.network, shelf, divisor)
    found = await asyncio.to_thread(rearrange, window, rules)
    by_id = {str(each.allocation_id): each for each in shelf.waited}
    kept: dict[str, Kept] = {}
    if settings.decision_records:
        kept = await asyncio.to_thread(kept_of, window, found, by_id, new_id())
    moved = 0
    for group in found.groups:
        going = [Going(by_id[each.order_id], each, kept.get(each.order_id)) for each in group]
        if not all(keeps_promise(each.waited, each.move.plan) for each in going):
            raise RuntimeError(f"a promise would get worse: {[each.order_id for each in group]}")
        moved += await make(means, shelf, going)
    return moved


class Going(NamedTuple):
    """An order that is about to move."""

    waited: Waited
    move: Move
    kept: Kept | None
    """What is to be kept of the move; none where decision records are not."""


def keeps_promise(waited: Waited, plan: Plan) -> bool:
    """Tell whether a plan gives a customer everything, no later and in no more parcels."""
    wanted: Counter[tuple[str, str]] = Counter()
    limits = {}
    for position, want in enumerate(waited.wants):
        for sku, count in waited.parts(want).items():
            wanted[str(position), sku] += count * want.quantity
        limits[str(position)] = min(
            work.order.promise_latest
            for work in waited.works
            if any(own.line_id == want.line_id for own in work.lines)
        )
    given: Counter[tuple[str, str]] = Counter()
    for each in plan.fulfillments:
        for line in each.lines:
            given[line.line_id, line.sku] += line.quantity
            if each.promise.latest > limits[line.line_id] or each.method != "ship":
                return False
    return given == wanted and len(plan.fulfillments) <= len(waited.works)


async def make(means: Means, shelf: Shelf, going: Sequence[Going]) -> int:
    """Make a group of moves in one transaction, all or none; say how many were made."""

    async def work(connection: asyncpg.Connection) -> int:
        locked = await lock(connection, [each.waited for each in going])
        if locked is None:
            return 0
        changes = [
            await change(connection, means, shelf, locked[each.waited.allocation_id], each)
            for each in going
        ]
        await exchanged(connection, [each.exchange for each in changes])
        for each in changes:
            await write(connection, each)
        return len(changes)

    try:
        return await means.database.run(work)
    except LostRaceError:
        # Somebody has taken what was to be had; the next run looks again.
        return 0


async def lock(
    connection: asyncpg.Connection, waited: Sequence[Waited]
) -> Mapping[UUID, tuple[Work, ...]] | None:
    """Lock the work of orders in order; none where any of it is not as it was planned from."""
    found: dict[UUID, tuple[Work, ...]] = {}
    ordered = sorted(waited, key=lambda one: one.allocation_id)
    for each in ordered:
        await records.lock_allocation_of(connection, each.works[0].order.fulfillment_order_id)
    for each in ordered:
        now = {
            work.order.fulfillment_order_id: work
            for work in await records.lock_of_allocation(connection, each.allocation_id)
        }
        there = [now.get(work.order.fulfillment_order_id) for work in each.works]
        works = tuple(work for work in there if work is not None and is_movable(work))
        if [(work.order.version, work.order.fulfillment_order_id) for work in works] != [
            (work.order.version, work.order.fulfillment_order_id) for work in each.works
        ]:
            return None
        found[each.allocation_id] = works
    return found


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One order's move as it is written."""

    works: tuple[Work, ...]
    made: tuple[Work, ...]
    exchange: Exchange
    found: Found
    saving_minor: int
    kept: Kept | None


async def change(
    connection: asyncpg.Connection,
    means: Means,
    shelf: Shelf,
    works: tuple[Work, ...],
    going: Going,
) -> Change:
    """Return what a move changes: the new work, what is given up for it and what it takes."""
    waited, moving, kept = going
    found = Found(
        plan=moving.plan,
        wants=waited.wants,
        buffers={key: cell.buffer for key, cell in shelf.cells.items()},
        channel=waited.channel,
        late_days=0,
        more_parcels=0,
        now=shelf.now,
    )
    made = await new_work(connection, origin_of(works), found, means, ACTOR)
    # Nobody has failed: it counts as none of the attempts that an order has.
    attempt = works[0].order.attempt
    made = [Work(msgspec.structs.replace(each.order, attempt=attempt), each.lines) for each in made]
    holder = waited.allocation_id
    return Change(
        works=works,
        made=tuple(made),
        found=found,
        saving_minor=moving.saving_minor,
        kept=kept,
        exchange=Exchange(
            holder=holder,
            parts=[
                Part(
                    line_id=line.line_id,
                    sku=line.sku,
                    node_id=work.order.node_id,
                    quantity=line.quantity,
                    supply_id=line.supply_id,
                )
                for work in works
                for line in work.lines
            ],
            demand=demand_of(holder, found, means.network.limited, ACTOR),
            spared=[spared_by(work, whole(work)) for work in works],
        ),
    )


def origin_of(works: Sequence[Work]) -> Work:
    """Return the work that new work stands for: the first, with the lines of all."""
    return Work(works[0].order, tuple(line for work in works for line in work.lines))


async def exchanged(connection: asyncpg.Connection, changes: Sequence[Exchange]) -> None:
    """Take the new places and free the old; raises `LostRaceError` where that does not fit.

    One order takes its new place before it frees the old. Where it needs some of its own units for
    that, or orders need each other's, all is locked and the old freed first, in the same step.
    """
    first = changes[0]
    refusal = (
        await move(connection, first.holder, first.parts, first.demand, spared=first.spared)
        if len(changes) == 1
        else None
    )
    if refusal is not None or len(changes) > 1:
        refusal = await exchange(connection, changes)
    if refusal is not None:
        raise LostRaceError(refusal)


async def write(connection: asyncpg.Connection, change: Change) -> None:
    """End the old work, add the new, and tell both."""
    now = await shared_records.database_now(connection)
    ended = await records.save(
        connection, [after_loss(work, whole(work), now) for work in change.works]
    )
    await write_new(connection, origin_of(ended), change.made, change.found, ACTOR)
    moved_to = [str(each.order.fulfillment_order_id) for each in change.made]
    await shared_records.insert_events(
        connection,
        [
            event(
                "rearranged",
                work.order,
                ACTOR,
                lines=units_of(work.lines, whole(work)),
                moved_to=moved_to,
                saving_minor=change.saving_minor,
                window_id=str(change.kept.window_id) if change.kept else None,
            )
            for work in ended
        ],
    )
    if change.kept is not None:
        holder = change.exchange.holder
        await keep(connection, change.kept, holder, change.saving_minor, now)
    for work in ended:
        cause = str(work.order.fulfillment_order_id)
        for about_it in ABOUT_WORK:
            await resolve_cause(connection, about_it, cause, "moved", actor=ACTOR)
