"""Where machine code is kept between processes, and for how long.

A folder is named after the sources of the functions in it, so it is right for every environment,
checkout and image that has the same sources, and none that has others ever reads it. Functions are
looked up in three places and put into the first that can be written:

1. `NUMBA_CACHE_DIR`, where that is set, as in the container image;
2. `nom` in the user's cache folder: `XDG_CACHE_HOME` or `~/.cache`, `~/Library/Caches` on macOS,
   `LOCALAPPDATA` on Windows;
3. `__pycache__` beside the source.

Like every compiled Python file, what lies there is run: nobody else may write there.
"""

import hashlib
import os
import pickle
import re
import shutil
import sys
import time as clock
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba.core import config
from numba.core.caching import IndexDataCacheFile
from numba.core.compiler import CompileResult

__all__ = ["KeptCode", "remove_unused"]

UNUSED_DAYS_MAX = 30
"""Days after which a folder that no process has read from is removed."""

REMOVED_MAX = 100
"""Most folders removed at a time; others have to wait for the next."""

DAY_S = 86_400.0

DAMAGED = (EOFError, pickle.UnpicklingError)

SOURCES = Path(__file__).parent
IMPORT = re.compile(r"^from routing\.(\w+) import", re.MULTILINE)


class KeptCode:
    """The machine code of one function, by arguments and processor; numba asks for it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        """Read nothing yet."""
        source = Path(function.__code__.co_filename)
        self.folder = f"native-{digest(source)}"
        self.name = f"{source.stem}.{function.__qualname__}.{sys.implementation.cache_tag}"

    @property
    def cache_path(self) -> str:
        """The preferred folder; for `stats` of a compiled function."""
        return str(places()[0] / self.folder)

    def load_overload(self, sig: Any, target_context: Any) -> CompileResult | None:
        """The machine code for some arguments, none where it was never made or cannot be read."""
        target_context.refresh()
        key = sig, target_context.codegen().magic_tuple()
        for place in places():
            try:
                found = self._file(place).load(key)
            except (OSError, *DAMAGED):
                continue
            if found is not None:
                _mark_used(place / self.folder)
                made: CompileResult = CompileResult._rebuild(target_context, *found)  # noqa: SLF001
                return made
        return None

    def save_overload(self, sig: Any, data: CompileResult) -> None:
        """Keep what was compiled in the first place that can be written, if any."""
        key = sig, data.codegen.magic_tuple()
        for place in places():
            try:
                (place / self.folder).mkdir(parents=True, exist_ok=True)
                self._put(place, key, data._reduce())  # noqa: SLF001
            except OSError:
                continue
            remove_unused(place)
            return

    def _put(self, place: Path, key: Any, made: Any) -> None:
        file = self._file(place)
        try:
            file.save(key, made)
        except DAMAGED:
            # Of its index; what that named is made anew as it is asked for.
            file.flush()
            file.save(key, made)

    def _file(self, place: Path) -> IndexDataCacheFile:
        # The name of the folder is the stamp.
        return IndexDataCacheFile(str(place / self.folder), self.name, self.folder)


def places() -> list[Path]:
    """Where folders of machine code may be, the preferred one first."""
    given, home = config.CACHE_DIR, _user_folder()  # type: ignore[attr-defined]
    # A relative path is no path, as the XDG standard says; so is one in a home that nobody knows.
    mine = [home / "nom"] if home.is_absolute() else []
    return [*([Path(given)] if given else []), *mine, SOURCES / "__pycache__"]


def _user_folder() -> Path:
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - the other way raises without a home
    if sys.platform == "darwin":
        return home / "Library" / "Caches"
    variable, usual = "XDG_CACHE_HOME", home / ".cache"
    if sys.platform == "win32":
        variable, usual = "LOCALAPPDATA", home / "AppData" / "Local"
    given = Path(os.environ.get(variable, ""))
    return given if given.is_absolute() else usual


def remove_unused(place: Path, unused_days_max: float = UNUSED_DAYS_MAX) -> None:
    """Remove the folders of a place that no process has read from or written to for long.

    Another process may be about to read there: it finds nothing, and compiles.
    """
    before = clock.time() - unused_days_max * DAY_S
    removed = 0
    try:
        for folder in place.glob("native-*"):
            if removed < REMOVED_MAX and folder.stat().st_mtime < before:
                shutil.rmtree(folder, ignore_errors=True)
                removed += 1
    except OSError:
        # Someone else is removing them.
        return


def _mark_used(folder: Path) -> None:
    try:
        if folder.stat().st_mtime < clock.time() - DAY_S:
            os.utime(folder)
    except OSError:
        # It cannot be written, so it is not removed either.
        return


@lru_cache
def digest(source: Path) -> str:
    """A name for the sources that a module is made of, and for what compiles them.

    Numba compiles callees into their caller, so they are its own and what it imports from here.
    """
    seen: dict[str, bytes] = {}
    found = [source]
    while found:
        path = found.pop()
        if path.name not in seen:
            seen[path.name] = path.read_bytes()
            names = IMPORT.findall(seen[path.name].decode())
            found.extend(SOURCES / f"{name}.py" for name in names)
    versions = f"{numba.__version__} {llvmlite.__version__}".encode()
    made_of = b"".join([versions, *(seen[name] for name in sorted(seen))])
    return hashlib.blake2b(made_of, digest_size=8).hexdigest()
