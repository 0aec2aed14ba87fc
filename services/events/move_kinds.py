"""Kinds of events about work that changes its place."""

from services.events.order_kinds import OfWork, Units
from services.events.telling import tells


@tells(fulfillment_order__moved="{lines} moved from {from_node_id} to {node_id}.")
class WorkMoved(OfWork, frozen=True, kw_only=True):
    """Another node took over units."""

    replaces: str
    from_node_id: str
    lines: list[Units]
    promise_latest: str
    worse: list[str]


@tells(fulfillment_order__rearranged="{lines} at {node_id} got a better place.")
class WorkRearranged(OfWork, frozen=True, kw_only=True):
    """Work that was not released ended, since its order is better off elsewhere."""

    lines: list[Units]
    moved_to: list[str]
    saving_minor: int
    """What the order costs less; negative where it made room for others."""
    window_id: str | None = None
    """The window in which it was planned anew with others; its decision record tells of it."""
