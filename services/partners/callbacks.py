"""What partners tell of work: applied once, in whatever order and however often it comes.

Networks repeat and reorder. So every event has an id of the partner's own, under which it has one
effect; one that comes too early is parked until what it waits for has happened; and one that comes
too late, or for work that is called off, is answered with what it was ignored for, not refused:
a partner that gets a refusal sends it again for days.
"""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Literal
from uuid import NAMESPACE_URL, UUID, uuid5

import asyncpg
import msgspec
from msgspec import Meta

from services import records as shared_records
from services.database import Database
from services.fulfillment import cancel, departures, events, rights, steps
from services.fulfillment.answers import standing
from services.fulfillment.departures import Departure
from services.fulfillment.records import Work
from services.fulfillment.states import allowed
from services.fulfillment.steps import Ask
from services.fulfillment.tables import LIVE_STATES
from services.fulfillment.units import LineUnits, chosen
from services.keys import Principal
from services.partners import records
from services.partners.records import CallbackRow
from services.problems import Refused

CallbackKind = Literal[
    "accept", "reject", "ship", "deliver", "accept_cancellation", "reject_cancellation"
]
Outcome = Literal["applied", "ignored", "parked"]

PARKED_MAX = 20
"""Events parked for one fulfillment order."""
PARKED_FOR = timedelta(days=30)
"""How long an event waits for what has to come before it."""
BATCH_MAX = 100


class Callback(msgspec.Struct, frozen=True, kw_only=True):
    """What a partner tells."""

    partner_id: str
    partner_event_id: str
    kind: CallbackKind
    fulfillment_order_id: UUID
    lines: tuple[LineUnits, ...] | None = None
    carrier: str = ""
    tracking: str = ""
    happened_at: datetime | None = None
    reason: str = ""

    @property
    def departure_id(self) -> UUID:
        """Names the parcel that a `ship` tells of, the same whenever it is told."""
        return uuid5(NAMESPACE_URL, f"partner-event/{self.partner_id}/{self.partner_event_id}")

    @property
    def scope(self) -> bytes:
        """Names the event, hashed."""
        text = f"partner event\n{self.partner_id}\n{self.partner_event_id}"
        return hashlib.sha256(text.encode()).digest()

    @property
    def content(self) -> bytes:
        """What it says, hashed."""
        return hashlib.sha256(msgspec.msgpack.encode(self, order="deterministic")).digest()


class Verdict(msgspec.Struct, frozen=True):
    """What comes of an event as things stand."""

    outcome: Outcome
    why: str | None = None


class CallbackAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a partner's event."""

    partner_event_id: str
    kind: CallbackKind
    fulfillment_order_id: UUID
    outcome: Annotated[
        Outcome, Meta(description="Parked: it takes effect once what has to come before it has.")
    ]
    why: Annotated[str | None, Meta(description="Why it was ignored, or what it waits for.")]
    repeated: Annotated[bool, Meta(description="Whether it came before.")]
    state: str
    request_state: str
    version: int
    allowed: tuple[str, ...]


APPLIED = Verdict("applied")


def judge(kind: CallbackKind, work: Work) -> Verdict:
    """Return whether an event takes effect now, later or never, as its work stands."""
    order = work.order
    if order.state in ("cancelled", "incomplete"):
        return Verdict("ignored", f"The work is {order.state}; nothing is asked for any more.")
    return JUDGES[kind](work)


def judge_accept(work: Work) -> Verdict:
    """Return what comes of an acceptance."""
    if work.order.request_state == "unsubmitted":
        return Verdict("parked", "The work has not been submitted yet.")
    if work.order.request_state != "submitted":
        return Verdict("ignored", f"The request is {work.order.request_state} already.")
    return APPLIED


def judge_reject(work: Work) -> Verdict:
    """Return what comes of a rejection."""
    if work.order.state not in LIVE_STATES:
        return Verdict("ignored", f"The work is {work.order.state}: its goods have left.")
    if work.order.request_state == "unsubmitted":
        return Verdict("ignored", "The work has not been submitted; it may go elsewhere anyway.")
    if work.order.request_state == "cancellation_requested":
        return Verdict("ignored", "The work is to be called off; answer that instead.")
    return APPLIED


def judge_ship(work: Work) -> Verdict:
    """Return what comes of a parcel."""
    if work.order.method != "ship":
        return Verdict("ignored", "The work is picked up by the customer, not shipped.")
    if work.order.state not in LIVE_STATES:
        return Verdict("ignored", f"The work is {work.order.state}: nothing is left to ship.")
    if work.order.request_state == "unsubmitted":
        return Verdict("parked", "The work has not been submitted yet.")
    return APPLIED


