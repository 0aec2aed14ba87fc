"""Parameters of an address: one that a call does not know is refused, as a field of a body is.

A filter that was misspelled would otherwise be no filter, and the answer look like a right one.
"""

from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.params import QueryParameter

from services.problems import Refused

NAME_SHOWN_MAX = 60
"""Characters of an unknown name that a refusal repeats."""


async def guard_parameters(
    connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
) -> None:
    """Raise `invalid-parameter` for the first parameter of the query that the call does not take.

    Only where there is a key: health and the pages of the API document take whatever they get.
    """
    query: bytes = connection.scope["query_string"]
    if not query or connection.scope.get("user") is None:
        return
    known = parameters_of(handler)
    for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name not in known:
            takes = ", ".join(sorted(known)) or "none"
            raise Refused(
                "invalid-parameter",
                f"There is no parameter {name[:NAME_SHOWN_MAX]!r}; this call takes {takes}.",
                field=name[:NAME_SHOWN_MAX],
            )


@lru_cache(maxsize=1_024)
def parameters_of(handler: BaseRouteHandler) -> frozenset[str]:
    """Return the names of a call's query parameters, as they are written in an address."""
    parameters = handler.parsed_fn_signature.parameters
    return frozenset(
        getattr(each.kwarg_definition, "name", None) or name
        for name, each in parameters.items()
        if isinstance(each.kwarg_definition, QueryParameter)
    )
