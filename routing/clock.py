"""The clock as machine code reads it, without the interpreter."""

import time
from collections.abc import Callable
from typing import cast

import numpy as np
from numba import types

from routing.compiled import compiled

__all__ = ["now_s", "reading_s"]

MONOTONIC = time.CLOCK_MONOTONIC

_clock_gettime = cast(
    "Callable[[int, int], int]",
    types.ExternalFunction("clock_gettime", types.int32(types.int32, types.voidptr)),
)


@compiled
def now_s() -> float:
    """Seconds on the system's monotonic clock; asking takes some tens of nanoseconds."""
    found = np.empty(2, np.int64)
    _clock_gettime(MONOTONIC, found.ctypes.data)
    return float(found[0] + found[1] * 1e-9)


def reading_s(deadline: float) -> float:
    """What `now_s` says when `time.perf_counter` says `deadline`."""
    return deadline - time.perf_counter() + time.clock_gettime(MONOTONIC)