def judge_deliver(work: Work) -> Verdict:
    """Return what comes of a delivery."""
    if work.order.state == "closed":
        return Verdict("ignored", "The work is closed: everything had arrived.")
    if work.order.state != "shipped":
        return Verdict("parked", f"The work is {work.order.state}; its parcels have not all left.")
    return APPLIED


def judge_cancellation(work: Work) -> Verdict:
    """Return what comes of an answer to a cancellation."""
    if work.order.request_state != "cancellation_requested":
        return Verdict("ignored", "No cancellation waits for an answer.")
    return APPLIED


JUDGES: dict[CallbackKind, Callable[[Work], Verdict]] = {
    "accept": judge_accept,
    "reject": judge_reject,
    "ship": judge_ship,
    "deliver": judge_deliver,
    "accept_cancellation": judge_cancellation,
    "reject_cancellation": judge_cancellation,
}


async def apply(connection: asyncpg.Connection, told: Callback, work: Work, ask: Ask) -> Work:
    """Give an event its effect on locked work; raises what the step raises."""
    order_id = told.fulfillment_order_id
    match told.kind:
        case "accept":
            return await steps.accept(connection, order_id, ask)
        case "ship":
            return await ship(connection, told, work, ask)
        case "deliver":
            return await departures.deliver(connection, order_id, ask, told.happened_at)
        case "accept_cancellation":
            return await cancel.accept_cancellation(connection, order_id, ask)
        case "reject_cancellation":
            return await steps.reject_cancellation(connection, order_id, ask, told.reason)
    # A rejection plans before the transaction, where the work was not yet, or no longer, as it is.
    raise Refused("unavailable", "The work changed at this moment; send the same event again.")


async def ship(connection: asyncpg.Connection, told: Callback, work: Work, ask: Ask) -> Work:
    """Send a parcel of a partner, who tells of what was picked by telling that it left.

    Goods that have left are a no to a cancellation that was asked for meanwhile.
    """
    order_id = told.fulfillment_order_id
    units = chosen(work.lines, told.lines, lambda line: line.left, "ship")
    named = [
        LineUnits(line_id=line.line_id, part=line.part, quantity=units[line.part])
        for line in work.lines
        if line.part in units
    ]
    missing = [
        LineUnits(line_id=line.line_id, part=line.part, quantity=units[line.part] - line.in_hand)
        for line in work.lines
        if units.get(line.part, 0) > line.in_hand
    ]
    if missing:
        if work.order.request_state == "cancellation_requested":
            await steps.reject_cancellation(connection, order_id, ask, "shipped")
        await steps.pick(connection, order_id, ask, missing)
    departure = Departure(
        departure_id=told.departure_id,
        lines=named,
        happened_at=told.happened_at,
        carrier=told.carrier,
        tracking=told.tracking,
    )
    return await departures.ship(connection, order_id, ask, departure)


async def take(
    connection: asyncpg.Connection,
    told: Callback,
    principal: Principal,
    *,
    rejected: bool = False,
) -> CallbackAnswer:
    """Take an event of a partner, in one transaction with all that it makes possible.

    With `rejected` it is a rejection that has had its effect. Raises `not-found` for work that is not the partner's, `partner-event-reused`, what the step
    raises where what is told cannot be, and `illegal-state` when too much is parked.
    """
    before = await known(connection, told)
    await rights.verify_own(connection, told.fulfillment_order_id, principal)
    work = await steps.lock(connection, told.fulfillment_order_id)
    if before is not None:
        return answered(told, Verdict(before.state, before.why), work, repeated=True)
    verdict = APPLIED if rejected else judge(told.kind, work)
    if verdict.outcome == "applied" and not rejected:
        work = await apply(connection, told, work, Ask(actor=principal.actor))
    await keep(connection, told, work, verdict)
    if verdict.outcome == "applied":
        work = await apply_parked(connection, work)
    return answered(told, verdict, work, repeated=False)


async def known(connection: asyncpg.Connection, told: Callback) -> CallbackRow | None:
    """Return the event if it came before; one of the same id waits until this transaction ends.

    Raises `partner-event-reused` when it said something else then.
    """
    await shared_records.lock_names(connection, [told.scope])
    before = await records.find_callback(connection, told.partner_id, told.partner_event_id)
    if before is not None and before.request_hash != told.content:
        raise Refused(
            "partner-event-reused",
            f"Event {told.partner_event_id} came before with another body. Give each event an id of "
            "its own.",
        )
    return before


