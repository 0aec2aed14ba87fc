"""Which role may make which call, as the handlers say it, and calls that can be made of them.

To write the table into the README of services: `python -m tests.services.people.access_table`.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.types import Method

from services.app import HANDLERS
from services.keys import ROLES
from services.scopes import scope_of

README = Path(__file__).parents[3] / "services" / "README.md"
BEGIN, END = "<!-- begin: access -->\n", "<!-- end: access -->\n"
PARAMETER = re.compile(r"{(\w+):\w+}")
SAMPLES: dict[str, object] = {
    "sku": "MUG",
    "line_id": "1",
    "country": "US",
    "postal_code": "10001",
    "time_zone": "America/New_York",
    "url": "https://hooks.example.com/nom",
    "kinds": ["fulfillment_order.submitted"],
    "expected_on": (datetime.now(UTC) + timedelta(days=5)).date().isoformat(),
    "skus": ["MUG"],
}
"""Values for fields of which only some make sense, by name."""


class Endpoint(msgspec.Struct, frozen=True):
    """One call of the API."""

    method: Method
    path: str
    """With its parameters in braces."""
    roles: tuple[str, ...]
    """Empty where no key is needed."""
    parameters: tuple[str, ...]
    body: Any
    """The type of the body; None where there is none."""

    @property
    def name(self) -> str:
        """How the call is named."""
        return f"{self.method} {self.path}"


def endpoints() -> list[Endpoint]:
    """Return every call of the API, in the order of the document."""
    return [endpoint(handler) for handler in HANDLERS]


def endpoint(handler: HTTPRouteHandler) -> Endpoint:
    """Return the call of a handler."""
    (method,), (path,) = handler.http_methods, handler.paths
    data = handler.fn.__annotations__.get("data")
    return Endpoint(
        method=method,
        path=PARAMETER.sub(r"{\1}", path),
        roles=tuple(handler.opt.get("roles", ())),
        parameters=tuple(PARAMETER.findall(path)),
        body=None if data is None else data.__origin__,
    )


def table(found: Sequence[Endpoint]) -> str:
    """Return who may make which call as a table in Markdown."""
    head = f"| call | {' | '.join(ROLES)} | scope |\n|---|{'---|' * len(ROLES)}---|\n"
    lines = []
    for each in found:
        if each.roles:
            marks = " | ".join("yes" if role in each.roles else "" for role in ROLES)
            scope = f"`{scope_of(each.method, each.path)}`"
        else:
            marks, scope = " | ".join("open" for _ in ROLES), ""
        lines.append(f"| `{each.name}` | {marks} | {scope} |\n")
    return head + "".join(sorted(lines, key=lambda line: line.split("`")[1].split()[::-1]))


def minimal(kind: Any, samples: Mapping[str, object], name: str = "") -> Any:
    """Return the least that a type takes, as JSON: required fields only, by `samples` where named."""
    if name in samples:
        return samples[name]
    return least(msgspec.inspect.type_info(kind), samples, name)


def least(info: msgspec.inspect.Type, samples: Mapping[str, object], name: str) -> Any:
    """Return the least that a described type takes."""
    if name in samples:
        return samples[name]
    found: Any
    match info:
        case msgspec.inspect.Metadata():
            found = least(info.type, samples, name)
        case msgspec.inspect.StructType():
            found = {
                each.encode_name: least(each.type, samples, each.encode_name)
                for each in info.fields
                if each.required
            }
        case msgspec.inspect.ListType() | msgspec.inspect.VarTupleType():
            count = max(info.min_length or 0, 1)
            found = [least(info.item_type, samples, "") for _ in range(count)]
        case msgspec.inspect.IntType():
            found = max(info.ge or 0, 1)
        case msgspec.inspect.LiteralType():
            found = info.values[0]
        case msgspec.inspect.UnionType():
            found = least(info.types[0], samples, name)
        case _:
            found = plain(info, name)
    return found


def plain(info: msgspec.inspect.Type, name: str) -> Any:
    """Return a value of a type that has no parts."""
    now = datetime.now(UTC)
    values: dict[type, Any] = {
        msgspec.inspect.StrType: "x",
        msgspec.inspect.FloatType: 1.0,
        msgspec.inspect.BoolType: True,
        msgspec.inspect.UUIDType: str(uuid4()),
        msgspec.inspect.DateType: now.date().isoformat(),
        msgspec.inspect.DateTimeType: now.isoformat(),
        msgspec.inspect.TimeType: "16:00:00",
        msgspec.inspect.TimeDeltaType: "PT15M",
        msgspec.inspect.DictType: {},
        msgspec.inspect.AnyType: {},
    }
    if type(info) not in values:
        raise TypeError(f"{name}: no value is known for {info}")
    return values[type(info)]


def shown() -> str:
    """Return the part of the README between its marks."""
    _, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    return rest.partition(END)[0]


def write() -> None:
    """Write the table into the README."""
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(before + BEGIN + table(endpoints()) + END + after, encoding="utf-8")


if __name__ == "__main__":
    write()
