"""How a kind of event is described: a struct of its payload, and what it says in words."""

from collections.abc import Callable
from typing import TypeVar

import msgspec

KINDS: dict[str, "Kind"] = {}
"""Every kind there is, once the modules that describe them are loaded; see `catalogue`."""

T = TypeVar("T", bound=type[msgspec.Struct])


class Kind(msgspec.Struct, frozen=True):
    """One kind of event."""

    payload: type[msgspec.Struct]
    says: str
    """What happened, in a sentence with fields of the payload in braces."""


class Payloads(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all payloads have in common: nothing but that they have no other fields."""


def tells(**kinds: str) -> Callable[[T], T]:
    """Make a struct the payload of kinds, `family__change` each, with what they say in words."""

    def register(payload: T) -> T:
        for name, says in kinds.items():
            KINDS[name.replace("__", ".", 1)] = Kind(payload, says)
        return payload

    return register
