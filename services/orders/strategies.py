"""Which strategy an order is routed by: the one it names, else the one the rules give it."""

from uuid import UUID

import asyncpg

from routing.problem import Policy
from routing.record import strategy_of as strategy_recorded
from services.orders import records
from services.orders.request import AllocationRequest, QuoteRequest
from services.planning.network import Network, Zone
from services.planning.playbook import Traits


def strategy_of(
    request: AllocationRequest | QuoteRequest, network: Network, zone: Zone | None
) -> Policy:
    """Return the prices and limits that an order, checked by `verify`, is routed by."""
    if request.policy.strategy is not None:
        return network.playbook.policies[request.policy.strategy]
    return ruled(network, request.channel, zone, request.tags)


def ruled(network: Network, channel: str, zone: Zone | None, tags: tuple[str, ...] = ()) -> Policy:
    """Return the prices and limits that the rules in force give an order that names no strategy."""
    traits = Traits(
        channel=channel,
        country=zone.country if zone is not None else None,
        zone_id=zone.zone_id if zone is not None else None,
        tags=tags,
    )
    return network.playbook.choose(traits)


async def decided_by(connection: asyncpg.Connection, allocation_id: UUID) -> str | None:
    """Return the name of the strategy that decided an allocation; none where that is not kept.

    Imported orders and those made at a counter were not decided by routing.
    """
    record = await records.find_decision(connection, allocation_id)
    return strategy_recorded(record).rpartition("@")[0] if record is not None else None
