"""What another company is told of an event at its nodes: nothing that is only the company's own.

The same wherever it reads: in messages to its endpoints, in the log and in an order's story.
"""

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from services.events.records import LogEvent, Noted

COMPANYS = frozenset(
    {
        *("allocation_id", "actor", "capture", "cost", "pickup_code", "void"),
        # Whom work went to or came from is nobody's business but the company's.
        *("exception_id", "from_node_id", "moved_to", "replaces", "worse"),
    }
)
"""Fields that a partner is not told, beside all amounts of money."""
MINOR = "_minor"
PARTNER = "partner:"

T = TypeVar("T", LogEvent, Noted)


def discreet(event: T) -> T:
    """Return an event as a partner is told it; of who did it only the role, unless it did itself."""
    role, colon, _ = event.actor.partition(":")
    actor = event.actor if role + colon == PARTNER else role
    return msgspec.structs.replace(event, actor=actor, payload=theirs(event.payload))


def theirs(payload: Mapping[str, object]) -> dict[str, object]:
    """Return a payload without the fields that partners are not told, however deep they lie."""
    return {name: without(value) for name, value in payload.items() if is_theirs(name)}


def is_theirs(name: str) -> bool:
    """Tell whether partners are told a field: not what the customer pays, nor what it costs."""
    return name not in COMPANYS and not name.endswith(MINOR)


def without(value: object) -> object:
    """Return a value of a payload without the fields that partners are not told."""
    if isinstance(value, dict):
        return theirs(value)
    if isinstance(value, list):
        return [without(each) for each in value]
    return value
