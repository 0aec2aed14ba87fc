"""Inner loops as machine code."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numba

__all__ = ["compiled"]

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Return `function` compiled by numba at its first call, to run without the interpreter's lock.

    The machine code is kept beside the source, or in the user's cache folder where that cannot be
    written, so only the first process after an installation pays for compiling. A compiled function
    works on arrays and numbers only, checks no index, and may call other compiled functions.
    """
    result: Callable[P, R] = numba.njit(cache=True, nogil=True)(function)
    return result
