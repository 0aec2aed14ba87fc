"""What a strategy thinks of a node and a lane: leaves them out, or prices what it does not like."""

from functools import lru_cache
from typing import Literal

from routing.problem import Lane, Node, Policy, Soft

Bar = Literal["too_far", "no_service"]

RATE = 1_000_000
"""Emissions of a gram are priced in so many parts of a minor unit."""


def takes_node(policy: Policy, node: Node) -> bool:
    """Whether a node may take part: it is in a group named, if any is, and in none excluded."""
    named = not policy.groups_only or any(name in node.groups for name in policy.groups_only)
    return named and not any(name in node.groups for name in policy.groups_never)


def bars_lane(policy: Policy, node: Node, lane: Lane) -> Bar | None:
    """Why a lane of a node is not used: the destination is too far away, or its service.

    A node whose distance nobody knows is near enough, and so is one that sends to a store.
    """
    if policy.radius_km is not None and _beyond(policy.radius_km, node, lane):
        return "too_far"
    return "no_service" if policy.services and lane.service not in policy.services else None


def broken(policy: Policy, node: Node, lane: Lane | None) -> tuple[Soft, ...]:
    """The soft rules that a fulfillment breaks by its node and its lane; a pickup has no lane."""
    return tuple(soft for soft in policy.soft if _breaks(soft, node, lane))


def _breaks(soft: Soft, node: Node, lane: Lane | None) -> bool:
    if soft.rule == "groups_never":
        return any(name in node.groups for name in soft.names)
    if lane is None:
        return False
    if soft.rule == "services":
        return lane.service not in soft.names
    return _beyond(soft.radius_km, node, lane)


def _beyond(radius_km: int, node: Node, lane: Lane) -> bool:
    return lane.to_node is None and node.distance_km is not None and node.distance_km > radius_km


def soft_minor(policy: Policy, node: Node, lane: Lane | None) -> int:
    """What the soft rules that a fulfillment breaks cost."""
    return sum(soft.minor for soft in broken(policy, node, lane)) if policy.soft else 0


def emissions_minor(policy: Policy, lane: Lane | None) -> int:
    """The price of the emissions of a shipment, whatever it weighs."""
    return 0 if lane is None else lane.co2_grams * policy.co2_minor_per_kg // 1_000


def emissions_rate(policy: Policy, lane: Lane | None) -> int:
    """The price of the emissions of each gram of a shipment, in millionths."""
    return 0 if lane is None else lane.co2_grams_per_kg * policy.co2_minor_per_kg


def unit_emissions_minor(policy: Policy, lane: Lane | None, grams: int) -> int:
    """The price of the emissions of a unit of so many grams; parts of a minor unit are left out."""
    return grams * emissions_rate(policy, lane) // RATE


def opening_minor(policy: Policy, node: Node, lane: Lane | None) -> int:
    """What opening a slot costs beyond money and the node's surcharge."""
    return soft_minor(policy, node, lane) + emissions_minor(policy, lane)


Leaning = tuple[object, ...]


@lru_cache(maxsize=1024)
def leaning(policy: Policy) -> Leaning | None:
    """All that this file reads of a policy, none where it neither leaves out nor prices anything."""
    found: Leaning = (
        policy.radius_km,
        policy.groups_only,
        policy.groups_never,
        policy.services,
        policy.soft,
        policy.co2_minor_per_kg,
    )
    return None if found == (None, (), (), (), (), 0) else found
