"""Ids that sort by the time they were made, so that new rows lie together in their indexes."""

import os
import time
from uuid import UUID

RANDOM_BYTES = 10


def new_id() -> UUID:
    """Return a UUID of version 7 (RFC 9562): milliseconds since 1970, then random bits."""
    milliseconds = time.time_ns() // 1_000_000
    value = int.from_bytes(milliseconds.to_bytes(6, "big") + os.urandom(RANDOM_BYTES), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)
