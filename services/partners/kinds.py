"""Which kinds of events can be asked for, and which of them concern partners."""

from collections.abc import Iterable

from services.events.catalogue import KINDS

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
                "delayed",
                "answer_ignored",
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
        "supply.received",
        "supply.shortage",
        "webhook_endpoint.disabled",
        "webhook_endpoint.enabled",
        PING,
    }
)
"""What a partner may be told, where it happens at one of its nodes."""

EVERYTHING = "*"


def is_known(pattern: str) -> bool:
    """Tell whether a pattern can match: `*`, `FAMILY.*`, or a kind in the catalogue of events."""
    families = {f"{kind.partition('.')[0]}.*" for kind in KINDS}
    return pattern == EVERYTHING or pattern in families or pattern in KINDS


def matches(patterns: Iterable[str], kind: str) -> bool:
    """Tell whether a kind is one of those that are asked for."""
    family = kind.partition(".")[0]
    return any(each in (kind, f"{family}.*", EVERYTHING) for each in patterns)
