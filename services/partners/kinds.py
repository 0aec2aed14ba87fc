"""Which kinds of events can be asked for, and which of them concern partners."""

from collections.abc import Iterable

PING = "webhook_endpoint.test"
SUBMITTED = "fulfillment_order.submitted"

FOR_PARTNERS = frozenset(
    {
        *(
            f"fulfillment_order.{change}"
            for change in (
                "created",
                "submitted",
                "accepted",
                "rejected",
                "picked",
                "packed",
                "ready",
                "handed_over",
                "no_show",
                "delivered",
                "cancelled",
                "cancellation_requested",
                "cancellation_accepted",
                "cancellation_rejected",
                "moved",
                "amended",
            )
        ),
        "shipment.created",
        "shipment.delivered",
        "return.announced",
        "return.received",
        "return.inspected",
        "return.exchanged",
        "return.cancelled",
        "stock.shortage",
        "supply.shortage",
        "webhook_endpoint.disabled",
        "webhook_endpoint.enabled",
        PING,
    }
)
"""What a partner may be told, where it happens at one of its nodes."""

FAMILIES = frozenset(
    {
        "allocation",
        "count",
        "exception",
        "feed",
        "fulfillment_order",
        "order",
        "reservation",
        "return",
        "shipment",
        "stock",
        "supply",
        "transfer",
        "webhook_endpoint",
    }
)
"""What stands before the dot of an event's kind."""
EVERYTHING = "*"


def is_known(pattern: str) -> bool:
    """Tell whether a pattern can match: `*`, `FAMILY.*`, or a kind of a known family."""
    if pattern == EVERYTHING:
        return True
    family, _, change = pattern.partition(".")
    return family in FAMILIES and bool(change)


def matches(patterns: Iterable[str], kind: str) -> bool:
    """Tell whether a kind is one of those that are asked for."""
    family = kind.partition(".")[0]
    return any(each in (kind, f"{family}.*", EVERYTHING) for each in patterns)
