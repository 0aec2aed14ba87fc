"""Cursors: where the next page of a list begins, opaque to the caller."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from services.problems import Refused

T = TypeVar("T")


def after(cursor: str | None, parts: int = 1) -> tuple[str, ...]:
    """Return the key after which the page begins, `parts` strings; empty ones for the first page.

    Raises `invalid-parameter` for a cursor that is not one of ours.
    """
    if cursor is None:
        return ("",) * parts
    try:
        padded = cursor.encode() + b"=" * (-len(cursor) % 4)
        key = msgspec.json.decode(urlsafe_b64decode(padded), type=tuple[str, ...])
    except (ValueError, msgspec.MsgspecError):
        key = ()
    if len(key) != parts or any("\0" in part for part in key):
        raise Refused("invalid-parameter", "cursor: send the next_cursor of the page before.")
    return key


def cursor_of(entries: Sequence[T], limit: int, key: Callable[[T], tuple[str, ...]]) -> str | None:
    """Return the cursor of the page after `entries`; none when they did not fill their page."""
    if len(entries) < limit:
        return None
    return cursor_at(key(entries[-1]))


def cursor_at(key: tuple[str, ...]) -> str:
    """Return the cursor of the page after the entry with this key."""
    return urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")
