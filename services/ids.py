"""Ids that sort by the time they were made, so that new rows lie together in their indexes."""

import os
import time
from uuid import UUID

RANDOM_BYTES = 10
NUMBERS = 1 << 16
"""How many ids one id can be numbered into."""


def new_id() -> UUID:
    """Return a UUID of version 7 (RFC 9562): milliseconds since 1970, then random bits."""
    milliseconds = time.time_ns() // 1_000_000
    value = int.from_bytes(milliseconds.to_bytes(6, "big") + os.urandom(RANDOM_BYTES), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)


def numbered(of: UUID, number: int) -> UUID:
    """Return the id of the `number`th part of `of`: its last two bytes are the number.

    The same parts have the same ids, and 58 random bits beside the millisecond keep the parts of
    two things apart. Raises ValueError from `NUMBERS` on.
    """
    if not 0 <= number < NUMBERS:
        raise ValueError(f"part {number} of {of} cannot be named; the last is {NUMBERS - 1}")
    return UUID(int=of.int & -NUMBERS | number)
