"""The API document, and the page that shows it: made when first asked for, the same for everyone.

To make it takes about half a second of CPU. No start of a worker waits for that, and it happens in
a thread, so that orders go on while somebody opens the page for the first time.
"""

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import msgspec
from litestar import Litestar, MediaType, Response, Router, get
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme, Tag
from litestar.static_files import create_static_files_router

from services import __version__
from services.http.document import complete
from services.http.examples import show_examples

PAGE = "/docs"
DOCUMENT = f"{PAGE}/openapi.json"
ASSETS = f"{PAGE}/assets"
OPEN = {"exclude_from_auth": True}
TAGS = [
    Tag("checkout", "Plan a basket, hold its stock, confirm it."),
    Tag("availability", "What can be sold, where and by when."),
    Tag("store", "Reserve for the customer at the counter."),
    Tag("orders", "Whole orders: their parts, and what keeps them back."),
    Tag("work", "What nodes do for orders, step by step."),
    Tag("exceptions", "What nodes could not do, and what a person decides about it."),
    Tag("returns", "Goods that come back, and what is given for them."),
    Tag("stock", "What is on hand, how it moves, and feeds of it."),
    Tag("planner", "Nodes, items and the network's costs and dates."),
    Tag("strategies", "By which prices and limits orders are routed, and which order by which."),
    Tag("partner", "Be told of what happens, and tell what partners did."),
    Tag("staff", "Sign in and out."),
    Tag("events", "What happened, to an order or at all, and to whom."),
    Tag("operator", "Health and metrics."),
]
SWAGGER = f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>nom</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{ASSETS}/stylesheets/swagger-ui.css">
<script src="{ASSETS}/javascripts/swagger-ui-bundle.js"></script>
<script src="{ASSETS}/javascripts/swagger-ui-standalone-preset.js"></script>
</head>
<body>
<div id="document"></div>
<script>
SwaggerUIBundle({{
  url: "{DOCUMENT}",
  dom_id: "#document",
  deepLinking: true,
  showExtensions: true,
  showCommonExtensions: true,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset],
}});
</script>
</body>
</html>
"""


def documentation(handlers: Sequence[HTTPRouteHandler]) -> list[HTTPRouteHandler | Router]:
    """Return what serves the document of `handlers`, its page and the files of that."""

    @get(DOCUMENT, opt=OPEN, include_in_schema=False)
    async def show_document() -> Response[bytes]:
        """Give the document."""
        written = await asyncio.to_thread(write_document, tuple(handlers))
        return Response(written, media_type=MediaType.JSON)

    return [show_page, show_document, files()]


@get(PAGE, opt=OPEN, include_in_schema=False, media_type=MediaType.HTML)
async def show_page() -> str:
    """Give the page, which loads the document."""
    return SWAGGER


@lru_cache(maxsize=1)
def write_document(handlers: tuple[HTTPRouteHandler, ...]) -> bytes:
    """Return the API document of `handlers` as JSON."""
    app = Litestar(handlers, openapi_config=described(), logging_config=None)
    complete(app)
    show_examples(app.openapi_schema)
    return msgspec.json.encode(app.openapi_schema.to_schema())


def described() -> OpenAPIConfig:
    """Return what the document says beyond the handlers."""
    return OpenAPIConfig(
        title="nom",
        version=__version__,
        summary="Stock for the whole network, and the best way to fulfill each order from it.",
        description=(
            "Send `Authorization: Bearer KEY` with every call, and an `Idempotency-Key` with every "
            "POST that has an effect. Errors are `application/problem+json` (RFC 9457). Instants "
            "are UTC, dates are local to the destination or node, money is in minor units."
        ),
        components=Components(
            security_schemes={"key": SecurityScheme(type="http", scheme="bearer")}
        ),
        security=[{"key": []}],
        tags=TAGS,
        use_handler_docstrings=True,
    )


def files() -> Router:
    """Return the router of Swagger UI's files, which come with an installed package."""
    spec = find_spec("mkdocs_swagger_ui_tag")
    if spec is None or spec.origin is None:
        raise RuntimeError("the package that carries Swagger UI is not installed")
    return create_static_files_router(
        path=ASSETS,
        directories=[Path(spec.origin).parent / "swagger-ui"],
        include_in_schema=False,
        opt=OPEN,
    )
