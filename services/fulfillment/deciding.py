"""What a person, or a new look, does about an exception: tried again, placed, cancelled, accepted.

Like a rejection it is planned outside a transaction and done in one, guarded by stock as ever.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal, TypeVar
from uuid import UUID

import asyncpg
import msgspec

from routing.problem import Method
from services import records as shared_records
from services.fulfillment import exceptions, exceptions_records, records, resource
from services.fulfillment.cancel import settle
from services.fulfillment.corrections import Said
from services.fulfillment.exceptions import (
    ABOUT_WORK,
    HOMELESS,
    Unit,
    lines_of,
    resolve,
    tried,
    with_lines,
)
from services.fulfillment.exceptions_records import ExceptionRow, Short
from services.fulfillment.giving_up import Proposal, give_up
from services.fulfillment.leftovers import any_waits, counted, queue_late, units_cancelled
from services.fulfillment.moves import LostRaceError, Means, need_of, take_up, wants_of
from services.fulfillment.reasons import Reason
from services.fulfillment.records import Work
from services.fulfillment.resource import Found, Need
from services.fulfillment.steps import lock
from services.fulfillment.tables import LIVE_STATES
from services.orders import lifecycle
from services.problems import Refused

T = TypeVar("T")

Action = Literal["retry", "place", "cancel", "accept"]
POSSIBLE: dict[str, tuple[Action, ...]] = {
    "unroutable": ("retry", "place", "cancel"),
    "attempts": ("retry", "place", "cancel"),
    "late": ("retry", "place", "cancel", "accept"),
    "short": ("retry", "place", "cancel"),
    "partner_silent": ("retry", "place", "cancel", "accept"),
    "endpoint_disabled": (),
    "feed_stale": (),
}
"""What can be done about each kind beside dismissing it."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done about an exception, and by whom."""

    action: Action
    actor: str
    node_id: str | None = None
    """Where to place the units; anywhere without, as re-sourcing would."""
    method: Method | None = None
    """As before without."""
    service: str | None = None
    lines: tuple[Unit, ...] | None = None
    """All of them without; of each line its id, sku and quantity count."""
    note: str = ""


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """What was planned for an exception before the transaction."""

    wants: tuple[resource.Want, ...]
    found: Found | None


async def decide(
    means: Means,
    exception_id: UUID,
    decision: Decision,
    run: Callable[[Callable[[asyncpg.Connection], Awaitable[bool]]], Awaitable[T]],
) -> T:
    """Carry out a decision in the transaction that `run` makes; planned again when a race is lost.

    What runs there returns whether it helped. Raises `not-found`; `illegal-state` when the
    exception is over or its kind does not allow the decision; `invalid-field` for lines it is not
    about; `insufficient-stock` and `contended` where units cannot be placed as a person said.
    """
    for tries in range(means.settings.resource_tries, -1, -1):
        prepared = await prepare(means, exception_id, decision) if tries else None

        async def work(
            connection: asyncpg.Connection, prepared: Prepared | None = prepared
        ) -> bool:
            return await carry_out(connection, means, exception_id, decision, prepared)

        try:
            return await run(work)
        except LostRaceError:
            continue
    raise RuntimeError("unreachable: without a plan nothing can be lost")


async def prepare(means: Means, exception_id: UUID, decision: Decision) -> Prepared:
    """Plan where an exception's units could go, if that is what the decision needs."""
    async with means.database.connect() as connection:
        row = await exceptions_records.find_exception(connection, exception_id)
        work = await origin_of(connection, row) if row else None
    nothing = Prepared(wants=(), found=None)
    if row is None or work is None or decision.action not in ("retry", "place"):
        return nothing
    try:
        chosen = chosen_of(row, work, decision)
    except Refused:
        return nothing
    need = need_for(work, chosen, decision)
    if not need.wants:
        return nothing
    limit_ms = means.settings.resource_ms
    found = await resource.find(
        means.database, means.network, need, limit_ms, divisor=means.settings.dimensional_divisor
    )
    return Prepared(wants=need.wants, found=found)


async def origin_of(connection: asyncpg.Connection, row: ExceptionRow) -> Work | None:
    """Return the work that an exception is about."""
    if row.fulfillment_order_id is None:
        return None
    return await records.find(connection, row.fulfillment_order_id)


