"""Decision records, read back with the facts they refer to, and decided again."""

import zlib
from uuid import UUID

import asyncpg
import msgspec

from routing.explain import Decision, replay
from routing.plan import Plan
from routing.record import digest_of, expand
from services.orders import records
from services.problems import Refused


class Replayed(msgspec.Struct, frozen=True):
    """A recorded plan beside the one that comes out when the order is decided again."""

    recorded: Plan
    again: Plan

    @property
    def is_same(self) -> bool:
        """Whether they are the same to the last byte."""
        encode = msgspec.msgpack.encode
        return encode(self.recorded) == encode(self.again)


async def find_decision(connection: asyncpg.Connection, allocation_id: UUID) -> Decision:
    """Return why an allocation's plan is what it is; raises `not-found` where that is not kept."""
    record = await records.find_decision(connection, allocation_id)
    if record is None:
        raise Refused("not-found", f"There is no decision record of allocation {allocation_id}.")
    body = await records.find_terrain(connection, digest_of(record))
    if body is None:
        raise RuntimeError(f"allocation {allocation_id} refers to facts that are not kept")
    return expand(record, zlib.decompress(body))


def decide_again(decision: Decision) -> Replayed:
    """Decide a recorded order again, on what was seen then and the master data of then.

    A proven plan is proven again, and comes out the same. One that ran into its time limit is put
    together again from its parts, at the same cost and with the same status.
    """
    return Replayed(decision.plan, replay(decision))
