"""The planner's key figures."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

from litestar import get
from litestar.datastructures import State
from litestar.params import QueryParameter

from services import records as shared_records
from services.fulfillment.kpis import Kpis, kpis
from services.http.access import allow
from services.http.answers import raises
from services.http.fields import QueryId
from services.problems import Refused
from services.runtime import Runtime

DAYS_MAX = 92


@get("/v1/kpis", opt=allow("planner", "operator"), responses=raises(), tags=["planner"])
async def get_kpis(
    state: State,
    since: Annotated[date, QueryParameter(description="First day, UTC.")],
    until: Annotated[date, QueryParameter(description="The day after the last, UTC.")],
    channel: QueryId = None,
    by_node: Annotated[bool, QueryParameter(description="The work's figures by node.")] = False,
) -> Kpis:
    """Show the key figures of the orders that became firm in a period of at most 92 days.

    Each figure's formula stands beside it. A ratio of nothing is null.
    """
    days = (until - since).days
    if not 1 <= days <= DAYS_MAX:
        raise Refused(
            "invalid-parameter",
            f"until: from {since} it must be 1 to {DAYS_MAX} days on, and is {days}.",
        )
    if until.year < 2000 or until.year > 2200:
        raise Refused("invalid-parameter", f"until: {until} is no date of this service.")
    runtime: Runtime = state.runtime
    midnight = datetime.combine(since, time(), UTC)
    async with runtime.database.connect() as connection:
        return await kpis(
            connection,
            midnight,
            midnight + timedelta(days=days),
            channel=channel,
            by_node=by_node,
            now=await shared_records.database_now(connection),
        )


handlers = [get_kpis]
