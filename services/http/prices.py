"""The planner's look at learned prices."""

from typing import Annotated

from litestar import get
from litestar.datastructures import State
from litestar.params import QueryParameter

from services.http.access import allow
from services.http.answers import raises
from services.http.fields import IDS, Channel, Id, NodeFilter
from services.orders.prices_answer import PricesAnswer, Question, prices_answer
from services.prices.few import find_priced
from services.problems import Refused
from services.runtime import Runtime

SKUS_MAX = 20
"""Skus of one question; each may have an answer for every node."""


@get(
    "/v1/prices",
    opt=allow("planner", "operator"),
    responses=raises("unknown-strategy"),
    tags=["strategies"],
)
async def get_prices(
    *,
    state: State,
    sku: Annotated[list[Id] | None, QueryParameter(max_items=SKUS_MAX, schema_extra=IDS)] = None,
    node_id: NodeFilter = None,
    channel: Channel = "web",
    strategy: Annotated[
        str,
        QueryParameter(min_length=1, max_length=50, description="By whose weights; by name."),
    ] = "protect-stores",
    unit_price_minor: Annotated[
        int,
        QueryParameter(
            ge=0, le=10**12, description="What a unit is sold for, for items without a margin."
        ),
    ] = 0,
) -> PricesAnswer:
    """Show the learned prices that decisions are made by now, since when, and from what data.

    Of the skus asked for also what a unit is worth at each node that has any, by the stock of this
    moment; and of all nodes with much to do what one more fulfillment costs there.
    """
    runtime: Runtime = state.runtime
    network, decider = runtime.network.current, runtime.allocator.decider
    if strategy not in network.playbook.policies:
        names = ", ".join(sorted(network.playbook.policies))
        raise Refused("unknown-strategy", f"There is no strategy {strategy}; use {names}.")
    skus = list(dict.fromkeys(sku or []))
    async with runtime.database.connect() as connection:
        found = await find_priced(connection, skus)
    question = Question(
        skus=skus,
        node_ids=None if node_id is None else frozenset(node_id),
        channel=channel,
        strategy=strategy,
        unit_price_minor=unit_price_minor,
    )
    wanted = {sku: learned for sku, (_, learned) in found.items()}
    return prices_answer(decider.beyond, network, question, wanted, decider.clock.now())


handlers = [get_prices]
