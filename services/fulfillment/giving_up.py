"""Units are taken from some work, whoever wants it: its node, or we who know that it cannot.

Planned first and without a lock, then done in one transaction by what is true there.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

import asyncpg
import msgspec

from inventory.give_back import lock_promises
from services.fulfillment import resource
from services.fulfillment.choices import choices_for
from services.fulfillment.corrections import Said, corrected, follow
from services.fulfillment.events import Units, event, units_of
from services.fulfillment.exceptions import ABOUT_WORK, Kind, Unit, resolve_cause
from services.fulfillment.leftovers import queue_late, queue_rest, unplaced
from services.fulfillment.moves import LostRaceError, Means, need_of, pass_on
from services.fulfillment.records import Work
from services.fulfillment.resource import Found, Worse
from services.fulfillment.steps import write
from services.fulfillment.tables import LIVE_STATES
from services.records import Event


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """What was planned for units before the transaction."""

    units: Mapping[int, int]
    found: Found | None = None
    choices: tuple[Mapping[str, object], ...] = ()


async def plan(means: Means, work: Work, units: Units) -> Proposal:
    """Plan another place for units of some work, or what a customer can choose between."""
    blank = Proposal(units=units)
    if work.order.attempt >= means.settings.attempts_per_line_max:
        return blank
    need = need_of(work, units)
    limit_ms, divisor = means.settings.resource_ms, means.settings.dimensional_divisor
    found = await resource.find(means.database, means.network, need, limit_ms, divisor=divisor)
    if need.method != "ship" and found.units < sum(units.values()):
        # Half of a pickup somewhere else is not what the customer came for.
        return msgspec.structs.replace(blank, choices=await choices_for(means, need))
    return msgspec.structs.replace(blank, found=found)


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of units that were given up."""

    work: Work
    """The work as it is now."""
    made: Sequence[Work]
    """Work that took units over."""
    queued: tuple[Unit, ...]
    """Units that no node has."""
    exception_id: UUID | None
    late: Mapping[UUID, UUID]
    """Exceptions of new work that breaks the promise, by fulfillment order."""
    worse: tuple[Worse, ...]


async def give_up(
    connection: asyncpg.Connection,
    means: Means,
    work: Work,
    units: Units,
    said: Said,
    proposal: Proposal | None,
) -> Passed:
    """Take units from locked work for the reasons said, and pass them on as proposed.

    What nobody takes over is in the exceptions queue. Raises `LostRaceError` where the proposal is
    for other units than these, or does not fit any more.
    """
    if proposal is not None and dict(proposal.units) != dict(units):
        raise LostRaceError
    found, actor = proposal.found if proposal else None, said.actor
    await lock_promises(connection, work.order.allocation_id, corrected(work, said))
    after, made = await pass_on(connection, work, units, found, means=means, actor=actor)
    await follow(connection, work, units, said)
    left = unplaced(work, units, made)
    over = work.order.attempt >= means.settings.attempts_per_line_max
    kind: Kind = "attempts" if over else "unroutable"
    details: dict[str, object] = {"attempt": work.order.attempt}
    if proposal is not None and proposal.choices:
        details["choices"] = list(proposal.choices)
    exception_id = await queue_rest(connection, work, left, kind, details, actor)
    late = await queue_late(connection, made, work, actor)
    if after.order.state not in LIVE_STATES:
        for about_it in ABOUT_WORK:
            cause = str(work.order.fulfillment_order_id)
            await resolve_cause(connection, about_it, cause, "moved", actor=actor)
    passed = Passed(
        work=after,
        made=made,
        queued=left,
        exception_id=exception_id,
        late=late,
        worse=found.worse if found else (),
    )
    await write(connection, work, after, [rejected(work, units, said, passed)], actor)
    return passed


def rejected(work: Work, units: Units, said: Said, passed: Passed) -> Event:
    """Return the event of units that were given up, with where they went."""
    return event(
        "rejected",
        passed.work.order,
        said.actor,
        lines=[
            {**each, "reason": said.reasons[line.part].reason}
            for line in work.lines
            if units.get(line.part)
            for each in units_of([line], units)
        ],
        whole=not any(line.left for line in passed.work.lines),
        moved_to=[str(each.order.fulfillment_order_id) for each in passed.made],
        exception_id=str(passed.exception_id) if passed.exception_id else None,
        note=said.note,
    )
