"""Does what came back agree with what the work of nodes counts as returned."""

import asyncpg

from inventory.audit import Difference
from services.differences import described, one_moment
from services.returns import audit_records


async def audit(connection: asyncpg.Connection) -> list[Difference]:
    """Compare returns with the counters of the work they come from; empty if they agree.

    Reads one REPEATABLE READ snapshot in a transaction of its own. Raises asyncpg.InterfaceError
    when the connection is in a transaction already.
    """
    async with one_moment(connection):
        return [
            *described(
                "return",
                await audit_records.differing_returns(connection),
                "{expected} units came back and {found} are counted as returned",
            ),
            *described(
                "return state",
                await audit_records.unsettled_returns(connection),
                "{found} units wait to be decided about, which does not agree with its end",
            ),
        ]
