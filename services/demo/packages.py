"""The packages of the extra `demo`, which the service itself does not need."""

import importlib
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType


class MissingPackageError(RuntimeError):
    """A package of the extra `demo` is not installed; the message says how to install it."""


def needed(name: str) -> ModuleType:
    """Return the module `name`; raises `MissingPackageError` where it is not installed."""
    folder_of(name)
    return importlib.import_module(name)


def folder_of(name: str) -> Path:
    """Return the folder of a package without importing it.

    Raises `MissingPackageError` where it is not installed.
    """
    found = find_spec(name)
    if found is None or found.origin is None:
        raise MissingPackageError(
            f"The demonstration needs the package {name!r}: pip install 'nom[demo]'. "
            "(nom demo --small works without it.)"
        )
    return Path(found.origin).parent
