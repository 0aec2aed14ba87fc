"""Inner loops as machine code."""

import hashlib
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import ParamSpec, TypeVar

import numba
from numba.core import config

__all__ = ["compiled"]

P = ParamSpec("P")
R = TypeVar("R")

FOLDER = Path(__file__).parent
IMPORT = re.compile(r"^from routing\.(\w+) import", re.MULTILINE)


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Return `function` compiled by numba at its first call, to run without the interpreter's lock.

    The machine code is kept beside the source, or in the user's cache folder where that cannot be
    written, so only the first process after an installation pays for compiling. A compiled function
    works on arrays and numbers only, checks no index, and may call other compiled functions.
    """
    base = config.CACHE_DIR  # type: ignore[attr-defined]
    # Numba compiles callees into their caller, but looks for changes in the caller's file alone.
    sources = _digest(function.__module__.rpartition(".")[2])
    config.CACHE_DIR = str(Path(base or FOLDER / "__pycache__") / f"native-{sources}")  # type: ignore[attr-defined]
    try:
        result: Callable[P, R] = numba.njit(cache=True, nogil=True)(function)
    finally:
        config.CACHE_DIR = base  # type: ignore[attr-defined]
    return result


@lru_cache
def _digest(module: str) -> str:
    """A name for the sources that a module of this package is made of, its own and imported."""
    seen: dict[str, bytes] = {}
    found = [module]
    while found:
        name = found.pop()
        path = FOLDER / f"{name}.py"
        if name not in seen and path.exists():
            seen[name] = path.read_bytes()
            found.extend(IMPORT.findall(seen[name].decode()))
    return hashlib.blake2b(b"".join(seen[n] for n in sorted(seen)), digest_size=8).hexdigest()
