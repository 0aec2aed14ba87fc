"""What a customer can choose between whose pickup node has failed them, each way with its price.

A pickup is never sent to another shop in silence: whoever came to collect has to say so.
"""

from collections.abc import Mapping

import msgspec

from services.fulfillment import resource
from services.fulfillment.moves import Means
from services.fulfillment.resource import Found, Need

NEAREST = 5
"""Other pickup nodes that are looked at."""


async def choices_for(means: Means, need: Need) -> tuple[Mapping[str, object], ...]:
    """Return where else everything can be collected, or that it is sent there, or shipped, priced."""
    if need.pickup_node is None:
        return ()
    open_nodes = {
        node_id for node_id, node in means.network.nodes.items() if "pickup" in node.capabilities
    }
    near = resource.nearest(means.network, need.pickup_node, open_nodes, NEAREST)
    wishes = [
        (msgspec.structs.replace(need, method="pickup", pickup_node=node_id, parcels=0), distance)
        for node_id, distance in near
    ]
    if need.method == "pickup" and means.network.senders:
        wishes.insert(0, (msgspec.structs.replace(need, method="ship_to_store"), 0.0))
    shipped = msgspec.structs.replace(need, method="ship", pickup_node=None)
    limit_ms = means.settings.resource_ms
    found: list[Mapping[str, object]] = []
    for wish, distance in [*wishes, (shipped, None)]:
        plan = await resource.find(
            means.database,
            means.network,
            wish,
            limit_ms,
            divisor=means.settings.dimensional_divisor,
        )
        if plan.units == sum(each.quantity for each in need.wants):
            found.append(choice(plan, means.settings.currency, distance))
    return tuple(found)


def choice(found: Found, currency: str, distance_km: float | None) -> dict[str, object]:
    """Return one way to get everything, as the exceptions queue tells it."""
    fulfillments = found.plan.fulfillments
    return {
        "method": fulfillments[0].method,
        "nodes": [each.node_id for each in fulfillments],
        "services": [each.service for each in fulfillments if each.service is not None],
        "distance_km": None if distance_km is None else round(distance_km, 1),
        "promise": {
            "earliest": min(each.promise.earliest for each in fulfillments).isoformat(),
            "latest": max(each.promise.latest for each in fulfillments).isoformat(),
        },
        "late_days": found.late_days,
        "cost": {"amount_minor": found.plan.cost.total_minor, "currency": currency},
    }
