"""The API document, made exact: schemas as the decoder enforces them, summaries from docstrings.

The framework's own schemas leave out limits of optional and nested fields, and call a time of day a
duration. msgspec, which decodes the bodies, also describes them, so that what is written is what
holds.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from litestar import Litestar, Response
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import Operation, PathItem, Schema
from litestar.routes import HTTPRoute

from services.http.answers import Problem
from services.keys import Role

REFERENCE = "#/components/schemas/{name}"
LOCAL_TIME = {
    "format": "partial-time",
    "pattern": r"^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?$",
}
"""A time of day without an offset, in RFC 3339's words; the format `time` demands one."""

METHODS = ("GET", "PUT", "POST", "PATCH", "DELETE")
TIMES = ("time", "partial-time")


class Exact(Schema):
    """A schema that is written as it is."""

    def __init__(self, content: dict[str, Any]) -> None:
        """Keep the JSON Schema object `content`."""
        super().__init__()
        self.content = content

    def to_schema(self) -> dict[str, Any]:
        """Return the JSON Schema object."""
        return self.content


def complete(app: Litestar) -> None:
    """Replace the schemas of bodies and answers and the summaries in the document of `app`."""
    schemas = app.openapi_schema.components.schemas
    _, exact = msgspec.json.schema_components(body_types(app), ref_template=REFERENCE)
    schemas.update({name: Exact(with_local_times(content)) for name, content in exact.items()})
    callers = roles(app)
    for path, item in (app.openapi_schema.paths or {}).items():
        for method, operation in operations(item).items():
            summary, _, rest = (operation.description or "").partition("\n\n")
            who = ", ".join(callers[path, method]) or "anyone, without a key"
            operation.summary = one_line(summary)
            operation.description = f"{rest}\n\nFor: {who}.".lstrip()


def body_types(app: Litestar) -> list[type[msgspec.Struct]]:
    """Return the structs that handlers in the document take and answer."""
    found: dict[type[msgspec.Struct], None] = {Problem: None}
    for path in app.routes:
        for handler in getattr(path, "route_handlers", ()):
            if not isinstance(handler, HTTPRouteHandler) or not handler.resolve_include_in_schema():
                continue
            answer = handler.parsed_return_field
            given = [answer, *answer.inner_types] if answer.is_subclass_of(Response) else [answer]
            if handler.parsed_data_field is not None:
                given.append(handler.parsed_data_field)
            for field in given:
                if field.is_subclass_of(msgspec.Struct):
                    found[field.annotation] = None
    return list(found)


def roles(app: Litestar) -> dict[tuple[str, str], Sequence[Role]]:
    """Return the roles that may make each call, by path and method."""
    return {
        (path.path_format, method): handler.opt.get("roles", ())
        for path in app.routes
        if isinstance(path, HTTPRoute)
        for handler in path.route_handlers
        for method in handler.http_methods
    }


def operations(item: PathItem) -> dict[str, Operation]:
    """Return the operations of a path by method."""
    each = {method: getattr(item, method.lower()) for method in METHODS}
    return {method: operation for method, operation in each.items() if operation is not None}


def one_line(summary: str) -> str:
    """Return the first paragraph of a docstring as a title."""
    return " ".join(summary.split()).removesuffix(".")


def with_local_times(content: Any) -> Any:
    """Return a JSON Schema in which times of day need no offset."""
    if isinstance(content, list):
        return [with_local_times(each) for each in content]
    if not isinstance(content, dict):
        return content
    changed = {name: with_local_times(each) for name, each in content.items()}
    return changed | LOCAL_TIME if changed.get("format") in TIMES else changed
