"""Exchanges: what the customer gets instead is held first, and only then is the return touched."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import asyncpg
import msgspec

from services import records as shared_records
from services.database import Database
from services.ids import new_id
from services.keys import Principal
from services.orders import lifecycle
from services.orders import records as order_records
from services.orders.allocate import Allocator
from services.orders.answers import AllocationAnswer
from services.orders.idempotency import Answer, Claim, claim, once, replay
from services.orders.request import AllocationRequest
from services.problems import Refused
from services.records import Event
from services.returns import records
from services.returns.receive import tell, unknown
from services.returns.records import Return

Settle = Callable[[asyncpg.Connection, AllocationAnswer], Awaitable[Answer]]
"""Settles a return together with the allocation that was held for it."""


class Wish(msgspec.Struct, frozen=True):
    """What a customer wants instead, and who asks for it."""

    request: AllocationRequest
    hold_s: int
    principal: Principal
    key: str
    """The idempotency key of the call; the allocation gets one made from it."""


async def exchange(
    database: Database, allocator: Allocator, claimed: Claim, wish: Wish, settle: Settle
) -> Answer:
    """Hold what is wanted instead, then settle the return in one transaction with the link.

    Where nothing can be held the answer is that of the allocation and the return is as it was; where
    the return is refused, what was held is given back. Raises what `Allocator.allocate` and `settle`
    raise.
    """
    before = await answered(database, claimed)
    if before is not None:
        return before
    path = f"/v1/exchanges/{wish.request.order_id}"
    inner = claim(wish.principal, "POST", path, wish.key, wish.request)
    held = await allocator.allocate(
        wish.request, inner, principal=wish.principal, hold_s=wish.hold_s
    )
    if held.status_code >= 400:
        return held
    allocation = msgspec.json.decode(held.body, type=AllocationAnswer)
    try:
        given = await once(database, claimed, lambda connection: settle(connection, allocation))
    except Refused:
        await give_back(database, allocation.allocation_id, wish.principal.actor)
        raise
    if given.status_code >= 400:
        await give_back(database, allocation.allocation_id, wish.principal.actor)
    return given


async def answered(database: Database, claimed: Claim) -> Answer | None:
    """Return the answer that a call had before; raises `idempotency-key-reused`."""
    async with database.connect() as connection:
        found = await shared_records.find_answers(connection, [claimed.scope])
    stored = found.get(claimed.scope)
    return None if stored is None else replay(stored, claimed)


async def give_back(database: Database, allocation_id: UUID, actor: str) -> None:
    """Release what was held for an exchange that did not come about."""

    async def work(connection: asyncpg.Connection) -> None:
        row = await order_records.lock_allocation(connection, allocation_id)
        if row is not None and row.state == "held":
            await lifecycle.release(connection, allocation_id, actor=actor)

    await database.run(work)


async def lock_held(connection: asyncpg.Connection, allocation: AllocationAnswer) -> None:
    """Lock what was held for an exchange, which comes before the return in the order of locks.

    Raises `hold-expired` when it is not held any more.
    """
    row = await order_records.lock_allocation(connection, allocation.allocation_id)
    if row is None or row.state not in ("held", "confirmed"):
        raise Refused(
            "hold-expired",
            f"What was held as order {allocation.order_id} is not held any more; send the exchange "
            "again with a new Idempotency-Key.",
        )


async def link(
    connection: asyncpg.Connection, return_id: UUID, allocation: AllocationAnswer, *, actor: str
) -> Return:
    """Link a return with the locked allocation that replaces it, visible from both sides.

    Raises `not-found`, `illegal-state` for a return that was cancelled or exchanged before.
    """
    given = await records.lock_return(connection, return_id)
    if given is None:
        raise unknown(return_id)
    if given.state == "cancelled" or given.exchange_order_id is not None:
        why = given.exchange_order_id or "nothing: it was cancelled"
        raise Refused(
            "illegal-state",
            f"The return is exchanged for {why}; begin another return for another exchange.",
            state=given.state,
            allowed=(),
        )
    done = await records.save(
        connection,
        msgspec.structs.replace(
            given,
            exchange_order_id=allocation.order_id,
            exchange_allocation_id=allocation.allocation_id,
        ),
    )
    row = await lifecycle.find(connection, allocation.allocation_id)
    body = msgspec.json.decode(row.body, type=AllocationAnswer)
    body = msgspec.structs.replace(body, exchange_for=return_id)
    await order_records.set_body(
        connection, row.allocation_id, msgspec.json.encode(body), row.expires_at
    )
    await tell(connection, "return.exchanged", done, actor)
    # Told of the new order, too, so that either history shows where the other one is.
    payload: dict[str, object] = {
        "allocation_id": str(row.allocation_id),
        "return_id": str(return_id),
        "order_id": given.order_id,
    }
    await shared_records.insert_events(
        connection, [Event(new_id(), "allocation.exchanged", row.order_id, actor, payload)]
    )
    return done