def chosen_of(row: ExceptionRow, work: Work, decision: Decision) -> tuple[Unit, ...]:
    """Return the units that a decision is about; raises `invalid-field` for others.

    Of work that still has its units, those that nobody has picked yet.
    """
    left: Counter[tuple[str, str]] = Counter()
    for each in lines_of(row):
        left[each.line_id, each.sku] += each.quantity
    if row.kind in ABOUT_WORK:
        to_pick: Counter[tuple[str, str]] = Counter()
        for line in work.lines:
            to_pick[line.line_id, line.sku] += line.to_pick
        left &= to_pick
    if decision.lines is None:
        return tuple(
            Unit(line_id=line_id, sku=sku, quantity=units)
            for (line_id, sku), units in sorted(left.items())
            if units
        )
    for each in decision.lines:
        there = left[each.line_id, each.sku]
        if not 0 < each.quantity <= there:
            raise Refused(
                "invalid-field",
                f"The exception is about {there} of line {each.line_id} ({each.sku}), and "
                f"{each.quantity} were named.",
                field="lines",
            )
        left[each.line_id, each.sku] -= each.quantity
    return decision.lines


def need_for(work: Work, chosen: Sequence[Unit], decision: Decision) -> Need:
    """Return the need of these units as a decision narrows it."""
    units: Counter[tuple[str, str]] = Counter()
    for each in chosen:
        units[each.line_id, each.sku] += each.quantity
    need = need_of(work, {line.part: line.quantity for line in work.lines})
    method: Method = decision.method or need.method
    elsewhere = decision.node_id if method == "pickup" else None
    pickup_node = elsewhere or need.pickup_node
    failed = {pair for pair in need.failed if pair[1] in {each.sku for each in chosen}}
    return msgspec.structs.replace(
        need,
        wants=wants_of(units),
        method=method,
        pickup_node=None if method == "ship" else pickup_node,
        failed=frozenset(failed),
        node_id=decision.node_id,
        service=decision.service,
    )


async def carry_out(
    connection: asyncpg.Connection,
    means: Means,
    exception_id: UUID,
    decision: Decision,
    prepared: Prepared | None,
) -> bool:
    """Do in a transaction what was decided; say whether it helped. Raises as `decide` does."""
    before = await exceptions_records.find_exception(connection, exception_id)
    if before is None:
        raise exceptions.unknown(exception_id)
    # The allocation and the work come before the exception in the order of locks.
    work = (
        await lock(connection, before.fulfillment_order_id) if before.fulfillment_order_id else None
    )
    row = await exceptions.lock(connection, exception_id)
    if decision.action not in POSSIBLE[row.kind] or work is None:
        raise impossible(row, decision)
    allocation = await lifecycle.find(connection, work.order.allocation_id)
    is_live = row.kind in HOMELESS or work.order.state in LIVE_STATES
    if allocation.state != "confirmed" or not is_live:
        await resolve(connection, row, "order ended", actor=decision.actor)
        return True
    if decision.action == "accept":
        await resolve(connection, row, "accepted", actor=decision.actor, note=decision.note)
        return True
    case = Case(row=row, work=work, chosen=chosen_of(row, work, decision), decision=decision)
    if decision.action == "cancel":
        await cancel_units(connection, means, case)
        return True
    return await place(connection, means, case, prepared)


def impossible(row: ExceptionRow, decision: Decision) -> Refused:
    """Return the refusal for what cannot be done about a kind of exception."""
    possible = (*POSSIBLE[row.kind], "dismiss")
    return Refused(
        "illegal-state",
        f"{decision.action} is not possible for {row.kind}; possible: {', '.join(possible)}.",
        state=row.state,
        allowed=possible,
    )


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """An exception that is being decided, with everything locked."""

    row: ExceptionRow
    work: Work
    chosen: tuple[Unit, ...]
    decision: Decision


async def place(
    connection: asyncpg.Connection, means: Means, case: Case, prepared: Prepared | None
) -> bool:
    """Give the units to the nodes of a plan, all that it places; say whether that helped."""
    row, decision = case.row, case.decision
    if not case.chosen or (row.kind == "short" and not await still_short(connection, row)):
        await resolve(connection, row, "no longer so", actor=decision.actor)
        return True
    if prepared is not None and prepared.wants != need_for(case.work, case.chosen, decision).wants:
        raise LostRaceError
    found = prepared.found if prepared else None
    wanted = sum(each.quantity for each in case.chosen)
    if found is None or not helps(row, found, wanted):
        if decision.action == "place":
            raise not_there(decision, found, wanted)
        await tried(connection, row, await shared_records.database_now(connection))
        return False
    if row.kind in HOMELESS:
        made = await take_up(connection, case.work, found, means=means, actor=decision.actor)
        await queue_late(connection, made, case.work, decision.actor)
        await less(connection, case, taken_by(made), "placed")
    else:
        await resolve(connection, row, "moved", actor=decision.actor, note=decision.note)
        units = parts_of(case)
        said = said_of(row, units, decision)
        await give_up(connection, means, case.work, units, said, Proposal(units=units, found=found))
    return True