async def keep(
    connection: asyncpg.Connection, told: Callback, work: Work, verdict: Verdict
) -> None:
    """Keep an event with what came of it; raises `illegal-state` when too much is parked."""
    if verdict.outcome == "parked":
        parked = await records.parked_callbacks(connection, told.fulfillment_order_id)
        if len(parked) >= PARKED_MAX:
            raise Refused(
                "illegal-state",
                f"{PARKED_MAX} events of this work wait for what has to come before them; send that "
                "first.",
                state=work.order.state,
                request_state=work.order.request_state,
                allowed=allowed(standing(work.order)),
            )
    now = await shared_records.database_now(connection)
    await records.insert_callback(
        connection,
        CallbackRow(
            partner_id=told.partner_id,
            partner_event_id=told.partner_event_id,
            kind=told.kind,
            order_id=work.order.order_id,
            fulfillment_order_id=told.fulfillment_order_id,
            request_hash=told.content,
            body=msgspec.json.encode(told).decode(),
            state=verdict.outcome,
            why=verdict.why,
            happened_at=told.happened_at or now,
            received_at=now,
            applied_at=now if verdict.outcome == "applied" else None,
        ),
    )
    if verdict.outcome == "ignored":
        await tell_ignored(connection, told, work, verdict)


async def tell_ignored(
    connection: asyncpg.Connection, told: Callback, work: Work, verdict: Verdict
) -> None:
    """Let the company know of an answer that came to nothing: goods may have left all the same."""
    event = events.event(
        "answer_ignored",
        work.order,
        f"partner:{told.partner_id}",
        answer=told.kind,
        partner_event_id=told.partner_event_id,
        why=verdict.why,
        tracking=told.tracking,
    )
    await shared_records.insert_events(connection, [event])


async def apply_parked(connection: asyncpg.Connection, work: Work) -> Work:
    """Give parked events of locked work their effect as far as that is possible now.

    The earliest goes first, and after each one all are looked at again.
    """
    for _ in range(PARKED_MAX):
        parked = await records.parked_callbacks(connection, work.order.fulfillment_order_id)
        step = await next_parked(connection, parked, work)
        if step is None:
            break
        work = step
    return work


async def next_parked(
    connection: asyncpg.Connection, parked: Sequence[CallbackRow], work: Work
) -> Work | None:
    """Give the first parked event that can have one its effect; None when there is no such one."""
    now = await shared_records.database_now(connection)
    for row in parked:
        told = msgspec.json.decode(row.body, type=Callback)
        verdict = judge(told.kind, work)
        if verdict.outcome == "parked":
            if now - row.received_at <= PARKED_FOR:
                continue
            verdict = Verdict("ignored", f"{verdict.why} It waited for {PARKED_FOR.days} days.")
        after = work
        if verdict.outcome == "applied":
            ask = Ask(actor=f"partner:{row.partner_id}")
            try:
                async with connection.transaction():
                    after = await apply(connection, told, work, ask)
            except Refused as refused:
                verdict = Verdict("ignored", refused.detail)
        ended = msgspec.structs.replace(
            row,
            state=verdict.outcome,
            why=verdict.why,
            applied_at=now if verdict.outcome == "applied" else None,
        )
        await records.end_callback(connection, ended)
        if verdict.outcome == "ignored":
            await tell_ignored(connection, told, after, verdict)
        return after
    return None


def answered(told: Callback, verdict: Verdict, work: Work, *, repeated: bool) -> CallbackAnswer:
    """Return what a partner is answered."""
    return CallbackAnswer(
        partner_event_id=told.partner_event_id,
        kind=told.kind,
        fulfillment_order_id=told.fulfillment_order_id,
        outcome=verdict.outcome,
        why=verdict.why,
        repeated=repeated,
        state=work.order.state,
        request_state=work.order.request_state,
        version=work.order.version,
        allowed=allowed(standing(work.order)),
    )


async def apply_all_parked(database: Database) -> int:
    """Give events that were parked their effect where others have made it possible; say how many."""
    applied = 0
    start: UUID | None = None
    while True:
        async with database.connect() as connection:
            page = await records.parked_orders(connection, start, BATCH_MAX)
        for fulfillment_order_id in page:
            applied += await database.run(look_again(fulfillment_order_id))
        if len(page) < BATCH_MAX:
            return applied
        start = page[-1]


def look_again(fulfillment_order_id: UUID) -> Callable[[asyncpg.Connection], Awaitable[int]]:
    """Return the work of looking at what is parked for one fulfillment order."""

    async def work(connection: asyncpg.Connection) -> int:
        locked = await steps.lock(connection, fulfillment_order_id)
        before = await records.parked_callbacks(connection, fulfillment_order_id)
        await apply_parked(connection, locked)
        after = await records.parked_callbacks(connection, fulfillment_order_id)
        return len(before) - len(after)

    return work
