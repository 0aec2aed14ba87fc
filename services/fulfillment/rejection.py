"""When a node says no: what it gives up is given to others at once, or to a person to decide.

Another place is planned before the transaction and without a lock; in the transaction everything is
looked at again. Whoever loses a race plans again, a bounded number of times. It ends: a node that
gave up a sku of an order is never asked for it again, and an order passes a limited number of times.
"""

from collections.abc import Mapping
from typing import Annotated, Literal
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Meta

from services.fulfillment import reasons, records
from services.fulfillment.answers import FulfillmentOrderAnswer, standing, told
from services.fulfillment.corrections import Said
from services.fulfillment.events import Units
from services.fulfillment.giving_up import Passed, Proposal, give_up, plan
from services.fulfillment.moves import LostRaceError, Means
from services.fulfillment.reasons import Matrix, Reason
from services.fulfillment.records import FulfillmentLine, Work
from services.fulfillment.resource import Worse
from services.fulfillment.states import verify
from services.fulfillment.steps import Ask, lock, verify_version
from services.fulfillment.units import LineUnits, chosen
from services.keys import Role
from services.orders.answers import PromiseAnswer
from services.orders.idempotency import Answer, Claim, answer, once
from services.problems import Refused

Call = Literal["reject", "short-pick"]
ROOMS = {"reject": "give up", "short-pick": "pick"}


class LineTold(msgspec.Struct, frozen=True, kw_only=True):
    """Units of one line that a node gives up, with the reason."""

    line: LineUnits
    reason: str


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a node tells of work that it cannot do."""

    call: Call
    reason: str
    """Of everything that no line gives a reason of its own for."""
    lines: tuple[LineTold, ...] | None = None
    """All that is left when none are named."""
    note: str = ""


class FateAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of units that a node gave up."""

    line_id: str
    sku: str
    quantity: int
    became: Annotated[
        Literal["moved", "queued"],
        Meta(description="Work of another node, or in the exceptions queue at no node."),
    ]
    fulfillment_order_id: UUID | None = None
    node_id: str | None = None
    method: str | None = None
    promise: PromiseAnswer | None = None
    worse: Annotated[
        tuple[Worse, ...], Meta(description="In which ways the promise is worse than before.")
    ] = ()
    exception_id: UUID | None = None


class RejectionAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The work after its node has given up units, and what became of each of them."""

    fulfillment_order: FulfillmentOrderAnswer
    units: tuple[FateAnswer, ...]


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """Units that a node gives up, by part, and why."""

    units: Units
    reasons: Mapping[int, Reason]


class Rejecting(msgspec.Struct, frozen=True, kw_only=True):
    """A call by which a node gives up units of some work."""

    fulfillment_order_id: UUID
    ask: Ask
    given: Told
    role: Role


async def reject(means: Means, claimed: Claim, asked: Rejecting) -> Answer:
    """Give up units of some work; answer with what became of each, once per key.

    Raises, in this order: `not-found`, `version-mismatch`, `illegal-state`, what `units.chosen`
    raises, `unknown-reference` for a reason that does not exist, `too-many-units` when nothing is
    left.
    """
    for tries in range(means.settings.resource_tries, -1, -1):
        proposal = await propose(means, asked) if tries else None

        async def work(
            connection: asyncpg.Connection, proposal: Proposal | None = proposal
        ) -> Answer:
            return await commit(connection, means, asked, proposal)

        try:
            return await once(means.database, claimed, work)
        except LostRaceError:
            continue
    raise RuntimeError("unreachable: without a proposal nothing can be lost")


async def propose(means: Means, asked: Rejecting) -> Proposal:
    """Plan another place for what a node gives up.

    Whatever is wrong with the call is found again, and told, in the transaction.
    """
    async with means.database.connect() as connection:
        work = await records.find(connection, asked.fulfillment_order_id)
        matrix = await reasons.in_force(connection)
    try:
        units = choose(work, asked.given, matrix).units if work else {}
    except Refused:
        units = {}
    return await plan(means, work, units) if work and units else Proposal(units=units)


def choose(work: Work, given: Told, matrix: Matrix) -> Chosen:
    """Return the units that a call gives up with their reasons.

    A reason that concerns the whole order gives up all that is left. Raises as `reject` does.
    """

    def room(line: FulfillmentLine) -> int:
        return line.left if given.call == "reject" else line.to_pick

    asked = None if given.lines is None else [each.line for each in given.lines]
    units = dict(chosen(work.lines, asked, room, ROOMS[given.call]))
    named = {each.line: matrix.find(each.reason) for each in given.lines or ()}
    by_part: dict[int, Reason] = {}
    for line in work.lines:
        for each, reason in named.items():
            if each.line_id == line.line_id and each.part in (None, line.part):
                by_part[line.part] = reason
    general = matrix.find(given.reason)
    widest = next((r for r in by_part.values() if r.cascade == "order"), None)
    if given.lines is None or widest is not None:
        units |= {line.part: room(line) for line in work.lines if room(line)}
    if not units:
        raise Refused("too-many-units", f"Nothing is left to {ROOMS[given.call]}.", left=0)
    return Chosen(
        units=units,
        reasons={part: by_part.get(part, widest or general) for part in units},
    )


async def commit(
    connection: asyncpg.Connection, means: Means, asked: Rejecting, proposal: Proposal | None
) -> Answer:
    """Give up units in a transaction, by the work as it is now.

    Raises as `reject` does, and `LostRaceError` when the proposal does not fit.
    """
    work = await lock(connection, asked.fulfillment_order_id)
    verify_version(work, asked.ask)
    # Legal wherever a rejection of everything is: what is given up may turn out to be all.
    verify("short_pick", standing(work.order))
    matrix = await reasons.in_force(connection)
    picked = choose(work, asked.given, matrix)
    said = Said(
        reasons=picked.reasons,
        matrix_version=matrix.version,
        note=asked.given.note,
        actor=asked.ask.actor,
    )
    passed = await give_up(connection, means, work, picked.units, said, proposal)
    (shown,) = await told(connection, [passed.work], asked.role)
    found = fates(passed)
    if asked.role == "partner":
        found = [discreet(each) for each in found]
    return answer(200, RejectionAnswer(fulfillment_order=shown, units=tuple(found)))


def fates(passed: Passed) -> list[FateAnswer]:
    """Return what became of each unit."""
    moved = [
        FateAnswer(
            line_id=line.line_id,
            sku=line.sku,
            quantity=line.quantity,
            became="moved",
            fulfillment_order_id=each.order.fulfillment_order_id,
            node_id=each.order.node_id,
            method=each.order.method,
            promise=PromiseAnswer(each.order.promise_earliest, each.order.promise_latest),
            worse=passed.worse,
            exception_id=passed.late.get(each.order.fulfillment_order_id),
        )
        for each in passed.made
        for line in each.lines
    ]
    queued = [
        FateAnswer(
            line_id=each.line_id,
            sku=each.sku,
            quantity=each.quantity,
            became="queued",
            exception_id=passed.exception_id,
        )
        for each in passed.queued
    ]
    return moved + queued


def discreet(fate: FateAnswer) -> FateAnswer:
    """Return what another company is told: that the units are looked after, not by whom."""
    return msgspec.structs.replace(fate, fulfillment_order_id=None, node_id=None, exception_id=None)
