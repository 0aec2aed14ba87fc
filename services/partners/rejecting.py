"""Rejections that partners tell of: planned anew before anything is locked, and once for each event.

A rejection takes transactions of its own, since another place is planned between them. It is named
after the partner's event, so whoever dies before the event is kept finds it done when it comes again.
"""

import hashlib

import msgspec

from services import records as shared_records
from services.fulfillment import records as work_records
from services.fulfillment import rejection, rights
from services.fulfillment.moves import Means
from services.fulfillment.rejection import LineTold, Rejecting, Told
from services.fulfillment.steps import Ask
from services.keys import Principal
from services.orders.idempotency import Claim
from services.partners import records
from services.partners.callbacks import Callback, judge
from services.problems import PREFIX, Refused


class RefusalSaid(msgspec.Struct, frozen=True):
    """A refusal as it was stored."""

    type: str
    detail: str


async def reject_first(means: Means, told: Callback, principal: Principal) -> bool:
    """Give a partner's rejection its effect; False where it has none, or came before.

    Raises `not-found`, and what `rejection.reject` does.
    """
    claimed = claim_of(told)
    async with means.database.connect() as connection:
        if await records.find_callback(connection, told.partner_id, told.partner_event_id):
            return False
        await rights.verify_own(connection, told.fulfillment_order_id, principal)
        done = await shared_records.find_answers(connection, [claimed.scope])
        work = await work_records.find(connection, told.fulfillment_order_id)
    if not done and (work is None or judge(told.kind, work).outcome != "applied"):
        return False
    lines = None
    if told.lines is not None:
        lines = tuple(LineTold(line=each, reason=told.reason) for each in told.lines)
    given = await rejection.reject(
        means,
        claimed,
        Rejecting(
            fulfillment_order_id=told.fulfillment_order_id,
            ask=Ask(actor=principal.actor),
            given=Told(call="reject", reason=told.reason, lines=lines),
            role=principal.role,
        ),
    )
    if given.status_code >= 400:
        said = msgspec.json.decode(given.body, type=RefusalSaid)
        raise Refused(said.type.removeprefix(PREFIX), said.detail)
    return True


def claim_of(told: Callback) -> Claim:
    """Return the claim under which a rejection has its effect once.

    What it says is part of its name: one that was refused can be corrected.
    """
    scope = hashlib.sha256(b"rejection" + told.scope + told.content).digest()
    return Claim(scope=scope, request_hash=told.content)