def helps(row: ExceptionRow, found: Found, wanted: int) -> bool:
    """Tell whether a plan is better than leaving things as they are."""
    if row.kind in HOMELESS:
        # A pickup is whole or it is none.
        is_pickup = any(each.method != "ship" for each in found.plan.fulfillments)
        return found.units == wanted or (found.units > 0 and not is_pickup)
    return found.units == wanted and not (row.kind == "late" and found.late_days)


def not_there(decision: Decision, found: Found | None, wanted: int) -> Refused:
    """Return the refusal when units cannot be placed as a person said."""
    if found is None:
        return Refused("contended", "Others took the stock first; look again and decide anew.")
    return Refused(
        "insufficient-stock",
        f"{decision.node_id or 'The network'} can take {found.units} of the {wanted} units as "
        "asked; name fewer, another node, method or service.",
        available=found.units,
    )


async def still_short(connection: asyncpg.Connection, row: ExceptionRow) -> bool:
    """Tell whether an exception's promises still stand on goods that are not there."""
    supply_id = msgspec.json.decode(row.details).get("supply_id")
    for sku in row.skus:
        place = Short(sku, row.node_id or "", supply_id, 0)
        if await exceptions_records.shortage_at(connection, place):
            return True
    return False


def taken_by(made: Sequence[Work]) -> Counter[tuple[str, str]]:
    """Return the units of new work by line."""
    taken: Counter[tuple[str, str]] = Counter()
    for work in made:
        for line in work.lines:
            taken[line.line_id, line.sku] += line.quantity
    return taken


async def less(
    connection: asyncpg.Connection,
    case: Case,
    gone: Mapping[tuple[str, str], int],
    resolution: str,
) -> None:
    """Take units out of an exception; when none is left it is over."""
    left = dict(gone)
    rest = []
    for each in lines_of(case.row):
        key = (each.line_id, each.sku)
        units = min(left.get(key, 0), each.quantity)
        left[key] = left.get(key, 0) - units
        if each.quantity > units:
            rest.append(msgspec.structs.replace(each, quantity=each.quantity - units))
    decision = case.decision
    if rest:
        await exceptions_records.save_exception(connection, with_lines(case.row, rest))
    else:
        await resolve(connection, case.row, resolution, actor=decision.actor, note=decision.note)


def parts_of(case: Case) -> dict[int, int]:
    """Return the chosen units by part of work that still has them."""
    left: Counter[tuple[str, str]] = Counter()
    for each in case.chosen:
        left[each.line_id, each.sku] += each.quantity
    units = {}
    for line in case.work.lines:
        key = (line.line_id, line.sku)
        taken = min(left[key], line.to_pick)
        left[key] -= taken
        if taken:
            units[line.part] = taken
    return units


def said_of(row: ExceptionRow, units: Mapping[int, int], decision: Decision) -> Said:
    """Return why units are taken from work that still has them."""
    reason = Reason(reason=row.kind)
    return Said(reasons=dict.fromkeys(units, reason), note=decision.note, actor=decision.actor)


async def cancel_units(connection: asyncpg.Connection, means: Means, case: Case) -> None:
    """Give units up for good: the customer does not get them, and nothing is captured for them."""
    row, decision = case.row, case.decision
    if row.kind in HOMELESS:
        await less(connection, case, counted(case.chosen), "cancelled")
    else:
        units = parts_of(case)
        await resolve(connection, row, "cancelled", actor=decision.actor, note=decision.note)
        if units:
            said = said_of(row, units, decision)
            passed = await give_up(connection, means, case.work, units, said, Proposal(units=units))
            if passed.exception_id is not None:
                homeless = await exceptions.lock(connection, passed.exception_id)
                again = msgspec.structs.replace(case, row=homeless)
                await less(connection, again, counted(case.chosen), "cancelled")
    told = units_cancelled(case.work, case.chosen, row.exception_id, decision.actor)
    await shared_records.insert_events(connection, [told])
    if not await any_waits(connection, case.work.order.allocation_id):
        await settle(connection, case.work.order.allocation_id, decision.actor)
