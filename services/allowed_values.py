"""The values a field may have, for whoever has sent another."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from msgspec import inspect

STEP = re.compile(r"\[[^\]]*\]|[^.\[\]]+")
"""Of a path such as `lines[0].method`."""


@lru_cache(maxsize=256)
def allowed_values(kind: Any, path: str) -> tuple[str, ...]:
    """Return the values that may stand at `path` in a value of type `kind`.

    None where the type does not list them, or has nothing at this path. What is remembered is
    bounded; types and paths are those of the API, indexes in paths are the caller's.
    """
    try:
        found: Sequence[inspect.Type] = [inspect.type_info(kind)]
    except TypeError:
        return ()
    for step in STEP.findall(path):
        found = [inner for each in found for inner in within(each, step)]
    return tuple(str(value) for each in found for value in listed(each))


def within(outer: inspect.Type, step: str) -> Iterator[inspect.Type]:
    """Yield the types of what lies one step of a path further in."""
    match outer:
        case inspect.Metadata(type=inner):
            yield from within(inner, step)
        case inspect.UnionType(types=types):
            for each in types:
                yield from within(each, step)
        case inspect.StructType(fields=fields):
            yield from (each.type for each in fields if each.encode_name == step)
        case inspect.DictType(value_type=inner) if step.startswith("["):
            yield inner
        case inspect.CollectionType(item_type=inner) if step.startswith("["):
            yield inner


def listed(kind: inspect.Type) -> Iterator[object]:
    """Yield the values that a type lists."""
    match kind:
        case inspect.Metadata(type=inner):
            yield from listed(inner)
        case inspect.UnionType(types=types):
            for each in types:
                yield from listed(each)
        case inspect.LiteralType(values=values):
            yield from values
        case inspect.EnumType(cls=cls):
            yield from (each.value for each in cls)
