"""Kinds of events about goods that come back."""

import msgspec

from services.events.telling import Payloads, tells


class ReturnedLine(Payloads, frozen=True, kw_only=True):
    """One line of a return."""

    number: int
    line_id: str
    sku: str
    quantity: int
    reason: str
    disposition: str
    received: int
    restocked: int
    scrapped: int
    to_vendor: int
    amount_minor: int | None


class Replaced(Payloads, frozen=True, kw_only=True):
    """What the customer gets instead."""

    order_id: str
    allocation_id: str


@tells(
    return__announced="The customer wants to return {lines}.",
    return__inspected="What came back was looked at: {lines}.",
    return__cancelled="Nothing comes back after all.",
    return__exchanged="The customer gets something else for {lines}.",
)
class OfReturn(Payloads, frozen=True, kw_only=True):
    """Goods that come back."""

    return_id: str
    reference: str
    node_id: str | None
    state: str
    lines: list[ReturnedLine]
    exchange: Replaced | msgspec.UnsetType = msgspec.UNSET


class Refund(Payloads, frozen=True, kw_only=True):
    """What is to be paid back."""

    refund: int


@tells(return__received="{lines} came back to {node_id}.")
class ReturnReceived(OfReturn, frozen=True, kw_only=True):
    """Goods came back; the customer is to be refunded."""

    amounts_minor: Refund
    currency: str
